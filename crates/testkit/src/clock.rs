//! A clock that moves only when a test winds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock wound by hand. Clones share the same hands, so a test can keep one and lend another.
///
/// ```
/// # use std::time::Duration;
/// # use waxwing_testkit::clock::HandClock;
/// let clock = HandClock::new();
/// let start = clock.unix_secs();
/// clock.advance(Duration::from_secs(1800));
/// assert_eq!(clock.unix_secs(), start + 1800);
/// ```
#[derive(Debug, Clone)]
pub struct HandClock {
    unix_nanos: Arc<AtomicU64>,
}

impl HandClock {
    /// A clock that shows [`START_UNIX_SECS`].
    #[must_use]
    pub fn new() -> Self {
        Self::at_unix_secs(START_UNIX_SECS)
    }

    /// A clock that shows `secs` seconds after 1970-01-01T00:00:00Z.
    ///
    /// # Panics
    ///
    /// Past the year 2554, where 64 bits of nanoseconds end.
    #[must_use]
    pub fn at_unix_secs(secs: u64) -> Self {
        let clock = Self { unix_nanos: Arc::default() };
        clock.set_unix_secs(secs);
        clock
    }

    /// Sets the clock, forwards or backwards: what an administrator or a time server does to a running machine.
    ///
    /// # Panics
    ///
    /// Past the year 2554.
    pub fn set_unix_secs(&self, secs: u64) {
        self.unix_nanos.store(nanos(Duration::from_secs(secs)), Ordering::SeqCst);
    }

    /// Moves the clock forwards.
    ///
    /// # Panics
    ///
    /// When the clock would pass the year 2554.
    pub fn advance(&self, by: Duration) {
        self.shift(|now| now.checked_add(nanos(by)));
    }

    /// Moves the clock backwards, as a clock jump does.
    ///
    /// # Panics
    ///
    /// When the clock would pass 1970.
    pub fn rewind(&self, by: Duration) {
        self.shift(|now| now.checked_sub(nanos(by)));
    }

    /// The time since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn since_epoch(&self) -> Duration {
        Duration::from_nanos(self.unix_nanos.load(Ordering::SeqCst))
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_secs(&self) -> u64 {
        self.since_epoch().as_secs()
    }

    /// The time as the standard library tells it.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + self.since_epoch()
    }

    fn shift(&self, to: impl FnMut(u64) -> Option<u64>) {
        let moved = self.unix_nanos.fetch_update(Ordering::SeqCst, Ordering::SeqCst, to);
        assert!(moved.is_ok(), "a clock by hand stays between 1970 and 2554");
    }
}

impl Default for HandClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a new clock starts: 2026-01-01T00:00:00Z.
pub const START_UNIX_SECS: u64 = 1_767_225_600;

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("a clock by hand stays between 1970 and 2554")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_until_it_is_wound() {
        let clock = HandClock::new();
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.now(), before);
    }

    #[test]
    fn clones_share_their_hands() {
        let clock = HandClock::at_unix_secs(100);
        let lent = clock.clone();
        clock.advance(Duration::from_millis(1500));
        assert_eq!(lent.since_epoch(), Duration::from_millis(101_500));
        assert_eq!(lent.unix_secs(), 101);
        lent.rewind(Duration::from_millis(2500));
        assert_eq!(clock.unix_secs(), 99);
    }

    #[test]
    #[should_panic(expected = "between 1970 and 2554")]
    fn does_not_go_before_1970() {
        HandClock::at_unix_secs(1).rewind(Duration::from_secs(2));
    }
}
