//! AWS KMS: the KEK never leaves the service.
//!
//! A symmetric key makes the DEK itself (`GenerateDataKey`) and binds it to the envelope's context. For an RSA key the DEK
//! is wrapped here, with the public key that the service gives out, and unwrapped there: such a recipient is the one that
//! any holder of the public key writes (`rsa-oaep-sha256`).
//!
//! Nothing that a header says is ever called: `Decrypt` names the key that the caller named, and the answer must be that
//! key's. What the SDK copies of a DEK on its way through HTTP and JSON is not wiped; what comes out of it is.

mod client;
mod fault;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

pub use aws_sdk_kms::config::{
    Credentials as AwsCredentials, SharedCredentialsProvider as AwsCredentialsProvider,
};
use aws_sdk_kms::types::EncryptionAlgorithmSpec;
pub use client::{AwsKmsOptions, CALL_TIME_MAX_DEFAULT, RETRIES_MAX_DEFAULT};
use tokio::sync::OnceCell;
use waxwing_core::envelope::Binding;
use waxwing_core::{DEK_LEN, Dek};
use waxwing_formats::envelope::{Context, Kind, Recipient};
use zeroize::Zeroizing;

use self::client::Calls;
use self::fault::Fault;
use crate::{
    BoxFuture, DataKey, Generated, KeyProvider, KeyService, NewEnvelope, RsaRecipientKey, ServiceError,
    UnwrapError, WrapError, runtime,
};

/// An encryption context as the SDK takes it.
type Entries = HashMap<String, String>;

/// The longest name of a key, in bytes (API reference, `KeyId`).
const NAME_LEN_MAX: usize = 2048;
/// The longest ciphertext that `Decrypt` takes, in bytes (API reference, `CiphertextBlob`).
const BLOB_LEN_MAX: usize = 6144;
/// Bytes of the modulus of KMS's RSA keys: 2048, 3072 and 4096 bits.
const MODULUS_LENS: [usize; 3] = [256, 384, 512];

/// A key of AWS KMS. It is asked for nothing, and no credentials are looked for, before its first use.
#[derive(Clone)]
pub struct AwsKms(Arc<Inner>);

struct Inner {
    name: String,
    calls: Calls,
    key: OnceCell<Learnt>,
}

/// What KMS says about the key that the caller named.
#[derive(Debug)]
struct Learnt {
    arn: String,
    /// Of an RSA key.
    public: Option<RsaRecipientKey>,
}

/// The name is empty, too long, or no line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key of AWS KMS is named by its ARN, its id or `alias/NAME`, in printable ASCII of at most {NAME_LEN_MAX} bytes"
)]
pub struct AwsKmsName;

impl AwsKms {
    /// The key that `name` is for: an ARN, a key id, `alias/NAME` or an alias' ARN.
    ///
    /// An alias is followed once, at the first use. What was wrapped by the key that an alias named before is not this key's.
    ///
    /// # Errors
    ///
    /// [`AwsKmsName`].
    pub fn new(name: &str, options: AwsKmsOptions) -> Result<Self, AwsKmsName> {
        Self::make(name, options, OnceCell::new())
    }

    /// An RSA key whose public half is here already: wrapping needs no network, and no credentials.
    ///
    /// # Errors
    ///
    /// [`AwsKmsName`], also for a name that is no key's ARN: an alias may name another key by now.
    pub fn with_public_key(
        arn: &str,
        public: RsaRecipientKey,
        options: AwsKmsOptions,
    ) -> Result<Self, AwsKmsName> {
        if !is_key_arn(arn) {
            return Err(AwsKmsName);
        }
        let learnt = Learnt { arn: arn.to_owned(), public: Some(public) };
        Self::make(arn, options, OnceCell::new_with(Some(learnt)))
    }

    fn make(name: &str, options: AwsKmsOptions, key: OnceCell<Learnt>) -> Result<Self, AwsKmsName> {
        if !(1..=NAME_LEN_MAX).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(AwsKmsName);
        }
        let region = region_of(name).map(str::to_owned);
        let calls = Calls::new(AwsKmsOptions { region: options.region.clone().or(region), ..options });
        Ok(Self(Arc::new(Inner { name: name.to_owned(), calls, key })))
    }

    /// The key's ARN, from KMS unless it is known. Afterwards [`KeyProvider::is_for`] knows the recipients of an alias too.
    ///
    /// # Errors
    ///
    /// [`ServiceError`].
    pub async fn arn(&self) -> Result<&str, ServiceError> {
        match self.named_arn() {
            Some(arn) => Ok(arn),
            None => Ok(&self.learnt().await?.arn),
        }
    }

    /// The public half of an RSA key, to be kept ([`RsaRecipientKey::to_pem`]) for [`with_public_key`](Self::with_public_key)
    /// or given to whoever seals for it; `None` for a symmetric key.
    ///
    /// # Errors
    ///
    /// [`ServiceError`].
    pub async fn public_key(&self) -> Result<Option<&RsaRecipientKey>, ServiceError> {
        Ok(self.learnt().await?.public.as_ref())
    }

    /// The ARN, where it is known without asking.
    fn named_arn(&self) -> Option<&str> {
        let Inner { name, key, .. } = &*self.0;
        key.get().map(|key| key.arn.as_str()).or_else(|| is_key_arn(name).then_some(name.as_str()))
    }

    /// Which key this is: asked once, unless that fails.
    async fn learnt(&self) -> Result<&Learnt, ServiceError> {
        if self.0.key.get().is_none() {
            self.on_runtime(async |inner| inner.key.get_or_try_init(|| inner.learn()).await.map(|_| ()))
                .await?;
        }
        Ok(self.0.key.get().expect("it was just learnt"))
    }

    fn unwrap_error(&self, fault: Fault) -> UnwrapError {
        match fault {
            Fault::NotAuthentic => UnwrapError::NotAuthentic,
            Fault::Service(source) => UnwrapError::Service { key: self.0.to_string(), source },
        }
    }

    /// A DEK and the same wrapped, by a symmetric key.
    async fn made(&self, arn: &str, context: Option<Entries>) -> Result<(Dek, Vec<u8>), ServiceError> {
        let arn = arn.to_owned();
        let made = self.on_runtime(async move |inner| inner.calls.generate(&arn, context).await);
        let (dek, blob) = made.await?;
        Ok((Dek::from_unwrapped(&dek).ok_or_else(|| wrong_length(dek.len()))?, blob))
    }

    /// What the service unwraps with the caller's key.
    async fn decrypted(
        &self,
        wrapped: &[u8],
        how: EncryptionAlgorithmSpec,
        context: Option<Entries>,
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let (arn, wrapped) = (self.arn().await?.to_owned(), wrapped.to_vec());
        let call = async move |inner: Arc<Inner>| Ok(inner.calls.decrypt(&arn, wrapped, how, context).await);
        self.on_runtime(call).await?
    }

    async fn unwrapped(&self, recipient: &Recipient, context: &Context) -> Result<Option<Dek>, Fault> {
        let Some(how) = self.mine(recipient).await? else { return Ok(None) };
        let context = match how {
            EncryptionAlgorithmSpec::SymmetricDefault => entries(context),
            _ => None,
        };
        let dek = self.decrypted(&recipient.wrapped, how, context).await?;
        Ok(Some(Dek::from_unwrapped(&dek).ok_or_else(|| wrong_length(dek.len()))?))
    }

    /// How the recipient was wrapped, if it is the caller's key's. Asks only what KMS has not said yet, and never about
    /// anything that the recipient names.
    async fn mine(&self, recipient: &Recipient) -> Result<Option<EncryptionAlgorithmSpec>, ServiceError> {
        let Recipient { kind, key_id, wrapped } = recipient;
        match kind.as_str() {
            Kind::AWS_KMS if (1..=BLOB_LEN_MAX).contains(&wrapped.len()) && names_a_key(key_id) => {
                let is_mine = self.arn().await?.as_bytes() == key_id;
                Ok(is_mine.then_some(EncryptionAlgorithmSpec::SymmetricDefault))
            }
            Kind::RSA_OAEP_SHA256 if MODULUS_LENS.contains(&wrapped.len()) => {
                let public = self.public_key().await?;
                let is_mine =
                    |key: &&RsaRecipientKey| key.is_for(recipient) && key.modulus_len() == wrapped.len();
                Ok(public.filter(is_mine).map(|_| EncryptionAlgorithmSpec::RsaesOaepSha256))
            }
            _ => Ok(None),
        }
    }

    async fn on_runtime<T, F>(&self, call: impl FnOnce(Arc<Inner>) -> F) -> Result<T, ServiceError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ServiceError>> + Send + 'static,
    {
        runtime::run(call(self.0.clone())).await
    }

    fn wrap_error(&self, source: ServiceError) -> WrapError {
        WrapError::Service { key: self.0.to_string(), source }
    }
}

impl Inner {
    async fn learn(&self) -> Result<Learnt, ServiceError> {
        let described = match self.calls.describe(&self.name).await {
            // Few policies of writers and readers grant DescribeKey. A key that is named by its ARN can do without.
            Err(ServiceError::Denied(_)) if is_key_arn(&self.name) => {
                return Ok(Learnt { arn: self.name.clone(), public: None });
            }
            described => described?,
        };
        if is_key_arn(&self.name) && described.arn != self.name {
            return Err(other_key(&described.arn));
        }
        let public = match described.is_rsa {
            true => Some(self.calls.public_key(&described.arn).await?),
            false => None,
        };
        Ok(Learnt { arn: described.arn, public })
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Kind::AWS_KMS, self.name)
    }
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsKms({})", self.0.name)
    }
}

impl KeyProvider for AwsKms {
    /// Of an alias or an RSA key nothing is known before the first use, or [`arn`](Self::arn).
    fn is_for(&self, recipient: &Recipient) -> bool {
        let public = self.0.key.get().and_then(|key| key.public.as_ref());
        match public {
            Some(public) => public.is_for(recipient),
            None => {
                recipient.kind.as_str() == Kind::AWS_KMS
                    && self.named_arn().is_some_and(|arn| arn.as_bytes() == recipient.key_id)
            }
        }
    }

    fn wrap<'a>(&'a self, dek: &'a Dek, binding: Binding<'a>) -> BoxFuture<'a, Result<Recipient, WrapError>> {
        Box::pin(async move {
            let key = self.learnt().await.map_err(|source| self.wrap_error(source))?;
            if let Some(public) = &key.public {
                return public.wrap(dek, binding).await;
            }
            let (arn, dek, context) =
                (&key.arn, Zeroizing::new(*dek.expose()), entries(&binding.fixed.context));
            let wrapped = self.on_runtime({
                let arn = arn.clone();
                async move |inner| inner.calls.encrypt(&arn, &dek[..], context).await
            });
            Ok(recipient(arn, wrapped.await.map_err(|source| self.wrap_error(source))?))
        })
    }

    fn unwrap<'a>(
        &'a self,
        recipient: &'a Recipient,
        binding: Binding<'a>,
    ) -> BoxFuture<'a, Result<Option<Dek>, UnwrapError>> {
        Box::pin(async move {
            let unwrapped = self.unwrapped(recipient, &binding.fixed.context).await;
            unwrapped.map_err(|fault| self.unwrap_error(fault))
        })
    }

    /// A symmetric key makes the DEK.
    fn generate<'a>(&'a self, new: NewEnvelope<'a>) -> BoxFuture<'a, Result<Option<Generated>, WrapError>> {
        Box::pin(async move {
            let made = async {
                let key = self.learnt().await?;
                if key.public.is_some() {
                    return Ok(None);
                }
                let (dek, blob) = self.made(&key.arn, entries(&new.fixed.context)).await?;
                Ok(Some(Generated { dek, recipient: recipient(&key.arn, blob) }))
            };
            made.await.map_err(|source| self.wrap_error(source))
        })
    }
}

/// For partners' schemes, symmetric keys alone: bytes that no header proves.
impl KeyService for AwsKms {
    fn unwrap<'a>(
        &'a self,
        wrapped: &'a [u8],
        context: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, UnwrapError>> {
        Box::pin(async move {
            let context =
                context.map(json_entries).transpose().map_err(|err| self.unwrap_error(err.into()))?;
            let context = context.filter(|entries| !entries.is_empty());
            if !(1..=BLOB_LEN_MAX).contains(&wrapped.len()) {
                return Err(UnwrapError::NotAuthentic);
            }
            let key = self.decrypted(wrapped, EncryptionAlgorithmSpec::SymmetricDefault, context).await;
            key.map_err(|fault| self.unwrap_error(fault))
        })
    }

    fn generate(&self) -> BoxFuture<'_, Result<Option<DataKey>, WrapError>> {
        Box::pin(async move {
            let made = async {
                let key = self.learnt().await?;
                if key.public.is_some() {
                    return Err(ServiceError::Unsuitable("an RSA key makes no data keys".to_owned()));
                }
                let (key, wrapped) = self.made(&key.arn, None).await?;
                Ok(Some(DataKey { key, wrapped }))
            };
            made.await.map_err(|source| self.wrap_error(source))
        })
    }
}

fn json_entries(context: &str) -> Result<Entries, ServiceError> {
    let unsuitable =
        |_| ServiceError::Unsuitable("the context in the message is no JSON object of texts".to_owned());
    serde_json::from_str(context).map_err(unsuitable)
}

fn recipient(arn: &str, wrapped: Vec<u8>) -> Recipient {
    let kind = Kind::new(Kind::AWS_KMS).expect("the kind is spelt right");
    Recipient { kind, key_id: arn.as_bytes().to_vec(), wrapped }
}

/// The context as KMS takes it: none, rather than an empty one.
fn entries(context: &Context) -> Option<Entries> {
    let entries = context.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    (!context.is_empty()).then(|| entries.collect())
}

fn names_a_key(key_id: &[u8]) -> bool {
    std::str::from_utf8(key_id).is_ok_and(is_key_arn)
}

/// Whether a name is the ARN of a key, not of an alias: `arn:aws:kms:REGION:ACCOUNT:key/ID`.
fn is_key_arn(name: &str) -> bool {
    arn_fields(name)
        .is_some_and(|[_, _, resource]| resource.strip_prefix("key/").is_some_and(|id| !id.is_empty()))
}

fn region_of(name: &str) -> Option<&str> {
    arn_fields(name).map(|[region, ..]| region).filter(|region| !region.is_empty())
}

/// Region, account and resource of an ARN of KMS.
fn arn_fields(name: &str) -> Option<[&str; 3]> {
    let mut fields = name.splitn(6, ':');
    let (Some("arn"), Some(_), Some("kms")) = (fields.next(), fields.next(), fields.next()) else {
        return None;
    };
    Some([fields.next()?, fields.next()?, fields.next()?])
}

fn other_key(arn: &str) -> ServiceError {
    ServiceError::Unexpected(crate::said(&format!("it answered for the key {arn}")))
}

fn wrong_length(len: usize) -> ServiceError {
    ServiceError::Unexpected(format!("a data key of {len} bytes, not {DEK_LEN}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn an_arn_is_told_from_other_names() {
        assert!(is_key_arn(ARN));
        assert!(is_key_arn(
            "arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
        ));
        assert_eq!(region_of(ARN), Some("eu-central-1"));
        assert_eq!(region_of("alias/payroll"), None);
        for other in [
            "",
            "alias/payroll",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:eu-central-1:111122223333:alias/payroll",
            "arn:aws:kms:eu-central-1:111122223333:key/",
            "arn:aws:s3:eu-central-1:111122223333:key/1234",
            "arn:aws:kms:eu-central-1",
        ] {
            assert!(!is_key_arn(other), "{other}");
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for bad in ["", "alias/a b", "alias/\u{e9}", "alias/a\n", &"a".repeat(NAME_LEN_MAX + 1)] {
            assert_eq!(AwsKms::new(bad, AwsKmsOptions::default()).unwrap_err(), AwsKmsName);
        }
        assert_eq!(
            format!("{:?}", AwsKms::new(ARN, AwsKmsOptions::default()).unwrap()),
            format!("AwsKms({ARN})")
        );
    }
}
