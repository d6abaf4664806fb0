//! How far the model lies from the real stack: the share delivered, and when.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::kernel::Time;
use crate::outcome::{MessageRow, Study, System};
use crate::scenario::Scenario;
use crate::stats::Survival;

/// Difference of delivery that the model may have, in percentage points.
pub const DELIVERY_POINTS_MAX: f64 = 2.0;
/// Kolmogorov-Smirnov distance of the time to deliver that it may have.
pub const KS_MAX: f64 = 0.10;

/// How far the model lay from the real stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelError {
    /// The scenario that both ran.
    pub scenario: String,
    /// Difference of delivery, in percentage points.
    pub delivery_pp: f64,
    /// Kolmogorov-Smirnov distance of the time to deliver.
    pub ks: f64,
    /// Worlds.
    pub seeds: u64,
    /// Version of the program.
    pub version: String,
}

/// Both tiers beside each other, over all worlds together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Crosscheck {
    /// The difference.
    #[serde(flatten)]
    pub error: ModelError,
    /// Messages in each tier.
    pub messages: usize,
    /// Share delivered: tier A, tier B.
    pub delivered: (f64, f64),
    /// Median time to deliver in seconds: tier A, tier B; none = not reached.
    pub median_s: (Option<f64>, Option<f64>),
    /// Seconds at which the distance is largest.
    pub ks_at_s: f64,
}

impl Crosscheck {
    /// Whether the model is near enough.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.error.delivery_pp.abs() <= DELIVERY_POINTS_MAX && self.error.ks <= KS_MAX
    }
}

fn rows(study: &Study) -> Vec<&MessageRow> {
    let outcomes = study.runs.iter().flat_map(|run| &run.outcomes);
    outcomes.filter(|outcome| outcome.system == System::Mesh).flat_map(|outcome| &outcome.messages).collect()
}

/// Compares the mesh of two studies of the same worlds.
///
/// # Errors
/// When there are no messages, or not the same ones in both.
pub fn compare(scenario: &Scenario, model: &Study, stack: &Study) -> Result<Crosscheck> {
    let (a, b) = (rows(model), rows(stack));
    let sent = |rows: &[&MessageRow]| rows.iter().map(|row| (row.id, row.sent)).collect::<Vec<_>>();
    anyhow::ensure!(!a.is_empty(), "nobody sends anything in `{}`", scenario.name);
    anyhow::ensure!(sent(&a) == sent(&b), "the tiers saw different messages: they are of different sources");
    #[allow(clippy::cast_precision_loss, reason = "messages are fewer than 2^52")]
    let share =
        |rows: &[&MessageRow]| rows.iter().filter(|row| row.published.is_some()).count() as f64 / rows.len() as f64;
    let end = Time(scenario.duration.0 - scenario.warmup.0);
    let curve = |rows: &[&MessageRow]| Survival::of(rows.iter().copied(), end);
    let (of_a, of_b) = (curve(&a), curve(&b));
    let times = a.iter().chain(&b).filter_map(|row| Some(row.published?.since(row.sent).as_secs_f64()));
    let distances = times.map(|at| ((of_a.within(at) - of_b.within(at)).abs(), at));
    let (ks, ks_at_s) = distances.fold((0.0, 0.0), |most, next| if next.0 > most.0 { next } else { most });
    let delivered = (share(&a), share(&b));
    Ok(Crosscheck {
        error: ModelError {
            scenario: scenario.name.clone(),
            delivery_pp: (delivered.0 - delivered.1) * 100.0,
            ks,
            seeds: model.runs.len() as u64,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        messages: a.len(),
        delivered,
        median_s: (of_a.percentile(0.5), of_b.percentile(0.5)),
        ks_at_s,
    })
}

/// Puts a model error into a file of them (JSON), in the place of an older one of the same scenario.
///
/// # Errors
/// When the file is not one, or cannot be written.
pub fn remember(error: &ModelError, path: &Path) -> Result<()> {
    let mut known: Vec<ModelError> = match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?,
        Err(_) => Vec::new(),
    };
    known.retain(|other| other.scenario != error.scenario);
    known.push(error.clone());
    known.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    let text = serde_json::to_string_pretty(&known)? + "\n";
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::{Span, TraceHash};
    use crate::outcome::{Fate, Outcome, SeedRun, Told};
    use crate::scenario::load;

    /// A study in which message `n` arrives after `after(n)` seconds.
    fn study(after: impl Fn(u32) -> Option<u64>) -> Study {
        let row = |id| MessageRow {
            id,
            region: 0,
            route: crate::outcome::Route::Device,
            sent: Time::ZERO,
            accepted: None,
            published: after(id).map(|seconds| Time(Span::secs(seconds).0)),
            posts: 1,
            sends: 1,
            segments: 1,
            fate: Fate::Published,
            told: Told::Nothing,
        };
        let outcome = Outcome {
            system: System::Mesh,
            messages: (0..100).map(row).collect(),
            metrics: BTreeMap::new(),
            exposure: Vec::new(),
            seized: Vec::new(),
            violations: Vec::new(),
            events: 0,
            trace: TraceHash(0),
        };
        Study { scenario: String::new(), tier: String::new(), runs: vec![SeedRun { seed: 1, outcomes: vec![outcome] }] }
    }

    #[test]
    fn a_model_is_as_wrong_as_its_share_and_its_times() {
        let scenario = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.toml"), &[]).unwrap();
        let model = study(|n| Some(u64::from(n) + 1));
        let same = compare(&scenario, &model, &model).unwrap();
        assert!(same.passes() && same.error.ks.abs() < 1e-9 && same.error.delivery_pp.abs() < 1e-9);
        let lossy = compare(&scenario, &model, &study(|n| (n >= 3).then_some(u64::from(n) + 1))).unwrap();
        assert!(!lossy.passes() && (lossy.error.delivery_pp - 3.0).abs() < 1e-9, "{lossy:?}");
        let late = compare(&scenario, &model, &study(|n| Some(u64::from(n) + 21))).unwrap();
        assert!(!late.passes() && (late.error.ks - 0.2).abs() < 1e-9, "{late:?}");
        assert!(late.error.delivery_pp.abs() < 1e-9);
    }

    #[test]
    fn a_file_keeps_the_last_error_of_each_scenario() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("crosscheck.json");
        let error = |scenario: &str, ks| ModelError {
            scenario: scenario.to_owned(),
            delivery_pp: 0.0,
            ks,
            seeds: 1,
            version: "0".to_owned(),
        };
        for (scenario, ks) in [("b", 0.1), ("a", 0.2), ("b", 0.3)] {
            remember(&error(scenario, ks), &path).unwrap();
        }
        let kept: Vec<ModelError> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(kept, [error("a", 0.2), error("b", 0.3)]);
        fs::write(&path, "{").unwrap();
        assert!(remember(&error("a", 0.0), &path).is_err(), "what cannot be read is not thrown away");
    }
}
