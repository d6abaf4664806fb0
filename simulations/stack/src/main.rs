//! The binary `simulate-stack`: reads a scenario (TOML, whole) on standard input, runs one world of it over real swarms and
//! prints its outcome (JSON). `simulate --tier b` calls it, once for each seed.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use relaymesh_simulations::cost::{Cost, peak_memory, process_seconds};
use relaymesh_simulations::scenario::Scenario;
use relaymesh_stack::{measure, run};

/// What to do.
enum Wanted {
    /// Tell the version, which must be that of the caller.
    Version,
    /// Measure two swarms.
    Measure,
    /// Run a world, and print the events of a window to standard error.
    World { seed: u64, window: (u64, u64) },
    /// Run a world, and tell what it cost instead of what happened.
    Cost { seed: u64 },
}

fn wanted() -> Result<Wanted> {
    let mut words = std::env::args().skip(1);
    let (mut seed, mut window, mut cost) = (None, (0, 0), false);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--version" => return Ok(Wanted::Version),
            "--measure" => return Ok(Wanted::Measure),
            "--cost" => cost = true,
            "--seed" => seed = Some(value()?.parse().context("a seed is a number")?),
            "--window" => {
                let text = value()?;
                let (from, to) = text.split_once("..").context("write --window FROM..TO")?;
                window = (from.parse()?, to.parse()?);
            }
            _ => bail!("{word} is not known; use `simulate run SCENARIO --tier b`"),
        }
    }
    let seed = seed.context("--seed N, and a scenario on standard input")?;
    Ok(if cost { Wanted::Cost { seed } } else { Wanted::World { seed, window } })
}

fn scenario() -> Result<Scenario> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    toml::from_str(&text).context("the scenario cannot be read")
}

/// What this process took so far.
fn cost() -> Result<Cost> {
    let seconds = process_seconds().context("the system does not tell the CPU time of a process")?;
    let gigabytes = peak_memory().context("the system does not tell the memory of a process")?;
    Ok(Cost { seconds, gigabytes })
}

fn main() -> Result<ExitCode> {
    match wanted()? {
        Wanted::Version => println!("{}", env!("CARGO_PKG_VERSION")),
        Wanted::Measure => println!("{}", serde_json::to_string(&measure::measure()?)?),
        Wanted::World { seed, window } => {
            let ended = run::world(&scenario()?, seed, window)?;
            ended.kept.iter().for_each(|line| eprintln!("{line}"));
            println!("{}", serde_json::to_string(&ended.outcome)?);
        }
        Wanted::Cost { seed } => {
            run::world(&scenario()?, seed, (0, 0))?;
            println!("{}", serde_json::to_string(&cost()?)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}
