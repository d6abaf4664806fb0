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

use relaymesh_core::command::{Command, Door, MessageOutcome, Reply, Submit, Submitted};
use world::{NUMBER, Person, Stranger, World, booth, bridge_text, minutes, static_key, status};

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

/// A number writes its first mail under one bridge's key, and later one under another's, by either door.
#[test]
fn who_is_known_at_one_bridge_may_begin_at_another() {
    let (mut world, a, c) = two();
    world.federate(a, c);
    let keys = [(a, static_key(&mut world, a, 2)), (c, static_key(&mut world, c, 3))];
    let doors = [(a, booth(&mut world, a)), (c, booth(&mut world, c))];
    world.run_for(minutes(5));
    for (n, (first, second, door)) in [(0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1)].into_iter().enumerate() {
        let sender = format!("+2376501234{n:02}");
        let write = |world: &mut World, to: usize, through: usize| {
            let (_, (kid, server)) = keys[to];
            let mut phone = Stranger::new(server, kid, 10 * n as u64 + to as u64);
            let text = bridge_text(phone.mail("hello", true));
            let (node, door) = doors[through];
            let _ = world.ask(node, Command::Submit(submit(&text, &sender, door)));
        };
        let sent = world.mails.len();
        write(&mut world, first, first);
        // Long enough for everybody to know where the number lives.
        world.run_for(minutes(5));
        assert_eq!(world.mails.len(), sent + 1);
        write(&mut world, second, door);
        world.run_for(minutes(1));
        assert_eq!(world.mails.len(), sent + 2, "first {first}, then {second} through {door}");
    }
}

fn submit(text: &str, sender: &str, door: Door) -> Submit {
    Submit { door, text: text.into(), sender: sender.into(), date: None, date_sent: None }
}
