//! `simulate shrink`: fewer faults, people, nodes and less time, while the same rule breaks.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::repro::{Repro, shrink};
use anyhow::Result;

/// Make the world of a reproduction file small.
#[derive(clap::Args)]
pub struct Args {
    /// The file; what is found replaces it unless `--out` is given.
    file: PathBuf,
    /// Write the small world here instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Most worlds that are tried.
    #[arg(long, default_value_t = 1_000)]
    tries: u32,
}

/// Runs it.
///
/// # Errors
/// When the file's world does not break, or a file cannot be read or written.
pub fn run(args: Args) -> Result<ExitCode> {
    let repro = Repro::read(&args.file)?;
    repro.check_version()?;
    let before = repro.faults.len();
    let shrunk = shrink(repro, args.tries, &|smaller, tries| {
        eprintln!(
            "{tries} runs: {} faults, {} people, {} events",
            smaller.faults.len(),
            smaller.scenario.people.count,
            smaller.events
        );
    })?;
    let path = args.out.unwrap_or(args.file);
    shrunk.repro.write(&path)?;
    println!("{} of {before} faults left after {} runs: {}", shrunk.repro.faults.len(), shrunk.tries, path.display());
    Ok(ExitCode::SUCCESS)
}
