use proptest::prelude::*;
use relaymesh_protocol::frame::{Carried, Taken};
use relaymesh_protocol::ids::{EnvelopeId, NodeId};

use super::super::places::Throttle;
use super::super::{Bootstrap, Options};
use super::*;
use crate::outcome::System;
use crate::scenario::{Scenario, Share};

fn line(bits: u64) -> Line {
    Line::new(BitRate::new(bits).unwrap())
}

#[test]
fn a_line_is_first_in_first_out_and_idle_time_is_not_saved_up() {
    let (mut line, patience) = (line(20_000), Span::secs(10));
    let at = |seconds: u64| Time(Span::secs(seconds).0);
    assert_eq!(line.pass(at(100), 2_500, patience), Some(Span::secs(1)));
    assert_eq!(line.pass(at(100), 5_000, patience), Some(Span::secs(3)), "behind the first");
    assert_eq!(line.pass(at(102), 1, patience), Some(Span(1_000_400)), "behind what is left of the second");
    assert_eq!(line.pass(at(900), 2_500, patience), Some(Span::secs(1)), "long after: at once");
}

#[test]
fn what_would_wait_too_long_for_its_turn_is_dropped_and_occupies_nothing() {
    let (mut line, patience) = (line(20_000), Span::secs(10));
    let at = |seconds: u64| Time(Span::secs(seconds).0);
    assert_eq!(line.pass(at(0), 27_500, patience), Some(Span::secs(11)), "its turn comes at once, however long it is");
    assert_eq!(line.pass(at(0), 1, patience), None, "it would wait for 11 s");
    assert_eq!(
        line.pass(at(0), 2_500, Span::secs(11)),
        Some(Span::secs(12)),
        "nothing was occupied by the dropped one"
    );
    assert_eq!(line.pass(at(1), 2_500, patience), None);
    assert_eq!(line.pass(at(2), 2_500, patience), Some(Span::secs(11)));
}

proptest! {
    /// Whatever comes, in whatever order: it leaves in the order in which it came, no faster than the rate, and what waits is no
    /// more than patience allows and one frame.
    #[test]
    fn the_queue_of_a_line_is_bounded(frames in proptest::collection::vec((0_u64..3_000_000, 1_u64..20_000), 1..200)) {
        let (mut line, patience, rate) = (line(20_000), Span::secs(10), BitRate::new(20_000).unwrap());
        let (mut now, mut last) = (Time::ZERO, Time::ZERO);
        for (pause, bytes) in frames {
            now = now.after(Span(pause));
            let Some(through) = line.pass(now, bytes, patience) else {
                prop_assert!(last.since(now) > patience, "dropped although there was room");
                continue;
            };
            let leaves = now.after(through);
            prop_assert_eq!(leaves, last.max(now).after(rate.time(bytes)));
            prop_assert!(through.0 <= patience.0 + rate.time(bytes).0);
            last = leaves;
        }
    }
}

#[test]
fn frames_have_the_bytes_that_the_mesh_sends() {
    // "Noted": a head and five letters.
    assert_eq!(cbor(&Response::Noted), 6);
    // map(1), "Envelopes", array(1), map(3), three keys, 300 bytes and two small numbers
    assert_eq!(cbor(&Request::Envelopes(vec![letter(300)])), 1 + 10 + 1 + 1 + (9 + 303) + (5 + 1) + (7 + 1));
    let carry = Frame::Carry { from: 0, boot: 1, to: 1, envelope: EnvelopeId([1; 16]), carried: letter(300) };
    assert_eq!(bytes(&carry), 274 + 339);
    // map(1), "Envelopes", array(1), "Yes"
    let taken = Input::Carried { to: NodeId([1; 32]), envelope: EnvelopeId([1; 16]), taken: Ok(Taken::Yes) };
    assert_eq!(bytes(&Frame::Answer { from: 1, to: 0, boot: 1, input: taken }), 274 + 1 + 10 + 1 + 4);
}

fn letter(len: usize) -> Carried {
    Carried { envelope: vec![0; len], hops: 1, copies: 2 }
}

/// A small country whose links neither lose nor vary: between nodes abroad a frame takes 90 ms.
fn steady() -> Scenario {
    let mut scenario: Scenario = toml::from_str(include_str!("../../../tests/data/small.toml")).unwrap();
    (scenario.links.sigma, scenario.links.loss) = (0.0, Share(0.0));
    scenario
}

/// A world after half an hour in which the first two nodes, both abroad, are connected.
fn in_midst(scenario: &Scenario) -> World<'_> {
    let bootstrap = Bootstrap::new(scenario).unwrap();
    let mut world = World::new(scenario, &bootstrap, 1, System::Mesh, Options::default()).unwrap();
    world.advance(Time(Span::secs(1_800).0));
    let first = carry(&mut world, 100);
    follow(&mut world, first);
    world
}

fn throttle(world: &mut World<'_>, node: u16, bits: u64) {
    let throttle = Throttle { loss: 0.0, latency: Span::ZERO, line: Some(line(bits)) };
    world.spot(Target::Node(node)).unwrap().throttle = Some(throttle);
}

/// The first node hands an envelope of so many bytes to the second.
fn carry(world: &mut World<'_>, len: usize) -> EnvelopeId {
    let (envelope, to) = (EnvelopeId([u8::try_from(len % 251).unwrap(); 16]), world.nodes[1].id);
    world.carry(0, to, envelope, letter(len));
    envelope
}

/// How long an envelope flies from now on.
fn follow(world: &mut World<'_>, which: EnvelopeId) -> Span {
    let begun = world.now;
    let flies = |world: &World<'_>| {
        let mut frames = world.frames.iter();
        frames.any(|(_, flying)| matches!(&flying.frame, Frame::Carry { envelope, .. } if *envelope == which))
    };
    while flies(world) {
        let next = world.next_event().unwrap();
        world.advance(next);
    }
    world.now.since(begun)
}

/// When the sender hears what became of an envelope, and whether that its time is over.
fn heard(world: &mut World<'_>, which: EnvelopeId) -> (Span, bool) {
    let begun = world.now;
    let waits = |world: &World<'_>| {
        let mut inputs = world.inputs.iter().filter_map(|(_, due)| match &due.input {
            Input::Carried { envelope, taken, .. } if *envelope == which => Some(*taken == Err(LinkError::TimedOut)),
            _ => None,
        });
        inputs.next()
    };
    let late = waits(world).unwrap();
    while waits(world).is_some() {
        let next = world.next_event().unwrap();
        world.advance(next);
    }
    (world.now.since(begun), late)
}

/// 274 bytes of the wire and 39 of CBOR, in microseconds at 20 kbit/s.
const AROUND: u64 = (274 + 39) * 8 * 50;

#[test]
fn a_large_envelope_takes_what_its_line_takes() {
    let scenario = steady();
    let mut world = in_midst(&scenario);
    let large = carry(&mut world, 20_000);
    assert_eq!(follow(&mut world, large), Span::millis(90), "nothing is slow yet");
    throttle(&mut world, 0, 20_000);
    let large = carry(&mut world, 20_000);
    let next = carry(&mut world, 300);
    let alone = AROUND + 8_000_000;
    assert_eq!(follow(&mut world, large), Span(alone + 90_000), "20,313 bytes at 20 kbit/s, then the way");
    assert_eq!(follow(&mut world, next), Span(AROUND + 120_000), "the short one behind it");
}

#[test]
fn a_new_connection_is_on_the_line_as_well() {
    let scenario = steady();
    let mut world = in_midst(&scenario);
    let mut first = |rate: Option<u64>| {
        (0..2).for_each(|node| world.nodes[node].links.clear());
        rate.into_iter().for_each(|rate| throttle(&mut world, 0, rate));
        let first = carry(&mut world, 300);
        follow(&mut world, first)
    };
    let ways = first(None);
    assert!(ways > Span::millis(400), "five of them: {ways:?}");
    let bytes = 4_388 + 274 + 39 + 300;
    assert_eq!(first(Some(200_000)), Span(ways.0 + bytes * 8 * 5));
}

#[test]
fn a_frame_goes_through_the_lines_of_both_ends_one_after_the_other() {
    let scenario = steady();
    let mut world = in_midst(&scenario);
    throttle(&mut world, 0, 20_000);
    throttle(&mut world, 1, 40_000);
    let large = carry(&mut world, 10_000);
    let near = AROUND + 4_000_000;
    assert_eq!(follow(&mut world, large), Span(near + 90_000 + near / 2));
}

#[test]
fn a_frame_whose_way_is_longer_than_the_timeout_is_given_up_then() {
    let scenario = steady();
    let mut world = in_midst(&scenario);
    throttle(&mut world, 0, 20_000);
    let large = carry(&mut world, 30_000);
    assert_eq!(follow(&mut world, large), Span::ZERO, "it never arrives");
    assert_eq!(heard(&mut world, large), (scenario.links.timeout, true));
    // At the far end it is known later, and heard at the same time.
    throttle(&mut world, 0, 20_000);
    throttle(&mut world, 1, 20_000);
    let large = carry(&mut world, 15_000);
    let gone = follow(&mut world, large);
    assert_eq!(gone, Span(AROUND + 6_000_000 + 90_000), "it came to the far line");
    assert_eq!(heard(&mut world, large), (Span(scenario.links.timeout.0 - gone.0), true));
}

#[test]
fn what_stands_beside_each_other_needs_no_line() {
    let scenario = steady();
    let mut world = in_midst(&scenario);
    throttle(&mut world, 0, 20_000);
    world.nodes[1].spot.site = world.nodes[0].spot.site;
    let large = carry(&mut world, 20_000);
    assert_eq!(follow(&mut world, large), Span::millis(1));
}

#[test]
fn a_post_on_a_line_is_still_at_its_gateway_client_when_copies_are_counted() {
    let scenario = steady();
    let bootstrap = Bootstrap::new(&scenario).unwrap();
    for system in [System::Mesh, System::Upstream] {
        let mut world = World::new(&scenario, &bootstrap, 1, system, Options::default()).unwrap();
        for gateway in &mut world.gateways {
            let line = Some(line(20_000));
            gateway.spot.throttle = Some(Throttle { loss: 0.0, latency: Span::ZERO, line });
        }
        let posted = |world: &World<'_>| {
            let mut frames = world.frames.iter();
            frames.any(|(_, flying)| matches!(flying.frame, Frame::Post { .. } | Frame::Central { .. }))
        };
        while !posted(&world) {
            let next = world.next_event().unwrap();
            world.advance(next);
        }
        world.check_midnight();
        assert!(world.violations.is_empty(), "{system:?}: {:?}", world.violations);
    }
}
