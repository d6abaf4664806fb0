//! Putting the segments of one image message together, in any order, with copies, at one node or several.
//!
//! Session numbers come round again and anyone can send a segment with somebody's number, so no segment is believed and
//! none shuts another out: for every number up to [`CANDIDATES_MAX`] different chunks are kept, the newest ones, and a
//! whole is offered in up to [`ASSEMBLIES_MAX`] combinations, likeliest first. The block's MAC tells which one is real,
//! and only the home can compute it. A set belongs to one sender and one session; its owner knows which.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CHUNK_LETTERS_MAX, Head, Part, Segment};
use crate::base64text;
use crate::ids::{DeviceId, Timestamp};
use crate::payload::platform::{DEVICE_ID_BYTES, device_id_at};

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

/// How one combination picks a chunk for each number.
#[derive(Clone, Copy)]
enum Pick {
    /// Came closest to the first segment.
    Nearest,
    Newest,
    Oldest,
    /// Came closest to when a phone sent it that makes [`SENDING_PAUSE_MS`] between its segments.
    InStep,
}

const PICKS: [Pick; ASSEMBLIES_MAX / CANDIDATES_MAX] = [Pick::Nearest, Pick::InStep, Pick::Newest, Pick::Oldest];
/// Android's pause after each segment, in milliseconds.
const SENDING_PAUSE_MS: u64 = 5000;

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

    /// The combinations that make a whole, likeliest first, each once, at most [`ASSEMBLIES_MAX`].
    pub fn assemblies(&self) -> impl Iterator<Item = Assembly> {
        let mut found: Vec<Assembly> = Vec::new();
        for pick in PICKS {
            for first in self.heads() {
                if let Some(assembly) = self.assemble(first, pick).filter(|a| !found.contains(a)) {
                    found.push(assembly);
                }
            }
        }
        found.into_iter().take(ASSEMBLIES_MAX)
    }

    /// Device IDs whose letters are all here, though the whole may not be; likeliest first, at most [`CANDIDATES_MAX`].
    #[must_use]
    pub fn device_ids(&self) -> Vec<DeviceId> {
        let mut found = Vec::new();
        for pick in PICKS {
            for first in self.heads() {
                if let Some(device) = self.device(first, pick).filter(|device| !found.contains(device)) {
                    found.push(device);
                }
            }
        }
        found.truncate(CANDIDATES_MAX);
        found
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

    /// First segments, newest first.
    fn heads(&self) -> impl Iterator<Item = &Candidate> {
        self.parts.get(&0).into_iter().flatten().rev()
    }

    /// Chunks of a number that can belong to a first segment, oldest first.
    fn eligible<'a>(&'a self, number: u8, first: &'a Candidate) -> impl DoubleEndedIterator<Item = &'a Candidate> {
        let reused = self.parts.get(&0).is_some_and(|heads| heads.len() > 1);
        let from = if reused { first.at.before(REUSE_WINDOW) } else { Timestamp(0) };
        self.parts.get(&number).into_iter().flatten().filter(move |c| c.at >= from)
    }

    fn assemble(&self, first: &Candidate, pick: Pick) -> Option<Assembly> {
        let head = first.head?;
        let mut text = first.chunk.clone();
        for number in 1..head.total {
            match self.choose(number, first, pick) {
                Some(chosen) => text.push_str(&chosen.chunk),
                None if number + 1 == head.total && is_whole(&text) => {}
                None => return None,
            }
        }
        Some(Assembly { text, image_len: head.image_len, text_len: head.text_len })
    }

    fn choose<'a>(&'a self, number: u8, first: &'a Candidate, pick: Pick) -> Option<&'a Candidate> {
        let mut eligible = self.eligible(number, first);
        let sent = first.at.0.saturating_add(SENDING_PAUSE_MS * u64::from(number));
        match pick {
            Pick::Nearest => eligible.min_by_key(|c| c.at.0.abs_diff(first.at.0)),
            Pick::InStep => eligible.min_by_key(|c| c.at.0.abs_diff(sent)),
            Pick::Newest => eligible.next_back(),
            Pick::Oldest => eligible.next(),
        }
    }

    /// The device ID that one combination has. The first segment tells where in the payload it lies; letters are
    /// counted from the first segment on, or from the last one back, as far as there is no gap.
    fn device(&self, first: &Candidate, pick: Pick) -> Option<DeviceId> {
        let head = first.head?;
        let at = device_id_at(&letters_of(&first.chunk, 0..PREFIX_LETTERS)?)?;
        let end = at + DEVICE_ID_BYTES;
        let chunk = |number| match number {
            0 => Some(first.chunk.as_str()),
            _ => self.choose(number, first, pick).map(|chosen| chosen.chunk.as_str()),
        };
        let front: Vec<&str> = (0..head.total).map_while(chunk).collect();
        if let Some(device) = device_within(&front.concat(), at, 0) {
            return Some(device);
        }
        // The last segment may hold nothing but a line break, and is then none. It may be lost as well.
        let is_ended = chunk(head.total - 1).is_some();
        let last = if is_ended { head.total } else { head.total - 1 };
        let mut back: Vec<&str> = (0..last).rev().map_while(chunk).collect();
        back.reverse();
        let missing = usize::from(last).checked_sub(front.len() + back.len())?;
        let (front, back) = (front.concat(), back.concat());
        // Phones fill each segment alike; a line break more or less is no letter.
        let (least, most) = (first.chunk.len().saturating_sub(LINE_BREAKS), first.chunk.len() + LINE_BREAKS);
        let fits = |skipped: &usize| (missing * least..=missing * most).contains(&skipped.saturating_sub(front.len()));
        // Where the last piece begins depends on whether a language follows.
        let skipped = |language| letters_for(end + language).checked_sub(back.len()).filter(fits);
        let with_language = skipped(LANGUAGE_BYTES).filter(|skipped| ends_in_language(&back, *skipped, end));
        with_language.or_else(|| skipped(0).filter(|_| is_ended)).and_then(|skipped| device_within(&back, at, skipped))
    }
}

/// Letters of the first segment that hold the payload's own header.
const PREFIX_LETTERS: usize = 8;
/// Segments of one text differ by so many letters: the line breaks in one more than in the other.
const LINE_BREAKS: usize = 2;
/// The language behind a device ID, which may be missing.
const LANGUAGE_BYTES: usize = 2;

/// Letters of so many bytes.
fn letters_for(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// The bytes behind some of a text's letters.
fn letters_of(text: &str, range: std::ops::Range<usize>) -> Option<Vec<u8>> {
    base64text::decode(text.get(range)?).ok()
}

/// Bytes `from..to` of a payload, out of a piece of its text that begins behind so many letters.
fn bytes_within(piece: &str, from: usize, to: usize, skipped: usize) -> Option<Vec<u8>> {
    // Four letters are three bytes: decoding begins where both do.
    let start = (from / 3 * 4).checked_sub(skipped)?;
    let bytes = letters_of(piece, start..letters_for(to).checked_sub(skipped)?)?;
    bytes.get(from % 3..).and_then(|bytes| bytes.get(..to - from)).map(<[u8]>::to_vec)
}

fn device_within(piece: &str, at: usize, skipped: usize) -> Option<DeviceId> {
    let bytes = bytes_within(piece, at, at + DEVICE_ID_BYTES, skipped)?;
    Some(DeviceId(bytes.try_into().ok()?))
}

fn ends_in_language(piece: &str, skipped: usize, end: usize) -> bool {
    let language = bytes_within(piece, end, end + LANGUAGE_BYTES, skipped);
    language.is_some_and(|letters| letters.iter().all(u8::is_ascii_lowercase))
}

/// Android cuts wrapped base64, so its last segment may hold nothing but a line break, which no detection can tell from a
/// private word. A payload whose lengths sum exactly without it needs no more letters.
fn is_whole(text: &str) -> bool {
    crate::detect::parse_text(text).is_ok()
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
