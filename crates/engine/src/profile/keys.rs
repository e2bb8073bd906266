//! What the key holder brings: an RSA key, secrets, a key service.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use waxwing_keyring::{KeyService, RsaPrivateKey};
use waxwing_profiles::Encoding;
use zeroize::Zeroizing;

use super::error::MessageError;
use crate::Error;
use crate::body::Bytes;

/// Everything that may open messages of a profile.
#[derive(Default)]
pub struct ProfileKeys {
    /// Unwraps what RSA wrapped. One key: which it is, the caller knows.
    pub rsa: Option<Arc<RsaPrivateKey>>,
    /// Shared secrets by the names of the profile.
    pub secrets: Arc<Secrets>,
    /// Unwraps what a key service wrapped.
    pub service: Option<Box<dyn KeyService>>,
}

/// Shared secrets by name. Wiped on drop, never printed.
#[derive(Default)]
pub struct Secrets(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    /// Adds a secret as it is written: text, or bytes where the profile takes them raw.
    pub fn insert(&mut self, name: String, written: Zeroizing<Vec<u8>>) {
        self.0.insert(name, written);
    }

    pub(super) fn require(&self, name: &str) -> Result<(), Error> {
        match self.0.contains_key(name) {
            true => Ok(()),
            false => Err(MessageError::NoSecret { name: name.to_owned() }.into()),
        }
    }

    pub(super) fn bytes(&self, name: &str, encoding: Encoding) -> Result<Bytes, Error> {
        let missing = || MessageError::NoSecret { name: name.to_owned() };
        let written = self.0.get(name).ok_or_else(missing)?;
        if encoding == Encoding::Raw {
            return Ok(Bytes::secret(written.clone()));
        }
        let malformed = |source| MessageError::Encoding { what: format!("the secret `{name}`"), source };
        let text =
            std::str::from_utf8(written).map_err(|_| malformed(waxwing_profiles::EncodingError::NotText))?;
        Ok(Bytes::held(encoding.decode(text).map_err(malformed)?))
    }
}
