//! The demo as whoever types it sees it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::kit::follow::Follow;
use support::kit::gateway::GatewayClient;
use support::kit::http::Http;
use support::kit::person::Person;
use support::{binary, count_in_log, is_alive, send_signal};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A story ends by itself within this time. The promise is 15 s, for a release build on a quiet machine; here other tests run
/// beside it, mostly of a build that is not optimised.
const STORY_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 30 });
/// What a demo that stays does about a typed line or a signal shows within this time.
const SOON: Duration = Duration::from_secs(20);

fn demo(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("demo").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Runs a demo to its end; gives standard output of a good end.
async fn story(args: &[&str]) -> String {
    let output = tokio::time::timeout(STORY_WITHIN, demo(args).output()).await;
    let output = output.expect("it ends by itself").expect("it starts");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}\n{failed}");
    told.into_owned()
}

#[tokio::test]
async fn the_story_ends_with_everything_published_once() {
    let told = story(&["--once", "--seed", "1"]).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.last(), Some(&"published 11, duplicates 0, lost 0"), "{told}");
    let line = |words: &[&str]| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["node", "C", "SIGKILL"]), "{told}");
    assert!(line(&["gateway", "gc-douala", "HTTP 200", "(stored)"]), "{told}");
    assert!(line(&["platform", "PUBLISHED", "urgent 3 of 3"]), "{told}");
    for client in ["gc-douala", "gc-lagos"] {
        assert!(line(&["gateway", client, "HTTP 200", "urgent 1 of 3"]), "both forward it: {told}");
    }
    assert!(line(&["phone", "\"urgent 1 of 3\"", "gc-douala and gc-lagos"]), "{told}");
    assert_eq!(lines.iter().filter(|line| line.contains("SIGKILL")).count(), 1, "{told}");
    assert!(!told.contains("+237650"), "numbers are masked: {told}");
    assert!(!told.contains('\x1b'), "no colours where no terminal is: {told}");
}

#[tokio::test]
async fn one_node_tells_the_story_too_as_one_document() {
    let told = story(&["--once", "--nodes", "1", "--json", "--seed", "5"]).await;
    let document: Value = serde_json::from_str(&told).expect("one JSON document");
    assert_eq!(
        (&document["published"], &document["duplicates"], &document["lost"]),
        (&11.into(), &0.into(), &0.into())
    );
    let events = document["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["room"] == "platform"), "{told}");
    assert!(!told.contains("+237650"), "numbers are masked: {told}");
}

#[tokio::test]
async fn wrong_arguments_are_refused() {
    for args in [&["--nodes", "0"][..], &["--nodes", "13"], &["--once", "--keep"], &["--seed", "x"]] {
        let status = demo(args).status().await.unwrap();
        assert_eq!(status.code(), Some(2), "{args:?}");
    }
    let used = tempfile::tempdir().unwrap();
    std::fs::write(used.path().join("mine"), "mine").unwrap();
    let output = demo(&["--once", "--dir", used.path().to_str().unwrap()]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not empty"));
}

#[tokio::test]
async fn kept_nodes_publish_what_a_phone_sends_and_end_with_the_demo() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("demo");
    let mut keeper = demo(&["--keep", "--dir", dir.to_str().unwrap()]).spawn().unwrap();
    let description = description(&dir, &mut keeper).await;
    let pids: Vec<u32> = nodes(&description).iter().map(pid).collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| is_alive(*pid)));

    let text = "Sent by a test";
    publish(&description, text).await.unwrap();
    let log = description["platform_log"].as_str().unwrap();
    assert_eq!(count_in_log(Path::new(log), text).await.unwrap(), 1);

    send_signal("TERM", keeper.id().unwrap()).await.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(10), keeper.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "a node is left");
    assert!(dir.join("demo.json").exists(), "what was kept stays");
}

#[tokio::test]
async fn no_node_outlives_a_demo_that_is_interrupted() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("demo");
    let mut story = demo(&["--once", "--dir", dir.to_str().unwrap()]).spawn().unwrap();
    let begun = Instant::now();
    // A node that has its socket runs.
    while !["a", "b", "c"].iter().all(|node| dir.join(node).join("relaymesh.sock").exists()) {
        assert!(begun.elapsed() < STORY_WITHIN, "no nodes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let story_pid = story.id().unwrap();
    let children = children(story_pid);
    assert!(children.len() >= 3, "{children:?}");
    send_signal("INT", story_pid).await.unwrap();
    let status = tokio::time::timeout(Duration::from_secs(10), story.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(1), "no story was told");
    let ended = Instant::now();
    while children.iter().any(|pid| is_alive(*pid)) {
        assert!(ended.elapsed() < Duration::from_secs(5), "a process is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads lines until one has these words; gives what was read, that line at its end.
async fn read_until(lines: &mut Lines<BufReader<ChildStdout>>, patience: Duration, words: &str) -> Vec<String> {
    let mut read = Vec::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let is_it = line.contains(words);
            read.push(line);
            if is_it {
                return;
            }
        }
        panic!("it ended")
    };
    let found = tokio::time::timeout(patience, reading).await.is_ok();
    assert!(found, "no {words:?} within {} s:\n{}", patience.as_secs(), read.join("\n"));
    read
}

#[tokio::test]
async fn after_the_story_a_typed_line_is_a_message_and_ctrl_c_is_the_end() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = demo(&[]);
    let mut watched = command.env("TMPDIR", temporary.path()).stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watched.stdout.take().unwrap()).lines();
    let told = read_until(&mut lines, STORY_WITHIN, "The nodes stay up").await;
    assert!(told.contains(&"published 11, duplicates 0, lost 0".to_owned()), "{told:#?}");
    let hints = read_until(&mut lines, SOON, "demo.json").await;
    let hint = |words: &str| hints.iter().find_map(|line| line.split_once(words)).map(|(_, rest)| rest.trim()).unwrap();
    let posts = Http::new().get(hint("what was published:")).await.unwrap();
    assert!(posts.status == 200 && posts.body.contains("urgent 3 of 3"), "{}", posts.body);
    let status: Vec<&str> = hint("how a node is:").split_whitespace().skip(1).collect();
    let status = Command::new(binary()).args(status).output().await.unwrap();
    assert!(status.status.success(), "the command that it shows works: {status:?}");
    let file = std::fs::read_to_string(hint("everything else:")).unwrap();
    let pids: Vec<u32> = nodes(&serde_json::from_str(&file).unwrap()).iter().map(pid).collect();

    let mut keyboard = watched.stdin.take().unwrap();
    keyboard.write_all("\n  À bientôt, \"toi\"  \nBonjour\n".as_bytes()).await.unwrap();
    let shown = format!("PUBLISHED {:?} by", "À bientôt, \"toi\"");
    let mut answered = read_until(&mut lines, SOON, "PUBLISHED \"").await;
    answered.extend(read_until(&mut lines, SOON, "PUBLISHED \"").await);
    let answered = answered.join("\n");
    assert!(answered.contains(&shown), "{answered}");
    assert!(answered.contains("PUBLISHED \"Bonjour (2)\" by"), "a text of the story gets a number: {answered}");
    // Nothing more is typed: that is no end.
    drop(keyboard);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(watched.try_wait().unwrap().is_none() && pids.len() == 3 && pids.iter().all(|pid| is_alive(*pid)));

    send_signal("INT", watched.id().unwrap()).await.unwrap();
    let status = tokio::time::timeout(SOON, watched.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "a node is left");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "its files are gone");
}

/// Processes that this one started.
fn children(of: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task")).unwrap();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn no_node_outlives_a_demo_that_is_killed() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("demo");
    let mut keeper = demo(&["--keep", "--nodes", "2", "--dir", dir.to_str().unwrap()]).spawn().unwrap();
    let description = description(&dir, &mut keeper).await;
    let pids: Vec<u32> = nodes(&description).iter().map(pid).collect();
    assert!(pids.len() == 2 && pids.iter().all(|pid| is_alive(*pid)));
    keeper.kill().await.unwrap();
    let killed = Instant::now();
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(killed.elapsed() < Duration::from_secs(5), "a node is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits for `demo.json`.
async fn description(dir: &Path, keeper: &mut Child) -> Value {
    let begun = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(dir.join("demo.json")) {
            return serde_json::from_str(&text).expect("demo.json is written whole");
        }
        assert!(keeper.try_wait().is_ok_and(|end| end.is_none()), "the demo ended");
        assert!(begun.elapsed() < STORY_WITHIN, "no demo.json");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn nodes(description: &Value) -> &Vec<Value> {
    description["nodes"].as_array().expect("nodes")
}

fn pid(node: &Value) -> u32 {
    node["pid"].as_u64().and_then(|pid| pid.try_into().ok()).expect("a pid")
}

/// Signs up at node C and sends one message, twice, through node A's open door.
async fn publish(description: &Value, text: &str) -> anyhow::Result<()> {
    let http = Http::new();
    let mut outbox = Follow::new(field(description, "sms_outbox").into());
    let grpc = field(&nodes(description)[2], "grpc");
    let mut person = Person::sign_up(grpc, "+237650100099", &mut outbox, 99).await?;
    let account = person.connect(&http, "tester").await?;
    assert!(account.contains("tester"), "{account}");
    let door = format!("{}/v3/publish", field(&nodes(description)[0], "http"));
    let gateway = GatewayClient::new("test", "A", door, http);
    let sms = person.compose(text, true)?;
    for _ in 0..2 {
        let answer = gateway.forward(person.number.reveal(), &sms).await?;
        assert_eq!((answer.status, answer.accepted()), (200, true), "{}", answer.text);
    }
    Ok(())
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().expect("a text")
}
