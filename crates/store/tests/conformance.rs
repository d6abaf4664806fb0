//! One suite for every engine, through the one handle.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

mod common;

use std::{
    collections::HashSet,
    io::Cursor,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use common::Bed;
use relaymesh_store::{
    Batch, Completion, Config, Discard, ImportError, MAX_KEY_BYTES, MAX_VALUE_BYTES, MemoryDisk, Outcome, Read as _,
    Store, StoreError, SubmitError, Version,
};

/// Commits in which a long record is written again under the eyes of readers.
const LONG_COMMITS: usize = 200;

/// Runs a test on each engine.
fn both(test: impl Fn(&Bed)) {
    test(&Bed::memory());
    test(&Bed::sled());
}

fn value(store: &Store, key: &str) -> Option<Vec<u8>> {
    store.get(key.as_bytes()).unwrap().map(|record| record.value)
}

fn keys(store: &Store, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let rows = store.scan(prefix.as_bytes(), after.map(str::as_bytes), limit).unwrap();
    rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

#[test]
fn put_get_replace_delete() {
    both(|bed| {
        let store = bed.open(Discard);
        assert_eq!(store.get(b"a").unwrap(), None);
        assert_eq!(store.apply(Batch::new().put("a", "1")), Outcome::Ok);
        assert_eq!(value(&store, "a"), Some(b"1".to_vec()));
        assert_eq!(store.apply(Batch::new().put("a", "")), Outcome::Ok);
        assert_eq!(value(&store, "a"), Some(vec![]));
        assert_eq!(store.apply(Batch::new().delete("a").delete("never")), Outcome::Ok);
        assert_eq!(store.get(b"a").unwrap(), None);
        // Of two writes to one key the later counts.
        assert_eq!(store.apply(Batch::new().put("a", "1").put("a", "2")), Outcome::Ok);
        assert_eq!(value(&store, "a"), Some(b"2".to_vec()));
        let keys = [b"a".to_vec(), b"b".to_vec(), b"a".to_vec()];
        let many = store.get_many(&keys).unwrap();
        assert_eq!(many.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    });
}

#[test]
fn long_values_survive_every_change_of_length() {
    both(|bed| {
        let mut store = bed.open(Discard);
        let sizes = [0, 5120, 5121, 10_240, 10_241, MAX_VALUE_BYTES, 1, 60_000, 5119];
        for (n, size) in (0_u8..).zip(sizes) {
            let long: Vec<u8> = (0..size).map(|i| (i % 251) as u8 ^ n).collect();
            assert_eq!(store.apply(Batch::new().put("k", long.clone()).put("l", "x")), Outcome::Ok);
            assert_eq!(value(&store, "k"), Some(long.clone()), "{size}");
            store = bed.reopen(store, Discard);
            assert_eq!(value(&store, "k"), Some(long), "{size}");
            assert_eq!(keys(&store, "", None, 9), ["k", "l"]);
        }
        assert_eq!(store.apply(Batch::new().put("k", vec![0; MAX_VALUE_BYTES + 1])), Outcome::Failed);
        let too_long = Batch::new().put("k", vec![0; MAX_VALUE_BYTES + 1]);
        assert!(matches!(store.submit(1, too_long), Err(SubmitError::Invalid(_))));
    });
}

#[test]
fn scans_are_ordered_bounded_and_paged() {
    both(|bed| {
        let store = bed.open(Discard);
        let names = ["b/2", "a/9", "b/10", "b/1", "b", "c/1", "b0", "b/"];
        let batch = names.iter().fold(Batch::new(), |batch, name| batch.put(*name, *name));
        assert_eq!(store.apply(batch), Outcome::Ok);
        let all = ["a/9", "b", "b/", "b/1", "b/10", "b/2", "b0", "c/1"];
        assert_eq!(keys(&store, "", None, 99), all);
        assert_eq!(keys(&store, "b/", None, 99), ["b/", "b/1", "b/10", "b/2"]);
        assert_eq!(keys(&store, "b/", Some("b/1"), 99), ["b/10", "b/2"]);
        assert_eq!(keys(&store, "b/", Some("a"), 2), ["b/", "b/1"]);
        assert_eq!(keys(&store, "b/", Some("b/"), 1), ["b/1"]);
        assert!(keys(&store, "b/", Some("c"), 99).is_empty());
        assert!(keys(&store, "b/", None, 0).is_empty());
        assert!(keys(&store, "zz", None, 9).is_empty());
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = keys(&store, "", after.as_deref(), 3);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            paged.extend(page);
        }
        assert_eq!(paged, all);
    });
}

#[test]
fn a_key_of_high_bytes_stays_in_its_prefix() {
    both(|bed| {
        let store = bed.open(Discard);
        let batch = Batch::new().put(vec![0xff], "1").put(vec![0xff, 0xff], "2").put(vec![0], "0");
        assert_eq!(store.apply(batch), Outcome::Ok);
        assert_eq!(store.scan(&[0xff], None, 9).unwrap().len(), 2);
        assert_eq!(store.scan(&[0xff], Some(&[0xff]), 9).unwrap().len(), 1);
        assert_eq!(store.scan(&[], None, 9).unwrap().len(), 3);
    });
}

#[test]
fn preconditions_hold_or_nothing_happens() {
    both(|bed| {
        let store = bed.open(Discard);
        let create = || Batch::new().expect("a", Version::ABSENT).put("a", "1").put("b", "1");
        assert_eq!(store.apply(create()), Outcome::Ok);
        let before = store.scan(b"", None, 9).unwrap();
        assert_eq!(store.apply(create()), Outcome::Conflict);
        let version = store.get(b"a").unwrap().unwrap().version;
        let stale = Batch::new().expect("a", version).expect("b", Version(version.0 + 1));
        assert_eq!(store.apply(stale.put("a", "2").delete("b").put("c", "2")), Outcome::Conflict);
        assert_eq!(store.apply(Batch::new().expect("no", Version(1)).put("c", "2")), Outcome::Conflict);
        assert_eq!(store.scan(b"", None, 9).unwrap(), before);
        assert_eq!(store.stats().unwrap().records_estimate, 2);
        let good = Batch::new().expect("a", version).expect("c", Version::ABSENT).put("a", "2");
        assert_eq!(store.apply(good), Outcome::Ok);
        assert!(store.get(b"a").unwrap().unwrap().version > version);
        assert_eq!(store.apply(Batch::new().expect("a", Version(0))), Outcome::Conflict);
    });
}

#[test]
fn versions_are_never_given_out_twice() {
    both(|bed| {
        let mut store = bed.open(Discard);
        let mut seen = HashSet::new();
        for round in 0..6 {
            assert_eq!(store.apply(Batch::new().put("a", "x")), Outcome::Ok);
            let version = store.get(b"a").unwrap().unwrap().version;
            assert!(version > Version::ABSENT && seen.insert(version), "{round}: {version:?}");
            assert_eq!(store.apply(Batch::new().delete("a")), Outcome::Ok);
            if round % 2 == 1 {
                store = bed.reopen(store, Discard);
            }
        }
    });
}

#[test]
fn reopening_keeps_everything() {
    both(|bed| {
        let store = bed.open(Discard);
        for n in 0..200_u32 {
            let batch = Batch::new().put(n.to_be_bytes(), n.to_string()).delete((n / 2).to_be_bytes());
            assert_eq!(store.apply(batch), Outcome::Ok);
        }
        let (before, stats) = (store.scan(b"", None, 999).unwrap(), store.stats().unwrap());
        assert_eq!(stats.records_estimate, before.len() as u64);
        assert!(stats.bytes_on_disk > 0 && stats.commits >= 1 && stats.fsyncs == stats.commits);
        let store = bed.reopen(store, Discard);
        assert_eq!(store.scan(b"", None, 999).unwrap(), before);
        assert_eq!(store.stats().unwrap().records_estimate, stats.records_estimate);
    });
}

#[test]
fn a_closed_store_says_so() {
    both(|bed| {
        let store = bed.open(Discard);
        let other = store.clone();
        other.close();
        assert_eq!(store.get(b"a"), Err(StoreError::Closed));
        assert_eq!(store.submit(1, Batch::new()), Err(SubmitError::Closed));
        assert_eq!(store.apply(Batch::new().put("a", "1")), Outcome::Failed);
        store.close();
    });
}

#[test]
fn completions_come_once_in_order_and_know_the_group() {
    both(|bed| {
        let (sink, done) = channel();
        let store = bed.open(sink);
        // Each batch but the first builds on the version that the one before makes.
        for token in 0..500_u64 {
            let batch = Batch::new().expect("head", Version(token)).put("head", token.to_be_bytes());
            submit_patiently(&store, token, batch);
        }
        store.close();
        let all: Vec<_> = done.iter().collect();
        let wanted = (0..500).map(|token| Completion { token, outcome: Outcome::Ok });
        assert!(all.into_iter().eq(wanted));
    });
}

#[test]
fn sixty_four_threads_get_each_answer_exactly_once() {
    const THREADS: u64 = 64;
    const EACH: u64 = 20;
    both(|bed| {
        let (sink, done) = channel();
        let store = bed.open(sink);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let store = store.clone();
                scope.spawn(move || {
                    for n in 0..EACH {
                        // Everybody wants the shared key; one of each round gets it.
                        let batch = Batch::new()
                            .expect(format!("shared/{n}"), Version::ABSENT)
                            .put(format!("shared/{n}"), thread.to_be_bytes())
                            .put(format!("own/{thread}/{n}"), "1");
                        submit_patiently(&store, thread * EACH + n, batch);
                    }
                });
            }
        });
        store.close();
        check_winners(&done, THREADS, EACH);
        let store = bed.open(Discard);
        assert_eq!(store.scan(b"own/", None, 9999).unwrap().len() as u64, EACH);
        assert_eq!(store.stats().unwrap().records_estimate, 2 * EACH);
    });
}

fn check_winners(done: &Receiver<Completion>, threads: u64, each: u64) {
    let (mut seen, mut won) = (HashSet::new(), HashSet::new());
    let mut last = vec![None; threads as usize];
    for Completion { token, outcome } in done.iter() {
        assert!(seen.insert(token), "{token} was answered twice");
        let (thread, n) = ((token / each) as usize, token % each);
        assert!(last[thread] < Some(n), "{token} was answered out of order");
        last[thread] = Some(n);
        match outcome {
            Outcome::Ok => assert!(won.insert(n), "two won {n}"),
            Outcome::Conflict => {}
            Outcome::Failed => panic!("{token} failed"),
        }
    }
    assert_eq!((seen.len() as u64, won.len() as u64), (threads * each, each));
}

#[test]
fn waiting_callers_share_an_fsync() {
    both(|bed| {
        let store = bed.open(Discard);
        thread::scope(|scope| {
            for thread in 0..32_u8 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..20_u8 {
                        assert_eq!(store.apply(Batch::new().put(vec![thread, n], "x")), Outcome::Ok);
                    }
                });
            }
        });
        let stats = store.stats().unwrap();
        assert_eq!(stats.batches, 640);
        assert!(stats.commits < 320, "{} commits for 640 batches", stats.commits);
    });
}

#[test]
fn a_backup_moves_to_the_other_engine() {
    both(|bed| {
        let store = bed.open(Discard);
        for n in 0..700_u32 {
            let size = if n % 100 == 0 { 90_000 } else { n as usize % 300 };
            store.submit(0, Batch::new().put(n.to_be_bytes(), vec![n as u8; size])).unwrap();
        }
        assert_eq!(store.apply(Batch::new()), Outcome::Ok);
        let mut file = Vec::new();
        assert_eq!(store.export(&mut file).unwrap(), 700);
        let other_bed = match bed {
            Bed::Memory(_) => Bed::sled(),
            Bed::Sled(_) => Bed::memory(),
        };
        let other = other_bed.open(Discard);
        assert_eq!(other.import(Cursor::new(&file)).unwrap(), 700);
        let values = |store: &Store| {
            let rows = store.scan(b"", None, 999).unwrap();
            rows.into_iter().map(|(key, record)| (key, record.value)).collect::<Vec<_>>()
        };
        assert_eq!(values(&store), values(&other));
        let mut again = Vec::new();
        assert_eq!(other.export(&mut again).unwrap(), 700);
        assert!(file == again, "the backup of the copy differs");
        assert!(matches!(other.import(Cursor::new(&file)), Err(ImportError::NotEmpty)));
        assert!(matches!(
            Store::memory(&MemoryDisk::new(), Discard).unwrap().import(Cursor::new("garbage, long enough")),
            Err(ImportError::NotABackup)
        ));
    });
}

#[test]
fn a_full_queue_says_so_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, done) = channel();
    let config = Config { queue: 2, ..Config::new(dir.path().join("store")) };
    let store = Store::open(config, sink).unwrap();
    let mut taken = Vec::new();
    for token in 0..2000 {
        match store.submit(token, Batch::new().put("k", "v")) {
            Ok(()) => taken.push(token),
            Err(error) => assert_eq!(error, SubmitError::Full),
        }
    }
    assert!(taken.len() < 2000, "the queue was never full");
    store.close();
    assert_eq!(done.iter().map(|c| c.token).collect::<Vec<_>>(), taken);
}

/// sled puts pages above 128 KiB into side files that it never syncs; none may ever be made.
#[test]
fn no_value_reaches_a_side_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::open(Config::new(&path), Discard).unwrap();
    let mut chance = 1_u32;
    for n in 0..600_u32 {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = (chance >> 8) as usize % if n % 50 == 0 { MAX_VALUE_BYTES } else { 5200 };
        let mut key = vec![b'k'; MAX_KEY_BYTES];
        key[MAX_KEY_BYTES - 1] = (chance >> 24) as u8;
        let batch = if n % 3 == 0 { Batch::new().delete(key) } else { Batch::new().put(key, vec![1; size]) };
        submit_patiently(&store, 0, batch);
    }
    let index = (0..600_u32).fold(Batch::new(), |batch, n| {
        let mut key = n.wrapping_mul(2_654_435_761).to_be_bytes().to_vec();
        key.resize(MAX_KEY_BYTES, 7);
        batch.put(key, vec![2; 5120])
    });
    assert_eq!(store.apply(index), Outcome::Ok);
    let files = || std::fs::read_dir(path.join("blobs")).unwrap().count();
    assert_eq!(files(), 0);
    store.close();
    assert_eq!(files(), 0);
}

fn submit_patiently(store: &Store, token: u64, batch: Batch) {
    loop {
        match store.submit(token, batch.clone()) {
            Ok(()) => return,
            Err(SubmitError::Full) => thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A record of one byte, as often as its version of the length says.
fn is_whole(value: &[u8], sizes: &[usize]) -> bool {
    value.first().is_some_and(|first| {
        sizes.get(usize::from(*first)) == Some(&value.len()) && value.iter().all(|byte| byte == first)
    })
}

#[test]
fn a_scan_sees_a_long_record_whole_while_it_is_written_again() {
    const SIZES: [usize; 4] = [60_000, 7, 25_000, 9_000];
    both(|bed| {
        let store = bed.open(Discard);
        let put = |n: usize| {
            let value = vec![(n % SIZES.len()) as u8; SIZES[n % SIZES.len()]];
            store.apply(Batch::new().put("a", "").put("b", value.clone()).put("c", value))
        };
        assert_eq!(put(0), Outcome::Ok);
        let (done, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Relaxed) {
                        let rows = store.scan(b"", None, 9).unwrap();
                        let (b, c) = (&rows[1].1, &rows[2].1);
                        assert!(rows.len() == 3 && is_whole(&b.value, &SIZES), "{rows:?}");
                        assert_eq!((b.version, &b.value), (c.version, &c.value), "of one commit");
                        looks.fetch_add(1, Relaxed);
                    }
                });
            }
            scope.spawn(|| {
                let all = (1..LONG_COMMITS).all(|n| put(n) == Outcome::Ok);
                done.store(true, Relaxed);
                assert!(all);
            });
        });
        assert!(looks.into_inner() > 0);
    });
}
