//! RSA keys with their ids.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use waxwing_aws_lc as aws_lc;
use zeroize::Zeroizing;

/// SHA-256 of a key's canonical SubjectPublicKeyInfo.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The id with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id as people compare it: `sha256:` and 64 hex digits.
    pub fn fingerprint(&self) -> String {
        format!("sha256:{self}")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// An RSA public key, strong enough to seal for.
pub struct RsaRecipientKey {
    key: aws_lc::RsaPublicKey,
    id: KeyId,
}

impl RsaRecipientKey {
    /// The caller has judged the key (`weak`).
    pub(crate) fn new(key: aws_lc::RsaPublicKey) -> Self {
        let id = digest(&SHA256, &key.to_spki_der()).as_ref().try_into().expect("SHA-256 gives 32 bytes");
        Self { key, id: KeyId(id) }
    }

    /// What records and headers call this key.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// Bits of the modulus.
    pub fn bits(&self) -> u32 {
        u32::try_from(self.key.modulus_len() * 8).expect("a modulus is short")
    }

    /// Bytes of the modulus.
    pub fn modulus_len(&self) -> usize {
        self.key.modulus_len()
    }

    /// The SubjectPublicKeyInfo as PEM (RFC 7468, section 13).
    pub fn to_pem(&self) -> String {
        crate::pem::encode("PUBLIC KEY", &self.key.to_spki_der()).to_string()
    }

    pub(crate) fn key(&self) -> &aws_lc::RsaPublicKey {
        &self.key
    }
}

impl fmt::Debug for RsaRecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaRecipientKey({})", self.id.fingerprint())
    }
}

/// An RSA private key, and its public half. Never printed, wiped on drop.
pub struct RsaPrivateKey {
    key: aws_lc::RsaPrivateKey,
    public: RsaRecipientKey,
}

pub use aws_lc::RsaSize;

impl RsaPrivateKey {
    /// The caller has judged the key (`weak`).
    pub(crate) fn new(key: aws_lc::RsaPrivateKey) -> Self {
        Self { public: RsaRecipientKey::new(key.public()), key }
    }

    /// Makes a new key with the exponent 65537.
    ///
    /// # Errors
    ///
    /// [`crate::KeyError::Generation`].
    pub fn generate(size: RsaSize) -> Result<Self, crate::KeyError> {
        aws_lc::RsaPrivateKey::generate(size).map(Self::new).map_err(|_| crate::KeyError::Generation)
    }

    /// The public half.
    pub fn public(&self) -> &RsaRecipientKey {
        &self.public
    }

    /// The public half, when the private one is no longer needed.
    pub fn into_public(self) -> RsaRecipientKey {
        self.public
    }

    /// What records and headers call this key.
    pub fn key_id(&self) -> KeyId {
        self.public.id
    }

    /// Bytes of the modulus.
    pub fn modulus_len(&self) -> usize {
        self.public.modulus_len()
    }

    /// The key as PKCS#8 PEM (RFC 7468, section 10), unencrypted.
    pub fn to_pem(&self) -> Zeroizing<String> {
        crate::pem::encode("PRIVATE KEY", &self.key.to_pkcs8_der())
    }

    pub(crate) fn key(&self) -> &aws_lc::RsaPrivateKey {
        &self.key
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPrivateKey(.., {})", self.key_id().fingerprint())
    }
}
