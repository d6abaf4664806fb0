//! SMS that a node makes durable before it answers, from 64 gateway clients' connections at once. The senders' home is
//! nowhere, so nothing but acceptance goes on.

use anyhow::{Context as _, Result};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde_json::json;

use super::Scale;
use super::floor::Floor;
use super::load;
use super::people::stray;
use super::row::{Budget, Row};
use super::stage::{Stage, doors};

/// Connections.
const CONNECTIONS: usize = 64;
/// Gateway clients: one alone would meet its own rate.
const CLIENTS: u32 = 32;
/// People who write.
const PEOPLE: u32 = 64;
/// Sent before the measurement, so that files and connections are warm.
const WARM_UP: usize = 640;

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("durable accept at ingress, 64 concurrent", "acks/s", Budget::Share(5_000.0, 0.3)),
        Row::new("durable accept at ingress, p99", "ms", Budget::AtMost(50.0)),
    ]
}

pub async fn measure(scale: Scale, rows: &mut [Row]) -> Result<()> {
    let count = scale.pick(6_000, 60_000);
    let messages =
        tokio::task::spawn_blocking(move || compose(count + WARM_UP)).await.context("composing panicked")??;
    let mut stage = Stage::new(1, |_| "\n[ingress]\nwait = \"0s\"\n".to_owned()).await?;
    let node = stage.node(0)?;
    node.start().await?;
    let doors = doors(node, CLIENTS).await?;
    let at = doors.first().context("the node has a door")?.0;
    let paths: Vec<&str> = doors.iter().map(|(_, path)| path.as_str()).collect();
    let (first, rest) = requests(&messages, &paths);
    load::run(at, CONNECTIONS, first).await.context("the node did not take the first messages")?;
    let value = load::run(at, CONNECTIONS, rest).await?;
    node.kill().await?;

    let floor = Floor::start(stage.dir.path())?;
    let (first, rest) = requests(&messages, &["/v3/publish"]);
    load::run(floor.at, CONNECTIONS, first).await?;
    let baseline = load::run(floor.at, CONNECTIONS, rest).await?;
    if let [rate, p99] = rows {
        let note = "baseline: axum and an append loop with one fsync per group, same connections and bodies";
        rate.set(value.per_second, Some(baseline.per_second), note);
        p99.set(value.p99_ms, Some(baseline.p99_ms), "baseline: as above");
    }
    Ok(())
}

/// Sender and text of each SMS.
fn compose(count: usize) -> Result<Vec<(String, String)>> {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut phones = (0..PEOPLE).map(|n| stray(n, &mut rng)).collect::<Result<Vec<_>>>()?;
    let mut messages = Vec::with_capacity(count);
    for n in 0..count {
        let at = n % phones.len();
        let phone = phones.get_mut(at).context("there are people")?;
        let text = phone.compose(&format!("message {n} of the benchmark, as long as people write them on a phone"))?;
        messages.push((phone.number.reveal().to_owned(), text));
    }
    Ok(messages)
}

/// The requests to warm up with, and those that count.
fn requests(messages: &[(String, String)], paths: &[&str]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let all = messages.iter().zip(paths.iter().cycle()).map(|((sender, text), path)| {
        load::request(path, "", &json!({ "address": sender, "text": text, "date": 1_767_225_600_000_u64, "date_sent": 1_767_225_590_000_u64 }))
    });
    let mut all: Vec<Vec<u8>> = all.collect();
    let rest = all.split_off(WARM_UP.min(all.len()));
    (all, rest)
}
