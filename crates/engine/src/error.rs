use std::io;

use waxwing_core::content::PlanError;
use waxwing_core::{NotAuthentic, OpenError, RandomError};
use waxwing_formats::envelope::HeaderError;
use waxwing_keyring::{
    FailedKey, FailedKeys, KeystoreError, RecordKeyError, UnlockError, UnwrapError, WrapError,
};

use crate::profile::MessageError;

/// Which side of the work an I/O error belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Reading what is sealed or opened.
    Input,
    /// Writing what came of it.
    Output,
    /// Keeping ciphertext that could only be read once.
    Spool,
}

impl Side {
    fn doing(self) -> &'static str {
        match self {
            Self::Input => "reading the input",
            Self::Output => "writing the output",
            Self::Spool => "keeping a copy of the ciphertext",
        }
    }
}

/// Why something was not sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system failed at an input or output.
    #[error("{} failed", side.doing())]
    Io {
        /// Which.
        side: Side,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The input was written to while it was read.
    #[error("the input changed while it was read")]
    InputChanged,
    /// The output exists, and may not be replaced.
    #[error("the output exists already")]
    OutputExists,
    /// The folder to write to lies in the folder to read.
    #[error("the output folder lies inside the input folder, or is the same")]
    OutputInside,
    /// The input is longer than one envelope or one record can hold.
    #[error("the input is longer than {limit} bytes, the most that can be sealed at once")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// The system gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A recipient's key could not wrap.
    #[error("the data key could not be wrapped for every recipient")]
    Wrap(#[source] WrapError),
    /// The header to be written breaks a limit.
    #[error("the header cannot be written")]
    Header(#[source] HeaderError),
    /// No key opened the header.
    #[error(transparent)]
    Unlock(UnlockError),
    /// The envelope does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The record and its scheme do not fit, or the scheme is refused. No key was used.
    #[error(transparent)]
    Plan(PlanError),
    /// No key, or not the right one, for a record. No key was used.
    #[error(transparent)]
    RecordKey(RecordKeyError),
    /// The message does not fit its profile. No key was used.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A ciphertext that is shorter than the tag that should end it.
    #[error("the ciphertext is {len} bytes long, too short for the tag at its end")]
    NoRoomForTag {
        /// What it is.
        len: u64,
    },
    /// The ciphertext is not the one that the record was made for. No key was used.
    #[error("the ciphertext's SHA-256 is not the record's: it was damaged or exchanged")]
    DigestMismatch,
    /// The requested range does not lie in the plaintext.
    #[error("the range begins at byte {start}; the plaintext has {len} bytes")]
    Range {
        /// First byte asked for.
        start: u64,
        /// Bytes of plaintext.
        len: u64,
    },
    /// Only a file can be read at an offset.
    #[error("a range needs a file; this input can only be read from its beginning")]
    NotSeekable,
    /// The keystore did not do what it was asked.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// Somebody else is writing the same file anew.
    #[error("another process is working on the same file")]
    Busy,
    /// The caller asked to stop.
    #[error("stopped before it was done; nothing was written")]
    Stopped,
}

impl Error {
    pub(crate) fn input(err: io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::UnexpectedEof => Self::InputChanged,
            _ => Self::Io { side: Side::Input, source: err },
        }
    }

    pub(crate) fn output(err: io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::AlreadyExists => Self::OutputExists,
            _ => Self::Io { side: Side::Output, source: err },
        }
    }

    /// A source that is no file failed: that it ends early is its own failure.
    pub(crate) fn source_failed(source: io::Error) -> Self {
        Self::Io { side: Side::Input, source }
    }

    /// The error as readers and writers report it.
    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Io { source, .. } => source.kind(),
            Self::Open(OpenError::Truncated) => io::ErrorKind::UnexpectedEof,
            Self::Open(_) | Self::Unlock(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    /// Whether every other file would fail for the same reason.
    pub(crate) fn ends_all_work(&self) -> bool {
        match self {
            Self::Io { side: Side::Output | Side::Spool, source } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Random(_) | Self::Stopped => true,
            _ => false,
        }
    }

    pub(crate) fn spool(source: io::Error) -> Self {
        Self::Io { side: Side::Spool, source }
    }
}

impl From<WrapError> for Error {
    fn from(err: WrapError) -> Self {
        match err {
            WrapError::Random(err) => Self::Random(err),
            err => Self::Wrap(err),
        }
    }
}

impl From<UnlockError> for Error {
    fn from(err: UnlockError) -> Self {
        match err {
            // One answer for everything that happens once a key was used.
            UnlockError::NotAuthentic(err) => Self::from(err),
            err => Self::Unlock(err),
        }
    }
}

impl From<UnwrapError> for Error {
    fn from(err: UnwrapError) -> Self {
        match err {
            UnwrapError::Service { key, source } => {
                Self::Unlock(UnlockError::Unavailable(FailedKeys(vec![FailedKey { key, source }])))
            }
            // One answer for everything that happens once a key was used.
            _ => NotAuthentic.into(),
        }
    }
}

impl From<NotAuthentic> for Error {
    fn from(err: NotAuthentic) -> Self {
        Self::Open(err.into())
    }
}
