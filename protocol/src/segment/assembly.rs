//! Putting the segments of one image message together, in any order, with copies, at one node or several.
//!
//! Session numbers come round again and anyone can send a segment with somebody's number, so no segment is believed and
//! none shuts another out: for every number up to [`CANDIDATES_MAX`] different chunks are kept, the newest ones, and a
//! whole is offered in up to [`ASSEMBLIES_MAX`] combinations, likeliest first. The block's MAC tells which one is real,
//! and only the home can compute it. A set belongs to one sender and one session; its owner knows which.

mod combine;
mod device;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CHUNK_LETTERS_MAX, Head, Part, Segment};
use crate::ids::Timestamp;

/// A segment without its fellows is dropped after a day: phones send a whole image within half an hour, and sessions
/// come round again after 256 images.
pub const SEGMENT_TTL: Duration = Duration::from_hours(24);
/// Different chunks kept for one number: the real one, a stale one, and room for two forged ones.
pub const CANDIDATES_MAX: usize = 4;
/// Combinations offered for one set.
pub const ASSEMBLIES_MAX: usize = 16;
/// Letters kept in one set: more than the 255 · 141 that a phone can send, and little enough that the largest envelope
/// carries a full set, with the time of each chunk.
pub const SET_LETTERS_MAX: usize = 40 * 1024;
/// Open sessions that a node should keep for one sender (T13).
pub const SESSIONS_PER_SENDER_MAX: usize = 20;
/// A new first segment begins a new image. Segments that overtook it by less than this belong to it, older ones to the
/// image before.
pub const REUSE_WINDOW: Duration = Duration::from_mins(15);

/// One chunk for one number, and when it first came.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Candidate {
    at: Timestamp,
    /// Only of number 0.
    head: Option<Head>,
    chunk: String,
}

/// All segments of one sender's session that are held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "UncheckedSet")]
pub struct Set {
    /// By number; each list is sorted, oldest first, and never empty.
    parts: BTreeMap<u8, Vec<Candidate>>,
}

/// A set as another node or the disk gives it.
#[derive(Deserialize)]
struct UncheckedSet {
    parts: BTreeMap<u8, Vec<Candidate>>,
}

/// A whole text, as one combination gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Assembly {
    /// Base64 letters of the payload; see [`crate::detect::parse_text`].
    pub text: String,
    /// Plaintext bytes of the image.
    pub image_len: u16,
    /// Plaintext bytes of the content behind it.
    pub text_len: u16,
}

/// What a segment changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Held; numbers of the newest image that are here, and how many it has once its first segment is here.
    Held {
        /// Numbers here.
        have: usize,
        /// Numbers it has.
        total: Option<u8>,
    },
    /// A whole is here: try [`Set::assemblies`] in order. If none proves real, keep the set: the real segment may
    /// still come.
    Complete(Assembly),
    /// Was here already.
    Duplicate,
    /// Not taken.
    Rejected(Reason),
}

/// Why a segment was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not what [`Segment::parse`] gives.
    #[error("no image segment as read from an SMS")]
    Unsound,
    /// [`CANDIDATES_MAX`] newer ones are held.
    #[error("too many different segments with one number")]
    Crowded,
}

impl Set {
    /// Takes a segment that arrived at `now`.
    pub fn insert(&mut self, segment: Segment, now: Timestamp) -> Progress {
        self.expire(now);
        let number = segment.number();
        let head = match segment.part {
            Part::First(head) => Some(head),
            Part::Later(_) => None,
        };
        let new = Candidate { at: now, head, chunk: segment.chunk };
        if !new.is_sound(number) {
            return Progress::Rejected(Reason::Unsound);
        }
        let known = self.holds(number, &new);
        self.add(number, new.clone());
        self.shrink();
        if known {
            return Progress::Duplicate;
        }
        if !self.holds(number, &new) {
            return Progress::Rejected(Reason::Crowded);
        }
        self.progress()
    }

    /// Takes all that another node holds of the same session; gives the same set whichever node does it. Times in the
    /// future count as `now`.
    pub fn merge(&mut self, other: Self, now: Timestamp) {
        for (number, candidates) in other.parts {
            for mut candidate in candidates {
                candidate.at = candidate.at.min(now);
                self.add(number, candidate);
            }
        }
        self.expire(now);
        self.shrink();
    }

    /// Where the newest image stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        if let Some(whole) = self.assemblies().next() {
            return Progress::Complete(whole);
        }
        let Some(first) = self.heads().next() else {
            return Progress::Held { have: self.parts.len(), total: None };
        };
        let total = first.head.map(|head| head.total);
        let numbers = 1..total.unwrap_or(u8::MAX);
        let have = 1 + numbers.filter(|&n| self.eligible(n, first).next().is_some()).count();
        Progress::Held { have, total }
    }

    /// Drops what is older than [`SEGMENT_TTL`]; true when nothing is left.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        for candidates in self.parts.values_mut() {
            candidates.retain(|c| now.since(c.at) < SEGMENT_TTL);
        }
        self.parts.retain(|_, candidates| !candidates.is_empty());
        self.parts.is_empty()
    }

    /// Whether this is an image message, and no single word of a private SMS that happens to read like a segment: only
    /// then may its sender be told that it stayed incomplete.
    #[must_use]
    pub fn is_credible(&self) -> bool {
        self.parts.contains_key(&0) || self.parts.len() > 1
    }

    /// When the first of its segments came.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.parts.values().flatten().map(|c| c.at).min()
    }

    /// Letters held.
    #[must_use]
    pub fn letters(&self) -> usize {
        self.parts.values().flatten().map(|c| c.chunk.len()).sum()
    }

    /// Different segments held, as they would be sent; to hand an incomplete set on.
    pub fn segments(&self, session: u8) -> impl Iterator<Item = (Timestamp, Segment)> + '_ {
        self.parts.iter().flat_map(move |(&number, candidates)| {
            candidates.iter().map(move |c| {
                let part = c.head.map_or(Part::Later(number), Part::First);
                (c.at, Segment { session, part, chunk: c.chunk.clone() })
            })
        })
    }

    fn holds(&self, number: u8, new: &Candidate) -> bool {
        self.parts.get(&number).is_some_and(|held| held.iter().any(|c| c.same(new)))
    }

    /// Of equal ones, the time of the first counts.
    fn add(&mut self, number: u8, new: Candidate) {
        let candidates = self.parts.entry(number).or_default();
        match candidates.iter_mut().find(|c| c.same(&new)) {
            Some(known) => known.at = known.at.min(new.at),
            None => candidates.push(new),
        }
    }

    /// Keeps the newest few of each number, then drops the oldest of all until the set is within its size: what is
    /// planted first must not keep others out.
    fn shrink(&mut self) {
        for candidates in self.parts.values_mut() {
            candidates.sort_unstable();
            let surplus = candidates.len().saturating_sub(CANDIDATES_MAX);
            candidates.drain(..surplus);
        }
        let mut surplus = self.letters().saturating_sub(SET_LETTERS_MAX);
        while surplus > 0 {
            let oldest = self.parts.iter().filter_map(|(&n, held)| held.first().map(|c| (c, n))).min();
            let Some(number) = oldest.map(|(_, n)| n) else {
                return;
            };
            let held = self.parts.entry(number).or_default();
            surplus = surplus.saturating_sub(held.remove(0).chunk.len());
            self.parts.retain(|_, held| !held.is_empty());
        }
    }
}

impl From<UncheckedSet> for Set {
    /// Leaves out what [`Set::insert`] would not have taken.
    fn from(unchecked: UncheckedSet) -> Self {
        let mut parts = unchecked.parts;
        for (number, candidates) in &mut parts {
            candidates.retain(|c| c.is_sound(*number));
            candidates.sort_unstable();
            candidates.dedup_by(|a, b| a.same(b));
        }
        parts.retain(|_, candidates| !candidates.is_empty());
        let mut set = Self { parts };
        set.shrink();
        set
    }
}

impl Candidate {
    fn same(&self, other: &Self) -> bool {
        self.head == other.head && self.chunk == other.chunk
    }

    fn is_sound(&self, number: u8) -> bool {
        (1..=CHUNK_LETTERS_MAX).contains(&self.chunk.len()) && self.head.is_some() == (number == 0)
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} letters at {}", self.chunk.len(), self.at.0)
    }
}

impl fmt::Debug for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembly")
            .field("letters", &self.text.len())
            .field("image_len", &self.image_len)
            .field("text_len", &self.text_len)
            .finish()
    }
}

#[cfg(test)]
mod tests;
