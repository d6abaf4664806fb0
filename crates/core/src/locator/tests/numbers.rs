//! Numbers: oblivious questions over links, in letters and in bundles, and what limits them.

use std::time::Duration;

use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::{EntityId, Language, Timestamp};
use relaymesh_seal::Secret32;
use relaymesh_seal::oblivious::Purpose;
use relaymesh_seal::tags::filter_key;

use super::world::{World, message, number, outbox};
use crate::locator::oblivious::own_tags;
use crate::locator::{Candidate, Lookup, Routing, add_entity, locate};
use crate::record::Entity;
use crate::record::index::{self, Kind};
use crate::record::vault::{ACCOUNT, Account, PasswordLimiter};
use crate::testing::Router as _;

const MINUTE: Duration = Duration::from_secs(60);

fn with_phone(n: u32) -> Routing {
    Routing { phone: Some(number(n)), ..Routing::default() }
}

fn candidates(world: &mut World, at: usize, lookup: &Lookup) -> Vec<Candidate> {
    world.run(at, |node, tx| Ok(locate(node, tx, message(99), &outbox(lookup, Vec::new()))))
}

/// Two partners; a person with a number lives at the second.
fn pair() -> World {
    let mut world = World::partners(&["alpha", "beta"]);
    world.settle_person(1, 1, &with_phone(1));
    world.pass(MINUTE * 4);
    world.asked.clear();
    world
}

#[test]
fn a_partner_finds_a_number_with_one_question_and_the_home_its_person() {
    let mut world = pair();
    world.hold(0, 1, &Lookup::Number(number(1)));
    world.pass(MINUTE);
    assert_eq!(world.evaluations(0, 1), [4], "one question of four numbers");
    assert!(world.offers(0, 1) >= 1);
    let found = candidates(&mut world, 0, &Lookup::Number(number(1)));
    let (key_id, tag) = found[0].tag.unwrap();
    assert_eq!((found.len(), found[0].node), (1, world.id(1)));
    let value = [key_id.to_be_bytes().as_slice(), tag.as_bytes()].concat();
    let entity = world.run(1, |node, tx| index::find(node, tx, Kind::NumberTag, &value));
    assert_eq!(entity, Some(EntityId([1; 16])));
    let own = candidates(&mut world, 1, &Lookup::Number(number(1)));
    assert_eq!(own, found, "the home finds itself, with the same tag");
}

#[test]
fn an_unknown_number_is_asked_for_once_and_waits() {
    let mut world = pair();
    world.hold(0, 1, &Lookup::Number(number(2)));
    world.pass(MINUTE * 30);
    assert_eq!(world.count(0, "numbers_asked"), 1, "other questions are audits");
    assert_eq!(world.offers(0, 1), 0);
    // Somebody signs up: the cached tag is looked up in the new filter, without a question.
    world.settle_person(1, 2, &with_phone(2));
    world.pass(MINUTE * 4);
    assert!(world.offers(0, 1) >= 1);
    assert_eq!(world.count(0, "numbers_asked"), 1);
}

#[test]
fn a_cut_off_region_routes_by_its_cache_after_a_restart() {
    let mut world = pair();
    world.hold(0, 1, &Lookup::Number(number(1)));
    world.pass(MINUTE);
    world.cut.insert((0, 1));
    world.restart(0);
    world.asked.clear();
    assert_eq!(candidates(&mut world, 0, &Lookup::Number(number(1))).len(), 1);
    assert!(world.asked.is_empty());
}

#[test]
fn without_a_link_the_question_goes_as_a_letter_once() {
    let mut world = pair();
    world.cut.insert((0, 1));
    world.restart(1);
    world.hold(0, 1, &Lookup::Number(number(1)));
    world.pass(MINUTE * 30);
    assert_eq!(world.count(0, "question_letter"), 1);
    assert!(world.evaluations(0, 1).is_empty());
    assert!(candidates(&mut world, 0, &Lookup::Number(number(1))).is_empty());
    // A restart forgets neither the letter nor its blinds.
    world.restart(0);
    world.cut.clear();
    world.restart(1);
    world.pass(MINUTE * 30);
    assert_eq!(candidates(&mut world, 0, &Lookup::Number(number(1))).len(), 1);
}

#[test]
fn questions_and_answers_travel_in_bundles() {
    let mut world = pair();
    world.cut.insert((0, 1));
    world.restart(1);
    world.hold(0, 1, &Lookup::Number(number(1)));
    world.pass(MINUTE);
    assert!(candidates(&mut world, 0, &Lookup::Number(number(1))).is_empty());
    world.bundle(0, 1);
    world.bundle(1, 0);
    assert_eq!(candidates(&mut world, 0, &Lookup::Number(number(1))).len(), 1);
    assert!(world.evaluations(0, 1).is_empty());
}

#[test]
fn a_wrong_proof_gives_no_tag_and_a_day_of_silence() {
    let mut world = pair();
    world.lie = true;
    world.hold(0, 1, &Lookup::Number(number(1)));
    world.pass(MINUTE * 60);
    assert_eq!(world.count(0, "evaluation_unproven"), 1);
    assert_eq!(world.evaluations(0, 1).len(), 1);
    assert!(candidates(&mut world, 0, &Lookup::Number(number(1))).is_empty());
}

#[test]
fn members_that_are_no_partners_are_neither_asked_nor_answered() {
    let mut world = World::with(&["alpha", "beta"], false, |_| {});
    world.settle_person(1, 1, &with_phone(1));
    world.pass(MINUTE * 4);
    world.asked.clear();
    world.hold(0, 1, &Lookup::Number(number(1)));
    world.pass(MINUTE * 5);
    assert!(world.evaluations(0, 1).is_empty());
    let answer = world.put_to(1, 0, question(&world, 4));
    assert_eq!(answer, Response::Refused);
    assert_eq!(world.count(1, "evaluations"), 0);
}

/// A question of `count` points to the second node.
fn question(world: &World, count: usize) -> Request {
    let member = world.peers[0].node().membership.node(&world.id(1)).unwrap();
    let (key_id, public) = member.oblivious[0];
    Request::Evaluate { key_id, blinded: vec![public; count] }
}

#[test]
fn the_ration_ends_after_its_burst_and_comes_back_with_time() {
    let mut world = pair();
    let granted = |world: &mut World| {
        (0..8).filter(|_| matches!(world.put_to(1, 0, question(world, 16)), Response::Evaluated { .. })).count()
    };
    assert_eq!(granted(&mut world), 3, "48 of 60");
    world.now = world.now.after(Duration::from_secs(16));
    assert_eq!(granted(&mut world), 1);
    for count in [0, 17] {
        assert_eq!(world.put_to(1, 0, question(&world, count)), Response::Refused);
    }
}

#[test]
fn answers_are_of_one_length_whoever_is_registered() {
    let mut world = pair();
    let ask = |world: &mut World, n| {
        let blinded = world.run(0, |node, tx| Ok(crate::locator::oblivious::blind(node, tx, &[number(n)])));
        let Request::Evaluate { key_id, .. } = question(world, 1) else { unreachable!() };
        match world.put_to(1, 0, Request::Evaluate { key_id, blinded: vec![blinded[0].1] }) {
            Response::Evaluated { evaluated, proof } => (evaluated.len(), proof.len()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&mut world, 1), ask(&mut world, 2));
}

/// A partner whose filter knew one in ten of 200 numbers that nobody has.
#[test]
fn a_filter_that_claims_too_many_numbers_is_ignored_costs_its_author_its_standing_and_is_not_forgotten() {
    let mut world = pair();
    world.hold(0, 1, &Lookup::Number(number(1)));
    world.pass(MINUTE);
    let partner = world.id(1);
    assert_eq!(candidates(&mut world, 0, &Lookup::Number(number(1))).len(), 1);
    assert_eq!(world.peers[0].node().delivery.score(&partner), 0);
    let hits: Vec<bool> = (0..200).map(|n| n % 10 == 0).collect();
    let forfeited = world.run(0, |node, tx| {
        crate::locator::audit::sampled(node, tx, partner, &hits)?;
        let of_it = |change: &&crate::node::Change| {
            matches!(change, crate::node::Change::Delivery(crate::delivery::Change::Forfeited(of)) if *of == partner)
        };
        Ok(tx.effects.then.iter().filter(of_it).count())
    });
    assert_eq!(forfeited, 1);
    for _ in 0..2 {
        world.restart(0);
        world.pass(MINUTE);
        let node = world.peers[0].node();
        assert!(node.locator.audits.distrusts(&partner));
        assert_eq!(node.delivery.score(&partner), -100);
        assert_eq!(candidates(&mut world, 0, &Lookup::Number(number(1))), []);
    }
}

#[test]
fn an_honest_filter_is_audited_and_believed() {
    let mut world = pair();
    // Padding and the audit timer sample the partner's filter.
    world.pass(Duration::from_secs(86_400));
    let audits = &world.peers[0].node().locator.audits;
    let samples = audits.samples(&world.id(1));
    assert!(samples >= 200, "{samples}");
    assert!(!audits.distrusts(&world.id(1)));
    assert_eq!(world.peers[0].node().delivery.score(&world.id(1)), 0);
    world.restart(0);
    let restored = world.peers[0].node().locator.audits.samples(&world.id(1));
    assert!(restored + 16 > samples, "{restored} of {samples}");
}

#[test]
fn a_bridge_number_goes_to_its_home_and_a_first_contact_to_the_static_key() {
    let mut world = World::partners(&["alpha", "beta"]);
    world.settle_person(1, 1, &Routing { bridge: Some(number(1)), ..Routing::default() });
    world.pass(MINUTE * 4);
    let lookup = Lookup::Bridge { number: number(1), kid: None };
    world.hold(0, 1, &lookup);
    world.pass(MINUTE);
    assert_eq!(candidates(&mut world, 0, &lookup).len(), 1);
    assert!(candidates(&mut world, 0, &Lookup::Number(number(1))).is_empty(), "as an account's it is another tag");
    let unknown = |kid| Lookup::Bridge { number: number(2), kid };
    assert!(candidates(&mut world, 0, &unknown(None)).is_empty());
    assert!(candidates(&mut world, 0, &unknown(Some(9))).is_empty(), "nobody has that key");
}

#[test]
fn a_first_contact_goes_to_the_bridge_with_the_static_key() {
    let mut world = World::partners(&["alpha", "beta"]);
    world.peers[1].keyring.statics.push((9, Secret32::from_bytes([3; 32])));
    world.restart(1);
    world.pass(MINUTE * 4);
    let contact = |kid| Lookup::Bridge { number: number(2), kid: Some(kid) };
    let beta = Candidate { node: world.id(1), tag: None };
    assert_eq!(candidates(&mut world, 0, &contact(9)), [beta]);
    assert_eq!(candidates(&mut world, 1, &contact(9)), [beta]);
    assert!(candidates(&mut world, 0, &contact(8)).is_empty());
}

#[test]
fn a_restart_does_not_refill_the_ration() {
    let mut world = pair();
    let ask = |world: &mut World| matches!(world.put_to(1, 0, question(world, 16)), Response::Evaluated { .. });
    for _ in 0..7 {
        assert!(ask(&mut world));
        world.now = world.now.after(Duration::from_secs(16));
    }
    world.restart(1);
    assert!(!ask(&mut world), "a full burst would be a gift");
    world.now = world.now.after(Duration::from_secs(17));
    assert!(ask(&mut world));
}

#[test]
fn a_new_oblivious_key_names_everybody_anew() {
    let mut world = pair();
    world.run(1, |node, tx| {
        let mut entity = Entity::create(node, tx)?;
        let account = Account {
            phone: Some(number(3)),
            email: None,
            eid: String::new(),
            country: None,
            password: None,
            language: Language::EN,
            device: None,
            retired: Vec::new(),
            limiter: PasswordLimiter::default(),
            created: Timestamp(1),
        };
        entity.put(node, tx, ACCOUNT, b"", &account)?;
        add_entity(node, tx, entity.id, &with_phone(3))
    });
    let now = world.now;
    world.peers[1].keyring.oblivious.insert(0, (Secret32::from_bytes([8; 32]), now));
    world.restart(1);
    world.pass(MINUTE * 2);
    let node = world.peers[1].node();
    let tags = own_tags(node, &number(3), Purpose::Phone);
    assert_eq!(tags.len(), 2);
    assert!(tags.iter().all(|(_, tag)| node.locator.own.holds_number(filter_key(tag, &node.id()))));
    // Person 1 has no record to read the number from: the old tag stays, and no new one is made.
    let tags = own_tags(node, &number(1), Purpose::Phone);
    let held = |tag| node.locator.own.holds_number(filter_key(tag, &node.id()));
    assert_eq!(tags.iter().map(|(_, tag)| held(tag)).collect::<Vec<_>>(), [false, true]);
    for (key_id, tag) in own_tags(node, &number(3), Purpose::Phone) {
        let value = [key_id.to_be_bytes().as_slice(), tag.as_bytes()].concat();
        assert!(world.run(1, |node, tx| index::find(node, tx, Kind::NumberTag, &value)).is_some());
    }
}
