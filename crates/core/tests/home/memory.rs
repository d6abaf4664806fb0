//! Consumed blocks, owed publications and notices: how long they are kept, and what ends with an account.

use relaymesh_core::command::{
    Command, Door, MessageOutcome, OperatorCommand, OperatorReply, Reply, Submit, Submitted,
};
use relaymesh_core::record::{key, vault};
use relaymesh_protocol::base64text;
use relaymesh_protocol::frame::FilterLayer;
use relaymesh_protocol::payload::Payload;
use relaymesh_ratchet::PublicKey;

use crate::world::{Person, PlatformMood, Stranger, World, booth, bridge_text};
use crate::{NUMBER, minutes, outcome, static_key, status, two};

const DAY_MS: u64 = 86_400_000;

/// How many records of a table there are, of all entities.
fn records(world: &World, node: usize, table: u8) -> usize {
    let rows = world.nodes[node].disk.0.keys();
    rows.filter(|row| row.first() == Some(&key::ENTITY) && row.get(17) == Some(&table)).count()
}

fn all_records(world: &World, node: usize) -> usize {
    world.nodes[node].disk.0.keys().filter(|row| row.first() == Some(&key::ENTITY)).count()
}

/// The node is off for so long.
fn off(world: &mut World, node: usize, ms: u64) {
    world.kill(node);
    world.run_for(ms);
    world.restart(node);
}

/// A home alone with a person who has published so much.
fn published(count: usize) -> (World, usize, Person) {
    let mut world = World::new();
    let c = world.add("c", 3);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(1));
    for n in 0..count {
        let sms = person.compose(&format!("post {n}"), true);
        person.send(&mut world, c, &sms);
    }
    world.run_for(minutes(1));
    assert_eq!((world.posts.len(), records(&world, c, vault::SEEN)), (count, count));
    (world, c, person)
}

#[test]
fn a_late_copy_is_answered_after_a_change_of_password() {
    let (mut world, a, c) = two();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("before", true);
    person.send(&mut world, c, &sms);
    world.run_for(minutes(1));
    assert_eq!(world.count("before"), 1);
    person.change_password(&mut world, c);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(1));
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
    assert_eq!(status(&mut world, a).held, 0);
    assert_eq!(world.count("before"), 1);
}

#[test]
fn consumed_blocks_and_positions_are_swept_in_pages_after_150_days_and_not_before() {
    let (mut world, c, mut person) = published(70);
    off(&mut world, c, 149 * DAY_MS);
    world.run_for(minutes(15));
    assert_eq!((records(&world, c, vault::SEEN), records(&world, c, vault::POSITION)), (70, 70));
    let sms = person.compose("younger", true);
    person.send(&mut world, c, &sms);
    world.run_for(minutes(1));
    assert_eq!(world.count("younger"), 1);
    world.nodes[c].largest_batch = 0;
    // By the weekly pass of a node that runs.
    world.run_for(8 * DAY_MS);
    assert_eq!((records(&world, c, vault::SEEN), records(&world, c, vault::POSITION)), (1, 1));
    assert!(world.nodes[c].largest_batch <= 130, "{} writes in one batch", world.nodes[c].largest_batch);
    let sms = person.compose("still logged in", true);
    person.send(&mut world, c, &sms);
    world.run_for(minutes(1));
    assert_eq!(world.count("still logged in"), 1);
}

#[test]
fn the_positions_of_a_bridge_identity_stay_with_the_static_key() {
    let mut world = World::new();
    let c = world.add("c", 3);
    let server = static_key(&mut world, c, 2);
    let mut phone = Stranger::new(server.1, server.0, 1);
    let text = bridge_text(phone.mail("hello", true));
    let door = booth(&mut world, c);
    let submit = Submit { door, text: text.into(), sender: NUMBER.into(), date: None, date_sent: None };
    let _ = world.ask(c, Command::Submit(submit));
    world.run_for(minutes(1));
    let spent = |world: &World| world.nodes[c].disk.0.keys().filter(|row| row.first() == Some(&key::SPENT)).count();
    assert_eq!((records(&world, c, vault::SEEN), spent(&world)), (1, 1));
    off(&mut world, c, 151 * DAY_MS);
    world.run_for(minutes(15));
    assert_eq!((records(&world, c, vault::SEEN), spent(&world)), (0, 1));
}

#[test]
fn an_account_goes_at_once_and_its_records_in_pages() {
    for killed in [false, true] {
        let (mut world, c, person) = published(70);
        world.nodes[c].largest_batch = 0;
        person.delete(&mut world, c);
        assert!(!world.nodes[c].disk.0.keys().any(|row| row.first() == Some(&key::HEAD)), "the key is gone");
        assert!(all_records(&world, c) > 140, "and the records are to go");
        if killed {
            off(&mut world, c, 1_000);
            world.run_for(minutes(15));
        } else {
            world.run_for(minutes(1));
        }
        assert_eq!(all_records(&world, c), 0, "killed: {killed}");
        assert!(world.nodes[c].largest_batch <= 130, "{} writes in one batch", world.nodes[c].largest_batch);
    }
}

#[test]
fn the_recent_filter_that_names_a_deleted_account_is_replaced_within_minutes() {
    let (mut world, c, _) = published(0);
    let recent = |world: &World| {
        let (_, filters) = world.nodes[c].node().knowledge();
        filters.iter().find(|head| head.layer == FilterLayer::Recent).map(|head| head.version)
    };
    // The first one is in the base; who comes later is in the recent filter.
    let later = Person::sign_up(&mut world, c, "+237650123499", 12);
    world.run_for(minutes(2));
    let before = recent(&world).expect("somebody is new");
    world.run_for(minutes(60));
    assert_eq!(recent(&world), Some(before), "nobody came or went");
    later.delete(&mut world, c);
    world.run_for(minutes(2));
    assert!(recent(&world) > Some(before));
    let after = recent(&world);
    world.run_for(minutes(60));
    assert_eq!(recent(&world), after, "once");
}

#[test]
fn what_is_owed_to_a_deleted_account_ends_with_it_and_is_told() {
    let (mut world, a, c) = two();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.mood = PlatformMood::Down;
    let waiting = person.compose("waiting", true);
    person.send(&mut world, a, &waiting);
    world.run_for(minutes(5));
    world.mood = PlatformMood::LosesAnswers;
    let unsure = person.compose("unsure", true);
    person.send(&mut world, a, &unsure);
    world.run_for(2_000);
    assert_eq!((world.posts.len(), status(&mut world, c).jobs), (1, 2));
    let before = world.sms.len();
    person.delete(&mut world, c);
    world.run_for(minutes(5));
    assert_eq!(status(&mut world, c).jobs, 0);
    assert!(!world.nodes[c].disk.0.keys().any(|row| row.first() == Some(&key::JOB)), "no row is left");
    assert!(matches!(outcome(&mut world, a, &person, &waiting), Some(MessageOutcome::Failed(_))));
    assert_eq!(outcome(&mut world, a, &person, &unsure), Some(MessageOutcome::Uncertain));
    assert_eq!(world.sms.len(), before + 2);
    off(&mut world, c, 1_000);
    world.run_for(minutes(5));
    assert_eq!(world.nodes[c].node().counters().get("record_unreadable"), None);
}

/// A copy that opens and whose platform letter is another's.
fn misfit(person: &mut Person, text: &str) -> String {
    let bytes = base64text::decode(&person.compose(text, true)).unwrap();
    let Ok(Payload::Platform(mut payload)) = Payload::parse(&bytes) else { panic!("a platform payload") };
    payload.shortcode = b'q';
    base64text::encode_wrapped(&Payload::Platform(payload).encode().unwrap())
}

#[test]
fn a_restart_within_the_grace_of_a_damaged_copy_keeps_nobody_from_being_told() {
    let mut world = World::new();
    let c = world.add("c", 3);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let before = world.sms.len();
    let told = |world: &World| world.sms.len() - before;
    let bad = misfit(&mut person, "first");
    let _ = world.ask(c, person.submit(&bad));
    world.run_for(minutes(5));
    off(&mut world, c, 1_000);
    world.run_for(minutes(30));
    assert_eq!(told(&world), 1, "of the first, though its timer was lost");
    // The next day, the node is killed again and again before its first pass over old rows.
    off(&mut world, c, DAY_MS);
    for _ in 0..2 {
        let bad = misfit(&mut person, "another");
        let _ = world.ask(c, person.submit(&bad));
        world.run_for(minutes(3));
        off(&mut world, c, minutes(8));
        world.run_for(minutes(1));
    }
    assert_eq!(told(&world), 2, "the second misfit finds that the wait of the first is over");
}

#[test]
fn positions_of_a_static_key_go_when_it_is_retired_and_its_sessions_go_on() {
    let (mut world, a, c) = two();
    world.federate(a, c);
    let door = booth(&mut world, c);
    let OperatorReply::BridgeKeys(keys) = world.operate(c, OperatorCommand::BridgeKeysGenerate { count: 2 }) else {
        panic!("no keys");
    };
    world.run_for(minutes(3));
    let spent = |world: &World| world.nodes[c].disk.0.keys().filter(|row| row.first() == Some(&key::SPENT)).count();
    let mut phones = Vec::new();
    for n in 0..6_u8 {
        let key = &keys[usize::from(n % 2)];
        let public = PublicKey::from_base64_lenient(&key.keypair).unwrap();
        let mut phone = Stranger::new(public, key.kid, u64::from(n) + 1);
        forward(&mut world, c, door, &number(n), &bridge_text(phone.mail("hello", true)));
        world.run_for(minutes(1));
        phones.push(phone);
    }
    assert_eq!((spent(&world), world.mails.len()), (6, 6));
    let retire = |world: &mut World, kid| world.ask(c, Command::Operator(OperatorCommand::BridgeKeysRetire { kid }));
    assert!(matches!(retire(&mut world, 77), Reply::Refused(_)));
    let Reply::Operator(OperatorReply::BridgeKeys(left)) = retire(&mut world, keys[0].kid) else { panic!() };
    assert_eq!(left, keys[1..]);
    world.run_for(minutes(1));
    assert_eq!(spent(&world), 3, "those of the other key stay");
    // A session that began with it goes on; nobody can begin with it.
    forward(&mut world, c, door, &number(0), &bridge_text(phones[0].mail("more", false)));
    let public = PublicKey::from_base64_lenient(&keys[0].keypair).unwrap();
    let mut late = Stranger::new(public, keys[0].kid, 99);
    forward(&mut world, c, door, &number(9), &bridge_text(late.mail("late", true)));
    world.run_for(minutes(3));
    assert_eq!(world.mails.len(), 7);
    // A pass finds what a kill left behind: here, the position of the mail that the session has sent since.
    world.kill(c);
    world.restart(c);
    world.run_for(minutes(15));
    assert_eq!(spent(&world), 3);
}

fn number(n: u8) -> String {
    format!("+23765099{n:04}")
}

fn forward(world: &mut World, node: usize, door: Door, from: &str, text: &str) {
    let sent = i64::try_from(world.now.0).unwrap();
    let submit = Submit { door, text: text.into(), sender: from.into(), date: Some(sent), date_sent: Some(sent) };
    let reply = world.ask(node, Command::Submit(submit));
    assert!(matches!(reply, Reply::Submitted(Submitted::Accepted { .. })), "{reply:?}");
}
