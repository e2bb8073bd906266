use std::fmt;
use std::future::Future;
use std::pin::Pin;

use waxwing_core::Dek;
use waxwing_core::envelope::Binding;
use waxwing_formats::envelope::Recipient;

/// A future that a provider may finish at once (a local key) or after a call (a KMS).
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who wraps DEKs: an RSA key, a KEK, a KMS.
///
/// A provider need not be able to do both: a public key wraps, and every recipient is [`Ok(None)`](Self::unwrap) to it.
pub trait KeyProvider: fmt::Debug + Send + Sync {
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
}

/// Why a DEK that is ours could not be unwrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// The wrapped key is not authentic under this key. Told to nobody in more detail.
    #[error("the data is not authentic")]
    NotAuthentic,
    /// The key service could not be reached, or denied: nothing is known about the envelope.
    #[error("the key service of `{key}` is unavailable")]
    Unavailable {
        /// The provider, as people know it.
        key: String,
        /// What the service or the network said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
