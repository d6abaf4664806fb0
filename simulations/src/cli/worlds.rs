//! Running worlds: so many seeds, or as many as a precision needs, with a bar that shows the running estimate.

use std::sync::Mutex;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use crate::outcome::{SeedRun, System};
use crate::output::{Frame, Spool};
use crate::report::Lang;
use crate::run::{Plan, each, world};
use crate::scenario::Scenario;
use crate::stats::{Sample, estimate};
use crate::tier_b::{Stack, Tier, stale};
use crate::world::Bootstrap;

/// Worlds between two looks at the precision. Fixed, so that how many are run depends on no machine.
const STEP: u64 = 4;
/// Fewer say little about their own spread.
const LEAST: u64 = 8;
/// The figure that precision is about.
const FIGURE: &str = "delivered.72h";

/// How many worlds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    /// The first so many seeds, or one part of them.
    Seeds {
        /// In all.
        count: u64,
        /// Part and parts.
        shard: (u64, u64),
    },
    /// Until half the interval of the delivery share is no wider than this, or there are `most` worlds.
    Precision {
        /// Half the width.
        half_width: f64,
        /// The end all the same.
        most: u64,
    },
}

/// Worlds that were run.
#[derive(Debug, Default)]
pub struct Worlds {
    /// What is kept of each, by seed.
    pub samples: Vec<Sample>,
    /// Rows of each, in the spool.
    pub frames: Vec<Frame>,
    /// In which tier.
    pub tier: Tier,
}

/// What worlds are made with.
struct Maker<'a> {
    scenario: &'a Scenario,
    bootstrap: Bootstrap,
    stack: Option<Stack>,
}

impl<'a> Maker<'a> {
    fn new(scenario: &'a Scenario, tier: Tier) -> Result<Self> {
        let stack = match (tier, stale()) {
            (Tier::B, _) => Some(Stack::find()?),
            (Tier::A, None) => None,
            (Tier::A, Some(why)) => {
                eprintln!("warning: the overlay's calibration is stale ({why}): run `simulate calibrate`");
                None
            }
        };
        Ok(Self { scenario, bootstrap: Bootstrap::new(scenario)?, stack })
    }

    fn make(&self, seed: u64, systems: &[System]) -> Result<SeedRun> {
        match &self.stack {
            Some(stack) => stack.systems(self.scenario, &self.bootstrap, seed, systems),
            None => world(self.scenario, &self.bootstrap, seed, systems),
        }
    }
}

/// The bar, and what it shows.
struct Progress {
    bar: ProgressBar,
    shares: Mutex<Vec<f64>>,
}

impl Progress {
    /// It draws on a terminal, and nowhere else.
    fn new(length: u64, name: &str) -> Self {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}  {msg}  {eta} left") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        Self { bar, shares: Mutex::new(Vec::new()) }
    }

    fn ended(&self, sample: &Sample) {
        let share = sample.get(System::Mesh).or_else(|| sample.systems.first());
        let share = share.and_then(|digest| digest.figures.get(FIGURE)).copied();
        let mut shares = self.shares.lock().expect("no thread panics while it pushes");
        shares.extend(share);
        if let Some(value) = estimate(&shares, true) {
            let half = Lang::En.number(value.half_width() * 100.0, 1);
            self.bar.set_message(format!("within 72 h: {} ± {half}", Lang::En.percent(value.estimate)));
        }
        self.bar.inc(1);
    }
}

impl Worlds {
    /// Runs them. Rows go to the spool, if there is one.
    ///
    /// # Errors
    /// When the scenario cannot be built, or rows cannot be written.
    pub fn run(
        scenario: &Scenario,
        tier: Tier,
        wanted: Wanted,
        systems: &[System],
        spool: Option<&Spool>,
    ) -> Result<Self> {
        let maker = Maker::new(scenario, tier)?;
        let (first, most) = match wanted {
            Wanted::Seeds { count, .. } => (count, count),
            Wanted::Precision { most, .. } => (LEAST.min(most), most),
        };
        let shard = if let Wanted::Seeds { shard, .. } = wanted { shard } else { (0, 1) };
        let mut plan = Plan::first(first, systems.to_vec(), shard);
        let length = if shard.1 > 1 { plan.seeds.len() as u64 } else { most };
        let progress = Progress::new(length, &scenario.name);
        let mut worlds = Self { tier, ..Self::default() };
        loop {
            worlds.more(&maker, &plan, &progress, spool)?;
            let done = worlds.samples.len() as u64;
            let Wanted::Precision { half_width, most } = wanted else { break };
            if done >= most || worlds.half_width() <= half_width {
                break;
            }
            plan.seeds = (done + 1..=(done + STEP).min(most)).collect();
        }
        progress.bar.finish_and_clear();
        Ok(worlds)
    }

    fn more(&mut self, maker: &Maker<'_>, plan: &Plan, progress: &Progress, spool: Option<&Spool>) -> Result<()> {
        let scenario = maker.scenario;
        let make = |seed| maker.make(seed, &plan.systems);
        let kept = each(plan, make, |run| {
            let sample = Sample::of(scenario, &run);
            let frame = spool.map(|spool| spool.put(scenario, &run)).transpose()?;
            progress.ended(&sample);
            Ok((sample, frame))
        })?;
        for (sample, frame) in kept {
            self.samples.push(sample);
            self.frames.extend(frame);
        }
        Ok(())
    }

    fn half_width(&self) -> f64 {
        let shares = self.samples.iter().filter_map(|sample| sample.systems.first()?.figures.get(FIGURE).copied());
        estimate(&shares.collect::<Vec<_>>(), true).map_or(f64::INFINITY, |value| value.half_width())
    }

    /// Whether an invariant broke.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.samples.iter().any(Sample::is_broken)
    }
}
