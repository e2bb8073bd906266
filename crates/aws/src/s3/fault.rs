//! What a failed call means to its caller.

use std::error::Error;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use waxwing_keyring::said;

use crate::runtime::Broken;

/// Why S3 did not do what it was asked. Text is the store's own, made fit for a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum S3Error {
    /// A bucket's name, a prefix or an object's name that cannot be used.
    #[error("{0}")]
    Name(String),
    /// Nobody answered, or not in time.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// The store is there and not ready, or asks for fewer requests.
    #[error("the store is not ready: {0}")]
    NotReady(String),
    /// No credentials, or expired ones.
    #[error("there are no credentials for the store: {0}")]
    Credentials(String),
    /// The credentials do not allow this.
    #[error("the store denies access: {0}")]
    Denied(String),
    /// No such bucket.
    #[error("the store has no such bucket: {0}")]
    NoBucket(String),
    /// No such object, or no such upload.
    #[error("the store has no such object: {0}")]
    NoObject(String),
    /// Another request for the same name was under way.
    #[error("somebody else was busy with the name: {0}")]
    Conflict(String),
    /// The object is too large to be put.
    #[error("the object has more than {0} bytes, the most that fits")]
    TooLarge(u64),
    /// An answer that makes no sense.
    #[error("the store gave an answer that cannot be used: {0}")]
    Unexpected(String),
    /// The store did not say that it encrypts as it was asked. Nothing is left there.
    #[error("the store was asked to encrypt with {asked}, and says that it did with {done}")]
    #[allow(missing_docs)]
    Encryption { asked: String, done: String },
    /// The same, and the object is still there.
    #[error("the object was not encrypted as asked, and is still there: {0}")]
    NotDeleted(Box<S3Error>, #[source] Box<S3Error>),
    /// The store does what `If-None-Match: *` forbids.
    #[error("the store ignores `If-None-Match: *` in {call}: an output would not appear once")]
    #[allow(missing_docs)]
    ConditionIgnored { call: &'static str },
}

impl S3Error {
    /// The error of an I/O trait.
    pub(super) fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Name(_) | Self::TooLarge(_) => io::ErrorKind::InvalidInput,
            Self::Unreachable(_) | Self::NotReady(_) | Self::Conflict(_) => io::ErrorKind::ConnectionAborted,
            Self::Credentials(_) | Self::Denied(_) => io::ErrorKind::PermissionDenied,
            Self::NoBucket(_) | Self::NoObject(_) => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }

    /// Whether the call may have been done all the same.
    pub(super) fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NotReady(_) | Self::Unexpected(_))
    }
}

impl From<Broken> for S3Error {
    fn from(Broken(text): Broken) -> Self {
        Self::Unexpected(text)
    }
}

/// A failed call: the status of the answer, if there was one, and what it means.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: Option<u16>,
    pub(super) error: S3Error,
}

impl From<Fault> for S3Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

impl Fault {
    pub(super) fn new<E: ProvideErrorMetadata + Error + 'static>(err: SdkError<E, HttpResponse>) -> Self {
        match &err {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                Self { status: Some(status), error: of_answer(answer.err(), status) }
            }
            SdkError::ResponseError(_) => Self { status: None, error: S3Error::Unexpected(chain(&err)) },
            _ if causes(&err).any(|cause| cause.is::<CredentialsError>()) => {
                Self { status: None, error: S3Error::Credentials(chain(&err)) }
            }
            _ => Self { status: None, error: S3Error::Unreachable(chain(&err)) },
        }
    }
}

/// The codes are those of the API reference, "Error responses". An answer to HEAD has a status alone.
fn of_answer(err: &impl ProvideErrorMetadata, status: u16) -> S3Error {
    let code = err.code().unwrap_or_default();
    let message = err.message().filter(|message| !message.is_empty());
    let text = match (code, message) {
        ("", None) => format!("status {status}"),
        (code, None) => said(code),
        ("", Some(message)) => said(message),
        (code, Some(message)) => said(&format!("{code}: {message}")),
    };
    match (code, status) {
        ("NoSuchBucket", _) => S3Error::NoBucket(text),
        (
            "ExpiredToken"
            | "InvalidAccessKeyId"
            | "InvalidToken"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired",
            _,
        ) => S3Error::Credentials(text),
        (_, 401 | 403) => S3Error::Denied(text),
        (_, 404) => S3Error::NoObject(text),
        (_, 409 | 412) => S3Error::Conflict(text),
        (_, 408 | 429 | 500..) => S3Error::NotReady(text),
        _ => S3Error::Unexpected(text),
    }
}

/// The causes of an error, itself first.
fn causes<'a>(err: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(err), |&err| err.source())
}

/// All that a failure says of itself: "dispatch failure" alone helps nobody.
pub(super) fn chain(err: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = causes(err).map(ToString::to_string).collect();
    said(&texts.join(": "))
}
