//! `simulate check`: reads a scenario and says what is wrong with it, or prints what scenarios look like.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::ScenarioArgs;
use crate::scenario::schema;
use crate::world::Bootstrap;

/// Arguments of `simulate check`.
#[derive(clap::Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct Args {
    /// A scenario's name, or the path of its file.
    #[arg(required_unless_present = "schema")]
    scenario: Option<String>,
    /// Another value for a key of the scenario; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Also check the scenario's own `[ci]` values.
    #[arg(long)]
    ci: bool,
    /// Print the JSON schema of scenario files instead.
    #[arg(long)]
    schema: bool,
}

/// Runs it.
///
/// # Errors
/// When the scenario cannot run.
pub fn run(args: Args) -> Result<ExitCode> {
    if args.schema {
        println!("{}", serde_json::to_string_pretty(&schema())?);
        return Ok(ExitCode::SUCCESS);
    }
    let scenario = args.scenario.context("which scenario?")?;
    let scenario = ScenarioArgs { scenario, sets: args.sets, ci: args.ci }.load()?;
    Bootstrap::new(&scenario)?;
    println!("{} can run", scenario.name);
    Ok(ExitCode::SUCCESS)
}
