//! The binary `simulate`: runs scenarios and prints what became of people's messages.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser, Subcommand};
use relaymesh_simulations::cli;
use relaymesh_simulations::outcome::{Study, System};
use relaymesh_simulations::run::{Plan, check_determinism, study};
use relaymesh_simulations::scenario::{Scenario, load};
use relaymesh_simulations::stats::{figures, summarise};

/// An invariant broke.
const BROKEN: u8 = 2;
/// The scenario cannot be read or built.
const BAD_SCENARIO: u8 = 3;

/// What happens to people's messages when a country is cut off.
#[derive(Parser)]
#[command(name = "simulate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario under several seeds.
    Run {
        /// The scenario's file.
        scenario: PathBuf,
        /// How many worlds.
        #[arg(long, default_value_t = 5)]
        seeds: u64,
        /// Another value for a key of the scenario (`people.count=500`).
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
        /// Run seed 1 twice instead, and tell the first event in which the runs differ.
        #[arg(long)]
        check_determinism: bool,
    },
    /// Tell what became of one message.
    Why(cli::why::Args),
    /// Measure the speed of this binary on this machine.
    Bench(cli::bench::Args),
    /// Read a scenario and say whether it can run.
    Check {
        /// The scenario's file.
        scenario: PathBuf,
    },
    /// Look for random small worlds in which a rule breaks.
    Fuzz(cli::fuzz::Args),
    /// Make the world of a reproduction file small.
    Shrink(cli::shrink::Args),
    /// Repeat the world of a reproduction file.
    Replay(cli::replay::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("simulate: {error:#}");
            ExitCode::from(BAD_SCENARIO)
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Bench(args) => cli::bench::run(&args),
        Command::Fuzz(args) => cli::fuzz::run(args),
        Command::Shrink(args) => cli::shrink::run(args),
        Command::Replay(args) => cli::replay::run(args),
        Command::Why(args) => cli::why::run(&args),
        Command::Check { scenario } => {
            let scenario = load(&scenario, &[])?;
            println!("{} can run", scenario.name);
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { scenario, sets, check_determinism: true, .. } => determinism(&read(&scenario, &sets)?),
        Command::Run { scenario, seeds, sets, json, .. } => {
            let scenario = read(&scenario, &sets)?;
            let plan = Plan::first(seeds, System::ALL.to_vec(), (0, 1));
            let study = study(&scenario, &plan, |run| eprintln!("seed {} is done", run.seed))?;
            if json {
                print_json(&scenario, &study)?
            } else {
                print_text(&scenario, &study)
            }
            let Some(file) = cli::replay::write_first_broken(&scenario, &study)? else { return Ok(ExitCode::SUCCESS) };
            eprintln!("simulate replay {}", file.display());
            Ok(ExitCode::from(BROKEN))
        }
    }
}

fn read(path: &std::path::Path, sets: &[String]) -> Result<Scenario> {
    let sets = sets.iter().map(|set| {
        let (key, value) = set.split_once('=').with_context(|| format!("`{set}`: write KEY=VALUE"))?;
        Ok((key.to_owned(), value_of(value)))
    });
    load(path, &sets.collect::<Result<Vec<_>>>()?)
}

/// A TOML value, or else the text itself: `93d` needs no quotes.
fn value_of(text: &str) -> toml::Value {
    let table = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    table.and_then(|mut table| table.remove("value")).unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

fn determinism(scenario: &Scenario) -> Result<ExitCode> {
    match check_determinism(scenario, 1, System::Mesh)? {
        None => {
            println!("both runs are equal");
            Ok(ExitCode::SUCCESS)
        }
        Some(difference) => {
            let (event, first, second) = (difference.event, difference.first, difference.second);
            Err(anyhow!("event {event} differs: first `{first}`, then `{second}`"))
        }
    }
}

/// Names of systems as people read them.
fn name(system: System) -> &'static str {
    match system {
        System::Mesh => "mesh",
        System::Islands => "islands",
        System::Upstream => "upstream",
    }
}

fn print_text(scenario: &Scenario, study: &Study) {
    println!("{}: {}", scenario.name, scenario.summary);
    let summary = summarise(study, scenario);
    for (system, figures) in &summary.0 {
        println!("\n{} ({} seeds)", name(*system), study.runs.len());
        for (figure, value) in figures {
            println!("  {figure:<28} {:>12.4}  ({:.4} to {:.4})", value.estimate, value.low, value.high);
        }
    }
    for outcome in study.runs.iter().flat_map(|run| &run.outcomes) {
        for violation in &outcome.violations {
            println!(
                "broken in {}: {} at {}: {}",
                name(outcome.system),
                violation.invariant,
                violation.at,
                violation.what
            );
        }
    }
}

fn print_json(scenario: &Scenario, study: &Study) -> Result<()> {
    let seeds = study.runs.iter().map(|run| {
        let systems = run.outcomes.iter().map(|outcome| {
            let metrics = figures(scenario, outcome);
            (name(outcome.system), serde_json::json!({ "trace": outcome.trace, "metrics": metrics }))
        });
        let systems: std::collections::BTreeMap<_, _> = systems.collect();
        serde_json::json!({ "seed": run.seed, "systems": systems })
    });
    let document = serde_json::json!({
        "scenario": study.scenario,
        "tier": study.tier,
        "seeds": seeds.collect::<Vec<_>>(),
        "summary": summarise(study, scenario),
    });
    println!("{}", serde_json::to_string_pretty(&document)?);
    Ok(())
}
