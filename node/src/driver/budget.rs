//! The SMS budget of the day, kept over restarts: counts by country, nothing of people.

use std::fs;
use std::path::{Path, PathBuf};

use relaymesh_sms::{Budget, Exceeded, Limits, Spent};

/// File in the data directory.
const NAME: &str = "sms-spent.json";

/// A budget and the file that remembers what was spent.
pub struct Kept {
    budget: Budget,
    path: PathBuf,
}

impl Kept {
    /// Goes on from the file, or from nothing if there is none that can be read.
    pub fn open(limits: Limits, dir: &Path) -> Self {
        let path = dir.join(NAME);
        let spent = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Spent>(&bytes).ok());
        Self { budget: Budget::new(limits, spent.unwrap_or_default()), path }
    }

    /// Takes one SMS out of the budget and remembers it.
    ///
    /// # Errors
    /// When the budget does not allow it; nothing changes then.
    pub fn spend(&mut self, now_ms: u64, country: &str) -> Result<(), Exceeded> {
        self.budget.spend(now_ms, country)?;
        let written = serde_json::to_vec(self.budget.spent()).map_err(std::io::Error::other).and_then(|bytes| {
            let next = self.path.with_extension("next");
            fs::write(&next, bytes)?;
            fs::rename(&next, &self.path)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "what was spent on SMS today cannot be remembered over a restart");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_does_not_refill_the_day() {
        let dir = tempfile::tempdir().unwrap();
        let limits = || Limits { per_day: 2, per_country_per_day: 2, countries: None };
        let mut budget = Kept::open(limits(), dir.path());
        budget.spend(1, "CM").unwrap();
        let mut budget = Kept::open(limits(), dir.path());
        budget.spend(2, "CM").unwrap();
        assert!(Kept::open(limits(), dir.path()).spend(3, "CM").is_err());
    }
}
