//! What most scenarios begin with, and ask.

use relaymesh_core::command::{Door, OperatorCommand, OperatorReply, StatusReport};
use relaymesh_ratchet::PublicKey;

use super::World;
use super::people::enrol;

/// The person that most scenarios are about.
pub const NUMBER: &str = "+237650123456";

/// Three nodes of three instances, all members of one mesh.
pub fn three() -> (World, usize, usize, usize) {
    let mut world = World::new();
    let (a, b, c) = (world.add("a", 1), world.add("b", 2), world.add("c", 3));
    world.join(a, b);
    world.join(a, c);
    world.run_for(10_000);
    (world, a, b, c)
}

/// In milliseconds.
pub fn minutes(n: u64) -> u64 {
    n * 60_000
}

/// A gateway client's own URL at a node.
pub fn booth(world: &mut World, node: usize) -> Door {
    enrol(world, node, "booth", "+237699000000")
}

/// A static bridge key of a node: the highest of so many.
pub fn static_key(world: &mut World, node: usize, count: u16) -> (u8, PublicKey) {
    let OperatorReply::BridgeKeys(rows) = world.operate(node, OperatorCommand::BridgeKeysGenerate { count }) else {
        panic!("no keys");
    };
    let row = rows.last().expect("at least one key");
    (row.kid, PublicKey::from_base64_lenient(&row.keypair).expect("a sound key"))
}

pub fn status(world: &mut World, node: usize) -> StatusReport {
    match world.operate(node, OperatorCommand::Status) {
        OperatorReply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// How often a node has counted something since it was started.
pub fn counter(world: &World, node: usize, name: &str) -> u64 {
    world.nodes[node].node().counters().get(name).copied().unwrap_or_default()
}
