//! One SMS over HTTP: through which door it comes, and what the gateway client is told.

use axum::body::Body;
use axum::http::Request;
use relaymesh_api::{HttpConfig, http_router};
use relaymesh_core::command::{Code, Door, FailureClass, MessageOutcome, Refusal, Reply, Submitted, TestEnd};
use relaymesh_core::gateway_id;
use serde_json::json;

use crate::fake::{Fake, MESSAGE, accepted, post, send};

const OWN: &str = "/g/tok-en_1/v3/publish";

fn sms() -> String {
    json!({
        "thread_id": 3, "address": "650123456", "date": 1_700_000_005_000_i64, "date_sent": "1700000000000",
        "read": 0, "type": 1, "body": "x", "text": "c29tZXRoaW5n", "sub_id": 1, "tag": "t",
    })
    .to_string()
}

#[tokio::test]
async fn an_sms_becomes_a_submission_with_its_door() {
    for (path, door) in [
        ("/v3/publish", Door::Open),
        ("/sms/platform/anything", Door::Open),
        (OWN, Door::Gateway(gateway_id("tok-en_1"))),
    ] {
        let fake = Fake::accepting();
        let answer = post(&fake.http(), path, sms()).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json(), json!({ "publisher_response": format!("accepted {MESSAGE}") }));
        let submit = fake.submit();
        assert_eq!(submit.door, door, "{path}");
        assert_eq!(submit.text.reveal(), "c29tZXRoaW5n");
        assert_eq!(submit.sender.reveal(), "650123456");
        assert_eq!((submit.date, submit.date_sent), (Some(1_700_000_005_000), Some(1_700_000_000_000)));
    }
}

#[tokio::test]
async fn dates_are_needed_only_on_open_doors() {
    let sms = json!({ "address": "650123456", "text": "abcd" }).to_string();
    let fake = Fake::accepting();
    let open = post(&fake.http(), "/v3/publish", sms.clone()).await;
    assert_eq!((open.status.as_u16(), open.error().as_str()), (400, "Missing required field: date"));
    assert!(fake.asked().is_empty());
    assert_eq!(post(&fake.http(), OWN, sms).await.status, 200);
    assert_eq!((fake.submit().date, fake.submit().date_sent), (None, None));
}

#[tokio::test]
async fn answers_tell_what_became_of_it() {
    let told = |text: &str| (200, json!({ "publisher_response": text }));
    let failed = |text: &str| (400, json!({ "error": text }));
    let pending = told(&format!("accepted {MESSAGE}"));
    let segment = |received, total| Reply::Submitted(Submitted::Segment { received, total, session: 7 });
    let test = |end| MessageOutcome::Test { id: 5, end };
    for (reply, (status, body)) in [
        (accepted(None), pending.clone()),
        (accepted(Some(MessageOutcome::Pending)), pending.clone()),
        (accepted(Some(MessageOutcome::Uncertain)), pending),
        (accepted(Some(MessageOutcome::Published)), told(&format!("Successfully sent message {MESSAGE}"))),
        (accepted(Some(MessageOutcome::Failed(FailureClass::Platform))), failed(FailureClass::Platform.text())),
        (accepted(Some(MessageOutcome::Failed(FailureClass::Account))), failed(FailureClass::Account.text())),
        (accepted(Some(test(TestEnd::Updated))), told("Test ID 5 updated successfully.")),
        (accepted(Some(test(TestEnd::Unknown))), failed("Test ID 5 not found in the database.")),
        (segment(2, 5), told("Segment 2/5 received and cached for session 7 and sender ••••56.")),
        (segment(1, 0), told("Segment 1/0 received and cached for session 7 and sender ••••56.")),
        (Reply::Submitted(Submitted::Ignored), told("ignored")),
        (Reply::Refused(Refusal::new(Code::InvalidArgument, "not ours")), failed("not ours")),
        (Reply::Refused(Refusal::new(Code::NotFound, "no such")), (404, json!({ "error": "no such" }))),
    ] {
        let answer = post(&Fake::saying(reply.clone()).http(), OWN, sms()).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (status, body), "{reply:?}");
    }
}

#[tokio::test]
async fn over_quota_and_down_say_when_to_come_back() {
    for (refusal, status, seconds) in
        [(Refusal::new(Code::ResourceExhausted, "slow down"), 429, "60"), (Refusal::unavailable(), 503, "10")]
    {
        let answer = post(&Fake::saying(Reply::Refused(refusal)).http(), OWN, sms()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("retry-after"), seconds);
    }
}

#[tokio::test]
async fn internal_causes_and_wrong_replies_are_not_shown() {
    let wrong = Reply::Clients(relaymesh_core::command::ClientsReply::Unknown);
    for reply in [Reply::Refused(Refusal::new(Code::Internal, "row 7 of /var/lib broke")), wrong] {
        let answer = post(&Fake::saying(reply).http(), OWN, sms()).await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.error(), relaymesh_api::errors::OOPS);
    }
}

#[tokio::test]
async fn closed_doors_name_the_way_in() {
    let fake = Fake::accepting();
    let router = http_router(fake.clone(), HttpConfig::default());
    for path in ["/v3/publish", "/sms/platform/x"] {
        let answer = post(&router, path, sms()).await;
        assert_eq!(answer.status, 403);
        assert!(answer.error().contains("URL of an enrolled gateway client"), "{}", answer.body);
    }
    assert!(fake.asked().is_empty());
    assert_eq!(post(&router, OWN, sms()).await.status, 200, "its own URL stays open");
}

#[tokio::test]
async fn open_doors_refuse_what_came_through_a_proxy() {
    for name in ["Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Anything"] {
        let request = |path: &str| {
            let request = Request::post(path).header("content-type", "application/json").header(name, "203.0.113.7");
            request.body(Body::from(sms())).unwrap()
        };
        let fake = Fake::accepting();
        let answer = send(&fake.http(), request("/v3/publish")).await;
        assert_eq!(answer.status, 403, "{name}");
        assert!(answer.error().contains("proxy"), "{}", answer.body);
        assert!(fake.asked().is_empty());
        assert_eq!(send(&fake.http(), request(OWN)).await.status, 200, "a gateway client may come through one");
    }
}
