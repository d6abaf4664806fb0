//! A token bucket: so many at once, so many per second.

use relaymesh_protocol::ids::Timestamp;

/// Thousandths of a token, so that slow rates need no fractions.
const SCALE: u64 = 1_000;

/// A bucket of tokens that refills with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    burst: u64,
    per_second: u64,
    level: u64,
    at: Timestamp,
}

impl Bucket {
    /// A full bucket.
    pub fn new(burst: u32, per_second: u32) -> Self {
        let burst = u64::from(burst) * SCALE;
        Self { burst, per_second: u64::from(per_second), level: burst, at: Timestamp(0) }
    }

    fn level_at(&self, now: Timestamp) -> u64 {
        let millis = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.level.saturating_add(millis.saturating_mul(self.per_second)).min(self.burst)
    }

    /// Whether none is missing: as if nothing had ever been taken.
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.level_at(now) >= self.burst
    }

    /// Whether a token is there.
    pub fn allows(&self, now: Timestamp) -> bool {
        self.level_at(now) >= SCALE
    }

    /// Takes a token if one is there.
    pub fn take(&mut self, now: Timestamp) -> bool {
        self.level = self.level_at(now);
        self.at = now.max(self.at);
        if self.level < SCALE {
            return false;
        }
        self.level -= SCALE;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(3, 1);
        let start = Timestamp(1_000_000);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        assert!(!bucket.allows(Timestamp(start.0 + 999)));
        assert!(bucket.take(Timestamp(start.0 + 1_000)));
        assert!(!bucket.take(Timestamp(start.0 + 1_000)));
        assert!(!bucket.take(start), "a clock that steps back gives nothing");
    }
}
