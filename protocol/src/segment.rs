//! One SMS of an image message, and how a long text becomes such SMS (payloads.md §5).
//!
//! A chunk is kept as base64 letters only: two copies of one SMS that got different line breaks on their way are then
//! equal, and padding in the middle of a text means nothing.

pub mod assembly;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base64text::{self, is_letter};

/// First byte of every segment.
const MARKER: u8 = 4;
/// Letters of a first segment's header: 8 bytes, and one padding that is not counted.
const FIRST_HEADER_LETTERS: usize = 11;
/// Letters of a later segment's header: 3 bytes.
const LATER_HEADER_LETTERS: usize = 4;
/// Characters of one SMS that Android fills.
pub const SEGMENT_CHARS: usize = 153;
/// Characters of text in each SMS: what the first header leaves, also behind the shorter later ones.
pub const CHUNK_CHARS: usize = SEGMENT_CHARS - FIRST_HEADER_LETTERS - 1;
/// The number of segments is one byte.
pub const SEGMENTS_MAX: usize = 255;
/// Most letters of a chunk that are taken: ten joined SMS, more than any phone sends as one segment.
pub const CHUNK_LETTERS_MAX: usize = 1530;
/// Hops add a blank here and there; words of people are shorter than this.
const LETTERS_PER_BLANK_MIN: usize = 16;

/// One SMS of an image message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Which of a phone's images; counts 0 to 255 and starts again.
    pub session: u8,
    /// First or later.
    pub part: Part,
    /// Base64 letters.
    pub chunk: String,
}

/// Where a segment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// Number 0.
    First(Head),
    /// Number 1 to 254.
    Later(u8),
}

/// What the first segment says of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Head {
    /// Segments, 1 to 255.
    pub total: u8,
    /// Plaintext bytes of the image.
    pub image_len: u16,
    /// Plaintext bytes of the content behind it.
    pub text_len: u16,
}

/// Why a text is no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Something else.
    #[error("no image segment")]
    NoSegment,
    /// Ends inside its header.
    #[error("image segment header is cut off: {FIRST_HEADER_LETTERS} letters expected, {letters} left")]
    Header {
        /// Letters of the text.
        letters: usize,
    },
    /// An image of no segments.
    #[error("image message announces 0 segments")]
    NoTotal,
    /// Nothing behind the header of the first. (Four letters alone are more likely somebody's word.)
    #[error("first image segment is empty")]
    NoChunk,
    /// Over [`CHUNK_LETTERS_MAX`].
    #[error("image segment {number} has {letters} letters, at most {CHUNK_LETTERS_MAX} are taken")]
    ChunkTooLong {
        /// Which.
        number: u8,
        /// Its letters.
        letters: usize,
    },
}

/// Why a text cannot be sent in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No text.
    #[error("nothing to send")]
    Empty,
    /// More than one byte counts.
    #[error("text needs {segments} segments, at most {SEGMENTS_MAX} can be counted")]
    TooLong {
        /// How many.
        segments: usize,
    },
}

impl Segment {
    /// Reads the text of one SMS.
    ///
    /// # Errors
    /// [`SegmentError::NoSegment`] for anything that does not begin like a segment or is written like prose; the
    /// others for segments that are damaged.
    pub fn parse(text: &str) -> Result<Self, SegmentError> {
        // Most texts are no segments, and four letters tell: the rest is looked at only then.
        let head: String = text.chars().filter(|c| is_letter(*c)).take(LATER_HEADER_LETTERS).collect();
        let Ok([MARKER, session, number]) = <[u8; 3]>::try_from(decode(&head)) else {
            return Err(SegmentError::NoSegment);
        };
        let letters = segment_letters(text).ok_or(SegmentError::NoSegment)?;
        let (part, chunk) = if number == 0 {
            let (header, chunk) = letters
                .split_at_checked(FIRST_HEADER_LETTERS)
                .ok_or(SegmentError::Header { letters: letters.len() })?;
            (Part::First(read_head(header)?), chunk)
        } else {
            (Part::Later(number), letters.get(LATER_HEADER_LETTERS..).unwrap_or_default())
        };
        check_chunk(number, chunk.len())?;
        Ok(Self { session, part, chunk: chunk.to_owned() })
    }

    /// 0 for the first.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self.part {
            Part::First(_) => 0,
            Part::Later(number) => number,
        }
    }

    /// The SMS text; [`Segment::parse`] reads it back.
    #[must_use]
    pub fn encode(&self) -> String {
        header(self.session, self.part) + &self.chunk
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("session", &self.session)
            .field("part", &self.part)
            .field("letters", &self.chunk.len())
            .finish()
    }
}

/// Cuts a payload's base64 text into SMS texts as Android does: 141 characters each.
///
/// # Errors
/// When there is no text, or too much of it.
pub fn split(text: &str, session: u8, image_len: u16, text_len: u16) -> Result<Vec<String>, SplitError> {
    let letters: Vec<char> = text.chars().filter(|c| is_letter(*c) || *c == '=').collect();
    let segments = letters.len().div_ceil(CHUNK_CHARS);
    if segments == 0 {
        return Err(SplitError::Empty);
    }
    let total = u8::try_from(segments).map_err(|_| SplitError::TooLong { segments })?;
    let parts = std::iter::once(Part::First(Head { total, image_len, text_len })).chain((1..total).map(Part::Later));
    let texts =
        parts.zip(letters.chunks(CHUNK_CHARS)).map(|(part, chunk)| header(session, part) + &String::from_iter(chunk));
    Ok(texts.collect())
}

fn header(session: u8, part: Part) -> String {
    match part {
        Part::Later(number) => base64text::encode(&[MARKER, session, number]),
        Part::First(Head { total, image_len, text_len }) => {
            let ([i0, i1], [t0, t1]) = (image_len.to_le_bytes(), text_len.to_le_bytes());
            base64text::encode(&[MARKER, session, 0, total, i0, i1, t0, t1])
        }
    }
}

/// The letters of a text that can be a segment: nothing but base64, and no more blanks than hops add.
fn segment_letters(text: &str) -> Option<String> {
    let strange = |c: char| !is_letter(c) && c != '=' && !c.is_whitespace();
    if text.contains(strange) {
        return None;
    }
    let letters = base64text::letters(text);
    let blanks = text.trim().chars().filter(|c| c.is_whitespace() && !matches!(c, '\n' | '\r')).count();
    (blanks == 0 || letters.len() / blanks >= LETTERS_PER_BLANK_MIN).then_some(letters)
}

/// A header's bytes; it is made of letters, so nothing is lost.
fn decode(header: &str) -> Vec<u8> {
    base64text::decode(header).unwrap_or_default()
}

fn read_head(header: &str) -> Result<Head, SegmentError> {
    let Ok([_, _, _, total, i0, i1, t0, t1]) = <[u8; 8]>::try_from(decode(header)) else {
        return Err(SegmentError::Header { letters: header.len() });
    };
    if total == 0 {
        return Err(SegmentError::NoTotal);
    }
    Ok(Head { total, image_len: u16::from_le_bytes([i0, i1]), text_len: u16::from_le_bytes([t0, t1]) })
}

fn check_chunk(number: u8, letters: usize) -> Result<(), SegmentError> {
    match letters {
        0 if number == 0 => Err(SegmentError::NoChunk),
        0 => Err(SegmentError::NoSegment),
        1..=CHUNK_LETTERS_MAX => Ok(()),
        _ => Err(SegmentError::ChunkTooLong { number, letters }),
    }
}

#[cfg(test)]
mod tests;
