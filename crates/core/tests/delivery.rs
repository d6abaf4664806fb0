//! A person's message from any node to the platform, once, whatever happens on the way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "delivery/backlog.rs"]
mod backlog;
#[path = "delivery/receipts.rs"]
mod receipts;
#[path = "delivery/segments.rs"]
mod segments;
#[path = "delivery/testing.rs"]
mod testing;
#[path = "delivery/ways.rs"]
mod ways;
#[path = "delivery/without.rs"]
mod without;
mod world;

use relaymesh_core::command::{OperatorCommand, OperatorReply};
use world::{NUMBER, Person, PlatformMood, World, minutes, three};

#[test]
fn a_message_that_enters_at_another_node_is_published_once() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("bonjour", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(1));
    assert_eq!(world.count("bonjour"), 1);
    assert!(
        world.sms.iter().any(|(to, text)| to == NUMBER && text.starts_with("Livraison RelaySMS :")),
        "delivery SMS"
    );
}

#[test]
fn the_same_sms_through_two_nodes_and_twice_is_published_once() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("once", true);
    for node in [a, b, a, c, b] {
        person.send(&mut world, node, &sms);
    }
    world.run_for(minutes(2));
    assert_eq!(world.count("once"), 1);
}

/// The room and words of each line of a message's timeline, as a node tells it.
fn timeline(world: &mut World, node: usize, message: &str) -> Vec<(String, String)> {
    let OperatorReply::Trace(report) = world.operate(node, OperatorCommand::Trace { message: message.to_owned() })
    else {
        panic!("no timeline");
    };
    report.events.into_iter().map(|event| (event.room.into_owned(), event.what.into_owned())).collect()
}

#[test]
fn a_timeline_tells_copies_that_arrived_from_sms_that_were_handed_in() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("twice", true);
    let message = person.send(&mut world, a, &sms).to_string();
    world.run_for(minutes(1));
    person.send(&mut world, a, &sms);
    person.send(&mut world, b, &sms);
    world.run_for(minutes(1));
    let count = |lines: &[(String, String)], room: &str, what: &str| {
        lines.iter().filter(|line| line.0 == room && line.1.contains(what)).count()
    };
    let at_home = timeline(&mut world, c, &message);
    assert_eq!(count(&at_home, "vault", "a repeated copy arrived from b (…"), 1, "{at_home:?}");
    assert_eq!(count(&at_home, "ingress", ""), 0, "nothing was handed in there: {at_home:?}");
    let at_door = timeline(&mut world, a, &message);
    assert_eq!(count(&at_door, "ingress", "handed in once more"), 1, "{at_door:?}");

    // Names are told as they are, also when only the record is left.
    let peer_id = world.nodes[c].node().id().peer_id();
    let home = format!("done by c (…{}): published", &peer_id[peer_id.len() - 6..]);
    world.kill(a);
    world.restart(a);
    let left = timeline(&mut world, a, &message[..7]);
    assert_eq!(count(&left, "receipt", &home), 1, "{left:?}");
    assert!(home != home.to_lowercase(), "an id without capitals would show nothing");
}

#[test]
fn a_home_that_is_killed_between_accept_and_delivery_publishes_after_its_restart() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    for n in 0..5 {
        let sms = person.compose(&format!("kill {n}"), true);
        person.send(&mut world, a, &sms);
        world.run_for(n * 17);
        world.kill(c);
        world.run_for(minutes(1));
        world.restart(c);
        world.run_for(minutes(20));
        assert_eq!(world.count(&format!("kill {n}")), 1, "message {n}");
    }
}

#[test]
fn an_ingress_that_is_killed_after_its_2xx_still_delivers() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("survivor", true);
    person.send(&mut world, a, &sms);
    world.kill(a);
    world.run_for(minutes(5));
    assert_eq!(world.count("survivor"), 0);
    world.restart(a);
    world.run_for(minutes(5));
    assert_eq!(world.count("survivor"), 1);
}

#[test]
fn thirty_sms_out_of_order_are_all_published_once() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let texts: Vec<String> = (0..30).map(|n| format!("post {n}")).collect();
    let sms: Vec<String> = texts.iter().map(|text| person.compose(text, true)).collect();
    for n in 0..30 {
        let at = (n * 17 + 11) % 30;
        person.send(&mut world, [a, b][n % 2], &sms[at]);
    }
    world.run_for(minutes(5));
    for text in &texts {
        assert_eq!(world.count(text), 1, "{text}");
    }
}

#[test]
fn a_node_that_reaches_the_home_only_through_another_delivers() {
    for with_device in [true, false] {
        let (mut world, a, b, c) = three();
        world.federate(a, c);
        let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
        world.run_for(minutes(3));
        world.cut(a, c);
        let sms = person.compose("detour", with_device);
        person.send(&mut world, a, &sms);
        world.run_for(minutes(120));
        assert_eq!(world.count("detour"), 1, "with device ID: {with_device}");
        let _ = b;
    }
}

#[test]
fn a_bundle_carries_what_no_link_does() {
    for with_device in [true, false] {
        let (mut world, a, b, c) = three();
        world.federate(a, c);
        let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
        world.run_for(minutes(3));
        for (x, y) in [(a, b), (a, c), (b, c)] {
            world.cut(x, y);
        }
        let sms = person.compose("by hand", with_device);
        person.send(&mut world, a, &sms);
        for _ in 0..3 {
            carry(&mut world, a, c);
            world.run_for(minutes(1));
            carry(&mut world, c, a);
            world.run_for(minutes(1));
        }
        assert_eq!(world.count("by hand"), 1, "with device ID: {with_device}");
        let OperatorReply::Status(status) = world.operate(a, OperatorCommand::Status) else { panic!() };
        assert_eq!(status.held, 0, "the receipt came back by hand");
    }
}

pub(crate) fn carry(world: &mut World, from: usize, to: usize) {
    let OperatorReply::Bundle { bytes, .. } = world.operate(from, OperatorCommand::BundleExport) else { panic!() };
    world.operate(to, OperatorCommand::BundleImport { bytes });
}

#[test]
fn a_payload_without_device_id_reaches_a_federated_home() {
    let (mut world, a, _, c) = three();
    world.federate(a, c);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("by number", false);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(5));
    assert_eq!(world.count("by number"), 1);
}

#[test]
fn a_platform_that_loses_its_answer_is_asked_again_under_the_same_key() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.mood = PlatformMood::LosesAnswers;
    let sms = person.compose("lost answer", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(2));
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(10));
    assert_eq!(world.count("lost answer"), 1);
    assert!(world.sms.iter().any(|(_, text)| text.contains('#') || text.starts_with("Livraison")), "told");
}

#[test]
fn a_damaged_copy_never_shadows_the_good_one() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("good copy", true);
    let bytes = relaymesh_protocol::base64text::decode(&sms).unwrap();
    for at in [4, 60, 100] {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        let text = relaymesh_protocol::base64text::encode(&bad);
        let _ = world.ask(a, person.submit(&text));
        world.run_for(minutes(1));
    }
    person.send(&mut world, a, &sms);
    world.run_for(minutes(2));
    assert_eq!(world.count("good copy"), 1);
}

#[test]
fn a_backlog_of_a_dead_home_is_published_when_it_is_back() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.kill(c);
    for n in 0..90 {
        let sms = person.compose(&format!("backlog {n}"), true);
        person.send(&mut world, a, &sms);
    }
    world.restart(c);
    world.run_for(minutes(60));
    let missing: Vec<_> = (0..90).filter(|n| world.count(&format!("backlog {n}")) != 1).collect();
    assert!(missing.is_empty(), "not published once: {missing:?}");
}
