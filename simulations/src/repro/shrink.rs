//! Making a world small while the same invariant still breaks in it: less time, fewer faults (delta debugging, Zeller and
//! Hildebrandt 2002), then fewer liars, people, nodes and gateway clients.

use anyhow::{Result, bail};

use super::Repro;
use crate::kernel::{Span, Time};
use crate::scenario::Scenario;
use crate::world::{Bootstrap, Struck, Target};

/// What became of a world.
#[derive(Debug)]
pub struct Shrunk {
    /// The smallest world found.
    pub repro: Repro,
    /// Worlds that were tried.
    pub tries: u32,
}

/// One search for a smaller world.
struct Search<'t> {
    best: Repro,
    /// Made once for as long as only faults change.
    bootstrap: Bootstrap,
    /// When it breaks.
    at: Time,
    tries: u32,
    tries_max: u32,
    tell: &'t dyn Fn(&Repro, u32),
}

/// Makes a world small with at most `tries_max` runs; `tell` hears of each smaller one.
///
/// # Errors
/// When the file's world does not break, or cannot be built.
pub fn shrink(repro: Repro, tries_max: u32, tell: &dyn Fn(&Repro, u32)) -> Result<Shrunk> {
    let bootstrap = Bootstrap::new(&repro.scenario)?;
    let again = repro.repeat_in(&bootstrap, false)?;
    let Some(violation) = again.violation else { bail!("`{}` does not break in this world", repro.invariant) };
    let mut search = Search { best: repro, bootstrap, at: violation.at, tries: 1, tries_max, tell };
    (search.best.events, search.best.trace) = (again.events, again.trace);
    // First the time: every later try is the shorter for it.
    search.less_time()?;
    search.fewer_faults()?;
    search.fewer_liars()?;
    search.fewer_people()?;
    search.fewer_nodes()?;
    search.fewer_gateways()?;
    search.less_time()?;
    // What is gone may have made other faults needless.
    search.fewer_faults()?;
    Ok(Shrunk { repro: search.best, tries: search.tries })
}

impl Search<'_> {
    /// Takes a candidate if the same invariant breaks in it.
    fn try_out(&mut self, mut candidate: Repro) -> Result<bool> {
        if self.tries >= self.tries_max {
            return Ok(false);
        }
        self.tries += 1;
        let same_mesh = meshes_equal(&candidate.scenario, &self.best.scenario);
        let fresh = if same_mesh { None } else { Bootstrap::new(&candidate.scenario).ok() };
        let bootstrap = match (&fresh, same_mesh) {
            (Some(fresh), _) => fresh,
            (None, true) => &self.bootstrap,
            (None, false) => return Ok(false),
        };
        let Ok(again) = candidate.repeat_in(bootstrap, false) else { return Ok(false) };
        let Some(violation) = again.violation else { return Ok(false) };
        candidate.what.clone_from(&violation.what);
        (candidate.events, candidate.trace) = (again.events, again.trace);
        self.at = violation.at;
        self.best = candidate;
        if let Some(fresh) = fresh {
            self.bootstrap = fresh;
        }
        (self.tell)(&self.best, self.tries);
        Ok(true)
    }

    /// Strikes away, in ever smaller pieces.
    fn fewer_faults(&mut self) -> Result<()> {
        let mut pieces = 2;
        while !self.best.faults.is_empty() {
            let count = self.best.faults.len();
            let size = count.div_ceil(pieces.min(count));
            let mut smaller = false;
            let mut from = 0;
            while from < self.best.faults.len() {
                let mut candidate = self.best.clone();
                let to = (from + size).min(candidate.faults.len());
                candidate.faults.drain(from..to);
                if self.try_out(candidate)? {
                    smaller = true;
                } else {
                    from += size;
                }
            }
            if size == 1 && !smaller {
                break;
            }
            if size > 1 {
                pieces *= 2;
            }
            if self.tries >= self.tries_max {
                break;
            }
        }
        Ok(())
    }

    fn fewer_liars(&mut self) -> Result<()> {
        for at in (0..self.best.scenario.byzantine.len()).rev() {
            // The lots of those behind it stay theirs: a share of none takes its place.
            let mut candidate = self.best.clone();
            candidate.scenario.byzantine[at].share = crate::scenario::Share(0.0);
            self.try_out(candidate)?;
        }
        Ok(())
    }

    fn fewer_people(&mut self) -> Result<()> {
        self.halve(|scenario| &mut scenario.people.count)
    }

    fn fewer_nodes(&mut self) -> Result<()> {
        for group in 0..self.best.scenario.nodes.len() {
            self.halve(|scenario| &mut scenario.nodes[group].count)?;
        }
        Ok(())
    }

    fn fewer_gateways(&mut self) -> Result<()> {
        for group in 0..self.best.scenario.gateways.len() {
            self.halve(|scenario| &mut scenario.gateways[group].count)?;
        }
        Ok(())
    }

    /// Half of a count, else one less, as long as it breaks.
    fn halve(&mut self, count: impl Fn(&mut Scenario) -> &mut u32) -> Result<()> {
        loop {
            let now = *count(&mut self.best.scenario);
            let smaller = [now / 2, now.saturating_sub(1)].into_iter().filter(|less| *less > 0 && *less < now);
            let mut found = false;
            for less in smaller {
                let mut candidate = self.best.clone();
                *count(&mut candidate.scenario) = less;
                if targets_exist(&candidate) && self.try_out(candidate)? {
                    found = true;
                    break;
                }
            }
            if !found {
                return Ok(());
            }
        }
    }

    /// The world ends soon after the break, if it breaks then too.
    fn less_time(&mut self) -> Result<()> {
        for after in [Span::ZERO, Span::secs(600), Span::hours(1)] {
            let mut candidate = self.best.clone();
            candidate.scenario.duration = Span(self.at.0 + after.0 + 1);
            if candidate.scenario.duration < self.best.scenario.duration && self.try_out(candidate)? {
                break;
            }
        }
        Ok(())
    }
}

/// Whether two scenarios begin with the same mesh.
fn meshes_equal(a: &Scenario, b: &Scenario) -> bool {
    a.nodes == b.nodes && a.gateways == b.gateways
}

/// Whether every strike still has somebody to strike.
fn targets_exist(repro: &Repro) -> bool {
    let nodes: u32 = repro.scenario.nodes.iter().map(|group| group.count).sum();
    let gateways: u32 = repro.scenario.gateways.iter().map(|group| group.count).sum();
    repro.faults.iter().map(|struck: &Struck| struck.target).all(|target| match target {
        Target::Node(node) => u32::from(node) < nodes,
        Target::Gateway(gateway) => u32::from(gateway) < gateways,
        Target::Region(_) | Target::World => true,
    })
}
