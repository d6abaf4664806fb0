//! The one JSON document of a study, printed by `--json` and kept as `summary.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ModelError, system_name};
use crate::outcome::System;
use crate::scenario::{Expectation, Scenario};
use crate::stats::{Estimate, Sample, gains, summarise_samples};

/// An expectation and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// The figure.
    pub metric: String,
    /// As the scenario says it.
    pub expected: String,
    /// What it was over all worlds; none when some world lacks it.
    pub estimate: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Whether the estimate is as expected.
    pub holds: bool,
    /// Whether both ends of the interval say the same: more worlds would hardly change it.
    pub sure: bool,
}

/// The name of a figure of any system: the mesh's own stand alone, `upstream.delivered.72h` is another's.
fn flat_name(system: System, name: &str) -> String {
    if system == System::Mesh { name.to_owned() } else { format!("{}.{name}", system_name(system)) }
}

/// Figures of several systems under flat names.
pub(super) fn flatten<'f>(
    systems: impl Iterator<Item = (&'f System, &'f BTreeMap<String, f64>)>,
) -> BTreeMap<String, f64> {
    let all = systems.flat_map(|(system, own)| own.iter().map(|(name, value)| (flat_name(*system, name), *value)));
    all.collect()
}

/// All figures of one world.
#[must_use]
pub fn flat_figures(sample: &Sample) -> BTreeMap<String, f64> {
    flatten(sample.systems.iter().map(|digest| (&digest.system, &digest.figures)))
}

/// Figures over all worlds under flat names, with the paired gains over the baselines: `gain.upstream.delivered.72h` is
/// the mesh minus the central service.
#[must_use]
pub fn flat_summary(samples: &[Sample]) -> BTreeMap<String, Estimate> {
    let mut flat = BTreeMap::new();
    for (system, own) in summarise_samples(samples).0 {
        flat.extend(own.into_iter().map(|(name, estimate)| (flat_name(system, &name), estimate)));
    }
    for baseline in [System::Islands, System::Upstream] {
        for gain in gains(samples, baseline) {
            if gain.lacking == 0 && !gain.figure.starts_with("count.") {
                flat.insert(format!("gain.{}.{}", system_name(baseline), gain.figure), gain.difference);
            }
        }
    }
    flat
}

/// Holds the scenario's expectations against the summary.
#[must_use]
pub fn expectations(scenario: &Scenario, summary: &BTreeMap<String, Estimate>) -> Vec<Expected> {
    let judged = scenario.expect.iter().map(|(metric, expected)| {
        // The text was checked when the scenario was read; what cannot be read holds never.
        let (found, expectation) = (summary.get(metric), Expectation::parse(expected).ok());
        let holds = |value: f64| expectation.is_some_and(|expectation| expectation.holds(value));
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        Expected {
            metric: metric.clone(),
            expected: expected.clone(),
            estimate: found.map(|found| found.estimate),
            low: found.and_then(|found| finite(found.low)),
            high: found.and_then(|found| finite(found.high)),
            holds: found.is_some_and(|found| holds(found.estimate)),
            sure: found.is_some_and(|found| {
                let verdict = holds(found.estimate);
                holds(found.low) == verdict && holds(found.high) == verdict
            }),
        }
    });
    judged.collect()
}

/// The document.
#[must_use]
pub fn document(scenario: &Scenario, tier: &str, samples: &[Sample], model_error: Option<&ModelError>) -> Value {
    let seeds = samples.iter().map(|sample| {
        let trace = sample.get(System::Mesh).or_else(|| sample.systems.first()).map(|digest| digest.trace);
        json!({ "seed": sample.seed, "trace": trace, "metrics": flat_figures(sample) })
    });
    let summary = flat_summary(samples);
    json!({
        "scenario": scenario.name,
        "tier": tier,
        "seeds": seeds.collect::<Vec<_>>(),
        "expectations": expectations(scenario, &summary),
        "summary": summary,
        "model_error": model_error,
    })
}
