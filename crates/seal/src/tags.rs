//! Pseudonymous routing keys of device IDs, and what of them goes into a node's set filter.

use relaymesh_protocol::ids::{DeviceId, NodeId, Tag};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

use crate::labels;

/// Tag of a device ID. A device ID has 256 random bits, so a plain hash of it tells nothing to who does not know it.
#[must_use]
pub fn device_tag(device: &DeviceId) -> Tag {
    hash_to_tag(labels::TAG_DEVICE, device.as_bytes())
}

/// What stands for `tag` in the filter of `node`: SipHash-2-4 keyed by the tag over the node's id. Differs from node to
/// node, so a copied filter claims nobody.
#[must_use]
pub fn filter_key(tag: &Tag, node: &NodeId) -> u64 {
    SipHasher24::new_with_key(tag.as_bytes()).hash(node.as_bytes())
}

/// First 16 bytes of the SHA-256 of label and value.
pub(crate) fn hash_to_tag(label: &[u8], value: &[u8]) -> Tag {
    let digest = Sha256::new().chain_update(label).chain_update(value).finalize();
    Tag(*digest.first_chunk().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_tag_is_the_labelled_hash() {
        let by_hand = Sha256::digest([b"RM1/tag-device\0".as_slice(), &[5; 32]].concat());
        assert_eq!(device_tag(&DeviceId([5; 32])).as_bytes()[..], by_hand[..16]);
    }

    #[test]
    fn filter_key_is_siphash_2_4() {
        // Key 00..0f over 00..1f: entry 32 of the table that the authors of SipHash publish has this input.
        let bytes: [u8; 32] = std::array::from_fn(|i| i as u8);
        let tag = Tag(*bytes.first_chunk().unwrap());
        assert_eq!(filter_key(&tag, &NodeId(bytes)), 0x7127_512f_72f2_7cce);
        assert_ne!(filter_key(&tag, &NodeId([1; 32])), filter_key(&tag, &NodeId([2; 32])));
        assert_ne!(filter_key(&Tag([1; 16]), &NodeId([1; 32])), filter_key(&Tag([2; 16]), &NodeId([1; 32])));
    }
}
