//! Time as an argument: nothing in this crate reads a clock.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment: milliseconds since 1970-01-01T00:00:00Z, at most the last one of the year 9999 (so that RFC 3339 can
/// always spell it).
///
/// `Display` is RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The moment `millis` after the epoch, or [`UnixMillis::MAX`] if that is later.
    pub const fn new(millis: u64) -> Self {
        if millis > Self::MAX.0 { Self::MAX } else { Self(millis) }
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `span` later, or [`UnixMillis::MAX`] if that is sooner.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::new(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; nothing if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<u64> for UnixMillis {
    fn from(millis: u64) -> Self {
        Self::new(millis)
    }
}

impl From<UnixMillis> for u64 {
    fn from(at: UnixMillis) -> u64 {
        at.0
    }
}

impl From<SystemTime> for UnixMillis {
    /// A clock set before 1970 reads as 1970.
    fn from(at: SystemTime) -> Self {
        Self::new(0).plus(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .expect("the years 1970 to 9999 have an RFC 3339 spelling");
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_its_whole_range() {
        assert_eq!(UnixMillis::new(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(UnixMillis::new(1_700_000_000_120).to_string(), "2023-11-14T22:13:20.12Z");
        assert_eq!(UnixMillis::new(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(UnixMillis::MAX.plus(Duration::MAX), UnixMillis::MAX);
        assert_eq!(UnixMillis::new(3).since(UnixMillis::new(5)), Duration::ZERO);
        assert_eq!(serde_json::from_str::<UnixMillis>(&u64::MAX.to_string()).unwrap(), UnixMillis::MAX);
    }
}
