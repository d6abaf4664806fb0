//! `simulate replay`: the same world again, to the bit.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::repro::{Repro, VERSION};
use crate::scenario::Scenario;
use crate::stats::Sample;
use crate::world::Bootstrap;
use anyhow::Result;

use super::BROKEN;

/// Repeat the world of a reproduction file.
#[derive(clap::Args)]
pub struct Args {
    /// The file.
    file: PathBuf,
    /// Print every event.
    #[arg(long)]
    trace: bool,
}

/// Runs it. The exit code tells whether the rule broke again, which is what the file promises; after a change of the code
/// it may not, and that is told.
///
/// # Errors
/// When the file cannot be read, or its world not built.
pub fn run(args: Args) -> Result<ExitCode> {
    let repro = Repro::read(&args.file)?;
    let again = repro.repeat(args.trace)?;
    for line in &again.lines {
        println!("{line}");
    }
    let same = (again.events, again.trace) == (repro.events, repro.trace);
    let Some(violation) = again.violation else {
        println!("{} does not break any more; found by version {}, this is {VERSION}", repro.invariant, repro.version);
        return Ok(ExitCode::SUCCESS);
    };
    println!("{} breaks at {}: {}", violation.invariant, violation.at, violation.what);
    println!("{} events, trace {}", again.events, again.trace);
    if !same {
        println!("the file has {} events, trace {}: the code has changed since", repro.events, repro.trace);
    }
    Ok(ExitCode::from(BROKEN))
}

/// Where `simulate run` writes reproduction files.
const FOLDER: &str = "repro";

/// Writes the file of a study's first world in which a rule broke.
///
/// # Errors
/// When the world cannot be built again, or the file not written.
pub fn write_first_broken(scenario: &Scenario, samples: &[Sample]) -> Result<Option<PathBuf>> {
    let systems = samples.iter().flat_map(|sample| sample.systems.iter().map(move |digest| (sample.seed, digest)));
    let broken = systems.into_iter().find_map(|(seed, digest)| {
        let violation = digest.violations.first()?;
        Some((seed, digest.system, violation))
    });
    let Some((seed, system, violation)) = broken else { return Ok(None) };
    let bootstrap = Bootstrap::new(scenario)?;
    let repro = Repro::of(scenario, &bootstrap, seed, (system, violation), None)?;
    repro.write_into(Path::new(FOLDER)).map(Some)
}
