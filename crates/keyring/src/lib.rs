//! Keys: who wraps a DEK and who unwraps it, and how keys are read and made.
//!
//! [`KeyProvider`] is the one joint where the system grows: an RSA key, a KEK or a remote service wraps DEKs behind the same
//! two methods. A [`Keyring`] is an ordered set of them. [`Key::read`] takes key files as they come. [`RecordKeys`] are the
//! private keys of the record scheme, chosen by key id and never tried in turn.

mod error;
pub mod fuzzing;
mod kek;
mod keyring;
mod local;
mod pem;
mod provider;
mod record;
mod rsa;
mod weak;

pub use error::KeyError;
pub use kek::Kek;
pub use keyring::{CANDIDATES_MAX, Keyring, UnlockError, describe};
pub use pem::{KEY_FILE_LEN_MAX, Key};
pub use provider::{BoxFuture, KeyProvider, UnwrapError, WrapError};
pub use record::{RecordKey, RecordKeyError, RecordKeys, wrap_content_key};
pub use rsa::{KeyId, RsaPrivateKey, RsaRecipientKey, RsaSize};
pub use weak::{MODULUS_BITS, WeakKey};
