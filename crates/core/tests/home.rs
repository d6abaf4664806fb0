//! The home of a message: what it remembers of a person and for how long, and how it gets over a disk or a platform that
//! fails.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

#[path = "home/memory.rs"]
mod memory;
#[path = "home/platform.rs"]
mod platform;
#[path = "home/tokens.rs"]
mod tokens;
mod world;

use relaymesh_core::command::{MessageOutcome, Reply, Submitted};
use world::{NUMBER, Person, World, minutes, static_key, status};

/// An ingress and a home.
fn two() -> (World, usize, usize) {
    let mut world = World::new();
    let (a, c) = (world.add("a", 1), world.add("c", 3));
    world.join(a, c);
    world.run_for(10_000);
    (world, a, c)
}

/// What a node says of a message that is handed in again.
fn outcome(world: &mut World, node: usize, person: &Person, sms: &str) -> Option<MessageOutcome> {
    match world.ask(node, person.submit(sms)) {
        Reply::Submitted(Submitted::Accepted { outcome, .. }) => outcome,
        other => panic!("{other:?}"),
    }
}
