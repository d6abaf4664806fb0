//! Members with real keys that claim people, take envelopes and drop them, or decline everything.

use std::cell::RefCell;
use std::rc::Rc;

use relaymesh_core::command::{OperatorCommand, OperatorReply};
use relaymesh_core::crypto::{Crypto, RealCrypto, RecordAad};
use relaymesh_core::delivery::{Body, Receipt};
use relaymesh_core::record::key;
use relaymesh_protocol::frame::{Carried, FilterLayer, Taken};
use relaymesh_protocol::ids::{DeviceId, EntityId, MeshId, NodeId};
use relaymesh_seal::{labels, tags};
use serde::Serialize;
use serde_bytes::ByteBuf;
use xorf::{BinaryFuse16, Descriptor};
use zeroize::Zeroizing;

use crate::receipts::Swallows;
use crate::world::{Fate, Frame, Mind, Person, Sim, World, open, seal_to};
use crate::{NUMBER, counter, minutes, three};

/// The mesh of the world: the first node's.
const MESH: MeshId = MeshId([1; 16]);

#[derive(Serialize)]
struct Bundle {
    mesh: MeshId,
    facts: Vec<ByteBuf>,
    filters: Vec<ByteBuf>,
    carried: Vec<Carried>,
}

/// Hands a node filters, as a bundle would.
fn hand_filters(world: &mut World, to: usize, filters: Vec<ByteBuf>) -> u64 {
    let bundle = Bundle { mesh: MESH, facts: Vec::new(), filters, carried: Vec::new() };
    let bytes = postcard::to_extend(&bundle, b"RMBUNDL1".to_vec()).unwrap();
    match world.operate(to, OperatorCommand::BundleImport { bytes }) {
        OperatorReply::Imported { facts, .. } => facts,
        other => panic!("{other:?}"),
    }
}

/// A filter's body: `format ‖ node ‖ layer ‖ version ‖ …`.
fn body(of: NodeId, layer: FilterLayer, version: u64, rest: &[u8]) -> Vec<u8> {
    [&[1], &of.0[..], &[layer as u8], &version.to_be_bytes(), rest].concat()
}

/// A body as a filter of a mesh, signed by whoever holds `by`'s keys.
fn signed_in(world: &World, by: usize, mesh: &MeshId, body: &[u8]) -> ByteBuf {
    let signature = RealCrypto.sign(&world.nodes[by].keyring, labels::FILTER, &[mesh.as_bytes(), body]);
    ByteBuf::from([&signature[..], body].concat())
}

/// A filter's body from its key count on, made a filter of `of`.
fn signed(world: &World, of: usize, layer: FilterLayer, version: u64, rest: &[u8]) -> ByteBuf {
    signed_in(world, of, &MESH, &body(world.nodes[of].id, layer, version, rest))
}

/// A set of these people and some more keys, as it stands in a filter of `of`.
fn set_of(of: &NodeId, devices: &[DeviceId]) -> Vec<u8> {
    let mut keys: Vec<u64> = devices.iter().map(|device| tags::filter_key(&tags::device_tag(device), of)).collect();
    keys.extend(1..256);
    let set = BinaryFuse16::try_from(&keys).unwrap();
    let mut rest = (keys.len() as u32).to_be_bytes().to_vec();
    let Descriptor { seed, segment_length, segment_length_mask, segment_count_length } = set.descriptor;
    rest.extend(seed.to_le_bytes());
    for word in [segment_length, segment_length_mask, segment_count_length] {
        rest.extend(word.to_le_bytes());
    }
    rest.extend(set.fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
    rest
}

/// `of` claims to hold these people, and `to` hears of it.
pub fn suspects(world: &mut World, to: usize, of: usize, devices: &[DeviceId]) {
    let rest = set_of(&world.nodes[of].id, devices);
    let filter = signed(world, of, FilterLayer::Recent, world.now.0, &rest);
    assert_eq!(hand_filters(world, to, vec![filter]), 1, "the claim is accepted as a filter");
    world.run_for(1_000);
}

/// Answers every submission with `Declined`.
struct Declines {
    seed: u64,
    sealing: Vec<(NodeId, [u8; 32])>,
    declined: Rc<RefCell<u64>>,
}

impl Mind for Declines {
    fn envelope(&mut self, me: &Sim, _: NodeId, carried: &Carried) -> (Taken, Vec<(NodeId, Carried)>) {
        let Some((sender, Body::Submission(submission))) = open(&me.keyring, carried) else {
            return (Taken::Yes, Vec::new());
        };
        self.seed += 1;
        *self.declined.borrow_mut() += 1;
        let receipt = Receipt::Declined { message: submission.message };
        let sealing = self.sealing.iter().find(|(id, _)| *id == sender).unwrap().1;
        let body = Body::Receipts(vec![receipt]).encode();
        let letter = seal_to(&me.keyring, sender, sealing, submission.received, &body, self.seed);
        (Taken::Yes, vec![(sender, letter)])
    }
}

/// Refuses everything, as if it could not be reached.
struct Refuses;

impl Mind for Refuses {
    fn envelope(&mut self, _: &Sim, _: NodeId, _: &Carried) -> (Taken, Vec<(NodeId, Carried)>) {
        (Taken::Refused, Vec::new())
    }
}

fn sealing_keys(world: &World) -> Vec<(NodeId, [u8; 32])> {
    world.nodes.iter().map(|sim| (sim.id, RealCrypto.publics(&sim.keyring).sealing[0].0)).collect()
}

/// A lasting row of a node's own, opened with its keys.
fn opened(world: &World, node: usize, row: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, sealed) = world.nodes[node].disk.0.get(row)?;
    let shard = world.nodes[node].id;
    let place = RecordAad { shard, table: row[0], entity: EntityId([0; 16]), record: &row[1..], counter: 0 };
    let root = world.nodes[node].keyring.root.danger_bytes();
    Some(RealCrypto.open_record(root, place, sealed).unwrap().1)
}

#[test]
fn a_copied_filter_claims_nobody() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let mut copies = Vec::new();
    for layer in [FilterLayer::Base, FilterLayer::Recent] {
        let row = key::filter(&world.nodes[c].id, layer);
        let Some(value) = opened(&world, a, &row) else { continue };
        // The row ends with the filter's bytes; its fixed part before key count and set is 64 + 1 + 32 + 1 + 8 bytes.
        let author = world.nodes[c].id.0;
        let at = value.windows(32).position(|window| window == author).unwrap();
        copies.push(signed(&world, b, layer, world.now.0, &value[at + 32 + 1 + 8..]));
    }
    assert!(!copies.is_empty(), "a knows c's filter");
    let count = copies.len() as u64;
    assert_eq!(hand_filters(&mut world, a, copies), count);
    let swallowed = Rc::new(RefCell::new(0));
    world.seize(b, Declines { seed: 9_000, sealing: sealing_keys(&world), declined: swallowed.clone() });
    for n in 0..5 {
        let sms = person.compose(&format!("copied {n}"), true);
        person.send(&mut world, a, &sms);
        world.run_for(10_000);
        assert_eq!(world.count(&format!("copied {n}")), 1, "without any delay");
    }
    assert_eq!(*swallowed.borrow(), 0, "b was not even asked");
}

#[test]
fn a_filter_signed_by_another_or_of_another_mesh_is_none() {
    let (mut world, a, b, c) = three();
    world.run_for(minutes(3));
    let (of, version) = (world.nodes[b].id, world.now.0);
    let body = body(of, FilterLayer::Base, version, &set_of(&of, &[]));
    let sound = signed_in(&world, b, &MESH, &body);
    let flipped = |at: usize| {
        let mut filter = sound.clone();
        filter[at] ^= 1 << (at % 8);
        filter
    };
    // The mesh that it was in before it joined this one.
    let former = world.nodes[b].config.mesh;
    assert_ne!(former, MESH);
    let unsigned = [signed_in(&world, c, &MESH, &body), signed_in(&world, b, &former, &body)];
    for filter in unsigned.into_iter().chain((0..64).map(flipped)) {
        let before = counter(&world, a, "filter_unsigned");
        assert_eq!(hand_filters(&mut world, a, vec![filter]), 0);
        assert_eq!(counter(&world, a, "filter_unsigned"), before + 1, "all else about it is sound");
    }
    // What is signed, each byte that is no fingerprint and some that are; and what is not even that long.
    let mut bad: Vec<ByteBuf> = (64..130).chain((130..sound.len()).step_by(31)).map(flipped).collect();
    bad.extend([0, 63, 64, 129, sound.len() - 1].map(|len| ByteBuf::from(&sound[..len])));
    assert_eq!(hand_filters(&mut world, a, bad), 0);
    let claims = |world: &World| {
        let (_, filters) = world.nodes[a].node().knowledge();
        filters.iter().any(|head| (head.node, head.layer, head.version) == (of, FilterLayer::Base, version))
    };
    assert!(!claims(&world));
    assert_eq!(hand_filters(&mut world, a, vec![sound.clone()]), 1, "the sound one is taken");
    assert!(claims(&world));
}

#[test]
fn people_from_before_the_join_are_found_after_it() {
    let mut world = World::new();
    let (a, c) = (world.add("a", 1), world.add("c", 3));
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    // Long enough that the daily filter holds the person.
    world.run_for(minutes(60 * 26));
    world.join(a, c);
    world.run_for(minutes(5));
    let sms = person.compose("moved in", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(20));
    assert_eq!(world.count("moved in"), 1);
}

#[test]
fn a_member_that_declines_everything_delays_nothing() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    suspects(&mut world, a, b, &[person.device]);
    let declined = Rc::new(RefCell::new(0));
    world.seize(b, Declines { seed: 9_000, sealing: sealing_keys(&world), declined: declined.clone() });
    let sms = person.compose("declined", true);
    person.send(&mut world, a, &sms);
    world.run_for(10_000);
    assert_eq!(world.count("declined"), 1);
    assert!(*declined.borrow() >= 1, "it was asked");
}

/// Eight members claim the person. Each kind of lie, with a home that does not answer when it is first asked.
#[test]
fn liars_cannot_starve_the_home_of_a_message() {
    for kind in 0..3 {
        let mut world = World::new();
        let a = world.add("a", 1);
        let mut liars: Vec<usize> = (0..9).map(|n| world.add(&format!("n{n}"), 10 + n)).collect();
        for node in &liars {
            world.join(a, *node);
        }
        // Where nothing else tells candidates apart, ids do: the home is the last.
        liars.sort_by_key(|node| world.nodes[*node].id);
        let c = liars.pop().unwrap();
        world.run_for(minutes(2));
        let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
        world.run_for(minutes(3));
        for liar in &liars {
            suspects(&mut world, a, *liar, &[person.device]);
            match kind {
                0 => world.seize(*liar, Swallows),
                1 => world.seize(*liar, Refuses),
                _ => {
                    let sealing = sealing_keys(&world);
                    let seed = 10_000 * *liar as u64;
                    world.seize(*liar, Declines { seed, sealing, declined: Rc::default() });
                }
            }
        }
        // Something on the way damages what the home gets, for a while.
        world.tap(move |from, to, frame| {
            if let (true, Frame::Envelope(carried)) = ((from, to) == (a, c), frame) {
                carried.envelope[200] ^= 1;
            }
            Fate::Pass
        });
        let sms = person.compose("starved", true);
        person.send(&mut world, a, &sms);
        world.run_for(minutes(3));
        assert_eq!(world.count("starved"), 0);
        world.untap();
        world.run_for(minutes(180));
        assert_eq!(world.count("starved"), 1, "kind {kind}");
    }
}

#[test]
fn connections_of_strangers_set_no_message_in_motion() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(2));
    world.kill(c);
    world.kill(b);
    for n in 0..20 {
        let sms = person.compose(&format!("held {n}"), true);
        person.send(&mut world, a, &sms);
    }
    world.run_for(minutes(120));
    let before = world.frames;
    for n in 0..100 {
        let now = world.now;
        world.nodes[a].feed(relaymesh_core::Input::Connected(NodeId([n; 32])), now);
        world.run_for(20);
    }
    assert!(world.frames - before < 20, "{} frames for a hundred strangers", world.frames - before);
}

#[test]
fn a_member_that_connects_all_the_time_sets_its_messages_in_motion_once_a_minute() {
    let (mut world, a, b, c) = three();
    let mut people: Vec<Person> =
        (0..20).map(|n| Person::sign_up(&mut world, c, &format!("+2376501234{n:02}"), 11 + n)).collect();
    world.run_for(minutes(2));
    suspects(&mut world, a, b, &people.iter().map(|person| person.device).collect::<Vec<_>>());
    world.seize(b, Refuses);
    world.kill(c);
    for person in &mut people {
        let sms = person.compose("held", true);
        person.send(&mut world, a, &sms);
    }
    world.run_for(minutes(120));
    let offers = Rc::new(RefCell::new(0));
    let seen = offers.clone();
    world.tap(move |from, to, frame| {
        *seen.borrow_mut() += u64::from((from, to) == (a, b) && matches!(frame, Frame::Envelope(_)));
        Fate::Pass
    });
    let id = world.nodes[b].id;
    let connect_for = |world: &mut World, seconds: u64| {
        for _ in 0..seconds {
            let now = world.now;
            world.nodes[a].feed(relaymesh_core::Input::Disconnected(id), now);
            world.nodes[a].feed(relaymesh_core::Input::Connected(id), now);
            world.run_for(1_000);
        }
        offers.take()
    };
    // Each pass brings each message once, and some once more, since nobody else takes it either.
    for _ in 0..3 {
        let offers = connect_for(&mut world, 60);
        assert!((20..=60).contains(&offers), "{offers} offers of 20 messages in a minute");
    }
    connect_for(&mut world, 30);
    // The last link, too, has its pass when its minute is over.
    world.run_for(minutes(1));
    assert!(offers.take() >= 20);
}
