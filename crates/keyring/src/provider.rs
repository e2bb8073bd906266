use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use waxwing_core::envelope::Binding;
use waxwing_core::{Dek, RandomError};
use waxwing_formats::envelope::{Fixed, Recipient};
use zeroize::Zeroizing;

use crate::ServiceError;

/// A future that a provider may finish at once (a local key) or after a call (a KMS).
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who wraps DEKs: an RSA key, a KEK, a KMS.
///
/// A provider need not be able to do both: a public key wraps, and every recipient is [`Ok(None)`](Self::unwrap) to it.
pub trait KeyProvider: fmt::Debug + Send + Sync {
    /// Whether `recipient` looks like one that [`wrap`](Self::wrap) makes: same kind, same key. Uses no key and asks nobody.
    fn is_for(&self, recipient: &Recipient) -> bool;

    /// Wraps `dek` for this provider's recipient.
    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>>;

    /// Unwraps a DEK, or `Ok(None)` when `recipient` is of another kind, malformed, or for another key.
    ///
    /// `Err` is "mine, but it failed". What comes back is a candidate: only the header's commitment proves it.
    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>>;

    /// Lets a service make the DEK of a new envelope and wrap it in one call (`GenerateDataKey`).
    ///
    /// `Ok(None)`, the default: this provider only wraps DEKs that were drawn here.
    fn generate<'a>(&'a self, _: NewEnvelope<'a>) -> BoxFuture<'a, Result<Option<Generated>, WrapError>> {
        Box::pin(async { Ok(None) })
    }
}

/// A provider that others hold too, so that a wrapper can be put around it.
impl<P: KeyProvider + ?Sized> KeyProvider for Arc<P> {
    fn is_for(&self, recipient: &Recipient) -> bool {
        (**self).is_for(recipient)
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        (**self).wrap(dek, binding)
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        (**self).unwrap(recipient, binding)
    }

    fn generate<'a>(&'a self, new: NewEnvelope<'a>) -> BoxFuture<'a, Result<Option<Generated>, WrapError>> {
        (**self).generate(new)
    }
}

/// An envelope whose DEK is yet to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewEnvelope<'a> {
    /// Its fixed fields, context among them.
    pub fixed: &'a Fixed,
    /// Bytes of its plaintext, where that is known before it was read.
    pub plaintext_len: Option<u64>,
}

/// A DEK that a service made, and the recipient for whom the service wrapped it.
#[derive(Debug)]
pub struct Generated {
    /// The DEK.
    pub dek: Dek,
    /// The wrapped DEK.
    pub recipient: Recipient,
}

/// A service that keeps the wrapping key to itself, for partners' schemes: keys in and out as bytes, and no header around
/// them that would prove what came back.
pub trait KeyService: Send + Sync {
    /// Unwraps a data key. `context` is the JSON object that the message says it was wrapped with.
    fn unwrap<'a>(
        &'a self,
        wrapped: &'a [u8],
        context: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, UnwrapError>>;

    /// Makes a data key of [`DEK_LEN`](waxwing_core::DEK_LEN) bytes, without a context.
    ///
    /// `Ok(None)`, the default: this service only unwraps.
    fn generate(&self) -> BoxFuture<'_, Result<Option<DataKey>, WrapError>> {
        Box::pin(async { Ok(None) })
    }
}

/// A data key that a service made. Never printed.
pub struct DataKey {
    /// The key.
    pub key: Dek,
    /// The same, wrapped.
    pub wrapped: Vec<u8>,
}

/// Why a DEK could not be wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// This key only opens.
    #[error("the key `{key}` cannot wrap")]
    CannotWrap {
        /// The provider, as people know it.
        key: String,
    },
    /// The provider refused or failed.
    #[error("the key `{key}` failed to wrap")]
    Failed {
        /// The provider, as people know it.
        key: String,
    },
    /// The service that keeps the key could not be asked, or refused.
    #[error("the key `{key}` could not wrap")]
    Service {
        /// The provider, as people know it.
        key: String,
        /// What the service or the network said.
        #[source]
        source: ServiceError,
    },
    /// There is no DEK to wrap.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Why a DEK that is ours could not be unwrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The wrapped key is not authentic under this key. Told to nobody in more detail.
    #[error("the data is not authentic")]
    NotAuthentic,
    /// The service could not be asked, or refused for a reason of its own: nothing is known about the envelope.
    #[error("the key `{key}` could not be used")]
    Service {
        /// The provider, as people know it.
        key: String,
        /// What the service or the network said.
        #[source]
        source: ServiceError,
    },
}
