//! An image whose segments reach several nodes comes together at its home, once, and what stays incomplete ends everywhere.

use relaymesh_core::command::{Command, Door, Reply, Submitted};
use relaymesh_core::record::key;

use crate::world::{Person, World, enrol};
use crate::{NUMBER, minutes, three};

const HOUR_MS: u64 = 3_600_000;

fn hand_in(world: &mut World, node: usize, command: Command) {
    let reply = world.ask(node, command);
    assert!(matches!(reply, Reply::Submitted(Submitted::Segment { .. })), "{reply:?}");
}

/// Three nodes, the person's home at the last, an image in segments. The second is a partner of the home: there the sender's
/// number leads on.
fn image() -> (World, [usize; 3], Person, Vec<String>) {
    let (mut world, a, b, c) = three();
    world.federate(b, c);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let segments = person.compose_image("with a picture", &[7; 900], 1);
    assert!(segments.len() >= 7, "enough to be torn apart");
    (world, [a, b, c], person, segments)
}

/// Which of `count` segments the first node has: those that tell the device ID, and some. The others are dealt out.
fn is_at(node: usize, n: usize, count: usize) -> bool {
    match n {
        _ if n == 0 || n + 2 >= count => node == 0,
        _ => n % 3 == node,
    }
}

/// What is kept of images anywhere.
fn rows(world: &World) -> Vec<(usize, char)> {
    let tables = [key::SEGMENTS, key::HOME_SET, key::OUTBOX, key::CUSTODY];
    let of = |node: usize| world.nodes[node].disk.0.keys().map(move |row| (node, row[0]));
    let all = (0..world.nodes.len()).flat_map(of);
    all.filter(|(_, table)| tables.contains(table)).map(|(node, table)| (node, char::from(table))).collect()
}

fn unreadable(world: &World) -> u64 {
    let of = |node: usize| world.nodes[node].node().counters().get("record_unreadable").copied().unwrap_or_default();
    (0..world.nodes.len()).map(of).sum()
}

fn told(world: &World) -> usize {
    world.sms.iter().filter(|(to, text)| to == NUMBER && text.contains("image message")).count()
}

/// Nodes `a` and `b` are no partners of the home: the sender's number leads nowhere.
#[test]
fn segments_at_two_nodes_find_the_home_by_the_device_id() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let segments = person.compose_image("with a picture", &[7; 700], 1);
    let last = segments.len() - 1;
    assert!(last >= 5, "enough to be torn apart");
    for (n, segment) in segments.iter().enumerate() {
        // Both have what tells the device ID, and neither has the whole.
        let ends = n == 0 || n >= last - 1;
        for (node, its) in [(a, 0), (b, 1)] {
            if ends || n % 2 == its {
                hand_in(&mut world, node, person.submit(segment));
            }
        }
    }
    world.run_for(minutes(9));
    assert_eq!(world.count("with a picture"), 0);
    world.run_for(minutes(3));
    assert_eq!(world.count("with a picture"), 1);
    world.run_for(minutes(60));
    assert_eq!(world.count("with a picture"), 1);
}

#[test]
fn segments_at_three_nodes_out_of_order_are_published_once_though_the_home_restarts_in_the_middle() {
    let (mut world, nodes, person, segments) = image();
    let door = enrol(&mut world, nodes[2], "modem", "+237699000000");
    for (node, door) in [Door::Open, Door::Open, door].into_iter().enumerate() {
        let its = segments.iter().enumerate().filter(|(n, _)| is_at(node, *n, segments.len()));
        for (_, segment) in its.rev() {
            hand_in(&mut world, nodes[node], person.submit_through(door, segment));
        }
        world.run_for(minutes(3));
    }
    world.run_for(minutes(2));
    assert!(rows(&world).contains(&(nodes[2], char::from(key::HOME_SET))), "the first node's part is there");
    world.kill(nodes[2]);
    world.restart(nodes[2]);
    world.run_for(minutes(3));
    assert_eq!(world.count("with a picture"), 0, "the home's own part is not yet handed on");
    world.run_for(minutes(20));
    assert_eq!(world.count("with a picture"), 1);
    world.run_for(26 * HOUR_MS);
    assert_eq!((world.count("with a picture"), unreadable(&world)), (1, 0));
    assert_eq!(rows(&world), [], "nothing of it is left");
    assert_eq!(told(&world), 0, "the home knows that it was published");
}

#[test]
fn an_incomplete_image_ends_everywhere_after_a_day_and_its_sender_is_told_once() {
    for home_is_up in [true, false] {
        let (mut world, nodes, person, segments) = image();
        let door = enrol(&mut world, nodes[0], "modem", "+237699000000");
        if !home_is_up {
            world.kill(nodes[2]);
        }
        for (n, segment) in segments.iter().enumerate().filter(|(n, _)| *n != 3) {
            if is_at(0, n, segments.len()) {
                hand_in(&mut world, nodes[0], person.submit_through(door, segment));
            } else if home_is_up {
                // Questions about the number to a home that is away stay in custody longer.
                hand_in(&mut world, nodes[1], person.submit(segment));
            }
        }
        world.run_for(23 * HOUR_MS);
        let left = rows(&world);
        assert!(left.contains(&(nodes[0], char::from(key::SEGMENTS))));
        let custodian = (nodes[1], char::from(key::CUSTODY));
        assert_eq!(left.contains(&custodian), !home_is_up, "copies wait for a home that is away");
        assert_eq!(told(&world), 0);
        world.run_for(3 * HOUR_MS);
        assert_eq!((world.count("with a picture"), told(&world)), (0, 1), "home is up: {home_is_up}");
        assert_eq!(rows(&world), [], "home is up: {home_is_up}");
        assert_eq!(world.nodes[nodes[0]].node().counters().get("message_expired"), None, "it is no message");
    }
}

#[test]
fn an_image_that_grew_after_it_was_handed_on_is_handed_on_again() {
    let (mut world, nodes, person, segments) = image();
    let late = segments.len() - 3;
    for (n, segment) in segments.iter().enumerate().filter(|(n, _)| *n != late) {
        let node = if n == 1 { nodes[1] } else { nodes[0] };
        hand_in(&mut world, node, person.submit(segment));
    }
    world.run_for(minutes(15));
    assert_eq!(world.count("with a picture"), 0);
    hand_in(&mut world, nodes[0], person.submit(&segments[late]));
    world.run_for(minutes(4));
    assert_eq!(world.count("with a picture"), 1);
}

#[test]
fn what_was_handed_on_ends_when_the_set_is_complete_at_its_ingress() {
    let (mut world, nodes, person, segments) = image();
    world.kill(nodes[2]);
    let (last, first) = segments.split_last().unwrap();
    for segment in first {
        hand_in(&mut world, nodes[0], person.submit(segment));
    }
    world.run_for(minutes(20));
    let outbox = |world: &World| rows(world).iter().filter(|(_, table)| *table == char::from(key::OUTBOX)).count();
    assert_eq!(outbox(&world), 1, "the set waits for its home");
    person.send(&mut world, nodes[0], last);
    world.run_for(minutes(1));
    assert_eq!(outbox(&world), 1, "and now the message does");
    world.restart(nodes[2]);
    world.run_for(minutes(40));
    assert_eq!(world.count("with a picture"), 1);
}

/// The set is durable, and who brought its last part has heard so, when the home is killed.
#[test]
fn a_home_that_is_killed_before_it_consumed_an_assembled_image_publishes_it_after_its_restart() {
    let (mut world, nodes, person, segments) = image();
    let home = nodes[2];
    for (n, segment) in segments.iter().enumerate() {
        let node = if is_at(0, n, segments.len()) { nodes[0] } else { nodes[1] };
        hand_in(&mut world, node, person.submit(segment));
        if n == 0 {
            world.run_for(minutes(1));
        }
    }
    let stored = |world: &World| {
        let disk = &world.nodes[home].disk.0;
        disk.iter().find(|(row, _)| row[0] == key::HOME_SET).map(|(_, (version, _))| *version)
    };
    world.run_for(minutes(9) - 30_000);
    world.fsync_ms = 20_000;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        world.run_for(100);
        seen.extend(stored(&world).filter(|version| !seen.contains(version)));
    }
    world.run_for(2_000);
    world.kill(home);
    world.fsync_ms = 2;
    assert_eq!(world.count("with a picture"), 0);
    world.restart(home);
    world.run_for(minutes(3));
    assert_eq!(world.count("with a picture"), 1);
}
