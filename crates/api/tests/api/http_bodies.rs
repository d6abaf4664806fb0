//! Bodies that are no SMS: a short reason, at once, and the node hears nothing of them.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{Request, header};
use futures::stream;

use crate::fake::{Fake, get, post, send};

const DOORS: [&str; 3] = ["/v3/publish", "/sms/platform/x", "/g/token/v3/publish"];

#[tokio::test]
async fn nonsense_is_refused_at_once_with_a_reason() {
    let deep = "[".repeat(100_000);
    let deep_field = format!("{{\"text\":{deep}");
    let cases: [(&[u8], u16, &str); 14] = [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"{\"text\":\"a\"} x", 400, "not JSON"),
        (b"null", 400, "JSON object"),
        (b"[]", 400, "JSON object"),
        (b"5", 400, "JSON object"),
        (b"\"text\"", 400, "JSON object"),
        (b"{\"text\":\"\xff\"}", 400, "UTF-8"),
        (b"{}", 400, "Missing required field: text"),
        (b"{\"text\":5}", 400, "text must be a string"),
        (b"{\"text\":{\"a\":1}}", 400, "text must be a string"),
        (b"{\"text\":\"a\",\"address\":[1]}", 400, "address or MSISDN must be a string"),
        (deep.as_bytes(), 400, "nested too deeply"),
        (deep_field.as_bytes(), 400, "nested too deeply"),
    ];
    for door in DOORS {
        for (body, status, reason) in cases {
            let fake = Fake::accepting();
            let started = Instant::now();
            let answer = post(&fake.http(), door, body.to_vec()).await;
            assert!(started.elapsed() < Duration::from_millis(100), "{door} {reason}");
            assert_eq!(answer.status, status, "{door} {reason}");
            assert!(answer.error().contains(reason), "{door}: {}", answer.body);
            // Nothing of the parser, and nothing of what was sent.
            let internals = ["line ", "column", "serde", "expected", "::", "\u{fffd}", "[["];
            assert!(answer.error().len() < 100 && internals.iter().all(|part| !answer.error().contains(part)));
            assert!(fake.asked().is_empty());
        }
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let fake = Fake::accepting();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "json"] {
        let request = Request::post(DOORS[0]).header("content-type", content_type).body(Body::from("{}")).unwrap();
        let answer = send(&fake.http(), request).await;
        assert_eq!(answer.status, 415, "{content_type}");
        assert!(answer.error().contains("application/json"));
    }
    let none = send(&fake.http(), Request::post(DOORS[0]).body(Body::from("{}")).unwrap()).await;
    assert_eq!(none.status, 415);
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"] {
        let request = Request::post(DOORS[0]).header("content-type", content_type).body(Body::from("{}")).unwrap();
        assert_eq!(send(&fake.http(), request).await.status, 400, "{content_type} is read");
    }
}

/// A body that fails the test when more of it is taken than allowed.
fn watched(chunks: usize, allowed: usize) -> Body {
    let chunk = Bytes::from(vec![b' '; 16 * 1024]);
    Body::from_stream(stream::iter((0..chunks).map(move |taken| {
        assert!(taken < allowed, "read on after the limit");
        Ok::<_, std::io::Error>(chunk.clone())
    })))
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_not_read_to_their_end() {
    let fake = Fake::accepting();
    for door in DOORS {
        for megabytes in [1, 20] {
            let chunks = megabytes * 64;
            let request = || Request::post(door).header("content-type", "application/json");
            let announced = request().header(header::CONTENT_LENGTH, megabytes << 20).body(watched(chunks, 0)).unwrap();
            let chunked = request().body(watched(chunks, 9)).unwrap();
            for request in [announced, chunked] {
                let started = Instant::now();
                let answer = send(&fake.http(), request).await;
                assert_eq!(answer.status, 413);
                assert!(started.elapsed() < Duration::from_millis(100), "{door}, {megabytes} MB");
                assert!(answer.error().contains("131072 bytes"), "{}", answer.body);
            }
        }
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_read() {
    let head = "{\"address\":\"650123456\",\"text\":\"";
    let text = "a".repeat(relaymesh_api::BODY_BYTES_MAX - head.len() - 2);
    let fake = Fake::accepting();
    let answer = post(&fake.http(), DOORS[2], format!("{head}{text}\"}}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(fake.submit().text.reveal().len(), text.len());
    let answer = post(&fake.http(), DOORS[2], format!("{head}{text}a\"}}")).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let broken: [Result<_, std::io::Error>; 2] =
        [Ok(Bytes::from_static(b"{\"text\"")), Err(std::io::ErrorKind::ConnectionReset.into())];
    let body = Body::from_stream(stream::iter(broken));
    let answer = post(&Fake::accepting().http(), DOORS[0], body).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "the body broke off"));
}

#[tokio::test]
async fn other_methods_and_pages_are_told_so() {
    let router = Fake::accepting().http();
    for door in DOORS {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let answer = send(&router, Request::builder().method(method).uri(door).body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 405, "{method} {door}");
            assert_eq!(answer.header("allow"), "POST");
        }
    }
    for path in ["/", "/v3", "/g/token", "/g//v3/publish", "/v3/publish/", "/g/%ff/v3/publish"] {
        let answer = post(&router, path, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (404, "no such page"), "{path}");
    }
    assert_eq!(get(&router, "/nothing").await.status, 404);
}
