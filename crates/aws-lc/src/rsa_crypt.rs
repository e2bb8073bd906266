//! RSA encryption (RFC 8017, section 7).

use std::ffi::c_int;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::ffi::{Owned, drain_errors};
use crate::{DecryptError, RsaPrivateKey, RsaPublicKey};

/// A digest of OAEP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Digest {
    fn evp(self) -> *const sys::EVP_MD {
        // SAFETY: these functions have no preconditions and return objects of static lifetime.
        unsafe {
            match self {
                Self::Sha1 => sys::EVP_sha1(),
                Self::Sha224 => sys::EVP_sha224(),
                Self::Sha256 => sys::EVP_sha256(),
                Self::Sha384 => sys::EVP_sha384(),
                Self::Sha512 => sys::EVP_sha512(),
            }
        }
    }
}

/// The parameters of RSAES-OAEP with an empty label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oaep {
    /// Hashes the label.
    pub digest: Digest,
    /// Makes the mask (MGF1).
    pub mgf1: Digest,
}

/// The plaintext does not fit under the modulus with this padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plaintext does not fit under this RSA key with this padding")]
pub struct EncryptError;

impl RsaPublicKey {
    /// RSAES-OAEP (RFC 8017, section 7.1.1).
    ///
    /// # Errors
    ///
    /// [`EncryptError`].
    pub fn encrypt_oaep(&self, oaep: Oaep, plaintext: &[u8]) -> Result<Vec<u8>, EncryptError> {
        self.encrypt(sys::RSA_PKCS1_OAEP_PADDING, Some(oaep), plaintext)
    }

    /// RSAES-PKCS1-v1_5 (RFC 8017, section 7.2.1): for partners that know nothing else.
    ///
    /// # Errors
    ///
    /// [`EncryptError`].
    pub fn encrypt_pkcs1(&self, plaintext: &[u8]) -> Result<Vec<u8>, EncryptError> {
        self.encrypt(sys::RSA_PKCS1_PADDING, None, plaintext)
    }

    fn encrypt(&self, padding: c_int, oaep: Option<Oaep>, plaintext: &[u8]) -> Result<Vec<u8>, EncryptError> {
        let mut out = vec![0; self.modulus_len()];
        // SAFETY: the key is live and has a context to itself; `out` has modulus_len() bytes, the most that come.
        let len = unsafe {
            context(self.as_ptr(), sys::EVP_PKEY_encrypt_init, padding, oaep).and_then(|context| {
                let mut len = out.len();
                let (to, from) = (out.as_mut_ptr(), plaintext.as_ptr());
                let done = sys::EVP_PKEY_encrypt(context.as_ptr(), to, &mut len, from, plaintext.len());
                (done == 1).then_some(len)
            })
        };
        match len {
            Some(len) if len == out.len() => Ok(out),
            _ => {
                drain_errors();
                Err(EncryptError)
            }
        }
    }
}

impl RsaPrivateKey {
    /// RSAES-OAEP (RFC 8017, section 7.1.2), whose check AWS-LC makes in constant time.
    ///
    /// # Errors
    ///
    /// [`DecryptError`], whatever is wrong.
    pub fn decrypt_oaep(&self, oaep: Oaep, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        self.decrypt(sys::RSA_PKCS1_OAEP_PADDING, Some(oaep), ciphertext)
    }

    /// RSAES-PKCS1-v1_5 (RFC 8017, section 7.2.2) of a message of a known length, with implicit rejection: badly padded
    /// blocks, and messages of another length, yield a key that only this private key and this ciphertext determine. No
    /// result tells whether that happened.
    ///
    /// # Errors
    ///
    /// [`DecryptError`] for a ciphertext that is no number below the modulus in the modulus' length, and for a length that
    /// cannot fit: what anybody can see without the private key.
    pub fn decrypt_pkcs1_fixed(
        &self,
        ciphertext: &[u8],
        message_len: usize,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let block = self.decrypt(sys::RSA_NO_PADDING, None, ciphertext)?;
        self.rejection.unpad(&block, message_len, ciphertext).ok_or(DecryptError)
    }

    fn decrypt(
        &self,
        padding: c_int,
        oaep: Option<Oaep>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        // SAFETY: the key is live and an RSA key.
        let modulus_len = unsafe { sys::RSA_size(sys::EVP_PKEY_get0_RSA(self.as_ptr())) as usize };
        if ciphertext.len() != modulus_len {
            return Err(DecryptError);
        }
        let mut out = Zeroizing::new(vec![0; modulus_len]);
        // SAFETY: the key is live and has a context to itself; `out` has modulus_len bytes, the most that come.
        let len = unsafe {
            context(self.as_ptr(), sys::EVP_PKEY_decrypt_init, padding, oaep).and_then(|context| {
                let mut len = out.len();
                let (to, from) = (out.as_mut_ptr(), ciphertext.as_ptr());
                let done = sys::EVP_PKEY_decrypt(context.as_ptr(), to, &mut len, from, ciphertext.len());
                (done == 1).then_some(len)
            })
        };
        match len {
            Some(len) => {
                out.truncate(len);
                Ok(out)
            }
            None => {
                drain_errors();
                Err(DecryptError)
            }
        }
    }
}

/// A context for one operation with `key`.
///
/// # Safety
///
/// `key` is live and an RSA key; `init` is an init function of AWS-LC.
unsafe fn context(
    key: *mut sys::EVP_PKEY,
    init: unsafe extern "C" fn(*mut sys::EVP_PKEY_CTX) -> c_int,
    padding: c_int,
    oaep: Option<Oaep>,
) -> Option<Owned<sys::EVP_PKEY_CTX>> {
    // SAFETY: the key is live, as the caller promises; the context takes a reference of its own and is owned by nobody
    // else. The digests live forever.
    unsafe {
        let context = Owned::new(sys::EVP_PKEY_CTX_new(key, std::ptr::null_mut()))?;
        let raw = context.as_ptr();
        let mut ready = init(raw) == 1 && sys::EVP_PKEY_CTX_set_rsa_padding(raw, padding) == 1;
        if let Some(Oaep { digest, mgf1 }) = oaep {
            ready = ready
                && sys::EVP_PKEY_CTX_set_rsa_oaep_md(raw, digest.evp()) == 1
                && sys::EVP_PKEY_CTX_set_rsa_mgf1_md(raw, mgf1.evp()) == 1;
        }
        ready.then_some(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RsaSize;

    const DIGESTS: [Digest; 5] =
        [Digest::Sha1, Digest::Sha224, Digest::Sha256, Digest::Sha384, Digest::Sha512];

    fn key() -> RsaPrivateKey {
        RsaPrivateKey::generate(RsaSize::Bits2048).unwrap()
    }

    /// Every digest for the label with every digest for the mask: only the same pair opens.
    #[test]
    fn attack_07_only_the_same_pair_of_digests_opens() {
        let key = key();
        let pairs: Vec<Oaep> =
            DIGESTS.into_iter().flat_map(|digest| DIGESTS.map(|mgf1| Oaep { digest, mgf1 })).collect();
        for &made in &pairs {
            let sealed = key.public().encrypt_oaep(made, b"key").unwrap();
            for &tried in &pairs {
                let opened = key.decrypt_oaep(tried, &sealed);
                if made == tried {
                    assert_eq!(**opened.unwrap(), *b"key");
                } else {
                    assert_eq!(opened.unwrap_err(), DecryptError, "{made:?} opened as {tried:?}");
                }
            }
        }
    }

    #[test]
    fn pkcs1_round_trips_at_the_expected_length_only() {
        let key = key();
        let sealed = key.public().encrypt_pkcs1(&[7; 32]).unwrap();
        assert_eq!(**key.decrypt_pkcs1_fixed(&sealed, 32).unwrap(), [7; 32]);
        let other = key.decrypt_pkcs1_fixed(&sealed, 16).unwrap();
        assert_eq!(other.len(), 16);
        assert_ne!(**other, [7; 16], "a message of another length is rejected like bad padding");
    }

    /// Ten thousand blocks, nearly all of them badly padded: each yields a key of the expected length and nothing else,
    /// always the same for the same block, and hardly ever the same for two.
    #[test]
    fn attack_06_malformed_blocks_have_one_outcome() {
        let key = key();
        let mut block = key.public().encrypt_pkcs1(&[7; 32]).unwrap();
        block[0] = 0; // below the modulus, whatever follows
        let mut seen = std::collections::HashSet::new();
        for i in 0..10_000u32 {
            block[1..5].copy_from_slice(&i.to_be_bytes());
            let result = key.decrypt_pkcs1_fixed(&block, 32).expect("a block below the modulus never fails");
            assert_eq!(result.len(), 32);
            if i < 10 {
                assert_eq!(key.decrypt_pkcs1_fixed(&block, 32).unwrap(), result);
            }
            assert!(seen.insert(result.to_vec()), "block {i} gave a key that another gave");
        }
    }

    #[test]
    fn what_anybody_can_see_is_an_error() {
        let key = key();
        let sealed = key.public().encrypt_pkcs1(&[7; 32]).unwrap();
        assert!(key.decrypt_pkcs1_fixed(&sealed[1..], 32).is_err(), "another length");
        assert!(key.decrypt_pkcs1_fixed(&[0xff; 256], 32).is_err(), "above the modulus");
        assert!(key.decrypt_pkcs1_fixed(&sealed, 246).is_err(), "no room for padding");
        assert_eq!(key.public().encrypt_pkcs1(&[0; 246]), Err(EncryptError));
        assert!(key.public().encrypt_pkcs1(&[0; 245]).is_ok());
    }

    #[test]
    fn encodings_round_trip() {
        let key = key();
        assert_eq!(key.public().modulus_len(), 256);
        assert_eq!(key.public().exponent(), [1, 0, 1]);
        assert_eq!(key.public().modulus().len(), 256);
        assert!(RsaPrivateKey::from_pkcs1_der(&key.to_pkcs8_der()).is_err());
        assert_eq!(format!("{key:?}"), "RsaPrivateKey(..)");
    }
}
