//! Long-lived tokens against forgers and vandals.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions too")]

use proptest::prelude::*;
use relaymesh_ratchet::SharedSecret;
use relaymesh_ratchet::llt::{self, Eid, MAX_TOKEN_BYTES, OpenError, SplitError, VerifyError};

const NOW_S: u64 = 1_750_000_000;

/// Another character of the same alphabet, so that only the MAC can tell.
fn flip(text: &str, at: usize, by: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = text.as_bytes().to_vec();
    let old = ALPHABET.iter().position(|c| *c == bytes[at]).unwrap_or(0);
    let new = ALPHABET[(old + by) % ALPHABET.len()];
    assert_ne!(bytes[at], new);
    bytes[at] = new;
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_login_round_trips(key: [u8; 32], eid: [u8; 16], iv: [u8; 16], now_s in 0..u64::MAX) {
        let (key, eid) = (SharedSecret::from(key), Eid::from(eid));
        let opened = llt::open(&key, &llt::mint(&key, &eid, now_s, &iv)).unwrap();
        prop_assert_eq!((opened.eid, opened.minted_at_s), (eid, now_s));
        prop_assert_eq!(llt::verify(&key, &opened.plaintext, now_s), Ok(eid));
    }

    #[test]
    fn one_changed_character_is_refused(key: [u8; 32], at: prop::sample::Index, by in 1..63usize) {
        let key = SharedSecret::from(key);
        let token = llt::mint(&key, &Eid::from([9; 16]), NOW_S, &[1; 16]);
        let presented = llt::open(&key, &token).unwrap().plaintext;
        let flipped = flip(&token, at.index(token.len()), by);
        prop_assert!(llt::open(&key, &flipped).is_err());
        let flipped = flip(&presented, at.index(presented.len()), by);
        prop_assert!(llt::verify(&key, &flipped, NOW_S).is_err(), "{}", flipped);
    }

    #[test]
    fn another_device_secret_is_refused(one: [u8; 32], other: [u8; 32]) {
        prop_assume!(one != other);
        let (one, other) = (SharedSecret::from(one), SharedSecret::from(other));
        let token = llt::mint(&one, &Eid::from([9; 16]), NOW_S, &[1; 16]);
        prop_assert!(llt::open(&other, &token).is_err());
        let presented = llt::open(&one, &token).unwrap().plaintext;
        prop_assert_eq!(llt::verify(&other, &presented, NOW_S), Err(VerifyError::Forged));
    }

    #[test]
    fn hostile_text_never_panics(text in "\\PC{0,200}", dotted in "[0-9a-f]{32}:[A-Za-z0-9_.=-]{0,120}") {
        let key = SharedSecret::from([4; 32]);
        for text in [&text, &dotted] {
            prop_assert!(llt::verify(&key, text, NOW_S).is_err());
            prop_assert!(llt::open(&key, text).is_err());
            let _ = llt::split_eid(text);
        }
    }
}

#[test]
fn a_token_of_another_entity_is_refused() {
    let key = SharedSecret::from([4; 32]);
    let opened = llt::open(&key, &llt::mint(&key, &Eid::from([1; 16]), NOW_S, &[0; 16])).unwrap();
    let (_, jwt) = llt::split_eid(&opened.plaintext).unwrap();
    let presented = format!("{}:{jwt}", Eid::from([2; 16]));
    assert_eq!(llt::verify(&key, &presented, NOW_S), Err(VerifyError::OtherEntity));
}

#[test]
fn identifiers_are_32_lower_case_hex_digits() {
    let good = "0156691392015ff296220ba13e0529be";
    assert_eq!(good.parse::<Eid>().unwrap().to_string(), good);
    for bad in [
        "",
        "0156691392015ff296220ba13e0529be00",
        "0156691392015FF296220ba13e0529be",
        "+156691392015ff296220ba13e0529be",
        "0156-691392015ff296220ba13e0529b",
    ] {
        assert!(bad.parse::<Eid>().is_err(), "{bad}");
    }
}

#[test]
fn oversized_text_is_refused_unread() {
    let key = SharedSecret::from([4; 32]);
    let long = "a".repeat(MAX_TOKEN_BYTES + 1);
    assert_eq!(llt::open(&key, &long).err(), Some(OpenError::TooLong));
    assert_eq!(llt::split_eid(&long), Err(SplitError::TooLong));
    assert_eq!(llt::verify(&key, &long, NOW_S), Err(VerifyError::Split(SplitError::TooLong)));
    assert_eq!(llt::split_eid("no colon"), Err(SplitError::NoColon));
}
