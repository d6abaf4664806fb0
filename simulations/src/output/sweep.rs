//! Many points of one scenario: the grid of a sweep, and keys that were moved alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outcome::System;
use crate::stats::{Estimate, Sample, estimate, is_share};

/// A sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Keys of the grid, in the order in which they were given; the first is the severity.
    pub keys: Vec<String>,
    /// The points of the grid.
    pub points: Vec<Point>,
    /// Points in which one key alone differs from the scenario.
    pub alone: Vec<Point>,
}

/// The scenario with some other values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Key and value.
    pub settings: Vec<(String, String)>,
    /// The worlds, by seed.
    pub samples: Vec<PointSample>,
}

/// One world of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointSample {
    /// Its seed.
    pub seed: u64,
    /// Figures by system.
    pub systems: BTreeMap<System, BTreeMap<String, f64>>,
}

impl From<&Sample> for PointSample {
    fn from(sample: &Sample) -> Self {
        let systems = sample.systems.iter().map(|digest| (digest.system, digest.figures.clone()));
        Self { seed: sample.seed, systems: systems.collect() }
    }
}

impl Point {
    /// A figure over the point's worlds; none when one lacks it.
    #[must_use]
    pub fn estimate(&self, system: System, figure: &str) -> Option<Estimate> {
        let own = |sample: &PointSample| sample.systems.get(&system)?.get(figure).copied();
        let values: Option<Vec<f64>> = self.samples.iter().map(own).collect();
        estimate(&values?, is_share(figure))
    }

    /// A figure by seed.
    #[must_use]
    pub fn by_seed(&self, system: System, figure: &str) -> BTreeMap<u64, f64> {
        let own = |sample: &PointSample| Some((sample.seed, *sample.systems.get(&system)?.get(figure)?));
        self.samples.iter().filter_map(own).collect()
    }

    /// `key=value, key=value`.
    #[must_use]
    pub fn label(&self) -> String {
        let settings: Vec<String> = self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        settings.join(", ")
    }
}
