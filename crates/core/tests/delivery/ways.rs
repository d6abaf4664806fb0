//! Messages that wait go at once when their home can be found, or written to, at last.

use relaymesh_protocol::frame::Taken;

use crate::world::{Fate, Frame, Person, World};
use crate::{NUMBER, minutes, three};

#[test]
fn a_number_payload_that_waited_for_a_partner_is_published_as_soon_as_both_sides_have_federated() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("no device", false);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(300));
    assert_eq!(world.count("no device"), 0, "a stranger may not ask about numbers");
    world.federate(a, c);
    world.run_for(5_000);
    assert_eq!(world.count("no device"), 1);
}

#[test]
fn a_crowd_of_new_members_wakes_what_waits_only_now_and_then() {
    let (mut world, a, ..) = three();
    world.run_for(minutes(1));
    let looks = |world: &World| world.nodes[a].node().counters().get("ways_opened").copied().unwrap_or(0);
    let before = looks(&world);
    let since = world.now;
    for n in 0..8 {
        let guest = world.add(&format!("guest{n}"), 100 + n);
        world.join(a, guest);
    }
    world.run_for(20_000);
    let (woken, seconds) = (looks(&world) - before, (world.now.0 - since.0) / 1_000);
    assert!(woken >= 1 && woken <= 1 + seconds / 10, "{woken} times in {seconds} s");
}

#[test]
fn a_home_that_is_busy_is_asked_again_in_measure_and_no_custodian_carries_for_it() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.tap(move |from, to, frame| {
        // Whoever names no pause must not be asked all the time.
        match frame {
            Frame::Taken(taken) if (from, to) == (c, a) => *taken = Taken::Busy { retry_after_ms: 0 },
            Frame::Envelope(_) if (from, to) == (c, a) => return Fate::Lose,
            _ => {}
        }
        Fate::Pass
    });
    let sms = person.compose("busy", true);
    person.send(&mut world, a, &sms);
    let frames = world.frames;
    world.run_for(minutes(1));
    assert!(world.frames - frames < 150, "{} frames", world.frames - frames);
    let custody = world.nodes[b].node().counters().get("custody_taken");
    assert_eq!(custody, None, "it is there: nobody else needs to carry");
    world.untap();
    world.run_for(minutes(5));
    assert_eq!(world.count("busy"), 1);
}
