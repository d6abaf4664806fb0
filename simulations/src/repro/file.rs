//! The reproduction file.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::adversary::Planted;
use crate::kernel::{Chance, TraceHash};
use crate::outcome::{System, Violation};
use crate::scenario::Scenario;
use crate::world::{Bootstrap, Options, Struck, World, materialise};

/// The code that a file was made by: another version's worlds may differ.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A world in which an invariant breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repro {
    /// Version of the code that found it.
    pub version: String,
    /// What broke.
    pub invariant: String,
    /// What was seen.
    pub what: String,
    /// The mistake that was planted.
    #[serde(default)]
    pub planted: Option<Planted>,
    /// Which system.
    pub system: System,
    /// The luck of the world.
    pub seed: u64,
    /// Every strike of the faults.
    pub faults: Vec<Struck>,
    /// Events up to the break.
    pub events: u64,
    /// Their hash.
    pub trace: TraceHash,
    /// The scenario, whole; its own faults are not used.
    pub scenario: Scenario,
}

/// What a repetition gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeated {
    /// The break, if it came again.
    pub violation: Option<Violation>,
    /// Events up to it, or to the end.
    pub events: u64,
    /// Their hash.
    pub trace: TraceHash,
    /// Each of them, if that was asked for.
    pub lines: Vec<String>,
}

impl Repro {
    /// The file of a world in which a system broke a rule: its strikes, and its course up to the first break.
    ///
    /// # Errors
    /// When the scenario cannot be built.
    pub fn of(
        scenario: &Scenario,
        bootstrap: &Bootstrap,
        seed: u64,
        (system, violation): (System, &Violation),
        planted: Option<Planted>,
    ) -> Result<Self> {
        let mut repro = Self {
            version: VERSION.to_owned(),
            invariant: violation.invariant.clone(),
            what: violation.what.clone(),
            planted,
            system,
            seed,
            faults: materialise(scenario, &Chance::new(seed), bootstrap)?,
            events: 0,
            trace: TraceHash::default(),
            scenario: scenario.clone(),
        };
        let again = repro.repeat_in(bootstrap, false)?;
        (repro.events, repro.trace) = (again.events, again.trace);
        Ok(repro)
    }

    /// Runs it again, up to the break. The hash must be the file's if the code is.
    ///
    /// # Errors
    /// When the scenario cannot be built.
    pub fn repeat(&self, keep_lines: bool) -> Result<Repeated> {
        let bootstrap = Bootstrap::new(&self.scenario)?;
        self.repeat_in(&bootstrap, keep_lines)
    }

    /// As [`Repro::repeat`], over a mesh that was made before.
    ///
    /// # Errors
    /// When the scenario cannot be built.
    pub fn repeat_in(&self, bootstrap: &Bootstrap, keep_lines: bool) -> Result<Repeated> {
        let options = Options {
            faults: Some(self.faults.clone()),
            window: if keep_lines { (0, u64::MAX) } else { (0, 0) },
            planted: self.planted,
            story: None,
            outside: false,
            young: false,
            until: Some(self.invariant.clone()),
            deep: true,
        };
        let (outcome, checkpoints, lines) =
            World::new(&self.scenario, bootstrap, self.seed, self.system, options)?.run();
        let violation = outcome.violations.into_iter().find(|violation| violation.invariant == self.invariant);
        Ok(Repeated { violation, events: checkpoints.events, trace: checkpoints.end, lines })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no reproduction file", path.display()))
    }

    /// Writes it into a folder, under a name made of invariant and seed; tells the path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_into(&self, folder: &Path) -> Result<std::path::PathBuf> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(format!("{}-{}-{}.json", self.scenario.name, self.invariant, self.seed));
        self.write(&path)?;
        Ok(path)
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// Says no to a file of another version, whose worlds may differ.
    ///
    /// # Errors
    /// When the versions differ.
    pub fn check_version(&self) -> Result<()> {
        if self.version == VERSION {
            return Ok(());
        }
        bail!("the file is of version {}, this is {VERSION}: worlds may differ", self.version)
    }
}
