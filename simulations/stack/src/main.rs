//! The binary `simulate-stack`: one world of a scenario over real swarms, printed as one JSON document. `simulate --tier b`
//! runs it, once for each seed.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use relaymesh_simulations::scenario::load;
use relaymesh_stack::run;

/// What it was called with.
struct Args {
    scenario: PathBuf,
    seed: u64,
    sets: Vec<(String, toml::Value)>,
    window: (u64, u64),
}

fn args() -> Result<Args> {
    let mut words = std::env::args().skip(1);
    let mut args = Args { scenario: PathBuf::new(), seed: 1, sets: Vec::new(), window: (0, 0) };
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} needs a value"));
        match word.as_str() {
            "--seed" => args.seed = value()?.parse()?,
            "--set" => {
                let set = value()?;
                let (key, value) = set.split_once('=').context("write --set KEY=VALUE")?;
                args.sets.push((key.to_owned(), value_of(value)));
            }
            "--window" => {
                let window = value()?;
                let (from, to) = window.split_once("..").context("write --window FROM..TO")?;
                args.window = (from.parse()?, to.parse()?);
            }
            _ if word.starts_with('-') => bail!("{word} is not known"),
            _ => args.scenario = word.into(),
        }
    }
    Ok(args)
}

/// A TOML value, or else the text itself.
fn value_of(text: &str) -> toml::Value {
    let table = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    table.and_then(|mut table| table.remove("value")).unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

fn main() -> Result<ExitCode> {
    let args = args()?;
    let scenario = load(&args.scenario, &args.sets)?;
    let ended = run::world(&scenario, args.seed, args.window)?;
    for line in &ended.kept {
        eprintln!("{line}");
    }
    println!("{}", serde_json::to_string(&ended.outcome)?);
    Ok(ExitCode::SUCCESS)
}
