//! What is kept of a world once its rows are written away: figures, the curve of arrivals, and tables over days and
//! regions. Reports are made of these alone, so a report over shards is that over the whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Survival, figures};
use crate::kernel::{Span, Time, TraceHash};
use crate::outcome::{Exposure, Fate, MessageRow, Outcome, SeedRun, System, Violation};
use crate::scenario::Scenario;

/// What became of a message, as people ask: in time, late, on its way, told, or lost where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Published within an hour.
    WithinHour,
    /// Published within 72 hours.
    Within72h,
    /// Published later.
    Later,
    /// At a node or a gateway client when the run ended.
    OnItsWay,
    /// Not published, or perhaps; the system knows, and says so where it can.
    Told,
    /// Accepted by a node, or taken by a system without memory, and lost there.
    LostNode,
    /// A gateway client lost it.
    LostGateway,
    /// It never left the SMS network.
    LostSms,
}

impl Stage {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::WithinHour,
        Self::Within72h,
        Self::Later,
        Self::OnItsWay,
        Self::Told,
        Self::LostNode,
        Self::LostGateway,
        Self::LostSms,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WithinHour => "within_1h",
            Self::Within72h => "within_72h",
            Self::Later => "later",
            Self::OnItsWay => "on_its_way",
            Self::Told => "told",
            Self::LostNode => "lost_node",
            Self::LostGateway => "lost_gateway",
            Self::LostSms => "lost_sms",
        }
    }

    /// The stage of a row.
    #[must_use]
    pub fn of(row: &MessageRow) -> Self {
        match (row.published, row.fate) {
            (Some(at), _) if at.since(row.sent) <= Span::hours(1) => Self::WithinHour,
            (Some(at), _) if at.since(row.sent) <= Span::hours(72) => Self::Within72h,
            (Some(_), _) | (None, Fate::Published) => Self::Later,
            (None, Fate::Waiting | Fate::AtGateway) => Self::OnItsWay,
            (None, Fate::Refused | Fate::Uncertain | Fate::Expired) => Self::Told,
            (None, Fate::LostNode) => Self::LostNode,
            (None, Fate::LostGateway) => Self::LostGateway,
            (None, Fate::LostSms) => Self::LostSms,
        }
    }
}

/// Messages of one region that were sent on one day, and those of them that were published within 72 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Sent.
    pub sent: u32,
    /// Published in time.
    pub in_time: u32,
}

/// One system in one world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// Which.
    pub system: System,
    /// Figures by name, shares between 0 and 1, times in seconds.
    pub figures: BTreeMap<String, f64>,
    /// Share of all messages that had arrived by each time of [`grid`].
    pub arrived: Vec<f64>,
    /// Messages by day of sending and stage, in the order of [`Stage::ALL`].
    pub days: Vec<[u32; Stage::ALL.len()]>,
    /// Messages by region and day of sending.
    pub regions: Vec<Vec<Cell>>,
    /// As in the outcome.
    pub exposure: Vec<(Exposure, u32, u32)>,
    /// As in the outcome.
    pub seized: Vec<(u32, u32)>,
    /// As in the outcome.
    pub violations: Vec<Violation>,
    /// Events that were handled.
    pub events: u64,
    /// Hash over all of them.
    pub trace: TraceHash,
}

/// One world: all systems over the same luck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its seed.
    pub seed: u64,
    /// What each system did.
    pub systems: Vec<Digest>,
}

impl Sample {
    /// What is kept of a run.
    #[must_use]
    pub fn of(scenario: &Scenario, run: &SeedRun) -> Self {
        Self { seed: run.seed, systems: run.outcomes.iter().map(|outcome| Digest::of(scenario, outcome)).collect() }
    }

    /// One system's.
    #[must_use]
    pub fn get(&self, system: System) -> Option<&Digest> {
        self.systems.iter().find(|digest| digest.system == system)
    }

    /// Whether an invariant broke.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.systems.iter().any(|digest| !digest.violations.is_empty())
    }
}

impl Digest {
    fn of(scenario: &Scenario, outcome: &Outcome) -> Self {
        let watched = counted_days(scenario);
        let mut days = vec![[0; Stage::ALL.len()]; watched];
        let mut regions = vec![vec![Cell::default(); watched]; scenario.region.len()];
        for row in &outcome.messages {
            let (day, stage) = (row.sent.day(), Stage::of(row));
            if let Some(counts) = days.get_mut(day) {
                counts[stage as usize] += 1;
            }
            if let Some(cell) = regions.get_mut(usize::from(row.region)).and_then(|days| days.get_mut(day)) {
                cell.sent += 1;
                cell.in_time += u32::from(matches!(stage, Stage::WithinHour | Stage::Within72h));
            }
        }
        let end = Time(scenario.duration.0.saturating_sub(scenario.warmup.0));
        let survival = Survival::of(outcome.messages.iter(), end);
        Self {
            system: outcome.system,
            figures: figures(scenario, outcome),
            arrived: grid().iter().map(|seconds| survival.within(*seconds)).collect(),
            days,
            regions,
            exposure: outcome.exposure.clone(),
            seized: outcome.seized.clone(),
            violations: outcome.violations.clone(),
            events: outcome.events,
            trace: outcome.trace,
        }
    }
}

/// Days on which messages that count are sent, the last one perhaps in part.
#[must_use]
pub fn counted_days(scenario: &Scenario) -> usize {
    let counted = scenario.duration.0.saturating_sub(scenario.warmup.0).saturating_sub(scenario.drain.0);
    usize::try_from(counted.div_ceil(Span::DAY.0)).unwrap_or(0)
}

/// Times at which arrivals are looked at, in seconds: six in each decade from one second to some 80 days.
#[must_use]
pub fn grid() -> Vec<f64> {
    let mut grid = Vec::new();
    let mut decade = 1.0;
    while decade < 1e7 {
        grid.extend([1.0, 1.5, 2.0, 3.0, 5.0, 7.0].map(|step| step * decade));
        decade *= 10.0;
    }
    grid.retain(|seconds| *seconds <= 7e6);
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Told;

    #[test]
    fn each_message_has_one_stage() {
        let row = |published: Option<u64>, fate| MessageRow {
            id: 0,
            region: 0,
            route: crate::outcome::Route::Device,
            sent: Time(5),
            accepted: None,
            published: published.map(|seconds| Time(5 + Span::secs(seconds).0)),
            posts: 1,
            sends: 1,
            segments: 1,
            fate,
            told: Told::Nothing,
        };
        assert_eq!(Stage::of(&row(Some(3_600), Fate::Published)), Stage::WithinHour);
        assert_eq!(Stage::of(&row(Some(3_601), Fate::Published)), Stage::Within72h);
        assert_eq!(Stage::of(&row(Some(259_201), Fate::Published)), Stage::Later);
        // On the platform and told as uncertain: it arrived.
        assert_eq!(Stage::of(&row(Some(10), Fate::Uncertain)), Stage::WithinHour);
        for fate in Fate::ALL {
            assert_ne!(Stage::of(&row(None, fate)), Stage::WithinHour, "{fate:?}");
        }
        for (at, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, at, "the order of tables");
        }
    }

    #[test]
    fn the_grid_rises() {
        let grid = grid();
        assert!(grid.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((grid.first(), grid.last()), (Some(&1.0), Some(&7e6)));
    }
}
