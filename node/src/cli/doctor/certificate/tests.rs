//! The files beside this one: a certificate for `vault.example.org` and `grpc.example.org` of 2026-03-01 to 05-30, its issuer
//! of 2026-01-01 to 09-01, its key, and the key of nobody. They were made for these tests and are used nowhere.

use super::*;

const CHAIN: &str = include_str!("chain.pem");
const KEY: &str = include_str!("key.pem");
const OTHER: &str = include_str!("other.pem");
/// 2026-03-01.
const FROM: u64 = 1_772_323_200;
const DAY: u64 = 86_400;

fn at(day: u64) -> Duration {
    Duration::from_secs(FROM + day * DAY)
}

fn told(cert: &str, key: &str, host: Option<&str>, now: Duration) -> Vec<(String, String)> {
    let tls = Tls { cert_pem: cert.as_bytes().to_vec(), key_pem: key.as_bytes().to_vec() };
    let all = judge(&tls, host, now);
    for one in &all {
        assert_eq!((one.level == "ok", one.check.as_str()), (one.fix.is_empty(), CHECK), "{one:?}");
        assert!(!one.found.contains("PRIVATE"), "{one:?}");
    }
    all.into_iter().map(|one| (one.level, one.found)).collect()
}

fn levels(cert: &str, key: &str, host: Option<&str>, now: Duration) -> Vec<String> {
    told(cert, key, host, now).into_iter().map(|(level, _)| level).collect()
}

#[test]
fn a_certificate_is_good_within_its_time_and_soon_over_before_its_end() {
    for (now, expected) in [
        (at(0), vec!["ok"]),
        (at(75), vec!["ok"]),
        (at(77), vec!["warning"]),
        (at(90), vec!["warning"]),
        (at(91), vec!["error"]),
        (Duration::from_secs(FROM - 1), vec!["error"]),
        // The issuer's, too.
        (at(200), vec!["error", "error"]),
        (Duration::ZERO, vec!["error"]),
    ] {
        assert_eq!(levels(CHAIN, KEY, None, now), expected, "{now:?}");
    }
    let (_, good) = told(CHAIN, KEY, None, at(1)).remove(0);
    assert!(good.contains("2026-05-30") && good.contains("vault.example.org, grpc.example.org"), "{good}");
}

#[test]
fn a_key_or_a_host_of_somebody_else_is_told() {
    assert_eq!(levels(CHAIN, OTHER, None, at(1)), ["error"]);
    let (_, mismatch) = told(CHAIN, OTHER, None, at(1)).remove(0);
    assert!(mismatch.contains("not the key of"), "{mismatch}");
    for (host, expected) in [
        ("vault.example.org", "ok"),
        ("GRPC.example.org", "ok"),
        ("relay.example.org", "warning"),
        ("example.org", "warning"),
    ] {
        assert_eq!(levels(CHAIN, KEY, Some(host), at(1)), [expected], "{host}");
    }
    let (_, wrong) = told(CHAIN, KEY, Some("relay.example.org"), at(1)).remove(0);
    assert!(wrong.contains("for vault.example.org, grpc.example.org, not for relay.example.org"), "{wrong}");
    assert_eq!(levels(CHAIN, OTHER, Some("relay.example.org"), at(91)), ["error", "error", "warning"]);
}

#[test]
fn files_that_hold_something_else_are_told() {
    let half = &CHAIN[..CHAIN.len() / 3];
    let garbled = CHAIN.replacen("MII", "AAA", 1);
    for (cert, key) in [(KEY, KEY), (CHAIN, CHAIN), (half, KEY), ("", KEY), (CHAIN, ""), (garbled.as_str(), KEY)] {
        assert_eq!(levels(cert, key, None, at(1)), ["error"]);
    }
}

#[test]
fn without_a_certificate_only_this_machine_may_listen() {
    for (listen, bare, behind_front) in [
        ("127.0.0.1:8443", "ok", "ok"),
        ("[::1]:8443", "ok", "ok"),
        ("0.0.0.0:8443", "error", "warning"),
        ("[::]:1", "error", "warning"),
    ] {
        assert_eq!(without(listen, false).level, bare, "{listen}");
        assert_eq!(without(listen, true).level, behind_front, "{listen}");
    }
}
