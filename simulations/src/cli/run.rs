//! `simulate run`: a scenario under several seeds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::{Result, anyhow};

use super::{Quantity, ScenarioArgs, Shard, Wanted, Worlds, exit_code, replay, text};
use crate::outcome::System;
use crate::output::{FORMAT, Folder, Manifest, Program, ScenarioNote, Spool, Sweep, document, model_errors, utc};
use crate::report::{Lang, Report};
use crate::run::check_determinism;
use crate::scenario::Scenario;
use crate::tier_b::{Stack, Tier};

/// Arguments of `simulate run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    seeds: SeedArgs,
    /// `a`: modelled overlay; `b`: the nodes' real libp2p swarms, in virtual time.
    #[arg(long, value_enum, default_value_t)]
    tier: Tier,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    output: OutputArgs,
    /// Run seed 1 twice instead, and tell the first event in which the runs differ.
    #[arg(long)]
    check_determinism: bool,
}

/// How many worlds.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct SeedArgs {
    /// How many worlds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// As many worlds as it takes until the share delivered within 72 hours is known to within this (0.5pp).
    #[arg(long, value_name = "POINTS", conflicts_with_all = ["seeds", "shard"])]
    precision: Option<Quantity>,
    /// With --precision: no more worlds than this.
    #[arg(long, default_value_t = 1_000, requires = "precision")]
    seeds_max: u64,
    /// Only one part of the seeds, such as 0/4; `simulate report` merges the parts.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

impl SeedArgs {
    pub(super) fn wanted(self) -> Wanted {
        match (self.precision, self.shard.unwrap_or(Shard(0, 1))) {
            (Some(Quantity(half_width)), _) => Wanted::Precision { half_width, most: self.seeds_max.max(1) },
            (None, Shard(part, parts)) => Wanted::Seeds { count: self.seeds, shard: (part, parts) },
        }
    }

    pub(super) fn shard(self) -> Option<(u64, u64)> {
        self.shard.map(|Shard(part, parts)| (part, parts))
    }
}

/// Where results go.
#[derive(clap::Args, Clone, Debug)]
pub struct OutputArgs {
    /// Write manifest, figures, messages and reports into this folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Language of texts and of the report with the plain name; the other one is written beside it.
    #[arg(long, value_enum, default_value_t)]
    pub lang: Lang,
}

/// A study's clock and place: what a manifest says beside the worlds.
pub(super) struct Session {
    started: SystemTime,
    clock: Instant,
}

impl Session {
    pub(super) fn begin() -> Self {
        Self { started: SystemTime::now(), clock: Instant::now() }
    }

    pub(super) fn manifest(self, scenario: &Scenario, worlds: Worlds, shard: Option<(u64, u64)>) -> Result<Manifest> {
        let since = self.started.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Manifest {
            format: FORMAT,
            program: Program::this(),
            started: utc(since),
            seconds: self.clock.elapsed().as_secs_f64(),
            scenario: ScenarioNote::of(scenario)?,
            tier: worlds.tier.name().to_owned(),
            shard,
            frames: worlds.frames,
            model_error: Manifest::choose_model_error(&scenario.name, &model_errors()),
            samples: worlds.samples,
        })
    }
}

/// Languages of the reports, the wanted one first.
pub(super) fn languages(first: Lang) -> Vec<Lang> {
    let others = Lang::ALL.into_iter().filter(|lang| *lang != first);
    std::iter::once(first).chain(others).collect()
}

/// Joins the spool and writes the folder.
pub(super) fn write(path: &Path, spool: Spool, mut manifest: Manifest, sweep: Option<Sweep>, lang: Lang) -> Result<()> {
    manifest.frames = spool.join(&manifest.frames)?;
    Folder::new(path, manifest, sweep).write(path, &languages(lang))?;
    eprintln!("written: {}", path.join("report.html").display());
    Ok(())
}

/// Runs it.
///
/// # Errors
/// When the scenario cannot be read or built, or the folder cannot be written.
pub fn run(args: Args) -> Result<ExitCode> {
    let scenario = args.scenario.load()?;
    if args.check_determinism {
        return determinism(&scenario, args.tier);
    }
    let session = Session::begin();
    let spool = args.output.out.as_deref().map(Spool::new).transpose()?;
    let worlds = Worlds::run(&scenario, args.tier, args.seeds.wanted(), &System::ALL, spool.as_ref())?;
    let broken = worlds.is_broken();
    if let Some(file) = replay::write_first_broken(&scenario, &worlds.samples)? {
        eprintln!("simulate replay {}", file.display());
    }
    let manifest = session.manifest(&scenario, worlds, args.seeds.shard())?;
    let report = Report::new(&manifest, &scenario, None);
    if args.json {
        let document = document(&scenario, &manifest.tier, &manifest.samples, manifest.model_error.as_ref());
        println!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        println!("{}", text::study(&report, args.output.lang));
    }
    // A shard alone proves nothing: expectations are for the whole.
    let failed = args.seeds.shard().is_none() && report.is_missed();
    if let (Some(spool), Some(path)) = (spool, &args.output.out) {
        write(path, spool, manifest, None, args.output.lang)?;
    }
    Ok(exit_code(broken, failed))
}

fn determinism(scenario: &Scenario, tier: Tier) -> Result<ExitCode> {
    let found = match tier {
        Tier::A => check_determinism(scenario, 1, System::Mesh)?,
        Tier::B => Stack::find()?.check_determinism(scenario, 1)?,
    };
    match found {
        None => {
            println!("both runs are equal");
            Ok(ExitCode::SUCCESS)
        }
        Some(difference) => {
            let (event, first, second) = (difference.event, difference.first, difference.second);
            Err(anyhow!("event {event} differs: first `{first}`, then `{second}`"))
        }
    }
}
