//! The lines of shell in `docs/gateway-client.md`, as whoever checks a node runs them: with `jq` and `curl`, against a
//! running one.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::support::World;

const GUIDE: &str = include_str!("../../../docs/gateway-client.md");
const CASES: &str = include_str!("../../../docs/gateway-client-conformance.jsonl");
/// What a user puts own values in place of.
const NODE: &str = "NODE=http://127.0.0.1:8080";
const TOKEN: &str = "TOKEN=your-token";

/// The guide's script.
fn script() -> &'static str {
    let (_, from) = GUIDE.split_once("```sh\n").expect("the guide has a script");
    let (script, _) = from.split_once("\n```").unwrap();
    script
}

/// What the script says to a node that is there or not.
async fn run(node: &str, token: &str) -> Vec<String> {
    let script = script();
    assert!(script.contains(NODE) && script.contains(TOKEN), "{script}");
    let script = script.replace(NODE, &format!("NODE={node}")).replace(TOKEN, &format!("TOKEN={token}"));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).current_dir(docs).stdin(Stdio::null()).kill_on_drop(true);
    let output = shell.output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_script_finds_that_a_node_conforms() {
    if !crate::asked() {
        return;
    }
    let world = World::start(1).await.unwrap();
    let node = world.nodes[0].http();
    let client = world.gateway(0, "booth", "+15550100999").await.unwrap();
    let token = client.url.split("/g/").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let said = run(&node, token).await;
    assert!(said.iter().all(|line| line.starts_with("ok    ")), "{}", said.join("\n"));
    assert_eq!(said.len(), CASES.lines().count(), "{}", said.join("\n"));

    let said = run(&node, "never-issued").await;
    let failed = said.iter().filter(|line| line.starts_with("FAIL  ")).count();
    assert!((1..said.len()).contains(&failed), "a wrong token shows: {}", said.join("\n"));
}
