//! Real servers at our edges: snac2 for Mastodon, Postfix and Dovecot for mail. And a real client: the shell of our guide.
//!
//! They are not part of a Rust toolchain, so `cargo test` alone asks for none of them: without `RELAYMESH_PEERS=1` each
//! test says so and is done. With it, which is how `.ci/run` calls it, a server that is missing is a failure. `.ci/peers`
//! installs them. Postfix and Dovecot change users, so these tests run as root; all files and ports are private ones.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod bridge;
mod conformance;
mod imap;
mod mail;
mod mastodon;
mod post;
mod postfix;
mod server;
mod snac;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write as _;
use std::time::{Duration, Instant};

/// Whoever wants real servers sets this to 1.
const ASKED: &str = "RELAYMESH_PEERS";
/// Longest time for something between processes of this machine.
const SOON: Duration = Duration::from_secs(60);
/// A second post or mail would come within this time.
const SETTLE: Duration = Duration::from_secs(1);

/// Whether the servers are asked for. If not, that is said where `cargo test` does not swallow it.
fn asked() -> bool {
    let asked = std::env::var(ASKED).is_ok_and(|value| value == "1");
    if asked {
        let _ = rustls::crypto::ring::default_provider().install_default();
    } else {
        let name = std::thread::current().name().unwrap_or("peers").to_owned();
        let line = format!("{name}: not run: it needs real servers; install them with .ci/peers and set {ASKED}=1\n");
        // Nobody to tell is no failure.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    asked
}

/// Waits until there is an answer.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < SOON, "{what}: not within {} s", SOON.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
