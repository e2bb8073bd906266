//! What services that keep keys answer when they do not do what they were asked.

/// Why a key service did not do what it was asked. The text is the service's own, made fit for a line by [`said`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Nobody answered, or not in time.
    #[error("the key service cannot be reached: {0}")]
    Unreachable(String),
    /// The service is there and not ready: sealed, in maintenance, an internal error.
    #[error("the key service is not ready: {0}")]
    NotReady(String),
    /// Too many requests.
    #[error("the key service asks for fewer requests: {0}")]
    Throttled(String),
    /// No credentials, or expired ones.
    #[error("there are no credentials for the key service: {0}")]
    Credentials(String),
    /// The credentials do not allow this use of the key.
    #[error("the key service denies access: {0}")]
    Denied(String),
    /// No such key.
    #[error("the key service has no such key: {0}")]
    NotFound(String),
    /// The key is disabled.
    #[error("the key is disabled: {0}")]
    Disabled(String),
    /// The key waits for its deletion.
    #[error("the key is pending deletion: {0}")]
    PendingDeletion(String),
    /// The key cannot do this: another type, usage or version.
    #[error("the key cannot be used for this: {0}")]
    Unsuitable(String),
    /// An answer that makes no sense: another key's, not base64, a DEK of another length.
    #[error("the key service gave an answer that cannot be used: {0}")]
    Unexpected(String),
}

/// The most bytes of a service's own words that are kept.
pub const SAID_LEN_MAX: usize = 512;

impl ServiceError {
    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NotReady(_) | Self::Throttled(_))
    }
}

/// What a service said, fit for one line of a terminal.
pub fn said(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    line.truncate(line.floor_char_boundary(SAID_LEN_MAX));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_said_fits_one_line() {
        assert_eq!(said("a\n b\u{1b}[31m"), "a b[31m");
        assert_eq!(said(&"\u{e9}".repeat(400)).len(), SAID_LEN_MAX);
    }
}
