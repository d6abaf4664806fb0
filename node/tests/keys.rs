//! `keys passphrase`: from a key file to a passphrase, and from one passphrase to another.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod running;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use running::{Running, relaymesh, text};

fn put(dir: &Path, name: &str, words: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, words).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Writes what the command said into `[keys]`.
fn adopt(config: &Path, keys: &str) {
    let before = fs::read_to_string(config).unwrap();
    let mut inside = false;
    let lines = before.lines().map(|line| {
        let begins = line.starts_with('[');
        let replaced = inside && !begins && !line.trim().is_empty() && !line.starts_with('#');
        inside = if begins { line == "[keys]" } else { inside };
        if replaced { keys } else { line }
    });
    let after = lines.collect::<Vec<_>>().join("\n");
    assert_ne!(before, after);
    fs::write(config, after).unwrap();
}

#[test]
fn a_keyring_moves_from_a_key_file_to_a_passphrase_and_to_another() {
    let made = Running::made();
    let (dir, config) = (tempfile::tempdir().unwrap(), made.path("node/relaymesh.toml"));
    let config_text = config.to_str().unwrap();
    let check = || relaymesh(&["config", "check", "--json", "--config", config_text]);
    let peer = |output: &std::process::Output| {
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["peer_id"].as_str().unwrap().to_owned()
    };
    let before = peer(&check());
    let reseal = |file: &Path| {
        let words = ["keys", "passphrase", "--json", "--config", config_text, "--passphrase-file"];
        relaymesh(&[&words[..], &[file.to_str().unwrap()]].concat())
    };
    let short = put(dir.path(), "short", "too short");
    assert!(!reseal(&short).status.success());
    assert_eq!(peer(&check()), before, "nothing was changed");

    for (name, words) in [("one", "correct horse battery"), ("two", "staple and some more")] {
        let file = put(dir.path(), name, words);
        let done = reseal(&file);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert!(!text(&done.stdout).contains(words) && !text(&done.stderr).contains(words));
        assert!(!check().status.success(), "what opened it before does not any more");
        let done: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        adopt(&config, done["keys"].as_str().unwrap());
        assert_eq!(peer(&check()), before);
    }
}

#[test]
fn a_running_node_keeps_its_keyring() {
    let node = Running::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let file = put(dir.path(), "words", "correct horse battery");
    let keyring = node.path("node/keyring");
    let before = fs::read(&keyring).unwrap();
    let refused = node.ask(&["keys", "passphrase", "--passphrase-file", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("stop the node"), "{}", text(&refused.stderr));
    assert_eq!(fs::read(&keyring).unwrap(), before);
    assert!(node.ask(&["status"]).status.success(), "its socket is still there");
}
