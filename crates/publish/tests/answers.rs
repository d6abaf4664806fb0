//! Whatever a platform or a captcha service answers is taken for what it is, or for nothing.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::path::Path;

use proptest::prelude::*;
use relaymesh_publish::fuzz;

const JSON: &str = "application/json; charset=utf-8";
/// Statuses that are told apart.
const STATUSES: &[u16] = &[200, 202, 206, 302, 400, 401, 403, 422, 429, 500, 502, 503, 599];

/// What the fuzz target `platform` has found worth keeping; each file at each status.
#[test]
fn what_fuzzing_found_is_read_or_refused() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/platform");
    let bodies: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let mut taken = 0;
    for body in &bodies {
        for status in STATUSES {
            taken += usize::from(fuzz::answer(*status, JSON, "5", body));
        }
        assert!(!fuzz::answer(200, "text/html", "", body), "what is not called JSON is none");
    }
    assert!(bodies.len() >= 30 && taken >= 20, "{} files, {taken} taken", bodies.len());
}

#[test]
fn a_tower_of_brackets_is_refused() {
    for body in ["[".repeat(100_000), "{\"id\":".repeat(100_000), format!("{{\"id\":{}", "[".repeat(100_000))] {
        assert!(!fuzz::answer(200, JSON, "", body.as_bytes()));
    }
}

/// JSON of the fields that are looked at, and others.
fn json_like() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-zA-Z0-9@._:/%-]{0,12}",
        any::<String>(),
        Just(".".to_owned()),
        Just("..".to_owned()),
        "[a-z]{250,300}",
        "write(:statuses write:media)? profile",
    ];
    let leaf = prop_oneof![
        text.prop_map(|text| serde_json::to_string(&text).unwrap()),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("[\"invalid-input-secret\"]".to_owned()),
        Just("{\"a\":1}".to_owned()),
    ];
    let key = prop::sample::select(vec![
        "id",
        "url",
        "access_token",
        "refresh_token",
        "scope",
        "expires_in",
        "expires_at",
        "preferred_username",
        "username",
        "acct",
        "success",
        "error-codes",
    ]);
    proptest::collection::vec((key, leaf), 0..8).prop_map(|fields| {
        let fields: Vec<_> = fields.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn any_fields_are_taken_for_what_they_are(
        body in json_like(), status in prop::sample::select(STATUSES), after in "[0-9]{0,22}| -?[0-9]{1,3}|[a-zA-Z, :]{0,9}",
    ) {
        let _ = fuzz::answer(status, JSON, &after, body.as_bytes());
    }

    #[test]
    fn any_bytes_are_taken_for_nothing(
        body in proptest::collection::vec(any::<u8>(), 0..600), kind in ".{0,20}", status in 100..1_000_u16,
    ) {
        prop_assert!(!fuzz::answer(status, &kind, "", &body));
        prop_assert!(!fuzz::answer(status, JSON, &kind, &body));
    }
}
