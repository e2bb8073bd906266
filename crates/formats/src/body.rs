//! The content ciphers of partners' schemes, by name and by their lengths.

use std::fmt;

/// How a body is encrypted. AES throughout; the key's length chooses among AES-128, -192 and -256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyCipher {
    /// Galois/counter mode (NIST SP 800-38D) with an IV of 12 or 16 bytes and a tag of 16.
    Gcm,
    /// Cipher block chaining with PKCS#7 padding (RFC 5652, section 6.3).
    CbcPkcs7,
    /// The same, padded to multiples of 32 bytes, as WeCom does.
    CbcPkcs7Block32,
    /// Cipher block chaining with the padding of XML Encryption 1.1, section 5.2: the last byte counts the bytes of padding,
    /// 1 to 16; the others are arbitrary.
    CbcIso10126,
    /// AES_CBC_HMAC_SHA2 of RFC 7518, section 5.2: the key is twice as long, its first half for the MAC.
    CbcHmac,
    /// Cipher feedback with segments of 128 bits, over a message padded with PKCS#7.
    Cfb128Pkcs7,
    /// Counter mode whose whole IV is a 128-bit big-endian counter.
    Ctr,
    /// Every block by itself, with PKCS#7 padding: equal blocks stay equal.
    EcbPkcs7,
}

impl BodyCipher {
    /// Every cipher.
    pub const ALL: [Self; 8] = [
        Self::Gcm,
        Self::CbcPkcs7,
        Self::CbcPkcs7Block32,
        Self::CbcIso10126,
        Self::CbcHmac,
        Self::Cfb128Pkcs7,
        Self::Ctr,
        Self::EcbPkcs7,
    ];

    /// Whether a changed ciphertext is noticed. The others need a MAC beside them.
    pub fn is_authenticated(self) -> bool {
        matches!(self, Self::Gcm | Self::CbcHmac)
    }

    /// The cipher's name in descriptions of schemes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gcm => "aes-gcm",
            Self::CbcPkcs7 => "aes-cbc-pkcs7",
            Self::CbcPkcs7Block32 => "aes-cbc-pkcs7-block32",
            Self::CbcIso10126 => "aes-cbc-iso10126",
            Self::CbcHmac => "aes-cbc-hmac",
            Self::Cfb128Pkcs7 => "aes-cfb128-pkcs7",
            Self::Ctr => "aes-ctr",
            Self::EcbPkcs7 => "aes-ecb-pkcs7",
        }
    }

    /// The lengths that a key may have, in bytes.
    pub fn key_lens(self) -> [usize; 3] {
        match self {
            Self::CbcHmac => [32, 48, 64],
            _ => [16, 24, 32],
        }
    }

    /// The lengths that an IV may have, in bytes.
    pub fn iv_lens(self) -> &'static [usize] {
        match self {
            Self::Gcm => &[12, 16],
            Self::EcbPkcs7 => &[0],
            _ => &[16],
        }
    }

    /// The tag's length in bytes under a key of `key_len` bytes; `None` for a cipher without one.
    pub fn tag_len(self, key_len: usize) -> Option<usize> {
        match self {
            Self::Gcm => Some(16),
            Self::CbcHmac => Some(key_len / 2),
            _ => None,
        }
    }
}

impl fmt::Display for BodyCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
