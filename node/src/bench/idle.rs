//! What a node costs that has nothing to do: memory, the time until it is ready, and the size of the program.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_protocol::ids::Timestamp;
use tokio::process::Command;

use super::people::{Membership, resident};
use super::ratchet::middle;
use super::row::{Budget, Row};
use super::stage::{Stage, binary, fill};
use super::{Scale, proc};
use crate::demo::kit::gateway::epoch_ms;
use crate::demo::kit::process::Node;

/// After this long a node is idle.
const SETTLE: Duration = Duration::from_secs(10);
const SETTLE_QUICK: Duration = Duration::from_secs(3);
/// After this long a process that reads a line has nothing else to do.
const WAITS_AFTER: Duration = Duration::from_millis(300);
/// People of a full node, and of one that is filled quickly.
const PEOPLE: u32 = 100_000;
const PEOPLE_QUICK: u32 = 5_000;
/// People came so long ago that every filter has them.
const BEFORE: Duration = Duration::from_secs(3 * 24 * 3_600);

pub fn rows(scale: Scale) -> Vec<Row> {
    let people = scale.pick(PEOPLE_QUICK, PEOPLE);
    let full = |name: &str, unit, limit| {
        let mut row = Row::new(format!("{name} with {people} entities"), unit, Budget::AtMost(limit));
        // Fewer people than the budget is for say nothing about it.
        row.budget = row.budget.filter(|_| scale == Scale::Full);
        row
    };
    vec![
        Row::new("idle memory of a node", "MiB", Budget::AtMost(40.0)),
        Row::new("start to ready, empty", "s", Budget::AtMost(0.5)),
        full("idle memory of a node", "MiB", 120.0),
        full("start to ready", "s", 2.0),
        Row::new("stripped binary", "MB", Budget::AtMost(40.0)),
    ]
}

pub async fn measure(scale: Scale, rows: &mut [Row]) -> Result<()> {
    let [memory, start, full_memory, full_start, size] = rows else { return Ok(()) };
    let megabytes = std::fs::metadata(binary()?).context("the program is not there")?.len() as f64 / 1e6;
    let note = if cfg!(debug_assertions) {
        "a debug build; a size has no baseline"
    } else {
        "the running program; a size has no baseline"
    };
    size.set(megabytes, None, note);

    let mut stage = Stage::new(2, |_| String::new()).await?;
    let settle = scale.pick(SETTLE_QUICK, SETTLE);
    let bare = version().await?;
    let (mib, seconds) = run(stage.node(0)?, settle, scale.pick(2, 5)).await?;
    let note = format!("VmRSS {} s after start; baseline: this program while it waits for a line", settle.as_secs());
    memory.set(mib, Some(waiting().await?), note);
    start.set(seconds, Some(bare), "baseline: `relaymesh --version`, from spawn to exit");

    let node = stage.node(1)?;
    let people = scale.pick(PEOPLE_QUICK, PEOPLE);
    tokio::task::block_in_place(|| populate(node, people))?;
    // The first start after that builds the filter of all these people; what is measured is the day after.
    run(node, settle, 1).await?;
    let (full_mib, full_seconds) = run(node, settle, scale.pick(1, 3)).await?;
    full_memory.set(full_mib, Some(mib), "baseline: the empty node");
    full_start.set(full_seconds, Some(seconds), "baseline: the empty node");
    Ok(())
}

/// Memory after a while, and the middle of some starts.
async fn run(node: &mut Node, settle: Duration, starts: u32) -> Result<(f64, f64)> {
    let mut seconds = Vec::new();
    for _ in 0..starts {
        node.kill().await?;
        seconds.push(node.start().await?.as_secs_f64());
    }
    tokio::time::sleep(settle).await;
    let mib = proc::memory_mib(node.pid().context("the node has ended")?)?;
    node.kill().await?;
    Ok((mib, middle(&mut seconds)))
}

/// Seconds that a process of this program takes to say who it is.
async fn version() -> Result<f64> {
    let binary = binary()?;
    let mut seconds = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let mut command = Command::new(&binary);
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().await.context("no process can be started")?;
        seconds.push(begun.elapsed().as_secs_f64());
        ensure!(status.success(), "--version failed");
    }
    Ok(middle(&mut seconds))
}

/// Memory of this program as a process that only reads standard input.
async fn waiting() -> Result<f64> {
    let mut command = Command::new(binary()?);
    command.args(["phone", "read", "--state", "none", "-"]).env("RELAYMESH_PHONE_PASSWORD", "none");
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("no process can be started")?;
    tokio::time::sleep(WAITS_AFTER).await;
    let mib = proc::memory_mib(process.id().context("it did not wait")?)?;
    process.kill().await.context("it cannot be ended")?;
    Ok(mib)
}

fn populate(node: &Node, people: u32) -> Result<()> {
    let then = Timestamp(epoch_ms()).before(BEFORE);
    fill(node, |core, put| {
        let mut rng = ChaCha20Rng::seed_from_u64(8);
        for n in 0..people {
            let token = "a token as platforms give them, of some forty letters".to_owned();
            let at = Membership { account: format!("user{n}@mastodon.example"), token };
            let (_, batch) = resident(core, n, at, then, &mut rng)?;
            put(batch)?;
        }
        Ok(())
    })
}
