//! Bundles that cannot hold everything.

use std::collections::BTreeSet;
use std::time::Duration;

use relaymesh_protocol::frame::FilterLayer;
use relaymesh_protocol::ids::{MessageId, NodeId};

use super::export::fill;
use super::*;
use crate::command::{LeftBehind, OperatorReply};
use crate::delivery::Body;
use crate::locator::tests::world::{World, device};
use crate::locator::{Lookup, Routing, filter_heads, tests};
use crate::testing::Router as _;

const MINUTE: Duration = Duration::from_secs(60);

/// Two nodes without a link, where the second knows a person by device ID, and so many of its messages wait at the first.
fn waiting(count: u16) -> (World, Vec<MessageId>) {
    let mut world = World::with(&["alpha", "beta", "gamma"], false, |_| {});
    world.settle_person(1, 1, &Routing { device: Some(device(7)), ..Routing::default() });
    world.pass(MINUTE * 6);
    world.cut.extend([(0, 1), (0, 2), (1, 2)]);
    let messages: Vec<(MessageId, Vec<u8>)> = (0..count)
        .map(|n| {
            let mut id = [0; 32];
            // Not in the order in which they come in.
            id[..2].copy_from_slice(&n.wrapping_mul(40_503).to_be_bytes());
            (MessageId(id), vec![1; 40])
        })
        .collect();
    world.hold_all(0, &messages, &Lookup::Device(device(7)));
    (world, messages.into_iter().map(|(id, _)| id).collect())
}

/// Which messages a bundle carries to the second node, in order.
fn messages(world: &World, bytes: &[u8]) -> Vec<MessageId> {
    let node = world.peers[1].node();
    let opened = parse(bytes).unwrap().carried.into_iter().map(|carried| {
        let letter = node.crypto().open_letter(&world.peers[1].keyring, &carried.envelope).unwrap();
        match Body::decode(&letter.body).unwrap() {
            Body::Submission(submission) => submission.message,
            other => panic!("{other:?}"),
        }
    });
    opened.collect()
}

fn export(world: &mut World, bytes_max: usize) -> (Vec<u8>, LeftBehind) {
    let (bytes, envelopes, left) = world.run_kept(0, |node, tx| fill(node, tx, bytes_max));
    assert!(bytes.len() <= bytes_max, "{} > {bytes_max}", bytes.len());
    assert_eq!(envelopes, parse(&bytes).unwrap().carried.len() as u64);
    (bytes, left)
}

#[test]
fn each_bundle_begins_with_what_the_last_one_had_no_room_for() {
    let (mut world, all) = waiting(150);
    let (whole, left) = export(&mut world, BUNDLE_BYTES_MAX);
    assert_eq!((messages(&world, &whole), left), (all.clone(), LeftBehind::default()));
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    while seen.len() < all.len() {
        let (bytes, left) = export(&mut world, whole.len() * 2 / 5);
        let now = messages(&world, &bytes);
        assert_eq!(left.messages as usize, all.len() - now.len());
        let facts = parse(&bytes).unwrap().facts.len();
        assert!(facts > 0, "messages do not take the place of facts");
        sizes.push(now.len());
        let again = now.iter().filter(|message| seen.contains(*message)).count();
        assert!(again == 0 || seen.len() + now.len() > all.len(), "nothing goes twice before all went once");
        assert_eq!(now.iter().filter(|m| all.contains(m)).count(), now.len());
        seen.extend(now.into_iter().filter(|message| !seen.contains(message)).collect::<Vec<_>>());
    }
    assert!(sizes.len() >= 3 && sizes[0] < all.len() / 2, "{sizes:?}");
    let oldest: Vec<MessageId> = all[..sizes[0]].to_vec();
    assert_eq!(seen[..sizes[0]], oldest[..], "the oldest first");
}

#[test]
fn a_bundle_of_many_envelopes_is_taken_in_part_by_part() {
    let (mut world, all) = waiting(150);
    let before = world.count(1, "envelope_opened");
    let OperatorReply::Bundle { bytes, .. } = world.operator(0, OperatorCommand::BundleExport) else { panic!() };
    let (envelopes, _, refused) = world.import(1, bytes);
    assert_eq!((envelopes as usize, refused), (all.len(), 0));
    assert_eq!(world.count(1, "envelope_opened") - before, all.len() as u64);
}

#[test]
fn what_an_import_took_is_counted_and_what_it_could_not_open_is_refused() {
    let (mut world, all) = waiting(3);
    let OperatorReply::Bundle { bytes, .. } = world.operator(0, OperatorCommand::BundleExport) else { panic!() };
    let envelope = parse(&bytes).unwrap().carried.remove(1).envelope;
    let at = bytes.windows(envelope.len()).position(|part| part == envelope).unwrap();
    let mut damaged = bytes.clone();
    damaged[at + envelope.len() - 1] ^= 1;
    let (envelopes, _, refused) = world.import(1, damaged);
    assert_eq!((envelopes as usize, refused), (all.len() - 1, 1));
    let (envelopes, _, refused) = world.import(1, bytes.clone());
    assert_eq!((envelopes, refused), (1, 0), "the intact one, and those that came with it before are known");
    assert_eq!(world.import(1, bytes), (0, 0, 0));
}

/// Puts filters of so many strangers into the first node's book, and a new one of the third node, signed.
fn shelve(world: &mut World, count: u8, segment_length: u32) -> u64 {
    let version = world.now.0 + 1;
    let filter = tests::blank(world.peers[0].node(), &world.peers[2].keyring, version, segment_length);
    for n in 0..count {
        tests::shelve(world, 0, tests::claim(&filter, NodeId([100 + n; 32])));
    }
    tests::shelve(world, 0, filter);
    version
}

#[test]
fn the_filters_of_a_large_mesh_leave_room_for_messages_and_stay_within_what_an_import_takes() {
    let (mut world, all) = waiting(5);
    shelve(&mut world, 17, 1 << 17);
    let OperatorReply::Bundle { bytes, left, .. } = world.operator(0, OperatorCommand::BundleExport) else { panic!() };
    assert!(bytes.len() <= BUNDLE_BYTES_MAX && bytes.len() > BUNDLE_BYTES_MAX * 3 / 4, "{}", bytes.len());
    assert!(left.filters > 0 && left.messages + left.facts == 0, "{left:?}");
    assert_eq!(messages(&world, &bytes), all);
    let (envelopes, ..) = world.import(1, bytes);
    assert_eq!(envelopes as usize, all.len());
}

#[test]
fn each_filter_has_its_turn_and_those_that_are_needed_always() {
    let (mut world, all) = waiting(5);
    let version = shelve(&mut world, 20, 1 << 10);
    let own = [0, 1, 2].map(|at| world.id(at));
    let mut seen: BTreeSet<NodeId> = BTreeSet::new();
    let mut exports = 0;
    while seen.len() < 23 {
        exports += 1;
        let (bytes, left) = export(&mut world, 200_000);
        assert!(left.filters > 0 && left.messages == 0, "{left:?}");
        assert_eq!(messages(&world, &bytes), all);
        let of = tests::owners(&parse(&bytes).unwrap().filters);
        assert!(of.contains(&own[0]) && of.contains(&own[1]), "own filters, and those of a message's candidates");
        if of.contains(&own[2]) {
            world.import(1, bytes);
            let heads = filter_heads(world.peers[1].node());
            let of_gamma = heads.iter().find(|head| head.node == own[2] && head.layer == FilterLayer::Base);
            assert_eq!(of_gamma.map(|head| head.version), Some(version));
        }
        seen.extend(of);
        assert!(exports < 10, "each filter has its turn");
    }
    assert!(exports > 3);
}

#[test]
fn a_file_of_countless_empty_items_is_refused() {
    let (world, _) = waiting(0);
    let mesh = world.peers[0].node().membership.mesh();
    let file = |count: usize| {
        let facts: Vec<ByteBuf> = vec![ByteBuf::new(); count];
        let bundle = Bundle { mesh, facts, filters: Vec::new(), carried: Vec::new() };
        postcard::to_extend(&bundle, MAGIC.to_vec()).unwrap()
    };
    assert!(parse(&file(ITEMS_MAX)).is_ok());
    assert!(parse(&file(ITEMS_MAX + 1)).is_err());
}
