//! The keys of the record scheme.

use std::sync::Arc;

use waxwing_core::NotAuthentic;
use waxwing_core::content::ContentKey;
use waxwing_formats::record::Record;
use waxwing_formats::scheme::{Scheme, Wrap};

use crate::{KeyId, RsaPrivateKey, RsaRecipientKey, Wrapping};

/// Wraps a record's content key for `recipient`.
///
/// # Errors
///
/// [`RecordKeyError::DoesNotFit`].
pub fn wrap_content_key(
    recipient: &RsaRecipientKey,
    wrap: Wrap,
    key: &ContentKey,
) -> Result<Vec<u8>, RecordKeyError> {
    let wrapping = Wrapping::of_key(wrap, key.expose().len());
    recipient.wrap_blob(wrapping, key.expose()).map_err(|_| RecordKeyError::DoesNotFit { wrap })
}

/// The private keys that may open records.
#[derive(Debug, Clone, Default)]
pub struct RecordKeys(Vec<Arc<RsaPrivateKey>>);

impl RecordKeys {
    /// These keys.
    pub fn new(keys: impl IntoIterator<Item = Arc<RsaPrivateKey>>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// The one key that a record is for: that of its key id, or the only one there is. Keys are never tried in turn: whoever
    /// sends records could learn from the tries, and a wrong registration would go unnoticed.
    ///
    /// # Errors
    ///
    /// [`RecordKeyError`]. No key was used.
    pub fn locate(&self, record: &Record) -> Result<RecordKey<'_>, RecordKeyError> {
        let key = self.choose(record.key_id)?;
        let (len, expected) = (record.wrapped_key.len(), key.modulus_len());
        if len != expected {
            return Err(RecordKeyError::WrappedKeyLength { len, expected });
        }
        Ok(RecordKey(key))
    }

    /// The key with this id, or the only one there is.
    ///
    /// # Errors
    ///
    /// [`RecordKeyError`]. No key was used.
    pub fn choose(&self, key_id: Option<[u8; 32]>) -> Result<&Arc<RsaPrivateKey>, RecordKeyError> {
        match (key_id, self.0.as_slice()) {
            (Some(id), keys) => {
                let found = keys.iter().find(|key| *key.key_id().as_bytes() == id);
                found.ok_or(RecordKeyError::NoUsableKey { key_id: KeyId::new(id) })
            }
            (None, [key]) => Ok(key),
            (None, []) => Err(RecordKeyError::NoKey),
            (None, keys) => Err(RecordKeyError::Ambiguous { keys: keys.len() }),
        }
    }
}

/// The private key that a record is for.
#[derive(Debug)]
pub struct RecordKey<'a>(&'a RsaPrivateKey);

impl RecordKey<'_> {
    /// Unwraps the content key of the record that the key was located for.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`], whatever is wrong. With PKCS#1 v1.5 bad padding is no error: a key comes back that opens nothing.
    pub fn unwrap(&self, record: &Record, scheme: Scheme) -> Result<ContentKey, NotAuthentic> {
        let len = scheme.cipher.key_len();
        let wrapping = Wrapping::of_key(scheme.wrap, len.bytes());
        let key = self.0.unwrap_blob(wrapping, &record.wrapped_key);
        ContentKey::from_unwrapped(key.map_err(|_| NotAuthentic)?, len).ok_or(NotAuthentic)
    }
}

/// Why there is no key for a record. No key was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordKeyError {
    /// The record names a key that is not here.
    #[error("the record is for the key {}, which is not among those given", key_id.fingerprint())]
    NoUsableKey {
        /// Its id.
        key_id: KeyId,
    },
    /// No key at all.
    #[error("no RSA private key was given")]
    NoKey,
    /// The record names no key and there are several.
    #[error("the record does not say which of the {keys} keys it is for; give the one")]
    Ambiguous {
        /// How many there are.
        keys: usize,
    },
    /// A wrapped key that cannot be for this key.
    #[error("the wrapped key is {len} bytes long; this RSA key makes {expected}")]
    WrappedKeyLength {
        /// What it is.
        len: usize,
        /// The modulus' length.
        expected: usize,
    },
    /// The content key is too long for the modulus with this padding.
    #[error("the content key does not fit under this RSA key with {wrap}")]
    DoesNotFit {
        /// The padding.
        wrap: Wrap,
    },
}
