//! `simulate sweep`: a scenario at several points, for the curves of delivery against severity and for what matters most.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};

use super::run::{OutputArgs, SeedArgs, Session, write};
use super::{ScenarioArgs, Worlds, exit_code, text};
use crate::outcome::System;
use crate::output::{Point, PointSample, Spool, Sweep};
use crate::report::Report;
use crate::tier_b::Tier;

/// Points at most: more is a mistake in a list.
const POINTS_MAX: usize = 1_000;

/// Keys that `--tornado` moves when none are given, with a value to each side of what is usual.
const USUAL: [&str; 9] = [
    "sms.loss=3%,10%",
    "people.device_id=50%,100%",
    "mesh.circle=1,200",
    "people.home_abroad=40%,95%",
    "people.known_gateways=1,8",
    "people.resend_times=0,4",
    "people.resend_after=3h,24h",
    "couriers.daily=0,2",
    "links.loss=0,5%",
];

/// Arguments of `simulate sweep`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Values of a key, each of which is run; several grids are run in all combinations.
    #[arg(long = "grid", value_name = "KEY=V1,V2,…", required_unless_present = "tornado")]
    grids: Vec<String>,
    /// Move keys one at a time: these, or the usual ones when none is given.
    #[arg(long, value_name = "KEY=V1,V2,…", num_args = 0..)]
    tornado: Option<Vec<String>>,
    #[command(flatten)]
    seeds: SeedArgs,
    /// Print the sweep as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// A key and its values.
type Axis = (String, Vec<String>);

/// Runs it.
///
/// # Errors
/// When a point cannot be, or the folder cannot be written.
pub fn run(args: Args) -> Result<ExitCode> {
    let axes = args.grids.iter().map(|grid| axis(grid)).collect::<Result<Vec<_>>>()?;
    let points = product(&axes);
    let alone = match &args.tornado {
        None => Vec::new(),
        Some(given) if given.is_empty() => USUAL.iter().map(|text| axis(text)).collect::<Result<Vec<_>>>()?,
        Some(given) => given.iter().map(|text| axis(text)).collect::<Result<Vec<_>>>()?,
    };
    let alone =
        alone.into_iter().flat_map(|(key, values)| values.into_iter().map(move |value| vec![(key.clone(), value)]));
    let alone: Vec<_> = alone.collect();
    ensure!(points.len() + alone.len() <= POINTS_MAX, "more than {POINTS_MAX} points");
    // All are read before the first is run.
    let base = args.scenario.load()?;
    for settings in points.iter().chain(&alone) {
        args.scenario.load_with(settings)?;
    }
    let session = Session::begin();
    let spool = args.output.out.as_deref().map(Spool::new).transpose()?;
    let worlds = Worlds::run(&base, Tier::A, args.seeds.wanted(), &System::ALL, spool.as_ref())?;
    let mut broken = worlds.is_broken();
    let mut all = |points: Vec<Vec<(String, String)>>| -> Result<Vec<Point>> {
        let run = points.into_iter().map(|settings| {
            let (point, bad) = self::point(&args, settings)?;
            broken |= bad;
            Ok(point)
        });
        run.collect()
    };
    let keys = axes.iter().map(|(key, _)| key.clone()).collect();
    let sweep = Sweep { keys, points: all(points)?, alone: all(alone)? };
    let manifest = session.manifest(&base, worlds, args.seeds.shard())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&sweep)?);
    } else {
        let report = Report::new(&manifest, &base, Some(&sweep));
        for table in report.sweep_tables(args.output.lang) {
            println!("{}\n", text::aligned(&table));
        }
    }
    if let (Some(spool), Some(path)) = (spool, &args.output.out) {
        write(path, spool, manifest, Some(sweep), args.output.lang)?;
    }
    Ok(exit_code(broken, false))
}

fn point(args: &Args, settings: Vec<(String, String)>) -> Result<(Point, bool)> {
    let mut scenario = args.scenario.load_with(&settings)?;
    let point = Point { settings, samples: Vec::new() };
    // The bar says which point it is.
    scenario.name = point.label();
    let worlds = Worlds::run(&scenario, Tier::A, args.seeds.wanted(), &System::ALL, None)?;
    let samples = worlds.samples.iter().map(PointSample::from).collect();
    Ok((Point { samples, ..point }, worlds.is_broken()))
}

/// Reads `key=v1,v2`; commas within brackets or quotes belong to a value.
fn axis(text: &str) -> Result<Axis> {
    let (key, values) = text.split_once('=').with_context(|| format!("`{text}`: write KEY=V1,V2"))?;
    let (mut depth, mut quoted, mut list) = (0_u32, false, vec![String::new()]);
    for c in values.chars() {
        match c {
            '"' | '\'' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                list.push(String::new());
                continue;
            }
            _ => {}
        }
        list.last_mut().expect("it begins with one").push(c);
    }
    let list: Vec<String> = list.into_iter().map(|value| value.trim().to_owned()).collect();
    if key.trim().is_empty() || list.iter().any(String::is_empty) {
        bail!("`{text}`: write KEY=V1,V2");
    }
    Ok((key.trim().to_owned(), list))
}

/// All combinations, the first key slowest.
fn product(axes: &[Axis]) -> Vec<Vec<(String, String)>> {
    if axes.is_empty() {
        return Vec::new();
    }
    axes.iter().fold(vec![Vec::new()], |points, (key, values)| {
        let longer = points.iter().flat_map(|point: &Vec<(String, String)>| {
            values.iter().map(move |value| [point.clone(), vec![(key.clone(), value.clone())]].concat())
        });
        longer.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_multiplied() {
        let axes = [axis("sms.loss=5%, 10%").unwrap(), axis("region.0.at=[1,2],[3,4]").unwrap()];
        assert_eq!(axes[1].1, ["[1,2]", "[3,4]"]);
        let points = product(&axes);
        assert_eq!(points.len(), 4);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(points[1], [pair("sms.loss", "5%"), pair("region.0.at", "[3,4]")]);
        assert!(product(&[]).is_empty());
        for text in ["sms.loss", "sms.loss=", "=5%", "a=1,,2"] {
            assert!(axis(text).is_err(), "{text}");
        }
    }
}
