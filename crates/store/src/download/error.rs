use std::{error::Error, io, time::Duration};

use super::Refusal;

/// Why a download failed. No variant holds the URL, or an error that quotes it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum DownloadError {
    /// The policy forbids it; nothing was connected to.
    #[error("the URL is refused")]
    Refused(#[source] Refusal),
    /// The server answered, but not with the object. Redirects are answers, too: none is followed.
    #[error("Download failed: {0}")]
    Status(u16),
    #[error("cannot connect to the object's server")]
    Connect(#[source] reqwest::Error),
    /// The connection ended before the object did.
    #[error("the connection was lost after {received} bytes")]
    Cut { received: u64, source: Option<reqwest::Error> },
    #[error("the server sent nothing for {} s", stall.as_secs_f64())]
    Stalled { stall: Duration },
    #[error("the download took longer than {} s", total.as_secs_f64())]
    TimedOut { total: Duration },
    #[error("the object is larger than the {bytes_max} bytes allowed")]
    TooLarge { bytes_max: u64 },
    /// It was replaced between two requests; what came of the first version was dropped.
    #[error("the object changed during the download")]
    Changed,
    #[error("cannot write the download to its file")]
    Write(#[source] io::Error),
    #[error("cannot set up downloads")]
    Setup(#[source] reqwest::Error),
}

impl DownloadError {
    /// Whether the same job may succeed later. The others fail each time, until job or configuration change.
    pub fn is_retryable(&self) -> bool {
        self.is_passing() || matches!(self, Self::TimedOut { .. } | Self::Write(_))
    }

    /// Whether to ask again right away: 429, 5xx and lost connections.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Status(status) => *status == 429 || (500..600).contains(status),
            Self::Connect(_) | Self::Cut { .. } | Self::Stalled { .. } | Self::Changed => true,
            Self::Refused(_)
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::Write(_)
            | Self::Setup(_) => false,
        }
    }

    pub(super) fn from_transport(error: reqwest::Error, received: u64) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(inner) = cause {
            if let Some(refusal) = inner.downcast_ref::<Refusal>() {
                return Self::Refused(*refusal);
            }
            cause = inner.source();
        }
        let is_connect = error.is_connect();
        let error = error.without_url();
        if is_connect { Self::Connect(error) } else { Self::Cut { received, source: Some(error) } }
    }
}
