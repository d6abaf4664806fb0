//! The SMS budget of the day, kept over restarts: counts by country and by number. The file is not sealed, so numbers are
//! in it under names that say nothing without the keyring.

use std::fs;
use std::path::{Path, PathBuf};

use relaymesh_core::crypto::{Crypto as _, RealCrypto};
use relaymesh_seal::keyfile::Keyring;
use relaymesh_sms::{Ask, Budget, Exceeded, Limits, Purpose, Spent};
use sha2::{Digest as _, Sha256};

/// File in the data directory.
const NAME: &str = "sms-spent.json";
/// Kind byte of the keyed hash that the names of numbers are made with.
const INDEX_NAMES: u8 = 36;

/// A budget and the file that remembers what was spent.
pub struct Kept {
    budget: Budget,
    path: PathBuf,
    /// Makes names of numbers.
    names: [u8; 16],
}

/// Whom an SMS is for and why.
#[derive(Clone, Copy)]
pub struct To<'a> {
    pub number: &'a str,
    pub country: &'a str,
    pub purpose: Purpose,
}

impl Kept {
    /// Goes on from the file, or from nothing if there is none that can be read.
    pub fn open(limits: Limits, dir: &Path, keyring: &Keyring) -> Self {
        let path = dir.join(NAME);
        let spent = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Spent>(&bytes).ok());
        let names = RealCrypto.index(keyring, INDEX_NAMES, NAME.as_bytes());
        Self { budget: Budget::new(limits, spent.unwrap_or_default()), path, names }
    }

    /// Takes one SMS out of the budget and remembers it.
    ///
    /// # Errors
    /// When the budget does not allow it; nothing changes then.
    pub fn spend(&mut self, now_ms: u64, to: &To<'_>) -> Result<(), Exceeded> {
        let ask = self.ask(to);
        self.budget.spend(now_ms, &ask)?;
        self.write();
        Ok(())
    }

    /// Puts one SMS back that was taken out at `spent_ms` and did not leave.
    pub fn refund(&mut self, spent_ms: u64, to: &To<'_>) {
        let ask = self.ask(to);
        self.budget.refund(spent_ms, &ask);
        self.write();
    }

    fn ask<'a>(&self, to: &To<'a>) -> Ask<'a> {
        let hash: [u8; 32] = Sha256::new().chain_update(self.names).chain_update(to.number).finalize().into();
        let mut name = [0; 8];
        name.copy_from_slice(&hash[..8]);
        Ask { country: to.country, number: u64::from_be_bytes(name), purpose: to.purpose }
    }

    fn write(&self) {
        let written = serde_json::to_vec(self.budget.spent()).map_err(std::io::Error::other).and_then(|bytes| {
            let next = self.path.with_extension("next");
            fs::write(&next, bytes)?;
            fs::rename(&next, &self.path)
        });
        if let Err(error) = written {
            tracing::warn!(%error, "what was spent on SMS today cannot be remembered over a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    const NUMBER: &str = "+237650123456";

    #[test]
    fn a_restart_does_not_refill_the_day_and_the_file_names_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::generate(&mut ChaCha20Rng::from_seed([1; 32]), relaymesh_protocol::ids::Timestamp(1));
        let open = |per_day| {
            let limits = Limits {
                per_day,
                per_country_per_day: per_day,
                per_number_per_day: 2,
                codes_percent: 0,
                countries: None,
            };
            Kept::open(limits, dir.path(), &keyring)
        };
        let to = To { number: NUMBER, country: "CM", purpose: Purpose::Notice };
        open(9).spend(1, &to).unwrap();
        open(9).spend(2, &to).unwrap();
        assert_eq!(open(9).spend(3, &to), Err(Exceeded::NumberDay));
        open(9).spend(3, &To { number: "+237650999999", ..to }).unwrap();
        assert_eq!(open(3).spend(3, &To { number: "+237650888888", ..to }), Err(Exceeded::Day));
        open(9).refund(3, &to);
        open(9).spend(3, &to).unwrap();
        let file = fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert!(!file.contains(&NUMBER[1..]) && file.contains("CM"), "a count by country, a name for the number");
    }
}
