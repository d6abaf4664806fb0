//! Random histories against a plain map: both engines and the simulator's store must agree with it.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use std::collections::BTreeMap;

use common::Bed;
use proptest::prelude::*;
use relaymesh_store::{Batch, Discard, MemoryStore, Outcome, Read, Version};

type Model = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, usize),
    Delete(u8),
    /// Expects the true version (or one off).
    Expect(u8, bool),
}

#[derive(Clone, Debug)]
enum Event {
    Batch(Vec<Step>),
    Scan(u8, Option<u8>, usize),
    Reopen,
}

/// Few keys, so that they meet; some are prefixes of others.
fn key(n: u8) -> Vec<u8> {
    vec![b'k'; usize::from(n % 3) + 1].into_iter().chain([n / 3]).collect()
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0..40_usize, 1 => 5_000..20_000_usize];
    prop_oneof![
        4 => (0..12_u8, size).prop_map(|(key, size)| Step::Put(key, size)),
        2 => (0..12_u8).prop_map(Step::Delete),
        2 => (0..12_u8, proptest::bool::weighted(0.85)).prop_map(|(key, true_one)| Step::Expect(key, true_one)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let after = proptest::option::of(0..12_u8);
    prop_oneof![
        8 => proptest::collection::vec(step(), 0..6).prop_map(Event::Batch),
        2 => (0..4_u8, after, 0..8_usize).prop_map(|(p, a, l)| Event::Scan(p, a, l)),
        1 => Just(Event::Reopen),
    ]
}

/// What the store should do with the batch; on success the model is changed.
fn build(model: &mut Model, last: &mut u64, steps: &[Step], salt: u8) -> (Batch, Outcome) {
    let (mut batch, mut holds, mut next, mut writes) = (Batch::new(), true, model.clone(), false);
    for step in steps {
        match step {
            Step::Put(n, size) => {
                let value = vec![salt; *size];
                batch = batch.put(key(*n), value.clone());
                next.insert(key(*n), (*last + 1, value));
                writes = true;
            }
            Step::Delete(n) => {
                batch = batch.delete(key(*n));
                next.remove(&key(*n));
                writes = true;
            }
            Step::Expect(n, true_one) => {
                let version = model.get(&key(*n)).map_or(0, |(version, _)| *version);
                batch = batch.expect(key(*n), Version(version + u64::from(!true_one)));
                holds &= true_one;
            }
        }
    }
    if !holds {
        return (batch, Outcome::Conflict);
    }
    *model = next;
    *last += u64::from(writes);
    (batch, Outcome::Ok)
}

fn expected_scan(model: &Model, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Vec<u8>> {
    let keys = model.keys().filter(|key| key.starts_with(prefix));
    keys.filter(|key| after.is_none_or(|after| key.as_slice() > after)).take(limit).cloned().collect()
}

fn check_scan(store: &dyn Read, model: &Model, prefix: &[u8], after: Option<&[u8]>, limit: usize) {
    let rows = store.scan(prefix, after, limit).unwrap();
    let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, expected_scan(model, prefix, after, limit));
    for (key, record) in rows {
        assert!(model[&key].1 == record.value, "wrong value");
        assert_eq!(store.get(&key).unwrap(), Some(record));
    }
}

/// A number given out to a batch that changes nothing need not outlive a restart, so versions are
/// compared with the model by what they promise: equal records keep theirs, new ones get a new one.
fn adopt_versions(store: &dyn Read, model: &mut Model, last: &mut u64) {
    let mut highest = 0;
    for (key, (version, _)) in model.iter_mut() {
        let found = store.get(key).unwrap().unwrap().version.0;
        assert!(found <= *version, "a version from the future");
        highest = highest.max(found);
        *version = found;
    }
    *last = (*last).max(highest);
}

fn run_on(bed: &Bed, events: &[Event]) {
    let (mut model, mut last) = (Model::new(), 0);
    let mut store = bed.open(Discard);
    for (event, salt) in events.iter().zip(0_u8..) {
        match event {
            Event::Batch(steps) => {
                let (batch, outcome) = build(&mut model, &mut last, steps, salt);
                assert_eq!(store.apply(batch), outcome);
            }
            Event::Scan(prefix, after, limit) => {
                let (prefix, after) = (vec![b'k'; (*prefix).into()], after.map(key));
                check_scan(&store, &model, &prefix, after.as_deref(), *limit);
            }
            Event::Reopen => store = bed.reopen(store, Discard),
        }
        adopt_versions(&store, &mut model, &mut last);
        assert_eq!(store.stats().unwrap().records_estimate, model.len() as u64);
    }
    check_scan(&store, &model, b"", None, usize::MAX / 2);
    store.close();
}

/// The simulator's store, with syncs held between two reopens, which are crashes here.
fn run_on_simulated(events: &[Event]) {
    let (mut model, mut last) = (Model::new(), 0);
    let mut store = MemoryStore::new();
    store.hold_sync(true);
    let mut durable = (model.clone(), last);
    for (event, salt) in events.iter().zip(0_u8..) {
        match event {
            Event::Batch(steps) => {
                let (batch, outcome) = build(&mut model, &mut last, steps, salt);
                assert_eq!(store.apply(batch), outcome);
            }
            Event::Scan(..) => {
                assert_eq!(store.sync(), Outcome::Ok);
                durable = (model.clone(), last);
            }
            Event::Reopen => {
                store.crash();
                (model, last) = durable.clone();
                // Numbers of batches that left no change are not on the disk.
                adopt_last(&mut store, &mut last);
            }
        }
        check_scan(&store, &durable.0, b"", None, 99);
        assert_eq!(store.records(), model.len() as u64);
    }
}

fn adopt_last(store: &mut MemoryStore, last: &mut u64) {
    let snapshot = store.snapshot();
    assert_eq!(store.apply(Batch::new().put("probe", "")), Outcome::Ok);
    store.sync();
    let next = store.get(b"probe").unwrap().unwrap().version.0;
    assert!(next <= *last + 1, "a number was skipped");
    *last = next - 1;
    store.restore(snapshot);
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    proptest::collection::vec(event(), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn sled_agrees_with_the_model(events in events()) {
        run_on(&Bed::sled(), &events);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn memory_agrees_with_the_model(events in events()) {
        run_on(&Bed::memory(), &events);
    }

    #[test]
    fn the_simulated_store_agrees_with_the_model(events in events()) {
        run_on_simulated(&events);
    }
}
