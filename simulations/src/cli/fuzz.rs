//! `simulate fuzz`: random small worlds with random faults and liars, until a rule breaks.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::adversary::Planted;
use crate::repro::{fuzz, shrink};
use anyhow::Result;

use super::BROKEN;

/// Runs with which a world that broke is made small.
const TRIES: u32 = 400;

/// Look for random small worlds in which a rule breaks.
#[derive(clap::Args)]
pub struct Args {
    /// How many worlds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Where the reproduction file is written.
    #[arg(long, value_name = "DIR", default_value = "repro")]
    out: PathBuf,
    /// Plant a known mistake in every node, to see that it is caught.
    #[arg(long, value_enum)]
    plant: Option<Planted>,
    /// Leave the world as large as it was found.
    #[arg(long)]
    no_shrink: bool,
}

/// Runs it. The exit code tells whether something broke.
///
/// # Errors
/// When a world cannot be built, or the file not written.
pub fn run(args: Args) -> Result<ExitCode> {
    let tells = std::io::stderr().is_terminal();
    let ended = AtomicU64::new(0);
    let found = fuzz(args.from, args.seeds, args.plant, |_, _| {
        let ended = ended.fetch_add(1, Ordering::Relaxed) + 1;
        if tells {
            eprint!("\r{ended} of {} worlds", args.seeds);
        }
    })?;
    if tells {
        eprintln!();
    }
    let Some(mut repro) = found.repro else {
        println!("worlds: {}, nothing broke", found.worlds);
        return Ok(ExitCode::SUCCESS);
    };
    println!("seed {}: {} ({}), {} faults", repro.seed, repro.invariant, repro.what, repro.faults.len());
    if !args.no_shrink {
        let shrunk = shrink(repro, TRIES, &|_, _| {})?;
        repro = shrunk.repro;
        println!("made small in {} runs: {} faults, {} events", shrunk.tries, repro.faults.len(), repro.events);
    }
    let path = repro.write_into(&args.out)?;
    println!("simulate replay {}", path.display());
    Ok(ExitCode::from(BROKEN))
}
