//! Wrong passwords.

use super::world::*;
use crate::command::{AccountCommand, Code, Command, Reply};
use crate::output::Work;

const LIMITED: (Code, &str) = (Code::Unavailable, "Too many password attempts. Please wait and try again later.");

fn verifies(world: &World) -> usize {
    world.ordered(|work| matches!(work, Work::VerifyPassword { .. }))
}

#[test]
fn tries_at_the_same_time_slip_past_no_limit() {
    let mut world = World::new();
    signed_up(&mut world);
    let phone = Phone::new(2);
    let asked: Vec<u64> =
        (0..64).map(|i| world.ask(Command::Account(authenticate(&phone, &format!("wrong-Horse-{i}"), "")))).collect();
    world.settle();
    let replies: Vec<Reply> = asked.iter().filter_map(|id| world.replies.remove(id)).collect();
    let told = |code| replies.iter().filter(|reply| refused(reply).0 == code).count();
    assert_eq!((verifies(&world), told(Code::Unauthenticated), told(Code::Unavailable)), (3, 3, 61));
    let right = world.account(authenticate(&phone, PASSWORD, ""));
    assert_eq!(refused(&right), LIMITED, "while blocked nothing is evaluated");
    assert_eq!(verifies(&world), 3);
}

#[test]
fn blocks_grow_and_leave_no_gap() {
    let mut world = World::new();
    signed_up(&mut world);
    let phone = Phone::new(2);
    for minutes in [0, 0, 2, 0, 15, 0, 60, 0, 1_440, 1_440, 1_440] {
        let wrong = world.account(authenticate(&phone, "wrong-Horse-9", ""));
        assert_eq!(refused(&wrong).0, Code::Unauthenticated);
        world.restart();
        if minutes > 0 {
            world.pass(minutes - 1);
            assert_eq!(refused(&world.account(authenticate(&phone, PASSWORD, ""))), LIMITED);
            world.pass(1);
        }
    }
    assert!(is_proof_required(&world.account(authenticate(&phone, PASSWORD, ""))));
}

#[test]
fn the_right_password_begins_the_count_again() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let phone = Phone::new(2);
    for _ in 0..3 {
        for _ in 0..2 {
            let wrong = world.account(authenticate(&phone, "wrong-Horse-9", ""));
            assert_eq!(refused(&wrong).0, Code::Unauthenticated);
        }
        world.pass(1_440);
        assert!(is_proof_required(&world.account(authenticate(&phone, PASSWORD, ""))));
    }
    // A right password counts as such even if no code may leave now.
    for _ in 0..5 {
        let reply = world.account(authenticate(&phone, PASSWORD, ""));
        assert_eq!(refused(&reply).1, "Too many OTP requests. Wait and try again.");
    }
    let update = |world: &mut World, current: &str| {
        let (llt, new) = (home.llt.as_str().into(), "brand-New-Horse-1".into());
        world.account(AccountCommand::UpdatePassword { llt, current: current.into(), new })
    };
    for _ in 0..3 {
        assert_eq!(refused(&update(&mut world, "wrong-Horse-9")).0, Code::Unauthenticated);
    }
    assert_eq!(refused(&update(&mut world, PASSWORD)), LIMITED, "one limiter for every way in");
}

#[test]
fn the_second_phase_is_counted_too() {
    let mut world = World::new();
    signed_up(&mut world);
    world.pass(6);
    let phone = Phone::new(2);
    world.account(authenticate(&phone, PASSWORD, ""));
    let code = world.code();
    let before = verifies(&world);
    let asked: Vec<u64> =
        (0..4).map(|i| world.ask(Command::Account(authenticate(&phone, &format!("wrong-Horse-{i}"), &code)))).collect();
    world.settle();
    assert_eq!(verifies(&world) - before, 3);
    let last = world.replies.remove(&asked[3]).unwrap();
    assert_eq!(refused(&last), LIMITED);
    for _ in 0..5 {
        let reply = world.account(authenticate(&phone, PASSWORD, "nonono"));
        assert_eq!(refused(&reply), LIMITED, "while blocked no code is evaluated either");
    }
    world.pass(2);
    let reply = world.account(authenticate(&phone, PASSWORD, &code));
    phone.log_in(reply, PHONE);
}

#[test]
fn a_try_that_the_node_was_too_busy_for_does_not_count() {
    let mut world = World::new();
    signed_up(&mut world);
    let phone = Phone::new(2);
    world.busy = true;
    for _ in 0..10 {
        let reply = world.account(authenticate(&phone, "wrong-Horse-9", ""));
        assert_eq!(refused(&reply), (Code::Unavailable, crate::command::Refusal::unavailable().text.as_str()));
    }
    world.busy = false;
    world.pass(6);
    assert!(is_proof_required(&world.account(authenticate(&phone, PASSWORD, ""))));
}
