//! AES over input of any length, in constant memory.

use std::ffi::{c_int, c_void};
use std::{fmt, ptr};

use aws_lc_sys as sys;

use crate::DecryptError;
use crate::ffi::{Owned, drain_errors};

/// How AES is applied to more than one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Galois/counter mode with a tag of [`GCM_TAG_LEN`] bytes (NIST SP 800-38D), the only one that authenticates.
    Gcm,
    /// Cipher block chaining with PKCS#7 padding (NIST SP 800-38A; RFC 5652, section 6.3).
    CbcPkcs7,
    /// Cipher block chaining without padding: a message of whole blocks (NIST SP 800-38A). Whoever uses another padding
    /// than PKCS#7 adds and takes it off, in constant time.
    Cbc,
    /// Counter mode whose whole IV is a 128-bit big-endian counter (NIST SP 800-38A).
    Ctr,
    /// Cipher feedback with segments of 128 bits (NIST SP 800-38A).
    Cfb128,
    /// Every block by itself, with PKCS#7 padding and no IV (NIST SP 800-38A; RFC 5652, section 6.3). Equal blocks stay
    /// equal: for formats that name it, most of which wrap a random key with it.
    EcbPkcs7,
}

impl Mode {
    /// Whether AES itself runs over the message, so that a part of a block waits for the rest of it. The other modes XOR
    /// the message with a key stream, byte by byte.
    fn waits_for_blocks(self) -> bool {
        match self {
            Self::CbcPkcs7 | Self::Cbc | Self::EcbPkcs7 => true,
            Self::Gcm | Self::Ctr | Self::Cfb128 => false,
        }
    }
}

/// The length of an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyBits {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl KeyBits {
    /// The key's length in bytes.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// AES with a key length and a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cipher {
    /// The key's length.
    pub key: KeyBits,
    /// The mode of operation.
    pub mode: Mode,
}

impl Cipher {
    /// AES-128-GCM.
    pub const AES_128_GCM: Self = Self { key: KeyBits::Aes128, mode: Mode::Gcm };
    /// AES-192-GCM.
    pub const AES_192_GCM: Self = Self { key: KeyBits::Aes192, mode: Mode::Gcm };
    /// AES-256-GCM.
    pub const AES_256_GCM: Self = Self { key: KeyBits::Aes256, mode: Mode::Gcm };
    /// AES-128-CBC with PKCS#7 padding.
    pub const AES_128_CBC_PKCS7: Self = Self { key: KeyBits::Aes128, mode: Mode::CbcPkcs7 };
    /// AES-192-CBC with PKCS#7 padding.
    pub const AES_192_CBC_PKCS7: Self = Self { key: KeyBits::Aes192, mode: Mode::CbcPkcs7 };
    /// AES-256-CBC with PKCS#7 padding.
    pub const AES_256_CBC_PKCS7: Self = Self { key: KeyBits::Aes256, mode: Mode::CbcPkcs7 };
    /// AES-128-CBC without padding.
    pub const AES_128_CBC: Self = Self { key: KeyBits::Aes128, mode: Mode::Cbc };
    /// AES-192-CBC without padding.
    pub const AES_192_CBC: Self = Self { key: KeyBits::Aes192, mode: Mode::Cbc };
    /// AES-256-CBC without padding.
    pub const AES_256_CBC: Self = Self { key: KeyBits::Aes256, mode: Mode::Cbc };
    /// AES-128-CTR.
    pub const AES_128_CTR: Self = Self { key: KeyBits::Aes128, mode: Mode::Ctr };
    /// AES-192-CTR.
    pub const AES_192_CTR: Self = Self { key: KeyBits::Aes192, mode: Mode::Ctr };
    /// AES-256-CTR.
    pub const AES_256_CTR: Self = Self { key: KeyBits::Aes256, mode: Mode::Ctr };
    /// AES-128-CFB128.
    pub const AES_128_CFB128: Self = Self { key: KeyBits::Aes128, mode: Mode::Cfb128 };
    /// AES-192-CFB128.
    pub const AES_192_CFB128: Self = Self { key: KeyBits::Aes192, mode: Mode::Cfb128 };
    /// AES-256-CFB128.
    pub const AES_256_CFB128: Self = Self { key: KeyBits::Aes256, mode: Mode::Cfb128 };
    /// AES-128-ECB with PKCS#7 padding.
    pub const AES_128_ECB_PKCS7: Self = Self { key: KeyBits::Aes128, mode: Mode::EcbPkcs7 };
    /// AES-192-ECB with PKCS#7 padding.
    pub const AES_192_ECB_PKCS7: Self = Self { key: KeyBits::Aes192, mode: Mode::EcbPkcs7 };
    /// AES-256-ECB with PKCS#7 padding.
    pub const AES_256_ECB_PKCS7: Self = Self { key: KeyBits::Aes256, mode: Mode::EcbPkcs7 };

    /// The key's length in bytes.
    #[must_use]
    pub fn key_len(self) -> usize {
        self.key.key_len()
    }

    fn takes_iv(self, len: usize) -> bool {
        match self.mode {
            Mode::Gcm => (1..=GCM_IV_LEN_MAX).contains(&len),
            Mode::CbcPkcs7 | Mode::Cbc | Mode::Ctr | Mode::Cfb128 => len == BLOCK_LEN,
            Mode::EcbPkcs7 => len == 0,
        }
    }

    fn evp(self) -> *const sys::EVP_CIPHER {
        // SAFETY: the functions return pointers to constants and have no preconditions.
        unsafe {
            match (self.mode, self.key) {
                (Mode::Gcm, KeyBits::Aes128) => sys::EVP_aes_128_gcm(),
                (Mode::Gcm, KeyBits::Aes192) => sys::EVP_aes_192_gcm(),
                (Mode::Gcm, KeyBits::Aes256) => sys::EVP_aes_256_gcm(),
                (Mode::CbcPkcs7 | Mode::Cbc, KeyBits::Aes128) => sys::EVP_aes_128_cbc(),
                (Mode::CbcPkcs7 | Mode::Cbc, KeyBits::Aes192) => sys::EVP_aes_192_cbc(),
                (Mode::CbcPkcs7 | Mode::Cbc, KeyBits::Aes256) => sys::EVP_aes_256_cbc(),
                (Mode::Ctr, KeyBits::Aes128) => sys::EVP_aes_128_ctr(),
                (Mode::Ctr, KeyBits::Aes192) => sys::EVP_aes_192_ctr(),
                (Mode::Ctr, KeyBits::Aes256) => sys::EVP_aes_256_ctr(),
                (Mode::Cfb128, KeyBits::Aes128) => sys::EVP_aes_128_cfb128(),
                (Mode::Cfb128, KeyBits::Aes192) => sys::EVP_aes_192_cfb128(),
                (Mode::Cfb128, KeyBits::Aes256) => sys::EVP_aes_256_cfb128(),
                (Mode::EcbPkcs7, KeyBits::Aes128) => sys::EVP_aes_128_ecb(),
                (Mode::EcbPkcs7, KeyBits::Aes192) => sys::EVP_aes_192_ecb(),
                (Mode::EcbPkcs7, KeyBits::Aes256) => sys::EVP_aes_256_ecb(),
            }
        }
    }
}

/// Why a stream stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The key does not fit the cipher.
    #[error("the AES key is {len} bytes long, not {expected}")]
    KeyLength {
        /// The key's length in bytes.
        len: usize,
        /// What the cipher takes, in bytes.
        expected: usize,
    },
    /// The IV does not fit the mode.
    #[error(
        "the IV is {len} bytes long; GCM takes 1 to {GCM_IV_LEN_MAX}, ECB none, the other modes {BLOCK_LEN}"
    )]
    IvLength {
        /// The IV's length in bytes.
        len: usize,
    },
    /// GCM would wrap its counter.
    #[error("the message is too long for one GCM key and IV; the limit is {GCM_INPUT_MAX} bytes")]
    TooLong,
    /// The caller's buffer is too short.
    #[error("the output buffer is {len} bytes long; {needed} are needed")]
    OutputTooShort {
        /// The buffer's length in bytes.
        len: usize,
        /// The length asked for, in bytes.
        needed: usize,
    },
    /// A call that this mode, direction or moment does not have.
    #[error("{0}")]
    Misuse(&'static str),
    /// AWS-LC refused: it ran out of memory.
    #[error("AWS-LC could not run the cipher")]
    Failed,
    /// The ciphertext does not decrypt.
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// One message on its way through AES.
///
/// Feed it with [`update`](Self::update), then end it: GCM with [`finish_with_tag`](Self::finish_with_tag) or
/// [`verify`](Self::verify), every other mode with [`finish`](Self::finish). A stream that is dropped before proves nothing.
///
/// ```
/// use waxwing_aws_lc::{Cipher, CipherStream};
///
/// let mut stream = CipherStream::encrypt(Cipher::AES_256_GCM, &[7; 32], &[1; 12])?;
/// let mut ciphertext = [0; 5];
/// stream.update(b"hello", &mut ciphertext)?;
/// let tag = stream.finish_with_tag()?;
///
/// let mut stream = CipherStream::decrypt(Cipher::AES_256_GCM, &[7; 32], &[1; 12])?;
/// stream.update_in_place(&mut ciphertext)?;
/// stream.verify(&tag)?; // only now may anyone see what was decrypted
/// assert_eq!(&ciphertext, b"hello");
/// # Ok::<(), waxwing_aws_lc::CipherError>(())
/// ```
pub struct CipherStream {
    ctx: Owned<sys::EVP_CIPHER_CTX>,
    cipher: Cipher,
    direction: Direction,
    /// Bytes of message so far, AAD not counted.
    processed: u64,
}

impl CipherStream {
    /// Starts to encrypt.
    ///
    /// A pair of key and IV serves one message; nothing here can check that.
    ///
    /// # Errors
    ///
    /// [`CipherError::KeyLength`] and [`CipherError::IvLength`]. GCM takes IVs of 1 to [`GCM_IV_LEN_MAX`] bytes, of which
    /// all but 12 are hashed into the first counter (NIST SP 800-38D, section 7.1); ECB takes an empty one; the other modes take 16.
    pub fn encrypt(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<Self, CipherError> {
        Self::new(cipher, Direction::Encrypt, key, iv)
    }

    /// Starts to decrypt.
    ///
    /// # Errors
    ///
    /// As for [`encrypt`](Self::encrypt).
    pub fn decrypt(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<Self, CipherError> {
        Self::new(cipher, Direction::Decrypt, key, iv)
    }

    fn new(cipher: Cipher, direction: Direction, key: &[u8], iv: &[u8]) -> Result<Self, CipherError> {
        if key.len() != cipher.key_len() {
            return Err(CipherError::KeyLength { len: key.len(), expected: cipher.key_len() });
        }
        if !cipher.takes_iv(iv.len()) {
            return Err(CipherError::IvLength { len: iv.len() });
        }
        // SAFETY: the context is checked for null. First the cipher alone, for GCM's IV length must be known before the IV
        // is read; then the key and the IV, whose lengths were checked above against what the cipher reads of them.
        let ctx = unsafe {
            let ctx = Owned::new(sys::EVP_CIPHER_CTX_new()).ok_or_else(failed)?;
            let encrypt = c_int::from(direction == Direction::Encrypt);
            let no_engine = ptr::null_mut();
            let ready = sys::EVP_CipherInit_ex(
                ctx.as_ptr(),
                cipher.evp(),
                no_engine,
                ptr::null(),
                ptr::null(),
                encrypt,
            ) == 1
                && (cipher.mode != Mode::Gcm
                    || control(&ctx, sys::EVP_CTRL_AEAD_SET_IVLEN, iv.len(), ptr::null_mut()))
                && sys::EVP_CipherInit_ex(
                    ctx.as_ptr(),
                    ptr::null(),
                    no_engine,
                    key.as_ptr(),
                    if iv.is_empty() { ptr::null() } else { iv.as_ptr() },
                    encrypt,
                ) == 1
                && (cipher.mode != Mode::Cbc || sys::EVP_CIPHER_CTX_set_padding(ctx.as_ptr(), 0) == 1);
            if !ready {
                return Err(failed());
            }
            ctx
        };
        Ok(Self { ctx, cipher, direction, processed: 0 })
    }

    /// Authenticates `aad` beside the message. Any number of calls, all before the first byte of message; GCM alone.
    ///
    /// # Errors
    ///
    /// [`CipherError::Misuse`] in another mode or behind the message's first byte.
    pub fn aad(&mut self, aad: &[u8]) -> Result<(), CipherError> {
        if self.cipher.mode != Mode::Gcm {
            return Err(CipherError::Misuse("only GCM authenticates data beside the message"));
        }
        if self.processed > 0 {
            return Err(CipherError::Misuse("AAD must come before the message"));
        }
        for chunk in aad.chunks(CALL_LEN_MAX) {
            // SAFETY: a null output marks the chunk as AAD; nothing is written.
            unsafe { self.call(ptr::null_mut(), chunk.as_ptr(), chunk.len()) }?;
        }
        Ok(())
    }

    /// Transforms `input` and returns how many bytes of `out` were written.
    ///
    /// `out` is at least as long as `input`, in CBC and ECB [`BLOCK_LEN`] longer: there up to a block of input is held back
    /// for the next call. Every way to split a message into calls gives the same result. Bytes of `out` behind the returned length
    /// mean nothing.
    ///
    /// # Errors
    ///
    /// [`CipherError::OutputTooShort`], and [`CipherError::TooLong`] when GCM would pass [`GCM_INPUT_MAX`]; then nothing
    /// was processed.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize, CipherError> {
        let held_back_max = if self.cipher.mode.waits_for_blocks() { BLOCK_LEN } else { 0 };
        let needed = input.len().saturating_add(held_back_max);
        if out.len() < needed {
            return Err(CipherError::OutputTooShort { len: out.len(), needed });
        }
        self.count(input.len())?;
        let mut written = 0;
        for chunk in input.chunks(CALL_LEN_MAX) {
            let free = out.get_mut(written..).unwrap_or_default();
            // SAFETY: the two slices cannot overlap, being borrowed apart. All calls together write no more than their
            // input and, in CBC and ECB, the block held back before, for which `out` was found long enough.
            written += unsafe { self.call(free.as_mut_ptr(), chunk.as_ptr(), chunk.len()) }?;
        }
        Ok(written)
    }

    /// Transforms `data` where it lies. GCM, CTR and CFB alone: in CBC and ECB output lags behind input.
    ///
    /// # Errors
    ///
    /// [`CipherError::Misuse`] in CBC and ECB, else as for [`update`](Self::update).
    pub fn update_in_place(&mut self, data: &mut [u8]) -> Result<(), CipherError> {
        if self.cipher.mode.waits_for_blocks() {
            return Err(CipherError::Misuse("CBC and ECB cannot run in place"));
        }
        self.count(data.len())?;
        for chunk in data.chunks_mut(CALL_LEN_MAX) {
            let (start, len) = (chunk.as_mut_ptr(), chunk.len());
            // SAFETY: these modes write as many bytes as they read, and allow output and input to be the same bytes
            // (aead.h and modes/internal.h: equal or disjoint).
            unsafe { self.call(start, start, len) }?;
        }
        Ok(())
    }

    /// Ends a message in any mode but GCM and returns how many bytes of `out` were written: at most [`BLOCK_LEN`], which
    /// `out` must have in the modes with padding. CBC without padding, CTR and CFB write nothing.
    ///
    /// # Errors
    ///
    /// [`CipherError::Decrypt`] for a ciphertext with a bad padding or length, both alike; [`CipherError::Misuse`] in GCM,
    /// and for a plaintext that is not whole blocks in CBC without padding.
    pub fn finish(mut self, out: &mut [u8]) -> Result<usize, CipherError> {
        let mut unused = [0; BLOCK_LEN];
        let out = match self.cipher.mode {
            Mode::Gcm => return Err(CipherError::Misuse("GCM ends with a tag")),
            Mode::Ctr | Mode::Cfb128 => return Ok(0),
            Mode::Cbc => &mut unused,
            Mode::CbcPkcs7 | Mode::EcbPkcs7 => {
                let len = out.len();
                out.first_chunk_mut().ok_or(CipherError::OutputTooShort { len, needed: BLOCK_LEN })?
            }
        };
        // SAFETY: the last call writes at most one block, which `out` is.
        match (unsafe { self.call_final(out.as_mut_ptr()) }, self.direction, self.cipher.mode) {
            (Some(written), ..) => Ok(written),
            (None, Direction::Decrypt, _) => Err(DecryptError.into()),
            (None, Direction::Encrypt, Mode::Cbc) => {
                Err(CipherError::Misuse("CBC without padding takes whole blocks"))
            }
            (None, Direction::Encrypt, _) => Err(CipherError::Failed),
        }
    }

    /// Ends the encryption of a message in GCM and returns its tag.
    ///
    /// # Errors
    ///
    /// [`CipherError::Misuse`] in another mode or direction.
    pub fn finish_with_tag(mut self) -> Result<[u8; GCM_TAG_LEN], CipherError> {
        self.expect_gcm(Direction::Encrypt, "only the encryption of GCM makes a tag")?;
        let mut tag = [0; GCM_TAG_LEN];
        let mut unused = [0; BLOCK_LEN];
        // SAFETY: the last call has a block to write to, though GCM writes nothing; the tag's length is its true one.
        let made = unsafe {
            self.call_final(unused.as_mut_ptr()).is_some()
                && control(&self.ctx, sys::EVP_CTRL_AEAD_GET_TAG, tag.len(), tag.as_mut_ptr().cast())
        };
        if made { Ok(tag) } else { Err(failed()) }
    }

    /// Ends the decryption of a message in GCM: compares its tag, in constant time.
    ///
    /// # Errors
    ///
    /// [`CipherError::Decrypt`] when the key, the IV, the AAD, the message or the tag is not the one that was encrypted
    /// with; [`CipherError::Misuse`] in another mode or direction.
    pub fn verify(mut self, tag: &[u8; GCM_TAG_LEN]) -> Result<(), CipherError> {
        self.expect_gcm(Direction::Decrypt, "only the decryption of GCM verifies a tag")?;
        let mut tag = *tag;
        let mut unused = [0; BLOCK_LEN];
        // SAFETY: AWS-LC copies the tag, whose length is its true one; the last call has a block to write to.
        let verified = unsafe {
            control(&self.ctx, sys::EVP_CTRL_AEAD_SET_TAG, tag.len(), tag.as_mut_ptr().cast())
                && self.call_final(unused.as_mut_ptr()).is_some()
        };
        if verified {
            Ok(())
        } else {
            drain_errors();
            Err(DecryptError.into())
        }
    }

    fn expect_gcm(&self, direction: Direction, otherwise: &'static str) -> Result<(), CipherError> {
        match self.cipher.mode == Mode::Gcm && self.direction == direction {
            true => Ok(()),
            false => Err(CipherError::Misuse(otherwise)),
        }
    }

    /// Books `len` bytes of message, or refuses them.
    fn count(&mut self, len: usize) -> Result<(), CipherError> {
        let processed = u64::try_from(len).ok().and_then(|len| self.processed.checked_add(len));
        match processed {
            Some(processed) if self.cipher.mode != Mode::Gcm || processed <= GCM_INPUT_MAX => {
                self.processed = processed;
                Ok(())
            }
            _ => Err(CipherError::TooLong),
        }
    }

    /// # Safety
    ///
    /// `input` is valid for `len` bytes; `out` is null (AAD) or valid for what the mode writes, and equal to `input` or
    /// apart from it.
    unsafe fn call(&mut self, out: *mut u8, input: *const u8, len: usize) -> Result<usize, CipherError> {
        let len = c_int::try_from(len).map_err(|_| CipherError::Failed)?;
        let mut written = 0;
        // SAFETY: the caller's promise, and a context that was initialised.
        match unsafe { sys::EVP_CipherUpdate(self.ctx.as_ptr(), out, &mut written, input, len) } {
            1 => usize::try_from(written).map_err(|_| CipherError::Failed),
            _ => Err(failed()),
        }
    }

    /// # Safety
    ///
    /// `out` has room for [`BLOCK_LEN`] bytes.
    unsafe fn call_final(&mut self, out: *mut u8) -> Option<usize> {
        let mut written = 0;
        // SAFETY: the caller's promise, and a context that was initialised.
        if unsafe { sys::EVP_CipherFinal_ex(self.ctx.as_ptr(), out, &mut written) } != 1 {
            drain_errors();
            return None;
        }
        usize::try_from(written).ok()
    }
}

/// # Safety
///
/// `data` is what `command` reads or writes, `len` bytes of it.
unsafe fn control(ctx: &Owned<sys::EVP_CIPHER_CTX>, command: c_int, len: usize, data: *mut c_void) -> bool {
    // SAFETY: the context is valid, the rest is the caller's promise.
    c_int::try_from(len)
        .is_ok_and(|len| unsafe { sys::EVP_CIPHER_CTX_ctrl(ctx.as_ptr(), command, len, data) } == 1)
}

/// Leaves nothing in the error queue for the next caller to stumble over.
fn failed() -> CipherError {
    drain_errors();
    CipherError::Failed
}

impl fmt::Debug for CipherStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CipherStream({:?} {:?} {:?}, ..)", self.direction, self.cipher.key, self.cipher.mode)
    }
}

/// Bytes of an AES block, and of every IV outside GCM.
pub const BLOCK_LEN: usize = 16;

/// Bytes of a GCM tag. Shorter ones exist (SP 800-38D, appendix C) and are not spoken here.
pub const GCM_TAG_LEN: usize = 16;

/// The longest GCM IV taken, in bytes: far above the 12 and 16 that occur.
pub const GCM_IV_LEN_MAX: usize = 128;

/// The longest message of one GCM key and IV, in bytes: 2^39 - 256 bits (SP 800-38D, section 5.2.1.1).
pub const GCM_INPUT_MAX: u64 = (1 << 36) - 32;

/// Bytes handed to AWS-LC at once, whose lengths are `int`; whole blocks.
const CALL_LEN_MAX: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gcm_stops_at_its_limit_and_ctr_does_not() {
        let mut stream = CipherStream::encrypt(Cipher::AES_256_GCM, &[0; 32], &[0; 12]).unwrap();
        stream.processed = GCM_INPUT_MAX - 2;
        assert_eq!(stream.update(&[0; 3], &mut [0; 3]), Err(CipherError::TooLong));
        assert_eq!(stream.update_in_place(&mut [0; 3]), Err(CipherError::TooLong));
        assert_eq!(stream.update(&[0; 2], &mut [0; 2]), Ok(2));
        assert_eq!(stream.update(&[0; 1], &mut [0; 1]), Err(CipherError::TooLong));

        let mut stream = CipherStream::encrypt(Cipher::AES_256_CTR, &[0; 32], &[0; 16]).unwrap();
        stream.processed = GCM_INPUT_MAX;
        assert_eq!(stream.update(&[0; 3], &mut [0; 3]), Ok(3));
    }
}
