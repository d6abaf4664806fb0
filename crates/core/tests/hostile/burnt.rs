//! A custodian reads the ids of the envelopes that it carries, and can write them into others.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_core::crypto::{Crypto, Letter, RealCrypto};
use relaymesh_core::delivery::Body;
use relaymesh_core::record::key;
use relaymesh_protocol::frame::Carried;
use relaymesh_protocol::ids::{EnvelopeId, Timestamp};

use crate::world::World;
use crate::{counter, minutes, three};

const ID: EnvelopeId = EnvelopeId([0x5a; 16]);

/// A ping of one node to another, under an id of choice.
fn ping(world: &World, from: usize, to: usize) -> Carried {
    let (keys, to) = (&world.nodes[from].keyring, &world.nodes[to]);
    let mut rng = ChaCha20Rng::seed_from_u64(from as u64);
    let body = Body::Ping { nonce: 7 }.encode();
    let sealing = RealCrypto.publics(&to.keyring).sealing[0].0;
    let expiry = Timestamp(world.now.0 + minutes(60));
    let letter = Letter { to: to.id, sealing, id: ID, created: world.now, expiry, body: &body };
    Carried { envelope: RealCrypto.seal_letter(keys, letter, &mut rng).unwrap(), hops: 0, copies: 0 }
}

#[test]
fn an_envelope_is_taken_though_another_with_its_id_came_before() {
    let (mut world, a, hostile, c) = three();
    let genuine = ping(&world, a, c);
    // To a third member, and to the recipient itself.
    for decoy in [ping(&world, hostile, a), ping(&world, hostile, c)] {
        world.deliver(hostile, c, decoy);
        world.run_for(1_000);
    }
    let (opened, known) = (counter(&world, c, "envelope_opened"), counter(&world, c, "envelope_known"));
    world.deliver(a, c, genuine.clone());
    world.run_for(1_000);
    assert_eq!((counter(&world, c, "envelope_opened"), counter(&world, c, "envelope_known")), (opened + 1, known));
    world.deliver(hostile, c, genuine);
    world.run_for(1_000);
    assert_eq!(counter(&world, c, "envelope_known"), known + 1, "once");
}

#[test]
fn a_custodian_keeps_an_envelope_beside_another_with_its_id() {
    let (mut world, a, hostile, c) = three();
    let genuine = ping(&world, a, c);
    let forged = ping(&world, hostile, c);
    world.kill(c);
    let custody =
        |world: &World, node: usize| world.nodes[node].disk.0.keys().filter(|row| row[0] == key::CUSTODY).count();
    world.deliver(hostile, a, forged);
    world.run_for(1_000);
    assert_eq!(custody(&world, a), 1);
    world.deliver(hostile, a, genuine);
    world.run_for(1_000);
    assert_eq!(custody(&world, a), 2);
    world.restart(c);
    world.run_for(minutes(20));
    assert_eq!(custody(&world, a), 0);
    assert!(counter(&world, c, "envelope_opened") >= 2, "both arrived");
}
