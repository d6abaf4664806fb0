//! What an operator sees of other nodes and of a message: `ping`, and `trace`.

use std::process::Output;

use serde_json::Value;

use crate::support::kit::process::Node;
use crate::{A, C, Story, held, within};
use crate::{RECEIPTS, support};

/// Exit code of a command that may succeed later.
const TEMPORARY: i32 = 75;

/// Runs a command of the operator to its end, as text for people.
pub async fn says(node: &Node, words: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(support::binary());
    command.args(words).arg("--config").arg(node.config()).kill_on_drop(true);
    command.output().await.unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// `ping` of a node that is there, under each of its names, and of what is no node.
pub async fn answers_a_ping(from: &Node, to: &Node) {
    for name in [to.name(), &to.peer_id] {
        let pong = from.ask(&["ping", name]).await.unwrap();
        assert_eq!((pong["peer_id"].as_str(), pong["hops"].as_u64()), (Some(to.peer_id.as_str()), Some(0)), "{pong}");
        assert!(pong["millis"].as_u64().is_some_and(|millis| millis < 10_000), "{pong}");
    }
    let shown = says(from, &["ping", to.name()]).await;
    assert!(shown.status.success());
    let line = text(shown.stdout);
    assert!(
        line.starts_with(&format!("{} answered in ", to.peer_id)) && line.ends_with(" ms, 0 hops there\n"),
        "{line}"
    );
    for (name, code, why) in [
        ("nobody", 1, "no node or instance is called nobody"),
        (to.instance(), 2, "name one node"),
        ("12D3KooW", 2, "ambiguous: 3 node ids begin so"),
    ] {
        let refused = says(from, &["ping", name]).await;
        let told = text(refused.stderr);
        assert!(
            refused.status.code() == Some(code) && refused.stdout.is_empty() && told.contains(why),
            "{name}: {told}"
        );
    }
}

/// `ping` of a node that is not there ends, and says so.
pub async fn does_not_answer_a_ping(from: &Node, to: &Node) {
    let lost = says(from, &["ping", to.name()]).await;
    let told = text(lost.stderr);
    assert_eq!((lost.status.code(), text(lost.stdout).as_str()), (Some(TEMPORARY), ""), "{told}");
    assert!(told.contains("no answer within 10 s") && told.contains("relaymesh doctor"), "{told}");
}

/// Sends a message from A to its home and follows it with `trace`, which names rooms and nodes and nothing of the message.
pub async fn follows_a_message(story: &mut Story) {
    const TEXT: &str = "Followed-Through";
    let sms = story.write(TEXT);
    let number = story.person.number.reveal().to_owned();
    let answer = story.gateways[A].forward(&number, &sms).await.unwrap();
    let message = answer.text.strip_prefix("accepted ").expect("it is accepted").to_owned();
    story.published_once(&[TEXT]).await;
    let (a, home) = (&story.world.nodes[A], &story.world.nodes[C]);
    within(RECEIPTS, "the receipts are back", async || held(a).await == 0).await;

    let trace = a.ask(&["trace", &message[..8]]).await.unwrap();
    let events = trace["events"].as_array().unwrap();
    let lines: Vec<(&str, &str)> = events.iter().map(|event| (field(event, "room"), field(event, "what"))).collect();
    assert_eq!(trace["message"], message);
    assert_eq!(lines.first(), Some(&("ingress", "stored")));
    let home_name = format!("{} (…", home.name());
    let at = |room: &str, what: &str| {
        let found = lines.iter().position(|(r, w)| *r == room && w.starts_with(what));
        found.unwrap_or_else(|| panic!("no {what:?} in {lines:?}"))
    };
    let offered = at("leg", &format!("offered to {home_name}"));
    let accepted = at("receipt", &format!("accepted by {home_name}"));
    let done = at("receipt", "done: published");
    assert!(offered < accepted && accepted < done && done == lines.len() - 1, "{lines:?}");
    let times: Vec<u64> = events.iter().map(|event| event["at"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");

    let shown = says(a, &["trace", &message]).await;
    assert!(shown.status.success());
    let shown = text(shown.stdout);
    for (_, what) in &lines {
        assert!(shown.contains(what), "{shown}");
    }
    for secret in [number.trim_start_matches('+'), TEXT, &sms] {
        assert!(!shown.contains(secret) && !trace.to_string().contains(secret), "{shown}");
    }
    let refused = says(a, &["trace", "0000000000000000"]).await;
    assert_eq!(refused.status.code(), Some(1));
}

fn field<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().unwrap_or_else(|| panic!("{event} has {name}"))
}
