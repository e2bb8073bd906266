use std::io;

use waxwing_keyring::said;

/// Why a file elsewhere was not read or written. It names the file without user, password and query.
#[derive(Debug, thiserror::Error)]
#[error("`{location}`: {fault}")]
pub struct RemoteError {
    pub(super) location: String,
    pub(super) fault: Fault,
}

impl RemoteError {
    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

/// What can go wrong with a file elsewhere. What a service says is made fit for a line, and URLs are taken out of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum Fault {
    #[error("it is not there, or its bucket or folder is not")]
    NotFound,
    #[error("the service denies access: {0}")]
    Denied(String),
    #[error("it exists already")]
    Exists,
    #[error("it changed while it was read")]
    Changed,
    #[error("the service cannot be reached: {0}")]
    Unreachable(String),
    #[error("the service is not ready: {0}")]
    NotReady(String),
    #[error("the service did not answer in time")]
    TimedOut,
    #[error("this kind of URL can only be read")]
    ReadOnly,
    #[error("the server gives no parts of it, only all of it")]
    NoRanges,
    #[error(
        "this kind of service cannot copy a part of what it has: rewrap a copy of the file, or keep headers apart"
    )]
    NoCopies,
    #[error("what would be written is longer than {limit} bytes, {why}")]
    TooLong { limit: u64, why: &'static str },
    #[error("it has more bytes or fewer than it should: {received} arrived, {expected} were announced")]
    Length { received: u64, expected: u64 },
    #[error("this cannot be done as it is set up: {0}")]
    Setup(String),
    #[error("the service failed: {0}")]
    Service(String),
}

impl Fault {
    /// Whether the same request may succeed a moment later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NotReady(_) | Self::TimedOut | Self::Length { .. })
    }

    pub(super) fn at(self, location: &impl ToString) -> RemoteError {
        RemoteError { location: location.to_string(), fault: self }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::NotFound => io::ErrorKind::NotFound,
            Self::Denied(_) => io::ErrorKind::PermissionDenied,
            Self::Exists => io::ErrorKind::AlreadyExists,
            Self::TimedOut => io::ErrorKind::TimedOut,
            Self::NoRanges | Self::NoCopies | Self::ReadOnly => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        }
    }
}

impl From<RemoteError> for io::Error {
    fn from(err: RemoteError) -> Self {
        Self::new(err.fault.kind(), err)
    }
}

impl From<opendal::Error> for Fault {
    fn from(err: opendal::Error) -> Self {
        use opendal::ErrorKind;
        // The message alone: the rest of the error has URLs and headers.
        let text = said(err.message());
        match err.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::PermissionDenied => Self::Denied(text),
            ErrorKind::AlreadyExists => Self::Exists,
            ErrorKind::ConditionNotMatch => Self::Changed,
            ErrorKind::ConfigInvalid => Self::Setup(text),
            ErrorKind::Unsupported => Self::Setup(text),
            _ if text.contains("timeout") => Self::TimedOut,
            _ if text.starts_with("send http request") => Self::Unreachable(reason(&err)),
            _ => Self::Service(text),
        }
    }
}

impl From<reqwest::Error> for Fault {
    fn from(err: reqwest::Error) -> Self {
        match err.is_timeout() {
            true => Self::TimedOut,
            false => Self::Unreachable(reason(&err.without_url())),
        }
    }
}

impl From<openssh_sftp_client::Error> for Fault {
    fn from(err: openssh_sftp_client::Error) -> Self {
        use openssh_sftp_client::Error;
        use openssh_sftp_client::error::SftpErrorKind;
        match err {
            Error::SftpError(SftpErrorKind::NoSuchFile, _) => Self::NotFound,
            Error::SftpError(SftpErrorKind::PermDenied, said_) => Self::Denied(said(&said_.to_string())),
            Error::SftpError(..) => Self::Service(said(&err.to_string())),
            err => Self::Unreachable(reason(&err)),
        }
    }
}

/// The innermost cause, which is the telling one: "connection refused".
fn reason(err: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = err;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    said(&innermost.to_string())
}
