//! Receipts that are not true: whatever is said, the ingress keeps its copy until the acceptance proves itself.

use std::cell::RefCell;
use std::rc::Rc;

use relaymesh_core::command::{FailureClass, MessageOutcome, Reply, Submitted};
use relaymesh_core::delivery::{Body, Receipt};
use relaymesh_protocol::frame::{Carried, Taken};
use relaymesh_protocol::ids::{MessageId, NodeId};

use crate::members::suspects;
use crate::world::{Fate, Frame, Mind, Person, PlatformMood, Sim, World, letter, letter_bytes, open};
use crate::{NUMBER, counter, minutes, status, three};

/// Takes every envelope and does nothing.
pub struct Swallows;

impl Mind for Swallows {
    fn envelope(&mut self, _: &Sim, _: NodeId, _: &Carried) -> (Taken, Vec<(NodeId, Carried)>) {
        (Taken::Yes, Vec::new())
    }
}

type Heard = Rc<RefCell<Vec<Receipt>>>;

/// Receipts from `c` to `a` are read, and lost while `lose` says so.
fn intercept(world: &mut World, a: usize, c: usize, lose: Rc<RefCell<bool>>) -> Heard {
    let heard = Heard::default();
    let (into, keys) = (heard.clone(), world.nodes[a].keyring.clone());
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (c, a), frame)
            && let Some((_, Body::Receipts(receipts))) = open(&keys, carried)
        {
            into.borrow_mut().extend(receipts);
            if *lose.borrow() {
                return Fate::Lose;
            }
        }
        Fate::Pass
    });
    heard
}

fn acceptance(heard: &Heard, of: MessageId) -> ([u8; 32], [u8; 32]) {
    let heard = heard.borrow();
    let found = heard.iter().find_map(|receipt| match receipt {
        Receipt::Accepted { message, auth_key, ad } if *message == of => Some((*auth_key, *ad)),
        _ => None,
    });
    found.expect("the home accepted it")
}

fn say(world: &mut World, from: usize, to: usize, receipt: Receipt, seed: u64) {
    let carried = letter(world, from, to, &Body::Receipts(vec![receipt]), seed);
    world.deliver(from, to, carried);
    world.run_for(500);
}

fn outcome(world: &mut World, node: usize, person: &Person, sms: &str) -> Option<MessageOutcome> {
    match world.ask(node, person.submit(sms)) {
        Reply::Submitted(Submitted::Accepted { outcome, .. }) => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_false_acceptance_makes_an_ingress_drop_a_message() {
    let (mut world, a, b, c) = three();
    let d = world.add("d", 4);
    world.join(a, d);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    // b becomes a candidate by claiming the person; d is a member without a leg.
    suspects(&mut world, a, b, &[person.device]);
    world.seize(b, Swallows);
    let lose = Rc::new(RefCell::new(false));
    let heard = intercept(&mut world, a, c, lose.clone());

    let earlier = person.compose("earlier", true);
    let earlier = person.send(&mut world, a, &earlier);
    world.run_for(minutes(1));
    let (other_key, ad) = acceptance(&heard, earlier);

    *lose.borrow_mut() = true;
    let sms = person.compose("kept", true);
    let message = person.send(&mut world, a, &sms);
    world.run_for(5_000);
    let (right, _) = acceptance(&heard, message);
    assert_eq!(status(&mut world, a).held, 1);

    let accepted = |auth_key, ad| Receipt::Accepted { message, auth_key, ad };
    let (mut near, mut wrong_ad) = (right, ad);
    near[31] ^= 1;
    wrong_ad[0] ^= 0x80;
    let lies = [
        accepted([0; 32], ad),
        accepted(other_key, ad),
        accepted(near, ad),
        accepted(right, wrong_ad),
        accepted(ad, right),
        Receipt::Done { message, outcome: MessageOutcome::Published, tell: Some("all well".to_owned()) },
        Receipt::Done { message, outcome: MessageOutcome::Failed(FailureClass::Platform), tell: None },
        Receipt::Declined { message },
    ];
    let unproven = counter(&world, a, "acceptance_unproven");
    let told = world.sms.len();
    for (n, lie) in lies.into_iter().enumerate() {
        say(&mut world, b, a, lie, 100 + n as u64);
        assert_eq!(status(&mut world, a).held, 1, "lie {n}");
    }
    assert!(counter(&world, a, "acceptance_unproven") >= unproven + 5);
    // The very proof, from a member that was never asked.
    say(&mut world, d, a, accepted(right, ad), 200);
    assert_eq!(status(&mut world, a).held, 1);
    // The very proof, cut short or with more behind it.
    let whole = Body::Receipts(vec![accepted(right, ad)]).encode();
    for (n, cut) in [whole.len() - 1, whole.len() - 32, 3].into_iter().enumerate() {
        let carried = letter_bytes(&world.nodes[b].keyring, &world.nodes[a], world.now, &whole[..cut], 300 + n as u64);
        world.deliver(b, a, carried);
    }
    let longer = [whole, vec![0]].concat();
    let carried = letter_bytes(&world.nodes[b].keyring, &world.nodes[a], world.now, &longer, 310);
    world.deliver(b, a, carried);
    world.run_for(500);
    assert_eq!(status(&mut world, a).held, 1);
    assert_eq!(outcome(&mut world, a, &person, &sms), None, "duplicates hear of no outcome");
    assert_eq!(world.sms.len(), told, "and nobody was told anything");

    *lose.borrow_mut() = false;
    world.run_for(minutes(40));
    assert_eq!(status(&mut world, a).held, 0, "the home's own receipt counts");
    assert_eq!(world.count("kept"), 1);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
}

#[test]
fn an_outcome_counts_only_from_the_node_that_proved_its_acceptance() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    suspects(&mut world, a, b, &[person.device]);
    world.seize(b, Swallows);
    world.mood = PlatformMood::Down;
    let sms = person.compose("later", true);
    let message = person.send(&mut world, a, &sms);
    world.run_for(5_000);
    assert_eq!(status(&mut world, a).held, 0, "accepted, not yet published");
    for (n, claimed) in
        [MessageOutcome::Published, MessageOutcome::Uncertain, MessageOutcome::Pending].iter().enumerate()
    {
        let done = Receipt::Done { message, outcome: *claimed, tell: Some("lie".to_owned()) };
        say(&mut world, b, a, done, 400 + n as u64);
        assert_eq!(outcome(&mut world, a, &person, &sms), None);
    }
    // The home itself cannot say that it ended without end.
    let pending = Receipt::Done { message, outcome: MessageOutcome::Pending, tell: None };
    say(&mut world, c, a, pending, 500);
    assert_eq!(outcome(&mut world, a, &person, &sms), None);
    assert!(!world.sms.iter().any(|(_, text)| text == "lie"));
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(20));
    assert_eq!(world.count("later"), 1);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
}

/// What a home has its ingress tell people is as long as what another node may ask it to send.
#[test]
fn a_home_has_nobody_told_more_than_four_sms() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.mood = PlatformMood::Down;
    for (n, len, told) in [(0, 612, 1), (1, 613, 0), (2, 60_000, 0)] {
        let sms = person.compose(&format!("owed {n}"), true);
        let message = person.send(&mut world, a, &sms);
        world.run_for(5_000);
        assert_eq!(status(&mut world, a).held, 0, "accepted, not yet published");
        let text = "x".repeat(len);
        let done = Receipt::Done { message, outcome: MessageOutcome::Published, tell: Some(text.clone()) };
        say(&mut world, c, a, done, 600 + n);
        world.run_for(5_000);
        assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published), "{len} bytes: it counts");
        assert_eq!(world.sms.iter().filter(|(_, sent)| *sent == text).count(), told, "{len} bytes");
        assert!(world.sms.iter().all(|(_, sent)| sent.len() <= 612), "nor is a part of it");
    }
}
