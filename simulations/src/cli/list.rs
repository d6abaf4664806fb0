//! `simulate list`: the scenarios that are in the binary.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::report::Lang;
use crate::scenario::{Place, load_from, names};

/// Arguments of `simulate list`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Language of the summaries.
    #[arg(long, value_enum, default_value_t)]
    lang: Lang,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// When a scenario of the binary cannot be read.
pub fn run(args: Args) -> Result<ExitCode> {
    let scenarios = names().map(|name| load_from(&Place::BuiltIn(name.to_owned()), &[], false));
    let scenarios = scenarios.collect::<Result<Vec<_>, _>>()?;
    if args.json {
        let list = scenarios
            .iter()
            .map(|one| json!({ "name": one.name, "summary": one.summary, "summary_fr": one.summary_fr }));
        println!("{}", serde_json::to_string_pretty(&list.collect::<Vec<_>>())?);
        return Ok(ExitCode::SUCCESS);
    }
    let width = names().map(str::len).max().unwrap_or(0);
    for scenario in &scenarios {
        println!("{:width$}  {}", scenario.name, args.lang.pick(&scenario.summary, &scenario.summary_fr));
    }
    Ok(ExitCode::SUCCESS)
}
