//! What one message carries: a platform payload or a bridge payload, around one ciphertext block.
//!
//! Everything here travels outside the block's MAC, so lengths must sum exactly: what is cut off or too long is refused
//! before a message key is spent. A missing language is the one exception. Source: payloads.md §2, §4; crypto.md §6.

mod bridge;
pub(crate) mod platform;

pub use bridge::{BridgePayload, BridgeVersion, KeyExchange};
pub use platform::{PlatformPayload, PlatformVersion};

use crate::ids::{DeviceId, Language};
use crate::wire::{Reader, Truncated};

/// Most bytes of one payload: far more than 255 SMS hold, and little enough that the largest envelope carries it with all
/// that it is routed by.
pub const PAYLOAD_BYTES_MAX: usize = 63 * 1024;
/// The header length that every block begins with, as `i32`.
pub const BLOCK_HEADER_BYTES: i32 = 40;
/// Block bytes around the ciphertext: length field 4, header 40, MAC 32.
pub const BLOCK_OVERHEAD_BYTES: usize = 76;
/// AES block; the ciphertext is a positive multiple of it.
pub const CIPHER_BLOCK_BYTES: usize = 16;
/// First byte of a bridge payload.
const BRIDGE_MARKER: u8 = 0;

/// A payload as read from SMS text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// For an account at a platform.
    Platform(PlatformPayload),
    /// Mail from an alias of the sender's number.
    Bridge(BridgePayload),
}

/// Why bytes are no payload. Names fields and lengths, never content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// No byte at all.
    #[error("payload is empty")]
    Empty,
    /// Over [`PAYLOAD_BYTES_MAX`].
    #[error("payload is {len} bytes long, at most {PAYLOAD_BYTES_MAX} are read")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
    /// Ends inside a field.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Goes on after its last field.
    #[error("payload is {extra} bytes longer than its lengths say")]
    TooMuch {
        /// Bytes behind the last field.
        extra: usize,
    },
    /// No layout that we know.
    #[error("{kind} payload version {version} is unknown")]
    UnknownVersion {
        /// `platform` or `bridge`.
        kind: &'static str,
        /// Its version byte.
        version: u8,
    },
    /// A bridge payload's second byte.
    #[error("bridge switch {switch} is unknown; 0 and 1 are")]
    UnknownSwitch {
        /// The byte.
        switch: u8,
    },
    /// A field of fixed length.
    #[error("{field} is {len} bytes long, expected {expected}")]
    FieldLength {
        /// Which.
        field: &'static str,
        /// Its announced bytes.
        len: usize,
        /// What it may be.
        expected: &'static str,
    },
    /// The ciphertext block is none.
    #[error(transparent)]
    Block(#[from] BlockError),
}

/// Why bytes cannot be a ciphertext block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Not 76 + 16k bytes with k ≥ 1.
    #[error("ciphertext block is {len} bytes long, expected 76 and a positive multiple of 16")]
    Length {
        /// Its bytes.
        len: usize,
    },
    /// Does not begin with 40.
    #[error("ciphertext block announces a header of {announced} bytes, expected 40")]
    Header {
        /// What it announces.
        announced: i32,
    },
}

/// Why a payload cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The length field has no room for it.
    #[error("{field} is {len} bytes long, at most {max} fit")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its bytes.
        len: usize,
        /// Most bytes.
        max: usize,
    },
    /// This version has no such field.
    #[error("payload version 0 has no {field}")]
    NoField {
        /// Which field.
        field: &'static str,
    },
    /// The ciphertext block is none.
    #[error(transparent)]
    Block(#[from] BlockError),
}

impl Payload {
    /// Reads a payload: first byte 0 is a bridge payload, everything else a platform payload.
    ///
    /// # Errors
    /// When any length does not fit exactly, or a version is unknown.
    pub fn parse(bytes: &[u8]) -> Result<Self, PayloadError> {
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(PayloadError::TooLong { len: bytes.len() });
        }
        match bytes.split_first() {
            None => Err(PayloadError::Empty),
            Some((&BRIDGE_MARKER, inner)) => BridgePayload::parse(inner).map(Self::Bridge),
            Some(_) => PlatformPayload::parse(bytes).map(Self::Platform),
        }
    }

    /// The payload's bytes; [`Payload::parse`] reads them back.
    ///
    /// # Errors
    /// When a field has no room in this version.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Platform(payload) => payload.encode(),
            Self::Bridge(payload) => {
                let mut bytes = vec![BRIDGE_MARKER];
                bytes.extend(payload.encode()?);
                Ok(bytes)
            }
        }
    }

    /// The ciphertext block.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        match self {
            Self::Platform(payload) => &payload.block,
            Self::Bridge(payload) => &payload.block,
        }
    }

    /// The device ID, which only platform payloads may have.
    #[must_use]
    pub fn device_id(&self) -> Option<DeviceId> {
        match self {
            Self::Platform(payload) => payload.device_id,
            Self::Bridge(_) => None,
        }
    }

    /// The language of answers; English where the payload names none.
    #[must_use]
    pub fn language(&self) -> Language {
        match self {
            Self::Platform(payload) => payload.language,
            Self::Bridge(payload) => payload.language,
        }
        .unwrap_or(Language::EN)
    }
}

/// Whether bytes hold a block's first field where some payload has it: how a damaged payload differs from a private text.
#[must_use]
pub fn looks_like_payload(bytes: &[u8]) -> bool {
    /// Where the block begins: in every platform payload, and in bridge payloads without and with a key exchange.
    const BLOCK_OFFSETS: [usize; 3] = [5, 6, 40];
    BLOCK_OFFSETS.iter().any(|&at| announces_header(bytes.get(at..).unwrap_or_default()))
}

/// Checks that bytes are 76 + 16k long, k ≥ 1, and begin with 40.
///
/// # Errors
/// When they are not.
pub fn check_block(block: &[u8]) -> Result<(), BlockError> {
    let len = block.len();
    let cipher = len.checked_sub(BLOCK_OVERHEAD_BYTES).filter(|&n| n > 0 && n % CIPHER_BLOCK_BYTES == 0);
    let (Some(_), Some(&field)) = (cipher, block.first_chunk()) else {
        return Err(BlockError::Length { len });
    };
    match i32::from_le_bytes(field) {
        BLOCK_HEADER_BYTES => Ok(()),
        announced => Err(BlockError::Header { announced }),
    }
}

fn announces_header(block: &[u8]) -> bool {
    block.first_chunk().is_some_and(|&field| i32::from_le_bytes(field) == BLOCK_HEADER_BYTES)
}

fn read_block(reader: &mut Reader<'_>, len: usize) -> Result<Vec<u8>, PayloadError> {
    let block = reader.take(len, "ciphertext block")?;
    check_block(block)?;
    Ok(block.to_vec())
}

/// The rest of a payload is its language, or nothing.
fn read_language(reader: Reader<'_>) -> Result<Option<Language>, PayloadError> {
    const LANGUAGE_BYTES: usize = 2;
    let rest = reader.rest();
    match rest {
        [] => Ok(None),
        [a, b] => Ok(Some(Language::lenient([*a, *b]))),
        [_] => Err(Truncated { field: "language", need: LANGUAGE_BYTES, have: 1 }.into()),
        _ => Err(PayloadError::TooMuch { extra: rest.len() - LANGUAGE_BYTES }),
    }
}

fn block_len_u16(block: &[u8]) -> Result<u16, EncodeError> {
    check_block(block)?;
    u16::try_from(block.len()).map_err(|_| EncodeError::TooLong {
        field: "ciphertext block",
        len: block.len(),
        max: usize::from(u16::MAX),
    })
}

/// A structurally sound block of `k` cipher blocks, for tests.
#[cfg(test)]
pub(crate) fn sample_block(k: usize, fill: u8) -> Vec<u8> {
    let mut block = BLOCK_HEADER_BYTES.to_le_bytes().to_vec();
    block.resize(BLOCK_OVERHEAD_BYTES + CIPHER_BLOCK_BYTES * k, fill);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_76_and_16k_long_and_begin_with_40() {
        assert_eq!(check_block(&sample_block(1, 0)), Ok(()));
        for len in [0, 3, 75, 76, 91, 93, 107] {
            let mut block = sample_block(2, 0);
            block.truncate(len);
            assert_eq!(check_block(&block), Err(BlockError::Length { len }));
        }
        let mut block = sample_block(1, 0);
        block[0] = 41;
        assert_eq!(check_block(&block), Err(BlockError::Header { announced: 41 }));
    }

    #[test]
    fn nothing_and_too_much_are_no_payload() {
        assert_eq!(Payload::parse(&[]), Err(PayloadError::Empty));
        let len = PAYLOAD_BYTES_MAX + 1;
        assert_eq!(Payload::parse(&vec![1; len]), Err(PayloadError::TooLong { len }));
    }
}
