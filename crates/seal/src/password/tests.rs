//! Argon2, and what a stored hash may be.

use proptest::prelude::*;

use super::*;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

fn stored() -> String {
    hash(b"correct horse", &[1; SALT_LEN], &Pepper::from_bytes([2; 32]), CHEAP).unwrap()
}

#[test]
fn the_right_password_under_the_right_pepper() {
    let pepper = Pepper::from_bytes([2; 32]);
    assert!(stored().starts_with("$argon2id$v=19$m=8,t=1,p=1$AQEBAQEBAQEBAQEBAQEBAQ$"));
    assert_eq!(verify(b"correct horse", &pepper, &stored()), Ok(()));
    assert_eq!(verify(b"correct horsf", &pepper, &stored()), Err(VerifyError::Mismatch));
    assert_eq!(verify(b"correct horse", &Pepper::from_bytes([3; 32]), &stored()), Err(VerifyError::Mismatch));
    assert_eq!(cost_of(&stored()), Some(CHEAP));
}

#[test]
fn salt_and_costs_change_the_hash() {
    let pepper = Pepper::from_bytes([2; 32]);
    let last = |text: String| text.rsplit_once('$').unwrap().1.to_owned();
    let base = last(stored());
    assert_ne!(base, last(hash(b"correct horse", &[9; SALT_LEN], &pepper, CHEAP).unwrap()));
    for cost in [Cost { memory_kib: 16, ..CHEAP }, Cost { passes: 2, ..CHEAP }] {
        assert_ne!(base, last(hash(b"correct horse", &[1; SALT_LEN], &pepper, cost).unwrap()));
    }
}

#[test]
fn the_pepper_is_argons_secret_and_not_a_suffix() {
    let with = digest(b"pw", &[1; SALT_LEN], &[7; 32], CHEAP).unwrap();
    let joined = digest(&[b"pw".as_slice(), &[7; 32]].concat(), &[1; SALT_LEN], &[], CHEAP).unwrap();
    assert_ne!(with, joined);
}

#[test]
fn malformed_and_costly_hashes_are_refused() {
    let pepper = Pepper::from_bytes([2; 32]);
    let good = stored();
    let malformed = [
        String::new(),
        good.replace("argon2id", "argon2i"),
        good.replace("v=19", "v=16"),
        good.replace("m=8", "m=x"),
        good.replace("m=8,", ""),
        good.replace("p=1", "p=1,q=1"),
        format!("{good}$x"),
        format!("{good}{}", "A".repeat(300)),
        good.replace("AQEB", "A"),
        good.rsplit_once('$').unwrap().0.to_owned(),
    ];
    for text in malformed {
        assert_eq!(verify(b"correct horse", &pepper, &text), Err(VerifyError::Malformed), "{text}");
    }
    for (from, to) in [("m=8", "m=4000000000"), ("m=8", "m=1"), ("t=1", "t=17"), ("t=1", "t=0"), ("p=1", "p=5")] {
        let text = good.replace(from, to);
        assert_eq!(verify(b"correct horse", &pepper, &text), Err(VerifyError::Cost(CostError::Bounds)), "{to}");
    }
}

#[test]
fn a_code_is_bound_to_purpose_and_person() {
    let key = OtpKey::from_bytes([1; 32]);
    let mac = otp_mac(&key, "signup", "+1", "123456");
    assert!(macs_equal(&mac, &otp_mac(&key, "signup", "+1", "123456")));
    for (purpose, identifier, code) in [
        ("login", "+1", "123456"),
        ("signup", "+2", "123456"),
        ("signup", "+1", "123457"),
        ("signup", "+11", "23456"),
        ("signup+", "1", "123456"),
    ] {
        assert!(!macs_equal(&mac, &otp_mac(&key, purpose, identifier, code)), "{purpose} {identifier} {code}");
    }
    assert!(!macs_equal(&mac, &otp_mac(&OtpKey::from_bytes([2; 32]), "signup", "+1", "123456")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics(tail in "\\PC{0,80}") {
        let pepper = Pepper::from_bytes([2; 32]);
        let tail = tail.replace('m', "x");
        prop_assert!(verify(b"", &pepper, &tail).is_err());
        let text = format!("$argon2id$v=19${tail}");
        prop_assert!(verify(b"", &pepper, &text).is_err());
    }
}
