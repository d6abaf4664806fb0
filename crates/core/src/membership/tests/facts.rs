//! Facts by themselves.

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use relaymesh_protocol::ids::{InstanceId, MeshId, NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;
use sha2::Digest as _;

use super::super::entry::{Entry, PER_INSTANCE_MAX, ROOTS_MAX, Verdict};
use super::super::fact::{
    ADDRS_MAX, ENDORSEMENT_LIFE_MAX, Endorsement, FACT_BYTES_MAX, Fact, FactError, Federation, Held, Instance,
    NodeRecord, RECORD_LIFE_MAX, Revocation, SKEW_MAX, STATIC_KEYS_MAX, Sponsorship, Subject,
};
use super::super::set::FactSet;
use super::net::START;
use crate::config::Roles;
use crate::crypto::{Crypto, RealCrypto};

const MESH: MeshId = MeshId([7; 16]);

/// A key ring per number.
fn ring(n: u8) -> Keyring {
    Keyring::generate(&mut ChaCha20Rng::from_seed([n; 32]), START)
}

fn node(ring: &Keyring) -> NodeId {
    RealCrypto.node_id(ring)
}

fn instance(ring: &Keyring) -> InstanceId {
    RealCrypto.instance_id(ring)
}

fn by_instance(ring: &Keyring, fact: Fact) -> Held {
    fact.signed(&MESH, |label, parts| RealCrypto.sign_instance(ring, label, parts))
}

fn by_node(ring: &Keyring, fact: Fact) -> Held {
    fact.signed(&MESH, |label, parts| RealCrypto.sign(ring, label, parts))
}

fn an_instance(ring: &Keyring, sponsor: Option<InstanceId>, name: &str, seq: u64) -> Held {
    let fact = Instance { id: instance(ring), name: name.to_owned(), contact: String::new(), sponsor, seq };
    by_instance(ring, Fact::Instance(fact))
}

fn a_sponsorship(by: &Keyring, of: InstanceId, seq: u64) -> Held {
    by_instance(by, Fact::Sponsorship(Sponsorship { sponsor: instance(by), instance: of, seq }))
}

fn an_endorsement(by: &Keyring, of: NodeId, seq: u64) -> Held {
    let expires = Timestamp(seq).after(ENDORSEMENT_LIFE_MAX);
    by_instance(by, Fact::Endorsement(Endorsement { instance: instance(by), node: of, expires, seq }))
}

fn record(ring: &Keyring, seq: u64) -> NodeRecord {
    NodeRecord {
        node: node(ring),
        instance: instance(ring),
        name: "n".to_owned(),
        sealing: vec![([1; 32], START)],
        oblivious: vec![(1, [2; 32])],
        roles: Roles { gateway: true, vault: true, relay: false, bridge: false },
        addrs: vec!["/ip4/192.0.2.1/tcp/1".to_owned()],
        country: Some("CM".to_owned()),
        statics: vec![(0, [1; 4])],
        relay: None,
        seq,
        issued: Timestamp(seq),
        expires: Timestamp(seq).after(RECORD_LIFE_MAX),
        sms: Some(Vec::new()),
    }
}

fn a_node(ring: &Keyring, seq: u64) -> Held {
    by_node(ring, Fact::Node(record(ring, seq)))
}

fn verify(held: &Held) -> Result<Held, FactError> {
    Held::verify(&RealCrypto, &MESH, &held.bytes, START)
}

#[test]
fn every_kind_is_read_as_it_was_signed() {
    let (a, b) = (ring(1), ring(2));
    let federation = Federation { from: instance(&a), to: instance(&b), on: true, seq: 3 };
    let revocation = Revocation { by: instance(&a), node: None, seq: 3 };
    for held in [
        an_instance(&a, None, "a", START.0),
        a_sponsorship(&a, instance(&b), START.0),
        an_endorsement(&a, node(&a), START.0),
        a_node(&a, START.0),
        by_instance(&a, Fact::Federation(federation)),
        by_instance(&a, Fact::Revocation(revocation)),
    ] {
        assert_eq!(verify(&held), Ok(held.clone()));
        assert_eq!(Held::stored(&held.bytes), Some(held.clone()));
        assert_eq!(Held::restored(&RealCrypto, &MESH, &held.bytes), Some(held.clone()));
        for at in 0..held.bytes.len() {
            let mut damaged = held.clone();
            damaged.bytes[at] ^= 1;
            assert!(verify(&damaged).is_err(), "byte {at} of {:?}", held.fact);
            assert_eq!(Held::restored(&RealCrypto, &MESH, &damaged.bytes), None, "byte {at} of {:?}", held.fact);
        }
        let other = Held::verify(&RealCrypto, &MeshId([8; 16]), &held.bytes, START);
        assert_eq!(other, Err(FactError::Signature), "of another mesh");
    }
}

#[test]
fn forged_future_and_oversized_facts_are_refused() {
    let (a, b) = (ring(1), ring(2));
    let forged = by_instance(
        &b,
        Fact::Endorsement(Endorsement { instance: instance(&a), node: node(&b), expires: START, seq: START.0 }),
    );
    assert_eq!(verify(&forged), Err(FactError::Signature), "signed by another instance");
    let edge = START.after(SKEW_MAX).0;
    assert!(verify(&a_node(&a, edge)).is_ok());
    assert_eq!(verify(&a_node(&a, edge + 1)), Err(FactError::Future));
    let base = || record(&a, START.0);
    let too_much = [
        NodeRecord { name: "x".repeat(129), ..base() },
        NodeRecord { name: "a\nb".to_owned(), ..base() },
        NodeRecord { addrs: vec![String::new(); ADDRS_MAX + 1], ..base() },
        NodeRecord { addrs: vec!["/".repeat(257)], ..base() },
        NodeRecord { sealing: Vec::new(), ..base() },
        NodeRecord { sealing: vec![([0; 32], START); 21], ..base() },
        NodeRecord { statics: vec![(0, [0; 4]); STATIC_KEYS_MAX + 1], ..base() },
        NodeRecord { country: Some("Cameroon".to_owned()), ..base() },
        NodeRecord { expires: START.after(RECORD_LIFE_MAX + std::time::Duration::from_millis(1)), ..base() },
    ];
    for record in too_much {
        assert_eq!(verify(&by_node(&a, Fact::Node(record.clone()))), Err(FactError::Limit), "{record:?}");
    }
    let mut long = a_node(&a, START.0);
    long.bytes.resize(FACT_BYTES_MAX + 1, 0);
    assert_eq!(verify(&long), Err(FactError::Malformed));
    let fullest = NodeRecord {
        name: "n".repeat(128),
        sealing: vec![([1; 32], START); 20],
        oblivious: vec![(u32::MAX, [1; 32]); 4],
        addrs: vec!["a".repeat(100); ADDRS_MAX],
        statics: vec![(255, [1; 4]); STATIC_KEYS_MAX],
        relay: Some(NodeId([1; 32])),
        ..base()
    };
    assert!(verify(&by_node(&a, Fact::Node(fullest))).is_ok(), "the largest honest record fits");
}

fn stranger_entry(set: &FactSet) -> Entry<'_> {
    Entry::new(set, NodeId([0; 32]), InstanceId([0; 32]), START)
}

#[test]
fn a_fact_enters_only_behind_what_it_rests_on() {
    let (a, b) = (ring(1), ring(2));
    let mut set = FactSet::default();
    let all = [
        an_instance(&a, None, "a", 1),
        a_sponsorship(&a, instance(&b), 1),
        an_instance(&b, Some(instance(&a)), "b", 1),
        an_endorsement(&b, node(&b), START.0),
        a_node(&b, START.0),
    ];
    for held in &all[1..] {
        assert_eq!(stranger_entry(&set).offer(held), Verdict::Missing, "{:?}", held.fact.subject());
    }
    for held in &all {
        assert_eq!(stranger_entry(&set).offer(held), Verdict::New, "{:?}", held.fact.subject());
        set.put(vec![held.clone()]);
        assert_eq!(stranger_entry(&set).offer(held), Verdict::Known);
    }
    assert_eq!(set.members().keys().collect::<Vec<_>>(), [&node(&b)]);
    // In any order at once, too.
    let empty = FactSet::default();
    let mut entry = stranger_entry(&empty);
    assert_eq!(entry.take_all(all.iter().rev().cloned().collect()).0, all.len());
    let revocation = by_instance(&b, Fact::Revocation(Revocation { by: instance(&b), node: Some(node(&b)), seq: 1 }));
    set.put(vec![revocation]);
    assert!(set.members().is_empty());
    assert_eq!(stranger_entry(&set).offer(&a_node(&b, START.0 + 1)), Verdict::Refused);
    assert_eq!(set.stale(START), [Subject::Endorsement { instance: instance(&b), node: node(&b) }]);
}

#[test]
fn a_first_record_and_each_newer_one_open_a_way() {
    let a = ring(1);
    let with_key = |seq: u64, key: u8| {
        let sealing = vec![([key; 32], START)];
        by_node(&a, Fact::Node(NodeRecord { sealing, ..record(&a, seq) }))
    };
    let mut set = FactSet::default();
    assert_eq!(set.put(vec![an_instance(&a, None, "a", 1), with_key(START.0, 1)]), [], "nobody vouches for it");
    assert_eq!(set.put(vec![an_endorsement(&a, node(&a), START.0)]), [(node(&a), true)]);
    assert_eq!(set.put(vec![with_key(START.0 + 1, 1)]), [(node(&a), false)]);
    assert_eq!(set.put(vec![with_key(START.0 + 2, 2)]), [(node(&a), false)]);
    assert_eq!(set.put(vec![with_key(START.0 + 1, 1)]), [], "what is old opens nothing");
}

#[test]
fn an_expired_endorsement_and_a_long_expired_record_stay_out() {
    let a = ring(1);
    let mut set = FactSet::default();
    set.put(vec![an_instance(&a, None, "a", 1)]);
    let late = START.after(ENDORSEMENT_LIFE_MAX);
    fn entry(set: &FactSet, now: Timestamp) -> Entry<'_> {
        Entry::new(set, NodeId([0; 32]), InstanceId([0; 32]), now)
    }
    assert_eq!(entry(&set, late).offer(&an_endorsement(&a, node(&a), START.0)), Verdict::Refused);
    set.put(vec![an_endorsement(&a, node(&a), late.0)]);
    assert_eq!(entry(&set, late).offer(&a_node(&a, START.0)), Verdict::Refused);
    assert_eq!(entry(&set, late).offer(&a_node(&a, late.0)), Verdict::New);
}

#[test]
fn one_instance_cannot_use_up_the_mesh() {
    let a = ring(1);
    let mut set = FactSet::default();
    set.put(vec![an_instance(&a, None, "a", 1)]);
    let id = |n: usize| [u8::try_from(n % 256).unwrap(), u8::try_from(n / 256).unwrap()].repeat(16).try_into().unwrap();
    // Many facts of many subjects: what counts is how many enter, so one signature serves them all.
    let template = an_endorsement(&a, node(&a), START.0);
    let many = (1..=PER_INSTANCE_MAX + 50).map(|n| {
        let Fact::Endorsement(f) = template.fact.clone() else { unreachable!() };
        Held { fact: Fact::Endorsement(Endorsement { node: NodeId(id(n)), ..f }), ..template.clone() }
    });
    let mut entry = stranger_entry(&set);
    assert_eq!(entry.take_all(many.collect()).0, PER_INSTANCE_MAX);
    let template = a_sponsorship(&a, instance(&a), 1);
    let many = (1..=PER_INSTANCE_MAX + 50).map(|n| {
        let Fact::Sponsorship(f) = template.fact.clone() else { unreachable!() };
        Held { fact: Fact::Sponsorship(Sponsorship { instance: InstanceId(id(n)), ..f }), ..template.clone() }
    });
    assert_eq!(entry.take_all(many.collect()).0, PER_INSTANCE_MAX);
    let roots: Vec<Held> = (2..30).map(|n| an_instance(&ring(n), None, "root", 1)).collect();
    assert_eq!(entry.take_all(roots).0, ROOTS_MAX - 1);
}

#[test]
fn heads_show_what_each_side_lacks() {
    let a = ring(1);
    let (old, new) = (a_node(&a, START.0), a_node(&a, START.0 + 1));
    let (mut ours, mut theirs) = (FactSet::default(), FactSet::default());
    ours.put(vec![an_instance(&a, None, "a", 1), old]);
    theirs.put(vec![an_instance(&a, None, "a", 1), new.clone()]);
    assert_ne!(ours.digest(), theirs.digest());
    let wanted = ours.lacks(&theirs.heads());
    assert_eq!(wanted.len(), 1);
    assert_eq!(theirs.by_head(&wanted[0]), Some(&new));
    assert_eq!(theirs.surplus(&ours.heads(), 1, &[0, 0]), wanted);
    assert!(theirs.surplus(&ours.heads(), 1, &[]).is_empty());
    assert!(theirs.lacks(&ours.heads()).is_empty() && ours.surplus(&theirs.heads(), 1, &[0]).is_empty());
    let hashes = |set: &FactSet| {
        set.part_hashes(2, |_, _| false)
            .into_iter()
            .map(|(_, hash)| hash.unwrap().finalize().to_vec())
            .collect::<Vec<_>>()
    };
    assert_ne!(hashes(&ours), hashes(&theirs));
    ours.put(vec![new]);
    assert_eq!((ours.digest(), ours.heads()), (theirs.digest(), theirs.heads()));
    assert_eq!(hashes(&ours), hashes(&theirs), "what was remembered follows");
}

#[test]
fn two_facts_of_one_number_end_alike_everywhere() {
    let a = ring(1);
    let (one, two) = (an_instance(&a, None, "one", 5), an_instance(&a, None, "two", 5));
    let (mut here, mut there) = (FactSet::default(), FactSet::default());
    here.put(vec![one.clone()]);
    there.put(vec![two.clone()]);
    let (lacks_here, lacks_there) = (here.lacks(&there.heads()), there.lacks(&here.heads()));
    assert_eq!(lacks_here.len() + lacks_there.len(), 1, "the one with the higher hash wants the other");
    here.put(vec![two]);
    there.put(vec![one]);
    assert_eq!(here.digest(), there.digest());
}

/// Facts of a small mesh with several versions of each.
fn pool() -> Vec<Held> {
    let rings: Vec<Keyring> = (1..=4).map(ring).collect();
    let root = instance(&rings[0]);
    let mut pool = Vec::new();
    for (n, ring) in rings.iter().enumerate() {
        let sponsor = (n > 0).then_some(root);
        for seq in [1, 2, 2] {
            let name = format!("{n}-{}", pool.len());
            pool.push(an_instance(ring, sponsor, &name, seq));
            pool.push(a_node(ring, START.0 + seq));
        }
        pool.push(a_sponsorship(&rings[0], instance(ring), 1));
        pool.push(an_endorsement(ring, node(ring), START.0));
        let on = n % 2 == 0;
        pool.push(by_instance(ring, Fact::Federation(Federation { from: instance(ring), to: root, on, seq: 1 })));
    }
    let revocation = Revocation { by: instance(&rings[3]), node: Some(node(&rings[3])), seq: 1 };
    pool.push(by_instance(&rings[3], Fact::Revocation(revocation)));
    pool.retain(|held| verify(held).is_ok());
    pool
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn merging_commutes(order in Just((0..pool().len()).collect::<Vec<_>>()).prop_shuffle(), cuts in proptest::collection::vec(1_usize..9, 0..12)) {
        let pool = pool();
        let mut sorted = FactSet::default();
        sorted.put(pool.clone());
        let mut shuffled = FactSet::default();
        let mut rest = order.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            shuffled.put(now.iter().map(|at| pool[*at].clone()).collect());
            rest = later;
        }
        shuffled.put(rest.iter().map(|at| pool[*at].clone()).collect());
        prop_assert_eq!(sorted.digest(), shuffled.digest());
        prop_assert_eq!(sorted.heads(), shuffled.heads());
        prop_assert_eq!(sorted.members(), shuffled.members());
    }

    #[test]
    fn any_bytes_are_a_fact_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), versioned: bool) {
        if versioned && bytes.len() > 64 {
            bytes[64] = 1;
        }
        prop_assert!(Held::verify(&RealCrypto, &MESH, &bytes, START).is_err());
        let _ = Held::stored(&bytes);
    }
}
