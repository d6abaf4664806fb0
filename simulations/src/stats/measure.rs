//! The figures of one system in one world, and of all worlds together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Estimate, Sample, Survival, estimate};
use crate::kernel::{Span, Time};
use crate::outcome::{Exposure, Fate, MessageRow, Outcome, Route, Study, System, Told};
use crate::scenario::Scenario;

/// Windows of delivery: name and seconds.
const WINDOWS: [(&str, f64); 4] = [("10m", 600.0), ("1h", 3_600.0), ("24h", 86_400.0), ("72h", LATEST)];
/// The longest of them.
const LATEST: f64 = 259_200.0;
/// Percentiles of the time to deliver.
const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

#[allow(clippy::cast_precision_loss, reason = "counts of one world")]
fn number(count: usize) -> f64 {
    count as f64
}

fn share(count: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { number(count) / number(of) }
}

/// The name of a fate in figures.
#[must_use]
pub fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Published => "published",
        Fate::Waiting => "waiting",
        Fate::AtGateway => "at_gateway",
        Fate::Uncertain => "uncertain",
        Fate::Refused => "refused",
        Fate::Expired => "expired",
        Fate::LostNode => "lost_node",
        Fate::LostGateway => "lost_gateway",
        Fate::LostSms => "lost_sms",
    }
}

/// The name of a route in figures.
#[must_use]
pub fn route_name(route: Route) -> &'static str {
    match route {
        Route::Device => "device",
        Route::Number => "number",
        Route::HomeAway => "home_away",
    }
}

fn is_within(row: &MessageRow, window: f64) -> bool {
    row.published.is_some_and(|at| at.since(row.sent) <= Span::from_secs_f64(window))
}

/// The figures of one system in one world, by name: shares between 0 and 1, times in seconds. A percentile that was not
/// reached is not there.
#[must_use]
pub fn figures(scenario: &Scenario, outcome: &Outcome) -> BTreeMap<String, f64> {
    let rows = &outcome.messages;
    let end = Time(scenario.duration.0 - scenario.warmup.0);
    let mut figures = outcome.metrics.clone();
    let mut put = |name: String, value: f64| {
        figures.insert(name, value);
    };
    put("messages".to_owned(), number(rows.len()));
    let delivered = rows.iter().filter(|row| row.published.is_some()).count();
    for (name, window) in WINDOWS {
        let within = rows.iter().filter(|row| is_within(row, window)).count();
        put(format!("delivered.{name}"), share(within, rows.len()));
    }
    for route in Route::ALL {
        let of: Vec<&MessageRow> = rows.iter().filter(|row| row.route == route).collect();
        put(format!("share.{}", route_name(route)), share(of.len(), rows.len()));
        if !of.is_empty() {
            let within = of.iter().filter(|row| is_within(row, LATEST)).count();
            put(format!("delivered.72h.{}", route_name(route)), share(within, of.len()));
        }
    }
    put("delivered.ever".to_owned(), share(delivered, rows.len()));
    let survival = Survival::of(rows.iter(), end);
    for (name, percentile) in PERCENTILES {
        if let Some(seconds) = survival.percentile(percentile) {
            put(format!("delay.{name}"), seconds);
        }
    }
    for fate in Fate::ALL {
        let count = rows.iter().filter(|row| row.fate == fate).count();
        put(format!("fate.{}", fate_name(fate)), share(count, rows.len()));
    }
    let twice = rows.iter().filter(|row| row.posts > 1).count();
    put("published_twice".to_owned(), share(twice, rows.len()));
    let accepted = rows.iter().filter(|row| row.accepted.is_some()).count();
    let broken = rows.iter().filter(|row| row.accepted.is_some() && row.fate == Fate::LostNode).count();
    put("accepted_but_lost".to_owned(), share(broken, accepted));
    let wrong = rows.iter().filter(|row| row.told == Told::Failed && row.published.is_some()).count();
    put("told_wrong".to_owned(), share(wrong, rows.len()));
    let told = rows.iter().filter(|row| row.told != Told::Nothing).count();
    put("told".to_owned(), share(told, rows.len()));
    let segments: usize = rows.iter().map(|row| usize::from(row.segments)).sum();
    put("segments_per_delivered".to_owned(), number(segments) / number(delivered.max(1)));
    put("price_per_delivered".to_owned(), number(segments) * scenario.sms.price / number(delivered.max(1)));
    let sends: usize = rows.iter().map(|row| usize::from(row.sends)).sum();
    put("sends_per_message".to_owned(), number(sends) / number(rows.len().max(1)));
    put("violations".to_owned(), number(outcome.violations.len()));
    let people = f64::from(scenario.people.count.max(1));
    for (name, least) in
        [("metadata", Exposure::Metadata), ("token", Exposure::Token), ("plaintext", Exposure::Plaintext)]
    {
        let count: u32 =
            outcome.exposure.iter().filter(|(what, ..)| *what >= least).map(|(.., persons)| *persons).sum();
        put(format!("exposed.{name}"), f64::from(count) / people);
    }
    figures
}

/// Whether a figure is a share.
#[must_use]
pub fn is_share(name: &str) -> bool {
    let shares = ["delivered.", "share.", "fate.", "exposed."];
    shares.iter().any(|prefix| name.starts_with(prefix))
        || ["published_twice", "accepted_but_lost", "told_wrong", "told"].contains(&name)
}

/// Figures of all worlds: by system and name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary(pub BTreeMap<System, BTreeMap<String, Estimate>>);

impl Summary {
    /// One figure.
    #[must_use]
    pub fn get(&self, system: System, name: &str) -> Option<&Estimate> {
        self.0.get(&system)?.get(name)
    }
}

/// The figure of each seed, in the order of seeds; seeds that lack it are left out.
#[must_use]
pub fn samples(study: &Study, scenario: &Scenario, system: System, name: &str) -> Vec<f64> {
    let outcomes = study.runs.iter().filter_map(|run| run.outcomes.iter().find(|outcome| outcome.system == system));
    outcomes.filter_map(|outcome| figures(scenario, outcome).get(name).copied()).collect()
}

/// Means and intervals of all figures. A figure that some worlds lack (a percentile that they did not reach) is left out.
#[must_use]
pub fn summarise(study: &Study, scenario: &Scenario) -> Summary {
    let outcomes = study.runs.iter().flat_map(|run| &run.outcomes);
    summary(outcomes.map(|outcome| (outcome.system, figures(scenario, outcome))))
}

/// The same of what was kept of worlds.
#[must_use]
pub fn summarise_samples(samples: &[Sample]) -> Summary {
    let digests = samples.iter().flat_map(|sample| &sample.systems);
    summary(digests.map(|digest| (digest.system, digest.figures.clone())))
}

fn summary(worlds: impl Iterator<Item = (System, BTreeMap<String, f64>)>) -> Summary {
    let mut by_system: BTreeMap<System, (usize, BTreeMap<String, Vec<f64>>)> = BTreeMap::new();
    for (system, figures) in worlds {
        let (worlds, by_name) = by_system.entry(system).or_default();
        *worlds += 1;
        for (name, value) in figures {
            by_name.entry(name).or_default().push(value);
        }
    }
    let mut summary = Summary::default();
    for (system, (worlds, by_name)) in by_system {
        let estimates = by_name.into_iter().filter_map(|(name, mut samples)| {
            // Counts that a world does not have are zero there.
            if name.starts_with("count.") {
                samples.resize(worlds, 0.0);
            }
            let complete = samples.len() == worlds;
            complete.then(|| estimate(&samples, is_share(&name))).flatten().map(|estimate| (name, estimate))
        });
        summary.0.insert(system, estimates.collect());
    }
    summary
}
