//! Reliability tests of gateway clients: which SMS ends one, and who learns which gateway client brought what.

use std::cell::RefCell;
use std::rc::Rc;

use relaymesh_core::command::{ClientsCommand, ClientsReply, Code, Command, Door, Reply, Submitted};
use relaymesh_core::delivery::{Body, Submission};
use relaymesh_protocol::ids::E164;

use crate::world::{Fate, Frame, Person, World, enrol, open};
use crate::{NUMBER, minutes, three};

const MODEM: &str = "+237699000000";
const OTHER_MODEM: &str = "+237699000001";

fn start(world: &mut World, node: usize) -> u64 {
    try_start(world, node, MODEM).expect("a test may be started")
}

/// A test's id, or why none was started.
fn try_start(world: &mut World, node: usize, msisdn: &str) -> Result<u64, Code> {
    match world.ask(node, Command::Clients(ClientsCommand::StartTest { msisdn: msisdn.into() })) {
        Reply::Clients(ClientsReply::Started { test_id, .. }) => Ok(test_id),
        Reply::Refused(refusal) => Err(refusal.code),
        other => panic!("{other:?}"),
    }
}

/// The score of the tested gateway client, as the apps list it.
fn score(world: &mut World, node: usize) -> u8 {
    let (country, operator, protocols, last_published_day) = (None, None, None, None);
    let list = ClientsCommand::List { country, operator, protocols, last_published_day, page: 1, per_page: 100 };
    match world.ask(node, Command::Clients(list)) {
        Reply::Clients(ClientsReply::List { rows, .. }) => {
            rows.iter().find(|row| row.msisdn == MODEM).unwrap().reliability
        }
        other => panic!("{other:?}"),
    }
}

fn state(world: &mut World, node: usize, id: u64) -> &'static str {
    let (msisdn, status) = (MODEM.into(), None);
    let list = ClientsCommand::Tests { msisdn, page: 1, per_page: 100, status, from: None, to: None };
    match world.ask(node, Command::Clients(list)) {
        Reply::Clients(ClientsReply::Tests { rows, .. }) => rows.iter().find(|row| row.id == id).unwrap().status,
        other => panic!("{other:?}"),
    }
}

fn hand_in(world: &mut World, node: usize, person: &Person, door: Door, sms: &str) {
    let reply = world.ask(node, person.submit_through(door, sms));
    assert!(matches!(reply, Reply::Submitted(Submitted::Accepted { .. })), "{reply:?}");
    world.run_for(minutes(1));
}

#[test]
fn a_test_ends_well_only_by_an_sms_through_the_gateway_client_that_it_tests() {
    let (mut world, a, b, c) = three();
    world.federate(a, c);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let tested = enrol(&mut world, c, "modem", MODEM);
    let other = enrol(&mut world, c, "other", OTHER_MODEM);
    // Another operator, whom the home does not know, may enrol whatever it likes.
    let forged = enrol(&mut world, b, "modem", MODEM);
    let partner = enrol(&mut world, a, "modem", MODEM);
    world.run_for(minutes(3));
    let told = world.sms.len();
    for (node, door) in [(c, Door::Open), (c, other), (a, Door::Open), (b, forged)] {
        let id = start(&mut world, c);
        let sms = person.compose_test(id);
        hand_in(&mut world, node, &person, door, &sms);
        assert_eq!(state(&mut world, c, id), "pending", "node {node}, {door:?}");
        // It is not used up: the copy that comes the right way counts.
        let (right, door) = if node == c { (a, partner) } else { (c, tested) };
        hand_in(&mut world, right, &person, door, &sms);
        assert_eq!(state(&mut world, c, id), "success", "node {right}");
    }
    let late = start(&mut world, c);
    let sms = person.compose_test(late);
    hand_in(&mut world, b, &person, forged, &sms);
    world.run_for(minutes(40));
    assert_eq!(state(&mut world, c, late), "timedout");
    assert_eq!(world.nodes[b].node().counters().get("message_accepted"), Some(&2), "then it ends, too");
    assert_eq!(world.sms.len(), told, "and nobody is told that something was damaged");
}

/// People ask the node whose gateway clients they see, which need not be their home.
#[test]
fn a_test_that_begins_at_the_ingress_ends_there() {
    for wrong_first in [false, true] {
        let (mut world, a, _, c) = three();
        world.federate(a, c);
        let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
        let tested = enrol(&mut world, a, "modem", MODEM);
        let other = enrol(&mut world, a, "other", OTHER_MODEM);
        world.run_for(minutes(3));
        let id = start(&mut world, a);
        let sms = person.compose_test(id);
        if wrong_first {
            hand_in(&mut world, a, &person, other, &sms);
            assert_eq!(state(&mut world, a, id), "pending", "it ended at its home, through another gateway client");
        }
        hand_in(&mut world, a, &person, tested, &sms);
        assert_eq!(state(&mut world, a, id), "success", "{wrong_first}");
        let sms = person.compose_test(id);
        hand_in(&mut world, a, &person, tested, &sms);
        assert_eq!(state(&mut world, a, id), "success", "once is enough");
    }
}

/// The home has tests of its own under way, which it must not take the SMS for.
#[test]
fn a_test_of_the_ingress_does_not_wait_for_the_tests_of_its_home() {
    let (mut world, a, _, c) = three();
    world.federate(a, c);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let tested = enrol(&mut world, a, "modem", MODEM);
    enrol(&mut world, c, "other", OTHER_MODEM);
    world.run_for(minutes(3));
    for round in 0..5 {
        let id = start(&mut world, a);
        try_start(&mut world, c, OTHER_MODEM).unwrap();
        let sms = person.compose_test(id);
        hand_in(&mut world, a, &person, tested, &sms);
        assert_eq!(state(&mut world, a, id), "success", "round {round}");
    }
}

/// A test comes in through each of the doors of one node, in this order and within a second; whether it ends well. The home
/// is that node itself, or a partner, which may be cut off until all have brought it.
fn ends_well(doors: &[Brings], home: Home, with_device: bool) -> bool {
    let (mut world, a, b, c) = three();
    world.federate(a, c);
    let ingress = if home == Home::Here { c } else { a };
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let tested = enrol(&mut world, ingress, "modem", MODEM);
    let other = enrol(&mut world, ingress, "other", OTHER_MODEM);
    if ingress != c {
        enrol(&mut world, c, "modem", MODEM);
    }
    world.run_for(minutes(3));
    let id = start(&mut world, c);
    let sms = person.compose_test_as(id, with_device);
    if home == Home::Away {
        world.kill(b);
        world.kill(c);
    }
    for door in doors {
        let door = match door {
            Brings::Anybody => Door::Open,
            Brings::Other => other,
            Brings::Tested => tested,
        };
        let reply = world.ask(ingress, person.submit_through(door, &sms));
        assert!(matches!(reply, Reply::Submitted(Submitted::Accepted { .. })), "{reply:?}");
        world.run_for(150);
    }
    if home == Home::Away {
        world.run_for(minutes(2));
        world.restart(c);
    }
    world.run_for(minutes(6));
    state(&mut world, c, id) == "success"
}

#[derive(Clone, Copy, Debug)]
enum Brings {
    Anybody,
    Other,
    Tested,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Here,
    There,
    Away,
}

#[test]
fn no_door_shadows_the_tested_one_at_the_same_node() {
    use Brings::{Anybody, Other, Tested};
    for home in [Home::Here, Home::There, Home::Away] {
        for doors in [
            &[Anybody, Tested][..],
            &[Other, Tested],
            &[Tested, Anybody],
            &[Tested, Other],
            &[Anybody, Other, Tested],
            &[Other, Anybody, Tested],
            &[Anybody, Tested, Other],
        ] {
            assert!(ends_well(doors, home, true), "{doors:?}, {home:?}");
        }
        // Where the number was never asked for, nobody can be told while all are away.
        assert_eq!(ends_well(&[Other, Tested], home, false), home != Home::Away, "by number, {home:?}");
        assert!(!ends_well(&[Anybody, Other, Anybody, Other], home, true), "{home:?}");
    }
}

#[test]
fn a_door_that_repeats_itself_is_told_of_once() {
    let (mut world, a, _, c) = three();
    world.federate(a, c);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let tested = enrol(&mut world, a, "modem", MODEM);
    let other = enrol(&mut world, a, "other", OTHER_MODEM);
    enrol(&mut world, c, "modem", MODEM);
    world.run_for(minutes(3));
    let id = start(&mut world, c);
    let (sms, post) = (person.compose_test(id), person.compose("a post", true));
    world.kill(c);
    let told = Rc::new(RefCell::new(0));
    let count = told.clone();
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(_)) = ((from, to) == (a, c), frame) {
            *count.borrow_mut() += 1;
        }
        Fate::Pass
    });
    let mut sent = |door, text: &str| {
        let before = *told.borrow();
        let reply = world.ask(a, person.submit_through(door, text));
        assert!(matches!(reply, Reply::Submitted(Submitted::Accepted { .. })), "{reply:?}");
        world.run_for(50);
        *told.borrow() - before
    };
    assert_eq!(sent(tested, &sms), 1);
    assert_eq!(sent(other, &sms), 1);
    let more: u32 = (0..20).map(|_| sent(other, &sms) + sent(tested, &sms) + sent(Door::Open, &sms)).sum();
    assert!(more < 4, "{more}: retries only");
    assert_eq!((sent(tested, &post), sent(other, &post)), (1, 0), "of a post it does not matter");
}

#[test]
fn a_home_learns_which_gateway_client_brought_a_test_and_of_nothing_else() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let door = enrol(&mut world, a, "modem", MODEM);
    world.run_for(minutes(3));
    let seen = Rc::new(RefCell::new(Vec::<Submission>::new()));
    let (into, keys) = (seen.clone(), world.nodes[c].keyring.clone());
    world.tap(move |_, to, frame| {
        if let (true, Frame::Envelope(carried)) = (to == c, frame)
            && let Some((_, Body::Submission(submission))) = open(&keys, carried)
        {
            into.borrow_mut().push(*submission);
        }
        Fate::Pass
    });
    let texts = [person.compose("a post", true), person.compose_test(1)];
    for text in &texts {
        hand_in(&mut world, a, &person, door, text);
    }
    let segments = person.compose_image("a picture", &[7; 900], 1);
    for (_, segment) in segments.iter().enumerate().filter(|(n, _)| *n != 2) {
        world.ask(a, person.submit_through(door, segment));
    }
    world.run_for(minutes(30));
    let gateways: Vec<Option<E164>> = seen.borrow().iter().map(|submission| submission.gateway.clone()).collect();
    assert_eq!(gateways, [None, Some(MODEM.parse().unwrap()), None], "a post, a test, an incomplete image");
}

#[test]
fn a_score_tells_of_tests_whose_sms_came_and_of_no_others() {
    let mut world = World::new();
    let c = world.add("c", 3);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let tested = enrol(&mut world, c, "modem", MODEM);
    assert_eq!(score(&mut world, c), 0);
    let good = start(&mut world, c);
    let sms = person.compose_test(good);
    hand_in(&mut world, c, &person, tested, &sms);
    assert_eq!(score(&mut world, c), 100);
    // Anybody may start tests and send nothing.
    let unanswered: Vec<u64> = (0..19).map(|_| start(&mut world, c)).collect();
    world.run_for(minutes(12));
    assert!(unanswered.iter().all(|id| state(&mut world, c, *id) == "timedout"));
    assert_eq!(score(&mut world, c), 100);
    // What the gateway client, or its operator, held up for too long counts; what was sent too late does not.
    for (sent_after, expected) in [(11, 100), (1, 50), (1, 33)] {
        let id = start(&mut world, c);
        let sent = world.now.0 + minutes(sent_after);
        world.run_for(minutes(13));
        let sms = person.compose_test(id);
        let mut submit = person.submit_through(tested, &sms);
        let Command::Submit(submitted) = &mut submit else { panic!("{submit:?}") };
        submitted.date_sent = i64::try_from(sent).ok();
        world.ask(c, submit);
        world.run_for(minutes(1));
        assert_eq!((state(&mut world, c, id), score(&mut world, c)), ("timedout", expected), "{sent_after}");
    }
    world.kill(c);
    world.restart(c);
    assert_eq!((state(&mut world, c, good), score(&mut world, c)), ("success", 33), "also after a restart");
}

#[test]
fn so_many_tests_may_be_started_in_an_hour_of_one_gateway_client_and_of_all() {
    let mut world = World::new();
    let c = world.add("c", 3);
    let modems: Vec<String> = (0..11).map(|n| format!("+2376990000{n:02}")).collect();
    for (n, modem) in modems.iter().enumerate() {
        enrol(&mut world, c, &format!("modem{n}"), modem);
    }
    let over = Err(Code::ResourceExhausted);
    let started = |world: &mut World, modem: &str| (0..30).filter(|_| try_start(world, c, modem).is_ok()).count();
    assert_eq!(started(&mut world, &modems[0]), 20, "at once");
    world.run_for(minutes(12));
    assert_eq!(started(&mut world, &modems[0]), 20, "in an hour");
    world.run_for(minutes(12));
    assert_eq!(try_start(&mut world, c, &modems[0]), over);
    for modem in &modems[1..10] {
        assert_eq!(started(&mut world, modem), 20);
    }
    world.run_for(minutes(12));
    for modem in &modems[1..10] {
        assert_eq!(started(&mut world, modem), 20);
    }
    world.run_for(minutes(12));
    assert_eq!(try_start(&mut world, c, &modems[10]), over, "all of them together");
    world.kill(c);
    world.restart(c);
    assert_eq!(try_start(&mut world, c, &modems[10]), over, "a restart opens nothing");
    world.run_for(minutes(14));
    assert!(try_start(&mut world, c, &modems[10]).is_ok() && try_start(&mut world, c, &modems[0]).is_ok());
}
