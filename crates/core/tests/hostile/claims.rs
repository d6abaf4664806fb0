//! A member that lies about the id or the route of a message whose payload is real.

use relaymesh_core::delivery::{Body, Cargo, Route, Submission};
use relaymesh_protocol::base64text;
use relaymesh_protocol::ids::{DeviceId, MessageId};

use crate::world::{Person, PlatformMood, World, letter};
use crate::{NUMBER, counter, minutes, status, three};

/// A member hands the home a person's payload under an id and a route of its own choice.
fn claim(world: &mut World, (from, to): (usize, usize), sms: &str, message: MessageId, route: Route, seed: u64) {
    let submission = Submission {
        message,
        cargo: Cargo::Whole { payload: base64text::decode(sms).unwrap(), image: None },
        session: 0,
        route,
        received: world.now,
        date: None,
        date_sent: None,
        gateway: None,
        trusted: true,
    };
    let carried = letter(world, from, to, &Body::Submission(Box::new(submission)), seed);
    world.deliver(from, to, carried);
    world.run_for(10_000);
}

fn id_of(device: &DeviceId, sms: &str) -> MessageId {
    MessageId::of(device.as_bytes(), &base64text::decode(sms).unwrap())
}

#[test]
fn a_message_under_the_id_of_an_older_one_is_still_published() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let first = person.compose("first", true);
    let id = person.send(&mut world, a, &first);
    world.run_for(minutes(1));
    let second = person.compose("second", true);
    claim(&mut world, (b, c), &second, id, Route::Device(person.device), 70);
    person.send(&mut world, a, &second);
    world.run_for(minutes(2));
    assert_eq!((world.count("first"), world.count("second")), (1, 1));
    assert_eq!(counter(&world, c, "submission_mismatched"), 1);
}

#[test]
fn a_job_that_waits_is_not_written_over_by_another_persons_message() {
    let (mut world, a, b, c) = three();
    let mut victim = Person::sign_up(&mut world, c, NUMBER, 11);
    let mut member = Person::sign_up(&mut world, c, "+237650123457", 12);
    world.run_for(minutes(3));
    world.mood = PlatformMood::Down;
    let waiting = victim.compose("waiting", true);
    let id = victim.send(&mut world, a, &waiting);
    world.run_for(minutes(1));
    assert_eq!(status(&mut world, c).jobs, 1);
    let own = member.compose("own", true);
    claim(&mut world, (b, c), &own, id, Route::Device(member.device), 71);
    world.mood = PlatformMood::Fine;
    member.send(&mut world, a, &own);
    world.run_for(minutes(60));
    assert_eq!((world.count("waiting"), world.count("own")), (1, 1));
}

/// Each lie about the route, and then the honest copy.
#[test]
fn a_route_that_is_not_the_payloads_is_declined_and_consumes_nothing() {
    let (mut world, a, b, c) = three();
    world.federate(a, c);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let other = Person::sign_up(&mut world, c, "+237650123457", 12);
    world.run_for(minutes(3));
    let number: relaymesh_protocol::ids::E164 = NUMBER.parse().unwrap();
    let by_device = person.compose("by device", true);
    let by_number = person.compose("by number", false);
    let id = id_of(&person.device, &by_device);
    let number_id = |sms: &str| MessageId::of(NUMBER.as_bytes(), &base64text::decode(sms).unwrap());
    let lies = [
        (&by_device, id, Route::Device(other.device)),
        (&by_device, id, Route::Bridge { number: number.clone() }),
        (&by_device, number_id(&by_device), Route::Bridge { number: number.clone() }),
        (&by_number, number_id(&by_number), Route::Bridge { number: number.clone() }),
        (&by_number, id_of(&person.device, &by_number), Route::Device(person.device)),
        (&by_number, number_id(&by_number), Route::Device(person.device)),
    ];
    let count = lies.len() as u64;
    for (seed, (sms, message, route)) in (80..).zip(lies) {
        claim(&mut world, (b, c), sms, message, route, seed);
    }
    assert_eq!(counter(&world, c, "submission_mismatched"), count);
    assert_eq!(world.posts.len(), 0);
    for sms in [&by_device, &by_number] {
        person.send(&mut world, a, sms);
    }
    world.run_for(minutes(5));
    assert_eq!((world.count("by device"), world.count("by number")), (1, 1));
}

#[test]
fn behind_a_tag_the_accounts_own_number_makes_the_id() {
    let (mut world, a, _, c) = three();
    world.federate(a, c);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let keys = world.nodes[c].keyring.clone();
    // What an honest ingress sends, overheard; then the same with another id.
    let heard = std::rc::Rc::new(std::cell::RefCell::new(None));
    let into = heard.clone();
    world.tap(move |from, _, frame| {
        if let (true, crate::world::Frame::Envelope(carried)) = (from == a, frame)
            && let Some((_, Body::Submission(submission))) = crate::world::open(&keys, carried)
        {
            *into.borrow_mut() = Some(submission);
            return crate::world::Fate::Lose;
        }
        crate::world::Fate::Pass
    });
    let sms = person.compose("by number", false);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(1));
    world.untap();
    let mut submission = heard.borrow().clone().expect("it was offered");
    submission.message = MessageId([7; 32]);
    let carried = letter(&world, a, c, &Body::Submission(submission), 90);
    world.deliver(a, c, carried);
    world.run_for(200);
    assert_eq!((world.posts.len(), counter(&world, c, "submission_mismatched")), (0, 1));
    world.run_for(minutes(30));
    assert_eq!(world.count("by number"), 1);
}
