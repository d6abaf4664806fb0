//! `gateway add`, `list` and `remove` of a running node: a URL that works, or word that no phone can use it.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod running;
mod support;

use running::{Running, text};
use support::kit::gateway::GatewayClient;
use support::kit::http::Http;

const ADD: [&str; 5] = ["gateway", "add", "booth", "--msisdn", "+237650200003"];
/// What a QR code is drawn with.
const CODE: char = '█';

/// Whether a private SMS is heard at this URL, and how it is answered.
async fn forward(url: &str) -> (u16, String) {
    let client = GatewayClient::new("booth", "one", url.to_owned(), Http::new());
    let answer = client.forward("+237650400007", "see you at 5").await.unwrap();
    (answer.status, answer.text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_client_comes_is_listed_and_goes() {
    let node = Running::start(&[]);
    assert_eq!(node.json(&["gateway", "list"]), serde_json::json!([]));
    let added = node.json(&ADD);
    let (url, path) = (added["url"].as_str().unwrap(), added["path"].as_str().unwrap());
    assert_eq!(url, format!("{}{path}", node.http), "the port that the system gave, not the 0 of the configuration");
    let warnings = added["warnings"].as_array().unwrap();
    let told = warnings[0].as_str().unwrap();
    assert!(warnings.len() == 1 && told.contains("node.public_url") && told.contains("this machine alone"), "{told}");
    assert!(!told.contains(path), "a warning may be passed on, a token may not");

    assert_eq!(forward(url).await, (200, "ignored".to_owned()));
    let listed = node.json(&["gateway", "list"]);
    assert_eq!((&listed[0]["name"], &listed[0]["ignored"]), (&"booth".into(), &1.into()), "{listed}");
    assert!(!listed.to_string().contains("650200003"), "the number is masked: {listed}");
    let table = text(&node.ask(&["gateway", "list"]).stdout);
    assert!(table.starts_with("NAME") && table.contains("booth") && !table.contains("650200003"), "{table}");

    let twice = node.ask(&ADD);
    assert!(!twice.status.success() && text(&twice.stderr).contains("of that name exists"), "{}", text(&twice.stderr));
    let removed = node.json(&["gateway", "remove", "booth"]);
    assert!(removed["message"].as_str().unwrap().contains("404"), "{removed}");
    assert_eq!(node.json(&["gateway", "list"]), serde_json::json!([]));
    assert_eq!(forward(url).await.0, 404, "the URL ended with it");
    let again = node.ask(&["gateway", "remove", "booth"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_no_phone_can_use_comes_with_a_warning_and_without_a_code() {
    for (listen, host) in [("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.1")] {
        let node = Running::start(&[("RELAYMESH_LISTEN__HTTP", listen)]);
        let added = node.ask(&ADD);
        let (out, told) = (text(&added.stdout), text(&added.stderr));
        assert!(added.status.success() && told.starts_with("warning: "), "{told}");
        assert!(told.contains("node.public_url") && told.lines().count() == 1, "{told}");
        let port = node.http.rsplit(':').next().unwrap();
        let url = out.lines().next().unwrap();
        assert!(url.starts_with(&format!("http://{host}:{port}/g/")), "{url}");
        assert!(!out.contains(CODE), "{out}");
        assert_eq!(forward(url).await.0, 200, "a modem on this machine can use it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_that_the_operator_wrote_is_in_url_and_code() {
    let node = Running::start(&[]);
    let file = node.path("node/relaymesh.toml");
    let written = std::fs::read_to_string(&file).unwrap();
    let set = written.replace("#public_url", "public_url");
    assert_ne!(set, written, "`init` leaves a place for it");
    std::fs::write(&file, set).unwrap();

    let added = node.ask(&ADD);
    let (out, told) = (text(&added.stdout), text(&added.stderr));
    assert!(out.starts_with("https://relay.example.org/g/") && out.contains(CODE), "{out}");
    assert_eq!(told, "");
    let path = out.lines().next().unwrap().trim_start_matches("https://relay.example.org");
    assert_eq!(forward(&format!("{}{path}", node.http)).await.0, 200, "the path is the node's");
    assert!(node.ask(&["gateway", "remove", "booth"]).status.success());
    let json = node.json(&ADD);
    assert_eq!(json["warnings"], serde_json::json!([]), "{json}");
    assert!(json["url"].as_str().unwrap().starts_with("https://relay.example.org/g/"), "{json}");
}
