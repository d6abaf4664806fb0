//! What an SMS text is, in the order that the existing servers decide it (payloads.md §1).
//!
//! 1. Four letters that decode to a first byte 4: a segment of an image message.
//! 2. First byte 0: a bridge payload.
//! 3. Everything else: a platform payload, version 0 first.
//!
//! Gateway clients forward every SMS of a phone, so a text that is none of ours is told apart from a damaged one: it is
//! dropped unread.

use crate::base64text::{self, Base64Error, TEXT_BYTES_MAX};
use crate::payload::{Payload, PayloadError, looks_like_payload};
use crate::segment::{Segment, SegmentError};

/// Letters that hold the first field of a block in every payload: 48 bytes of it.
const HEAD_LETTERS: usize = 64;

/// A text of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detected {
    /// Part of an image message.
    Segment(Segment),
    /// A whole message.
    Message(Message),
}

/// A payload and the bytes it was read from, which its message id is made of.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// As read.
    pub payload: Payload,
    /// As sent.
    pub bytes: Vec<u8>,
}

/// Why a text is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectError {
    /// Nothing of RelaySMS in it: most likely somebody's private SMS.
    #[error("no RelaySMS payload")]
    NotOurs,
    /// A RelaySMS payload that lost or gained something on its way.
    #[error("damaged RelaySMS payload")]
    Malformed(#[source] Damage),
}

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its base64.
    #[error(transparent)]
    Base64(#[from] Base64Error),
    /// Its lengths or version.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Its segment header.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// What a single SMS text is.
///
/// # Errors
/// When it is not ours, or damaged.
pub fn detect(text: &str) -> Result<Detected, DetectError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_long(text, Base64Error::TooLong { len: text.len() }));
    }
    match Segment::parse(text) {
        Ok(segment) => Ok(Detected::Segment(segment)),
        Err(SegmentError::NoSegment) => parse_text(text).map(Detected::Message),
        Err(error) => Err(DetectError::Malformed(error.into())),
    }
}

/// The message of an assembled text (see [`crate::segment::assembly`]): steps 2 and 3, since segments do not nest.
///
/// # Errors
/// When it is not ours, or damaged.
pub fn parse_text(text: &str) -> Result<Message, DetectError> {
    match base64text::decode(text) {
        Ok(bytes) => parse_message(bytes),
        Err(error @ Base64Error::Dangling { .. }) => Err(dangling(text, error)),
        Err(error @ Base64Error::TooLong { .. }) => Err(too_long(text, error)),
    }
}

/// The message of decoded bytes.
///
/// # Errors
/// When they are not ours, or damaged.
pub fn parse_message(bytes: Vec<u8>) -> Result<Message, DetectError> {
    match Payload::parse(&bytes) {
        Ok(payload) => Ok(Message { payload, bytes }),
        Err(error) if looks_like_payload(&bytes) => Err(DetectError::Malformed(error.into())),
        Err(_) => Err(DetectError::NotOurs),
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("payload", &self.payload).finish_non_exhaustive()
    }
}

/// Nobody's text is that long; whose it is, its beginning tells.
fn too_long(text: &str, error: Base64Error) -> DetectError {
    let head: String = text.chars().filter(|c| base64text::is_letter(*c)).take(HEAD_LETTERS).collect();
    match base64text::decode(&head) {
        Ok(bytes) if looks_like_payload(&bytes) => DetectError::Malformed(error.into()),
        _ => DetectError::NotOurs,
    }
}

/// One letter too many says nothing about whose text it is; the letters before it do.
fn dangling(text: &str, error: Base64Error) -> DetectError {
    let mut letters = base64text::letters(text);
    letters.pop();
    match base64text::decode(&letters) {
        Ok(bytes) if looks_like_payload(&bytes) => DetectError::Malformed(error.into()),
        _ => DetectError::NotOurs,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Language;
    use crate::payload::{
        BridgePayload, BridgeVersion, PAYLOAD_BYTES_MAX, PlatformPayload, PlatformVersion, sample_block,
    };

    fn platform(version: PlatformVersion, k: usize) -> Payload {
        Payload::Platform(PlatformPayload {
            version,
            shortcode: b'g',
            block: sample_block(k, 3),
            device_id: None,
            language: None,
        })
    }

    #[test]
    fn private_texts_are_not_ours() {
        for text in [
            "",
            " ",
            "ok",
            "BONJOUR MAMAN",
            "Bonjour, on se voit 10:30 ? Bises",
            "Your code is 123456",
            "Be back soon my dear, call me when you are home",
            "réunion à 9h",
            "AAAA",
            "😀😀😀😀",
            "http://example.org/?a=b",
            "BA",
            "BALI",
        ] {
            assert_eq!(detect(text), Err(DetectError::NotOurs), "{text:?}");
        }
        assert_eq!(detect(&"A ".repeat(TEXT_BYTES_MAX)), Err(DetectError::NotOurs));
    }

    #[test]
    fn version_0_is_never_taken_for_a_segment_or_a_bridge_payload() {
        for k in 1..300 {
            let payload = platform(PlatformVersion::V0, k);
            let text = base64text::encode(&payload.encode().unwrap());
            let Ok(Detected::Message(message)) = detect(&text) else { panic!("k = {k}") };
            assert_eq!(message.payload, payload);
        }
    }

    #[test]
    fn payloads_over_their_length_are_damage_and_long_private_texts_are_not() {
        let bytes = platform(PlatformVersion::V2, 2).encode().unwrap();
        for surplus in [PAYLOAD_BYTES_MAX, TEXT_BYTES_MAX] {
            let text = base64text::encode(&[bytes.clone(), vec![0; surplus]].concat());
            let error = detect(&text).unwrap_err();
            let DetectError::Malformed(damage) = error else { panic!("{surplus}: {error:?}") };
            assert!(damage.to_string().contains(" bytes long, at most "), "{damage}");
        }
    }

    #[test]
    fn damage_is_told_from_private_texts() {
        let bytes = platform(PlatformVersion::V2, 4).encode().unwrap();
        let text = base64text::encode(&bytes);
        for len in 16..text.len() - 4 {
            let error = detect(&text[..len]).unwrap_err();
            assert!(matches!(error, DetectError::Malformed(_)), "cut to {len}");
        }
        assert!(matches!(detect(&format!("{text}AAAA")), Err(DetectError::Malformed(_))));
        let bridge = Payload::Bridge(BridgePayload {
            version: BridgeVersion::V1,
            key_exchange: None,
            letter: b'e',
            block: sample_block(1, 0),
            language: Some(Language::EN),
        });
        let mut bytes = bridge.encode().unwrap();
        bytes[1] = 7;
        let Err(DetectError::Malformed(damage)) = detect(&base64text::encode(&bytes)) else { panic!("not damaged") };
        assert_eq!(damage.to_string(), "bridge payload version 7 is unknown");
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", base64 in "[A-Za-z0-9+/=\n ]{0,200}") {
            let _ = detect(&text);
            let _ = detect(&base64);
        }

        #[test]
        fn a_changed_letter_never_panics(at in any::<prop::sample::Index>(), letter in "[A-Za-z+/]") {
            let mut text = base64text::encode(&platform(PlatformVersion::V0, 2).encode().unwrap());
            let at = at.index(text.len());
            text.replace_range(at..=at, &letter);
            let _ = detect(&text);
        }
    }
}
