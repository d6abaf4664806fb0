//! The built binary's words: help, completions, exit codes and the two forms of errors.

use std::process::{Command, Output};

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
