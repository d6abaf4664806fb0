//! Whatever dies between home and ingress, the ingress hears within seconds of the next link how its message ended, and the
//! sender is told once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use relaymesh_core::command::{MessageOutcome, Reply, Submitted};
use relaymesh_core::record::key;

use crate::world::{Fate, Frame, Person, PlatformMood, World};
use crate::{NUMBER, carry, minutes, three};

/// An ingress knows the outcome within this, once there is a link again.
const SOON_MS: u64 = 5_000;
/// A message is through after this: kills fall into it, one at each moment.
const PATH_MS: u64 = 150;
/// Between two of these moments. `RELAYMESH_KILL_STEP_MS` says another.
const STEP_MS: usize = 2;

fn step() -> usize {
    std::env::var("RELAYMESH_KILL_STEP_MS").ok().and_then(|step| step.parse().ok()).unwrap_or(STEP_MS)
}

fn outcome(world: &mut World, node: usize, person: &Person, sms: &str) -> Option<MessageOutcome> {
    match world.ask(node, person.submit(sms)) {
        Reply::Submitted(Submitted::Accepted { outcome, .. }) => outcome,
        other => panic!("{other:?}"),
    }
}

/// Different SMS to a number that tell of a publication.
fn told(world: &World, number: &str) -> usize {
    let sms = world.sms.iter().zip(&world.sms_ids);
    let of = sms.filter(|((to, text), _)| to == number && text.contains("RelaySMS :"));
    of.map(|(_, id)| id).collect::<BTreeSet<_>>().len()
}

/// Somebody whose account, at `c`, has no number: only the ingress can tell how a message ended.
fn numberless(world: &mut World, c: usize) -> Person {
    let person = Person::sign_up_by_mail(world, c, "ada@example.org", NUMBER, 11);
    world.run_for(minutes(3));
    person
}

/// Envelopes from `from` to `to` are lost while this says so.
fn losing(world: &mut World, from: usize, to: usize) -> Rc<RefCell<bool>> {
    let losing = Rc::new(RefCell::new(true));
    let says = losing.clone();
    world.tap(move |a, b, frame| {
        let hit = (a, b) == (from, to) && matches!(frame, Frame::Envelope(_)) && *says.borrow();
        if hit { Fate::Lose } else { Fate::Pass }
    });
    losing
}

fn owes_receipts(world: &World, node: usize) -> bool {
    world.nodes[node].disk.0.keys().any(|row| row[0] == key::RECEIPT)
}

#[test]
fn an_outcome_that_died_with_its_home_is_said_again() {
    let (mut world, a, _, c) = three();
    let mut person = numberless(&mut world, c);
    world.mood = PlatformMood::Down;
    let sms = person.compose("said again", true);
    person.send(&mut world, a, &sms);
    world.run_for(1_000);
    let losing = losing(&mut world, c, a);
    world.mood = PlatformMood::Fine;
    while world.count("said again") == 0 {
        world.run_for(100);
    }
    world.run_for(200);
    assert!(owes_receipts(&world, c));
    world.kill(c);
    *losing.borrow_mut() = false;
    world.run_for(minutes(30));
    assert_eq!(outcome(&mut world, a, &person, &sms), None, "the home died with it");
    world.restart(c);
    world.run_for(SOON_MS);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
    assert_eq!(told(&world, NUMBER), 1);
    assert!(!owes_receipts(&world, c), "what was heard is not kept");
}

#[test]
fn an_outcome_that_was_lost_on_a_link_that_stays_is_said_again() {
    let (mut world, a, _, c) = three();
    let mut person = numberless(&mut world, c);
    let losing = losing(&mut world, c, a);
    let sms = person.compose("lost frame", true);
    person.send(&mut world, a, &sms);
    world.run_for(9_000);
    *losing.borrow_mut() = false;
    // A frame counts as lost after ten seconds.
    world.run_for(2_000 + SOON_MS);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
    assert_eq!(told(&world, NUMBER), 1);
}

/// A disk slower than the time for which receipts wait for company: some begin to wait when the letter has just left.
#[test]
fn receipts_of_a_home_with_a_slow_disk_do_not_stay() {
    let (mut world, a, _, c) = three();
    let mut person = numberless(&mut world, c);
    world.fsync_ms = 20;
    let sms: Vec<String> = (0..12).map(|n| person.compose(&format!("slow {n}"), true)).collect();
    for sms in &sms {
        person.send(&mut world, a, sms);
    }
    world.run_for(SOON_MS);
    for sms in &sms {
        assert_eq!(outcome(&mut world, a, &person, sms), Some(MessageOutcome::Published));
    }
}

#[test]
fn an_ingress_that_was_away_hears_when_it_is_back() {
    let (mut world, a, _, c) = three();
    let mut person = numberless(&mut world, c);
    world.mood = PlatformMood::Down;
    let sms = person.compose("away", true);
    person.send(&mut world, a, &sms);
    world.run_for(1_000);
    world.kill(a);
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(3 * 24 * 60));
    assert_eq!(world.count("away"), 1);
    world.restart(a);
    world.run_for(SOON_MS);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
    world.run_for(minutes(60));
    assert_eq!(told(&world, NUMBER), 1);
}

/// Kills one of the nodes at each moment of a message's way.
fn killed_at_each_moment(pick: impl Fn(usize, usize) -> Vec<usize>) {
    let (mut world, a, _, c) = three();
    let mut person = numberless(&mut world, c);
    for (n, at) in (0..PATH_MS).step_by(step()).enumerate() {
        let text = format!("killed after {at} ms");
        let sms = person.compose(&text, true);
        person.send(&mut world, a, &sms);
        world.run_for(at);
        let killed = pick(a, c);
        killed.iter().for_each(|node| world.kill(*node));
        world.run_for(1_000);
        killed.iter().for_each(|node| world.restart(*node));
        world.run_for(SOON_MS);
        assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published), "{text}");
        assert_eq!((world.count(&text), told(&world, NUMBER)), (1, n + 1), "{text}");
    }
    assert!(!owes_receipts(&world, c));
}

#[test]
fn a_home_may_die_at_any_moment() {
    killed_at_each_moment(|_, c| vec![c]);
}

#[test]
fn an_ingress_may_die_at_any_moment() {
    killed_at_each_moment(|a, _| vec![a]);
}

#[test]
fn both_may_die_at_any_moment() {
    killed_at_each_moment(|a, c| vec![a, c]);
}

#[test]
fn an_ingress_that_is_the_home_may_die_at_any_moment() {
    let (mut world, _, _, c) = three();
    let mut person = numberless(&mut world, c);
    for (n, at) in (0..PATH_MS).step_by(step()).enumerate() {
        let sms = person.compose(&format!("local {at}"), true);
        person.send(&mut world, c, &sms);
        world.run_for(at);
        world.kill(c);
        world.restart(c);
        world.run_for(SOON_MS);
        assert_eq!(outcome(&mut world, c, &person, &sms), Some(MessageOutcome::Published), "{at} ms");
        assert_eq!(told(&world, NUMBER), n + 1, "{at} ms");
    }
    assert!(!owes_receipts(&world, c));
}

#[test]
fn everybody_who_brought_a_message_hears_how_it_ended_and_the_sender_is_told_once() {
    let (mut world, a, b, c) = three();
    let mut person = numberless(&mut world, c);
    world.mood = PlatformMood::Down;
    let sms = person.compose("through two", true);
    person.send(&mut world, a, &sms);
    world.run_for(1_000);
    person.send(&mut world, b, &sms);
    world.run_for(1_000);
    world.mood = PlatformMood::Fine;
    while world.count("through two") == 0 {
        world.run_for(100);
    }
    world.run_for(1_000);
    for node in [a, b] {
        assert_eq!(outcome(&mut world, node, &person, &sms), Some(MessageOutcome::Published), "node {node}");
    }
    world.run_for(minutes(60));
    assert_eq!(told(&world, NUMBER), 1);
}

#[test]
fn an_outcome_travels_by_hand_when_there_is_no_link_for_days() {
    let (mut world, a, b, c) = three();
    let mut person = numberless(&mut world, c);
    for (x, y) in [(a, b), (a, c), (b, c)] {
        world.cut(x, y);
    }
    world.mood = PlatformMood::Down;
    let sms = person.compose("by stick", true);
    person.send(&mut world, a, &sms);
    for _ in 0..2 {
        carry(&mut world, a, c);
        world.run_for(minutes(1));
        carry(&mut world, c, a);
        world.run_for(minutes(1));
    }
    assert_eq!(world.count("by stick"), 0);
    world.mood = PlatformMood::Fine;
    while world.count("by stick") == 0 {
        world.run_for(100);
    }
    world.run_for(40);
    world.kill(c);
    world.restart(c);
    world.run_for(minutes(3 * 24 * 60));
    carry(&mut world, c, a);
    world.run_for(minutes(1));
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
    carry(&mut world, c, a);
    world.heal(a, c);
    world.run_for(minutes(60));
    assert_eq!(told(&world, NUMBER), 1);
    assert!(!owes_receipts(&world, c));
}

#[test]
fn a_dead_ingress_costs_a_home_one_copy_in_custody() {
    let (mut world, a, b, c) = three();
    let mut person = numberless(&mut world, c);
    world.mood = PlatformMood::Down;
    let sms = person.compose("to nobody", true);
    person.send(&mut world, a, &sms);
    world.run_for(1_000);
    world.kill(a);
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(10));
    let copies = |world: &World| world.nodes[c].disk.0.keys().filter(|row| row[0] == key::CUSTODY).count();
    assert_eq!(copies(&world), 1);
    for _ in 0..5 {
        world.cut(b, c);
        world.kill(c);
        world.restart(c);
        world.heal(b, c);
        world.run_for(minutes(60));
    }
    assert_eq!(copies(&world), 1);
}
