//! Which chunks make a whole: every number may have several, and only the block's MAC tells which are real.

use super::{ASSEMBLIES_MAX, Assembly, CANDIDATES_MAX, Candidate, REUSE_WINDOW, Set};
use crate::ids::Timestamp;

/// How one combination picks a chunk for each number.
#[derive(Clone, Copy)]
pub(super) enum Pick {
    /// Came closest to the first segment.
    Nearest,
    Newest,
    Oldest,
    /// Came closest to when a phone sent it that makes [`SENDING_PAUSE_MS`] between its segments.
    InStep,
}

pub(super) const PICKS: [Pick; ASSEMBLIES_MAX / CANDIDATES_MAX] =
    [Pick::Nearest, Pick::InStep, Pick::Newest, Pick::Oldest];
/// Android's pause after each segment, in milliseconds.
const SENDING_PAUSE_MS: u64 = 5000;

impl Set {
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

    /// First segments, newest first.
    pub(super) fn heads(&self) -> impl Iterator<Item = &Candidate> {
        self.parts.get(&0).into_iter().flatten().rev()
    }

    /// Chunks of a number that can belong to a first segment, oldest first.
    pub(super) fn eligible<'a>(
        &'a self,
        number: u8,
        first: &'a Candidate,
    ) -> impl DoubleEndedIterator<Item = &'a Candidate> {
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

    pub(super) fn choose<'a>(&'a self, number: u8, first: &'a Candidate, pick: Pick) -> Option<&'a Candidate> {
        let mut eligible = self.eligible(number, first);
        let sent = first.at.0.saturating_add(SENDING_PAUSE_MS * u64::from(number));
        match pick {
            Pick::Nearest => eligible.min_by_key(|c| c.at.0.abs_diff(first.at.0)),
            Pick::InStep => eligible.min_by_key(|c| c.at.0.abs_diff(sent)),
            Pick::Newest => eligible.next_back(),
            Pick::Oldest => eligible.next(),
        }
    }
}

/// Android cuts wrapped base64, so its last segment may hold nothing but a line break, which no detection can tell from a
/// private word. A payload whose lengths sum exactly without it needs no more letters.
fn is_whole(text: &str) -> bool {
    crate::detect::parse_text(text).is_ok()
}
