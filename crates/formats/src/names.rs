//! The names that cross the system's borders: files, agents, jobs, workers and keys.
//!
//! Each has one grammar and its own type, so that a checked name cannot be confused with text from outside, nor one
//! kind of name with another. The alphabet is ASCII without separators, so no name leaves a directory, hides in a
//! terminal or looks like another; an output may be called `{FileID}.csv` without a second check.
//!
//! | type | grammar |
//! |---|---|
//! | [`FileId`] | `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, without `..` |
//! | [`AgentId`], [`WorkerId`] | the same, at most 64 bytes |
//! | [`JobId`] | the same, at most 64 bytes |
//! | [`KeyId`] | an even number of lower-case hexadecimal digits, 8 to 128 |
//!
//! ```
//! use waxwing_formats::names::FileId;
//!
//! let id: FileId = "q3-2026.eu".parse()?;
//! assert_eq!(id.as_str(), "q3-2026.eu");
//! assert_eq!(
//!     "../../x".parse::<FileId>().unwrap_err().to_string(),
//!     "the file id `../../x` starts with `.`; it must start with a letter or a digit"
//! );
//! # Ok::<(), waxwing_formats::names::NameError>(())
//! ```

use std::fmt;

/// The length of the longest [`FileId`], in bytes.
pub const FILE_ID_LEN_MAX: usize = 128;
/// The length of the longest [`AgentId`], [`WorkerId`] or [`JobId`], in bytes.
pub const NAME_LEN_MAX: usize = 64;
/// The length of the shortest [`KeyId`], in hexadecimal digits.
pub const KEY_ID_LEN_MIN: usize = 8;
/// The length of the longest [`KeyId`], in hexadecimal digits.
pub const KEY_ID_LEN_MAX: usize = 128;

/// Defines a newtype around text that only its grammar can make.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(fault) => Err(NameError { kind: $kind, fault }),
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(fault) => Err(NameError { kind: $kind, fault }),
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of a delivered file, from which the output is named. It comes from strangers.
    FileId,
    "file id",
    |text: &str| check_word(text, FILE_ID_LEN_MAX)
);
name_type!(
    /// The name under which a recipient's public keys are registered.
    AgentId,
    "agent id",
    |text: &str| check_word(text, NAME_LEN_MAX)
);
name_type!(
    /// The name of one delivery.
    JobId,
    "job id",
    |text: &str| check_word(text, NAME_LEN_MAX)
);
name_type!(
    /// The name of one worker process.
    WorkerId,
    "worker id",
    |text: &str| check_word(text, NAME_LEN_MAX)
);
name_type!(
    /// The identity of a public key, in lower-case hexadecimal: a digest that the keyring computes.
    KeyId,
    "key id",
    check_hex
);

impl JobId {
    /// Names a job after 16 random bytes, which the caller draws: 32 hexadecimal digits.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }
}

/// Text is not a name of the kind asked for.
///
/// The message quotes the text with everything but printable ASCII escaped, and text that is too long not at all, so
/// it is fit for a terminal or a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {kind} {fault}")]
pub struct NameError {
    /// What the text should have been: `file id`, `agent id` and so on.
    pub kind: &'static str,
    /// What is wrong with it.
    pub fault: NameFault,
}

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// There is no text.
    #[error("is empty")]
    Empty,
    /// The text is longer than names of this kind may be.
    #[error("is {len} bytes long; the limit is {len_max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        len_max: usize,
    },
    /// The first character is neither a letter nor a digit.
    #[error("`{quoted}` starts with `{}`; it must start with a letter or a digit", .found.escape_default())]
    Start {
        /// The text, escaped.
        quoted: String,
        /// The first character.
        found: char,
    },
    /// A character is outside the alphabet.
    #[error("`{quoted}` has `{}` at byte {at}; allowed are ASCII letters, digits, `.`, `_` and `-`", .found.escape_default())]
    Character {
        /// The text, escaped.
        quoted: String,
        /// The character.
        found: char,
        /// Where it starts, in bytes.
        at: usize,
    },
    /// Two dots stand together, which some systems read as the directory above.
    #[error("`{quoted}` contains `..`")]
    DotDot {
        /// The text, escaped.
        quoted: String,
    },
    /// The text is no hexadecimal number of whole bytes.
    #[error(
        "`{quoted}` is malformed; it must be an even number of the digits 0-9 and a-f, at least {KEY_ID_LEN_MIN}"
    )]
    Hex {
        /// The text, escaped.
        quoted: String,
    },
}

fn check_word(text: &str, len_max: usize) -> Result<(), NameFault> {
    let first = check_len(text, len_max)?;
    if !first.is_ascii_alphanumeric() {
        return Err(NameFault::Start { quoted: quote(text), found: first });
    }
    let stranger =
        text.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
    if let Some((at, found)) = stranger {
        return Err(NameFault::Character { quoted: quote(text), found, at });
    }
    if text.contains("..") {
        return Err(NameFault::DotDot { quoted: quote(text) });
    }
    Ok(())
}

fn check_hex(text: &str) -> Result<(), NameFault> {
    check_len(text, KEY_ID_LEN_MAX)?;
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !digits || text.len() < KEY_ID_LEN_MIN || !text.len().is_multiple_of(2) {
        return Err(NameFault::Hex { quoted: quote(text) });
    }
    Ok(())
}

/// Checks the length before anything looks at, or quotes, the text; returns the first character.
fn check_len(text: &str, len_max: usize) -> Result<char, NameFault> {
    if text.len() > len_max {
        return Err(NameFault::TooLong { len: text.len(), len_max });
    }
    text.chars().next().ok_or(NameFault::Empty)
}

/// Escapes all but printable ASCII: control characters steer terminals, and letters of other scripts pass for ours.
fn quote(text: &str) -> String {
    text.escape_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(text: &str) -> String {
        text.parse::<FileId>().unwrap_err().to_string()
    }

    #[test]
    fn accepts_the_grammar_up_to_its_edges() {
        for text in ["a", "0", "A.b_c-d", "q3.", "a.b.c", &"x".repeat(FILE_ID_LEN_MAX)] {
            assert_eq!(text.parse::<FileId>().unwrap().to_string(), text);
        }
        assert!("x".repeat(NAME_LEN_MAX).parse::<AgentId>().is_ok());
        assert!("x".repeat(NAME_LEN_MAX + 1).parse::<AgentId>().is_err());
    }

    /// Attack row 23: names that try to be paths, terminals or memory.
    #[test]
    fn row_23_refuses_names_that_are_paths_or_escapes() {
        assert_eq!(refusal(""), "the file id is empty");
        assert_eq!(refusal(&"x".repeat(1 << 20)), "the file id is 1048576 bytes long; the limit is 128");
        assert_eq!(
            refusal("../../x"),
            "the file id `../../x` starts with `.`; it must start with a letter or a digit"
        );
        assert_eq!(
            refusal("a/b"),
            "the file id `a/b` has `/` at byte 1; allowed are ASCII letters, digits, `.`, `_` and `-`"
        );
        assert_eq!(
            refusal("%2e%2e"),
            "the file id `%2e%2e` starts with `%`; it must start with a letter or a digit"
        );
        assert_eq!(
            refusal("a\nb"),
            r"the file id `a\nb` has `\n` at byte 1; allowed are ASCII letters, digits, `.`, `_` and `-`"
        );
        assert_eq!(
            refusal("x\u{1b}[31m"),
            r"the file id `x\u{1b}[31m` has `\u{1b}` at byte 1; allowed are ASCII letters, digits, `.`, `_` and `-`"
        );
        assert_eq!(refusal("a..b"), "the file id `a..b` contains `..`");
        for text in [".", "-rf", "a\0", "a\\b", "C:", "\u{430}", "a\u{202e}b", " a", "a "] {
            assert!(text.parse::<FileId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn key_ids_are_whole_bytes_in_lower_case() {
        assert!("00ff17ab".parse::<KeyId>().is_ok());
        for text in ["", "00ff17", "00ff17abc", "00FF17AB", "00ff17ag", &"a".repeat(KEY_ID_LEN_MAX + 2)] {
            assert!(text.parse::<KeyId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn serde_checks_the_grammar() {
        assert_eq!(
            serde_json::to_string(&JobId::from_random([1; 16])).unwrap(),
            format!("\"{}\"", "01".repeat(16))
        );
        assert!(serde_json::from_str::<JobId>("\"a/b\"").is_err());
    }

    proptest! {
        /// What is accepted obeys the grammar, checked here byte by byte.
        #[test]
        fn accepted_names_hold_no_stranger(text in "\\PC{0,20}|[A-Za-z0-9._-]{0,140}") {
            let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
            let grammatical = (1..=FILE_ID_LEN_MAX).contains(&text.len())
                && text.as_bytes()[0].is_ascii_alphanumeric()
                && text.as_bytes().iter().all(allowed)
                && !text.as_bytes().windows(2).any(|w| w == b"..");
            prop_assert_eq!(text.parse::<FileId>().is_ok(), grammatical);
        }

        /// Whatever comes in, the message is one line of printable ASCII, and bounded.
        #[test]
        fn messages_are_fit_for_a_terminal(text in any::<String>()) {
            if let Err(error) = text.parse::<JobId>() {
                let message = error.to_string();
                prop_assert!(message.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
                prop_assert!(message.len() < 1000);
            }
        }
    }
}
