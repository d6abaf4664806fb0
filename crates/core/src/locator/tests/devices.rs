//! Device IDs: filters, and questions where no filter knows.

use std::time::Duration;

use relaymesh_protocol::frame::{FilterHead, FilterLayer, Request, Response};
use relaymesh_protocol::ids::{EntityId, Tag};
use relaymesh_seal::tags::{device_tag, filter_key};
use serde_bytes::ByteBuf;

use super::world::{World, device, message, number, outbox};
use crate::locator::{Candidate, Lookup, Routing, filter_bytes, filter_heads, import, locate, on_heads, remove_entity};
use crate::record::key;
use crate::testing::Router as _;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn with_device(n: u8) -> Routing {
    Routing { device: Some(device(n)), ..Routing::default() }
}

fn candidates(world: &mut World, at: usize, lookup: &Lookup) -> Vec<Candidate> {
    world.run(at, |node, tx| Ok(locate(node, tx, message(99), &outbox(lookup, Vec::new()))))
}

#[test]
fn filters_spread_and_a_message_finds_its_home_without_a_question() {
    let mut world = World::with(&["alpha", "beta", "gamma"], false, |_| {});
    world.settle_person(1, 1, &with_device(7));
    world.pass(MINUTE * 6);
    for at in 0..3 {
        assert!(filter_heads(world.peers[at].node()).len() >= 3, "node {at} has all base filters");
    }
    world.asked.clear();
    let beta = world.id(1);
    let expected = [Candidate { node: beta, tag: None }];
    for at in 0..3 {
        assert_eq!(candidates(&mut world, at, &Lookup::Device(device(7))), expected, "from node {at}");
    }
    world.hold(0, 1, &Lookup::Device(device(7)));
    world.pass(Duration::from_secs(1));
    assert!(world.offers(0, 1) >= 1);
    assert_eq!(world.offers(0, 2), 0);
    assert!(world.asked.iter().all(|(.., request)| !matches!(request, Request::WhoHolds { .. })));
}

#[test]
fn who_signed_up_is_found_from_afar_within_seconds() {
    let mut world = World::with(&["alpha", "beta", "gamma", "delta"], false, |_| {});
    world.pass(MINUTE * 6);
    // A chain: news get through only from node to node.
    world.cut.extend([(0, 2), (0, 3), (1, 3)]);
    world.settle_person(3, 1, &with_device(7));
    world.pass(Duration::from_secs(8));
    let expected = [Candidate { node: world.id(3), tag: None }];
    assert_eq!(candidates(&mut world, 0, &Lookup::Device(device(7))), expected);
}

#[test]
fn filters_survive_a_restart_and_versions_only_grow() {
    let mut world = World::with(&["alpha", "beta"], false, |_| {});
    world.settle_person(1, 1, &with_device(7));
    world.pass(MINUTE * 4);
    let version = |world: &World, at: usize| {
        let heads = filter_heads(world.peers[at].node());
        heads.iter().find(|head| head.node == world.id(1) && head.layer == FilterLayer::Base).unwrap().version
    };
    let before = version(&world, 1);
    assert_eq!(version(&world, 0), before);
    world.cut.insert((0, 1));
    world.restart(0);
    assert_eq!(candidates(&mut world, 0, &Lookup::Device(device(7))).len(), 1);
    world.restart(1);
    assert_eq!(version(&world, 1), before, "no new base for a restart");
    world.peers[1].pump.feed(crate::Input::Timer(crate::Timer::Daily), world.now, &mut crate::testing::Disk::default());
    world.settle();
    assert!(version(&world, 1) > before);
}

#[test]
fn a_removed_person_leaves_with_the_next_base() {
    let mut world = World::with(&["alpha", "beta"], false, |_| {});
    world.settle_person(1, 1, &with_device(7));
    world.pass(MINUTE * 4);
    assert_eq!(candidates(&mut world, 0, &Lookup::Device(device(7))).len(), 1);
    world.run(1, |node, tx| remove_entity(node, tx, EntityId([1; 16])));
    assert!(!world.peers[1].disk.rows.keys().any(|row| row[0] == key::TAG));
    world.restart(1);
    assert!(candidates(&mut world, 1, &Lookup::Device(device(7))).iter().all(|c| c.node != world.id(1)));
    world.peers[1].pump.feed(crate::Input::Timer(crate::Timer::Daily), world.now, &mut crate::testing::Disk::default());
    world.settle();
    world.pass(MINUTE * 4);
    let node = world.peers[0].node();
    let tag = device_tag(&device(7));
    let base = node.locator.book.get(&world.id(1), FilterLayer::Base).unwrap();
    assert!(!base.filter.contains(filter_key(&tag, &world.id(1))));
}

#[test]
fn a_removed_person_leaves_the_recent_filter_within_minutes() {
    for also_stays in [false, true] {
        let mut world = World::with(&["alpha", "beta"], false, |_| {});
        world.pass(MINUTE * 4);
        world.settle_person(1, 1, &with_device(7));
        if also_stays {
            world.settle_person(1, 2, &with_device(8));
        }
        world.pass(MINUTE * 4);
        let names = |world: &World, at: usize, n: u8| {
            let recent = world.peers[at].node().locator.book.get(&world.id(1), FilterLayer::Recent).unwrap();
            recent.filter.contains(filter_key(&device_tag(&device(n)), &world.id(1)))
        };
        assert!(names(&world, 0, 7) && names(&world, 1, 7));
        world.run_kept(1, |node, tx| remove_entity(node, tx, EntityId([1; 16])));
        assert!(names(&world, 1, 7), "it is out there until the minute is over");
        let look = |world: &mut World| {
            let disk = &mut crate::testing::Disk::default();
            world.peers[1].pump.feed(crate::Input::Timer(crate::Timer::FilterRecent), world.now, disk);
            world.settle();
        };
        look(&mut world);
        assert_eq!((names(&world, 1, 7), names(&world, 1, 8)), (false, also_stays));
        // It is no news, and gets around by comparing.
        world.pass(MINUTE * 40);
        assert_eq!((names(&world, 0, 7), names(&world, 0, 8)), (false, also_stays));
        let built = world.count(1, "filter_built");
        look(&mut world);
        assert_eq!(world.count(1, "filter_built"), built, "once");
    }
}

#[test]
fn a_retired_device_is_found_for_150_days() {
    let mut world = World::with(&["alpha"], false, |_| {});
    world.settle_person(0, 1, &with_device(7));
    world.settle_person(0, 1, &with_device(8));
    let found = |world: &mut World, n| candidates(world, 0, &Lookup::Device(device(n))).len();
    assert_eq!((found(&mut world, 7), found(&mut world, 8)), (1, 1));
    world.now = world.now.after(DAY * 149);
    world.restart(0);
    world.pass(MINUTE * 2);
    assert!(world.peers[0].node().locator.own.holds(filter_key(&device_tag(&device(7)), &world.id(0))));
    world.now = world.now.after(DAY * 2);
    world.restart(0);
    world.pass(MINUTE * 2);
    assert!(!world.peers[0].node().locator.own.holds(filter_key(&device_tag(&device(7)), &world.id(0))));
    assert!(world.peers[0].node().locator.own.holds(filter_key(&device_tag(&device(8)), &world.id(0))));
}

#[test]
fn a_miss_asks_nodes_whose_filter_is_old_once() {
    let mut world = World::with(&["alpha", "beta", "gamma"], false, |_| {});
    world.pass(MINUTE * 6);
    world.mute = true;
    world.settle_person(1, 1, &with_device(7));
    world.asked.clear();
    world.hold(0, 1, &Lookup::Device(device(7)));
    world.pass(MINUTE);
    let asked =
        world.asked.iter().filter(|(from, _, request)| *from == 0 && matches!(request, Request::WhoHolds { .. }));
    assert_eq!(asked.count(), 2, "each other node once");
    assert!(world.offers(0, 1) >= 1);
    world.pass(MINUTE * 3);
    let asked =
        world.asked.iter().filter(|(from, _, request)| *from == 0 && matches!(request, Request::WhoHolds { .. }));
    assert_eq!(asked.count(), 2, "answers are remembered");
}

#[test]
fn who_holds_tells_devices_and_no_numbers_and_is_limited() {
    let mut world = World::with(&["alpha", "beta"], false, |_| {});
    let routing = Routing { device: Some(device(7)), phone: Some(number(1)), bridge: None };
    world.settle_person(1, 1, &routing);
    let beta = world.id(1);
    let node = world.peers[1].node();
    let (_, tag) = crate::locator::oblivious::own_tags(node, &number(1), relaymesh_seal::oblivious::Purpose::Phone)[0];
    assert!(node.locator.own.holds_number(filter_key(&tag, &beta)));
    let keys =
        vec![filter_key(&device_tag(&device(7)), &beta), filter_key(&tag, &beta), filter_key(&Tag([1; 16]), &beta)];
    assert_eq!(world.put_to(1, 0, Request::WhoHolds { keys }), Response::Holds(vec![true, false, false]));
    let mut busy = 0;
    for _ in 0..20 {
        let answer = world.put_to(1, 0, Request::WhoHolds { keys: vec![1; 16] });
        busy += usize::from(matches!(answer, Response::Busy { .. }));
    }
    assert!(busy >= 12, "{busy}");
    assert_eq!(world.put_to(1, 0, Request::WhoHolds { keys: vec![1; 17] }), Response::Refused);
}

#[test]
fn filters_travel_in_bundles_and_bad_ones_are_counted() {
    let mut world = World::with(&["alpha", "beta"], false, |_| {});
    world.cut.insert((0, 1));
    world.restart(0);
    world.settle_person(1, 1, &with_device(7));
    world.pass(MINUTE * 2);
    let node = world.peers[1].node();
    let filters: Vec<ByteBuf> =
        filter_heads(node).iter().filter_map(|head| filter_bytes(node, &head.node, head.layer)).collect();
    assert!(candidates(&mut world, 0, &Lookup::Device(device(7))).is_empty());
    let unsigned: Vec<ByteBuf> = filters
        .iter()
        .map(|bytes| {
            let mut bad = bytes.clone();
            bad[0] ^= 1;
            bad
        })
        .collect();
    assert_eq!(world.run(0, |node, tx| import(node, tx, &unsigned)), 0);
    assert!(world.run(0, |node, tx| import(node, tx, &filters)) >= 1);
    world.restart(0);
    assert_eq!(candidates(&mut world, 0, &Lookup::Device(device(7))).len(), 1);
    assert_eq!(world.run(0, |node, tx| import(node, tx, &filters)), 0, "known already");
}

#[test]
fn parts_are_served_from_any_offset_and_strangers_get_none() {
    let mut world = World::with(&["alpha", "beta"], false, |_| {});
    world.pass(MINUTE * 4);
    let head = filter_heads(world.peers[1].node())[0];
    let whole = match world.put_to(1, 0, Request::WantFilter { head, offset: 0 }) {
        Response::Filter { bytes, .. } => bytes,
        other => panic!("{other:?}"),
    };
    assert_eq!(whole.len(), head.bytes as usize);
    match world.put_to(1, 0, Request::WantFilter { head, offset: 100 }) {
        Response::Filter { bytes, offset, .. } => assert_eq!((offset, &bytes[..]), (100, &whole[100..])),
        other => panic!("{other:?}"),
    }
    for offset in [head.bytes, u32::MAX] {
        assert_eq!(world.put_to(1, 0, Request::WantFilter { head, offset }), Response::Refused);
    }
    let unknown = FilterHead { version: u64::MAX, ..head };
    assert_eq!(world.put_to(1, 0, Request::WantFilter { head: unknown, offset: 0 }), Response::Refused);
}

#[test]
fn a_damaged_filter_is_not_believed_and_fetched_again_later() {
    let mut world = World::with(&["alpha", "beta"], false, |_| {});
    world.settle_person(1, 1, &with_device(7));
    world.garble = true;
    world.pass(MINUTE * 4);
    assert!(world.count(0, "filter_unsigned") > 0);
    assert!(candidates(&mut world, 0, &Lookup::Device(device(7))).is_empty());
    world.garble = false;
    world.pass(MINUTE * 4);
    assert_eq!(candidates(&mut world, 0, &Lookup::Device(device(7))).len(), 1);
}

#[test]
fn a_lie_about_our_own_version_does_not_stop_us_from_publishing() {
    let mut world = World::with(&["alpha", "beta"], false, |_| {});
    world.pass(MINUTE * 2);
    let alpha = world.id(0);
    let head = |version| FilterHead { node: alpha, layer: FilterLayer::Base, version, bytes: 1_000 };
    let (ahead, lie) = (world.now.0 + 3_600_000, u64::MAX);
    let from = world.id(1);
    let told: Vec<FilterHead> = [ahead, lie].map(head).to_vec();
    let changes = world.run_changes(0, |node, tx| on_heads(node, tx, from, &told));
    assert_eq!(changes, [format!("OwnSeen({ahead})")]);
}
