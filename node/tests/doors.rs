//! What anybody may send to the doors of a running node: bodies that are no SMS, and the list that authors of gateway
//! clients check theirs by.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "doors/conformance.rs"]
mod conformance;
#[path = "doors/grpc.rs"]
mod grpc;
mod support;
#[path = "doors/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{World, state};
use wire::{Answer, Body, Call};

/// How often each body is sent; its time is the median.
const TRIES: usize = 3;
/// A generous ceiling for that: other work may run beside the tests.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// Longest answer, in bytes, headers included.
const ANSWER_BYTES_MAX: usize = 1024;
/// Brackets in each other.
const DEPTH: usize = 100_000;
const MB: usize = 1 << 20;
/// Words of ours and of our tools that a caller has no use for.
const INTERNALS: &[&str] = &["line ", "column", "serde", "expected", "::", ".rs", "panic", "tokio", "axum", "hyper"];

/// A body that is no SMS, and the answer that it deserves.
struct Nonsense {
    name: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    status: u16,
    reason: &'static str,
}

fn nonsense() -> Vec<Nonsense> {
    const JSON: &str = "application/json";
    let sms = || br#"{"text":"abcd","address":"+15550100123","date":1,"date_sent":1}"#.to_vec();
    let long = |bytes: usize| format!(r#"{{"text":"{}","date":1}}"#, "a".repeat(bytes)).into_bytes();
    let rows: [(&str, &str, Vec<u8>, u16, &str); 18] = [
        ("a form", "application/x-www-form-urlencoded", b"text=abcd".to_vec(), 415, "application/json"),
        ("an SMS called text", "text/plain", sms(), 415, "application/json"),
        ("an SMS called nothing", "", sms(), 415, "application/json"),
        ("nothing", JSON, Vec::new(), 400, "not JSON"),
        ("half an object", JSON, b"{\"text\":".to_vec(), 400, "not JSON"),
        ("bytes", JSON, b"{\"text\":\"\xff\xfe\"}".to_vec(), 400, "UTF-8"),
        ("null", JSON, b"null".to_vec(), 400, "JSON object"),
        ("a list", JSON, b"[]".to_vec(), 400, "JSON object"),
        ("a list of an SMS", JSON, [b"[".to_vec(), sms(), b"]".to_vec()].concat(), 400, "JSON object"),
        ("a number", JSON, b"5".to_vec(), 400, "JSON object"),
        ("a number for the text", JSON, br#"{"text":5,"address":"a","date":1}"#.to_vec(), 400, "text must be"),
        ("a number for the sender", JSON, br#"{"text":"a","address":5,"date":1}"#.to_vec(), 400, "MSISDN must be"),
        ("null for the text", JSON, br#"{"text":null,"date":1}"#.to_vec(), 400, "field: text"),
        ("a tower of lists", JSON, "[".repeat(DEPTH).into_bytes(), 400, "too deeply"),
        ("a tower of objects", JSON, "{\"a\":".repeat(DEPTH / 5).into_bytes(), 400, "too deeply"),
        ("a tower in the text", JSON, format!("{{\"text\":{}", "[".repeat(DEPTH)).into_bytes(), 400, "too deeply"),
        ("1 MB", JSON, long(MB), 413, "131072 bytes"),
        ("20 MB", JSON, long(20 * MB), 413, "131072 bytes"),
    ];
    let of = |(name, content_type, body, status, reason)| Nonsense { name, content_type, body, status, reason };
    rows.into_iter().map(of).collect()
}

impl Nonsense {
    /// Sends it to a door, and checks the answer.
    async fn send(&self, url: &str, body: Body<'_>) {
        let call = Call { method: "POST", url, content_type: Some(self.content_type), body };
        let answer = call.send().await.unwrap_or_else(|error| panic!("{} at {url}: {error}", self.name));
        self.check(&answer);
    }

    fn check(&self, answer: &Answer) {
        let name = self.name;
        assert_eq!(answer.status, self.status, "{name}: {}", answer.body);
        assert!(answer.bytes <= ANSWER_BYTES_MAX, "{name}: {} bytes", answer.bytes);
        let told: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{name}: {}", answer.body));
        let reason = told["error"].as_str().unwrap_or_else(|| panic!("{name}: {told}"));
        assert!(reason.contains(self.reason) && reason.len() < 100, "{name}: {reason}");
        assert_eq!(told, json!({ "error": reason }), "{name}: nothing else is told");
        let said = INTERNALS.iter().find(|word| reason.contains(**word));
        assert!(said.is_none(), "{name}: {said:?} in {reason}");
    }

    /// The median time of an answer.
    async fn time(&self, url: &str) -> Duration {
        let mut times = Vec::with_capacity(TRIES);
        for _ in 0..TRIES {
            let begun = Instant::now();
            self.send(url, Body::Announced(&self.body)).await;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        times[TRIES / 2]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_sms_get_a_short_no_and_leave_nothing_behind() {
    let world = World::start(1).await.unwrap();
    let node = &world.nodes[0];
    let pid = node.pid().unwrap();
    let mut person = world.person(0, "+237650410001", "ida").await.unwrap();
    let client = world.gateway(0, "booth", "+237650410009").await.unwrap();
    let own = client.url.clone();
    let before = state(node).await;

    let doors = [format!("{}/v3/publish", node.http()), format!("{}/sms/platform/telegram", node.http()), own];
    let mut slowest = (Duration::ZERO, "");
    for case in nonsense() {
        for door in &doors {
            slowest = slowest.max((case.time(door).await, case.name));
        }
        // A sender need not say how much is to come.
        case.send(&doors[0], Body::Chunked(&case.body)).await;
    }
    println!("slowest median of {TRIES}: {} ms, {}", slowest.0.as_millis(), slowest.1);
    assert!(slowest.0 < ANSWERED_WITHIN, "{slowest:?}");

    assert_eq!(state(node).await, before, "nothing of it came further than the door");
    let log = std::fs::read_to_string(node.log()).unwrap();
    assert!(!log.contains("panicked") && !log.contains("+15550100123"), "{}", node.tail());
    let sms = person.compose("still here", true).unwrap();
    let answer = client.forward(person.number.reveal(), &sms).await.unwrap();
    assert!(answer.accepted(), "{}", answer.text);
    assert_eq!(world.counts(&["still here"]).await, [1]);
    assert_ne!(state(node).await, before, "what is taken shows");
    assert!(node.pid() == Some(pid) && support::is_alive(pid), "it was one process all along");
}
