//! Nodes as studies run them, without filters: what is not known is asked.

use std::time::Duration;

use relaymesh_protocol::frame::Request;

use super::world::{World, device, number};
use crate::locator::{Lookup, Routing, filter_heads};
use crate::testing::Router as _;

/// A person with a device and a number at the second of three partners, none of whom has filters.
fn three() -> World {
    let mut world = World::with(&["alpha", "beta", "gamma"], true, |config| config.without.filters = true);
    world.settle_person(1, 1, &Routing { device: Some(device(7)), phone: Some(number(1)), bridge: None });
    world.pass(Duration::from_secs(360));
    world.asked.clear();
    world
}

#[test]
fn a_device_is_found_by_asking_who_holds_it() {
    let mut world = three();
    for at in 0..3 {
        assert!(filter_heads(world.peers[at].node()).is_empty(), "node {at} has no filter");
    }
    world.hold(0, 1, &Lookup::Device(device(7)));
    world.pass(Duration::from_secs(5));
    let asked = |world: &World, to: usize| {
        let ours = world.asked.iter().filter(|(from, at, _)| (*from, *at) == (0, to));
        ours.filter(|(.., request)| matches!(request, Request::WhoHolds { .. })).count()
    };
    assert_eq!((asked(&world, 1), asked(&world, 2)), (1, 1));
    assert!(world.offers(0, 1) >= 1);
    assert_eq!(world.offers(0, 2), 0, "who says no is offered nothing");
}

#[test]
fn a_number_is_offered_to_all_that_were_asked_about_it_and_audits_make_no_sense() {
    let mut world = three();
    world.pass(Duration::from_secs(7_200));
    assert!(world.evaluations(0, 1).is_empty(), "no filter, no audit");
    world.hold(0, 1, &Lookup::Number(number(1)));
    world.pass(Duration::from_secs(60));
    assert_eq!((world.evaluations(0, 1).len(), world.evaluations(0, 2).len()), (1, 1));
    assert!(world.offers(0, 1) >= 1 && world.offers(0, 2) >= 1);
}
