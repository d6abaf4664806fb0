//! Tokens whose MAC holds and whose content is anything: whoever knows the device secret can have it signed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use relaymesh_ratchet::llt::{self, Eid, OpenError, VerifyError};
use relaymesh_ratchet::{SharedSecret, fuzz};

const NOW_S: u64 = 1_750_000_000;
const HEADER: &[u8] = br#"{"typ":"JWT","alg":"HS256"}"#;
const OTHER: &str = "0156691392015ff296220ba13e0529be";

fn key() -> SharedSecret {
    SharedSecret::from([4; 32])
}

fn verify(header: &[u8], claims: &[u8]) -> Result<Eid, VerifyError> {
    let eid = Eid::from([9; 16]);
    llt::verify(&key(), &fuzz::presented(&key(), &eid, header, claims), NOW_S)
}

/// What the claim `eid` may say, and whether it is the one that presents it.
fn eid() -> impl Strategy<Value = (String, Option<bool>)> {
    let mine = Eid::from([9; 16]).to_string();
    prop_oneof![
        4 => Just((format!("{mine:?}"), Some(true))),
        1 => Just((format!("{OTHER:?}"), Some(false))),
        1 => Just((format!("\"{}\"", mine.to_uppercase().replace('9', "\\u0039")), Some(true))),
        1 => "[ -!#-Z^-~]{0,40}".prop_map(move |text| (format!("{text:?}"), Some(text == mine))),
        1 => prop_oneof![Just("null"), Just("9"), Just("[]"), Just("{}"), Just("\"\\ud800\""), Just("")]
            .prop_map(|json| (json.to_owned(), None)),
    ]
}

/// What the claim `exp` may say, and whether it lies ahead.
fn exp() -> impl Strategy<Value = (String, Option<bool>)> {
    prop_oneof![
        4 => any::<u64>().prop_map(|at| (at.to_string(), Some(at > NOW_S))),
        1 => (NOW_S - 2..NOW_S + 3).prop_map(|at| (at.to_string(), Some(at > NOW_S))),
        1 => prop_oneof![
            Just("-1"), Just("1e18"), Just("1800000000.5"), Just("18446744073709551616"), Just("\"1800000000\""),
            Just("null"), Just("01800000000"), Just("NaN"), Just("")
        ].prop_map(|json| (json.to_owned(), None)),
    ]
}

/// Further claims, before or behind; deep ones too.
fn more() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        any::<u64>().prop_map(|at| format!(r#""iat": {at}"#)),
        (1..120_usize).prop_map(|depth| format!(r#""deep": {}{}"#, "[".repeat(depth), "]".repeat(depth))),
        "[a-df-z]{1,9}".prop_map(|name| format!(r#""{name}": {{"eid": 1}}"#)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn signed_claims_count_if_all_of_them_hold((eid, mine) in eid(), (exp, ahead) in exp(), more in more(), first: bool) {
        let two = format!(r#""eid": {eid}, "exp": {exp}"#);
        let claims = match (more.is_empty(), first) {
            (true, _) => format!("{{{two}}}"),
            (false, true) => format!("{{{more}, {two}}}"),
            (false, false) => format!("{{{two}, {more}}}"),
        };
        let wanted = match (mine, ahead) {
            (None, _) | (_, None) => Err(VerifyError::Malformed),
            (_, Some(false)) => Err(VerifyError::Expired),
            (Some(false), _) => Err(VerifyError::OtherEntity),
            (Some(true), Some(true)) => Ok(Eid::from([9; 16])),
        };
        prop_assert_eq!(verify(HEADER, claims.as_bytes()), wanted, "{}", claims);
        // Cut off anywhere, or said twice, it says nothing.
        for bad in [claims[..claims.len() - 1].to_owned(), format!("{claims}{claims}"), format!("{{{two}, {two}}}")] {
            prop_assert_eq!(verify(HEADER, bad.as_bytes()), Err(VerifyError::Malformed), "{}", bad);
        }
    }

    #[test]
    fn any_bytes_under_a_signature_are_refused(
        header in proptest::collection::vec(any::<u8>(), 0..60),
        claims in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert_eq!(verify(HEADER, &claims), Err(VerifyError::Malformed));
        prop_assert_eq!(verify(&header, &claims), Err(VerifyError::Malformed));
    }

    #[test]
    fn an_authentic_login_token_holds_an_identifier_and_more_or_nothing(plaintext in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "[0-9a-f]{31,33}:?\\PC{0,80}".prop_map(String::into_bytes),
    ]) {
        let opened = llt::open(&key(), &fuzz::login_token(&key(), &plaintext));
        let wanted = std::str::from_utf8(&plaintext).ok().and_then(|text| llt::split_eid(text).ok());
        match (wanted, opened) {
            (Some((eid, _)), Ok(opened)) => {
                prop_assert_eq!((opened.eid, opened.plaintext.as_bytes()), (eid, plaintext.as_slice()));
            }
            (None, Err(why)) => prop_assert_eq!(why, OpenError::Content),
            (wanted, opened) => prop_assert!(false, "{:?}, {:?}", wanted.is_some(), opened),
        }
    }

    #[test]
    fn any_bytes_before_an_authentic_mac_are_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..150),
        sound: bool,
    ) {
        if let (true, Some(version)) = (sound, bytes.first_mut()) {
            *version = 0x80;
        }
        prop_assert!(llt::open(&key(), &fuzz::authentic_token(&key(), &bytes)).is_err());
    }
}
