//! The locator among nodes that exchange frames in memory.

mod devices;
mod numbers;
mod without;
pub(crate) mod world;

use relaymesh_protocol::ids::NodeId;
use relaymesh_seal::keyfile::Keyring;
use serde_bytes::ByteBuf;

use super::Change;
use super::filter::Filter;
use crate::node::Node;
use world::World;

/// A filter of nobody with 15 segments of this length.
pub(crate) fn blank(node: &Node, of: &Keyring, version: u64, segment_length: u32) -> Filter {
    let sign = |label, parts: &[&[u8]]| node.crypto().sign(of, label, parts);
    Filter::blank(of.node_id(), version, segment_length, &node.membership.mesh(), sign)
}

/// Puts a filter into a node's book.
pub(crate) fn shelve(world: &mut World, at: usize, filter: Filter) {
    let change = Change::Filter(Box::new(filter), world.now);
    world.peers[at].pump.node_mut().apply_all(vec![change.into()]);
}

/// The same filter, as if it were another node's; its signature does not hold.
pub(crate) fn claim(filter: &Filter, node: NodeId) -> Filter {
    let mut filter = filter.clone();
    filter.node = node;
    filter
}

/// Whose these filters are.
pub(crate) fn owners(filters: &[ByteBuf]) -> Vec<NodeId> {
    filters.iter().map(|bytes| Filter::decode(bytes).unwrap().node).collect()
}
