//! An image whose segments reach two nodes comes together at its home.

use relaymesh_core::command::{Reply, Submitted};

use crate::world::{Person, World};
use crate::{NUMBER, minutes, three};

fn hand_in(world: &mut World, node: usize, person: &Person, segment: &str) {
    let reply = world.ask(node, person.submit(segment));
    assert!(matches!(reply, Reply::Submitted(Submitted::Segment { .. })), "{reply:?}");
}

/// Nodes `a` and `b` are no partners of the home: the sender's number leads nowhere.
#[test]
fn segments_at_two_nodes_find_the_home_by_the_device_id() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let segments = person.compose_image("with a picture", &[7; 700], 1);
    let last = segments.len() - 1;
    assert!(last >= 5, "enough to be torn apart");
    for (n, segment) in segments.iter().enumerate() {
        // Both have what tells the device ID, and neither has the whole.
        let ends = n == 0 || n >= last - 1;
        for (node, its) in [(a, 0), (b, 1)] {
            if ends || n % 2 == its {
                hand_in(&mut world, node, &person, segment);
            }
        }
    }
    world.run_for(minutes(9));
    assert_eq!(world.count("with a picture"), 0);
    world.run_for(minutes(3));
    assert_eq!(world.count("with a picture"), 1);
    world.run_for(minutes(60));
    assert_eq!(world.count("with a picture"), 1);
}
