//! Nodes as studies run them, with a part of the design left out.

use relaymesh_core::config::Without;

use crate::world::{Person, World};
use crate::{NUMBER, minutes, three};

/// All nodes start again without a part.
fn leave_out(world: &mut World, without: Without) {
    for node in 0..world.nodes.len() {
        world.kill(node);
        world.nodes[node].config.without = without;
        world.restart(node);
    }
}

#[test]
fn without_custody_nobody_carries_for_others_and_the_ingress_still_delivers_by_itself() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    leave_out(&mut world, Without { custody: true, ..Without::default() });
    world.run_for(minutes(3));
    world.cut(a, c);
    let sms = person.compose("direct", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(120));
    assert_eq!(world.count("direct"), 0, "the node between them holds nothing");
    crate::carry(&mut world, a, b);
    world.run_for(minutes(5));
    assert_eq!(world.count("direct"), 0, "nor what is brought to it");
    let refused = world.nodes[b].node().counters().get("custody_left_out").copied();
    assert!(refused.is_some_and(|refused| refused > 0), "{refused:?}");
    crate::carry(&mut world, a, c);
    world.run_for(minutes(5));
    assert_eq!(world.count("direct"), 1, "the home opens what is its own");
    world.heal(a, c);
    world.run_for(minutes(120));
    assert_eq!(world.count("direct"), 1);
}
