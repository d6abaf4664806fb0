//! `NodeId` ↔ libp2p's `PeerId`. Nothing else in the crate knows how the two relate.

use libp2p::PeerId;
use libp2p::identity::Keypair;
use relaymesh_protocol::ids::NodeId;

/// Identity multihash (code 0, length 36) of the protobuf form of an Ed25519 key (type 1, 32 bytes).
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The node behind a libp2p peer; none unless the peer's key is an inlined Ed25519 key.
pub(crate) fn node_of(peer: &PeerId) -> Option<NodeId> {
    let bytes = peer.to_bytes();
    NodeId::try_from(bytes.strip_prefix(&PREFIX)?).ok()
}

/// The libp2p peer of a node.
pub(crate) fn peer_of(node: &NodeId) -> PeerId {
    let mut bytes = PREFIX.to_vec();
    bytes.extend_from_slice(node.as_bytes());
    PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes is a peer id")
}

/// The libp2p identity made of a node's 32-byte Ed25519 seed.
pub(crate) fn keypair(mut seed: [u8; 32]) -> Keypair {
    Keypair::ed25519_from_bytes(&mut seed).expect("every 32 bytes are an Ed25519 seed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_and_peer_are_the_same_key() {
        let public = keypair([7; 32]).public();
        let node = NodeId(public.clone().try_into_ed25519().unwrap().to_bytes());
        assert_eq!(node_of(&public.to_peer_id()), Some(node));
        assert_eq!(peer_of(&node), public.to_peer_id());
        assert_eq!(peer_of(&node).to_string(), node.peer_id());
    }

    #[test]
    fn other_kinds_of_peer_are_no_node() {
        assert_eq!(node_of(&PeerId::random()), None);
    }
}
