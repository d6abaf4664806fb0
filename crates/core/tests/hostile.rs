//! What others can do to a node with frames, payloads and files: nothing that its people would notice.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

#[path = "hostile/burnt.rs"]
mod burnt;
#[path = "hostile/claims.rs"]
mod claims;
#[path = "hostile/flips.rs"]
mod flips;
#[path = "hostile/floods.rs"]
mod floods;
#[path = "hostile/forged.rs"]
mod forged;
#[path = "hostile/garbage.rs"]
mod garbage;
#[path = "hostile/hang.rs"]
mod hang;
#[path = "hostile/members.rs"]
mod members;
#[path = "hostile/receipts.rs"]
mod receipts;
mod world;

use relaymesh_core::command::{OperatorCommand, OperatorReply, StatusReport};
use world::World;

const NUMBER: &str = "+237650123456";

/// Three nodes of three instances, all members of one mesh.
fn three() -> (World, usize, usize, usize) {
    let mut world = World::new();
    let (a, b, c) = (world.add("a", 1), world.add("b", 2), world.add("c", 3));
    world.join(a, b);
    world.join(a, c);
    world.run_for(10_000);
    (world, a, b, c)
}

fn minutes(n: u64) -> u64 {
    n * 60_000
}

fn status(world: &mut World, node: usize) -> StatusReport {
    match world.operate(node, OperatorCommand::Status) {
        OperatorReply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn counter(world: &World, node: usize, name: &str) -> u64 {
    world.nodes[node].node().counters().get(name).copied().unwrap_or_default()
}
