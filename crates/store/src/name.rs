use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The name of an object: one or more segments joined by `/`.
///
/// A segment has 1 to 128 characters of `A-Z a-z 0-9 . _ -` and does not begin with a dot; the whole name has at most 255.
/// So no name is absolute, holds `..`, `%`, a backslash or a control character, or hides among a store's own dot files: a
/// name joined to a root stays below it. Each object has one spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// Bytes of randomness in a name from [`ObjectName::from_random`]: 96 bits cannot be guessed and do not repeat.
    pub const RANDOM_LEN: usize = 12;
    /// Longest name, in bytes.
    pub const LEN_MAX: usize = 255;
    /// Longest segment, in bytes; leaves room for a suffix below the 255 that file systems allow.
    pub const SEGMENT_LEN_MAX: usize = 128;

    /// Checks `text` against the grammar.
    ///
    /// # Errors
    ///
    /// [`NameError`] with the byte that is wrong. The text itself is not repeated: it may be hostile.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::LEN_MAX {
            return Err(NameError::TooLong { len: text.len() });
        }
        if let Some((at, found)) = text.char_indices().find(|&(_, c)| !is_allowed(c)) {
            return Err(NameError::Character { found, at });
        }
        let mut at = 0;
        for segment in text.split('/') {
            match segment.len() {
                0 => return Err(NameError::EmptySegment { at }),
                len @ 129.. => return Err(NameError::LongSegment { len, at }),
                _ if segment.starts_with('.') => return Err(NameError::LeadingDot { at }),
                len => at += len + 1,
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The default name of a ciphertext: `data/` and 16 characters of base64url without padding (RFC 4648, section 5).
    pub fn from_random(random: [u8; Self::RANDOM_LEN]) -> Self {
        Self(format!("data/{}", URL_SAFE_NO_PAD.encode(random)))
    }

    /// [`ObjectName::from_random`] with bytes from the operating system's generator.
    ///
    /// # Errors
    ///
    /// [`RandomFailed`] when that generator fails; there is no fallback.
    pub fn random() -> Result<Self, RandomFailed> {
        let mut random = [0; Self::RANDOM_LEN];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| RandomFailed)?;
        Ok(Self::from_random(random))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the object lies below `root`.
    pub(crate) fn below(&self, root: &Path) -> PathBuf {
        let mut path = root.to_owned();
        path.extend(self.0.split('/'));
        path
    }
}

impl FromStr for ObjectName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectName({})", self.0)
    }
}

/// Why a text is no [`ObjectName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    #[error("the object name is {len} bytes long; the limit is {}", ObjectName::LEN_MAX)]
    #[allow(missing_docs)]
    TooLong { len: usize },
    #[error(
        "the object name has {found:?} at byte {at}; allowed are A-Z a-z 0-9 . _ - and / between segments"
    )]
    #[allow(missing_docs)]
    Character { found: char, at: usize },
    #[error("the object name has an empty segment at byte {at}")]
    #[allow(missing_docs)]
    EmptySegment { at: usize },
    #[error(
        "the object name's segment at byte {at} is {len} bytes long; the limit is {}",
        ObjectName::SEGMENT_LEN_MAX
    )]
    #[allow(missing_docs)]
    LongSegment { len: usize, at: usize },
    #[error("the object name's segment at byte {at} begins with a dot")]
    #[allow(missing_docs)]
    LeadingDot { at: usize },
}

/// The operating system's random generator failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct RandomFailed;

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_names_have_the_documented_shape() {
        assert_eq!(ObjectName::from_random([0xff; 12]).as_str(), "data/________________");
        let name = ObjectName::random().unwrap();
        assert_eq!(name.as_str().len(), "data/".len() + 16);
        assert_eq!(ObjectName::parse(name.as_str()), Ok(name));
    }

    #[test]
    fn attack_23_names_that_would_leave_the_root_are_refused() {
        let long = "a".repeat(1 << 20);
        for text in [
            "",
            "/",
            "/etc/passwd",
            "..",
            ".",
            "data/..",
            "../../x",
            "data//x",
            "data/",
            "data/.hidden",
            "%2e%2e/x",
            "a\\..\\b",
            "C:\\x",
            "a\nb",
            "a\0b",
            "\u{1b}[31m",
            "a b",
            "é",
            "data/\u{ff0e}\u{ff0e}/x",
            &long,
        ] {
            assert!(ObjectName::parse(text).is_err(), "accepted {text:?}");
        }
    }

    #[test]
    fn accepted_names_stay_below_their_root() {
        for text in ["a", "data/x.csv", "a..b/c-_.d", &"s".repeat(128)] {
            let path = ObjectName::parse(text).unwrap().below(Path::new("/root"));
            assert_eq!(path, Path::new("/root").join(text));
            assert!(path.components().all(|c| c != std::path::Component::ParentDir));
        }
    }

    #[test]
    fn errors_point_at_the_byte() {
        assert_eq!(ObjectName::parse("data/a b"), Err(NameError::Character { found: ' ', at: 6 }));
        assert_eq!(ObjectName::parse("data//x"), Err(NameError::EmptySegment { at: 5 }));
        assert_eq!(ObjectName::parse("a/.b"), Err(NameError::LeadingDot { at: 2 }));
        assert_eq!(ObjectName::parse(&"s".repeat(129)), Err(NameError::LongSegment { len: 129, at: 0 }));
    }
}
