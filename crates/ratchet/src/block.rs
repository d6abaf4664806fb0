//! The framed ciphertext block that every payload carries, and its header (interop `crypto.md` §6):
//! `len_header: i32 LE (= 40) ‖ header(40) ‖ ciphertext(16k, k ≥ 1) ‖ mac(32)`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cipher::CIPHER_BLOCK_BYTES;
use crate::keys::PublicKey;

/// A header in bytes: `pn: i32 LE ‖ n: i32 LE ‖ dh(32)`.
pub const HEADER_BYTES: usize = 40;

/// The smallest block in bytes: one cipher block. All others are longer by multiples of 16.
pub const MIN_BLOCK_BYTES: usize = PREFIX_BYTES + CIPHER_BLOCK_BYTES + MAC_BYTES;

const LEN_FIELD_BYTES: usize = 4;
const MAC_BYTES: usize = 32;
const PREFIX_BYTES: usize = LEN_FIELD_BYTES + HEADER_BYTES;

/// The only legal value of the length field. Little endian, so its first byte can never look like a bridge marker.
const LEN_FIELD: [u8; LEN_FIELD_BYTES] = [40, 0, 0, 0];

/// The largest counter: it travels as a signed 32-bit number.
pub(crate) const MAX_COUNTER: u32 = i32::MAX as u32;

/// What a message says about its place in the conversation. Sent in clear, covered by the MAC.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// How many messages the sender's previous chain had.
    pub pn: u32,
    /// The number of this message in its chain, from 0.
    pub n: u32,
    /// The sender's current ratchet key, which names the chain.
    pub dh: PublicKey,
}

/// The place of a message in its session: it decrypts under exactly one key, and that key may be used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The ratchet key that names the chain.
    pub dh: PublicKey,
    /// The number in that chain.
    pub n: u32,
}

/// Why bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("ratchet header has {found} bytes, expected {HEADER_BYTES}")]
    Length { found: usize },
    #[error("previous-chain count in the ratchet header is negative")]
    NegativePreviousCount,
    #[error("message number in the ratchet header is negative")]
    NegativeNumber,
}

impl Header {
    /// A header of these parts.
    ///
    /// # Errors
    /// [`HeaderError`] if a counter does not fit the signed 32 bits of the wire.
    pub fn new(pn: u32, n: u32, dh: PublicKey) -> Result<Self, HeaderError> {
        if pn > MAX_COUNTER {
            return Err(HeaderError::NegativePreviousCount);
        }
        if n > MAX_COUNTER {
            return Err(HeaderError::NegativeNumber);
        }
        Ok(Self { pn, n, dh })
    }

    /// Reads the 40 bytes.
    ///
    /// # Errors
    /// [`HeaderError`] for another length or a negative counter.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let wrong = HeaderError::Length { found: bytes.len() };
        let (pn, rest) = bytes.split_first_chunk::<4>().ok_or(wrong)?;
        let (n, dh) = rest.split_first_chunk::<4>().ok_or(wrong)?;
        let dh = PublicKey::try_from(dh).map_err(|_| wrong)?;
        Self::new(u32::from_le_bytes(*pn), u32::from_le_bytes(*n), dh)
    }

    /// The 40 bytes of the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.pn.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.n.to_le_bytes());
        bytes[8..].copy_from_slice(self.dh.as_bytes());
        bytes
    }

    /// Which key opens the message; callers remember consumed positions so that a shown MAC key never counts twice.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { dh: self.dh, n: self.n }
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("pn", &self.pn).field("n", &self.n).finish_non_exhaustive()
    }
}

/// One framed message. Holding a `Block` means that its lengths and header are sound; nothing is proven yet.
/// The caller bounds its size (a payload's length field has 16 bits).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Block {
    header: Header,
    bytes: Vec<u8>,
}

/// Why bytes are not a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    #[error("ciphertext block has {found} bytes, expected 76 and a positive multiple of 16")]
    Length { found: usize },
    #[error("length field of the ciphertext block is not 40")]
    HeaderLength,
    #[error("ciphertext block has a malformed header")]
    Header(#[source] HeaderError),
}

impl Block {
    /// Reads a whole block; its length must fit exactly.
    ///
    /// # Errors
    /// [`BlockError`] names the part that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, BlockError> {
        let header = Self::check(bytes)?;
        Ok(Self { header, bytes: bytes.to_vec() })
    }

    fn check(bytes: &[u8]) -> Result<Header, BlockError> {
        let wrong = BlockError::Length { found: bytes.len() };
        if bytes.len() < MIN_BLOCK_BYTES || !(bytes.len() - MIN_BLOCK_BYTES).is_multiple_of(CIPHER_BLOCK_BYTES) {
            return Err(wrong);
        }
        let (len_field, rest) = bytes.split_first_chunk::<LEN_FIELD_BYTES>().ok_or(wrong)?;
        if *len_field != LEN_FIELD {
            return Err(BlockError::HeaderLength);
        }
        let (header, _) = rest.split_first_chunk::<HEADER_BYTES>().ok_or(wrong)?;
        Header::parse(header).map_err(BlockError::Header)
    }

    pub(crate) fn assemble(header: &Header, ciphertext: &[u8], mac: &[u8; MAC_BYTES]) -> Self {
        let bytes = [&LEN_FIELD, header.encode().as_slice(), ciphertext, mac].concat();
        Self { header: *header, bytes }
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The AES-256-CBC ciphertext: a positive multiple of 16 bytes.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.bytes[PREFIX_BYTES..self.mac_at()]
    }

    /// The MAC, the last 32 bytes.
    #[must_use]
    pub fn mac(&self) -> &[u8] {
        &self.bytes[self.mac_at()..]
    }

    /// What the MAC covers behind the associated data: `header ‖ ciphertext`.
    #[must_use]
    pub fn authenticated(&self) -> &[u8] {
        &self.bytes[LEN_FIELD_BYTES..self.mac_at()]
    }

    /// The whole block as it lies in a payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Never underflows: both constructors hold at least [`MIN_BLOCK_BYTES`].
    fn mac_at(&self) -> usize {
        self.bytes.len() - MAC_BYTES
    }
}

impl TryFrom<Vec<u8>> for Block {
    type Error = BlockError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, BlockError> {
        let header = Self::check(&bytes)?;
        Ok(Self { header, bytes })
    }
}

impl From<Block> for Vec<u8> {
    fn from(block: Block) -> Self {
        block.bytes
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(cipher_blocks: usize) -> Vec<u8> {
        let header = Header::new(3, 4, PublicKey([9; 32])).unwrap();
        Block::assemble(&header, &vec![7; 16 * cipher_blocks], &[8; 32]).into()
    }

    #[test]
    fn parts_lie_where_the_wire_has_them() {
        let block = Block::parse(&sample(2)).unwrap();
        assert_eq!((block.header().pn, block.header().n), (3, 4));
        assert_eq!(block.ciphertext(), [7; 32]);
        assert_eq!(block.mac(), [8; 32]);
        assert_eq!(block.authenticated(), &block.as_bytes()[4..76]);
        assert_eq!(block.header().position(), Position { dh: PublicKey([9; 32]), n: 4 });
    }

    #[test]
    fn only_76_and_multiples_of_16_are_blocks() {
        let whole = sample(3);
        for len in 0..=whole.len() {
            let fits = len == 92 || len == 108 || len == 124;
            assert_eq!(Block::parse(&whole[..len]).is_ok(), fits, "{len}");
        }
    }

    #[test]
    fn a_wrong_length_field_or_a_negative_counter_is_refused() {
        for (at, value, wanted) in [
            (0, 41, BlockError::HeaderLength),
            (3, 1, BlockError::HeaderLength),
            (7, 0x80, BlockError::Header(HeaderError::NegativePreviousCount)),
            (11, 0xff, BlockError::Header(HeaderError::NegativeNumber)),
        ] {
            let mut bytes = sample(1);
            bytes[at] = value;
            assert_eq!(Block::parse(&bytes), Err(wanted), "byte {at}");
        }
    }

    #[test]
    fn a_stored_block_is_parsed_again() {
        let block = Block::parse(&sample(1)).unwrap();
        let stored = postcard::to_stdvec(&block).unwrap();
        assert_eq!(postcard::from_bytes::<Block>(&stored).unwrap(), block);
        let short = postcard::to_stdvec(&block.as_bytes()[1..]).unwrap();
        assert!(postcard::from_bytes::<Block>(&short).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_bytes_are_a_block_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(block) = Block::parse(&bytes) {
                prop_assert_eq!(block.as_bytes(), bytes.as_slice());
            }
        }

        #[test]
        fn headers_round_trip(bytes: [u8; 40]) {
            match Header::parse(&bytes) {
                Ok(header) => prop_assert_eq!(header.encode(), bytes),
                Err(_) => prop_assert!(bytes[3] > 0x7f || bytes[7] > 0x7f),
            }
        }

        #[test]
        fn only_forty_bytes_are_a_header(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(bytes.len() == HEADER_BYTES || Header::parse(&bytes).is_err());
        }
    }
}
