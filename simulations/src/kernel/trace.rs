//! A running hash over everything that happened, with checkpoints, so that two runs can be compared and the first event in
//! which they differ found.

use std::fmt;
use std::hash::Hasher as _;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::Time;

/// Events between two checkpoints.
pub const CHECKPOINT_EVERY: u64 = 1 << 16;

/// Hash of a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash(pub u128);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for TraceHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// The hashes at the checkpoints of a run, its events, and its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// After each [`CHECKPOINT_EVERY`] events.
    pub hashes: Vec<TraceHash>,
    /// Events in all.
    pub events: u64,
    /// After the last one.
    pub end: TraceHash,
}

/// Where two runs first differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the event, from 0.
    pub event: u64,
    /// What the first run saw there; empty when it had ended.
    pub first: String,
    /// What the second run saw there.
    pub second: String,
}

impl Checkpoints {
    /// The events between which two runs begin to differ: from (included) and to (excluded).
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<(u64, u64)> {
        if self == other {
            return None;
        }
        let same = self.hashes.iter().zip(&other.hashes).take_while(|(a, b)| a == b).count() as u64;
        Some((same * CHECKPOINT_EVERY, (same + 1) * CHECKPOINT_EVERY))
    }
}

/// The running hash.
#[derive(Clone, Debug)]
pub struct Trace {
    hasher: SipHasher13,
    checkpoints: Checkpoints,
    /// Events of this range are kept as text.
    window: (u64, u64),
    kept: Vec<String>,
}

impl Default for Trace {
    fn default() -> Self {
        Self::with_window(0, 0)
    }
}

impl Trace {
    /// A trace that keeps the texts of the events `from..to`.
    #[must_use]
    pub fn with_window(from: u64, to: u64) -> Self {
        Self { hasher: SipHasher13::new(), checkpoints: Checkpoints::default(), window: (from, to), kept: Vec::new() }
    }

    /// Notes an event: when, what kind, and two numbers that tell which. `text` is called only inside the window.
    pub fn event(&mut self, time: Time, kind: u8, a: u64, b: u64, text: impl FnOnce() -> String) {
        let n = self.checkpoints.events;
        if n >= self.window.0 && n < self.window.1 {
            self.kept.push(format!("{time} {}", text()));
        }
        self.hasher.write_u64(time.0);
        self.hasher.write_u64(u64::from(kind) << 56 ^ a);
        self.hasher.write_u64(b);
        self.checkpoints.events += 1;
        if self.checkpoints.events.is_multiple_of(CHECKPOINT_EVERY) {
            self.checkpoints.hashes.push(self.now());
        }
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.checkpoints.events
    }

    fn now(&self) -> TraceHash {
        TraceHash(self.hasher.finish128().as_u128())
    }

    /// The end of the run: checkpoints, and the texts of the window.
    #[must_use]
    pub fn end(mut self) -> (Checkpoints, Vec<String>) {
        self.checkpoints.end = self.now();
        (self.checkpoints, self.kept)
    }
}

/// Compares the texts that two runs kept of the same window.
#[must_use]
pub fn difference(from: u64, first: &[String], second: &[String]) -> Option<Difference> {
    let at = (0..first.len().max(second.len())).find(|n| first.get(*n) != second.get(*n))?;
    let text = |texts: &[String]| texts.get(at).cloned().unwrap_or_default();
    Some(Difference { event: from + at as u64, first: text(first), second: text(second) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(change: Option<u64>, window: (u64, u64)) -> (Checkpoints, Vec<String>) {
        let mut trace = Trace::with_window(window.0, window.1);
        for n in 0..CHECKPOINT_EVERY * 3 {
            let b = u64::from(change == Some(n));
            trace.event(Time(n), 1, n, b, || format!("{n} {b}"));
        }
        trace.end()
    }

    #[test]
    fn equal_runs_have_equal_hashes_and_a_change_is_found() {
        let (first, _) = run(None, (0, 0));
        assert_eq!(first, run(None, (0, 0)).0);
        let changed = CHECKPOINT_EVERY + 77;
        let (second, _) = run(Some(changed), (0, 0));
        let (from, to) = first.first_difference(&second).unwrap();
        let (_, a) = run(None, (from, to));
        let (_, b) = run(Some(changed), (from, to));
        let found = difference(from, &a, &b).unwrap();
        assert_eq!(found.event, changed);
        assert!(found.second.ends_with(" 1"), "{found:?}");
    }
}
