use super::{RECORD_LEN_MAX, Role, Spelling};
use crate::base64::Base64Error;
use crate::scheme::SchemeError;

/// Why JSON is no record. Says which field, never what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Over [`RECORD_LEN_MAX`].
    #[error("the record is {len} bytes long; the limit is {RECORD_LEN_MAX}")]
    TooLong {
        /// Bytes of JSON.
        len: usize,
    },
    /// Not JSON, or not a JSON object.
    #[error("the record is not a JSON object (line {line}, column {column})")]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// The same name twice in one object.
    #[error("the record has the field `{name}` twice")]
    Duplicate {
        /// The name, printable.
        name: String,
    },
    /// Two names of the same value.
    #[error("the record has both `{first}` and `{second}`, which mean the same; remove one")]
    TwoSpellings {
        /// One name.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A value that every record has.
    #[error("the record has no `{}` (read as well: {})", role.name(Spelling::Job), others(*role))]
    Missing {
        /// The value.
        role: Role,
    },
    /// An empty text.
    #[error("the record's `{name}` is empty")]
    Empty {
        /// The field.
        name: &'static str,
    },
    /// A number, list, object, boolean or null where a text belongs.
    #[error("the record's `{name}` is not a text")]
    NotText {
        /// The field.
        name: &'static str,
    },
    /// Not base64.
    #[error("the record's `{name}` is not base64")]
    Base64 {
        /// The field.
        name: &'static str,
        /// What is wrong with it.
        source: Base64Error,
    },
    /// Not 64 lower-case hex digits.
    #[error("the record's `{name}` is not 64 lower-case hex digits")]
    Hex {
        /// The field.
        name: &'static str,
    },
    /// A length that the value cannot have.
    #[error("the record's `{name}` is {len} bytes; {} allowed", range(*min, *max))]
    Length {
        /// The field.
        name: &'static str,
        /// Bytes it has.
        len: usize,
        /// Bytes it must have at least.
        min: usize,
        /// Bytes it may have at most.
        max: usize,
    },
    /// No scheme this version knows.
    #[error("the record's `{name}` names no known scheme")]
    Scheme {
        /// The field.
        name: &'static str,
        /// What is wrong with it.
        source: SchemeError,
    },
}

fn range(min: usize, max: usize) -> String {
    if min == max { format!("{min} are") } else { format!("{min} to {max} are") }
}

fn others(role: Role) -> String {
    let written = role.name(Spelling::Job);
    let mut names: Vec<_> = role.field().names().filter(|name| *name != written).collect();
    names.dedup();
    names.join(", ")
}
