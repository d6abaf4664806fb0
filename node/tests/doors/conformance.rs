//! Runs `docs/gateway-client-conformance.jsonl` against a running node. The peers suite runs the guide's own lines of shell,
//! which need `jq` and `curl`.

use serde_json::Value;

use crate::support::World;
use crate::wire::{Body, Call};

const CASES: &str = include_str!("../../../docs/gateway-client-conformance.jsonl");

#[tokio::test(flavor = "multi_thread")]
async fn a_running_node_answers_as_the_list_says() {
    let world = World::start(1).await.unwrap();
    let node = &world.nodes[0];
    let client = world.gateway(0, "booth", "+15550100999").await.unwrap();
    let token = client.url.split("/g/").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let mut wrong = Vec::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| case[name].as_str().unwrap_or_else(|| panic!("{name} in {}", case["name"]));
        let url = format!("{}{}", node.http(), text("path").replace("TOKEN", token));
        let body = Body::Announced(text("body").as_bytes());
        let call = Call { method: text("method"), url: &url, content_type: case["content_type"].as_str(), body };
        let answer = call.send().await.unwrap();
        let said = case["answer_contains"].as_str().is_none_or(|piece| answer.body.contains(piece));
        if u64::from(answer.status) != case["status"].as_u64().unwrap() || !said {
            wrong.push(format!("{}: {} {}", text("name"), answer.status, answer.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(CASES.lines().count() >= 15, "the list is read");
    let status = node.ask(&["status"]).await.unwrap();
    assert_eq!(status["held"], 4, "the guide says how many the node keeps for a while");
}
