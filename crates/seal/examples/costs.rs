//! Prints what each operation costs on this machine, in microseconds. Meaningful with optimisation only.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool for people at a terminal")]

use std::hint::black_box;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_protocol::ids::{E164, EntityId, EnvelopeId, NodeId, Timestamp};
use relaymesh_seal::envelope::{open, seal};
use relaymesh_seal::keys::{NodeKey, SealingSecret};
use relaymesh_seal::oblivious::{Blinded, Evaluator, Purpose, direct, finish};
use relaymesh_seal::rest::{RecordAad, RecordKey, UserKey, open_record, seal_record};

/// Runs per operation: enough for a stable mean within a few seconds.
const RUNS: u32 = 300;

fn main() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    envelopes(&mut rng);
    signatures(&mut rng);
    oblivious();
    records();
}

#[allow(clippy::disallowed_methods, reason = "the clock is what this tool is about")]
fn elapsed(mut op: impl FnMut()) -> Duration {
    let start = std::time::Instant::now();
    for _ in 0..RUNS {
        op();
    }
    start.elapsed()
}

fn measure<T>(name: &str, mut op: impl FnMut() -> T) {
    op();
    let mean = elapsed(|| drop(black_box(op()))).as_secs_f64() * 1e6 / f64::from(RUNS);
    println!("{name:<28} {mean:>9.1} µs");
}

fn envelopes(rng: &mut ChaCha20Rng) {
    let (sender, me) = (NodeKey::generate(rng), NodeKey::generate(rng).id());
    let secret = SealingSecret::generate(rng);
    let (public, body, now) = (secret.public(), [7; 600], Timestamp(1_800_000_000_000));
    let mut sealed = || seal(&sender, &me, &public, EnvelopeId([1; 16]), now, now, 1, &body, rng).unwrap();
    let one = sealed();
    measure("envelope seal, 1 KiB", sealed);
    measure("envelope open, 1 KiB", || open(&one, &me, |_| Some(&secret)).unwrap());
}

fn signatures(rng: &mut ChaCha20Rng) {
    let key = NodeKey::generate(rng);
    let (id, parts): (_, [&[u8]; 1]) = (key.id(), [&[7; 200]]);
    let sig = key.sign(b"RM1/costs\0", &parts);
    measure("sign", || key.sign(b"RM1/costs\0", &parts));
    measure("verify", || NodeKey::verify(&id, b"RM1/costs\0", &parts, &sig).unwrap());
}

fn oblivious() {
    let (node, number): (_, E164) = (Evaluator::from_seed(&[1; 32]), "+237650123456".parse().unwrap());
    let asked = Blinded::new(&number, [2; 32]);
    let (answers, proof) = node.evaluate(&[asked.blinded], [3; 32]).unwrap();
    let public = node.public();
    measure("oblivious blind", || Blinded::new(&number, [2; 32]));
    measure("oblivious evaluate, 1", || node.evaluate(&[asked.blinded], [3; 32]).unwrap());
    measure("oblivious evaluate, 64", || node.evaluate(&[asked.blinded; 64], [3; 32]).unwrap());
    measure("oblivious finish, 1", || finish(Purpose::Phone, &[&asked.state], &answers, &proof, &public).unwrap());
    measure("oblivious direct", || direct(&node, &number, Purpose::Phone));
}

fn records() {
    let (user, entity, value) = (UserKey::from_bytes([1; 32]), EntityId([2; 16]), [3; 500]);
    let key = RecordKey::derive(&user, "ratchet");
    let aad = RecordAad { shard: NodeId([4; 32]), table: "ratchet", entity: &entity, record: b"r", counter: 5 };
    let sealed = seal_record(&key, aad, [6; 24], &value);
    measure("table key", || RecordKey::derive(&user, "ratchet"));
    measure("record seal, 500 B", || seal_record(&key, aad, [6; 24], &value));
    measure("record open, 500 B", || open_record(&key, aad, &sealed).unwrap());
}
