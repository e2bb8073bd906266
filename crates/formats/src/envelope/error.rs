use super::{FrameLen, HEADER_LEN_MAX, RECIPIENTS_MAX, VERSION, context, recipient};
use crate::codec::Cut;

/// Why bytes are not the header of a native envelope. Nothing secret: no key was used yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The first bytes are not `WAXWING`.
    #[error("this is not a Waxwing envelope: it does not begin with \"WAXWING\"")]
    Magic,
    /// A version this reader does not know.
    #[error("the envelope is of version {version}; this reader knows version {VERSION}")]
    Version {
        /// The version byte.
        version: u8,
    },
    /// `header_len` is over its limit.
    #[error("the header claims {len} bytes; the limit is {HEADER_LEN_MAX}")]
    TooLong {
        /// What it says, or would have to say.
        len: u64,
    },
    /// The input ends inside the header.
    #[error("the header is cut: it needs {needed} bytes and {present} are there")]
    Cut {
        /// Bytes that are needed at least.
        needed: usize,
        /// Bytes that are present.
        present: usize,
    },
    /// A field runs past the end that `header_len` states.
    #[error("the header's fields run past its stated length")]
    LengthMismatch(#[from] Cut),
    /// Bytes follow the MAC inside the header, or follow a detached header.
    #[error("{extra} bytes follow the header's last field")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// A suite this reader does not know.
    #[error("suite 0x{suite:04x} is unknown")]
    UnknownSuite {
        /// Its number.
        suite: u16,
    },
    /// A frame length outside its range.
    #[error("a frame length of 2^{log2} is outside 2^{}..=2^{}", FrameLen::LOG2_RANGE.start(), FrameLen::LOG2_RANGE.end())]
    FrameLen {
        /// The exponent.
        log2: u8,
    },
    /// The reserved byte is used.
    #[error("the reserved byte is {value}; it must be 0")]
    Reserved {
        /// Its value.
        value: u8,
    },
    /// Context keys are not strictly ascending (so one is out of order or there twice).
    #[error("context entry {index} is out of order or there twice")]
    ContextOrder {
        /// Counted from 0.
        index: usize,
    },
    /// The context is over its limit.
    #[error("the context's entries take {len} bytes; the limit is {}", context::CONTEXT_LEN_MAX)]
    ContextTooLong {
        /// Bytes with length prefixes, as far as they were counted.
        len: usize,
    },
    /// A context key or value is not UTF-8, or holds U+0000.
    #[error("context entry {index} is not UTF-8 text without U+0000")]
    ContextText {
        /// Counted from 0.
        index: usize,
    },
    /// A context key is empty.
    #[error("context entry {index} has an empty key")]
    ContextEmptyKey {
        /// Counted from 0.
        index: usize,
    },
    /// No recipient, or too many.
    #[error("the header has {count} recipients; 1..={RECIPIENTS_MAX} are allowed")]
    RecipientCount {
        /// How many it says there are.
        count: u16,
    },
    /// A recipient kind that is not a kind.
    #[error(
        "recipient {index} has a kind that is not 1..={} characters of a-z, 0-9 and -",
        recipient::KIND_LEN_MAX
    )]
    RecipientKind {
        /// Counted from 0.
        index: usize,
    },
}

impl HeaderError {
    /// The failure's name in `docs/formats/envelope-v1.md` and in the vectors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Magic => "bad-magic",
            Self::Version { .. } => "unsupported-version",
            Self::TooLong { .. } => "header-too-long",
            Self::Cut { .. } => "header-cut",
            Self::LengthMismatch(_) => "header-length-mismatch",
            Self::Trailing { .. } => "trailing-header-bytes",
            Self::UnknownSuite { .. } => "unknown-suite",
            Self::FrameLen { .. } => "frame-len-out-of-range",
            Self::Reserved { .. } => "reserved-not-zero",
            Self::ContextOrder { .. } => "context-not-ascending",
            Self::ContextTooLong { .. } => "context-too-long",
            Self::ContextText { .. } => "context-invalid-text",
            Self::ContextEmptyKey { .. } => "context-empty-key",
            Self::RecipientCount { .. } => "recipient-count-out-of-range",
            Self::RecipientKind { .. } => "recipient-kind-invalid",
        }
    }
}
