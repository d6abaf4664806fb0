//! Nothing that identifies people or opens their messages is on a node's disk or in its logs in a readable form: known
//! numbers, addresses, texts, tokens and keys go through nodes that log everything, and are searched for in all they wrote.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod harness;
#[path = "scanner/mesh.rs"]
mod mesh;
#[path = "scanner/node.rs"]
mod node;
#[path = "scanner/plant.rs"]
mod plant;
#[path = "scanner/provider.rs"]
mod provider;
mod support;
#[path = "scanner/usage.rs"]
mod usage;

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::scan::Scanner;
use relaymesh_mail::sink::SmtpSink;
use relaymesh_protocol::ids::Timestamp;
use support::kit::gateway::epoch_ms;
use support::kit::process::Node;

/// Time for what was handed in to get where it goes.
const SOON: Duration = Duration::from_secs(20);

/// Settings under which a node logs everything; with `mail` it sends bridge mail and codes there.
fn everything(mail: Option<&SmtpSink>) -> toml::Table {
    let mut text = "[log]\nlevel = \"trace\"\n".to_owned();
    if let Some(mail) = mail {
        let port = mail.addr().port();
        text += &format!(
            "[bridge]\ndomain = \"relay.example.org\"\n\
             [bridge.smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"off\"\n"
        );
    }
    text.parse().unwrap()
}

fn assert_logs_everything(node: &Node) {
    let log = std::fs::read_to_string(node.log()).unwrap();
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "{} was to log everything", node.name());
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// Ends a node as its operator does.
async fn stop(node: &mut Node) {
    let pid = node.pid().unwrap();
    support::send_signal("TERM", pid).await.unwrap();
    eventually("the node ends", || !support::is_alive(pid)).await;
    node.kill().await.unwrap();
}

/// Copies what a node has on its disk. A running one may take a file away meanwhile.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else if path.is_file() {
            let copied = std::fs::copy(&path, &target);
            assert!(copied.is_ok() || !path.exists(), "{}: {copied:?}", path.display());
        }
    }
}

fn now() -> Timestamp {
    Timestamp(epoch_ms())
}

/// The first six digits in a row.
fn digits(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 6).map(str::to_owned)
}

async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < SOON, "{what}: not within {} s", SOON.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn what_is_planted_is_found_in_every_form() {
    let secret = b"Zq7!wolkenkratzer>>??";
    let mut scanner = Scanner::default();
    scanner.plant("password", secret);
    scanner.plant("one-time code", b"482913");
    scanner.state("state", &std::array::from_fn::<u8, 64, _>(|n| (n as u8).wrapping_mul(37).wrapping_add(129)));
    let behind = |prefix: &[u8]| [prefix, secret, b"..."].concat();
    let wide: Vec<u8> = secret.iter().flat_map(|byte| [*byte, 0]).collect();
    let half_state: Vec<u8> = (20..44_u8).map(|n| n.wrapping_mul(37).wrapping_add(129)).collect();
    let forms = [
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
        STANDARD.encode(behind(b"")).into_bytes(),
        STANDARD.encode(behind(b"a")).into_bytes(),
        URL_SAFE_NO_PAD.encode(behind(b"ab")).into_bytes(),
        wide,
        b"code=482913,".to_vec(),
        half_state,
    ];
    for (n, form) in forms.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("store");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(below.join("db"), [b"\xffnoise\x00", form.as_slice(), b"\x00noise"].concat()).unwrap();
        assert_eq!(scanner.scan(dir.path()).len(), 1, "form {n}");
        std::fs::write(below.join("db"), [b"\xffnoise\x00", &form[1..form.len() / 2], b"\x00noise"].concat()).unwrap();
        assert!(scanner.scan(dir.path()).is_empty(), "half of form {n} is nothing");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), "2026-01-01T00:00:00.482913Z  INFO 10482913 started").unwrap();
    assert!(scanner.scan(dir.path()).is_empty(), "a moment is no code");
    std::fs::write(dir.path().join("file-with-482913"), "").unwrap();
    assert_eq!(scanner.scan(dir.path()).len(), 1, "names of files count");
}
