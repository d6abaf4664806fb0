//! The built binary's words: help, completions, exit codes and the two forms of errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn relaymesh(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relaymesh")).args(words).env_clear().env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_names_every_command_and_goes_to_standard_output() {
    let help = relaymesh(&["help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    let told = text(&help.stdout);
    for command in [
        "init",
        "run",
        "status",
        "trace",
        "doctor",
        "ping",
        "gateway",
        "node",
        "bundle",
        "bridge",
        "config",
        "completions",
    ] {
        assert!(told.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {told}");
        let one = relaymesh(&["help", command]);
        assert!(one.status.success() && text(&one.stdout).contains("Usage:"), "{command}");
    }
    assert!(told.contains("Exit codes"));
    assert!(!told.contains('\u{1b}'));
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let made = relaymesh(&["completions", shell]);
        assert!(made.status.success() && made.stderr.is_empty());
        let script = text(&made.stdout);
        assert!(script.contains("relaymesh") && script.contains("federate"), "{shell}");
    }
}

#[test]
fn mistakes_in_the_words_are_exit_2() {
    for words in [
        &["stats"][..],
        &["node"],
        &["trace"],
        &["completions", "tcsh"],
        &["bridge", "keys", "generate", "--count", "0"],
    ] {
        let output = relaymesh(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let output = relaymesh(&["stats", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("stats"), "{error}");
}

#[test]
fn a_node_that_does_not_run_is_exit_3_and_says_how_to_start_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relaymesh.toml");
    std::fs::write(&path, "").unwrap();
    let config = path.to_str().unwrap();
    for words in [
        &["status"][..],
        &["node", "list"],
        &["trace", "ab"],
        &["ping", "x"],
        &["gateway", "list"],
        &["bridge", "keys", "list"],
    ] {
        let output = relaymesh(&[words, &["--config", config]].concat());
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let told = text(&output.stderr);
        assert!(
            told.starts_with("error: no node answers") && told.contains("help: start it with: relaymesh run"),
            "{told}"
        );
        let output = relaymesh(&[words, &["--json", "--config", config]].concat());
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], "RM-E0300");
        for field in ["message", "hint", "docs"] {
            assert!(error["error"][field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_missing_configuration_is_exit_4_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_relaymesh"))
        .arg("status")
        .env_clear()
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let told = text(&output.stderr);
    assert!(told.contains("relaymesh.toml") && told.contains("relaymesh init") && told.lines().count() == 1, "{told}");
    let mut named = Command::new(env!("CARGO_BIN_EXE_relaymesh"));
    let named = named.arg("status").env_clear().env("RELAYMESH_CONFIG", "/nowhere/r.toml").output().unwrap();
    assert!(text(&named.stderr).contains("/nowhere/r.toml"));
}

#[test]
fn doctor_without_a_node_names_what_to_do_and_is_exit_5() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relaymesh.toml");
    std::fs::write(&path, "").unwrap();
    let output = relaymesh(&["doctor", "--json", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(5));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let errors: Vec<&serde_json::Value> =
        found.as_array().unwrap().iter().filter(|one| one["level"] == "error").collect();
    assert_eq!(errors.len(), 2, "{found}");
    assert!(errors.iter().any(|one| one["fix"].as_str().unwrap().contains("relaymesh run")), "{found}");
}

#[test]
fn a_bundle_is_never_written_over_something() {
    let dir = tempfile::tempdir().unwrap();
    let (config, file) = (dir.path().join("relaymesh.toml"), dir.path().join("bundle"));
    std::fs::write(&config, "").unwrap();
    std::fs::write(&file, "mine").unwrap();
    let words = ["bundle", "export", file.to_str().unwrap(), "--config", config.to_str().unwrap()];
    let output = relaymesh(&words);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

/// A node that runs, and ends with the test.
struct Running {
    dir: TempDir,
    child: Child,
    grpc: String,
}

impl Running {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |below: &str| dir.path().join(below).to_str().unwrap().to_owned();
        let (node, key) = (path("node"), path("keys/node.key"));
        let words = ["init", "--dir", &node, "--key-file", &key, "--name", "one", "--mesh", "/ip4/127.0.0.1/tcp/0"];
        let made = relaymesh(&[&words[..], &["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]].concat());
        assert!(made.status.success(), "{}", text(&made.stderr));
        assert!(text(&made.stdout).lines().count() <= 15, "{}", text(&made.stdout));
        let config = path("node/relaymesh.toml");
        let mut child = Command::new(env!("CARGO_BIN_EXE_relaymesh"))
            .args(["run", "--config", &config])
            .env_clear()
            .env("RELAYMESH_SMS__FILE__PATH", "sms.jsonl")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready"), "{ready}");
        let grpc = ready.split_whitespace().find_map(|word| word.strip_prefix("grpc=")).unwrap();
        Self { grpc: format!("http://{grpc}"), dir, child }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn ask(&self, words: &[&str]) -> Output {
        let config = self.path("node/relaymesh.toml");
        relaymesh(&[words, &["--config", config.to_str().unwrap()]].concat())
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.ask(&[words, &["--json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn phone(&self, words: &[&str]) -> Output {
        let state = self.path("phone");
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaymesh"));
        command.arg("phone").args(words).arg("--state").arg(state);
        command.env_clear().env("RELAYMESH_PHONE_PASSWORD", "correct-Horse-9").output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_running_node_answers_in_both_forms_and_ends_cleanly() {
    let mut node = Running::start();
    let status = node.json(&["status"]);
    assert_eq!((status["name"].as_str(), status["members"].as_u64()), (Some("one"), Some(1)));
    let list = node.json(&["node", "list"]);
    assert_eq!((list[0]["state"].as_str(), list[0]["peer_id"].as_str()), (Some("self"), status["peer_id"].as_str()));
    let code = node.json(&["node", "invite"])["code"].as_str().unwrap().to_owned();
    let invited = text(&node.ask(&["node", "invite"]).stdout);
    assert_eq!(invited.lines().next().unwrap().len(), code.len());
    let added = node.json(&["gateway", "add", "phone-1", "--msisdn", "+237650123456"]);
    assert!(added["url"].as_str().unwrap().ends_with("/v3/publish"), "{added}");
    let gateways = text(&node.ask(&["gateway", "list"]).stdout);
    assert!(
        gateways.contains("phone-1") && gateways.contains("3456") && !gateways.contains("237650123456"),
        "{gateways}"
    );
    let config = node.path("node/relaymesh.toml");
    let second = relaymesh(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(4), "{}", text(&second.stderr));
    assert!(text(&second.stderr).contains("another node is running"));
    assert!(node.ask(&["config", "check"]).status.success());
    assert_eq!(node.ask(&["trace", "abcdef012345"]).status.code(), Some(1));

    let stopped = Command::new("kill").args(["-TERM", &node.child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
    assert!(!node.path("node/relaymesh.sock").exists());
    assert_eq!(node.ask(&["status"]).status.code(), Some(3));
}

#[test]
fn a_phone_signs_up_and_writes() {
    let node = Running::start();
    let grpc = node.grpc.clone();
    let entry = ["signup", "--grpc", &grpc, "--number", "+237650123456", "--country", "CM"];
    let first = node.phone(&entry);
    assert!(first.status.success() && !node.path("phone").exists(), "{}", text(&first.stderr));
    let wrong = node.phone(&[&entry[..], &["--code", "000000"]].concat());
    assert!(!wrong.status.success() && !node.path("phone").exists());
    let sms = std::fs::read_to_string(node.path("node/sms.jsonl")).unwrap();
    let last: Value = serde_json::from_str(sms.lines().last().unwrap()).unwrap();
    let code: String = last["text"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    let second = node.phone(&[&entry[..], &["--code", &code]].concat());
    assert!(second.status.success(), "{}", text(&second.stderr));
    let listed = node.phone(&["list", "--grpc", &grpc, "--json"]);
    assert_eq!(text(&listed.stdout).trim(), "[]", "{}", text(&listed.stderr));
    assert_eq!(node.phone(&["compose", "hello"]).status.code(), Some(1), "no account is known");
    let post = ["compose", "--account", "me@m.example", "hello", "--json"];
    let (one, two) = (node.phone(&post).stdout, node.phone(&post).stdout);
    let (one, two): (Value, Value) = (serde_json::from_slice(&one).unwrap(), serde_json::from_slice(&two).unwrap());
    assert_eq!((one["ordinal"].as_u64(), two["ordinal"].as_u64()), (Some(1), Some(2)));
    assert!(one["sms"] != two["sms"] && !one["sms"][0].as_str().unwrap().is_empty());
    let nobody = node.phone(&["list", "--grpc", "http://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(3), "{}", text(&nobody.stderr));
}
