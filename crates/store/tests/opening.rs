//! What happens at the door: formats, locks, damage, and creations that were killed.
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::{fs, path::Path};

use relaymesh_store::{Batch, Config, DATA_FORMAT, Discard, OpenError, Outcome, Read as _, Store};

fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(Config::new(path), Discard)
}

fn make(path: &Path) {
    let store = open(path).unwrap();
    assert_eq!(store.apply(Batch::new().put("a", "1")), Outcome::Ok);
    store.close();
}

#[test]
fn a_second_opener_is_told_to_stop_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("in use by another process"));
    assert_eq!(first.apply(Batch::new().put("a", "1")), Outcome::Ok);
    drop(first);
    // The last handle is gone; its thread frees the files within the patience of `open`.
    assert!(open(&path).unwrap().get(b"a").unwrap().is_some());
}

#[test]
fn a_newer_format_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    make(&path);
    let newer = DATA_FORMAT + 6;
    fs::write(path.join("FORMAT"), format!("relaymesh-store {newer}\n")).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found, supported, .. }
        if found == newer && supported == DATA_FORMAT));
    let text = error.to_string();
    assert!(text.contains(&newer.to_string()) && text.contains(&DATA_FORMAT.to_string()), "{text}");
}

/// Damage to the two small files beside the log is refused or means nothing: it never makes a store look empty.
#[test]
fn a_flipped_bit_in_format_or_mark_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    make(&path);
    let mut opened = 0;
    for name in ["FORMAT", "MARK"] {
        let sound = fs::read(path.join(name)).unwrap();
        for at in 0..sound.len() {
            let mut bad = sound.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(path.join(name), &bad).unwrap();
            if let Ok(store) = open(&path) {
                assert!(store.get(b"a").unwrap().is_some(), "byte {at} of {name}");
                store.close();
                opened += 1;
            }
            fs::write(path.join(name), &sound).unwrap();
        }
    }
    assert!(opened > 0, "a damaged mark says nothing");
    assert!(open(&path).unwrap().get(b"a").unwrap().is_some());
}

#[test]
fn foreign_directories_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "mine").unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::NotAStore { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    for content in ["", "something else", "relaymesh-store x"] {
        fs::write(dir.path().join("FORMAT"), content).unwrap();
        assert!(matches!(open(dir.path()), Err(OpenError::NotAStore { .. })), "{content}");
    }
    let file = dir.path().join("letter.txt");
    assert!(matches!(open(&file), Err(OpenError::Io { .. })));
}

#[test]
fn an_empty_directory_and_missing_parents_are_fine() {
    let dir = tempfile::tempdir().unwrap();
    make(&dir.path().join("some/where/store"));
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    make(&empty);
    make(&empty);
}

#[test]
fn the_draft_of_a_killed_creation_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let draft = dir.path().join(".store.creating-1");
    fs::create_dir(&draft).unwrap();
    fs::write(draft.join("db"), "half").unwrap();
    make(&dir.path().join("store"));
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["store"]);
}

#[test]
fn a_half_snapshot_is_removed_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    make(&path);
    let half = path.join("snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&half, "half").unwrap();
    assert!(open(&path).unwrap().get(b"a").unwrap().is_some());
    assert!(!half.exists());
}

#[test]
fn damage_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    make(&path);
    fs::write(path.join("snap.FFFFFFFFFFFFFFFF"), "not a snapshot at all").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("restore a backup"), "{error}");

    let path = dir.path().join("other");
    make(&path);
    fs::remove_file(path.join("db")).unwrap();
    assert!(matches!(open(&path), Err(OpenError::Corrupt { .. })));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_look_inside() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    make(&path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Flips a byte in the middle of a log of acknowledged commits.
#[test]
fn a_damaged_middle_is_refused_and_not_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    for n in 0..200_u32 {
        assert_eq!(store.apply(Batch::new().put(n.to_be_bytes(), [7; 500])), Outcome::Ok);
    }
    store.close();
    let data = fs::read(path.join("db")).unwrap();
    for at in [10_000, 40_000, 80_000] {
        let mut damaged = data.clone();
        damaged[at] ^= 0xff;
        fs::write(path.join("db"), &damaged).unwrap();
        match open(&path) {
            Err(error) => assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}"),
            Ok(store) => {
                let whole = (0..200_u32).all(|n| store.get(&n.to_be_bytes()).unwrap().is_some());
                assert!(whole, "byte {at}: records are gone without a word");
            }
        }
        fs::write(path.join("db"), &data).unwrap();
    }
}

#[test]
fn a_store_whose_directory_is_taken_away_stops_saying_yes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let commit = |n: u8| store.apply(Batch::new().put([n], [n]));
    assert_eq!(commit(1), Outcome::Ok);
    fs::remove_dir_all(&path).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(commit(2), Outcome::Failed);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(commit(3), Outcome::Failed, "no empty store is made in its place");
    assert!(!path.exists());
}

#[test]
fn a_store_is_made_only_where_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let existing = || Store::open(Config { create: false, ..Config::new(&path) }, Discard);
    assert!(matches!(existing(), Err(OpenError::Missing { .. })));
    assert!(!path.exists());
    make(&path);
    assert!(existing().unwrap().get(b"a").unwrap().is_some());
}
