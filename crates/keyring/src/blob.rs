//! Blobs wrapped with RSA: a key, or a key with what a partner put beside it (an IV, a version, an algorithm's name).

use waxwing_aws_lc as aws_lc;
use waxwing_core::NotAuthentic;
use waxwing_formats::scheme::{Digest, Wrap};
use zeroize::Zeroizing;

use crate::{RsaPrivateKey, RsaRecipientKey};

/// How a blob is wrapped (RFC 8017, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping<'a> {
    /// RSAES-PKCS1-v1_5: legacy.
    Pkcs1 {
        /// The blob's length in bytes, known beforehand: a block of another length must look like any other.
        len: usize,
    },
    /// RSAES-OAEP.
    Oaep {
        /// Hashes the label.
        digest: Digest,
        /// Makes the mask; nearly always the same.
        mgf1: Digest,
        /// Public bytes that writer and reader agree on; empty almost everywhere.
        label: &'a [u8],
    },
}

impl Wrapping<'static> {
    /// How `wrap` wraps a key of `len` bytes.
    pub fn of_key(wrap: Wrap, len: usize) -> Self {
        match wrap {
            Wrap::Pkcs1 => Self::Pkcs1 { len },
            Wrap::Oaep { digest, mgf1 } => Self::Oaep { digest, mgf1, label: &[] },
        }
    }
}

/// Why a blob was not wrapped or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The wrapped blob cannot be for this key. No key was used.
    #[error("the wrapped blob is {len} bytes long; this RSA key makes {expected}")]
    WrappedLength {
        /// What it is.
        len: usize,
        /// The modulus' length.
        expected: usize,
    },
    /// The padding leaves no room for so long a blob. No key was used.
    #[error("a blob of {len} bytes does not fit under this RSA key; with this padding it takes {max}")]
    TooLong {
        /// The blob's length in bytes.
        len: usize,
        /// The most that fits, in bytes.
        max: usize,
    },
    /// A blob to wrap has not the length that was settled.
    #[error("the blob is {len} bytes long, not {expected}")]
    Length {
        /// What it is.
        len: usize,
        /// The length of [`Wrapping::Pkcs1`].
        expected: usize,
    },
    /// AWS-LC ran out of memory or randomness.
    #[error("the blob could not be wrapped")]
    Failed,
    /// Everything that happens once the private key was used.
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
}

impl RsaRecipientKey {
    /// Wraps `blob`; the result is [`modulus_len`](Self::modulus_len) bytes long.
    ///
    /// # Errors
    ///
    /// [`BlobError::TooLong`], [`BlobError::Length`] and [`BlobError::Failed`].
    pub fn wrap_blob(&self, wrapping: Wrapping<'_>, blob: &[u8]) -> Result<Vec<u8>, BlobError> {
        let wrapped = match wrapping {
            Wrapping::Pkcs1 { len } if len != blob.len() => {
                return Err(BlobError::Length { len: blob.len(), expected: len });
            }
            Wrapping::Pkcs1 { .. } => self.key().encrypt_pkcs1(blob),
            Wrapping::Oaep { digest, mgf1, label } => {
                self.key().encrypt_oaep(&oaep(digest, mgf1, label), blob)
            }
        };
        wrapped.map_err(|err| match err {
            aws_lc::EncryptError::TooLong { len, max } => BlobError::TooLong { len, max },
            _ => BlobError::Failed,
        })
    }
}

impl RsaPrivateKey {
    /// Unwraps a blob.
    ///
    /// # Errors
    ///
    /// [`BlobError::WrappedLength`] and [`BlobError::TooLong`], which the lengths alone decide; else
    /// [`BlobError::NotAuthentic`], whatever is wrong. With PKCS#1 v1.5 bad padding is no error: a blob comes back that
    /// nobody can predict, and what is made of it opens nothing.
    pub fn unwrap_blob(
        &self,
        wrapping: Wrapping<'_>,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, BlobError> {
        let expected = self.modulus_len();
        if wrapped.len() != expected {
            return Err(BlobError::WrappedLength { len: wrapped.len(), expected });
        }
        let blob = match wrapping {
            Wrapping::Pkcs1 { len } => {
                let max = Wrap::Pkcs1.plaintext_len_max(expected);
                if len > max {
                    return Err(BlobError::TooLong { len, max });
                }
                self.key().decrypt_pkcs1_fixed(wrapped, len)
            }
            Wrapping::Oaep { digest, mgf1, label } => {
                self.key().decrypt_oaep(&oaep(digest, mgf1, label), wrapped)
            }
        };
        blob.map_err(|aws_lc::DecryptError| NotAuthentic.into())
    }
}

/// What [`RsaPrivateKey::danger_try_wrappings`] learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Every way that opens.
    pub opens: Vec<Wrap>,
    /// Whether what came out begins as every padding of RFC 8017 does. With another key it does once in 256 times.
    pub is_for_this_key: bool,
}

impl RsaPrivateKey {
    /// Tries every way to unwrap: PKCS#1 v1.5, and OAEP with each pair of digests.
    ///
    /// **An oracle of the worst kind.** It is for the key's holder, who looks at one message that does not open, on a machine
    /// of their own. Nothing that takes messages from strangers may call it.
    ///
    /// # Errors
    ///
    /// [`BlobError::WrappedLength`].
    pub fn danger_try_wrappings(&self, label: &[u8], wrapped: &[u8]) -> Result<Tried, BlobError> {
        let expected = self.modulus_len();
        if wrapped.len() != expected {
            return Err(BlobError::WrappedLength { len: wrapped.len(), expected });
        }
        let block = self.key().decrypt_raw(wrapped).unwrap_or_default();
        let separated = |block: &[u8]| block.iter().position(|&byte| byte == 0).is_some_and(|at| at >= 8);
        let mut opens = Vec::new();
        if let Some((&[0, 2], rest)) = block.split_first_chunk()
            && separated(rest)
        {
            opens.push(Wrap::Pkcs1);
        }
        for digest in Digest::ALL {
            for mgf1 in Digest::ALL {
                if self.unwrap_blob(Wrapping::Oaep { digest, mgf1, label }, wrapped).is_ok() {
                    opens.push(Wrap::Oaep { digest, mgf1 });
                }
            }
        }
        Ok(Tried { opens, is_for_this_key: block.first() == Some(&0) })
    }
}

fn oaep(digest: Digest, mgf1: Digest, label: &[u8]) -> aws_lc::OaepParams<'_> {
    let of = |digest| match digest {
        Digest::Sha1 => aws_lc::Digest::Sha1,
        Digest::Sha224 => aws_lc::Digest::Sha224,
        Digest::Sha256 => aws_lc::Digest::Sha256,
        Digest::Sha384 => aws_lc::Digest::Sha384,
        Digest::Sha512 => aws_lc::Digest::Sha512,
    };
    aws_lc::OaepParams { digest: of(digest), mgf1: of(mgf1), label }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RsaSize;

    const OAEP: Wrapping<'static> =
        Wrapping::Oaep { digest: Digest::Sha256, mgf1: Digest::Sha1, label: b"label" };

    fn key() -> RsaPrivateKey {
        RsaPrivateKey::generate(RsaSize::Rsa2048).unwrap()
    }

    #[test]
    fn a_blob_of_any_length_comes_back() {
        let key = key();
        for len in [0, 1, 32, 48, 190] {
            let blob = vec![7; len];
            for wrapping in [OAEP, Wrapping::Pkcs1 { len }] {
                let wrapped = key.public().wrap_blob(wrapping, &blob).unwrap();
                assert_eq!(*key.unwrap_blob(wrapping, &wrapped).unwrap(), blob, "{wrapping:?}");
            }
        }
    }

    #[test]
    fn every_parameter_of_oaep_counts_and_none_is_named() {
        let key = key();
        let wrapped = key.public().wrap_blob(OAEP, &[7; 48]).unwrap();
        let (sha1, sha256, label) = (Digest::Sha1, Digest::Sha256, &b"label"[..]);
        for (digest, mgf1, label) in
            [(sha1, sha1, label), (sha256, sha256, label), (sha256, sha1, b"Label"), (sha256, sha1, b"")]
        {
            let wrong = Wrapping::Oaep { digest, mgf1, label };
            let result = key.unwrap_blob(wrong, &wrapped);
            assert_eq!(result.unwrap_err(), BlobError::NotAuthentic(NotAuthentic), "{wrong:?}");
        }
        let mut changed = wrapped.clone();
        changed[255] ^= 1;
        let other = self::key();
        for (key, wrapped) in [(&key, &changed), (&other, &wrapped)] {
            assert_eq!(key.unwrap_blob(OAEP, wrapped).unwrap_err(), BlobError::NotAuthentic(NotAuthentic));
        }
    }

    #[test]
    fn attack_06_a_pkcs1_blob_of_another_length_looks_like_any_other() {
        let key = key();
        let wrapped = key.public().wrap_blob(Wrapping::Pkcs1 { len: 48 }, &[7; 48]).unwrap();
        for len in [16, 32, 47, 49, 245] {
            let blob = key.unwrap_blob(Wrapping::Pkcs1 { len }, &wrapped).unwrap();
            assert_eq!(blob.len(), len);
            assert!(!blob.ends_with(&[7; 16]), "{len}");
        }
    }

    #[test]
    fn lengths_are_refused_before_the_key_is_used() {
        let key = key();
        for len in [0, 255, 257] {
            for wrapping in [OAEP, Wrapping::Pkcs1 { len: 32 }] {
                let result = key.unwrap_blob(wrapping, &vec![1; len]);
                assert_eq!(result.unwrap_err(), BlobError::WrappedLength { len, expected: 256 });
            }
        }
        let (too_long, long) = (Wrapping::Pkcs1 { len: 246 }, BlobError::TooLong { len: 246, max: 245 });
        assert_eq!(key.unwrap_blob(too_long, &[1; 256]).unwrap_err(), long);
        assert_eq!(key.public().wrap_blob(too_long, &[7; 246]), Err(long));
        let too_long = BlobError::TooLong { len: 191, max: 190 };
        assert_eq!(key.public().wrap_blob(OAEP, &[7; 191]), Err(too_long));
        let other = BlobError::Length { len: 31, expected: 32 };
        assert_eq!(key.public().wrap_blob(Wrapping::Pkcs1 { len: 32 }, &[7; 31]), Err(other));
    }
}
