//! Runs `docs/gateway-client-conformance.jsonl`, the list that authors of gateway clients run by curl.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use relaymesh_core::command::{Code, Command, Refusal, Reply, Submitted};
use relaymesh_core::gateway_id;
use relaymesh_protocol::detect::{DetectError, Detected, detect};
use relaymesh_protocol::ids::MessageId;
use relaymesh_protocol::sms_text::Keyword;
use serde_json::Value;

use crate::fake::{Fake, send};

const CASES: &str = include_str!("../../../../docs/gateway-client-conformance.jsonl");
const GUIDE: &str = include_str!("../../../../docs/gateway-client.md");
const TOKEN: &str = "conformance-token";

/// Tells payloads and answers from private SMS as a node does, and knows one gateway client.
fn node() -> Fake {
    Fake::new(|command| {
        let Command::Submit(submit) = command else { panic!("only submissions, got {command:?}") };
        if submit.door != relaymesh_core::command::Door::Gateway(gateway_id(TOKEN)) {
            return Reply::Refused(Refusal::new(Code::NotFound, "no such gateway client"));
        }
        Reply::Submitted(match detect(submit.text.reveal()) {
            Ok(Detected::Message(message)) => {
                Submitted::Accepted { message: MessageId::of(b"origin", &message.bytes), outcome: None }
            }
            Ok(Detected::Segment(segment)) => Submitted::Segment { received: 1, total: 0, session: segment.session },
            Err(_) if Keyword::parse(submit.text.reveal()).is_some() => {
                Submitted::Accepted { message: MessageId::of(b"origin", b"answer"), outcome: None }
            }
            Err(DetectError::NotOurs) => Submitted::Ignored,
            Err(DetectError::Malformed(damage)) => {
                let text = format!("damaged RelaySMS payload: {damage}");
                return Reply::Refused(Refusal::new(Code::InvalidArgument, text));
            }
        })
    })
}

#[tokio::test]
async fn every_case_of_the_list_holds() {
    let mut names = BTreeSet::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| case[name].as_str().unwrap_or_else(|| panic!("{name} in {line}"));
        assert!(names.insert(text("name").to_owned()), "twice: {line}");
        let path = text("path").replace("TOKEN", TOKEN);
        let mut request = Request::builder().method(text("method")).uri(path);
        if let Some(content_type) = case["content_type"].as_str() {
            request = request.header("content-type", content_type);
        }
        let answer = send(&node().http(), request.body(Body::from(text("body").to_owned())).unwrap()).await;
        assert_eq!(u64::from(answer.status.as_u16()), case["status"].as_u64().unwrap(), "{line}: {}", answer.body);
        if let Some(contains) = case["answer_contains"].as_str() {
            assert!(answer.body.contains(contains), "{line}: {}", answer.body);
        }
    }
    assert!(names.len() >= 15, "the list is read");
}

#[test]
fn the_guide_names_the_list_and_every_status_in_it() {
    assert!(GUIDE.contains("gateway-client-conformance.jsonl"));
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let status = case["status"].to_string();
        assert!(GUIDE.contains(&status), "the guide does not explain {status}");
    }
}
