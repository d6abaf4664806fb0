//! Many worlds of one scenario, over all cores: one world is never split.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

use crate::kernel::{Checkpoints, Difference, difference};
use crate::outcome::{Outcome, SeedRun, Study, System};
use crate::scenario::Scenario;
use crate::world::{Bootstrap, Options, World};

/// Which worlds to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Systems beside each other in each.
    pub systems: Vec<System>,
    /// Threads.
    pub threads: usize,
}

impl Plan {
    /// The first `count` seeds, part `part` of `parts`, on all cores.
    #[must_use]
    pub fn first(count: u64, systems: Vec<System>, (part, parts): (u64, u64)) -> Self {
        let seeds = (1..=count).filter(|seed| (seed - 1) % parts.max(1) == part).collect();
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { seeds, systems, threads }
    }
}

/// Runs a plan; `done` hears of each world as it ends, in no certain order. The study's worlds are in the order of seeds.
///
/// # Errors
/// When the scenario cannot be built.
pub fn study(scenario: &Scenario, plan: &Plan, done: impl Fn(&SeedRun) + Sync) -> Result<Study> {
    let keep = |run: SeedRun| {
        done(&run);
        Ok(run)
    };
    let bootstrap = Bootstrap::new(scenario)?;
    let runs = each(plan, |seed| world(scenario, &bootstrap, seed, &plan.systems), keep)?;
    Ok(Study { scenario: scenario.name.clone(), tier: "a".to_owned(), runs })
}

/// Runs a plan, each world as `make` makes it, and keeps of each what `keep` makes of it, in the order of seeds; `keep` runs as a world ends, in no
/// certain order. Rows of many large worlds do not fit into memory together.
///
/// # Errors
/// When the scenario cannot be built, or the first error of `keep`.
pub fn each<T: Send>(
    plan: &Plan,
    make: impl Fn(u64) -> Result<SeedRun> + Sync,
    keep: impl Fn(SeedRun) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let ended: Mutex<Vec<(u64, Result<T>)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..plan.threads.clamp(1, plan.seeds.len().max(1)) {
            scope.spawn(|| {
                while let Some(seed) = plan.seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let kept = make(*seed).and_then(&keep);
                    ended.lock().expect("no thread panics while it pushes").push((*seed, kept));
                }
            });
        }
    });
    let mut ended = ended.into_inner().map_err(|_| anyhow!("a world panicked"))?;
    ended.sort_by_key(|(seed, _)| *seed);
    ended.into_iter().map(|(_, kept)| kept).collect()
}

/// One world under each system.
///
/// # Errors
/// When the scenario cannot be built.
pub fn world(scenario: &Scenario, bootstrap: &Bootstrap, seed: u64, systems: &[System]) -> Result<SeedRun> {
    let outcomes = systems.iter().map(|system| {
        let world = World::new(scenario, bootstrap, seed, *system, Options::default())?;
        Ok(world.run().0)
    });
    Ok(SeedRun { seed, outcomes: outcomes.collect::<Result<Vec<Outcome>>>()? })
}

/// Runs a world twice, and finds the first event in which the runs differ; `None` = equal.
///
/// # Errors
/// When the scenario cannot be built.
pub fn check_determinism(scenario: &Scenario, seed: u64, system: System) -> Result<Option<Difference>> {
    let run = |window: (u64, u64)| -> Result<(Checkpoints, Vec<String>)> {
        // A bootstrap of its own: what it does must not differ either.
        let bootstrap = Bootstrap::new(scenario)?;
        let options = Options { window, ..Options::default() };
        let (_, checkpoints, kept) = World::new(scenario, &bootstrap, seed, system, options)?.run();
        Ok((checkpoints, kept))
    };
    let (first, second) = (run((0, 0))?.0, run((0, 0))?.0);
    let Some(window) = first.first_difference(&second) else { return Ok(None) };
    let (first, second) = (run(window)?.1, run(window)?.1);
    let unseen = || Difference { event: window.0, first: String::new(), second: String::new() };
    Ok(Some(difference(window.0, &first, &second).unwrap_or_else(unseen)))
}
