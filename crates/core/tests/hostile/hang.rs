//! A platform that takes a request and never ends it.

use crate::world::Person;
use crate::{NUMBER, minutes, status, three};

#[test]
fn a_platform_that_hangs_for_one_delays_nobody_else() {
    let (mut world, a, _, c) = three();
    let mut stuck = Person::sign_up(&mut world, c, NUMBER, 11);
    let mut other = Person::sign_up(&mut world, c, "+237650123457", 12);
    world.run_for(minutes(2));
    world.hangs_for = Some(stuck.account.clone());
    for n in 0..40 {
        let sms = stuck.compose(&format!("stuck {n}"), true);
        stuck.send(&mut world, a, &sms);
    }
    world.run_for(2_000);
    for n in 0..10 {
        let text = format!("other {n}");
        let sms = other.compose(&text, true);
        other.send(&mut world, a, &sms);
        world.run_for(1_000);
        assert_eq!(world.count(&text), 1, "message {n} of somebody else waits");
    }
    assert!(world.posts.iter().all(|post| post.account == other.account));
    world.run_for(minutes(2));
    assert_eq!((status(&mut world, a).held, status(&mut world, c).jobs), (0, 40), "all are taken, and owed");
}
