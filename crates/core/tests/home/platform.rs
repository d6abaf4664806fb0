//! A platform that loses answers, is down, or wants new tokens; and a disk that fails in between.

use relaymesh_core::command::{FailureClass, MessageOutcome};
use relaymesh_core::record::key;

use crate::world::{Health, Person, PlatformMood, RefreshMood, World};
use crate::{NUMBER, minutes, outcome, status, two};

/// Runs until the platform has a post of this text.
fn posted(world: &mut World, text: &str) {
    for _ in 0..10_000 {
        if world.count(text) == 1 {
            return;
        }
        world.run_for(1);
    }
    panic!("nothing was posted");
}

fn told(world: &World, what: &str) -> usize {
    world.sms.iter().filter(|(to, text)| to == NUMBER && text.contains(what)).count()
}

/// A message at the home whose first attempt ended as `mood` says.
fn begun(mood: PlatformMood) -> (World, usize, usize, Person, String) {
    let (mut world, a, c) = two();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.mood = mood;
    let sms = person.compose("one post", true);
    person.send(&mut world, a, &sms);
    world.run_for(1_000);
    (world, a, c, person, sms)
}

#[test]
fn a_busy_platform_after_a_lost_answer_makes_no_second_post() {
    let (mut world, a, c, person, sms) = begun(PlatformMood::LosesAnswers);
    assert_eq!(world.count("one post"), 1);
    world.mood = PlatformMood::Down;
    world.run_for(minutes(120));
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(120));
    assert_eq!(world.count("one post"), 1, "the platform had forgotten the key");
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Uncertain));
    assert_eq!(told(&world, "incertain"), 1);
    assert_eq!(status(&mut world, c).jobs, 0);
}

#[test]
fn a_lost_answer_and_a_short_pause_end_as_published() {
    let (mut world, a, _, person, sms) = begun(PlatformMood::LosesAnswers);
    world.mood = PlatformMood::Down;
    world.run_for(minutes(20));
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(20));
    assert_eq!(world.count("one post"), 1);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
}

#[test]
fn a_refusal_after_a_lost_answer_is_uncertain_and_without_one_a_failure() {
    let (mut world, a, _, person, sms) = begun(PlatformMood::LosesAnswers);
    world.mood = PlatformMood::Refuses;
    world.run_for(minutes(30));
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Uncertain));
    let (mut world, a, _, person, sms) = begun(PlatformMood::Refuses);
    let failed = MessageOutcome::Failed(FailureClass::Platform);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(failed));
}

#[test]
fn a_home_killed_after_its_request_repeats_it_as_one_in_doubt() {
    let (mut world, a, c) = two();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("one post", true);
    person.send(&mut world, a, &sms);
    posted(&mut world, "one post");
    world.kill(c);
    world.mood = PlatformMood::Down;
    world.restart(c);
    world.run_for(minutes(90));
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(90));
    assert_eq!(world.count("one post"), 1);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Uncertain));
}

#[test]
fn while_nothing_was_taken_a_platform_may_be_down_for_hours() {
    let (mut world, a, _, person, sms) = begun(PlatformMood::Down);
    world.run_for(minutes(10 * 60));
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(20));
    assert_eq!(world.count("one post"), 1);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
}

/// A home whose person's token has expired; the platform gives new ones.
fn expired(refresh: RefreshMood) -> (World, usize, usize, Person) {
    let (mut world, a, c) = two();
    let person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.expire(&person);
    world.refresh = refresh;
    (world, a, c, person)
}

#[test]
fn messages_that_wait_for_one_new_token_do_not_spend_it_twice() {
    let (mut world, a, _, mut person) = expired(RefreshMood::Fine);
    let texts: Vec<String> = (0..4).map(|n| format!("post {n}")).collect();
    for text in &texts {
        let sms = person.compose(text, true);
        let _ = world.send(a, person.submit(&sms));
    }
    world.run_for(minutes(10));
    assert_eq!(texts.iter().map(|text| world.count(text)).collect::<Vec<_>>(), [1; 4]);
    assert_eq!(world.refreshes, 1);
}

#[test]
fn a_rotated_token_outlives_a_disk_that_fails_when_it_comes() {
    for health in [Health::Full, Health::Dead] {
        let (mut world, a, c, mut person) = expired(RefreshMood::Fine);
        let sms = person.compose("new token", true);
        person.send(&mut world, a, &sms);
        while world.refreshes == 0 {
            world.run_for(1);
        }
        world.nodes[c].disk.1 = health;
        world.run_for(minutes(1));
        world.nodes[c].disk.1 = Health::Sound;
        world.run_for(minutes(2));
        assert_eq!(world.count("new token"), 1, "{health:?}: without a restart");
        // It is the stored one now.
        world.kill(c);
        world.restart(c);
        world.run_for(minutes(2));
        let next = person.compose("the next", true);
        person.send(&mut world, a, &next);
        world.run_for(minutes(2));
        assert_eq!((world.count("the next"), world.refreshes), (1, 1), "{health:?}");
    }
}

#[test]
fn a_lost_rotation_answer_is_asked_for_again_and_told_when_the_token_is_spent() {
    let (mut world, a, c, mut person) = expired(RefreshMood::LosesAnswers);
    let sms = person.compose("lost token", true);
    person.send(&mut world, a, &sms);
    world.run_for(1_000);
    assert_eq!(world.refreshes, 1);
    world.refresh = RefreshMood::Fine;
    world.run_for(minutes(5));
    assert_eq!(world.refreshes, 2, "it was asked for again");
    let failed = MessageOutcome::Failed(FailureClass::Account);
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(failed));
    assert_eq!((world.count("lost token"), told(&world, "chec"), status(&mut world, c).jobs), (0, 1, 0));
}

#[test]
fn a_refresh_that_is_not_answered_or_cut_by_a_kill_is_done_again() {
    let (mut world, a, c, mut person) = expired(RefreshMood::Down);
    let sms = person.compose("later", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(30));
    world.kill(c);
    world.restart(c);
    world.run_for(45);
    world.kill(c);
    world.restart(c);
    world.refresh = RefreshMood::Fine;
    world.run_for(minutes(30));
    assert_eq!((world.count("later"), world.refreshes), (1, 1));
}

#[test]
fn an_end_that_meets_a_failing_disk_is_told_when_the_disk_is_sound_again() {
    for health in [Health::Full, Health::Dead] {
        let (mut world, a, c) = two();
        let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
        world.run_for(minutes(3));
        let before = world.sms.len();
        let sms = person.compose("one post", true);
        person.send(&mut world, a, &sms);
        posted(&mut world, "one post");
        world.nodes[c].disk.1 = health;
        world.run_for(minutes(1));
        assert_eq!(world.sms.len(), before);
        world.nodes[c].disk.1 = Health::Sound;
        world.run_for(minutes(2));
        assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published), "{health:?}");
        assert_eq!((world.sms.len(), world.count("one post")), (before + 1, 1), "{health:?}");
        assert_eq!(status(&mut world, c).jobs, 0);
    }
}

#[test]
fn an_sms_whose_end_meets_a_failing_disk_leaves_the_queue() {
    let (mut world, a, c) = two();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let before = world.sms.len();
    let sms = person.compose("one post", true);
    person.send(&mut world, a, &sms);
    while world.sms.len() == before {
        world.run_for(1);
    }
    world.nodes[c].disk.1 = Health::Full;
    world.run_for(minutes(1));
    world.nodes[c].disk.1 = Health::Sound;
    world.run_for(minutes(2));
    assert_eq!(world.nodes[c].disk.0.keys().filter(|row| row.first() == Some(&key::SMS)).count(), 0);
    assert_eq!(world.sms.len(), before + 1, "and was sent once");
}
