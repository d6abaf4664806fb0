//! Looking for worlds in which something breaks.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Result;

use super::{Repro, draw};
use crate::adversary::Planted;
use crate::outcome::{Outcome, System};
use crate::world::{Bootstrap, Options, World};

/// What a search gave.
#[derive(Debug, Default)]
pub struct Found {
    /// Worlds that were run.
    pub worlds: u64,
    /// The first world that broke, by seed.
    pub repro: Option<Repro>,
}

/// Runs random worlds from seed `from` on, at most `count`, until one breaks; `tell` hears of each seed as it ends. The
/// lowest seed that breaks is told, whichever thread was first.
///
/// # Errors
/// When a world cannot be built.
pub fn fuzz(from: u64, count: u64, planted: Option<Planted>, tell: impl Fn(u64, &Outcome) + Sync) -> Result<Found> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(from);
    // No seed above the lowest one that broke needs to be run.
    let end = AtomicU64::new(from.saturating_add(count));
    let ended: Mutex<Vec<Result<Repro>>> = Mutex::new(Vec::new());
    let worlds = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    worlds.fetch_add(1, Ordering::Relaxed);
                    let broken = match one(seed, planted) {
                        Ok((outcome, broken)) => {
                            tell(seed, &outcome);
                            broken.map(Ok)
                        }
                        Err(error) => Some(Err(error)),
                    };
                    if let Some(broken) = broken {
                        end.fetch_min(seed, Ordering::Relaxed);
                        ended.lock().expect("no thread panics while it pushes").push(broken);
                    }
                }
            });
        }
    });
    let ended = ended.into_inner().map_err(|_| anyhow::anyhow!("a world panicked"))?;
    let mut repros = ended.into_iter().collect::<Result<Vec<_>>>()?;
    repros.sort_by_key(|repro| repro.seed);
    Ok(Found { worlds: worlds.into_inner(), repro: repros.into_iter().next() })
}

/// The world of one seed, and its file if it broke.
fn one(seed: u64, planted: Option<Planted>) -> Result<(Outcome, Option<Repro>)> {
    let scenario = draw(seed)?;
    let bootstrap = Bootstrap::new(&scenario)?;
    let options = Options { planted, deep: true, ..Options::default() };
    let outcome = World::new(&scenario, &bootstrap, seed, System::Mesh, options)?.run().0;
    let broken = outcome.violations.first().map(|violation| (outcome.system, violation));
    let repro = broken.map(|broken| Repro::of(&scenario, &bootstrap, seed, broken, planted)).transpose()?;
    Ok((outcome, repro))
}
