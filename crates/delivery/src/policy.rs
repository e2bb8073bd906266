//! How long a lease lasts, and how often and how soon a job is tried again.

use std::time::Duration;

/// The numbers of the job machine. All workers of one ledger should use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a claim, or a heartbeat, holds a job. A worker should send a heartbeat three times in it.
    pub lease: Duration,
    /// How often a job is claimed before it fails with [`FailureClass::Attempts`](crate::FailureClass::Attempts).
    /// Crashes count, so a file that kills workers ends too.
    pub attempts_max: u32,
    /// The pause after the first failed attempt; each later one is twice as long.
    pub backoff_base: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

impl Policy {
    /// The pause after attempt number `attempt`, counted from 1.
    ///
    /// There is no jitter: jobs are claimed one at a time, so workers that wait for the same moment do not collide.
    pub fn backoff(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff_base.saturating_mul(factor).min(self.backoff_max)
    }
}

impl Default for Policy {
    /// 60 s leases; 5 attempts, 5, 10, 20 and 40 s apart, which leaves most of a pre-signed URL's 1800 s.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            attempts_max: 5,
            backoff_base: Duration::from_secs(5),
            backoff_max: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses: Vec<_> =
            [1, 2, 3, 4, 7, 8, 40, u32::MAX].map(|n| Policy::default().backoff(n).as_secs()).into();
        assert_eq!(pauses, [5, 10, 20, 40, 300, 300, 300, 300]);
    }
}
