//! A sealed file says what is wrong with it.

use proptest::prelude::*;
use relaymesh_phone::sealed::{Cost, CostError, Lock, OpenError, open, seal};

mod common;
use common::rng;

/// The least that Argon2 computes: these tests are about files, not about guessing.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const KEY: [u8; 32] = [1; 32];
const STATE: &[u8] = b"state of a phone";

fn passphrase(text: &str) -> Lock<'_> {
    Lock::Passphrase { text, cost: CHEAP }
}

#[test]
fn both_locks_open_what_they_sealed() {
    for lock in [Lock::Key(&KEY), passphrase("correct horse"), Lock::Passphrase { text: "x", cost: Cost::DEFAULT }] {
        let file = seal(STATE, lock, &mut rng(1)).unwrap();
        assert_eq!(open(&file, lock).unwrap().as_slice(), STATE);
        assert!(!file.windows(STATE.len()).any(|window| window == STATE));
        let again = seal(STATE, lock, &mut rng(2)).unwrap();
        assert_ne!(file[6..], again[6..]);
    }
}

#[test]
fn a_wrong_lock_is_named() {
    let with_key = seal(STATE, Lock::Key(&KEY), &mut rng(1)).unwrap();
    let with_text = seal(STATE, passphrase("correct horse"), &mut rng(1)).unwrap();
    assert_eq!(open(&with_key, Lock::Key(&[2; 32])), Err(OpenError::WrongKey));
    assert_eq!(open(&with_text, passphrase("battery staple")), Err(OpenError::WrongKey));
    assert_eq!(open(&with_key, passphrase("correct horse")), Err(OpenError::NeedsKey));
    assert_eq!(open(&with_text, Lock::Key(&KEY)), Err(OpenError::NeedsPassphrase));
}

#[test]
fn a_newer_or_foreign_file_is_named() {
    let file = seal(STATE, Lock::Key(&KEY), &mut rng(1)).unwrap();
    let with = |at: usize, byte: u8| {
        let mut file = file.clone();
        file[at] = byte;
        open(&file, Lock::Key(&KEY))
    };
    assert_eq!(with(4, 2), Err(OpenError::Version { found: 2 }));
    assert_eq!(with(0, b'X'), Err(OpenError::NotSealed));
    assert_eq!(with(5, 9), Err(OpenError::Kind { found: 9 }));
    assert_eq!(with(6, 0x7f), Err(OpenError::Length { len: 0x7f00_0000 + STATE.len() }));
    assert_eq!(open(b"", Lock::Key(&KEY)), Err(OpenError::NotSealed));
    let newer = OpenError::Version { found: 2 }.to_string();
    assert!(newer.contains("version 2") && newer.contains("newer"), "{newer}");
}

#[test]
fn every_cut_and_addition_is_named() {
    for lock in [Lock::Key(&KEY), passphrase("correct horse")] {
        let file = seal(STATE, lock, &mut rng(1)).unwrap();
        for len in 4..file.len() {
            let cut = open(&file[..len], lock);
            assert!(matches!(cut, Err(OpenError::Truncated { have, need }) if have == len && need > len), "{len}");
        }
        let long = [file.as_slice(), &[0]].concat();
        assert_eq!(open(&long, lock), Err(OpenError::Trailing { extra: 1 }));
    }
}

#[test]
fn every_flip_is_found() {
    let file = seal(STATE, Lock::Key(&KEY), &mut rng(1)).unwrap();
    let check_begins = 10;
    let body_begins = check_begins + 40;
    for at in check_begins..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        let wanted = if at < body_begins { OpenError::WrongKey } else { OpenError::Damaged };
        assert_eq!(open(&flipped, Lock::Key(&KEY)), Err(wanted), "byte {at}");
    }
    for at in 0..check_begins {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert!(open(&flipped, Lock::Key(&KEY)).is_err(), "byte {at}");
    }
}

#[test]
fn a_file_cannot_ask_for_all_memory() {
    let mut file = seal(STATE, passphrase("x"), &mut rng(1)).unwrap();
    file[22..26].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(open(&file, passphrase("x")), Err(OpenError::Cost(CostError::Bounds)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_state_round_trips(state in prop::collection::vec(any::<u8>(), 0..300), key: [u8; 32]) {
        let file = seal(&state, Lock::Key(&key), &mut rng(3)).unwrap();
        let opened = open(&file, Lock::Key(&key)).unwrap();
        prop_assert_eq!(opened.as_slice(), state.as_slice());
    }

    #[test]
    fn any_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..2u8) {
        let file = [b"RMPH\x01".as_slice(), &[kind], &bytes].concat();
        prop_assert!(open(&bytes, Lock::Key(&KEY)).is_err());
        prop_assert!(open(&file, Lock::Key(&KEY)).is_err());
    }
}
