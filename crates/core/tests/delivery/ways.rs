//! Messages that wait go at once when their home can be found, or written to, at last.

use std::cell::Cell;
use std::rc::Rc;

use relaymesh_protocol::frame::{Request, Taken};

use crate::world::{Fate, Frame, Person, World, counter};
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
fn a_home_that_was_cut_off_for_days_is_tried_as_soon_as_a_third_node_knows_that_it_is_back() {
    let (mut world, a, b, c) = three();
    // The ingress can offer the home messages when the link is back, hears of it from the third node alone, and nobody carries
    // anything for it.
    for node in [a, b, c] {
        world.nodes[node].config.without.custody = true;
        world.kill(node);
        world.restart(node);
    }
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let told = Rc::new(Cell::new(0));
    let count = told.clone();
    world.tap(move |from, to, frame| match frame {
        Frame::Request(Request::Facts(_)) if (from, to) == (c, b) => {
            count.set(count.get() + 1);
            Fate::Pass
        }
        Frame::Envelope(_) if (from, to) == (c, a) => Fate::Lose,
        Frame::Request(_) if (from, to) == (a, c) || (from, to) == (c, a) => Fate::Lose,
        _ => Fate::Pass,
    });
    let away_for = |world: &mut World, millis, restarts: bool| {
        for other in [a, b] {
            world.cut(other, c);
        }
        world.run_for(millis);
        if restarts {
            world.kill(c);
            world.restart(c);
            world.run_for(minutes(60));
        }
        for other in [a, b] {
            world.heal(other, c);
        }
        let home = world.nodes[c].id;
        while !world.nodes[b].links.contains(&home) {
            world.run_for(1_000);
        }
        world.run_for(30_000);
    };
    world.cut(a, c);
    let sms = person.compose("after days", true);
    person.send(&mut world, a, &sms);
    away_for(&mut world, minutes(4 * 24 * 60), false);
    assert_eq!((told.get(), world.count("after days")), (1, 1));
    away_for(&mut world, minutes(3 * 60), false);
    assert_eq!(told.get(), 1, "who was gone for hours tells nobody");
    away_for(&mut world, minutes(24 * 60), true);
    assert_eq!(told.get(), 2, "a start while it is alone does not make it forget how long that has been");
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

#[test]
fn a_home_that_refuses_at_first_is_asked_again_soon_though_a_custodian_has_a_copy() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    // As one that does not know the ingress yet; what the custodian hands over gets lost.
    let refuses = Rc::new(Cell::new(true));
    let now = Rc::clone(&refuses);
    world.tap(move |from, to, frame| {
        match frame {
            Frame::Envelope(carried) if (from, to) == (a, c) && now.get() => carried.envelope = vec![1; 16],
            Frame::Envelope(_) if (from, to) == (b, c) => return Fate::Lose,
            _ => {}
        }
        Fate::Pass
    });
    let sms = person.compose("asked again", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(2));
    assert!(counter(&world, b, "custody_taken") >= 1);
    assert_eq!(world.count("asked again"), 0);
    refuses.set(false);
    world.run_for(minutes(20));
    assert_eq!(world.count("asked again"), 1);
}

#[test]
fn a_custodian_keeps_what_its_recipient_refuses_for_now() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.kill(c);
    let sms = person.compose("refused at first", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(2));
    assert!(counter(&world, b, "custody_taken") >= 1);
    // The ingress is gone for good, and what comes from the custodian is refused, as by one that does not know it yet.
    world.kill(a);
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (b, c), frame) {
            carried.envelope = vec![1; 16];
        }
        Fate::Pass
    });
    world.restart(c);
    world.run_for(minutes(50));
    let offers = counter(&world, b, "custody_refused");
    assert!((1..=8).contains(&offers), "{offers} offers in fifty minutes");
    assert_eq!((world.count("refused at first"), counter(&world, b, "custody_handed_over")), (0, 0));
    world.untap();
    world.run_for(minutes(20));
    assert_eq!(world.count("refused at first"), 1);
    assert!(counter(&world, b, "custody_handed_over") >= 1);
}
