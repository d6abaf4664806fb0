//! Members that send as much as they can, and take nothing back.

use relaymesh_core::delivery::{Body, Cargo, Route, Submission};
use relaymesh_core::record::key;
use relaymesh_protocol::frame::Carried;
use relaymesh_protocol::ids::{DeviceId, MessageId};

use crate::world::{Fate, Frame, World, letter};
use crate::{counter, minutes, three};

/// As `PEER_BURST`, `PEER_PER_SECOND` and `OWN_PER_RECIPIENT_MAX` of the core.
const BURST: u64 = 4_000;
const PER_SECOND: u64 = 2_000;
const OWN_LETTERS: usize = 256;

fn custody(world: &World, node: usize) -> usize {
    world.nodes[node].disk.0.keys().filter(|row| row[0] == key::CUSTODY).count()
}

/// From now on no envelope that `from` sends arrives at `to`.
fn silence(world: &mut World, from: usize, to: usize) {
    world.tap(move |sender, target, frame| match frame {
        Frame::Envelope(_) if (sender, target) == (from, to) => Fate::Lose,
        _ => Fate::Pass,
    });
}

#[test]
fn a_flood_of_envelopes_is_asked_to_wait_and_others_are_not() {
    let (mut world, a, hostile, c) = three();
    world.run_for(minutes(1));
    let junk = || Carried { envelope: vec![1; 16], hops: 0, copies: 0 };
    for _ in 0..BURST + 500 {
        world.deliver(hostile, c, junk());
    }
    world.run_for(100);
    assert_eq!(counter(&world, c, "envelope_malformed"), BURST);
    assert_eq!(counter(&world, c, "envelope_over_quota"), 500);
    let opened = counter(&world, c, "envelope_opened");
    let ping = letter(&world, a, c, &Body::Ping { nonce: 1 }, 1);
    world.deliver(a, c, ping);
    world.run_for(1_000);
    assert_eq!(counter(&world, c, "envelope_opened"), opened + 1);
    for _ in 0..BURST {
        world.deliver(hostile, c, junk());
    }
    world.run_for(100);
    let again = counter(&world, c, "envelope_malformed") - BURST;
    assert!((PER_SECOND..=PER_SECOND * 5 / 4).contains(&again), "{again} in a second");
}

#[test]
fn declines_that_nobody_takes_are_not_kept() {
    let (mut world, hostile, _, c) = three();
    silence(&mut world, c, hostile);
    let declined = counter(&world, c, "submission_declined");
    for n in 0..100 {
        let submission = Submission {
            message: MessageId([n; 32]),
            cargo: Cargo::Whole { payload: vec![n; 200], image: None },
            session: 0,
            route: Route::Device(DeviceId([n; 32])),
            received: world.now,
            date: None,
            date_sent: None,
            gateway: None,
            trusted: true,
        };
        let submission = letter(&world, hostile, c, &Body::Submission(Box::new(submission)), n.into());
        world.deliver(hostile, c, submission);
    }
    world.run_for(minutes(1));
    assert_eq!(counter(&world, c, "submission_declined"), declined + 100);
    assert_eq!(custody(&world, c), 0);
}

#[test]
fn answers_that_nobody_takes_are_kept_up_to_a_number_and_the_oldest_go() {
    let (mut world, hostile, _, c) = three();
    silence(&mut world, c, hostile);
    for nonce in 0..OWN_LETTERS as u64 + 44 {
        let ping = letter(&world, hostile, c, &Body::Ping { nonce }, nonce);
        world.deliver(hostile, c, ping);
        world.run_for(50);
    }
    world.run_for(minutes(1));
    assert_eq!((custody(&world, c), counter(&world, c, "letter_evicted")), (OWN_LETTERS, 44));
    world.untap();
    world.run_for(minutes(60));
    assert_eq!(custody(&world, c), 0, "they arrive when they are taken");
}
