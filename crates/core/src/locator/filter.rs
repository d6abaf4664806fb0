//! One signed set filter: its bytes, and why hostile bytes never become one.
//!
//! ```text
//! filter   signature 64 ‖ body
//! body     format 1 ‖ node 32 ‖ layer 1 (0 base, 1 recent) ‖ version u64 be ‖ keys u32 be
//!          ‖ seed u64 le ‖ segment length u32 le ‖ mask u32 le ‖ segment-count length u32 le ‖ fingerprints u16 le …
//! ```
//! The signature is the node's, over the mesh id and the body, under the label of filters. `keys` counts padding too.

use relaymesh_protocol::frame::{FilterHead, FilterLayer};
use relaymesh_protocol::ids::{MeshId, NodeId};
use relaymesh_seal::labels;
use xorf::{BinaryFuse16, Descriptor, Filter as _};

use crate::crypto::Crypto;

/// First byte of the body.
const FORMAT: u8 = 1;
/// Length of an Ed25519 signature.
const SIGNATURE_LEN: usize = 64;
/// Bytes before the fingerprints, signature included.
const HEADER_LEN: usize = SIGNATURE_LEN + 1 + 32 + 1 + 8 + 4 + 8 + 4 + 4 + 4;
/// Largest base filter: some 1.8 million keys, more than one node serves.
pub(super) const BASE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest recent filter: it travels each minute.
pub(super) const RECENT_BYTES_MAX: usize = 512 * 1024;
/// Longest segment that the library makes; longer ones serve only to exhaust the reader.
const SEGMENT_LENGTH_MAX: u32 = 1 << 18;

/// Why bytes are no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("the filter ends within its header")]
    Short,
    #[error("the filter's format is unknown")]
    Format,
    #[error("the filter is larger than its author may make it")]
    TooLarge,
    #[error("the filter's descriptor is not sound")]
    Descriptor,
    #[error("the filter's signature does not hold")]
    Signature,
}

impl FilterError {
    /// What counts how often it was met.
    pub fn counter(self) -> &'static str {
        match self {
            Self::Short | Self::Format => "filter_malformed",
            Self::TooLarge => "filter_too_large",
            Self::Descriptor => "filter_unsound",
            Self::Signature => "filter_unsigned",
        }
    }
}

/// A filter whose descriptor is sound: looking up in it cannot panic.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub node: NodeId,
    pub layer: FilterLayer,
    pub version: u64,
    keys: u32,
    signature: [u8; SIGNATURE_LEN],
    set: BinaryFuse16,
}

/// Most bytes of a layer.
pub(super) fn bytes_max(layer: FilterLayer) -> usize {
    match layer {
        FilterLayer::Base => BASE_BYTES_MAX,
        FilterLayer::Recent => RECENT_BYTES_MAX,
    }
}

impl Filter {
    /// Builds a filter of distinct keys; `sign` gets the parts to sign. `None` when it would be too large, or when the
    /// library finds no arrangement.
    pub fn build(
        node: NodeId,
        layer: FilterLayer,
        version: u64,
        keys: &[u64],
        mesh: &MeshId,
        sign: impl FnOnce(&'static [u8], &[&[u8]]) -> [u8; SIGNATURE_LEN],
    ) -> Option<Self> {
        let set = BinaryFuse16::try_from(keys).ok()?;
        let keys = u32::try_from(keys.len()).ok()?;
        let mut filter = Self { node, layer, version, keys, signature: [0; SIGNATURE_LEN], set };
        if filter.len() > bytes_max(layer) {
            return None;
        }
        let bytes = filter.encode();
        let body = bytes.get(SIGNATURE_LEN..)?;
        filter.signature = sign(labels::FILTER, &[mesh.as_bytes(), body]);
        Some(filter)
    }

    /// A filter of nobody with 15 segments of this length, which costs no time to build.
    #[cfg(test)]
    pub fn blank(
        node: NodeId,
        version: u64,
        segment_length: u32,
        mesh: &MeshId,
        sign: impl FnOnce(&'static [u8], &[&[u8]]) -> [u8; SIGNATURE_LEN],
    ) -> Self {
        let segment_count_length = 13 * segment_length;
        let segment_length_mask = segment_length - 1;
        let descriptor = Descriptor { seed: 1, segment_length, segment_length_mask, segment_count_length };
        let fingerprints = vec![0; 15 * segment_length as usize].into();
        let set = BinaryFuse16 { descriptor, fingerprints };
        let mut filter = Self { node, layer: FilterLayer::Base, version, keys: 1, signature: [0; SIGNATURE_LEN], set };
        let bytes = filter.encode();
        filter.signature = sign(labels::FILTER, &[mesh.as_bytes(), &bytes[SIGNATURE_LEN..]]);
        filter
    }

    /// Whether the set may hold a key; of the keys not in it, one of 65,536 seems to be.
    pub fn contains(&self, key: u64) -> bool {
        self.set.contains(&key)
    }

    /// Encoded length in bytes.
    pub fn len(&self) -> usize {
        HEADER_LEN + 2 * self.set.fingerprints.len()
    }

    /// What names it to others.
    pub fn head(&self) -> FilterHead {
        let bytes = u32::try_from(self.len()).unwrap_or(u32::MAX);
        FilterHead { node: self.node, layer: self.layer, version: self.version, bytes }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(&self.signature);
        bytes.push(FORMAT);
        bytes.extend_from_slice(self.node.as_bytes());
        bytes.push(self.layer as u8);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.keys.to_be_bytes());
        let Descriptor { seed, segment_length, segment_length_mask, segment_count_length } = self.set.descriptor;
        bytes.extend_from_slice(&seed.to_le_bytes());
        for word in [segment_length, segment_length_mask, segment_count_length] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for fingerprint in &self.set.fingerprints {
            bytes.extend_from_slice(&fingerprint.to_le_bytes());
        }
        bytes
    }

    /// Reads and checks everything but the signature.
    ///
    /// # Errors
    /// When the bytes are not exactly one filter with a sound descriptor.
    pub fn decode(bytes: &[u8]) -> Result<Self, FilterError> {
        let mut rest = bytes;
        let signature = take::<SIGNATURE_LEN>(&mut rest)?;
        let [format] = take::<1>(&mut rest)?;
        if format != FORMAT {
            return Err(FilterError::Format);
        }
        let node = NodeId(take(&mut rest)?);
        let layer = match take::<1>(&mut rest)? {
            [0] => FilterLayer::Base,
            [1] => FilterLayer::Recent,
            _ => return Err(FilterError::Format),
        };
        let version = u64::from_be_bytes(take(&mut rest)?);
        let keys = u32::from_be_bytes(take(&mut rest)?);
        let seed = u64::from_le_bytes(take(&mut rest)?);
        let descriptor = Descriptor {
            seed,
            segment_length: u32::from_le_bytes(take(&mut rest)?),
            segment_length_mask: u32::from_le_bytes(take(&mut rest)?),
            segment_count_length: u32::from_le_bytes(take(&mut rest)?),
        };
        if bytes.len() > bytes_max(layer) {
            return Err(FilterError::TooLarge);
        }
        if !is_sound(&descriptor, rest.len()) {
            return Err(FilterError::Descriptor);
        }
        let fingerprints = rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        Ok(Self { node, layer, version, keys, signature, set: BinaryFuse16 { descriptor, fingerprints } })
    }

    /// Reads, checks, and verifies that its node signed it for this mesh.
    ///
    /// # Errors
    /// As [`Filter::decode`], and when the signature does not hold.
    pub fn verify(crypto: &dyn Crypto, mesh: &MeshId, bytes: &[u8]) -> Result<Self, FilterError> {
        Self::decode(bytes)?.signed(crypto, mesh, bytes)
    }

    /// Verifies that its node signed the bytes that it was read from.
    ///
    /// # Errors
    /// When the signature does not hold.
    pub fn signed(self, crypto: &dyn Crypto, mesh: &MeshId, bytes: &[u8]) -> Result<Self, FilterError> {
        let body = bytes.get(SIGNATURE_LEN..).ok_or(FilterError::Short)?;
        let parts: [&[u8]; 2] = [mesh.as_bytes(), body];
        let holds = crypto.verify(self.node.as_bytes(), labels::FILTER, &parts, &self.signature);
        if holds { Ok(self) } else { Err(FilterError::Signature) }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], FilterError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(FilterError::Short)?;
    *rest = tail;
    Ok(*head)
}

/// The library indexes `fingerprints` by up to segment-count length + 2 × segment length, unchecked: a descriptor that
/// says otherwise makes it panic.
fn is_sound(descriptor: &Descriptor, fingerprint_bytes: usize) -> bool {
    let Descriptor { segment_length, segment_length_mask, segment_count_length, .. } = *descriptor;
    let exact = 2 * (u64::from(segment_count_length) + 2 * u64::from(segment_length));
    segment_length.is_power_of_two()
        && segment_length <= SEGMENT_LENGTH_MAX
        && segment_length_mask == segment_length - 1
        && segment_count_length != 0
        && segment_count_length.is_multiple_of(segment_length)
        && u64::try_from(fingerprint_bytes) == Ok(exact)
}

/// How many keys a set of `count` is padded to: steps of a quarter from `min` on, so that a filter's size tells a
/// neighbourhood and not a number.
pub(super) fn padded(count: usize, min: usize) -> usize {
    let mut size = min;
    while size < count {
        size += size / 4;
    }
    size
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESH: MeshId = MeshId([9; 16]);

    fn filter(keys: &[u64]) -> Filter {
        Filter::build(NodeId([1; 32]), FilterLayer::Base, 7, keys, &MESH, |_, _| [5; 64]).unwrap()
    }

    #[test]
    fn a_filter_round_trips_and_finds_its_keys() {
        for count in [1_u64, 2, 64, 256, 5_000] {
            let keys: Vec<u64> = (0..count).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
            let filter = filter(&keys);
            let bytes = filter.encode();
            assert_eq!(bytes.len(), filter.len());
            let read = Filter::decode(&bytes).unwrap();
            assert_eq!(read.encode(), bytes);
            assert_eq!(read.head(), filter.head());
            assert!(keys.iter().all(|key| read.contains(*key)));
        }
    }

    #[test]
    fn a_filter_larger_than_its_layer_may_be_is_not_built_and_not_read() {
        let keys: Vec<u64> = (0..300_000).collect();
        assert!(Filter::build(NodeId([1; 32]), FilterLayer::Recent, 7, &keys, &MESH, |_, _| [0; 64]).is_none());
        let mut bytes = filter(&keys).encode();
        assert!(Filter::decode(&bytes).is_ok());
        bytes[64 + 1 + 32] = FilterLayer::Recent as u8;
        assert_eq!(Filter::decode(&bytes).unwrap_err(), FilterError::TooLarge);
    }

    #[test]
    fn an_unsound_descriptor_is_refused() {
        let bytes = filter(&(0..256).collect::<Vec<u64>>()).encode();
        let word = HEADER_LEN - 12;
        let set = |at: usize, value: u32| {
            let mut bad = bytes.clone();
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            bad
        };
        let length = u32::from_le_bytes(bytes[word..word + 4].try_into().unwrap());
        let count = u32::from_le_bytes(bytes[word + 8..word + 12].try_into().unwrap());
        let cases = [
            set(word, 0),
            set(word, length * 2),
            set(word, length - 1),
            set(word, 1 << 19),
            set(word, u32::MAX),
            set(word + 4, length),
            set(word + 4, u32::MAX),
            set(word + 8, 0),
            set(word + 8, count + 1),
            set(word + 8, count + length),
            set(word + 8, u32::MAX),
            bytes[..bytes.len() - 1].to_vec(),
            bytes[..bytes.len() - 2].to_vec(),
            [bytes.clone(), vec![0, 0]].concat(),
        ];
        for (n, bad) in cases.iter().enumerate() {
            assert_eq!(Filter::decode(bad).unwrap_err(), FilterError::Descriptor, "case {n}");
        }
        assert_eq!(Filter::decode(&bytes[..HEADER_LEN - 1]).unwrap_err(), FilterError::Short);
    }

    #[test]
    fn sizes_grow_in_steps() {
        assert_eq!(padded(0, 256), 256);
        assert_eq!(padded(256, 256), 256);
        assert_eq!(padded(257, 256), 320);
        assert!((1..100_000).step_by(997).all(|n| padded(n, 64) >= n && padded(n, 64) <= 64.max(n + n / 3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn hostile_bytes_never_panic(
            length in 0_u32..20,
            mask in any::<u32>(),
            blocks in 0_u32..40,
            right_mask in any::<bool>(),
            extra in 0_usize..4,
            key in any::<u64>(),
            noise in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = Filter::decode(&noise);
            let segment = 1_u32.checked_shl(length).unwrap_or(0).min(64);
            let mut bytes = vec![0; SIGNATURE_LEN];
            bytes.push(FORMAT);
            bytes.extend([1; 32]);
            bytes.push(0);
            bytes.extend([0; 12]);
            bytes.extend(7_u64.to_le_bytes());
            bytes.extend(segment.to_le_bytes());
            bytes.extend(if right_mask { segment.wrapping_sub(1) } else { mask }.to_le_bytes());
            bytes.extend((blocks * segment).to_le_bytes());
            bytes.extend(vec![3; 2 * (blocks + 2) as usize * segment as usize + extra]);
            if let Ok(filter) = Filter::decode(&bytes) {
                prop_assert!(right_mask && blocks > 0 && extra == 0);
                for n in 0..1_000_u64 {
                    filter.contains(key.wrapping_mul(n | 1).wrapping_add(n));
                }
                prop_assert_eq!(filter.encode(), bytes);
            }
        }
    }
}
