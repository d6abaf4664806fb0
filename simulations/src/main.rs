//! The binary `simulate`: what becomes of people's messages when a country is cut off.
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use relaymesh_simulations::cli::{self, BAD_SCENARIO};

/// A world is millions of small boxes: the system's allocator takes a third of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What happens to people's messages when a country is cut off.
///
/// Exit codes: 0 = ok, 1 = an expectation failed, 2 = an invariant broke, 3 = bad scenario or arguments.
#[derive(Parser)]
#[command(name = "simulate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the scenarios that are in the binary.
    List(cli::list::Args),
    /// Run a scenario under several seeds.
    Run(cli::run::Args),
    /// Run a scenario at several points: a grid of values, or one key at a time.
    Sweep(cli::sweep::Args),
    /// Compare two scenarios, or two folders, over the same luck.
    Compare(cli::compare::Args),
    /// Build the reports of folders again; shards of one study are merged.
    Report(cli::report::Args),
    /// Read a scenario and say whether it can run, or print the schema of scenarios.
    Check(cli::check::Args),
    /// Compare trace hashes with those of the release, or freeze them anew.
    Golden(cli::golden::Args),
    /// Tell what became of one message.
    Why(cli::why::Args),
    /// Measure the speed of this binary on this machine.
    Bench(cli::bench::Args),
    /// Look for random small worlds in which a rule breaks.
    Fuzz(cli::fuzz::Args),
    /// Make the world of a reproduction file small.
    Shrink(cli::shrink::Args),
    /// Repeat the world of a reproduction file.
    Replay(cli::replay::Args),
    /// Run a scenario in both tiers, and tell how far the model lies from the real stack.
    Crosscheck(cli::crosscheck::Args),
    /// Measure real swarms, and fit tier A's overlay to them.
    Calibrate(cli::calibrate::Args),
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let code = if error.use_stderr() { i32::from(BAD_SCENARIO) } else { 0 };
        error.print().expect("a terminal or a pipe takes the text");
        std::process::exit(code)
    });
    run(cli.command).unwrap_or_else(|error| {
        eprintln!("simulate: {error:#}");
        ExitCode::from(BAD_SCENARIO)
    })
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::List(args) => cli::list::run(args),
        Command::Run(args) => cli::run::run(args),
        Command::Sweep(args) => cli::sweep::run(args),
        Command::Compare(args) => cli::compare::run(args),
        Command::Report(args) => cli::report::run(args),
        Command::Check(args) => cli::check::run(args),
        Command::Golden(args) => cli::golden::run(args),
        Command::Why(args) => cli::why::run(&args),
        Command::Bench(args) => cli::bench::run(&args),
        Command::Fuzz(args) => cli::fuzz::run(args),
        Command::Shrink(args) => cli::shrink::run(args),
        Command::Replay(args) => cli::replay::run(args),
        Command::Crosscheck(args) => cli::crosscheck::run(args),
        Command::Calibrate(args) => cli::calibrate::run(args),
    }
}
