//! `simulate compare`: two scenarios, or two folders, over the same luck.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{ScenarioArgs, Wanted, Worlds, exit_code, text};
use crate::outcome::System;
use crate::output::{Folder, system_name};
use crate::report::{Lang, forest};
use crate::stats::{Judgement, Sample, differences, side};
use crate::tier_b::Tier;

/// Arguments of `simulate compare`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A scenario, by name or path, or a folder of `--out`.
    a: String,
    /// Another one.
    b: String,
    /// How many worlds of each scenario.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..))]
    seeds: u64,
    /// Another value for a key of both; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Another value for a key of the first alone.
    #[arg(long, value_name = "KEY=VALUE")]
    set_a: Vec<String>,
    /// Another value for a key of the second alone.
    #[arg(long, value_name = "KEY=VALUE")]
    set_b: Vec<String>,
    /// The size for continuous integration.
    #[arg(long)]
    ci: bool,
    /// Which system of each.
    #[arg(long, value_parser = ["mesh", "islands", "upstream"], default_value = "mesh")]
    system: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Language of the table.
    #[arg(long, value_enum, default_value_t)]
    lang: Lang,
}

/// Runs it.
///
/// # Errors
/// When a side cannot be read or run, or the sides have no two seeds in common.
pub fn run(args: Args) -> Result<ExitCode> {
    let system = System::ALL.into_iter().find(|system| system_name(*system) == args.system).unwrap_or(System::Mesh);
    let (a, b) = (samples(&args, &args.a, &args.set_a, system)?, samples(&args, &args.b, &args.set_b, system)?);
    let (sides, names) =
        ((side(&a, system), side(&b, system)), (label(&args.a, &args.set_a), label(&args.b, &args.set_b)));
    let common: Vec<u64> = sides.0.keys().filter(|seed| sides.1.contains_key(seed)).copied().collect();
    ensure!(common.len() >= 2, "the two have {} seeds in common; at least 2 are needed", common.len());
    let found = differences(&sides.0, &sides.1);
    if args.json {
        let document =
            json!({ "a": names.0, "b": names.1, "system": args.system, "seeds": common, "differences": found });
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        println!("A = {}\nB = {}\n{} worlds, paired\n", names.0, names.1, common.len());
        println!("{}\n", text::aligned(&forest(args.lang, &found, "A", "B")));
        let count = |wanted| found.iter().filter(|one| one.judgement == wanted).count();
        let (better, worse, open) = (count(Judgement::Better), count(Judgement::Worse), count(Judgement::Undecided));
        println!(
            "{}",
            args.lang.pick(
                format!("B is better in {better} figures, worse in {worse}, undecided in {open}."),
                format!("B est meilleur pour {better} grandeurs, pire pour {worse}, indécis pour {open}."),
            )
        );
    }
    Ok(exit_code(a.iter().chain(&b).any(Sample::is_broken), false))
}

fn label(name: &str, sets: &[String]) -> String {
    std::iter::once(name.to_owned()).chain(sets.iter().cloned()).collect::<Vec<_>>().join(" ")
}

fn samples(args: &Args, name: &str, own: &[String], system: System) -> Result<Vec<Sample>> {
    if Path::new(name).join("manifest.json").exists() {
        ensure!(args.sets.is_empty() && own.is_empty(), "{name} has run already: --set is for scenarios");
        return Ok(Folder::read(Path::new(name))?.manifest.samples);
    }
    let sets = args.sets.iter().chain(own).cloned().collect();
    let scenario = ScenarioArgs { scenario: name.to_owned(), sets, ci: args.ci }.load()?;
    let wanted = Wanted::Seeds { count: args.seeds, shard: (0, 1) };
    Ok(Worlds::run(&scenario, Tier::A, wanted, &[system], None)?.samples)
}
