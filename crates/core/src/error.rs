use waxwing_formats::envelope::HeaderError;

/// Something did not verify. One value for a wrong tag, MAC, commitment or key, so that nobody can tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data is not authentic")]
pub struct NotAuthentic;

/// Why an envelope does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The header is malformed. No key was used.
    #[error("the header is malformed")]
    Header(#[source] HeaderError),
    /// The context is not the one the caller requires. No key was used.
    #[error("the envelope's context differs from the required one at `{key}`")]
    ContextMismatch {
        /// The first required key that is absent or has another value.
        key: String,
    },
    /// The body is longer than any envelope's.
    #[error("the body is longer than an envelope can be")]
    TooLong,
    /// The body ends before its final frame, which whoever counts frames could see.
    #[error("the envelope is cut short: its body ends before the final frame")]
    Truncated,
    /// Everything else that happens once a key was used.
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
}

impl OpenError {
    /// The failure's name in `docs/formats/envelope-v1.md` and in the vectors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Header(err) => err.name(),
            Self::ContextMismatch { .. } => "context-mismatch",
            Self::TooLong => "body-too-long",
            Self::Truncated => "truncated",
            Self::NotAuthentic(_) => "not-authentic",
        }
    }
}

impl From<HeaderError> for OpenError {
    fn from(err: HeaderError) -> Self {
        Self::Header(err)
    }
}
