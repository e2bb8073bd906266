//! What a failed call means to its caller.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use crate::{ServiceError, said};

/// Why KMS did not do what it was asked.
pub(super) enum Fault {
    /// It looked, and the ciphertext or its context is not what this key wrapped.
    NotAuthentic,
    /// Everything else.
    Service(ServiceError),
}

impl From<ServiceError> for Fault {
    fn from(err: ServiceError) -> Self {
        Self::Service(err)
    }
}

impl Fault {
    pub(super) fn new<E: ProvideErrorMetadata + Error + 'static>(err: SdkError<E, HttpResponse>) -> Self {
        match err.as_service_error().and_then(ProvideErrorMetadata::code) {
            // That a recipient names this key and another wrapped it makes the recipient a forgery.
            Some("InvalidCiphertextException" | "IncorrectKeyException") => Self::NotAuthentic,
            _ => Self::Service(Self::service(err)),
        }
    }

    pub(super) fn service<E: ProvideErrorMetadata + Error + 'static>(
        err: SdkError<E, HttpResponse>,
    ) -> ServiceError {
        match &err {
            SdkError::ServiceError(answer) => {
                of_answer(answer.err(), answer.raw().status().is_server_error())
            }
            SdkError::ResponseError(_) => ServiceError::Unexpected(chain(&err)),
            _ if causes(&err).any(|cause| cause.is::<CredentialsError>()) => {
                ServiceError::Credentials(chain(&err))
            }
            _ => ServiceError::Unreachable(chain(&err)),
        }
    }
}

/// The codes are those of the API reference, "Errors" and "Common Errors".
fn of_answer(err: &impl ProvideErrorMetadata, is_its_fault: bool) -> ServiceError {
    let code = err.code().unwrap_or_default();
    let text = said(err.message().filter(|message| !message.is_empty()).unwrap_or(code));
    match code {
        "DisabledException" => ServiceError::Disabled(text),
        "KMSInvalidStateException" if text.contains("pending deletion") => {
            ServiceError::PendingDeletion(text)
        }
        "KMSInvalidStateException" if text.contains("disabled") => ServiceError::Disabled(text),
        "NotFoundException" => ServiceError::NotFound(text),
        "AccessDeniedException" | "OptInRequired" | "NotAuthorized" => ServiceError::Denied(text),
        "ThrottlingException" | "Throttling" | "RequestLimitExceeded" | "TooManyRequestsException" => {
            ServiceError::Throttled(text)
        }
        "ExpiredTokenException"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "InvalidAccessKeyId" => ServiceError::Credentials(text),
        "KeyUnavailableException"
        | "DependencyTimeoutException"
        | "KMSInternalException"
        | "InternalFailure"
        | "InternalError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => ServiceError::NotReady(text),
        "InvalidKeyUsageException"
        | "UnsupportedOperationException"
        | "KMSInvalidStateException"
        | "InvalidArnException"
        | "ValidationException" => ServiceError::Unsuitable(text),
        code if is_its_fault => ServiceError::NotReady(said(&format!("{code} {text}"))),
        "" => ServiceError::Unexpected("an error without a name".to_owned()),
        code => ServiceError::Unexpected(said(&format!("{code}: {text}"))),
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
