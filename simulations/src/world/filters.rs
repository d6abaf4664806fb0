//! Filters that everybody has when a world begins, as a mesh has that has been together for a while: each vault node
//! publishes its people through its own code, some weeks ago, and the others have kept what it published.

use anyhow::{Context as _, Result};
use relaymesh_core::batch::Outcome;
use relaymesh_core::record::key;
use relaymesh_core::{Input, Load as _, Output, Pump, Timer, bench};
use relaymesh_protocol::ids::{NodeId, Timestamp};

use super::World;
use super::nodes::SimNode;
use crate::kernel::{Purpose, Span, Time};

/// Filters of the first day are at most so old: their authors build them anew at different times.
const AGE_MAX: Span = Span(29 * Span::DAY.0);
/// People are older than all filters, so that nobody is new in any.
pub(super) const PEOPLE_AGE: Span = Span(31 * Span::DAY.0);

impl World<'_> {
    /// Has every vault node publish its people, and everybody know, unless the mesh is young.
    pub(super) fn spread_filters(&mut self) -> Result<()> {
        let mut published = Vec::new();
        for index in 0..u16::try_from(self.nodes.len())? {
            let age = self.chance.draw(Purpose::Hidden, u64::from(index), 0).bits() % AGE_MAX.0;
            let at = Timestamp(Time::ZERO.timestamp().0 - age / 1_000);
            let seed = self.chance.bytes(Purpose::Bootstrap, u64::from(index), 0);
            let sim = &mut self.nodes[usize::from(index)];
            if sim.config.roles.vault {
                let bytes = publish(sim, at, seed).context("a node has no filter of its people")?;
                published.push((sim.id, bytes, at));
            }
        }
        if !self.options.young {
            for sim in &mut self.nodes {
                keep(sim, &published)?;
            }
        }
        Ok(())
    }
}

/// The base filter of the people on a node's disk, written there too.
fn publish(sim: &mut SimNode, at: Timestamp, seed: [u8; 32]) -> Option<Vec<u8>> {
    // What it published alone named nobody.
    sim.disk.lose(|row| row.first() == Some(&key::FILTER));
    let mut pump = Pump::new(sim.idle_core(at), seed);
    for table in [key::META, key::FACT, key::TAG] {
        let rows = sim.disk.rows(&[table], usize::MAX).ok()?;
        let rows = rows.into_iter().map(|(key, _, value)| (key, value)).collect();
        pump.feed(Input::Restore { table, rows }, at, &mut sim.disk);
    }
    pump.feed(Input::Timer(Timer::FilterSoon), at, &mut sim.disk);
    while let Some(output) = pump.poll_output() {
        if let Output::Persist { token, batch } = output {
            let outcome = sim.disk.apply(batch);
            debug_assert_eq!(outcome, Outcome::Ok, "nobody else writes here");
            pump.persisted(token, outcome, at, &mut sim.disk);
        }
    }
    bench::base_filter(pump.node(), &sim.id)
}

/// Puts others' filters on a node's disk.
fn keep(sim: &mut SimNode, published: &[(NodeId, Vec<u8>, Timestamp)]) -> Result<()> {
    let core = sim.idle_core(Time::ZERO.timestamp());
    for (of, bytes, at) in published.iter().filter(|(of, ..)| *of != sim.id) {
        let (place, row) = bench::kept_filter(&core, of, bytes.clone(), *at).context("a filter cannot be sealed")?;
        sim.disk.share(place, row.into());
    }
    Ok(())
}
