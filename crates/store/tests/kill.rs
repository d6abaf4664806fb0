//! kill -9 at any moment: what was acknowledged is there, and no batch is there by half.
//!
//! This binary starts itself again as the process that is killed ("write") and as the one that
//! looks afterwards ("check"), so that the check sees only the disk. Each cycle goes on with the
//! store of the cycle before: recovery is killed too. A kill keeps the page cache of the kernel,
//! so this says nothing about power loss.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::{
    env, fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use relaymesh_store::{Batch, Completion, Config, Discard, Outcome, Read as _, Store, SubmitError};

const ROLE: &str = "RELAYMESH_STORE_KILL_ROLE";
const DIR: &str = "RELAYMESH_STORE_KILL_DIR";
const CYCLES: &str = "RELAYMESH_STORE_KILL_CYCLES";
const DEFAULT_CYCLES: u32 = 15;

/// Kills of one store before a new one is begun; the check reads all of it each time.
const CYCLES_PER_STORE: u32 = 15;

/// Batches that the child keeps under way, so that groups are killed and not only single ones.
const UNDER_WAY: u64 = 24;

fn pair(n: u64) -> [(Vec<u8>, Vec<u8>); 2] {
    // Some values are long enough to lie in several rows of the engine.
    let size = if n.is_multiple_of(16) { 12_000 } else { 300 };
    [b'l', b'r'].map(|side| {
        let key = [&[side], n.to_be_bytes().as_slice()].concat();
        let value = n.to_be_bytes().into_iter().cycle().take(size).collect();
        (key, value)
    })
}

#[test]
fn killed_stores_keep_every_acknowledged_pair() {
    let dir = match env::var_os(DIR) {
        Some(dir) => dir,
        None => return run_parent(),
    };
    match env::var(ROLE).as_deref() {
        Ok("write") => write(Path::new(&dir)),
        Ok("check") => check(Path::new(&dir)),
        other => panic!("no such role: {other:?}"),
    }
}

fn run_parent() {
    let cycles = env::var(CYCLES).map_or(DEFAULT_CYCLES, |n| n.parse().expect("a number of cycles"));
    let mut dir = tempfile::tempdir().unwrap();
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let (mut grown, mut pairs) = (0, 0);
    for cycle in 0..cycles {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        if cycle > 0 && cycle % CYCLES_PER_STORE == 0 {
            pairs += acknowledged(dir.path());
            dir = tempfile::tempdir().unwrap();
        }
        let before = acknowledged(dir.path());
        let mut child = start("write", dir.path());
        // The time runs from the first sign of life: on a busy machine a start may take longer
        // than the whole life that is meant. One cycle in eight is killed while it starts.
        if cycle % 8 != 7 {
            wait_for(|| acknowledged(dir.path()) > before, &mut child);
        }
        thread::sleep(Duration::from_millis(15 + chance % 121));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "the child ended before it was killed");
        let status = start("check", dir.path()).wait().unwrap();
        assert!(status.success(), "cycle {cycle}: the check failed, see above");
        grown += u32::from(acknowledged(dir.path()) > before);
    }
    assert!(grown >= cycles / 2, "only {grown} of {cycles} children came to write");
    pairs += acknowledged(dir.path());
    eprintln!("{cycles} kills, {pairs} acknowledged pairs");
}

fn start(role: &str, dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed_stores_keep_every_acknowledged_pair", "--nocapture"])
        .env(ROLE, role)
        .env(DIR, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for(ready: impl Fn() -> bool, child: &mut Child) {
    let until = Instant::now() + Duration::from_secs(20);
    while !ready() {
        if Instant::now() > until || child.try_wait().unwrap().is_some() {
            child.kill().unwrap();
            panic!("the child wrote nothing");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Pairs acknowledged in the order of their numbers; the file is beside the store and outlives
/// the kill like the page cache does.
fn acknowledged(dir: &Path) -> u64 {
    fs::metadata(dir.join("acks")).map_or(0, |meta| meta.len() / 8)
}

fn write(dir: &Path) {
    let (sink, done) = channel();
    let store = Store::open(Config::new(dir.join("store")), sink).unwrap();
    let acks = dir.join("acks");
    let mut acks = fs::OpenOptions::new().append(true).create(true).open(acks).unwrap();
    let mut next = acknowledged(dir);
    let mut confirmed = next;
    loop {
        while next < confirmed + UNDER_WAY {
            let batch = pair(next).into_iter().fold(Batch::new(), |b, (key, value)| b.put(key, value));
            match store.submit(next, batch) {
                Ok(()) => next += 1,
                Err(SubmitError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let Completion { token, outcome } = done.recv().unwrap();
        assert_eq!((token, outcome), (confirmed, Outcome::Ok));
        acks.write_all(&token.to_be_bytes()).unwrap();
        confirmed += 1;
    }
}

fn check(dir: &Path) {
    // A child that was killed while it made the store has acknowledged nothing.
    let store = Store::open(Config::new(dir.join("store")), Discard).unwrap();
    let acknowledged = acknowledged(dir);
    let mut n = 0;
    loop {
        let wanted = pair(n);
        let found = wanted.clone().map(|(key, _)| store.get(&key).unwrap());
        match found {
            [Some(left), Some(right)] => {
                assert!(left.value == wanted[0].1 && right.value == wanted[1].1, "pair {n} differs");
                assert_eq!(left.version, right.version, "pair {n} is of two commits");
            }
            [None, None] => {
                assert!(n >= acknowledged, "pair {n} of {acknowledged} acknowledged is lost");
                break;
            }
            _ => panic!("pair {n} is torn"),
        }
        n += 1;
    }
    assert_eq!(store.stats().unwrap().records_estimate, 2 * n, "records beyond pair {n}");
    store.close();
}
