//! Consumed blocks, owed publications and notices: how long they are kept, and what ends with an account.

use relaymesh_core::command::MessageOutcome;

use crate::world::Person;
use crate::{NUMBER, minutes, outcome, status, two};

#[test]
fn a_late_copy_is_answered_after_a_change_of_password() {
    let (mut world, a, c) = two();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let sms = person.compose("before", true);
    person.send(&mut world, c, &sms);
    world.run_for(minutes(1));
    assert_eq!(world.count("before"), 1);
    person.change_password(&mut world, c);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(1));
    assert_eq!(outcome(&mut world, a, &person, &sms), Some(MessageOutcome::Published));
    assert_eq!(status(&mut world, a).held, 0);
    assert_eq!(world.count("before"), 1);
}
