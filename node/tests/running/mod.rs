//! One node that runs, for tests of the command line.

#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Runs the binary to its end.
pub fn relaymesh(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_relaymesh")).args(words).env_clear().env("NO_COLOR", "1").output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A node that runs, and ends with the test.
pub struct Running {
    dir: TempDir,
    pub child: Child,
    pub http: String,
    pub grpc: String,
}

/// A node that was made and does not run.
pub struct Made(TempDir);

impl Made {
    pub fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }
}

impl Running {
    /// Makes a node, without starting it.
    pub fn made() -> Made {
        let made = Made(tempfile::tempdir().unwrap());
        let path = |below: &str| made.path(below).to_str().unwrap().to_owned();
        let (node, key) = (path("node"), path("keys/node.key"));
        let words = ["init", "--dir", &node, "--key-file", &key, "--name", "one", "--mesh", "/ip4/127.0.0.1/tcp/0"];
        let init = relaymesh(&[&words[..], &["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]].concat());
        assert!(init.status.success(), "{}", text(&init.stderr));
        assert!(text(&init.stdout).lines().count() <= 15, "{}", text(&init.stdout));
        made
    }

    /// Starts a new node with more settings.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let made = Self::made();
        let mut child = Command::new(env!("CARGO_BIN_EXE_relaymesh"))
            .args(["run", "--config"])
            .arg(made.path("node/relaymesh.toml"))
            .env_clear()
            .env("RELAYMESH_SMS__FILE__PATH", "sms.jsonl")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready"), "{ready}");
        let url = |name: &str| {
            let at = ready.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap();
            format!("http://{at}")
        };
        Self { http: url("http="), grpc: url("grpc="), dir: made.0, child }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn ask(&self, words: &[&str]) -> Output {
        let config = self.path("node/relaymesh.toml");
        relaymesh(&[words, &["--config", config.to_str().unwrap()]].concat())
    }

    pub fn json(&self, words: &[&str]) -> Value {
        let output = self.ask(&[words, &["--json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn phone(&self, words: &[&str]) -> Output {
        self.phone_under("correct-Horse-9", words)
    }

    /// With another password.
    pub fn phone_under(&self, password: &str, words: &[&str]) -> Output {
        let state = self.path("phone");
        let mut command = Command::new(env!("CARGO_BIN_EXE_relaymesh"));
        command.arg("phone").args(words).arg("--state").arg(state);
        command.env_clear().env("RELAYMESH_PHONE_PASSWORD", password).output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
