//! People whose phones keep their tokens: a refused one is refreshed, the new one is told by SMS and never stored in the
//! vault, and neither a crash nor messages under the old one lose it.

use relaymesh_core::SmsPurpose;
use relaymesh_core::command::{FailureClass, MessageOutcome};
use relaymesh_protocol::ids::{Language, MessageId};
use relaymesh_protocol::sms_text::TokenLine;

use crate::world::{Person, PlatformMood, RefreshMood, World, booth, counter};
use crate::{NUMBER, minutes, outcome, two};

/// The refresh token that the phone has, and what the platform gives for it.
const OLD: &str = "refresh-0";
const NEW: &str = "refresh-0+";

/// An ingress and a home whose person's phone keeps tokens that have expired.
fn expired() -> (World, usize, usize, Person) {
    let (mut world, a, c) = two();
    let person = Person::sign_up(&mut world, c, NUMBER, 11);
    let person = keeping(&mut world, c, person, OLD);
    (world, a, c, person)
}

fn keeping(world: &mut World, home: usize, mut person: Person, refresh: &str) -> Person {
    world.run_for(minutes(3));
    person.keep_tokens(world, home, refresh);
    world.expire(&person);
    world.refresh = RefreshMood::Fine;
    world.sms.clear();
    world.sms_purposes.clear();
    person
}

fn send(world: &mut World, node: usize, person: &mut Person, text: &str) -> (String, MessageId) {
    let sms = person.compose(text, true);
    let message = person.send(world, node, &sms);
    (sms, message)
}

/// The account and refresh token that each SMS to the person tells its app.
fn told(world: &World) -> Vec<Option<(String, String)>> {
    world.sms.iter().map(|(_, text)| TokenLine::read(text, Language::FR)).collect()
}

fn line(person: &Person, refresh: &str) -> Option<(String, String)> {
    Some((person.account.clone(), refresh.to_owned()))
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn a_refused_token_is_refreshed_told_and_not_kept() {
    let (mut world, a, c, mut person) = expired();
    let (_, message) = send(&mut world, a, &mut person, "one post");
    world.run_for(minutes(2));
    assert_eq!((world.count("one post"), world.refreshes), (1, 1));
    assert_eq!(told(&world), [line(&person, NEW)], "{:?}", world.sms);
    assert!(world.sms[0].1.starts_with("Livraison RelaySMS : Envoyé"));
    assert_eq!(world.sms_purposes, [SmsPurpose::Token]);
    let listed = person.listed(&mut world, c, false);
    assert!(listed.iter().all(|token| token.on_device), "the vault keeps what it kept");
    assert!(world.nodes[c].disk.0.values().all(|(_, row)| !holds(row, NEW)));
    for node in [a, c] {
        let lines = world.nodes[node].node().timeline(&message);
        assert!(!lines.is_empty() && lines.iter().all(|line| !line.what.contains("refresh-0")));
    }
}

#[test]
fn whatever_the_outcome_the_token_is_told() {
    let ends = [
        (PlatformMood::Refuses, "Échec", MessageOutcome::Failed(FailureClass::Platform)),
        (PlatformMood::LosesAnswers, "incertain", MessageOutcome::Uncertain),
    ];
    for (mood, words, expected) in ends {
        let (mut world, a, c, mut person) = expired();
        let (sms, _) = send(&mut world, a, &mut person, "one post");
        while world.refreshes == 0 {
            world.run_for(1);
        }
        world.mood = mood;
        world.run_for(minutes(1));
        if mood == PlatformMood::LosesAnswers {
            world.mood = PlatformMood::Down;
        }
        world.run_for(minutes(120));
        assert_eq!(outcome(&mut world, a, &person, &sms), Some(expected));
        assert_eq!(told(&world), [line(&person, NEW)]);
        assert!(world.sms[0].1.contains(words), "{}", world.sms[0].1);
        assert_eq!(counter(&world, c, "token_untold"), 0);
    }
}

#[test]
fn a_kill_between_refresh_and_send_loses_nothing() {
    let (mut world, a, c, mut person) = expired();
    send(&mut world, a, &mut person, "one post");
    send(&mut world, a, &mut person, "another");
    while world.refreshes == 0 {
        world.run_for(1);
    }
    world.mood = PlatformMood::Down;
    world.run_for(1_000);
    assert_eq!(world.posts.len(), 0);
    for _ in 0..2 {
        world.kill(c);
        world.restart(c);
        world.run_for(minutes(10));
    }
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(30));
    assert_eq!((world.count("one post"), world.count("another"), world.refreshes), (1, 1, 1));
    assert_eq!(told(&world), [line(&person, NEW), line(&person, NEW)]);
}

#[test]
fn the_new_token_is_durable_before_anything_else_is_done_with_it() {
    let (mut world, a, c, mut person) = expired();
    world.fsync_ms = 50;
    send(&mut world, a, &mut person, "one post");
    while world.refreshes == 0 {
        world.run_for(1);
    }
    // The answer took 30 ms and its batch 50; that of the send has not reached the disk yet.
    world.run_for(100);
    world.kill(c);
    world.restart(c);
    world.run_for(minutes(2));
    assert_eq!((world.count("one post"), world.refreshes, told(&world)), (1, 1, vec![line(&person, NEW)]));
}

#[test]
fn a_message_that_is_refused_while_another_renews_the_token_goes_on_with_it() {
    for delay in (0..50).step_by(7) {
        let (mut world, _, c, mut person) = expired();
        send(&mut world, c, &mut person, "one");
        while world.refreshes == 0 {
            world.run_for(1);
        }
        world.run_for(delay);
        send(&mut world, c, &mut person, "two");
        world.run_for(minutes(2));
        assert_eq!((world.count("one"), world.count("two"), world.refreshes), (1, 1, 1), "{delay} ms later");
    }
}

#[test]
fn messages_under_the_old_token_do_not_spend_it_again_and_the_phone_goes_on_with_the_new_one() {
    let (mut world, a, _, mut person) = expired();
    for text in ["one", "two", "three"] {
        let sms = person.compose(text, true);
        let _ = world.send(a, person.submit(&sms));
    }
    world.run_for(minutes(2));
    // Its person has not pasted the SMS yet, or never got it.
    send(&mut world, a, &mut person, "four");
    world.run_for(minutes(2));
    assert_eq!(world.refreshes, 1);
    assert_eq!(told(&world), vec![line(&person, NEW); 4]);
    let stale = person.tokens.clone().unwrap();
    person.tokens = relaymesh_protocol::content::Tokens::both(stale.access.clone(), NEW.to_owned());
    send(&mut world, a, &mut person, "five");
    world.run_for(minutes(2));
    assert_eq!((world.refreshes, told(&world).pop().unwrap()), (1, None), "its access token is known here");
    world.expire_token(NEW);
    send(&mut world, a, &mut person, "six");
    world.run_for(minutes(2));
    for text in ["one", "two", "three", "four", "five", "six"] {
        assert_eq!(world.count(text), 1, "{text}");
    }
    assert_eq!((world.refreshes, told(&world).pop().unwrap()), (2, line(&person, "refresh-0++")));
    // A message from long ago comes under the newest as well.
    person.tokens = Some(stale);
    send(&mut world, a, &mut person, "seven");
    world.run_for(minutes(2));
    assert_eq!((world.count("seven"), world.refreshes), (1, 2));
    assert_eq!(told(&world).pop().unwrap(), line(&person, "refresh-0++"));
}

#[test]
fn a_platform_that_lets_the_refresh_token_stand_costs_no_long_sms() {
    let (mut world, a, _, mut person) = expired();
    world.refresh = RefreshMood::Keeps;
    for text in ["one", "two"] {
        send(&mut world, a, &mut person, text);
        world.run_for(minutes(2));
        assert_eq!(world.count(text), 1);
    }
    assert_eq!((world.refreshes, told(&world)), (1, vec![None, None]));
    assert_eq!(world.sms_purposes, [SmsPurpose::Published; 2]);
}

#[test]
fn a_refused_refresh_is_final_and_one_that_is_away_is_asked_again() {
    let (mut world, a, _, mut person) = expired();
    world.refresh = RefreshMood::Down;
    let (sms, _) = send(&mut world, a, &mut person, "one post");
    world.run_for(minutes(30));
    assert_eq!(outcome(&mut world, a, &person, &sms), None);
    world.refresh = RefreshMood::Refuses;
    world.run_for(minutes(30));
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Failed(FailureClass::Account)));
    assert_eq!((world.posts.len(), told(&world)), (0, vec![None]));
    assert_eq!(world.sms_purposes, [SmsPurpose::Notice]);
}

#[test]
fn an_account_with_a_colon_and_a_token_beyond_the_cap_are_published_and_not_told() {
    let long = "r".repeat(1_800);
    for (name, refresh, is_told) in
        [("user:11", OLD, false), ("user11", long.as_str(), false), ("user11", &long[..1_600], true)]
    {
        let (mut world, a, c) = two();
        let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
        person.connect(&mut world, c, name);
        let mut person = keeping(&mut world, c, person, refresh);
        send(&mut world, a, &mut person, "one post");
        world.run_for(minutes(2));
        assert_eq!((world.count("one post"), world.refreshes), (1, 1), "{name}");
        assert_eq!(told(&world)[0].is_some(), is_told, "{name}, {}", refresh.len());
        assert_eq!(world.sms.len(), 1);
        assert_eq!(counter(&world, c, "token_untold"), u64::from(!is_told));
    }
}

#[test]
fn without_a_number_only_an_ingress_of_a_partner_tells_the_token() {
    for partners in [false, true] {
        let (mut world, a, c) = two();
        if partners {
            world.federate(a, c);
        }
        let person = Person::sign_up_by_mail(&mut world, c, "ada@example.com", NUMBER, 11);
        let mut person = keeping(&mut world, c, person, OLD);
        let door = booth(&mut world, a);
        let sms = person.compose("one post", true);
        let _ = world.ask(a, person.submit_through(door, &sms));
        world.run_for(minutes(2));
        assert_eq!(world.count("one post"), 1);
        assert_eq!(world.sms_by.last(), Some(&a));
        let expected = if partners { line(&person, NEW) } else { None };
        assert_eq!(told(&world), [expected]);
        // What is kept for the ingress's own people is not for those of others.
        let purpose = if partners { SmsPurpose::Notice } else { SmsPurpose::Published };
        assert_eq!(
            (world.sms_purposes.clone(), counter(&world, c, "token_untold")),
            (vec![purpose], u64::from(!partners))
        );
    }
}
