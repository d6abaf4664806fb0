//! Power loss: what was acknowledged is there, and no batch is there by half.
//!
//! This binary starts itself again as the process that writes, with a small C library preloaded that writes down each call
//! that changes a file. Then the power is lost at random moments of that list: a directory is made as the drive may have
//! left it (`power/disk.rs` says what may), and a process of its own opens it and looks. The same with the store's own
//! fsync forgotten must lose something, or the harness sees nothing.
//!
//! 40 cuts by default; `RELAYMESH_STORE_POWER_CUTS` asks for another number, `RELAYMESH_STORE_POWER_SEED` for other ones.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

#[path = "power/disk.rs"]
mod disk;

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::mpsc::channel,
};

use disk::{Chance, Disk, Op, read_log};
use relaymesh_store::{Batch, Completion, Config, Discard, Outcome, Read as _, Store, SubmitError};

const ROLE: &str = "RELAYMESH_STORE_POWER_ROLE";
const DIR: &str = "RELAYMESH_STORE_POWER_DIR";
const CUTS: &str = "RELAYMESH_STORE_POWER_CUTS";
const SEED: &str = "RELAYMESH_STORE_POWER_SEED";
const DEFAULT_CUTS: usize = 40;
/// Cuts of one list of calls; then another process writes.
const CUTS_PER_LIST: usize = 50;

/// Batches that the process writes, in three sittings.
const BATCHES: u64 = 1_500;
const SITTINGS: u64 = 3;
/// Batches under way at once.
const UNDER_WAY: u64 = 24;
/// Pairs that are kept; older ones are deleted, so that the engine uses its space again.
const KEPT: u64 = 150;

const TEST: &str = "acknowledged_batches_survive_power_loss";

fn pair(n: u64) -> [(Vec<u8>, Vec<u8>); 2] {
    // Some values are long enough to lie in several rows of the engine.
    let size = if n.is_multiple_of(16) { 12_000 } else { 300 };
    [b'l', b'r'].map(|side| {
        let key = [&[side], n.to_be_bytes().as_slice()].concat();
        (key, n.to_be_bytes().into_iter().cycle().take(size).collect())
    })
}

/// Batch `n`: its pair, the row that counts, and the pair that is too old.
fn batch(n: u64) -> Batch {
    let mut batch = Batch::new().put("newest", n.to_be_bytes());
    for (key, value) in pair(n) {
        batch = batch.put(key, value);
    }
    if let Some(old) = n.checked_sub(KEPT) {
        for (key, _) in pair(old) {
            batch = batch.delete(key);
        }
    }
    batch
}

#[test]
fn acknowledged_batches_survive_power_loss() {
    let Some(dir) = env::var_os(DIR) else { return run_parent() };
    match env::var(ROLE).as_deref() {
        Ok("write") => write(Path::new(&dir)),
        Ok("look") => look(Path::new(&dir)),
        other => panic!("no such role: {other:?}"),
    }
}

fn run_parent() {
    let setting = |name, default| env::var(name).map_or(default, |n| n.parse().expect("a number"));
    let cuts = setting(CUTS, DEFAULT_CUTS);
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ (setting(SEED, 0) as u64) << 20);
    let place = tempfile::tempdir().unwrap();
    let shim = compile(place.path());
    let mut lost = Vec::new();
    for n in (0..cuts).step_by(CUTS_PER_LIST) {
        let ops = record(place.path(), &shim, false);
        lost.extend(cut(place.path(), &ops, CUTS_PER_LIST.min(cuts - n), &mut chance));
    }
    assert!(lost.is_empty(), "{} of {cuts} cuts: {lost:#?}", lost.len());
    let deaf = record(place.path(), &shim, true);
    let tries = cuts.min(CUTS_PER_LIST);
    let lost = cut(place.path(), &deaf, tries, &mut chance).len();
    eprintln!("{cuts} cuts, nothing lost; without our fsync {lost} of {tries} lose something");
    assert!(lost > 0, "without our fsync nothing is lost either: this test sees nothing");
}

/// Makes the library from its source; building this workspace needs a C compiler anyway.
fn compile(place: &Path) -> PathBuf {
    let (source, shim) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/shim.c"), place.join("shim.so"));
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let args = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"];
    let done = Command::new(&compiler).args(args).arg(&shim).arg(&source).args(["-ldl", "-lpthread"]).status();
    assert!(done.unwrap_or_else(|error| panic!("{compiler}: {error}")).success());
    shim
}

fn start(role: &str, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", TEST, "--nocapture"]).env(ROLE, role).env(DIR, dir);
    command
}

/// What a process that writes did to its files. `deaf`: fsyncs of the store's own are not written down.
fn record(place: &Path, shim: &Path, deaf: bool) -> Vec<Op> {
    let (dir, log) = (place.join("written"), place.join("log"));
    let _absent_at_first = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).unwrap();
    let mut command = start("write", &dir);
    command.env("LD_PRELOAD", shim).env("RELAYMESH_POWER_ROOT", &dir).env("RELAYMESH_POWER_LOG", &log);
    if deaf {
        command.env("RELAYMESH_POWER_DEAF", "1");
    }
    succeeded("the writer", &command.output().unwrap());
    let ops = read_log(&log);
    let mut disk = Disk::new();
    ops.iter().for_each(|op| disk.apply(op));
    assert!(disk.is_at(&dir), "a call was missed");
    ops
}

fn succeeded(who: &str, output: &Output) {
    assert!(output.status.success(), "{who} failed: {}", String::from_utf8_lossy(&output.stderr));
}

/// Loses the power at so many moments, and tells what was lost.
fn cut(place: &Path, ops: &[Op], cuts: usize, chance: &mut Chance) -> Vec<String> {
    let mut moments: Vec<usize> = (0..cuts).map(|_| chance.below(ops.len() + 1)).collect();
    moments.sort_unstable();
    let (mut disk, mut done, mut lost) = (Disk::new(), 0, Vec::new());
    for moment in moments {
        for op in &ops[done..moment] {
            disk.apply(op);
        }
        done = moment;
        let left = place.join("left");
        disk.lose_power(&left, chance);
        // Acknowledgements were told to somebody: they are not lost with the disk.
        let acks = acknowledged(&ops[..done]);
        fs::write(left.join("acks"), acks.to_string()).unwrap();
        let output = start("look", &left).output().unwrap();
        if !output.status.success() {
            // sled panics on some kinds of damage, and the looker with it.
            let why = String::from_utf8_lossy(&output.stderr);
            lost.push(format!("call {moment} of {}: {}", ops.len(), why.lines().take(3).collect::<Vec<_>>().join(" ")));
        }
        fs::remove_dir_all(&left).unwrap();
    }
    lost
}

/// Batches of which the process said that they are safe.
fn acknowledged(ops: &[Op]) -> u64 {
    let mut acks = None;
    let mut count = 0;
    for op in ops {
        match op {
            Op::Open { fd, path, .. } if path == "acks" => acks = Some(*fd),
            Op::Write { fd, bytes, .. } if acks == Some(*fd) => count += bytes.len() as u64 / 8,
            _ => {}
        }
    }
    count
}

fn write(dir: &Path) {
    let mut acks = fs::File::create(dir.join("acks")).unwrap();
    for sitting in 0..SITTINGS {
        let (sink, done) = channel();
        let store = Store::open(Config::new(dir.join("store")), sink).unwrap();
        let (mut next, last) = (sitting * BATCHES / SITTINGS, (sitting + 1) * BATCHES / SITTINGS);
        let mut confirmed = next;
        while confirmed < last {
            while next < last.min(confirmed + UNDER_WAY) {
                match store.submit(next, batch(next)) {
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
        store.close();
    }
}

fn look(dir: &Path) {
    let acknowledged: u64 = fs::read_to_string(dir.join("acks")).unwrap().parse().unwrap();
    if let Err(loss) = check(dir, acknowledged) {
        eprintln!("{loss}");
        std::process::exit(1);
    }
}

/// What is wrong with the store.
fn check(dir: &Path, acknowledged: u64) -> Result<(), String> {
    // A store that was never finished has acknowledged nothing, and is made anew.
    let store = Store::open(Config::new(dir.join("store")), Discard).map_err(|error| format!("{error:?}"))?;
    let read = |key: &[u8]| store.get(key).map_err(|error| format!("{error:?}"));
    let newest = read(b"newest")?.map(|record| u64::from_be_bytes(record.value.try_into().unwrap()));
    let next = newest.map_or(0, |n| n + 1);
    if next < acknowledged {
        return Err(format!("{next} batches are there, {acknowledged} were acknowledged"));
    }
    for n in next.saturating_sub(KEPT)..next {
        let version = read(b"newest")?.map(|record| record.version);
        for (key, value) in pair(n) {
            let found = read(&key)?.ok_or_else(|| format!("a row of batch {n} of {next} is missing"))?;
            if found.value != value || Some(found.version) > version {
                return Err(format!("a row of batch {n} of {next} differs"));
            }
        }
    }
    let records = store.stats().unwrap().records_estimate;
    let wanted = if next == 0 { 0 } else { 1 + 2 * next.min(KEPT) };
    if records != wanted || store.scan(b"", None, 1_000).map_err(|error| format!("{error:?}"))?.len() as u64 != wanted {
        return Err(format!("{records} records after batch {next}, not {wanted}"));
    }
    // It goes on from there.
    if store.apply(batch(next)) != Outcome::Ok {
        return Err(format!("batch {next} cannot be written"));
    }
    store.close();
    Ok(())
}
