//! `simulate replay`: the same world again, to the bit.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use relaymesh_simulations::repro::{Repro, VERSION};

use crate::BROKEN;

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
