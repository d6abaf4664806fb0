//! `simulate golden`: trace hashes that a release has frozen. Any change of the core or of the world changes them; whoever
//! means it blesses them anew, and the reviewer sees beside each hash how the figures moved.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::FAILED;
use crate::outcome::System;
use crate::output::system_name;
use crate::run::world;
use crate::scenario::{Scenario, find, load_from};
use crate::stats::Sample;
use crate::world::Bootstrap;

/// Figures that stand beside the hashes.
const FIGURES: [&str; 4] = ["messages", "delivered.1h", "delivered.72h", "delivered.ever"];

/// Arguments of `simulate golden`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The file.
    #[arg(long, default_value = "simulations/golden.toml")]
    file: PathBuf,
    /// Write what the cases give now.
    #[arg(long)]
    bless: bool,
}

/// A small world and what it gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A named scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// Other values, so that it is small.
    #[serde(default)]
    pub set: BTreeMap<String, toml::Value>,
    /// By system.
    #[serde(default)]
    pub trace: BTreeMap<String, String>,
    /// Some figures by system, in the order of the hashes.
    #[serde(default)]
    pub figures: BTreeMap<String, BTreeMap<String, f64>>,
}

/// All cases of a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The release.
    pub version: String,
    /// The cases.
    pub case: Vec<Case>,
}

impl Golden {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{}", path.display()))
    }

    /// The same cases as they are now.
    ///
    /// # Errors
    /// When a case cannot run.
    pub fn run_again(&self) -> Result<Self> {
        let case = self.case.iter().map(Case::run_again).collect::<Result<_>>()?;
        Ok(Self { version: env!("CARGO_PKG_VERSION").to_owned(), case })
    }
}

impl Case {
    fn scenario(&self) -> Result<Scenario> {
        let sets: Vec<_> = self.set.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(load_from(&find(&self.scenario)?, &sets, false)?)
    }

    fn run_again(&self) -> Result<Self> {
        let scenario = self.scenario()?;
        let run = world(&scenario, &Bootstrap::new(&scenario)?, self.seed, &System::ALL)?;
        let sample = Sample::of(&scenario, &run);
        let name = |system: System| system_name(system).to_owned();
        let figures = |all: &BTreeMap<String, f64>| {
            let own = FIGURES.iter().filter_map(|figure| Some(((*figure).to_owned(), *all.get(*figure)?)));
            own.collect()
        };
        Ok(Self {
            trace: sample.systems.iter().map(|one| (name(one.system), one.trace.to_string())).collect(),
            figures: sample.systems.iter().map(|one| (name(one.system), figures(&one.figures))).collect(),
            ..self.clone()
        })
    }

    /// What differs, in words; empty = nothing.
    #[must_use]
    pub fn differences(&self, now: &Self) -> String {
        let mut text = String::new();
        for (system, trace) in &now.trace {
            let before = self.trace.get(system).map_or("none", String::as_str);
            if before == trace {
                continue;
            }
            writeln!(text, "{} seed {} {system}: {before} is now {trace}", self.scenario, self.seed)
                .expect("a string takes all");
            for (figure, value) in now.figures.get(system).into_iter().flatten() {
                let old = self.figures.get(system).and_then(|own| own.get(figure)).copied().unwrap_or(f64::NAN);
                writeln!(text, "    {figure}: {old} is now {value}").expect("a string takes all");
            }
        }
        text
    }
}

/// Runs it.
///
/// # Errors
/// When the file cannot be read or written, or a case cannot run.
pub fn run(args: Args) -> Result<ExitCode> {
    let golden = Golden::read(&args.file)?;
    let now = golden.run_again()?;
    let differences: String = golden.case.iter().zip(&now.case).map(|(old, new)| old.differences(new)).collect();
    print!("{differences}");
    if args.bless {
        let head =
            "# Trace hashes of small worlds, frozen for a release. `simulate golden --bless` writes them anew.\n";
        std::fs::write(&args.file, format!("{head}{}", toml::to_string(&now)?))
            .with_context(|| format!("cannot write {}", args.file.display()))?;
        println!("{} cases are frozen", now.case.len());
        return Ok(ExitCode::SUCCESS);
    }
    if differences.is_empty() {
        println!("{} cases are as they were", now.case.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("if this was meant: simulate golden --bless");
    Ok(ExitCode::from(FAILED))
}
