//! What a failed call means to its caller.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use waxwing_delivery::LedgerError;
use waxwing_keyring::said;

use crate::runtime::Broken;

/// Answers that are the same until somebody changes rights, credentials or what there is. By the API references of DynamoDB, SQS
/// and Secrets Manager, "Common errors" included.
const FOR_GOOD: [&str; 15] = [
    "AWS.SimpleQueueService.NonExistentQueue",
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "NotAuthorized",
    "OptInRequired",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
    "SignatureDoesNotMatch",
    "TableNotFoundException",
    "UnrecognizedClientException",
];

/// A service did not do what it was asked. Text is the service's own, made fit for a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AwsError {
    /// Neither options, environment nor configuration name a region.
    #[error("no region is set; set AWS_REGION")]
    NoRegion,
    /// Nobody answered, or not in time.
    #[error("the service cannot be reached: {0}")]
    Unreachable(String),
    /// No credentials, or none that can be had.
    #[error("there are no credentials for the service: {0}")]
    Credentials(String),
    /// It answered with an error, whose code is one of its API reference.
    #[error("the service answered {code}: {said}")]
    #[allow(missing_docs)]
    Answered { code: String, said: String },
    /// It answered with an error that has no name, or somebody on the way to it did.
    #[error("the service answered an error without a name: HTTP status {0}")]
    Status(u16),
    /// An answer that makes no sense.
    #[error("the service gave an answer that cannot be used: {0}")]
    Unexpected(String),
}

impl AwsError {
    pub(crate) fn new<E: ProvideErrorMetadata + Error + 'static>(err: SdkError<E, HttpResponse>) -> Self {
        match &err {
            SdkError::ServiceError(answer) => match (answer.err().code(), answer.err().message()) {
                (None, None) => Self::Status(answer.raw().status().as_u16()),
                (code, message) => Self::Answered {
                    code: said(code.unwrap_or("an error without a name")),
                    said: match message {
                        Some(message) => said(message),
                        None => format!("HTTP status {}", answer.raw().status()),
                    },
                },
            },
            SdkError::ResponseError(_) => Self::Unexpected(chain(&err)),
            _ if causes(&err).any(|cause| cause.is::<CredentialsError>()) => Self::Credentials(chain(&err)),
            _ => Self::Unreachable(chain(&err)),
        }
    }

    /// The error of a ledger, which tells whether to ask again.
    pub(crate) fn into_ledger(self, doing: &'static str) -> LedgerError {
        let for_good = match &self {
            Self::NoRegion => true,
            Self::Answered { code, .. } => FOR_GOOD.contains(&code.as_str()),
            Self::Status(status) => matches!(status, 401 | 403),
            _ => false,
        };
        let source = self.into();
        match for_good {
            true => LedgerError::Denied { doing, source },
            false => LedgerError::Storage { doing, source },
        }
    }

    /// Whether the service answered with this code.
    pub(crate) fn is(&self, expected: &str) -> bool {
        matches!(self, Self::Answered { code, .. } if code == expected)
    }
}

impl From<Broken> for AwsError {
    fn from(Broken(text): Broken) -> Self {
        Self::Unexpected(text)
    }
}

/// The causes of an error, itself first.
fn causes<'a>(err: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(err), |&err| err.source())
}

/// All that a failure says of itself: "dispatch failure" alone helps nobody.
fn chain(err: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = causes(err).map(ToString::to_string).collect();
    said(&texts.join(": "))
}
