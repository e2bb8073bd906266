//! Base64 (RFC 4648) as partners send it.
//!
//! Written with the standard alphabet and padding. Read in one of two ways: [`Reading::Strict`] takes either alphabet,
//! padded or not, and nothing else; [`Reading::Lenient`] takes what Node's `Buffer.from(text, "base64")` takes. Both say
//! what they tolerated beyond the written form.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const TOLERANT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, TOLERANT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, TOLERANT);
/// Node drops the bits that do not fill a byte, whatever they are.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, TOLERANT.with_decode_allow_trailing_bits(true));

/// How forgivingly base64 is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reading {
    /// Either alphabet but not both, with or without padding, no other character, no stray bits.
    #[default]
    Strict,
    /// As Node: both alphabets, other characters skipped, everything from the first `=` on ignored.
    Lenient,
}

/// What a text had that the written form has not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tolerated {
    /// Letters of the URL-safe alphabet.
    pub url_safe: bool,
    /// Missing padding.
    pub unpadded: bool,
    /// White space or other characters outside the alphabets ([`Reading::Lenient`] only).
    pub foreign: bool,
}

impl Tolerated {
    /// Whether the text was in the written form.
    pub fn nothing(self) -> bool {
        self == Self::default()
    }
}

/// Why a text is not base64. Tells a position, never the character: the text may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Error {
    /// White space inside or around the text.
    #[error("white space at character {at} (lenient reading would skip it)")]
    WhiteSpace {
        /// Counted from 0.
        at: usize,
    },
    /// A character of neither alphabet.
    #[error("character {at} is not of the base64 alphabet")]
    Character {
        /// Counted from 0.
        at: usize,
    },
    /// Letters of both alphabets.
    #[error("the standard and the URL-safe alphabet are mixed")]
    Mixed,
    /// The length or the last bits are impossible.
    #[error("the text is cut: its length or its last character is impossible")]
    Ending,
}

/// `bytes` in the written form.
pub fn encode(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Reads `text`.
///
/// # Errors
///
/// [`Base64Error`]; a lenient reading never fails.
pub fn decode(text: &str, reading: Reading) -> Result<(Vec<u8>, Tolerated), Base64Error> {
    match reading {
        Reading::Strict => decode_strict(text),
        Reading::Lenient => Ok(decode_lenient(text)),
    }
}

fn decode_strict(text: &str) -> Result<(Vec<u8>, Tolerated), Base64Error> {
    let body = text.trim_end_matches('=');
    for (at, c) in body.char_indices() {
        match c {
            _ if is_letter(c) => {}
            _ if c.is_whitespace() => return Err(Base64Error::WhiteSpace { at }),
            _ => return Err(Base64Error::Character { at }),
        }
    }
    let url_safe = body.contains(['-', '_']);
    if url_safe && body.contains(['+', '/']) {
        return Err(Base64Error::Mixed);
    }
    let engine = if url_safe { &URL_SAFE } else { &STANDARD };
    let bytes = engine.decode(text).map_err(|_| Base64Error::Ending)?;
    let unpadded = !text.len().is_multiple_of(4);
    Ok((bytes, Tolerated { url_safe, unpadded, foreign: false }))
}

fn decode_lenient(text: &str) -> (Vec<u8>, Tolerated) {
    let body = text.split('=').next().unwrap_or_default();
    let mut letters: String = body
        .chars()
        .filter(|&c| is_letter(c))
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    let tolerated = Tolerated {
        url_safe: body.contains(['-', '_']),
        unpadded: !text.len().is_multiple_of(4),
        foreign: body.len() != letters.len(),
    };
    if letters.len() % 4 == 1 {
        letters.pop();
    }
    let bytes = LENIENT.decode(letters).expect("letters in a possible number decode");
    (bytes, tolerated)
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strict(text: &str) -> Result<Vec<u8>, Base64Error> {
        decode(text, Reading::Strict).map(|(bytes, _)| bytes)
    }

    #[test]
    fn strict_takes_both_alphabets_with_and_without_padding() {
        let bytes = [0xfb, 0xff, 0xbf, 0x01];
        for (text, url_safe, unpadded) in [
            ("+/+/AQ==", false, false),
            ("+/+/AQ", false, true),
            ("-_-_AQ==", true, false),
            ("-_-_AQ", true, true),
        ] {
            let tolerated = Tolerated { url_safe, unpadded, foreign: false };
            assert_eq!(decode(text, Reading::Strict), Ok((bytes.to_vec(), tolerated)), "{text}");
        }
    }

    #[test]
    fn strict_refuses_the_rest_by_name() {
        assert_eq!(strict("AA AA"), Err(Base64Error::WhiteSpace { at: 2 }));
        assert_eq!(strict("AAAA\n"), Err(Base64Error::WhiteSpace { at: 4 }));
        assert_eq!(strict("AA!A"), Err(Base64Error::Character { at: 2 }));
        assert_eq!(strict("AA==AA=="), Err(Base64Error::Character { at: 2 }));
        assert_eq!(strict("+_AA"), Err(Base64Error::Mixed));
        assert_eq!(strict("AAAAA"), Err(Base64Error::Ending));
        assert_eq!(strict("AB=="), Err(Base64Error::Ending), "stray bits");
        assert_eq!(strict("AA==="), Err(Base64Error::Ending), "too much padding");
    }

    #[test]
    fn lenient_is_node() {
        // Each pair was printed by Node 20: Buffer.from(text, 'base64').toString('hex').
        for (text, hex) in [
            ("+_-/", "fbffbf"),
            ("AA AA\n", "000000"),
            ("AQ==AQ==", "01"),
            ("AQ=A", "01"),
            ("AB", "00"),
            ("A", ""),
            ("AAAAA", "000000"),
            ("A!B*C$D", "001083"),
        ] {
            let (bytes, _) = decode(text, Reading::Lenient).unwrap();
            assert_eq!(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>(), hex, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back_and_tolerates_nothing(bytes: Vec<u8>) {
            for reading in [Reading::Strict, Reading::Lenient] {
                let (read, tolerated) = decode(&encode(&bytes), reading).unwrap();
                prop_assert_eq!(&read, &bytes);
                prop_assert!(tolerated.nothing());
            }
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = decode(&text, Reading::Strict);
            let _ = decode(&text, Reading::Lenient);
        }
    }
}
