//! Platform payloads, versions 0 to 3 (payloads.md §2).

use std::fmt;

use super::{
    BLOCK_OVERHEAD_BYTES, EncodeError, PAYLOAD_BYTES_MAX, PayloadError, block_len_u16, check_block, looks_like_payload,
    read_block, read_language,
};
use crate::ids::{DeviceId, Language};
use crate::wire::Reader;

/// Bytes of a device ID, where there is one.
pub(crate) const DEVICE_ID_BYTES: usize = 32;
/// Version, `u16` block length, device ID length and shortcode.
const DEVICE_ID_HEADER_BYTES: usize = 5;
/// `i32` block length and shortcode.
const V0_HEADER_BYTES: usize = 5;

/// Layout of a platform payload, and of the content in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlatformVersion {
    /// No version byte; text content, no language. iOS and the python client.
    V0,
    /// `0x01`: 8-bit token lengths.
    V1,
    /// `0x02`: 16-bit token lengths. What Android sends.
    V2,
    /// `0x03`: a layout per service; documented, not sent by anyone yet.
    V3,
}

/// A payload for an account at a platform.
#[derive(Clone, PartialEq, Eq)]
pub struct PlatformPayload {
    /// Which layout.
    pub version: PlatformVersion,
    /// Which platform, one ASCII letter; see [`crate::platform`].
    pub shortcode: u8,
    /// Ciphertext block: 76 + 16k bytes.
    pub block: Vec<u8>,
    /// Who; without it, the sender's number is all there is.
    pub device_id: Option<DeviceId>,
    /// Language of the answer; version 0 has none, and others may miss it.
    pub language: Option<Language>,
}

impl PlatformVersion {
    fn byte(self) -> Option<u8> {
        match self {
            Self::V0 => None,
            Self::V1 => Some(1),
            Self::V2 => Some(2),
            Self::V3 => Some(3),
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::V1, Self::V2, Self::V3].into_iter().find(|v| v.byte() == Some(byte))
    }
}

impl PlatformPayload {
    /// Reads a platform payload; version 0 wins where its length fits, which the versions after it never do.
    ///
    /// # Errors
    /// When any length does not fit exactly, or the version is unknown.
    pub fn parse(bytes: &[u8]) -> Result<Self, PayloadError> {
        if let Some(len) = v0_block_len(bytes)
            && bytes.len() - V0_HEADER_BYTES >= len
        {
            return parse_v0(bytes, len);
        }
        let mut reader = Reader::new(bytes);
        let byte = reader.u8("version")?;
        let Some(version) = PlatformVersion::from_byte(byte) else {
            return Err(unknown_version(bytes, byte));
        };
        let block_len = reader.u16("block length")?.into();
        let device_id_len = reader.u8("device id length")?.into();
        let shortcode = reader.u8("shortcode")?;
        let block = read_block(&mut reader, block_len)?;
        let device_id = device_id(reader.take(device_id_len, "device id")?)?;
        let language = read_language(reader)?;
        Ok(Self { version, shortcode, block, device_id, language })
    }

    /// The payload's bytes; [`PlatformPayload::parse`] reads them back.
    ///
    /// # Errors
    /// When the block is none or too long, or version 0 is given a language.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let device_id = self.device_id.as_ref().map_or(&[][..], |id| id.as_bytes());
        let mut bytes = match self.version.byte() {
            None => self.v0_header()?,
            Some(version) => {
                let [low, high] = block_len_u16(&self.block)?.to_le_bytes();
                let device_id_len = if device_id.is_empty() { 0 } else { DEVICE_ID_BYTES as u8 };
                vec![version, low, high, device_id_len, self.shortcode]
            }
        };
        bytes.extend_from_slice(&self.block);
        bytes.extend_from_slice(device_id);
        if let Some(language) = self.language {
            bytes.extend_from_slice(&language.0);
        }
        Ok(bytes)
    }

    fn v0_header(&self) -> Result<Vec<u8>, EncodeError> {
        if self.language.is_some() {
            return Err(EncodeError::NoField { field: "language" });
        }
        check_block(&self.block)?;
        let max = PAYLOAD_BYTES_MAX - V0_HEADER_BYTES - DEVICE_ID_BYTES;
        let len = self.block.len();
        let announced = i32::try_from(len).ok().filter(|_| len <= max).ok_or(EncodeError::TooLong {
            field: "ciphertext block",
            len,
            max,
        })?;
        let mut bytes = announced.to_le_bytes().to_vec();
        bytes.push(self.shortcode);
        Ok(bytes)
    }
}

impl fmt::Debug for PlatformPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformPayload")
            .field("version", &self.version)
            .field("shortcode", &char::from(self.shortcode))
            .field("block_bytes", &self.block.len())
            .field("device_id", &self.device_id.is_some())
            .field("language", &self.language)
            .finish()
    }
}

/// Where the device ID of a payload begins, of which only the first bytes are here; `None` where it has none, or where they
/// do not tell. (Version 0 announces none: nobody sends images in it.)
pub(crate) fn device_id_at(prefix: &[u8]) -> Option<usize> {
    let &[version, low, high, device_id_len, _shortcode] = prefix.first_chunk::<DEVICE_ID_HEADER_BYTES>()?;
    PlatformVersion::from_byte(version)?;
    let block_len = usize::from(u16::from_le_bytes([low, high]));
    (usize::from(device_id_len) == DEVICE_ID_BYTES).then_some(DEVICE_ID_HEADER_BYTES + block_len)
}

/// The block length that version 0 would announce, if the bytes have room for its header.
fn v0_block_len(bytes: &[u8]) -> Option<usize> {
    let (&field, _) = bytes.split_first_chunk()?;
    if bytes.len() < V0_HEADER_BYTES {
        return None;
    }
    usize::try_from(i32::from_le_bytes(field)).ok()
}

fn parse_v0(bytes: &[u8], block_len: usize) -> Result<PlatformPayload, PayloadError> {
    let mut reader = Reader::new(bytes);
    reader.take(V0_HEADER_BYTES - 1, "block length")?;
    let shortcode = reader.u8("shortcode")?;
    let block = read_block(&mut reader, block_len)?;
    let device_id = device_id(reader.rest())?;
    Ok(PlatformPayload { version: PlatformVersion::V0, shortcode, block, device_id, language: None })
}

/// A version 0 payload whose end was lost looks like an unknown version; say what it is.
fn unknown_version(bytes: &[u8], version: u8) -> PayloadError {
    if looks_like_payload(bytes)
        && let Some(len) = v0_block_len(bytes).filter(|len| (BLOCK_OVERHEAD_BYTES..PAYLOAD_BYTES_MAX).contains(len))
    {
        let mut reader = Reader::new(bytes.get(V0_HEADER_BYTES..).unwrap_or_default());
        if let Err(cut) = reader.take(len, "ciphertext block") {
            return cut.into();
        }
    }
    PayloadError::UnknownVersion { kind: "platform", version }
}

fn device_id(bytes: &[u8]) -> Result<Option<DeviceId>, PayloadError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let id = DeviceId::try_from(bytes).map_err(|_| PayloadError::FieldLength {
        field: "device id",
        len: bytes.len(),
        expected: "0 or 32",
    })?;
    Ok(Some(id))
}

#[cfg(test)]
mod tests;
