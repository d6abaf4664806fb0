//! Whatever bytes arrive, nobody panics and nothing is told as our own failure.

use axum::body::Body;
use axum::http::Request;
use proptest::prelude::*;
use relaymesh_core::command::{Code, Refusal, Reply};

use crate::fake::{Fake, post, send};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Refuses everything, so that whatever is accepted as a request still ends as the caller's fault.
fn refusing() -> Fake {
    Fake::saying(Reply::Refused(Refusal::new(Code::InvalidArgument, "no")))
}

fn json_like() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        "\"[a-zA-Z0-9+/= ]{0,40}\"",
        Just("[]".to_owned()),
        Just("{\"a\":1}".to_owned()),
    ];
    let key = prop_oneof![Just("text"), Just("MSISDN"), Just("address"), Just("date"), Just("date_sent"), Just("tag")];
    proptest::collection::vec((key, leaf), 0..8).prop_map(|fields| {
        let fields: Vec<_> = fields.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

/// What the fuzz target `http` has found worth keeping.
#[test]
fn what_fuzzing_found_is_read_or_refused() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/http");
    let bodies: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(bodies.len() >= 50, "only {} files", bodies.len());
    let taken = bodies.iter().filter(|body| relaymesh_api::fuzz::submit(body)).count();
    assert!((1..bodies.len()).contains(&taken), "{taken} are submissions");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_body_is_answered_without_blaming_us(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        for door in ["/v3/publish", "/g/token/v3/publish"] {
            let answer = run(post(&refusing().http(), door, body.clone()));
            prop_assert_eq!(answer.status.as_u16(), 400);
            prop_assert!(!answer.error().is_empty());
        }
    }

    #[test]
    fn any_fields_are_answered_without_blaming_us(body in json_like()) {
        for door in ["/sms/platform/x", "/g/token/v3/publish"] {
            let answer = run(post(&refusing().http(), door, body.clone()));
            prop_assert_eq!(answer.status.as_u16(), 400);
            prop_assert!(!answer.error().is_empty());
        }
    }

    #[test]
    fn any_path_and_query_is_answered_without_blaming_us(
        path in "/(v3/clients|v1/platforms|g)?(/[a-zA-Z0-9%._~+-]{0,12}){0,4}(\\?[a-z_]{0,8}=[a-zA-Z0-9%+-]{0,12}(&page=[0-9%-]{0,4})?)?",
        method in prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("DELETE")],
    ) {
        let Ok(request) = Request::builder().method(method).uri(&path).body(Body::empty()) else { return Ok(()) };
        let answer = run(send(&refusing().http(), request));
        prop_assert!(!answer.status.is_server_error(), "{} {}: {}", method, path, answer.status);
    }
}
