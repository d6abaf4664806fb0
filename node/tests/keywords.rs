//! What people answer to our SMS, over the HTTP of a real node: taken from a gateway client's own URL, kept through a kill, and
//! refused at the open door.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use serde_json::json;
use support::World;
use support::kit::gateway::epoch_ms;
use support::kit::process::Node;

const NUMBER: &str = "+237650400009";

async fn held(node: &Node) -> u64 {
    node.ask(&["status"]).await.unwrap()["held"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_for_its_home_and_a_private_sms_is_not() {
    let mut world = World::start(1).await.unwrap();
    let gateway = world.gateway(0, "booth", "+237650200009").await.unwrap();
    for text in ["Please stop it", "RESEND", "stop by at 5"] {
        let answer = gateway.forward(NUMBER, text).await.unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (200, "ignored"), "{text}");
    }
    assert_eq!(held(&world.nodes[0]).await, 0);
    for (text, waiting) in [("« Stop »", 1), ("Resend #12", 3)] {
        let answer = gateway.forward(NUMBER, text).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.text.starts_with("accepted "), "{}", answer.text);
        assert_eq!(held(&world.nodes[0]).await, waiting, "it waits for an account's and a bridge identity's home");
    }
    world.nodes[0].kill().await.unwrap();
    world.nodes[0].start().await.unwrap();
    assert_eq!(held(&world.nodes[0]).await, 3, "after a kill too");

    let open = format!("{}/v3/publish", world.nodes[0].http());
    let sms = json!({ "address": NUMBER, "text": "STOP", "date": epoch_ms(), "date_sent": epoch_ms() });
    let answer = world.http.post(&open, &sms).await.unwrap();
    assert_eq!((answer.status, answer.field("error").as_deref()), (400, Some("not a RelaySMS payload")));
    assert_eq!(held(&world.nodes[0]).await, 3);
}
