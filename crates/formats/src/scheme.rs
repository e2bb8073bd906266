//! How a record's content was encrypted and its key wrapped: one value that travels.
//!
//! A [`Scheme`] has a text, `WRAP+CIPHER` with an optional `+tag-appended`, which is what a record's added field and an
//! agent's registration hold: `oaep-sha256+aes-256-gcm`, `pkcs1+aes-128-cbc`,
//! `oaep-sha256-mgf1-sha1+aes-128-gcm+tag-appended`.

use std::fmt;
use std::str::FromStr;

use crate::body::BodyCipher;

/// A digest that OAEP uses (RFC 8017, appendix B.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-1: safe inside OAEP, and Node's default.
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
    /// Every digest, weakest first.
    pub const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The digest's name in scheme texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes of its output.
    pub fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl FromStr for Digest {
    type Err = SchemeError;

    fn from_str(name: &str) -> Result<Self, SchemeError> {
        let found = Self::ALL.into_iter().find(|digest| digest.name() == name);
        found.ok_or_else(|| SchemeError::Wrap { text: quotable(name) })
    }
}

/// How the content key is wrapped with RSA (RFC 8017).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrap {
    /// RSAES-PKCS1-v1_5: legacy.
    Pkcs1,
    /// RSAES-OAEP with an empty label.
    Oaep {
        /// Hashes the label.
        digest: Digest,
        /// Makes the mask; nearly always the same.
        mgf1: Digest,
    },
}

impl Wrap {
    /// OAEP whose mask uses the same digest.
    pub const fn oaep(digest: Digest) -> Self {
        Self::Oaep { digest, mgf1: digest }
    }

    /// The longest key that fits under a modulus of `modulus_len` bytes.
    pub fn plaintext_len_max(self, modulus_len: usize) -> usize {
        match self {
            Self::Pkcs1 => modulus_len.saturating_sub(11),
            Self::Oaep { digest, .. } => modulus_len.saturating_sub(2 * digest.output_len() + 2),
        }
    }
}

impl fmt::Display for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pkcs1 => f.write_str("pkcs1"),
            Self::Oaep { digest, mgf1 } if digest == mgf1 => write!(f, "oaep-{}", digest.name()),
            Self::Oaep { digest, mgf1 } => write!(f, "oaep-{}-mgf1-{}", digest.name(), mgf1.name()),
        }
    }
}

impl FromStr for Wrap {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, SchemeError> {
        if text == "pkcs1" {
            return Ok(Self::Pkcs1);
        }
        let unknown = || SchemeError::Wrap { text: quotable(text) };
        let digests = text.strip_prefix("oaep-").ok_or_else(unknown)?;
        match digests.split_once("-mgf1-") {
            None => Ok(Self::oaep(digests.parse().map_err(|_| unknown())?)),
            Some((digest, mgf1)) => {
                let wrap = Self::Oaep {
                    digest: digest.parse().map_err(|_| unknown())?,
                    mgf1: mgf1.parse().map_err(|_| unknown())?,
                };
                // One spelling per value: the mask's digest is named only when it differs.
                if digest == mgf1 { Err(unknown()) } else { Ok(wrap) }
            }
        }
    }
}

/// The size of an AES content key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyLen {
    /// AES-128.
    Bits128,
    /// AES-256.
    Bits256,
}

impl KeyLen {
    /// Bytes of the key.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits256 => 32,
        }
    }
}

/// The content cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// AES-CBC with PKCS#7 padding (SP 800-38A): legacy, it proves nothing.
    Cbc(KeyLen),
    /// AES-GCM with a 16-byte tag (SP 800-38D).
    Gcm(KeyLen),
}

impl Cipher {
    /// Every cipher.
    pub const ALL: [Self; 4] = [
        Self::Cbc(KeyLen::Bits128),
        Self::Cbc(KeyLen::Bits256),
        Self::Gcm(KeyLen::Bits128),
        Self::Gcm(KeyLen::Bits256),
    ];

    /// The cipher's name in scheme texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cbc(KeyLen::Bits128) => "aes-128-cbc",
            Self::Cbc(KeyLen::Bits256) => "aes-256-cbc",
            Self::Gcm(KeyLen::Bits128) => "aes-128-gcm",
            Self::Gcm(KeyLen::Bits256) => "aes-256-gcm",
        }
    }

    /// The size of its key.
    pub fn key_len(self) -> KeyLen {
        match self {
            Self::Cbc(len) | Self::Gcm(len) => len,
        }
    }

    /// Bytes of its IV as this scheme writes it: 16 for CBC, 12 for GCM.
    pub fn iv_len(self) -> usize {
        match self {
            Self::Cbc(_) => 16,
            Self::Gcm(_) => 12,
        }
    }

    /// The body's cipher, without the key's size.
    pub fn body(self) -> BodyCipher {
        match self {
            Self::Cbc(_) => BodyCipher::CbcPkcs7,
            Self::Gcm(_) => BodyCipher::Gcm,
        }
    }

    /// Whether opening proves that nothing was changed.
    pub fn is_authenticated(self) -> bool {
        self.body().is_authenticated()
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cipher {
    type Err = SchemeError;

    fn from_str(name: &str) -> Result<Self, SchemeError> {
        let found = Self::ALL.into_iter().find(|cipher| cipher.name() == name);
        found.ok_or_else(|| SchemeError::Cipher { text: quotable(name) })
    }
}

/// Where a GCM tag stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TagPlace {
    /// In the record, as Node's `getAuthTag()` gives it.
    #[default]
    Apart,
    /// Behind the ciphertext, as Web Crypto writes it.
    Appended,
}

/// Everything that a record's reader and writer must agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scheme {
    /// How the content key is wrapped.
    pub wrap: Wrap,
    /// How the content is encrypted.
    pub cipher: Cipher,
    /// Where the tag stands; without meaning, and always `Apart`, for CBC.
    pub tag: TagPlace,
}

impl Scheme {
    /// What is written unless the caller says otherwise: `oaep-sha256+aes-256-gcm`.
    pub const DEFAULT: Self =
        Self { wrap: Wrap::oaep(Digest::Sha256), cipher: Cipher::Gcm(KeyLen::Bits256), tag: TagPlace::Apart };

    /// Why this scheme needs the caller's consent by name, or `None` when it does not.
    pub fn legacy_reason(self) -> Option<&'static str> {
        match (self.wrap, self.cipher.is_authenticated()) {
            (Wrap::Pkcs1, true) => Some("PKCS#1 v1.5 key wrapping"),
            (Wrap::Pkcs1, false) => Some("PKCS#1 v1.5 key wrapping and unauthenticated CBC"),
            (Wrap::Oaep { .. }, false) => Some("unauthenticated CBC"),
            (Wrap::Oaep { .. }, true) => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.wrap, self.cipher)?;
        match self.tag {
            TagPlace::Apart => Ok(()),
            TagPlace::Appended => f.write_str("+tag-appended"),
        }
    }
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, SchemeError> {
        let mut words = text.split('+');
        let wrap = words.next().unwrap_or_default().parse()?;
        let cipher: Cipher = words.next().unwrap_or_default().parse()?;
        let tag = match (words.next(), cipher.is_authenticated()) {
            (None, _) => TagPlace::Apart,
            (Some("tag-appended"), true) => TagPlace::Appended,
            (Some(word), _) => return Err(SchemeError::Word { text: quotable(word) }),
        };
        match words.next() {
            None => Ok(Self { wrap, cipher, tag }),
            Some(word) => Err(SchemeError::Word { text: quotable(word) }),
        }
    }
}

/// Why a text names no scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemeError {
    /// An unknown wrap.
    #[error(
        "`{text}` is no wrap; known are pkcs1, oaep-sha1, oaep-sha224, oaep-sha256, oaep-sha384, oaep-sha512 and, when the mask's digest differs, oaep-HASH-mgf1-HASH"
    )]
    Wrap {
        /// What stood there, printable.
        text: String,
    },
    /// An unknown cipher.
    #[error("`{text}` is no content cipher; known are aes-128-cbc, aes-256-cbc, aes-128-gcm and aes-256-gcm")]
    Cipher {
        /// What stood there, printable.
        text: String,
    },
    /// A third word that means nothing there.
    #[error("`{text}` has no meaning there; a scheme is WRAP+CIPHER, or WRAP+CIPHER+tag-appended for GCM")]
    Word {
        /// What stood there, printable.
        text: String,
    },
}

/// `text` as a message may quote it: short, and without control characters.
fn quotable(text: &str) -> String {
    const QUOTED_CHARS_MAX: usize = 40;
    text.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_schemes() -> impl Iterator<Item = Scheme> {
        let oaep =
            Digest::ALL.into_iter().flat_map(|digest| Digest::ALL.map(|mgf1| Wrap::Oaep { digest, mgf1 }));
        std::iter::once(Wrap::Pkcs1).chain(oaep).flat_map(|wrap| {
            Cipher::ALL.into_iter().flat_map(move |cipher| {
                let tags: &[TagPlace] = match cipher {
                    Cipher::Cbc(_) => &[TagPlace::Apart],
                    Cipher::Gcm(_) => &[TagPlace::Apart, TagPlace::Appended],
                };
                tags.iter().map(move |&tag| Scheme { wrap, cipher, tag })
            })
        })
    }

    #[test]
    fn every_scheme_has_one_text() {
        let mut texts = std::collections::HashSet::new();
        for scheme in all_schemes() {
            let text = scheme.to_string();
            assert_eq!(text.parse(), Ok(scheme), "{text}");
            assert!(texts.insert(text));
        }
        assert_eq!(texts.len(), 26 * 6);
    }

    #[test]
    fn legacy_is_pkcs1_and_cbc_and_nothing_else() {
        for scheme in all_schemes() {
            let expected = scheme.wrap == Wrap::Pkcs1 || !scheme.cipher.is_authenticated();
            assert_eq!(scheme.legacy_reason().is_some(), expected, "{scheme}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "oaep-sha256",
            "oaep-md5+aes-256-gcm",
            "oaep-sha256-mgf1-sha256+aes-256-gcm",
            "oaep-sha256+aes-192-gcm",
            "oaep-sha256+aes-256-cbc+tag-appended",
            "oaep-sha256+aes-256-gcm+",
            "oaep-sha256+aes-256-gcm+tag-appended+x",
            "OAEP-SHA256+AES-256-GCM",
        ] {
            assert!(text.parse::<Scheme>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_size_limits_are_those_of_rfc_8017() {
        let rows = [
            (Wrap::Pkcs1, 245, 501),
            (Wrap::oaep(Digest::Sha256), 190, 446),
            (Wrap::oaep(Digest::Sha1), 214, 470),
        ];
        for (wrap, rsa_2048, rsa_4096) in rows {
            assert_eq!(wrap.plaintext_len_max(256), rsa_2048);
            assert_eq!(wrap.plaintext_len_max(512), rsa_4096);
        }
    }

    #[test]
    fn a_message_quotes_no_control_character() {
        let err = "a\u{1b}[2J".parse::<Wrap>().unwrap_err().to_string();
        assert!(err.contains("a\\u{1b}[2J"), "{err}");
    }
}
