//! A held message in memory: its legs, and when it is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use relaymesh_protocol::ids::{NodeId, Timestamp};

/// Most candidates of one attempt.
pub(super) const CANDIDATES_MAX: usize = 4;
/// First pause between attempts.
const DELAY_MIN: Duration = Duration::from_secs(2);
/// Longest pause between attempts.
const DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// An offer without receipt counts as silent after this.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(30);

/// A message that no home has accepted.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// When it came in: a backlog is offered in this order, since a ratchet keeps only so many skipped keys.
    pub received: Timestamp,
    /// The last pause, for decorrelated jitter.
    pub delay: Duration,
    /// What became of the candidates.
    pub legs: BTreeMap<NodeId, Leg>,
    /// How often each was offered the message.
    tries: BTreeMap<NodeId, u32>,
}

impl Held {
    pub fn new(received: Timestamp) -> Self {
        Self { received, delay: DELAY_MIN, legs: BTreeMap::new(), tries: BTreeMap::new() }
    }

    /// Notes what became of a candidate.
    pub fn set(&mut self, candidate: NodeId, leg: Leg) {
        if matches!(leg, Leg::Offered { .. }) {
            *self.tries.entry(candidate).or_default() += 1;
        }
        self.legs.insert(candidate, leg);
    }

    /// Lower is tried first: who was tried least, so that no number of liars keeps a message from its home, then by how it
    /// answered.
    pub fn order(&self, candidate: &NodeId) -> (u32, u8) {
        let tries = self.tries.get(candidate).copied().unwrap_or(0);
        (tries, self.legs.get(candidate).map_or(0, |leg| leg.rank()))
    }
}

/// One candidate's share of a message's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// An envelope is on its way, or taken.
    Offered {
        /// Since when.
        at: Timestamp,
    },
    /// It says it is not the home, or cannot open it. Asked again at every attempt after the others.
    Declined,
    /// It promised nothing in time, or broke its promise.
    Silent,
    /// No way to it was found.
    Unreachable,
}

impl Leg {
    /// Whether an attempt at `now` should leave this leg alone.
    pub fn waits(self, now: Timestamp) -> bool {
        matches!(self, Self::Offered { at } if now.since(at) < SILENT_AFTER)
    }

    /// Lower is tried first.
    fn rank(self) -> u8 {
        match self {
            Self::Offered { .. } => 0,
            Self::Unreachable => 1,
            Self::Silent => 2,
            Self::Declined => 3,
        }
    }
}

/// The pause after `previous`: uniform between the shortest and three times the last, capped ("decorrelated jitter").
pub(crate) fn next_delay(previous: Duration, rng: &mut ChaCha20Rng) -> Duration {
    let low = DELAY_MIN.as_millis() as u64;
    let high = (previous.as_millis() as u64).saturating_mul(3).clamp(low + 1, DELAY_MAX.as_millis() as u64);
    Duration::from_millis(low + rng.next_u64() % (high - low))
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn who_was_tried_least_is_tried_first() {
        let (liar, home) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut held = Held::new(Timestamp(0));
        for node in [liar, home] {
            held.set(node, Leg::Offered { at: Timestamp(0) });
        }
        held.set(liar, Leg::Unreachable);
        held.set(home, Leg::Silent);
        assert!(held.order(&liar) < held.order(&home));
        held.set(liar, Leg::Offered { at: Timestamp(1) });
        held.set(liar, Leg::Unreachable);
        assert!(held.order(&home) < held.order(&liar));
    }

    #[test]
    fn pauses_stay_within_bounds_and_grow() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut delay = DELAY_MIN;
        let mut longest = delay;
        for _ in 0..200 {
            delay = next_delay(delay, &mut rng);
            assert!(delay >= DELAY_MIN && delay <= DELAY_MAX);
            longest = longest.max(delay);
        }
        assert!(longest > Duration::from_secs(300));
    }
}
