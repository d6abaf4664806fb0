//! The clear header: what carriers may read, and what the seal authenticates.

use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};

use super::{ENC_LEN, EnvelopeError, MINUTE_MS, inner};
use crate::aead::TAG_LEN;
use crate::keys::KeyId;

const MAGIC: [u8; 2] = *b"RM";
/// The version of the envelope format.
pub const VERSION: u8 = 1;
/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. 2 is reserved for X-Wing.
pub const SUITE: u8 = 1;
/// Bytes of the clear header.
pub const HEADER_LEN: usize = 61;

/// Size class of an envelope: how many bytes of plaintext it has, whatever the body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// 1,024 bytes: texts and receipts.
    B1024 = 1,
    /// 4,096 bytes.
    B4096 = 2,
    /// 16,384 bytes.
    B16384 = 3,
    /// 65,536 bytes: the longest image.
    B65536 = 4,
}

impl Bucket {
    /// All, from small to large.
    pub const ALL: [Self; 4] = [Self::B1024, Self::B4096, Self::B16384, Self::B65536];

    /// Bytes of plaintext.
    #[must_use]
    pub const fn plaintext_len(self) -> usize {
        match self {
            Self::B1024 => 1_024,
            Self::B4096 => 4_096,
            Self::B16384 => 16_384,
            Self::B65536 => 65_536,
        }
    }

    /// Bytes of a whole envelope of this class.
    #[must_use]
    pub const fn envelope_len(self) -> usize {
        HEADER_LEN + ENC_LEN + self.plaintext_len() + TAG_LEN
    }

    /// The smallest class that holds a body, which is the only one that may carry it.
    #[must_use]
    pub fn for_body(len: usize) -> Option<Self> {
        let need = len.checked_add(inner::OVERHEAD)?;
        Self::ALL.into_iter().find(|b| need <= b.plaintext_len())
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|b| *b as u8 == byte)
    }
}

/// The clear header of an envelope. Believed only after the envelope opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The node that it is sealed to.
    pub recipient: NodeId,
    /// Which of the recipient's keys.
    pub key_id: KeyId,
    /// Its size class.
    pub bucket: Bucket,
    /// When carriers may drop it, in whole minutes.
    pub expiry: Timestamp,
    /// Random; a message that is sealed again gets a new one.
    pub id: EnvelopeId,
}

impl Header {
    /// Reads the header of a whole envelope, whose length must be the one that its bucket means.
    ///
    /// # Errors
    /// When it is no envelope, of an unknown version, suite or bucket, or of another length.
    pub fn parse(envelope: &[u8]) -> Result<Self, EnvelopeError> {
        let fields = Fields::split(envelope).ok_or(EnvelopeError::NotAnEnvelope)?;
        if fields.magic != MAGIC {
            return Err(EnvelopeError::NotAnEnvelope);
        }
        if fields.version != VERSION {
            return Err(EnvelopeError::Version(fields.version));
        }
        if fields.suite != SUITE {
            return Err(EnvelopeError::Suite(fields.suite));
        }
        let bucket = Bucket::from_byte(fields.bucket).ok_or(EnvelopeError::Bucket(fields.bucket))?;
        let (expected, got) = (bucket.envelope_len(), envelope.len());
        if expected != got {
            return Err(EnvelopeError::Length { expected, got });
        }
        Ok(Self {
            recipient: NodeId(fields.recipient),
            key_id: KeyId(fields.key_id),
            bucket,
            expiry: Timestamp(u64::from(fields.expiry_minutes) * MINUTE_MS),
            id: EnvelopeId(fields.id),
        })
    }
}

impl Header {
    /// The header's bytes, as they stand before every envelope. `None` if its expiry lies beyond 32 bits of minutes.
    #[must_use]
    pub fn encode(&self) -> Option<[u8; HEADER_LEN]> {
        let expiry = u32::try_from(self.expiry.0.div_ceil(MINUTE_MS)).ok()?;
        Some(encode(&self.recipient, self.key_id, self.bucket, expiry, self.id))
    }
}

/// The fields as they stand, unjudged.
struct Fields {
    magic: [u8; 2],
    version: u8,
    suite: u8,
    recipient: [u8; 32],
    key_id: [u8; 4],
    bucket: u8,
    expiry_minutes: u32,
    id: [u8; 16],
}

impl Fields {
    fn split(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let ([version, suite], rest) = rest.split_first_chunk()?;
        let (recipient, rest) = rest.split_first_chunk()?;
        let (key_id, rest) = rest.split_first_chunk()?;
        let ([bucket], rest) = rest.split_first_chunk()?;
        let (expiry, rest) = rest.split_first_chunk()?;
        let (id, _) = rest.split_first_chunk()?;
        Some(Self {
            magic: *magic,
            version: *version,
            suite: *suite,
            recipient: *recipient,
            key_id: *key_id,
            bucket: *bucket,
            expiry_minutes: u32::from_be_bytes(*expiry),
            id: *id,
        })
    }
}

pub(super) fn encode(to: &NodeId, key: KeyId, bucket: Bucket, expiry_minutes: u32, id: EnvelopeId) -> [u8; HEADER_LEN] {
    let parts: [&[u8]; 7] = [
        &MAGIC,
        &[VERSION, SUITE],
        to.as_bytes(),
        &key.0,
        &[bucket as u8],
        &expiry_minutes.to_be_bytes(),
        id.as_bytes(),
    ];
    parts.concat().try_into().expect("the fields' lengths sum to the header's")
}
