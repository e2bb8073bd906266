//! What a failed job says about itself, and to whom.
//!
//! Whoever may submit jobs can watch their status, and so can ask the holder of a private key questions: attack row 4
//! recovers CBC plaintext from 128 answers a byte. Therefore nothing that happens once a key could have been used has
//! a class, text or retry of its own: it is [`FailureClass::Rejected`], whether the wrap, the padding, the tag, the
//! digest or the content was wrong. What happens before depends on the record and the network alone, which the
//! submitter knows anyway, and may be exact. The holder finds the detail in the worker's log, never in a ledger.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a job is `failed`, as strangers may know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "class", content = "detail", rename_all = "lowercase")]
#[non_exhaustive]
pub enum FailureClass {
    /// The ciphertext could not be had.
    Download(DownloadFailure),
    /// The worker will not use a key on this record: an address it may not visit, a scheme it was not allowed, a key
    /// id that is retired or not its own. Decided from the record and the worker's policy alone.
    Policy,
    /// A key was used, and the file is not fit to publish. Says no more, ever.
    Rejected,
    /// Every attempt ended in a retry or a lost worker.
    Attempts,
}

impl FailureClass {
    /// The word for ledgers, views and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Download(_) => "download",
            Self::Policy => "policy",
            Self::Rejected => "rejected",
            Self::Attempts => "attempts",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(failure) => failure.fmt(f),
            Self::Policy => f.write_str("Refused by policy"),
            Self::Rejected => f.write_str("Rejected"),
            Self::Attempts => f.write_str("Too many attempts"),
        }
    }
}

/// Why the ciphertext could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DownloadFailure {
    /// The server answered with this HTTP status, which is not one of success.
    Status(u16),
    /// The server could not be reached, or the answer broke off.
    Interrupted,
    /// The body is larger than the worker accepts.
    TooLarge,
}

impl fmt::Display for DownloadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "Download failed: {status}"),
            Self::Interrupted => f.write_str("Download failed: interrupted"),
            Self::TooLarge => f.write_str("Download failed: too large"),
        }
    }
}

/// Why an attempt ended that another may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "cause", content = "detail", rename_all = "lowercase")]
#[non_exhaustive]
pub enum RetryCause {
    /// The ciphertext could not be had now: 429, 5xx or a broken connection.
    Download(DownloadFailure),
    /// The worker's own side failed: its disk, its output store, its memory. Never a matter of the file, so that a
    /// retry tells nothing about it.
    Worker,
}

impl fmt::Display for RetryCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(failure) => failure.fmt(f),
            Self::Worker => f.write_str("The worker could not go on"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_the_record_scheme_spells_it() {
        let class = FailureClass::Download(DownloadFailure::Status(403));
        assert_eq!(class.to_string(), "Download failed: 403");
        assert_eq!(class.word(), "download");
    }

    /// Attack row 4: the class after a key was used has no room for detail.
    #[test]
    fn row_4_rejected_is_one_value() {
        assert_eq!(serde_json::to_string(&FailureClass::Rejected).unwrap(), r#"{"class":"rejected"}"#);
        assert_eq!(FailureClass::Rejected.to_string(), "Rejected");
    }
}
