//! The binary `simulate`: runs scenarios and prints what became of people's messages.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand};
use relaymesh_simulations::cli;
use relaymesh_simulations::outcome::{SeedRun, Study, System};
use relaymesh_simulations::run::{Plan, check_determinism, study};
use relaymesh_simulations::scenario::{Scenario, load};
use relaymesh_simulations::stats::{figures, summarise};
use relaymesh_simulations::tier_b::{Stack, Tier, stale};

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
        /// `a`: modelled overlay; `b`: the nodes' real libp2p swarms, in virtual time.
        #[arg(long, value_enum, default_value_t)]
        tier: Tier,
    },
    /// Run a scenario in both tiers, and tell how far the model lies from the real stack.
    Crosscheck(cli::crosscheck::Args),
    /// Measure real swarms, and fit tier A's overlay to them.
    Calibrate(cli::calibrate::Args),
    /// Read a scenario and say whether it can run.
    Check {
        /// The scenario's file.
        scenario: PathBuf,
    },
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
        Command::Check { scenario } => {
            let scenario = load(&scenario, &[])?;
            println!("{} can run", scenario.name);
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { scenario, sets, check_determinism: true, tier, .. } => {
            determinism(&read(&scenario, &sets)?, tier)
        }
        Command::Crosscheck(args) => cli::crosscheck::run(args),
        Command::Calibrate(args) => cli::calibrate::run(args),
        Command::Run { scenario, seeds, sets, json, tier, .. } => {
            let scenario = read(&scenario, &sets)?;
            let plan = Plan::first(seeds, System::ALL.to_vec(), (0, 1));
            let done = |run: &SeedRun| eprintln!("seed {} is done", run.seed);
            if let (Tier::A, Some(why)) = (tier, stale()) {
                eprintln!("warning: the overlay's calibration is stale ({why}): run `simulate calibrate`");
            }
            let study = match tier {
                Tier::A => study(&scenario, &plan, done)?,
                Tier::B => Stack::find()?.study(&scenario, &plan, done)?,
            };
            if json {
                print_json(&scenario, &study)?
            } else {
                print_text(&scenario, &study)
            }
            let broken = study.runs.iter().flat_map(|run| &run.outcomes).any(|outcome| !outcome.violations.is_empty());
            Ok(if broken { ExitCode::from(BROKEN) } else { ExitCode::SUCCESS })
        }
    }
}

fn read(path: &std::path::Path, sets: &[String]) -> Result<Scenario> {
    load(path, &cli::sets(sets)?)
}

fn determinism(scenario: &Scenario, tier: Tier) -> Result<ExitCode> {
    let found = match tier {
        Tier::A => check_determinism(scenario, 1, System::Mesh)?,
        Tier::B => Stack::find()?.check_determinism(scenario, 1)?,
    };
    match found {
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
