//! A phone that shares no line with us: `foreign/` is written in Python from a description of what the apps send.
//!
//! Python and its packages are not part of a Rust toolchain. Where they are missing the test says so and is done, unless
//! `RELAYMESH_PEERS=1` asks for it, which is how `.ci/run` calls it after `.ci/peers` has installed them.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use relaymesh_publish::sink::Sink;
use serde_json::{Value, json};
use support::binary;
use support::kit::gateway::GatewayClient;
use support::kit::http::Http;
use support::kit::process::{Node, Plan, Ports};
use support::kit::{mesh, settings};
use tempfile::TempDir;
use tokio::process::Command;

/// Whoever wants the test for certain sets this to 1.
const ASKED: &str = "RELAYMESH_PEERS";
/// Another interpreter than the usual ones.
const PYTHON: &str = "RELAYMESH_PYTHON";
/// A whole story; each of its steps has a shorter limit.
const STORY_WITHIN: Duration = Duration::from_secs(600);

/// The first interpreter that has the packages.
async fn python() -> Option<String> {
    let named = std::env::var(PYTHON).ok();
    let usual = ["/usr/bin/python3".to_owned(), "python3".to_owned()];
    for python in named.into_iter().chain(usual) {
        let mut look = Command::new(&python);
        look.args(["-c", "import grpc, cryptography"]).stdout(Stdio::null()).stderr(Stdio::null());
        if look.status().await.is_ok_and(|status| status.success()) {
            return Some(python);
        }
    }
    None
}

async fn node(dir: &TempDir, name: &str, ports: Ports, settings: &str) -> Node {
    let plan = Plan {
        name: name.to_owned(),
        instance: format!("{name}-instance"),
        dir: dir.path().join(name),
        key_file: dir.path().join("keys").join(format!("{name}.key")),
        ports,
        settings: settings.to_owned(),
    };
    let mut node = Node::init(binary(), plan).await.unwrap();
    node.start().await.unwrap();
    mesh::identify(&mut node).await.unwrap();
    node
}

fn described(node: &Node) -> Value {
    json!({ "name": node.name(), "http": node.http(), "grpc": node.grpc() })
}

fn gateway(client: &GatewayClient) -> Value {
    json!({ "name": client.name, "node": client.node, "url": client.url })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_written_from_the_description_alone_lives_a_whole_account() {
    let Some(python) = python().await else {
        let asked = std::env::var(ASKED).is_ok_and(|value| value == "1");
        assert!(!asked, "no python3 with grpc and cryptography; run .ci/peers");
        let line = "foreign phone: not run: it needs python3 with the packages of node/tests/foreign/requirements.txt; \
                    .ci/peers installs them\n";
        // Nobody to tell is no failure.
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (log, outbox) = (dir.path().join("platform.jsonl"), dir.path().join("sms.jsonl"));
    let platform = Sink::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(log.clone())).await.unwrap();
    let smtp_port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let ports = Ports::free(2).unwrap();
    let local = settings::local(&platform, &outbox);
    let bridge = format!(
        "{local}\n[sms.budget]\nper_number_per_day = 200\n[bridge]\ndomain = \"sms.example.org\"\n\
         [bridge.smtp]\nhost = \"127.0.0.1\"\nport = {smtp_port}\ntls = \"off\"\n"
    );
    let (ingress, home) = (node(&dir, "ingress", ports[0], &local).await, node(&dir, "home", ports[1], &bridge).await);
    mesh::join(&home, &ingress).await.unwrap();
    mesh::federate(&home, &ingress).await.unwrap();
    home.ask(&["bridge", "keys", "generate", "--count", "3"]).await.unwrap();
    let http = Http::new();
    let clients = [
        mesh::enrol(&ingress, "gc-ingress", "+237650200001", http.clone()).await.unwrap(),
        mesh::enrol(&home, "gc-home", "+237650200002", http).await.unwrap(),
    ];

    let told = json!({
        "nodes": [described(&ingress), described(&home)], "gateways": clients.each_ref().map(gateway),
        "sms_outbox": outbox, "platform_log": log, "smtp_port": smtp_port,
    });
    let file = dir.path().join("told.json");
    std::fs::write(&file, told.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/story.py");
    let mut story = Command::new(python);
    // Nothing is left in the source tree.
    story.arg("-B").arg(script).arg(&file).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(STORY_WITHIN, story.output()).await.expect("it ends by itself").unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{failed}\n{}\n{}", ingress.tail(), home.tail());
    assert!(said.ends_with("everything was as it must be\n"), "{said}");
}
