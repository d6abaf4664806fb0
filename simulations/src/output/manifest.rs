//! What a folder's study was: which program, which scenario, which seeds, with which hashes.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::scenario::Scenario;
use crate::stats::Sample;

/// Version of the folder.
pub const FORMAT: u32 = 1;

/// The program that ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Version of the package.
    pub version: String,
    /// The compiler.
    pub rustc: String,
    /// SHA-256 of the executable, which names its source better than a commit that may have been changed.
    pub binary: String,
}

impl Program {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let binary = std::env::current_exe().and_then(std::fs::read).map(|bytes| hex::encode(Sha256::digest(bytes)));
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rustc: env!("RUSTC_VERSION").to_owned(),
            binary: binary.unwrap_or_default(),
        }
    }
}

/// The scenario as it ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioNote {
    /// Its name.
    pub name: String,
    /// SHA-256 of `toml`.
    pub sha256: String,
    /// All of it, with what it extends and every override.
    pub toml: String,
}

impl ScenarioNote {
    /// A note of a scenario.
    ///
    /// # Errors
    /// When it cannot be written as TOML.
    pub fn of(scenario: &Scenario) -> Result<Self> {
        let toml = toml::to_string(scenario).context("the scenario cannot be written")?;
        Ok(Self { name: scenario.name.clone(), sha256: hex::encode(Sha256::digest(&toml)), toml })
    }

    /// The scenario again.
    ///
    /// # Errors
    /// When it is not that of its hash, or is none.
    pub fn scenario(&self) -> Result<Scenario> {
        ensure!(hex::encode(Sha256::digest(&self.toml)) == self.sha256, "the scenario is not the one of its hash");
        toml::from_str(&self.toml).context("the manifest's scenario cannot be read")
    }
}

/// Where the rows of a world lie in `messages.csv.zst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The world.
    pub seed: u64,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// Rows.
    pub rows: u64,
}

/// How far the model lay from the real stack when both were last run: `simulate crosscheck`.
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

/// What was last measured, as it is kept in the tree.
#[must_use]
pub fn model_errors() -> Vec<ModelError> {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/crosscheck.json"))).unwrap_or_default()
}

/// A folder's manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The program.
    pub program: Program,
    /// When it began, UTC.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The scenario.
    pub scenario: ScenarioNote,
    /// `a` or `b`.
    pub tier: String,
    /// Part and parts, counted from 0, when the seeds were split.
    pub shard: Option<(u64, u64)>,
    /// Where the rows are.
    pub frames: Vec<Frame>,
    /// The cross-check that the report names.
    pub model_error: Option<ModelError>,
    /// The worlds, by seed: everything a report needs.
    pub samples: Vec<Sample>,
}

impl Manifest {
    /// The cross-check of this scenario, or else of any.
    #[must_use]
    pub fn choose_model_error(name: &str, known: &[ModelError]) -> Option<ModelError> {
        known.iter().find(|error| error.scenario == name).or_else(|| known.first()).cloned()
    }
}

/// A moment in UTC: `2026-01-31T08:00:00Z`, from seconds since 1970 (days to dates after Howard Hinnant).
#[must_use]
pub fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_798_761_599), "2026-12-31T23:59:59Z");
    }

    #[test]
    fn the_nearest_cross_check_is_named() {
        let error = |scenario: &str| ModelError {
            scenario: scenario.to_owned(),
            delivery_pp: 1.0,
            ks: 0.05,
            seeds: 3,
            version: "0".to_owned(),
        };
        let known = [error("a"), error("b")];
        let chosen = |name| Manifest::choose_model_error(name, &known).map(|error| error.scenario);
        assert_eq!((chosen("b"), chosen("c")), (Some("b".to_owned()), Some("a".to_owned())));
        assert_eq!(Manifest::choose_model_error("a", &[]), None);
    }
}
