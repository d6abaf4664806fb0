//! One person's messages that wait at an ingress for a dead home: hundreds, shuffled by the SMS network, among garbage.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use relaymesh_core::command::{OperatorCommand, OperatorReply};
use relaymesh_protocol::base64text;

use crate::world::{Fate, Frame, Person, World, counter, platform_text};
use crate::{NUMBER, minutes, three};

/// More than the skipped keys that a ratchet keeps, and six times what it bears out of order.
const BACKLOG: usize = 600;
/// How far SMS overtake each other.
const SHUFFLED_WITHIN: usize = 30;

fn text(n: usize) -> String {
    format!("backlog {n}")
}

fn missing(world: &World, count: usize) -> Vec<usize> {
    (0..count).filter(|n| world.count(&text(*n)) != 1).collect()
}

/// Hands a backlog in while the home is dead, in the order that `shuffle` makes, and brings the home back.
fn after_the_home_was_dead(shuffle: impl Fn(&mut [String])) {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.kill(c);
    let mut sms: Vec<String> = (0..BACKLOG).map(|n| person.compose(&text(n), true)).collect();
    shuffle(&mut sms);
    for sms in &sms {
        person.send(&mut world, a, sms);
        world.run_for(100);
    }
    // Long enough for every pause between attempts to be another one.
    world.run_for(minutes(10));
    world.restart(c);
    world.run_for(minutes(5));
    let missing = missing(&world, BACKLOG);
    assert!(missing.is_empty(), "{} not published once, from {:?}", missing.len(), missing.first());
}

#[test]
fn six_hundred_messages_in_order_are_all_published() {
    after_the_home_was_dead(|_| {});
}

#[test]
fn six_hundred_messages_shuffled_by_the_network_are_all_published() {
    after_the_home_was_dead(|sms| {
        let mut chance = ChaCha20Rng::seed_from_u64(7);
        for part in sms.chunks_mut(SHUFFLED_WITHIN) {
            for at in (1..part.len()).rev() {
                part.swap(at, chance.next_u32() as usize % (at + 1));
            }
        }
    });
}

#[test]
fn a_backlog_survives_the_kill_of_its_ingress() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.kill(c);
    for n in 0..150 {
        let sms = person.compose(&text(n), true);
        person.send(&mut world, a, &sms);
    }
    world.kill(a);
    world.restart(a);
    world.run_for(minutes(10));
    world.restart(c);
    world.run_for(minutes(2));
    assert_eq!(missing(&world, 150), Vec::<usize>::new());
}

/// Forged payloads for somebody's number: sound lengths, no key behind them.
fn garbage(seed: u64) -> String {
    let mut block = vec![0; 76 + 16 * 3];
    ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut block);
    block[..4].copy_from_slice(&40_u32.to_le_bytes());
    platform_text(block, None)
}

#[test]
fn garbage_in_somebodys_name_does_not_hold_up_the_real_messages() {
    let (mut world, a, _, c) = three();
    world.federate(a, c);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("where I live is known", false);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(1));
    assert_eq!(world.count("where I live is known"), 1);

    world.kill(c);
    for n in 0..120 {
        person.send(&mut world, a, &garbage(n));
    }
    for n in 0..60 {
        let sms = person.compose(&text(n), false);
        person.send(&mut world, a, &sms);
        person.send(&mut world, a, &garbage(1_000 + n as u64));
    }
    world.run_for(minutes(20));
    world.restart(c);
    world.run_for(minutes(1));
    assert_eq!(missing(&world, 60), Vec::<usize>::new());

    // With the home alive, neither.
    for n in 60..100 {
        person.send(&mut world, a, &garbage(2_000 + n as u64));
        let sms = person.compose(&text(n), false);
        person.send(&mut world, a, &sms);
    }
    world.run_for(10_000);
    assert_eq!(missing(&world, 100), Vec::<usize>::new());
}

/// Six people write to a home that is dead for four hours, through a node with a custodian or without; tells how many
/// offers that made, and that all is published in the end.
fn offers_to_a_dead_home(custodian: bool) -> u64 {
    let (mut world, a, b, c) = three();
    let mut people: Vec<Person> =
        (0..6).map(|n| Person::sign_up(&mut world, c, &format!("+2376501235{n:02}"), 20 + n)).collect();
    world.run_for(minutes(3));
    world.kill(c);
    if !custodian {
        world.kill(b);
    }
    let before = offered(&world, a);
    for (n, person) in people.iter_mut().enumerate() {
        let sms = person.compose(&text(n), true);
        person.send(&mut world, a, &sms);
    }
    world.run_for(minutes(4 * 60));
    let offers = offered(&world, a) - before;
    world.restart(c);
    world.run_for(minutes(15));
    assert_eq!(missing(&world, 6), Vec::<usize>::new());
    offers
}

#[test]
fn whoever_is_away_is_tried_by_one_message_for_all() {
    // Each at once, again when it has copies for custodians, and one for all at each retry, of which there are about a hundred:
    // not each at each.
    let offers = offers_to_a_dead_home(true);
    assert!((12..250).contains(&offers), "{offers} offers in four hours");
}

#[test]
fn a_node_that_is_alone_tries_no_more() {
    let offers = offers_to_a_dead_home(false);
    assert!((6..250).contains(&offers), "{offers} offers in four hours");
}

#[test]
fn a_message_that_no_longer_waits_for_whoever_is_away_holds_up_no_other() {
    let (mut world, a, b, c) = three();
    let mut gone = Person::sign_up(&mut world, c, "+237650123499", 12);
    world.run_for(minutes(3));
    // The home can be offered messages again when the link is back, and shows in no other way that it is; nobody carries
    // anything for it.
    world.tap(move |from, to, frame| match frame {
        Frame::Envelope(_) if (from, to) == (a, b) || (from, to) == (c, a) => Fate::Lose,
        Frame::Request(_) if (from, to) == (a, c) || (from, to) == (c, a) => Fate::Lose,
        _ => Fate::Pass,
    });
    world.cut(a, c);
    let sms = gone.compose("the oldest", true);
    gone.send(&mut world, a, &sms);
    world.run_for(minutes(5));
    // Its account ends; the filter that says so comes by way of the third node, with that of the next newcomer.
    gone.delete(&mut world, c);
    world.run_for(minutes(25 * 60));
    let mut stays = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(60));
    let lost = counter(&world, a, "route_no_candidate");
    world.run_for(minutes(60));
    assert!(counter(&world, a, "route_no_candidate") > lost, "the oldest has nobody to go to");
    for n in 0..3 {
        let sms = stays.compose(&text(n), true);
        stays.send(&mut world, a, &sms);
    }
    world.run_for(minutes(60));
    assert_eq!(missing(&world, 3).len(), 3, "the home is cut off");
    world.heal(a, c);
    world.run_for(minutes(3 * 60));
    assert_eq!(missing(&world, 3), Vec::<usize>::new());
    assert_eq!(world.count("the oldest"), 0);
}

fn offered(world: &World, node: usize) -> u64 {
    counter(world, node, "leg_offered")
}

#[test]
fn one_persons_backlog_holds_up_nobody_else() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let mut other = Person::sign_up(&mut world, b, "+237650123457", 12);
    world.run_for(minutes(3));
    world.kill(c);
    for n in 0..100 {
        let sms = person.compose(&text(n), true);
        person.send(&mut world, a, &sms);
    }
    let sms = other.compose("not behind them", true);
    other.send(&mut world, a, &sms);
    world.run_for(2_000);
    assert_eq!(world.count("not behind them"), 1);
}

#[test]
fn a_whole_backlog_leaves_in_one_bundle_in_its_order() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    for (x, y) in [(a, b), (a, c), (b, c)] {
        world.cut(x, y);
    }
    for n in 0..150 {
        let sms = person.compose(&text(n), true);
        person.send(&mut world, a, &sms);
    }
    let OperatorReply::Bundle { bytes, .. } = world.operate(a, OperatorCommand::BundleExport) else { panic!() };
    world.operate(c, OperatorCommand::BundleImport { bytes });
    world.run_for(minutes(1));
    assert_eq!(missing(&world, 150), Vec::<usize>::new());
}

#[test]
fn a_damaged_head_of_the_line_is_passed_by() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.kill(c);
    for n in 0..40 {
        let sms = person.compose(&format!("damaged {n}"), true);
        let mut bytes = base64text::decode(&sms).unwrap();
        bytes[100] ^= 1;
        person.send(&mut world, a, &base64text::encode(&bytes));
    }
    for n in 0..40 {
        let sms = person.compose(&text(n), true);
        person.send(&mut world, a, &sms);
    }
    world.restart(c);
    world.run_for(minutes(1));
    assert_eq!(missing(&world, 40), Vec::<usize>::new());
}
