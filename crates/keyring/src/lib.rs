//! Keys: who wraps a DEK and who unwraps it, and how keys are read and made.
//!
//! [`KeyProvider`] is the one joint where the system grows: an RSA key, a KEK or a remote service wraps DEKs behind the same
//! two methods. A [`Keyring`] is an ordered set of them. [`Key::read`] takes key files as they come. [`RecordKeys`] are the
//! private keys of the record scheme, chosen by key id and never tried in turn. A [`Keystore`] keeps
//! named keys in versions. A [`Wrapping`] says
//! how RSA wraps whatever else a partner's scheme wraps.
//!
//! Services that keep keys are behind the features `aws-kms` and `vault`. [`Cached`], [`Retrying`] and [`Limited`] are
//! put around any provider.

#[cfg(feature = "aws-kms")]
mod aws_kms;
mod blob;
mod cached;
mod error;
pub mod fuzzing;
mod kek;
mod keyring;
mod keystore;
mod limited;
mod local;
mod passphrase;
mod pem;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod provider;
mod record;
mod retrying;
mod rewrap;
mod rsa;
#[cfg(any(feature = "aws-kms", feature = "vault"))]
mod runtime;
mod service;
#[cfg(feature = "vault")]
mod vault;
mod weak;
mod x_wing;

#[cfg(feature = "aws-kms")]
pub use aws_kms::{
    AwsCredentials, AwsCredentialsProvider, AwsKms, AwsKmsName, AwsKmsOptions, CALL_TIME_MAX_DEFAULT,
    RETRIES_MAX_DEFAULT,
};
pub use blob::{BlobError, Tried, Wrapping};
pub use cached::{CacheCounts, CacheLimits, Cached, MonotonicClock};
pub use error::KeyError;
pub use kek::Kek;
pub use keyring::{
    CANDIDATES_MAX, FailedKey, FailedKeys, Keyring, PASSPHRASES_TRIED_MAX, RecipientText, UnlockError,
    describe,
};
pub use keystore::{KeyName, Keystore, KeystoreError, NewKey};
pub use limited::Limited;
pub use passphrase::{PASSPHRASE_LEN_MAX, Passphrase, PassphraseError};
pub use pem::{KEY_FILE_LEN_MAX, Key};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{
    PIN_LEN_MAX, PKCS11_URI_LEN_MAX, Pkcs11Attribute, Pkcs11Error, Pkcs11Key, Pkcs11Options, Pkcs11Uri,
    Pkcs11UriError, Pkcs11UriPart,
};
pub use provider::{
    BoxFuture, DataKey, Generated, KeyProvider, KeyService, NewEnvelope, UnwrapError, WrapError,
};
pub use record::{RecordKey, RecordKeyError, RecordKeys, wrap_content_key};
pub use retrying::{RetryLimits, Retrying, Sleep};
pub use rewrap::{Change, RewrapError, Rewrapped, rewrap};
pub use rsa::{KeyId, RsaPrivateKey, RsaRecipientKey, RsaSize};
pub use service::{SAID_LEN_MAX, ServiceError, said};
#[cfg(feature = "vault")]
pub use vault::{TransitKey, Vault, VaultOptions, VaultSetupError, VaultTransit};
pub use weak::{MODULUS_BITS, WeakKey};
pub use x_wing::{XWingPrivateKey, XWingRecipientKey};
