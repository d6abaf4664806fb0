//! How payload bytes become SMS texts.

use relaymesh_protocol::base64text;
use relaymesh_protocol::segment::{CHUNK_CHARS, Head, Part, SEGMENTS_MAX, Segment, SplitError, split};

/// Whose base64 it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One line: iOS, Desktop and the python client.
    Plain,
    /// A line break after every 76 letters and at the end; the breaks count when an image is cut into segments.
    Android,
}

/// The lengths that the first segment of an image message announces, and its number among the phone's images.
#[derive(Clone, Copy)]
pub(crate) struct Announced {
    pub(crate) session: u8,
    pub(crate) image_len: u16,
    pub(crate) text_len: u16,
}

impl Style {
    pub(crate) fn base64(self, bytes: &[u8]) -> String {
        match self {
            Self::Plain => base64text::encode(bytes),
            Self::Android => base64text::encode_wrapped(bytes),
        }
    }

    /// The SMS of an image message.
    pub(crate) fn segments(self, payload: &[u8], head: Announced) -> Result<Vec<String>, SplitError> {
        let text = self.base64(payload);
        match self {
            Self::Plain => split(&text, head.session, head.image_len, head.text_len),
            Self::Android => split_wrapped(&text, head),
        }
    }
}

/// As Android cuts: line breaks are characters like others, and one more stands behind the first header.
fn split_wrapped(text: &str, head: Announced) -> Result<Vec<String>, SplitError> {
    let Announced { session, image_len, text_len } = head;
    let chars: Vec<char> = text.chars().collect();
    let segments = chars.len().div_ceil(CHUNK_CHARS);
    let total = match segments {
        0 => return Err(SplitError::Empty),
        1..=SEGMENTS_MAX => u8::try_from(segments).map_err(|_| SplitError::TooLong { segments })?,
        _ => return Err(SplitError::TooLong { segments }),
    };
    let parts = std::iter::once(Part::First(Head { total, image_len, text_len })).chain((1..total).map(Part::Later));
    let texts = parts.zip(chars.chunks(CHUNK_CHARS)).map(|(part, chunk)| {
        let chunk = match part {
            Part::First(_) => format!("\n{}", String::from_iter(chunk)),
            Part::Later(_) => String::from_iter(chunk),
        };
        Segment { session, part, chunk }.encode()
    });
    Ok(texts.collect())
}
