//! Virtual time in whole microseconds, so that sums are exact and order is total.

use std::fmt;
use std::time::Duration;

use relaymesh_protocol::ids::Timestamp;
use serde::{Deserialize, Serialize};

/// The wall clock at virtual zero, for the nodes: 2026-01-01 00:00 UTC, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// Microseconds since the world began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

/// A length of virtual time, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Time {
    /// The beginning.
    pub const ZERO: Self = Self(0);
    /// Never.
    pub const MAX: Self = Self(u64::MAX);

    /// So much later; saturates.
    #[must_use]
    pub fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long after `earlier`; zero if it was not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// What a node's clock shows.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp(EPOCH_MS + self.0 / 1_000)
    }

    /// The first moment at which a node's clock shows `at`.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.0.saturating_sub(EPOCH_MS).saturating_mul(1_000))
    }

    /// Whole days since the beginning.
    #[must_use]
    pub fn day(self) -> usize {
        usize::try_from(self.0 / Span::DAY.0).unwrap_or(usize::MAX)
    }

    /// Seconds since midnight.
    #[must_use]
    pub fn second_of_day(self) -> u64 {
        self.0 % Span::DAY.0 / 1_000_000
    }
}

impl Span {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// 24 hours.
    pub const DAY: Self = Self(86_400_000_000);

    /// From milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Self {
        Self(n * 1_000)
    }

    /// From seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self(n * 1_000_000)
    }

    /// From hours.
    #[must_use]
    pub const fn hours(n: u64) -> Self {
        Self::secs(n * 3_600)
    }

    /// From days.
    #[must_use]
    pub const fn days(n: u64) -> Self {
        Self::hours(n * 24)
    }

    /// From seconds with a fraction; negative ones and those that are no number are zero.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before the cast")]
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e6).clamp(0.0, 9e18) as u64)
    }

    /// In seconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "for people and statistics")]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

/// Days, hours, minutes and seconds, as people read a log: `3d 04:05:06.789`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.second_of_day();
        let millis = self.0 / 1_000 % 1_000;
        write!(f, "{}d {:02}:{:02}:{:02}.{millis:03}", self.day(), seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_clock_follows_virtual_time() {
        let time = Time::ZERO.after(Span::days(3)).after(Span::millis(5));
        assert_eq!(time.timestamp().0, EPOCH_MS + 3 * 86_400_000 + 5);
        assert_eq!(Time::of(time.timestamp()), time);
        assert_eq!(time.to_string(), "3d 00:00:00.005");
        assert_eq!(time.day(), 3);
    }

    #[test]
    fn spans_saturate() {
        assert_eq!(Time(5).since(Time(7)), Span::ZERO);
        assert_eq!(Time::MAX.after(Span::DAY), Time::MAX);
        assert_eq!(Span::from_secs_f64(-1.0), Span::ZERO);
        assert_eq!(Span::from_secs_f64(1.5), Span::millis(1_500));
    }
}
