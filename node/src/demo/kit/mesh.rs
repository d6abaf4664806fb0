//! What operators do: invite, join, become partners, enrol gateway clients. Each through the command line of a running
//! node, so that a story uses what an operator has.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::gateway::GatewayClient;
use super::http::Http;
use super::process::Node;

/// Facts spread within a moment between nodes that are connected; beyond this something is wrong.
const SPREAD_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Asks a node for its peer id and keeps it.
pub async fn identify(node: &mut Node) -> Result<()> {
    let answer = node.ask(&["node", "id"]).await?;
    node.peer_id = text(&answer, "peer_id").context("the node did not tell its peer id")?.to_owned();
    Ok(())
}

/// Makes `joiner` a member of the mesh that `inviter` is in. Gives the code by which it came.
pub async fn join(inviter: &Node, joiner: &Node) -> Result<String> {
    let answer = inviter.ask(&["node", "invite"]).await?;
    let code = text(&answer, "code").context("the node gave no invite code")?;
    joiner.ask(&["node", "join", code]).await?;
    Ok(code.to_owned())
}

/// Makes two instances partners: each operator accepts the other's.
pub async fn federate(one: &Node, other: &Node) -> Result<()> {
    for (node, with) in [(one, other), (other, one)] {
        // The other's record may still be on its way.
        eventually(async || node.ask(&["node", "federate", with.instance()]).await).await?;
    }
    Ok(())
}

/// Waits until `node` is connected to the node with this peer id.
pub async fn connected(node: &Node, peer_id: &str) -> Result<()> {
    let look = async || {
        let answer = node.ask(&["node", "list"]).await?;
        let rows = rows(&answer, "peer_id");
        let there =
            rows.iter().any(|row| text(row, "peer_id") == Some(peer_id) && text(row, "state") == Some("connected"));
        there.then_some(()).with_context(|| format!("node {} does not reach {peer_id}", node.name()))
    };
    eventually(look).await
}

/// Enrols a gateway client and gives it its URL.
pub async fn enrol(node: &Node, name: &str, msisdn: &str, http: Http) -> Result<GatewayClient> {
    let answer = node.ask(&["gateway", "add", name, "--msisdn", msisdn]).await?;
    let told = text(&answer, "path").or_else(|| text(&answer, "url")).context("the node gave no gateway URL")?;
    let path = told.find("/g/").and_then(|at| told.get(at..)).context("the gateway URL has no token")?;
    Ok(GatewayClient::new(name, node.name(), format!("{}{path}", node.http()), http))
}

/// Tries again until it works or [`SPREAD_WITHIN`] is over; the last error is told.
async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match attempt().await {
            Err(_) if begun.elapsed() < SPREAD_WITHIN => tokio::time::sleep(LOOK_EVERY).await,
            end => return end,
        }
    }
}

/// The first text under this name, at any depth.
fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    let own = value.get(name).and_then(Value::as_str);
    own.or_else(|| children(value).into_iter().find_map(|child| text(child, name)))
}

/// All objects that have this name, at any depth.
fn rows<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    if value.get(name).is_some() {
        return vec![value];
    }
    children(value).into_iter().flat_map(|child| rows(child, name)).collect()
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_read_at_any_depth() {
        let answer = json!({"schema": "x/1", "invite": {"code": "rm1", "expires": 1}});
        assert_eq!(text(&answer, "code"), Some("rm1"));
        assert_eq!(text(&answer, "expires"), None);
        let list = json!({"nodes": [{"peer_id": "a", "state": "self"}, {"peer_id": "b", "state": "connected"}]});
        let states: Vec<_> = rows(&list, "peer_id").into_iter().map(|row| text(row, "state")).collect();
        assert_eq!(states, [Some("self"), Some("connected")]);
        assert!(rows(&answer, "peer_id").is_empty());
    }
}
