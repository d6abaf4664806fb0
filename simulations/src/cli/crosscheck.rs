//! `simulate crosscheck`: one scenario in both tiers, and how far the model lies from the real stack.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use super::{BROKEN, FAILED, ScenarioArgs};
use crate::outcome::{Study, System};
use crate::run::{Plan, study};
use crate::tier_b::{Crosscheck, DELIVERY_POINTS_MAX, KS_MAX, Stack, compare, remember};

/// Arguments of `simulate crosscheck`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// How many worlds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    /// Keep the model error in this file, from which reports quote it.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = KEPT)]
    store: Option<PathBuf>,
}

/// Where the source tree keeps model errors.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/crosscheck.json");

/// Runs it.
///
/// # Errors
/// When the scenario cannot be read or built, or tier B cannot run.
pub fn run(args: Args) -> Result<ExitCode> {
    let scenario = args.scenario.load()?;
    let stack = Stack::find()?;
    let plan = Plan::first(args.seeds, vec![System::Mesh], (0, 1));
    let model = study(&scenario, &plan, |_| {})?;
    let real = stack.study(&scenario, &plan, |run| eprintln!("seed {} is done", run.seed))?;
    let check = compare(&scenario, &model, &real)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&check)?);
    } else {
        print(&check);
    }
    if let Some(path) = &args.store {
        remember(&check.error, Path::new(path))?;
    }
    let broken = tell_broken(&model) | tell_broken(&real);
    Ok(match (broken, check.passes()) {
        (true, _) => ExitCode::from(BROKEN),
        (false, false) => ExitCode::from(FAILED),
        (false, true) => ExitCode::SUCCESS,
    })
}

fn print(check: &Crosscheck) {
    let seconds = |median: Option<f64>| median.map_or("not reached".to_owned(), |median| format!("{median:.1} s"));
    let error = &check.error;
    println!("{}: {} messages in {} worlds", error.scenario, check.messages, error.seeds);
    println!("  delivered    model {:.2} %, stack {:.2} %", check.delivered.0 * 100.0, check.delivered.1 * 100.0);
    println!("  median time  model {}, stack {}", seconds(check.median_s.0), seconds(check.median_s.1));
    println!("  difference   {:+.2} percentage points (at most {DELIVERY_POINTS_MAX})", error.delivery_pp);
    println!("  KS distance  {:.4}, at {:.1} s (at most {KS_MAX})", error.ks, check.ks_at_s);
    println!("{}", if check.passes() { "the model is near enough" } else { "THE MODEL IS TOO FAR FROM THE STACK" });
}

fn tell_broken(study: &Study) -> bool {
    let violations = study.runs.iter().flat_map(|run| run.outcomes.iter().flat_map(|outcome| &outcome.violations));
    let mut any = false;
    for violation in violations {
        any = true;
        eprintln!("tier {}: {} at {}: {}", study.tier, violation.invariant, violation.at, violation.what);
    }
    any
}
