//! The device ID of an image message that is not complete: it lies near the end, and routes the message.

use super::combine::{PICKS, Pick};
use super::{CANDIDATES_MAX, Candidate, Set};
use crate::base64text;
use crate::ids::DeviceId;
use crate::payload::platform::{DEVICE_ID_BYTES, device_id_at};

/// Letters of the first segment that hold the payload's own header.
const PREFIX_LETTERS: usize = 8;
/// Segments of one text differ by so many letters: the line breaks in one more than in the other.
const LINE_BREAKS: usize = 2;
/// The language behind a device ID, which may be missing.
const LANGUAGE_BYTES: usize = 2;

impl Set {
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
