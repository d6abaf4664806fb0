//! Reliability tests of gateway clients: which SMS ends one, and who learns which gateway client brought what.

use std::cell::RefCell;
use std::rc::Rc;

use relaymesh_core::command::{ClientsCommand, ClientsReply, Command, Door, Reply, Submitted};
use relaymesh_core::delivery::{Body, Submission};
use relaymesh_protocol::ids::E164;

use crate::world::{Fate, Frame, Person, World, enrol, open};
use crate::{NUMBER, minutes, three};

const MODEM: &str = "+237699000000";
const OTHER_MODEM: &str = "+237699000001";

fn start(world: &mut World, node: usize) -> u64 {
    match world.ask(node, Command::Clients(ClientsCommand::StartTest { msisdn: MODEM.into() })) {
        Reply::Clients(ClientsReply::Started { test_id, .. }) => test_id,
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
