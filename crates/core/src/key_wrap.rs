//! AES key wrap (RFC 3394; NIST SP 800-38F, section 6.2): a key under a KEK, deterministic and authenticated.
//!
//! It binds nothing beside the key: that the two belong to this message is for others to prove.

use aws_lc_rs::key_wrap::{AES_128, AES_256, AesBlockCipher, KeyEncryptionKey, KeyWrap as _};
use zeroize::Zeroizing;

use crate::NotAuthentic;

/// How many bytes longer than the key the wrapped key is.
pub const OVERHEAD_LEN: usize = 8;
/// The shortest key that can be wrapped, in bytes; every length is a multiple of 8.
pub const KEY_LEN_MIN: usize = 16;
/// The longest, in bytes: no scheme wraps so much.
pub const KEY_LEN_MAX: usize = 1024;

/// Why a key was not wrapped or unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyWrapError {
    /// A KEK of another length. No key was used.
    #[error("the KEK is {len} bytes long; AES key wrap takes 16 or 32")]
    KekLength {
        /// The KEK's length in bytes.
        len: usize,
    },
    /// A key that cannot be wrapped. No key was used.
    #[error(
        "the key is {len} bytes long; AES key wrap takes multiples of 8 from {KEY_LEN_MIN} to {KEY_LEN_MAX}"
    )]
    KeyLength {
        /// The key's length in bytes.
        len: usize,
    },
    /// A wrapped key that no key wraps to. No key was used.
    #[error(
        "the wrapped key is {len} bytes long; it must be a multiple of 8 from {} to {}",
        KEY_LEN_MIN + OVERHEAD_LEN,
        KEY_LEN_MAX + OVERHEAD_LEN
    )]
    WrappedLength {
        /// The wrapped key's length in bytes.
        len: usize,
    },
    /// Another KEK, or changed bytes.
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
}

/// Wraps `key` under a `kek` of 16 or 32 bytes.
///
/// # Errors
///
/// [`KeyWrapError::KekLength`] and [`KeyWrapError::KeyLength`].
pub fn wrap(kek: &[u8], key: &[u8]) -> Result<Vec<u8>, KeyWrapError> {
    let kek = self::kek(kek)?;
    if !is_key_len(key.len()) {
        return Err(KeyWrapError::KeyLength { len: key.len() });
    }
    let mut wrapped = vec![0; key.len() + OVERHEAD_LEN];
    kek.wrap(key, &mut wrapped).expect("the lengths are those of AES key wrap");
    Ok(wrapped)
}

/// Unwraps what [`wrap`] made.
///
/// # Errors
///
/// [`KeyWrapError::KekLength`] and [`KeyWrapError::WrappedLength`], which the lengths alone decide; else
/// [`KeyWrapError::NotAuthentic`].
pub fn unwrap(kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyWrapError> {
    let kek = self::kek(kek)?;
    let len = wrapped.len().checked_sub(OVERHEAD_LEN).filter(|len| is_key_len(*len));
    let len = len.ok_or(KeyWrapError::WrappedLength { len: wrapped.len() })?;
    let mut key = Zeroizing::new(vec![0; len]);
    kek.unwrap(wrapped, &mut key).map_err(|_| NotAuthentic)?;
    Ok(key)
}

fn kek(bytes: &[u8]) -> Result<KeyEncryptionKey<AesBlockCipher>, KeyWrapError> {
    let kek = match bytes.len() {
        16 => KeyEncryptionKey::new(&AES_128, bytes),
        32 => KeyEncryptionKey::new(&AES_256, bytes),
        len => return Err(KeyWrapError::KekLength { len }),
    };
    Ok(kek.expect("the KEK has the cipher's length"))
}

fn is_key_len(len: usize) -> bool {
    (KEY_LEN_MIN..=KEY_LEN_MAX).contains(&len) && len.is_multiple_of(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3394_known_answers() {
        let kek: [u8; 32] = std::array::from_fn(|i| i as u8);
        let key = hex::decode("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f").unwrap();
        for (kek_len, key_len, expected) in [
            (16, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"), // 4.1
            (32, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"), // 4.3
            (
                32, // 4.6
                32,
                "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
            ),
        ] {
            let (kek, key) = (&kek[..kek_len], &key[..key_len]);
            let wrapped = wrap(kek, key).unwrap();
            assert_eq!(hex::encode(&wrapped), expected);
            assert_eq!(**unwrap(kek, &wrapped).unwrap(), *key);
        }
    }

    #[test]
    fn whatever_was_changed_does_not_unwrap() {
        let wrapped = wrap(&[1; 32], &[7; 32]).unwrap();
        assert_eq!(unwrap(&[2; 32], &wrapped), Err(NotAuthentic.into()));
        assert_eq!(unwrap(&[1; 32], &wrapped[..32]), Err(NotAuthentic.into()));
        for bit in 0..wrapped.len() * 8 {
            let mut bad = wrapped.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unwrap(&[1; 32], &bad), Err(NotAuthentic.into()), "bit {bit}");
        }
    }

    #[test]
    fn other_lengths_are_refused_before_the_kek_is_used() {
        for len in [0, 15, 24, 33] {
            assert_eq!(wrap(&vec![1; len], &[7; 16]), Err(KeyWrapError::KekLength { len }));
            assert_eq!(unwrap(&vec![1; len], &[7; 24]), Err(KeyWrapError::KekLength { len }));
        }
        for len in [0, 8, 15, 17, 1032] {
            assert_eq!(wrap(&[1; 16], &vec![7; len]), Err(KeyWrapError::KeyLength { len }));
        }
        for len in [0, 8, 16, 23, 25, 1040] {
            assert_eq!(unwrap(&[1; 16], &vec![7; len]), Err(KeyWrapError::WrappedLength { len }));
        }
        assert_eq!(unwrap(&[1; 16], &wrap(&[1; 16], &[7; 1024]).unwrap()).unwrap().len(), 1024);
    }
}
