//! How partners write bytes as text.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// How bytes are written. Reading skips ASCII white space inside base64, since XML and MIME break its lines, and tolerates
/// nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Standard alphabet with padding (RFC 4648, section 4).
    Base64,
    /// Standard alphabet, padding optional.
    Base64NoPad,
    /// URL-safe alphabet, padding optional (RFC 4648, section 5).
    Base64Url,
    /// Both alphabets, even mixed, padding optional. Written as [`Self::Base64Url`] without padding.
    Base64Any,
    /// Hexadecimal, either case (RFC 4648, section 8). Written in lower case.
    Hex,
    /// The bytes themselves.
    Raw,
    /// The UTF-8 of the text.
    Utf8,
    /// The UTF-8 of the text, filled up with zero bytes to eight.
    Utf8Zero8,
    /// A number's decimal digits.
    IntText,
}

impl Encoding {
    /// Every encoding with its word.
    pub const ALL: [(&'static str, Self); 9] = [
        ("base64", Self::Base64),
        ("base64-nopad", Self::Base64NoPad),
        ("base64url", Self::Base64Url),
        ("base64-any", Self::Base64Any),
        ("hex", Self::Hex),
        ("raw", Self::Raw),
        ("utf8", Self::Utf8),
        ("utf8-zero8", Self::Utf8Zero8),
        ("int-text", Self::IntText),
    ];

    /// The bytes that `text` stands for.
    ///
    /// # Errors
    ///
    /// [`EncodingError`].
    pub fn decode(self, text: &str) -> Result<Vec<u8>, EncodingError> {
        let base64 = |text: &str| match self {
            Self::Base64 => STANDARD.decode(text),
            Self::Base64Url => URL_SAFE_NO_PAD.decode(unpadded(text)),
            _ => STANDARD_NO_PAD.decode(unpadded(text)),
        };
        let malformed = |_| EncodingError::Malformed { encoding: self };
        match self {
            Self::Raw | Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Utf8Zero8 => {
                let mut bytes = text.as_bytes().to_vec();
                if bytes.len() > 8 {
                    return Err(EncodingError::Malformed { encoding: self });
                }
                bytes.resize(8, 0);
                Ok(bytes)
            }
            Self::IntText => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.as_bytes().to_vec()).ok_or(EncodingError::Malformed { encoding: self })
            }
            Self::Hex => {
                hex::decode(text.trim_ascii()).map_err(|_| EncodingError::Malformed { encoding: self })
            }
            Self::Base64Any => {
                let text: String = without_space(text)
                    .chars()
                    .map(|c| match c {
                        '-' => '+',
                        '_' => '/',
                        c => c,
                    })
                    .collect();
                base64(&text).map_err(malformed)
            }
            Self::Base64 | Self::Base64NoPad | Self::Base64Url => {
                base64(&without_space(text)).map_err(malformed)
            }
        }
    }

    /// `bytes` as text.
    ///
    /// # Errors
    ///
    /// [`EncodingError::NotText`] where the bytes are the text.
    pub fn encode(self, bytes: &[u8]) -> Result<String, EncodingError> {
        Ok(match self {
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64NoPad => STANDARD_NO_PAD.encode(bytes),
            Self::Base64Url | Self::Base64Any => URL_SAFE_NO_PAD.encode(bytes),
            Self::Hex => hex::encode(bytes),
            Self::Raw | Self::Utf8 | Self::IntText => text(bytes)?.to_owned(),
            Self::Utf8Zero8 => text(bytes)?.trim_end_matches('\0').to_owned(),
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, EncodingError> {
    std::str::from_utf8(bytes).map_err(|_| EncodingError::NotText)
}

fn without_space(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}

/// `text` without the padding that its length calls for. More or less of it stays, and is refused.
fn unpadded(text: &str) -> &str {
    if !text.len().is_multiple_of(4) {
        return text;
    }
    text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text)
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(_, encoding)| encoding == self).map(|(word, _)| *word);
        f.write_str(word.expect("every encoding has a word"))
    }
}

impl FromStr for Encoding {
    type Err = EncodingError;

    fn from_str(word: &str) -> Result<Self, EncodingError> {
        let found = Self::ALL.iter().find(|(known, _)| *known == word).map(|&(_, encoding)| encoding);
        found.ok_or(EncodingError::Unknown)
    }
}

/// Why a text is not bytes in an encoding, or the other way round. It never quotes the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// No encoding has this name.
    #[error("known are base64, base64-nopad, base64url, base64-any, hex, raw, utf8, utf8-zero8 and int-text")]
    Unknown,
    /// The text is not in the encoding.
    #[error("it is not {encoding}")]
    Malformed {
        /// What it should be.
        encoding: Encoding,
    },
    /// The bytes are not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_encoding_takes_what_it_names_and_nothing_else() {
        use Encoding::{Base64, Base64Any, Base64NoPad, Base64Url, Hex, IntText, Utf8Zero8};
        let bytes = vec![0xfb, 0xff, 0xbf, 0x01];
        for (encoding, good, bad) in [
            (
                Base64,
                &["+/+/AQ==", "+/+/\r\n AQ=="][..],
                &["+/+/AQ", "-_-_AQ==", "+/+/AR==", "+/+/AQ=", "+/+/!Q=="][..],
            ),
            (Base64NoPad, &["+/+/AQ==", "+/+/AQ"], &["-_-_AQ", "+/+/AQ=", "+/+/AQ==="]),
            (Base64Url, &["-_-_AQ", "-_-_AQ=="], &["+/+/AQ", "-_-_AQ="]),
            (Base64Any, &["-/+_AQ", "+/+/AQ==", "-_-_AQ"], &["-_-_AR", "-_-_A"]),
            (Hex, &["fbffbf01", "FBFFbf01", "fbffbf01\n"], &["fbffbf0", "fb ff bf 01", "0xfbffbf01"]),
        ] {
            for text in good {
                assert_eq!(encoding.decode(text), Ok(bytes.clone()), "{encoding} {text:?}");
            }
            for text in bad {
                assert_eq!(
                    encoding.decode(text),
                    Err(EncodingError::Malformed { encoding }),
                    "{encoding} {text:?}"
                );
            }
        }
        assert_eq!(Utf8Zero8.decode("2.0"), Ok(b"2.0\0\0\0\0\0".to_vec()));
        assert!(Utf8Zero8.decode("123456789").is_err());
        assert_eq!(IntText.decode("120"), Ok(b"120".to_vec()));
        assert!(IntText.decode("-1").is_err() && IntText.decode("").is_err());
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(bytes: Vec<u8>) {
            for (word, encoding) in Encoding::ALL {
                prop_assert_eq!(word.parse(), Ok(encoding));
                if let (Ok(text), true) = (encoding.encode(&bytes), !matches!(encoding, Encoding::IntText | Encoding::Utf8Zero8)) {
                    prop_assert_eq!(encoding.decode(&text), Ok(bytes.clone()), "{}", encoding);
                }
            }
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            for (_, encoding) in Encoding::ALL {
                let _ = encoding.decode(&text);
            }
        }
    }
}
