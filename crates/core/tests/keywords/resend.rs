//! `RESEND n`.

use std::cell::RefCell;
use std::rc::Rc;

use relaymesh_core::command::{Code, Door, Refusal, Reply};
use relaymesh_core::delivery::{Body, Cargo, Receipt, Submission};
use relaymesh_core::record::key;
use relaymesh_protocol::ids::{MessageId, Tag};
use relaymesh_protocol::sms_text::Keyword;

use crate::limits::alone;
use crate::world::{Fate, Frame, Person, PlatformMood, World, letter, open};
use crate::{
    DAY_MS, NUMBER, OTHER, booth, bridge_text, bridge_user, counter, forward, mails, minutes, rows, sms, three, told,
};

/// Somebody at the last node whose message nobody can tell the outcome of; it is not on the platform.
fn uncertain(world: &mut World, a: usize, c: usize) -> Person {
    let mut person = Person::sign_up(world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.mood = PlatformMood::Swallows;
    let text = person.compose("missing", true);
    person.send(world, a, &text);
    world.run_for(minutes(50));
    world.mood = PlatformMood::Fine;
    assert_eq!((world.count("missing"), told(world, NUMBER, "répondez RESEND 1")), (0, 1));
    person
}

#[test]
fn what_is_missing_is_sent_once_more_and_told_under_its_number() {
    let (mut world, a, b, c) = three();
    let (at_a, at_b) = (booth(&mut world, a), booth(&mut world, b));
    uncertain(&mut world, a, c);
    assert!(forward(&mut world, a, at_a, NUMBER, "resend #1"));
    world.run_for(minutes(2));
    assert_eq!(world.count("missing"), 1);
    assert_eq!(told(&world, NUMBER, "Envoyé avec succès message à mastodon"), 1);
    assert!(world.sms.last().unwrap().1.ends_with("#1"));
    assert_eq!(rows(&world, c, key::JOB), 0, "nothing of it is kept");

    // The platform has forgotten its key long since: another send would be another post.
    world.run_for(minutes(120));
    for n in 0..4 {
        let (node, door) = if n % 2 == 0 { (a, at_a) } else { (b, at_b) };
        assert!(forward(&mut world, node, door, NUMBER, "RESEND 1"));
        world.run_for(minutes(20));
    }
    assert_eq!(world.count("missing"), 1, "once per uncertain outcome");
}

#[test]
fn the_same_answer_through_two_gateways_and_twice_sends_once_more() {
    let (mut world, a, _, c) = three();
    let (at_a, at_c) = (booth(&mut world, a), booth(&mut world, c));
    let (mut phone, _) = bridge_user(&mut world, a, at_a, c);
    world.mood = PlatformMood::LosesAnswers;
    assert!(forward(&mut world, a, at_a, NUMBER, &bridge_text(phone.mail("maybe", false))));
    world.run_for(minutes(2));
    world.mood = PlatformMood::Fine;
    assert_eq!((mails(&world).len(), told(&world, NUMBER, "RESEND 2")), (2, 1));
    let sent = Some(i64::try_from(world.now.0).unwrap());
    for (node, door) in [(a, at_a), (c, at_c), (a, at_a), (c, at_c)] {
        world.send(node, sms("RESEND 2", NUMBER, door, sent));
        world.run_for(3);
    }
    world.run_for(minutes(30));
    assert_eq!(mails(&world), ["hello", "maybe", "maybe"]);
}

#[test]
fn each_uncertain_outcome_can_be_asked_about_once_and_three_times_in_all() {
    let (mut world, a, _, c) = three();
    let (at_a, door) = (booth(&mut world, a), booth(&mut world, c));
    let (mut phone, _) = bridge_user(&mut world, c, door, c);
    world.mood = PlatformMood::LosesAnswers;
    assert!(forward(&mut world, c, door, NUMBER, &bridge_text(phone.mail("again", false))));
    world.run_for(minutes(1));
    for n in 0..5 {
        let sent = Some(i64::try_from(world.now.0).unwrap());
        // A late copy of an answer that was heard already is no new one, whatever way it takes.
        for (node, door) in [(c, door), (c, door), (a, at_a)] {
            world.ask(node, sms("RESEND 2", NUMBER, door, sent));
            world.run_for(minutes(1));
        }
        assert_eq!(mails(&world).len(), 2 + (n + 1).min(3), "after answer {n}");
    }
    assert_eq!(told(&world, NUMBER, "RESEND 2"), 3, "the last outcome offers nothing");
    assert_eq!(told(&world, NUMBER, "#2"), 4);
}

#[test]
fn an_answer_survives_its_ingress_and_its_home() {
    let (mut world, a, _, c) = three();
    let door = booth(&mut world, a);
    uncertain(&mut world, a, c);
    world.kill(c);
    assert!(forward(&mut world, a, door, NUMBER, "RESEND 1"));
    world.kill(a);
    world.run_for(minutes(5));
    world.restart(a);
    world.run_for(minutes(5));
    world.restart(c);
    world.run_for(minutes(30));
    assert_eq!(world.count("missing"), 1);
}

#[test]
fn after_three_days_the_content_is_destroyed() {
    for restarted in [false, true] {
        let (mut world, c, door) = alone();
        uncertain(&mut world, c, c);
        assert_eq!(rows(&world, c, key::JOB), 1);
        if restarted {
            world.sleep(c, 3 * DAY_MS - minutes(60));
            assert_eq!(rows(&world, c, key::JOB), 1, "not yet");
            world.sleep(c, minutes(90));
        } else {
            world.run_for(3 * DAY_MS + minutes(60));
        }
        world.run_for(minutes(1));
        assert_eq!((rows(&world, c, key::JOB), counter(&world, c, "uncertain_destroyed")), (0, 1));
        assert!(forward(&mut world, c, door, NUMBER, "RESEND 1"));
        world.run_for(minutes(5));
        assert_eq!(world.count("missing"), 0);
    }
}

#[test]
fn others_cannot_ask() {
    let (mut world, a, b, c) = three();
    let (at_a, at_c) = (booth(&mut world, a), booth(&mut world, c));
    uncertain(&mut world, a, c);
    let open_door = world.ask(c, sms("RESEND 1", NUMBER, Door::Open, None));
    let Reply::Refused(Refusal { code: Code::InvalidArgument, text }) = open_door else { panic!("{open_door:?}") };
    assert_eq!(text, "not a RelaySMS payload");
    for (text, from) in [("please RESEND 1", NUMBER), ("RESEND", NUMBER), ("RESEND 1", "MTN-Info")] {
        assert!(!forward(&mut world, c, at_c, from, text), "{text} is somebody's private SMS");
    }
    for (text, from) in [("RESEND 2", NUMBER), ("RESEND 1", OTHER), ("STOP", NUMBER), ("START", NUMBER)] {
        assert!(forward(&mut world, c, at_c, from, text));
    }
    world.run_for(minutes(5));

    // What a partner sent for its gateway client, from a node that is none, and for the open door.
    let real = overhear(&mut world, a, c, at_a);
    let forged = |change: &dyn Fn(&mut Submission)| {
        let mut submission = real.clone();
        submission.cargo = Cargo::Keyword(Keyword::Resend { number: 1 });
        submission.message = MessageId([9; 32]);
        change(&mut submission);
        Body::Submission(Box::new(submission))
    };
    let unvouched = forged(&|submission| submission.trusted = false);
    for (n, (from, body)) in [(b, forged(&|_| {})), (a, unvouched)].into_iter().enumerate() {
        let carried = letter(&world, from, c, &body, 70 + n as u64);
        world.deliver(from, c, carried);
        world.run_for(minutes(2));
    }
    assert_eq!((world.count("missing"), rows(&world, c, key::JOB)), (0, 1), "nothing was sent, all is kept");
    let carried = letter(&world, a, c, &forged(&|_| {}), 80);
    world.deliver(a, c, carried);
    world.run_for(minutes(2));
    assert_eq!(world.count("missing"), 1, "the same letter from the partner counts");
}

/// An answer of the person that does nothing, as the home gets it from `a`.
fn overhear(world: &mut World, a: usize, c: usize, door: Door) -> Submission {
    let heard: Rc<RefCell<Option<Submission>>> = Rc::default();
    let (into, keys) = (heard.clone(), world.nodes[c].keyring.clone());
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (a, c), frame)
            && let Some((_, Body::Submission(submission))) = open(&keys, carried)
        {
            into.borrow_mut().get_or_insert(*submission);
        }
        Fate::Pass
    });
    assert!(forward(world, a, door, NUMBER, "RESEND 99"));
    world.run_for(minutes(2));
    world.untap();
    heard.borrow().clone().expect("the answer reached its home")
}

#[test]
fn a_home_says_the_same_at_the_same_time_to_whom_it_knows_and_whom_not() {
    let (mut world, a, _, c) = three();
    let door = booth(&mut world, a);
    uncertain(&mut world, a, c);
    let real = overhear(&mut world, a, c, door);
    world.run_for(minutes(10));
    let mut heard = Vec::new();
    for (n, known) in [false, true, false].into_iter().enumerate() {
        let mut submission = real.clone();
        submission.cargo = Cargo::Keyword(Keyword::Resend { number: 1 });
        submission.message = MessageId([20 + n as u8; 32]);
        if let (false, relaymesh_core::delivery::Route::Number { tag, .. }) = (known, &mut submission.route) {
            *tag = Tag([n as u8; 16]);
        }
        heard.push(answers(&mut world, a, c, submission));
    }
    assert_eq!(world.count("missing"), 1, "the known one had its effect");
    assert_eq!(heard[0].len(), 1, "one answer");
    assert!(heard[0] == heard[1] && heard[1] == heard[2], "{heard:?}");
}

/// When and how long the home's answers to a submission are.
fn answers(world: &mut World, a: usize, c: usize, submission: Submission) -> Vec<(u64, usize)> {
    world.run_for(100 - world.now.0 % 100 + 900);
    let begun = world.now;
    let message = submission.message;
    let heard: Rc<RefCell<Vec<usize>>> = Rc::default();
    let (into, keys) = (heard.clone(), world.nodes[a].keyring.clone());
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (c, a), frame)
            && let Some((_, Body::Receipts(receipts))) = open(&keys, carried)
        {
            assert_eq!(receipts, [Receipt::Declined { message }]);
            into.borrow_mut().push(carried.envelope.len());
        }
        Fate::Pass
    });
    let seed = u64::from(message.0[0]);
    let carried = letter(world, a, c, &Body::Submission(Box::new(submission)), seed);
    world.deliver(a, c, carried);
    let mut all = Vec::new();
    while world.now.0 < begun.0 + 2_000 {
        world.run_for(1);
        all.extend(heard.borrow_mut().drain(..).map(|len| (world.now.0 - begun.0, len)));
    }
    world.untap();
    all
}
