//! The transit engine of Vault or OpenBao: [`VaultTransit`].
//!
//! Nothing that a header says is ever called: the path is that of the key that the caller named. What HTTP and TLS copy of a
//! DEK on its way is not wiped; what is sent from here and what comes out is.

mod answer;
mod client;
mod key;
mod options;

use waxwing_core::envelope::Binding;
use waxwing_core::{DEK_LEN, Dek};
use waxwing_formats::base64::{self, Reading};
use waxwing_formats::codec::Encode as _;
use waxwing_formats::envelope::{Fixed, Kind, Recipient};
use zeroize::Zeroizing;

use self::answer::{Answer, Data};
pub use self::client::Vault;
use self::client::{Operation, Request};
use self::key::Ciphertext;
pub use self::key::TransitKey;
pub use self::options::{VaultOptions, VaultSetupError};
use crate::{BoxFuture, Generated, KeyProvider, NewEnvelope, ServiceError, UnwrapError, WrapError};

/// The bits of a DEK, as `datakey` is asked for them.
const DEK_BITS: u16 = DEK_LEN as u16 * 8;

/// A key of the transit engine of Vault or OpenBao: the KEK never leaves the service, which is asked for nothing before the
/// key's first use.
///
/// Transit makes the DEK (`datakey`), wraps one that was drawn here (`encrypt`), unwraps it (`decrypt`), and takes a wrapped
/// key to the KEK's newest version without showing the DEK to anybody ([`rewrap`](Self::rewrap)).
///
/// **What is bound.** Every call sends the envelope's context, as the header encodes it, as transit's `context`; an empty one
/// has two bytes there, so that transit always gets something. Where the KEK was created with `derived=true`, transit
/// derives a key from it, so that it decrypts under the same context only. For any other KEK it ignores `context` without a
/// word (seen with OpenBao 2.7.2), which is why nobody has to ask which it is. Whatever transit binds, the header's
/// commitment and MAC bind the whole envelope. `associated_data` would bind for every KEK, but transit's `rewrap` refuses
/// what was wrapped with it.
#[derive(Debug, Clone)]
pub struct VaultTransit {
    vault: Vault,
    key: TransitKey,
}

impl VaultTransit {
    /// This key of that service.
    pub fn new(vault: Vault, key: TransitKey) -> Self {
        Self { vault, key }
    }

    /// Which key it is.
    pub fn key(&self) -> &TransitKey {
        &self.key
    }

    /// The same wrapped key under the newest version of the KEK, or `Ok(None)` when `recipient` is not this key's. The service
    /// sees the DEK, and nobody else.
    ///
    /// The header's MAC covers its recipients: to put the answer into a header takes the DEK all the same
    /// ([`Keyring::unlock_to_rewrap`](crate::Keyring::unlock_to_rewrap)).
    ///
    /// # Errors
    ///
    /// [`UnwrapError`].
    pub async fn rewrap(
        &self,
        recipient: &Recipient,
        binding: Binding<'_>,
    ) -> Result<Option<Recipient>, UnwrapError> {
        let Some(wrapped) = self.wrapped(recipient) else { return Ok(None) };
        let data = self.use_wrapped(Operation::Rewrap, wrapped, binding).await?;
        let rewrapped = self.recipient(&data).and_then(|rewrapped| {
            let version = Ciphertext::parse(&rewrapped.wrapped).map(|ciphertext| ciphertext.version);
            match version >= Some(wrapped.version) {
                true => Ok(rewrapped),
                false => Err(ServiceError::Unexpected("a ciphertext of an older version".to_owned())),
            }
        });
        rewrapped.map(Some).map_err(|source| UnwrapError::Service { key: self.key.shown(), source })
    }

    /// What is wrapped, if it is wrapped by this key and looks like transit's.
    fn wrapped<'a>(&self, recipient: &'a Recipient) -> Option<Ciphertext<'a>> {
        self.is_for(recipient).then(|| Ciphertext::parse(&recipient.wrapped)).flatten()
    }

    async fn use_wrapped(
        &self,
        operation: Operation,
        wrapped: Ciphertext<'_>,
        binding: Binding<'_>,
    ) -> Result<Data, UnwrapError> {
        let context = context(binding.fixed);
        let request = Request { ciphertext: Some(wrapped.text), context: &context, ..Request::default() };
        match self.vault.call(operation, &self.key, request).await {
            Ok(Answer::Data(data)) => Ok(data),
            Ok(Answer::NotAuthentic) => Err(UnwrapError::NotAuthentic),
            Err(source) => Err(UnwrapError::Service { key: self.key.shown(), source }),
        }
    }

    /// What an operation that uses no ciphertext gives.
    async fn make(&self, operation: Operation, request: Request<'_>) -> Result<(Data, Recipient), WrapError> {
        let made = match self.vault.call(operation, &self.key, request).await {
            Ok(Answer::Data(data)) => self.recipient(&data).map(|recipient| (data, recipient)),
            Ok(Answer::NotAuthentic) => {
                Err(ServiceError::Unexpected("it refuses a ciphertext, and none was sent".to_owned()))
            }
            Err(err) => Err(err),
        };
        made.map_err(|source| self.failed(source))
    }

    fn recipient(&self, data: &Data) -> Result<Recipient, ServiceError> {
        let ciphertext = data.ciphertext.as_deref().unwrap_or_default();
        if Ciphertext::parse(ciphertext.as_bytes()).is_none() {
            return Err(ServiceError::Unexpected("no ciphertext of transit".to_owned()));
        }
        Ok(Recipient {
            kind: Kind::new(Kind::VAULT_TRANSIT).expect("the kind is spelt right"),
            key_id: self.key.as_str().into(),
            wrapped: ciphertext.into(),
        })
    }

    fn failed(&self, source: ServiceError) -> WrapError {
        WrapError::Service { key: self.key.shown(), source }
    }
}

impl KeyProvider for VaultTransit {
    fn is_for(&self, recipient: &Recipient) -> bool {
        recipient.kind.as_str() == Kind::VAULT_TRANSIT
            && TransitKey::decode(&recipient.key_id).is_some_and(|key| key == self.key)
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move {
            let plaintext = Zeroizing::new(base64::encode(dek.expose()));
            let context = context(binding.fixed);
            let request = Request { plaintext: Some(&plaintext), context: &context, ..Request::default() };
            Ok(self.make(Operation::Encrypt, request).await?.1)
        })
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            let Some(wrapped) = self.wrapped(recipient) else { return Ok(None) };
            let data = self.use_wrapped(Operation::Decrypt, wrapped, binding).await?;
            let plaintext =
                plaintext(&data).map_err(|source| UnwrapError::Service { key: self.key.shown(), source })?;
            // Whoever may encrypt under the KEK can make a ciphertext of anything.
            Dek::from_unwrapped(&plaintext).map(Some).ok_or(UnwrapError::NotAuthentic)
        })
    }

    fn generate<'a>(
        &'a self,
        envelope: NewEnvelope<'a>,
    ) -> BoxFuture<'a, Result<Option<Generated>, WrapError>> {
        Box::pin(async move {
            let context = context(envelope.fixed);
            let request = Request { bits: Some(DEK_BITS), context: &context, ..Request::default() };
            let (data, recipient) = self.make(Operation::Datakey, request).await?;
            let dek = plaintext(&data).and_then(|bytes| {
                let len = bytes.len();
                Dek::from_unwrapped(&bytes)
                    .ok_or_else(|| ServiceError::Unexpected(format!("a data key of {len} bytes")))
            });
            Ok(Some(Generated { dek: dek.map_err(|source| self.failed(source))?, recipient }))
        })
    }
}

/// Transit's `context` for an envelope: its context as the header encodes it, so never empty.
fn context(fixed: &Fixed) -> String {
    base64::encode(&fixed.context.to_bytes())
}

fn plaintext(data: &Data) -> Result<Zeroizing<Vec<u8>>, ServiceError> {
    let text = data.plaintext.as_deref().map_or("", String::as_str);
    match base64::decode(text, Reading::Strict) {
        Ok((bytes, _)) => Ok(Zeroizing::new(bytes)),
        Err(_) => Err(ServiceError::Unexpected("a plaintext that is not base64".to_owned())),
    }
}
