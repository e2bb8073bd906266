//! RSA encryption: OAEP, PKCS#1 v1.5 and the bare operation.

use std::ffi::c_int;
use std::ptr;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::ffi::{Owned, drain_errors};
use crate::{DecryptError, RsaPrivateKey, RsaPublicKey};

/// A hash function of OAEP or of its mask generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-1, the default of RFC 8017 and of Node. Its weakness (collisions) does not touch OAEP.
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
    /// The digest's length in bytes.
    #[must_use]
    pub fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn evp(self) -> *const sys::EVP_MD {
        // SAFETY: the functions return pointers to constants and have no preconditions.
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

/// The three parameters of RSAES-OAEP (RFC 8017, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OaepParams<'a> {
    /// Hash of the label.
    pub digest: Digest,
    /// Hash inside MGF1. Most peers use `digest`; some (Java's default) use SHA-1 whatever `digest` is.
    pub mgf1: Digest,
    /// Public bytes bound to the ciphertext; empty almost everywhere.
    pub label: &'a [u8],
}

impl OaepParams<'static> {
    /// `digest` for both hashes and the empty label.
    #[must_use]
    pub fn new(digest: Digest) -> Self {
        Self { digest, mgf1: digest, label: b"" }
    }
}

/// Why a public key encrypted nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The padding leaves no room for so long a message.
    #[error("the message is {len} bytes long; this key and padding take at most {max}")]
    TooLong {
        /// The message's length in bytes.
        len: usize,
        /// The most that fits, in bytes.
        max: usize,
    },
    /// AWS-LC could not encrypt: it ran out of memory or randomness.
    #[error("AWS-LC could not encrypt")]
    Failed,
}

impl RsaPublicKey {
    /// Encrypts with RSAES-OAEP; the ciphertext is [`modulus_len`](Self::modulus_len) bytes long.
    ///
    /// # Errors
    ///
    /// [`EncryptError::TooLong`] for a message above `modulus_len - 2 * digest.output_len() - 2` bytes.
    pub fn encrypt_oaep(&self, params: &OaepParams<'_>, message: &[u8]) -> Result<Vec<u8>, EncryptError> {
        self.encrypt(Padding::Oaep(params), message, 2 * params.digest.output_len() + 2)
    }

    /// Encrypts with RSAES-PKCS1-v1_5 (RFC 8017, section 7.2), for peers that know nothing better.
    ///
    /// # Errors
    ///
    /// [`EncryptError::TooLong`] for a message above `modulus_len - 11` bytes.
    pub fn encrypt_pkcs1(&self, message: &[u8]) -> Result<Vec<u8>, EncryptError> {
        self.encrypt(Padding::Pkcs1, message, PKCS1_OVERHEAD)
    }

    fn encrypt(
        &self,
        padding: Padding<'_>,
        message: &[u8],
        overhead: usize,
    ) -> Result<Vec<u8>, EncryptError> {
        let max = self.modulus_len().saturating_sub(overhead);
        if message.len() > max {
            return Err(EncryptError::TooLong { len: message.len(), max });
        }
        run(self.pkey(), sys::EVP_PKEY_encrypt_init, sys::EVP_PKEY_encrypt, padding, message)
            .map(|ciphertext| ciphertext.to_vec())
            .ok_or(EncryptError::Failed)
    }
}

impl RsaPrivateKey {
    /// Decrypts RSAES-OAEP.
    ///
    /// AWS-LC checks the padding in constant time and blinds the private operation.
    ///
    /// # Errors
    ///
    /// [`DecryptError`], whatever is wrong.
    pub fn decrypt_oaep(
        &self,
        params: &OaepParams<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        self.decrypt(Padding::Oaep(params), ciphertext)
    }

    /// Decrypts RSAES-PKCS1-v1_5 whose message is known to be `message_len` bytes long, with implicit rejection.
    ///
    /// A badly padded block, and a message of another length, yield a synthetic key: `message_len` bytes that this key
    /// pair and the ciphertext determine and nobody else can predict. The caller goes on with it as with any key, and
    /// fails where a wrong key fails. So nothing here answers Bleichenbacher's question, not even the time taken.
    ///
    /// # Errors
    ///
    /// [`DecryptError`] for what anyone can see: `ciphertext` has not the modulus' length or is not below it, or
    /// `message_len` is above `modulus_len - 11`.
    pub fn decrypt_pkcs1_fixed(
        &self,
        ciphertext: &[u8],
        message_len: usize,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let block = self.decrypt_raw(ciphertext)?;
        self.rejection.unpad(&block, message_len, ciphertext).ok_or(DecryptError)
    }

    /// The bare private operation, blinded; the result is [`modulus_len`](Self::modulus_len) bytes long, padding included.
    ///
    /// Whoever looks at the padding must do so in constant time; [`decrypt_pkcs1_fixed`](Self::decrypt_pkcs1_fixed) does.
    ///
    /// # Errors
    ///
    /// [`DecryptError`] when `ciphertext` has not the modulus' length or is not below it, both of which anyone can see.
    pub fn decrypt_raw(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        self.decrypt(Padding::None, ciphertext)
    }

    fn decrypt(&self, padding: Padding<'_>, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        if ciphertext.len() != self.modulus_len() {
            return Err(DecryptError);
        }
        run(self.pkey(), sys::EVP_PKEY_decrypt_init, sys::EVP_PKEY_decrypt, padding, ciphertext)
            .ok_or(DecryptError)
    }
}

/// What surrounds the message in the block.
#[derive(Clone, Copy)]
enum Padding<'a> {
    Oaep(&'a OaepParams<'a>),
    Pkcs1,
    None,
}

type Init = unsafe extern "C" fn(*mut sys::EVP_PKEY_CTX) -> c_int;
type Operate = unsafe extern "C" fn(*mut sys::EVP_PKEY_CTX, *mut u8, *mut usize, *const u8, usize) -> c_int;

/// Runs `init`, the padding's settings and `operate`; `None`, and an empty error queue, when any of them fails.
fn run(
    pkey: &Owned<sys::EVP_PKEY>,
    init: Init,
    operate: Operate,
    padding: Padding<'_>,
    input: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let result = try_run(pkey, init, operate, padding, input);
    if result.is_none() {
        drain_errors();
    }
    result
}

fn try_run(
    pkey: &Owned<sys::EVP_PKEY>,
    init: Init,
    operate: Operate,
    padding: Padding<'_>,
    input: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    // SAFETY: `pkey` outlives the context, which is checked for null and takes its own reference besides. `operate` is told
    // the output's true length, the one that EVP_PKEY_size asks for, and reports how much of it was written.
    unsafe {
        let ctx = Owned::new(sys::EVP_PKEY_CTX_new(pkey.as_ptr(), ptr::null_mut()))?;
        if init(ctx.as_ptr()) != 1 || !set_padding(&ctx, padding) {
            return None;
        }
        let mut len = usize::try_from(sys::EVP_PKEY_size(pkey.as_ptr())).ok()?;
        let mut output = Zeroizing::new(vec![0; len]);
        if operate(ctx.as_ptr(), output.as_mut_ptr(), &mut len, input.as_ptr(), input.len()) != 1 {
            return None;
        }
        output.truncate(len);
        Some(output)
    }
}

fn set_padding(ctx: &Owned<sys::EVP_PKEY_CTX>, padding: Padding<'_>) -> bool {
    let ctx = ctx.as_ptr();
    // SAFETY: the context is valid and initialised; digests are constants.
    unsafe {
        match padding {
            Padding::None => sys::EVP_PKEY_CTX_set_rsa_padding(ctx, sys::RSA_NO_PADDING) == 1,
            Padding::Pkcs1 => sys::EVP_PKEY_CTX_set_rsa_padding(ctx, sys::RSA_PKCS1_PADDING) == 1,
            Padding::Oaep(params) => {
                sys::EVP_PKEY_CTX_set_rsa_padding(ctx, sys::RSA_PKCS1_OAEP_PADDING) == 1
                    && sys::EVP_PKEY_CTX_set_rsa_oaep_md(ctx, params.digest.evp()) == 1
                    && sys::EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, params.mgf1.evp()) == 1
                    && set_label(ctx, params.label)
            }
        }
    }
}

/// # Safety
///
/// `ctx` is valid and set to OAEP.
unsafe fn set_label(ctx: *mut sys::EVP_PKEY_CTX, label: &[u8]) -> bool {
    if label.is_empty() {
        return true; // the context's default
    }
    // SAFETY: the context takes over the copy if it accepts it; if not, the copy is freed here, once.
    unsafe {
        let copy = sys::OPENSSL_memdup(label.as_ptr().cast(), label.len());
        if copy.is_null() {
            return false;
        }
        let accepted = sys::EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy.cast(), label.len()) == 1;
        if !accepted {
            sys::OPENSSL_free(copy);
        }
        accepted
    }
}

/// Two markers, at least eight bytes of padding and a separator (RFC 8017, section 7.2.1).
const PKCS1_OVERHEAD: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RsaSize;

    const MESSAGE_LEN: usize = 32;
    const BLOCKS: usize = 10_000;

    /// A small generator of repeatable bytes (SplitMix64); the test is about shapes, not secrets.
    struct Bytes(u64);

    impl Bytes {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, limit: usize) -> usize {
            (self.next() % limit as u64) as usize
        }

        fn non_zero(&mut self, len: usize) -> Vec<u8> {
            (0..len).map(|_| (self.next() % 255) as u8 + 1).collect()
        }
    }

    fn block(bytes: &mut Bytes, message_len: usize) -> Vec<u8> {
        [&[0, 2][..], &bytes.non_zero(253 - message_len), &[0], &bytes.non_zero(message_len)].concat()
    }

    /// Number `n` of the ways to pad badly.
    fn malformed(bytes: &mut Bytes, n: usize) -> Vec<u8> {
        let (shorter, longer) = (bytes.below(MESSAGE_LEN), MESSAGE_LEN + 1 + bytes.below(200));
        let mut good = block(bytes, MESSAGE_LEN);
        let separator = good.len() - MESSAGE_LEN - 1;
        match n % 8 {
            0 => good[1] = bytes.below(256) as u8 & !2,
            1 => good[0] = 1,
            2 => good[2 + bytes.below(separator - 2)] = 0,
            3 => good[separator] = bytes.below(255) as u8 + 1,
            4 => return block(bytes, shorter),
            5 => return block(bytes, longer),
            6 => good[2..separator].fill(0),
            _ => good[..].copy_from_slice(&[&[0][..], &bytes.non_zero(255)].concat()),
        }
        good
    }

    fn encrypt_block(key: &RsaPublicKey, block: &[u8]) -> Vec<u8> {
        run(key.pkey(), sys::EVP_PKEY_encrypt_init, sys::EVP_PKEY_encrypt, Padding::None, block)
            .unwrap()
            .to_vec()
    }

    #[test]
    fn attack_06_malformed_pkcs1_blocks_all_look_like_a_key() {
        let key = RsaPrivateKey::generate(RsaSize::Rsa2048).unwrap();
        let public = key.public();
        let mut bytes = Bytes(6);
        let mut shapes = std::collections::BTreeSet::new();
        for n in 0..BLOCKS {
            let block = malformed(&mut bytes, n);
            let ciphertext = encrypt_block(&public, &block);
            let result = key.decrypt_pkcs1_fixed(&ciphertext, MESSAGE_LEN);
            shapes.insert(result.as_ref().map(|key| key.len()).map_err(|&error| error));
            let synthetic = result.unwrap();
            assert_ne!(
                synthetic.as_slice(),
                &block[block.len() - MESSAGE_LEN..],
                "block {n} was taken for a good one"
            );
            if n % 10 == 0 {
                assert_eq!(
                    key.decrypt_pkcs1_fixed(&ciphertext, MESSAGE_LEN).unwrap(),
                    synthetic,
                    "block {n}"
                );
            }
        }
        assert_eq!(shapes.into_iter().collect::<Vec<_>>(), [Ok(MESSAGE_LEN)]);

        // The control: the same harness tells a good block, so it would have noticed one.
        let block = block(&mut bytes, MESSAGE_LEN);
        let message = key.decrypt_pkcs1_fixed(&encrypt_block(&public, &block), MESSAGE_LEN).unwrap();
        assert_eq!(message.as_slice(), &block[block.len() - MESSAGE_LEN..]);
    }
}
