//! The Mastodon adapter against the local Mastodon-shaped server: every way in which a platform
//! can fail, and for each of them how many posts there are in the end.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod common;

use std::time::{Duration, Instant};

use common::*;
use relaymesh_publish::adapter::{Class, Media, PartRequest, SendError};
use relaymesh_publish::egress;
use relaymesh_publish::sink::{Fault, Sink};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

#[tokio::test]
async fn statuses_are_sorted_and_post_nothing() {
    let (sink, adapter) = sink().await;
    let request = part(sink.addr(), &sink.token("alice"), "key");
    let retry = |why, retry_after_ms| SendError::Retry { why, retry_after_ms };
    for (code, retry_after_s, expected) in [
        (500, None, SendError::Unknown),
        (502, None, SendError::Unknown),
        (503, Some(2), retry(Class::Server, Some(2_000))),
        (429, Some(7), retry(Class::RateLimited, Some(7_000))),
        (408, None, retry(Class::TooEarly, None)),
        (425, None, retry(Class::TooEarly, None)),
        (504, None, SendError::Unknown),
        (401, None, SendError::Unauthorized),
        (403, None, SendError::Refused { status: 403 }),
        (422, None, SendError::Refused { status: 422 }),
        (302, None, SendError::Refused { status: 302 }),
    ] {
        sink.fault(Fault::Status { code, retry_after_s }, 1);
        assert_eq!(adapter.publish(&request).await.unwrap_err(), expected, "{code}");
    }
    assert_eq!(sink.post_count(), 0);
    adapter.publish(&request).await.unwrap();
    assert_eq!(sink.post_count(), 1);
}

#[tokio::test]
async fn an_answer_that_never_came_is_unknown_and_the_repeat_makes_no_second_post() {
    for fault in [Fault::CutAfter, Fault::Garbage, Fault::WrongType] {
        let (sink, adapter) = sink().await;
        let request = part(sink.addr(), &sink.token("alice"), "key");
        sink.fault(fault, 1);
        assert_eq!(adapter.publish(&request).await.unwrap_err(), SendError::Unknown, "{fault:?}");
        assert_eq!(sink.post_count(), 1);
        assert!(adapter.may_resend(Duration::from_secs(60)));
        let found = id(adapter.publish(&request).await.unwrap());
        assert_eq!((sink.post_count(), found), (1, sink.posts()[0].id.clone()), "{fault:?}");
    }
}

#[tokio::test]
async fn a_connection_cut_before_anything_was_done_is_unknown_too() {
    let (sink, adapter) = sink().await;
    let request = part(sink.addr(), &sink.token("alice"), "key");
    sink.fault(Fault::CutBefore, 1);
    assert_eq!(adapter.publish(&request).await.unwrap_err(), SendError::Unknown);
    assert_eq!(sink.post_count(), 0);
}

#[tokio::test]
async fn the_server_forgets_a_key_after_an_hour_and_we_do_not_repeat_then() {
    let (sink, adapter) = sink().await;
    let request = part(sink.addr(), &sink.token("alice"), "key");
    adapter.publish(&request).await.unwrap();
    sink.advance_ms(59 * 60 * 1000);
    adapter.publish(&request).await.unwrap();
    assert_eq!(sink.post_count(), 1);
    sink.advance_ms(2 * 60 * 1000);
    adapter.publish(&request).await.unwrap();
    assert_eq!(sink.post_count(), 2, "the fake forgets as the real one does");
    assert!(!adapter.may_resend(Duration::from_secs(61 * 60)));
}

#[tokio::test]
async fn a_server_that_hangs_costs_ten_seconds() {
    let (sink, adapter) = sink().await;
    let request = part(sink.addr(), &sink.token("alice"), "key");
    sink.fault(Fault::Hang, 1);
    let began = Instant::now();
    assert_eq!(adapter.publish(&request).await.unwrap_err(), SendError::Unknown);
    assert!(began.elapsed() < Duration::from_secs(12));
    assert_eq!(sink.post_count(), 0);
    sink.shutdown().await;
}

#[tokio::test]
async fn refused_connections_and_dead_tls_mean_that_nothing_was_sent() {
    let closed = TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
    let nothing_sent = SendError::Retry { why: Class::Connect, retry_after_ms: None };
    let to_closed = adapter(&format!("http://{closed}"), "id", "secret");
    assert_eq!(to_closed.publish(&part(closed, "t", "k")).await.unwrap_err(), nothing_sent);

    // A server that reads the hello and says nothing: the connection never came about.
    let silent = TcpListener::bind(ANY).await.unwrap();
    let addr = silent.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = silent.accept().await {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            kept.push(stream);
        }
    });
    let to_silent = adapter(&format!("https://{addr}"), "id", "secret");
    assert_eq!(to_silent.publish(&part(addr, "t", "k")).await.unwrap_err(), nothing_sent);
}

#[tokio::test]
async fn files_are_uploaded_first_and_trouble_with_them_posts_nothing() {
    let (sink, adapter) = sink().await;
    let file = Media { filename: "a.webp".into(), mimetype: "image/webp".into(), data: vec![1; 5_000] };
    let mut request = part(sink.addr(), &sink.token("alice"), "key");
    request.media = vec![file.clone(), file.clone()];
    sink.fault(Fault::CutAfter, 1);
    let again = SendError::Retry { why: Class::Media, retry_after_ms: None };
    assert_eq!(adapter.publish(&request).await.unwrap_err(), again);
    assert_eq!(sink.post_count(), 0);
    sink.slow_media(2);
    adapter.publish(&request).await.unwrap();
    assert_eq!(sink.posts()[0].media_ids.len(), 2);
    request.media = vec![file; 5];
    assert!(matches!(adapter.publish(&request).await, Err(SendError::Invalid(_))));
}

#[tokio::test]
async fn a_token_is_shown_to_its_own_instance_only() {
    let (sink, adapter) = sink().await;
    let mut request = part(sink.addr(), &sink.token("alice"), "key");
    for account in ["alice@elsewhere.org", "alice", "", "@", "alice@127.0.0.1"] {
        request.account = account.into();
        assert!(matches!(adapter.publish(&request).await, Err(SendError::Invalid(_))), "{account}");
    }
    assert_eq!(sink.post_count(), 0);
}

#[tokio::test]
async fn damaged_requests_are_refused_and_no_error_tells_a_secret() {
    let (sink, adapter) = sink().await;
    let token = sink.token("alice");
    let good = || part(sink.addr(), &token, "key");
    let mut shown = vec![format!("{:?} {adapter:?} {sink:?}", good())];
    for spoil in [
        (|r: &mut PartRequest| r.token_json = Zeroizing::new("{}".into())) as fn(&mut PartRequest),
        |r| r.token_json = Zeroizing::new("[1".into()),
        |r| r.token_json = token_json("line\\r\\nbreak: x"),
        |r| r.idempotency_key = "a\r\nb".into(),
        |r| r.idempotency_key = String::new(),
        |r| r.text = Zeroizing::new(" \n".into()),
    ] {
        let mut request = good();
        spoil(&mut request);
        let error = adapter.publish(&request).await.unwrap_err();
        assert!(matches!(error, SendError::Invalid(_)), "{error:?}");
        shown.push(format!("{error} {error:?}"));
    }
    assert_eq!(sink.post_count(), 0);
    let (_, secret) = sink.client();
    assert!(!shown.iter().any(|text| [TEXT, &token, &secret].iter().any(|s| text.contains(*s))));
}

#[tokio::test]
async fn the_log_and_the_listing_show_every_post() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("posts.jsonl");
    let sink = Sink::start(ANY, Some(path.clone())).await.unwrap();
    let (id, secret) = sink.client();
    let adapter = adapter(&sink.url, &id, &secret);
    let token = sink.token("alice");
    for key in ["one", "two", "two"] {
        adapter.publish(&part(sink.addr(), &token, key)).await.unwrap();
    }
    let listed = client().send(egress::Request::get(format!("{}/posts", sink.url))).await.unwrap();
    let listed: Vec<serde_json::Value> = listed.json().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let logged: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(logged, listed);
    let keys: Vec<_> = logged.iter().map(|post| post["idempotency_key"].clone()).collect();
    assert_eq!(keys, ["one", "two"]);
    for name in ["at", "account", "status", "id", "in_reply_to_id"] {
        assert!(logged[0].get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_422_is_final_while_the_token_is_good() {
    let (sink, adapter) = sink().await;
    let mut request = part(sink.addr(), &sink.token("alice"), "key");
    request.text = Zeroizing::new("x".repeat(501));
    let refused = adapter.publish(&request).await.unwrap_err();
    assert_eq!(refused, SendError::Refused { status: 422 });
}
