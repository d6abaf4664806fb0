//! `simulate why`: what became of one message, told from the thumb that sent it to the platform, or to where it is held.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::outcome::System;
use crate::scenario::{Scenario, find, load, load_from};
use crate::stats::fate_name;
use crate::world::{Bootstrap, Options, Story, World};

/// Tells the story of one message.
///
/// Runs its world again; listening changes nothing in it.
#[derive(clap::Args)]
pub struct Args {
    /// A folder that `simulate run` wrote, or a scenario by name or file.
    run: PathBuf,
    /// The message's number, as in `messages.csv`.
    #[arg(long)]
    message: u32,
    /// Which world.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Which system carried it: `mesh`, `islands` or `upstream`.
    #[arg(long, default_value = "mesh", value_parser = system)]
    system: System,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

fn system(text: &str) -> Result<System, String> {
    match text {
        "mesh" => Ok(System::Mesh),
        "islands" => Ok(System::Islands),
        "upstream" => Ok(System::Upstream),
        _ => Err("there are mesh, islands and upstream".to_owned()),
    }
}

/// Where a run's scenario is: a folder has the one that ran, with every override.
fn scenario_of(run: &Path) -> Result<Scenario> {
    if !run.is_dir() {
        return Ok(load_from(&find(&run.to_string_lossy())?, &[], false)?);
    }
    let file = run.join("scenario.toml");
    load(&file, &[]).with_context(|| format!("{} is no folder that `simulate run` wrote", run.display()))
}

/// Runs the world and tells.
///
/// # Errors
/// When the scenario cannot be read, or the world has no such message.
pub fn run(args: &Args) -> Result<ExitCode> {
    let scenario = scenario_of(&args.run)?;
    let story = story(&scenario, args.seed, args.system, args.message)?;
    let Some(fate) = story.fate else {
        bail!("in the world of seed {} no message {} was sent", args.seed, args.message)
    };
    if args.json {
        let lines =
            story.lines().map(|line| serde_json::json!({ "at": line.at, "place": line.place, "what": line.what }));
        let document = serde_json::json!({
            "scenario": scenario.name,
            "seed": args.seed,
            "message": args.message,
            "fate": fate,
            "lines": lines.collect::<Vec<_>>(),
            "held_by": story.held_by,
        });
        println!("{}", serde_json::to_string_pretty(&document)?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("message {} in the world of seed {} of {}: {}", args.message, args.seed, scenario.name, fate_name(fate));
    for line in story.lines() {
        println!("  {:<18} {:<24} {}", line.at.to_string(), line.place, line.what);
    }
    if !story.held_by.is_empty() {
        println!("what holds it:");
        story.held_by.iter().for_each(|held| println!("  {held}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The story of a message, from a world that runs for it.
///
/// # Errors
/// When the scenario cannot be built.
pub fn story(scenario: &Scenario, seed: u64, system: System, message: u32) -> Result<Story> {
    let bootstrap = Bootstrap::new(scenario)?;
    let options = Options { story: Some(message), ..Options::default() };
    Ok(World::new(scenario, &bootstrap, seed, system, options)?.run_for_story())
}
