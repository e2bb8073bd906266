//! AES over input of any length in constant memory.

use std::ffi::c_int;
use std::ptr;

use aws_lc_sys as sys;

use crate::DecryptError;
use crate::ffi::{Owned, drain_errors};

/// Bytes of an AES block; how much more than its input one step may give out.
pub const BLOCK_LEN: usize = 16;
/// Bytes of a GCM tag.
pub const GCM_TAG_LEN: usize = 16;
/// The longest GCM IV that is taken. Twelve bytes are the nonce itself; any other length is hashed (SP 800-38D, 7.1).
pub const GCM_IV_LEN_MAX: usize = 128;
/// The most bytes that GCM takes under one IV: 2^39 - 256 bits (NIST SP 800-38D, section 5.2.1.1).
pub const GCM_INPUT_MAX: u64 = (1 << 36) - 32;
/// The most bytes that go to AWS-LC in one call, whose lengths are `int`.
const STEP_LEN_MAX: usize = 1 << 30;

/// How AES is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// GCM (NIST SP 800-38D).
    Gcm,
    /// CBC (NIST SP 800-38A) with PKCS#7 padding (RFC 5652, section 6.3).
    CbcPkcs7,
}

/// The size of the AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyBits {
    /// 16 bytes.
    Bits128,
    /// 32 bytes.
    Bits256,
}

/// A mode with a key size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// How AES is used.
    pub mode: Mode,
    /// The size of the key.
    pub key_bits: KeyBits,
}

impl Cipher {
    /// Bytes of the key.
    pub fn key_len(self) -> usize {
        match self.key_bits {
            KeyBits::Bits128 => 16,
            KeyBits::Bits256 => 32,
        }
    }

    fn takes_iv(self, len: usize) -> bool {
        match self.mode {
            Mode::Gcm => (1..=GCM_IV_LEN_MAX).contains(&len),
            Mode::CbcPkcs7 => len == BLOCK_LEN,
        }
    }

    fn evp(self) -> *const sys::EVP_CIPHER {
        // SAFETY: these functions have no preconditions and return objects of static lifetime.
        unsafe {
            match (self.mode, self.key_bits) {
                (Mode::Gcm, KeyBits::Bits128) => sys::EVP_aes_128_gcm(),
                (Mode::Gcm, KeyBits::Bits256) => sys::EVP_aes_256_gcm(),
                (Mode::CbcPkcs7, KeyBits::Bits128) => sys::EVP_aes_128_cbc(),
                (Mode::CbcPkcs7, KeyBits::Bits256) => sys::EVP_aes_256_cbc(),
            }
        }
    }
}

/// The caller asked for what the cipher cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// A key of another length than the cipher's.
    #[error("the cipher has a key of {expected} bytes, not {len}")]
    KeyLen {
        /// What it is.
        len: usize,
        /// What it must be.
        expected: usize,
    },
    /// An IV of a length that the mode does not have.
    #[error("an IV of {len} bytes does not fit the mode")]
    IvLen {
        /// What it is.
        len: usize,
    },
    /// More input than the mode takes under one IV.
    #[error("more than {GCM_INPUT_MAX} bytes under one IV")]
    TooLong,
    /// The mode has no such ending: a tag for CBC, padding for GCM.
    #[error("the mode does not end like this")]
    WrongEnding,
    /// AWS-LC could not allocate.
    #[error("the cipher could not be set up")]
    Unavailable,
}

/// AES over input that comes in pieces.
///
/// When it decrypts, [`CipherStream::update`] gives out bytes that are not yet authentic.
pub struct CipherStream {
    context: Owned<sys::EVP_CIPHER_CTX>,
    cipher: Cipher,
    taken: u64,
}

impl CipherStream {
    /// Begins to encrypt. The caller never uses one pair of key and IV for a second input.
    ///
    /// # Errors
    ///
    /// [`CipherError`] for lengths that do not fit.
    pub fn encrypt(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<Self, CipherError> {
        Self::new(cipher, key, iv, 1)
    }

    /// Begins to decrypt.
    ///
    /// # Errors
    ///
    /// [`CipherError`] for lengths that do not fit.
    pub fn decrypt(cipher: Cipher, key: &[u8], iv: &[u8]) -> Result<Self, CipherError> {
        Self::new(cipher, key, iv, 0)
    }

    fn new(cipher: Cipher, key: &[u8], iv: &[u8], encrypt: c_int) -> Result<Self, CipherError> {
        if key.len() != cipher.key_len() {
            return Err(CipherError::KeyLen { len: key.len(), expected: cipher.key_len() });
        }
        if !cipher.takes_iv(iv.len()) {
            return Err(CipherError::IvLen { len: iv.len() });
        }
        // SAFETY: no preconditions; the result is owned by nobody else.
        let context = unsafe { Owned::new(sys::EVP_CIPHER_CTX_new()) }.ok_or(CipherError::Unavailable)?;
        let raw = context.as_ptr();
        let (none, engine) = (ptr::null(), ptr::null_mut());
        // SAFETY: `raw` is live. The first call sets the cipher, so that the IV's length may be set before the last call
        // reads key_len() bytes of key and iv.len() bytes of IV, which are there.
        let ready = unsafe {
            sys::EVP_CipherInit_ex(raw, cipher.evp(), engine, none, none, encrypt) == 1
                && (cipher.mode != Mode::Gcm
                    || sys::EVP_CIPHER_CTX_ctrl(
                        raw,
                        sys::EVP_CTRL_AEAD_SET_IVLEN,
                        iv.len() as c_int,
                        ptr::null_mut(),
                    ) == 1)
                && sys::EVP_CipherInit_ex(raw, ptr::null(), engine, key.as_ptr(), iv.as_ptr(), encrypt) == 1
        };
        if !ready {
            drain_errors();
            return Err(CipherError::Unavailable);
        }
        Ok(Self { context, cipher, taken: 0 })
    }

    /// Takes `input` and puts what comes of it into `out`: exactly as much for GCM; for CBC whole blocks, the last of which
    /// waits for what follows when decrypting. Returns how many bytes came.
    ///
    /// # Errors
    ///
    /// [`CipherError::TooLong`].
    ///
    /// # Panics
    ///
    /// When `out` is not [`BLOCK_LEN`] bytes longer than `input`.
    pub fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize, CipherError> {
        assert!(out.len() >= input.len() + BLOCK_LEN, "the output needs a block more than the input");
        self.taken = self.taken.saturating_add(input.len() as u64);
        if self.cipher.mode == Mode::Gcm && self.taken > GCM_INPUT_MAX {
            return Err(CipherError::TooLong);
        }
        let mut written = 0;
        // `chunks` of nothing is no call: GCM would take an empty call for its end.
        for piece in input.chunks(STEP_LEN_MAX) {
            let mut len = 0;
            // SAFETY: `piece` has that many bytes; after `written` bytes `out` has room for them and a block, which is the
            // most that comes of them; the two do not overlap, as one is borrowed mutably.
            let done = unsafe {
                sys::EVP_CipherUpdate(
                    self.context.as_ptr(),
                    out.as_mut_ptr().add(written),
                    &mut len,
                    piece.as_ptr(),
                    piece.len() as c_int,
                )
            };
            if done != 1 {
                drain_errors();
                return Err(CipherError::TooLong);
            }
            written += usize::try_from(len).expect("AWS-LC counts up from 0");
        }
        Ok(written)
    }

    /// Ends CBC: adds or takes off the padding, puts what comes of it into `out` and returns how many bytes came.
    ///
    /// # Errors
    ///
    /// [`DecryptError`] when decrypting input of no whole number of blocks, of none, or with wrong padding; and for GCM.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than [`BLOCK_LEN`].
    pub fn finish(self, out: &mut [u8]) -> Result<usize, DecryptError> {
        assert!(out.len() >= BLOCK_LEN, "the last block needs room");
        if self.cipher.mode != Mode::CbcPkcs7 {
            return Err(DecryptError);
        }
        self.end(out)
    }

    /// Ends GCM when encrypting, and returns the tag.
    ///
    /// # Errors
    ///
    /// [`CipherError::WrongEnding`] for CBC, or when decrypting.
    pub fn finish_with_tag(self) -> Result<[u8; GCM_TAG_LEN], CipherError> {
        let mut tag = [0; GCM_TAG_LEN];
        let raw = self.context.as_ptr();
        if self.cipher.mode != Mode::Gcm {
            return Err(CipherError::WrongEnding);
        }
        self.end_of_gcm().map_err(|_| CipherError::WrongEnding)?;
        // SAFETY: the context is live, as `self` is; AWS-LC writes the 16 bytes that it is told.
        let got = unsafe {
            sys::EVP_CIPHER_CTX_ctrl(
                raw,
                sys::EVP_CTRL_AEAD_GET_TAG,
                GCM_TAG_LEN as c_int,
                tag.as_mut_ptr().cast(),
            )
        };
        if got != 1 {
            drain_errors();
            return Err(CipherError::WrongEnding);
        }
        Ok(tag)
    }

    /// Ends GCM when decrypting: only now is what was given out authentic.
    ///
    /// # Errors
    ///
    /// [`DecryptError`]; and for CBC.
    pub fn verify(self, tag: &[u8; GCM_TAG_LEN]) -> Result<(), DecryptError> {
        if self.cipher.mode != Mode::Gcm {
            return Err(DecryptError);
        }
        let mut tag = *tag;
        // SAFETY: the context is live; AWS-LC reads the 16 bytes that it is told, and writes none.
        let set = unsafe {
            sys::EVP_CIPHER_CTX_ctrl(
                self.context.as_ptr(),
                sys::EVP_CTRL_AEAD_SET_TAG,
                GCM_TAG_LEN as c_int,
                tag.as_mut_ptr().cast(),
            )
        };
        if set != 1 {
            drain_errors();
            return Err(DecryptError);
        }
        self.end_of_gcm()
    }

    fn end_of_gcm(&self) -> Result<(), DecryptError> {
        self.end(&mut [0; BLOCK_LEN]).map(|_| ())
    }

    fn end(&self, out: &mut [u8]) -> Result<usize, DecryptError> {
        let mut len = 0;
        // SAFETY: the context is live and `out` has room for a block, which is the most that comes.
        let done = unsafe { sys::EVP_CipherFinal_ex(self.context.as_ptr(), out.as_mut_ptr(), &mut len) };
        if done != 1 {
            drain_errors();
            return Err(DecryptError);
        }
        usize::try_from(len).map_err(|_| DecryptError)
    }
}

impl std::fmt::Debug for CipherStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CipherStream").field("cipher", &self.cipher).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCM_256: Cipher = Cipher { mode: Mode::Gcm, key_bits: KeyBits::Bits256 };
    const GCM_128: Cipher = Cipher { mode: Mode::Gcm, key_bits: KeyBits::Bits128 };
    const CBC_128: Cipher = Cipher { mode: Mode::CbcPkcs7, key_bits: KeyBits::Bits128 };
    const CBC_256: Cipher = Cipher { mode: Mode::CbcPkcs7, key_bits: KeyBits::Bits256 };

    fn run(mut stream: CipherStream, input: &[u8], step: usize) -> (CipherStream, Vec<u8>) {
        let mut out = Vec::new();
        for piece in input.chunks(step) {
            let mut room = vec![0; piece.len() + BLOCK_LEN];
            let len = stream.update(piece, &mut room).unwrap();
            out.extend(&room[..len]);
        }
        (stream, out)
    }

    fn gcm(cipher: Cipher, key: &[u8], iv: &[u8], plaintext: &[u8], step: usize) -> (Vec<u8>, [u8; 16]) {
        let (stream, out) = run(CipherStream::encrypt(cipher, key, iv).unwrap(), plaintext, step);
        (out, stream.finish_with_tag().unwrap())
    }

    fn un_gcm(
        cipher: Cipher,
        key: &[u8],
        iv: &[u8],
        sealed: (&[u8], &[u8; 16]),
    ) -> Result<Vec<u8>, DecryptError> {
        let (stream, out) = run(CipherStream::decrypt(cipher, key, iv).unwrap(), sealed.0, 7);
        stream.verify(sealed.1).map(|()| out)
    }

    fn cbc(cipher: Cipher, key: &[u8], plaintext: &[u8], step: usize) -> Vec<u8> {
        let (stream, mut out) = run(CipherStream::encrypt(cipher, key, &[9; 16]).unwrap(), plaintext, step);
        let mut last = [0; BLOCK_LEN];
        let len = stream.finish(&mut last).unwrap();
        out.extend(&last[..len]);
        out
    }

    fn un_cbc(cipher: Cipher, key: &[u8], ciphertext: &[u8], step: usize) -> Result<Vec<u8>, DecryptError> {
        let (stream, mut out) = run(CipherStream::decrypt(cipher, key, &[9; 16]).unwrap(), ciphertext, step);
        let mut last = [0; BLOCK_LEN];
        let len = stream.finish(&mut last)?;
        out.extend(&last[..len]);
        Ok(out)
    }

    /// The GCM specification (McGrew and Viega, 2004), test cases 2 and 14.
    #[test]
    fn agrees_with_the_gcm_specification() {
        let (out, tag) = gcm(GCM_128, &[0; 16], &[0; 12], &[0; 16], 16);
        assert_eq!(hex::encode(out), "0388dace60b6a392f328c2b971b2fe78");
        assert_eq!(hex::encode(tag), "ab6e47d42cec13bdf53a67b21257bddf");
        let (out, tag) = gcm(GCM_256, &[0; 32], &[0; 12], &[0; 16], 16);
        assert_eq!(hex::encode(out), "cea7403d4d606b6e074ec5d3baf39d18");
        assert_eq!(hex::encode(tag), "d0d1c8a799996bf0265b98b5d48ab919");
    }

    #[test]
    fn gcm_round_trips_in_any_pieces_and_with_any_iv() {
        let plaintext: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
        for iv_len in [1, 12, 16, GCM_IV_LEN_MAX] {
            let iv = vec![5; iv_len];
            let whole = gcm(GCM_256, &[1; 32], &iv, &plaintext, 1000);
            for step in [1, 15, 16, 17, 333] {
                assert_eq!(gcm(GCM_256, &[1; 32], &iv, &plaintext, step), whole);
            }
            assert_eq!(un_gcm(GCM_256, &[1; 32], &iv, (&whole.0, &whole.1)).unwrap(), plaintext);
        }
    }

    #[test]
    fn gcm_refuses_every_change() {
        let (mut out, mut tag) = gcm(GCM_256, &[1; 32], &[2; 12], b"payload", 7);
        assert!(un_gcm(GCM_256, &[3; 32], &[2; 12], (&out, &tag)).is_err(), "key");
        assert!(un_gcm(GCM_256, &[1; 32], &[3; 12], (&out, &tag)).is_err(), "IV");
        tag[15] ^= 1;
        assert!(un_gcm(GCM_256, &[1; 32], &[2; 12], (&out, &tag)).is_err(), "tag");
        tag[15] ^= 1;
        out[0] ^= 1;
        assert!(un_gcm(GCM_256, &[1; 32], &[2; 12], (&out, &tag)).is_err(), "ciphertext");
    }

    #[test]
    fn an_empty_gcm_message_still_has_a_tag() {
        let (out, tag) = gcm(GCM_128, &[0; 16], &[0; 12], &[], 1);
        assert!(out.is_empty());
        assert_eq!(hex::encode(tag), "58e2fccefa7e3061367f1d57a4e7455a", "test case 1");
        assert!(un_gcm(GCM_128, &[0; 16], &[0; 12], (&[], &tag)).is_ok());
    }

    #[test]
    fn cbc_pads_to_whole_blocks_in_any_pieces() {
        for (cipher, key) in [(CBC_128, &[1; 16][..]), (CBC_256, &[1; 32])] {
            for (len, padded) in [(0, 16), (15, 16), (16, 32), (100, 112)] {
                let plaintext = vec![7; len];
                let whole = cbc(cipher, key, &plaintext, 1000);
                assert_eq!(whole.len(), padded);
                for step in [1, 16, 33] {
                    assert_eq!(cbc(cipher, key, &plaintext, step), whole);
                    assert_eq!(un_cbc(cipher, key, &whole, step).unwrap(), plaintext);
                }
            }
        }
    }

    #[test]
    fn cbc_refuses_impossible_lengths_and_padding() {
        let good = cbc(CBC_128, &[1; 16], &[7; 20], 20);
        for len in [0, 1, 31] {
            assert!(un_cbc(CBC_128, &[1; 16], &good[..len], 5).is_err(), "{len} bytes");
        }
        let mut bad = good;
        bad[15] ^= 0xff; // turns the padding 0c into f3
        assert!(un_cbc(CBC_128, &[1; 16], &bad, 5).is_err());
    }

    #[test]
    fn wrong_lengths_are_refused_before_anything() {
        assert!(matches!(
            CipherStream::encrypt(GCM_256, &[0; 16], &[0; 12]),
            Err(CipherError::KeyLen { .. })
        ));
        for iv_len in [0, GCM_IV_LEN_MAX + 1] {
            let refused = CipherStream::decrypt(GCM_256, &[0; 32], &vec![0; iv_len]);
            assert!(matches!(refused, Err(CipherError::IvLen { .. })));
        }
        assert!(matches!(CipherStream::encrypt(CBC_128, &[0; 16], &[0; 12]), Err(CipherError::IvLen { .. })));
    }

    #[test]
    fn the_wrong_ending_is_refused() {
        let gcm = || CipherStream::encrypt(GCM_128, &[0; 16], &[0; 12]).unwrap();
        let cbc = || CipherStream::encrypt(CBC_128, &[0; 16], &[0; 16]).unwrap();
        assert!(gcm().finish(&mut [0; 16]).is_err());
        assert!(cbc().finish_with_tag().is_err());
        assert!(cbc().verify(&[0; 16]).is_err());
    }

    #[test]
    fn gcm_stops_at_its_limit() {
        let mut stream = CipherStream::encrypt(GCM_128, &[0; 16], &[0; 12]).unwrap();
        stream.taken = GCM_INPUT_MAX - 1;
        assert_eq!(stream.update(&[0], &mut [0; 17]), Ok(1));
        assert_eq!(stream.update(&[0], &mut [0; 17]), Err(CipherError::TooLong));
    }
}
