//! The body ciphers of partners' schemes: one AES key, one IV, one ciphertext of any length.
//!
//! What [`BodyDecryptor::update`] gives out is provisional until [`BodyDecryptor::finish`] agreed, and only a cipher that
//! [is authenticated](BodyCipher::is_authenticated) proves anything even then. A padding that fits proves nothing: with
//! ISO 10126 one wrong key in 16 passes.

mod padding;

use waxwing_aws_lc::{self as aws_lc, BLOCK_LEN, Cipher, CipherError, CipherStream, KeyBits, Mode};
pub use waxwing_formats::body::BodyCipher;
use zeroize::Zeroizing;

use self::padding::Padding;
use crate::hash::{Mac, MacAlgorithm};
use crate::{NotAuthentic, Random, RandomError};

/// How many bytes more than its input one step may give out.
pub const SLACK_LEN: usize = PADDED_LEN_MAX + BLOCK_LEN;
/// The longest padded end that is held back.
const PADDED_LEN_MAX: usize = 32;

/// What one body is encrypted with.
#[derive(Clone, Copy)]
pub struct BodyParams<'a> {
    /// One of [`BodyCipher::key_lens`].
    pub key: &'a [u8],
    /// One of [`BodyCipher::iv_lens`]. A pair of key and IV serves one body.
    pub iv: &'a [u8],
    /// Authenticated beside the body; empty unless the cipher is authenticated.
    pub aad: &'a [u8],
}

/// Why a body is not encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// A key of another length.
    #[error("the key is {len} bytes long; {cipher} takes {:?}", cipher.key_lens())]
    KeyLength {
        /// The cipher.
        cipher: BodyCipher,
        /// The key's length in bytes.
        len: usize,
    },
    /// An IV of another length.
    #[error("the IV is {len} bytes long; {cipher} takes {:?}", cipher.iv_lens())]
    IvLength {
        /// The cipher.
        cipher: BodyCipher,
        /// The IV's length in bytes.
        len: usize,
    },
    /// AAD for a cipher that authenticates nothing.
    #[error("{cipher} cannot authenticate AAD")]
    Aad {
        /// The cipher.
        cipher: BodyCipher,
    },
    /// GCM would wrap its counter.
    #[error("the body is too long for {cipher}; the limit is {} bytes", aws_lc::GCM_INPUT_MAX)]
    TooLong {
        /// The cipher.
        cipher: BodyCipher,
    },
    /// AWS-LC ran out of memory.
    #[error("the body could not be encrypted")]
    Failed,
    /// No random padding.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Encrypts a body as it comes.
pub struct BodyEncryptor {
    stream: CipherStream,
    cipher: BodyCipher,
    mac: Option<BodyMac>,
    /// Bytes of plaintext so far.
    plaintext_len: u64,
    /// What ISO 10126 pads with, its last byte apart.
    filler: [u8; PADDED_LEN_MAX],
}

impl BodyEncryptor {
    /// Starts a body. `random` fills the padding of [`BodyCipher::CbcIso10126`] and serves nothing else.
    ///
    /// # Errors
    ///
    /// Any [`BodyError`] but [`BodyError::TooLong`].
    pub fn new(cipher: BodyCipher, params: BodyParams<'_>, random: &dyn Random) -> Result<Self, BodyError> {
        let (stream, mac) = begin(cipher, params, CipherStream::encrypt)?;
        let mut filler = [0; PADDED_LEN_MAX];
        if padding(cipher) == Some(Padding::Iso10126) {
            random.fill(&mut filler)?;
        }
        Ok(Self { stream, cipher, mac, plaintext_len: 0, filler })
    }

    /// Encrypts `plaintext` into `out` and says how many bytes came out.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLong`]; nothing was encrypted then.
    ///
    /// # Panics
    ///
    /// When `out` is not at least [`SLACK_LEN`] bytes longer than `plaintext`.
    pub fn update(&mut self, plaintext: &[u8], out: &mut [u8]) -> Result<usize, BodyError> {
        expect_room(plaintext, out);
        let written = self.encrypt(plaintext, out)?;
        self.plaintext_len += plaintext.len() as u64;
        Ok(written)
    }

    /// Ends the body: how many bytes came into `out`, and the tag of an authenticated cipher.
    ///
    /// # Errors
    ///
    /// [`BodyError::Failed`].
    ///
    /// # Panics
    ///
    /// When `out` is shorter than [`SLACK_LEN`].
    pub fn finish(mut self, out: &mut [u8]) -> Result<(usize, Option<Vec<u8>>), BodyError> {
        expect_room(&[], out);
        let mut written = 0;
        if let Some(padding) = padding(self.cipher) {
            let mut filler = self.filler;
            written = self.encrypt(padding.fill(self.plaintext_len, &mut filler), out)?;
        }
        if self.cipher == BodyCipher::Gcm {
            let tag = self.stream.finish_with_tag().map_err(|_| BodyError::Failed)?;
            return Ok((written, Some(tag.to_vec())));
        }
        written += self.stream.finish(&mut out[written..]).map_err(|_| BodyError::Failed)?;
        Ok((written, self.mac.map(BodyMac::finish)))
    }

    /// Encrypts message or padding into `out`, a block longer.
    fn encrypt(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<usize, BodyError> {
        let cipher = self.cipher;
        let written = self.stream.update(bytes, out).map_err(|err| match err {
            CipherError::TooLong => BodyError::TooLong { cipher },
            _ => BodyError::Failed,
        })?;
        if let Some(mac) = &mut self.mac {
            mac.update(&out[..written]);
        }
        Ok(written)
    }
}

/// Decrypts a body as it comes. **What [`BodyDecryptor::update`] gives is not authentic** until [`BodyDecryptor::finish`]
/// agreed.
pub struct BodyDecryptor {
    stream: CipherStream,
    cipher: BodyCipher,
    mac: Option<BodyMac>,
    tag_len: Option<usize>,
    /// Bytes of ciphertext so far.
    ciphertext_len: u64,
    /// The end of the plaintext so far, which may be padding: at most one padded block.
    held_back: Zeroizing<Vec<u8>>,
}

impl BodyDecryptor {
    /// Starts a body. Whoever can, compares the IV's length with [`BodyCipher::iv_lens`] before any key is used.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`] when key, IV or AAD do not fit the cipher: the key may have been unwrapped with a wrong one.
    pub fn new(cipher: BodyCipher, params: BodyParams<'_>) -> Result<Self, NotAuthentic> {
        let (stream, mac) = begin(cipher, params, CipherStream::decrypt).map_err(|_| NotAuthentic)?;
        let held_back = Zeroizing::new(Vec::with_capacity(PADDED_LEN_MAX));
        Ok(Self {
            stream,
            cipher,
            mac,
            tag_len: cipher.tag_len(params.key.len()),
            ciphertext_len: 0,
            held_back,
        })
    }

    /// Decrypts `ciphertext`, tag not included, into `out` and says how many bytes came out.
    ///
    /// Bytes of `out` behind them may be plaintext too, for later; they mean nothing.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`].
    ///
    /// # Panics
    ///
    /// When `out` is not at least [`SLACK_LEN`] bytes longer than `ciphertext`.
    pub fn update(&mut self, ciphertext: &[u8], out: &mut [u8]) -> Result<usize, NotAuthentic> {
        expect_room(ciphertext, out);
        if let Some(mac) = &mut self.mac {
            mac.update(ciphertext);
        }
        self.ciphertext_len += ciphertext.len() as u64;
        let held_len = self.held_back.len();
        let (front, rest) = out.split_at_mut(held_len);
        front.copy_from_slice(&self.held_back);
        let ready = held_len + self.stream.update(ciphertext, rest).map_err(|_| NotAuthentic)?;
        let hold_max = padding(self.cipher).map_or(0, Padding::block_len);
        let release = ready.saturating_sub(hold_max);
        self.held_back.clear();
        self.held_back.extend_from_slice(&out[release..ready]);
        Ok(release)
    }

    /// Verifies the tag of an authenticated cipher, then takes off the padding: how many bytes came into `out`.
    ///
    /// # Errors
    ///
    /// [`NotAuthentic`]: a wrong tag, a missing one, one too many, wrong padding or a wrong length.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than [`SLACK_LEN`].
    pub fn finish(self, tag: Option<&[u8]>, out: &mut [u8]) -> Result<usize, NotAuthentic> {
        expect_room(&[], out);
        if tag.map(<[u8]>::len) != self.tag_len {
            return Err(NotAuthentic);
        }
        if self.cipher == BodyCipher::Gcm {
            let tag = tag.and_then(|tag| tag.try_into().ok()).ok_or(NotAuthentic)?;
            return self.stream.verify(tag).map(|()| 0).map_err(|_| NotAuthentic);
        }
        if let Some(mac) = self.mac {
            mac.verify(tag.ok_or(NotAuthentic)?)?;
        }
        let written = self.stream.finish(out).map_err(|_| NotAuthentic)?;
        let Some(padding) = padding(self.cipher) else { return Ok(written) };
        if !self.ciphertext_len.is_multiple_of(padding.block_len() as u64) {
            return Err(NotAuthentic);
        }
        let kept = padding.strip(&self.held_back)?;
        out[..kept.len()].copy_from_slice(kept);
        Ok(kept.len())
    }
}

/// A GCM body with an IV of 12 bytes whose tag **was verified**: from then on it is AES in counter mode, of which any piece
/// decrypts by itself (NIST SP 800-38D, section 7.2). It proves nothing: whoever uses it makes sure that the pieces are the
/// verified ones.
pub struct VerifiedGcm<'a> {
    cipher: Cipher,
    key: &'a [u8],
    iv: [u8; 12],
}

impl<'a> VerifiedGcm<'a> {
    /// The counter of the first block of data; 1 belongs to the tag.
    const FIRST_COUNTER: u64 = 2;

    /// `None` for a key of another length than AES has.
    pub fn new(key: &'a [u8], iv: [u8; 12]) -> Option<Self> {
        let key_bits = match key.len() {
            16 => KeyBits::Aes128,
            24 => KeyBits::Aes192,
            32 => KeyBits::Aes256,
            _ => return None,
        };
        Some(Self { cipher: Cipher { key: key_bits, mode: Mode::Ctr }, key, iv })
    }

    /// Decrypts the piece that begins at byte `at` of the body, a multiple of 16, where it lies.
    ///
    /// # Panics
    ///
    /// When `at` is no multiple of 16, or the piece ends beyond what a GCM message may have.
    pub fn decrypt_piece(&self, at: u64, piece: &mut [u8]) {
        assert!(at.is_multiple_of(BLOCK_LEN as u64), "a piece begins with a block");
        let counter = Self::FIRST_COUNTER + at / BLOCK_LEN as u64;
        let counter = u32::try_from(counter).expect("GCM's counter has 32 bits");
        let mut block = [0; BLOCK_LEN];
        block[..12].copy_from_slice(&self.iv);
        block[12..].copy_from_slice(&counter.to_be_bytes());
        CipherStream::decrypt(self.cipher, self.key, &block)
            .and_then(|mut stream| stream.update_in_place(piece))
            .expect("key and counter have the cipher's lengths");
    }
}

type Begin = fn(Cipher, &[u8], &[u8]) -> Result<CipherStream, CipherError>;

/// Checks every length, and starts the stream and the MAC.
fn begin(
    cipher: BodyCipher,
    BodyParams { key, iv, aad }: BodyParams<'_>,
    begin: Begin,
) -> Result<(CipherStream, Option<BodyMac>), BodyError> {
    if !cipher.key_lens().contains(&key.len()) {
        return Err(BodyError::KeyLength { cipher, len: key.len() });
    }
    if !cipher.iv_lens().contains(&iv.len()) {
        return Err(BodyError::IvLength { cipher, len: iv.len() });
    }
    if !cipher.is_authenticated() && !aad.is_empty() {
        return Err(BodyError::Aad { cipher });
    }
    let (mac_key, key) = key.split_at(if cipher == BodyCipher::CbcHmac { key.len() / 2 } else { 0 });
    let bits = match key.len() {
        16 => KeyBits::Aes128,
        24 => KeyBits::Aes192,
        _ => KeyBits::Aes256,
    };
    let mut stream =
        begin(Cipher { key: bits, mode: mode(cipher) }, key, iv).map_err(|_| BodyError::Failed)?;
    if cipher == BodyCipher::Gcm {
        stream.aad(aad).map_err(|_| BodyError::Failed)?;
    }
    let mac = (cipher == BodyCipher::CbcHmac).then(|| BodyMac::new(mac_key, iv, aad));
    Ok((stream, mac))
}

/// AES' mode of operation.
fn mode(cipher: BodyCipher) -> Mode {
    match cipher {
        BodyCipher::Gcm => Mode::Gcm,
        BodyCipher::CbcPkcs7
        | BodyCipher::CbcPkcs7Block32
        | BodyCipher::CbcIso10126
        | BodyCipher::CbcHmac => Mode::Cbc,
        BodyCipher::Cfb128Pkcs7 => Mode::Cfb128,
        BodyCipher::Ctr => Mode::Ctr,
        BodyCipher::EcbPkcs7 => Mode::EcbPkcs7,
    }
}

/// The padding that is done here and not by AWS-LC.
fn padding(cipher: BodyCipher) -> Option<Padding> {
    match cipher {
        BodyCipher::CbcPkcs7 | BodyCipher::CbcHmac | BodyCipher::Cfb128Pkcs7 => {
            Some(Padding::Pkcs7 { block_len: BLOCK_LEN })
        }
        BodyCipher::CbcPkcs7Block32 => Some(Padding::Pkcs7 { block_len: PADDED_LEN_MAX }),
        BodyCipher::CbcIso10126 => Some(Padding::Iso10126),
        BodyCipher::Gcm | BodyCipher::Ctr | BodyCipher::EcbPkcs7 => None,
    }
}

fn expect_room(input: &[u8], out: &[u8]) {
    assert!(out.len() >= input.len() + SLACK_LEN, "the caller gives {SLACK_LEN} bytes of slack");
}

/// The MAC of RFC 7518, section 5.2.2.1: over AAD, IV, ciphertext and the AAD's length; its first half is the tag.
struct BodyMac {
    mac: Mac,
    aad_bits: u64,
    tag_len: usize,
}

impl BodyMac {
    /// `key` is 16, 24 or 32 bytes long, which chooses the hash and is the length of the tag.
    fn new(key: &[u8], iv: &[u8], aad: &[u8]) -> Self {
        let algorithm = match key.len() {
            16 => MacAlgorithm::HmacSha256,
            24 => MacAlgorithm::HmacSha384,
            _ => MacAlgorithm::HmacSha512,
        };
        let mut mac = Mac::new(algorithm, key);
        mac.update(aad);
        mac.update(iv);
        Self { mac, aad_bits: aad.len() as u64 * 8, tag_len: key.len() }
    }

    fn update(&mut self, ciphertext: &[u8]) {
        self.mac.update(ciphertext);
    }

    fn finish(mut self) -> Vec<u8> {
        self.mac.update(&self.aad_bits.to_be_bytes());
        self.mac.finish()[..self.tag_len].to_vec()
    }

    fn verify(mut self, tag: &[u8]) -> Result<(), NotAuthentic> {
        self.mac.update(&self.aad_bits.to_be_bytes());
        self.mac.verify(tag, self.tag_len)
    }
}

#[cfg(test)]
mod tests;
