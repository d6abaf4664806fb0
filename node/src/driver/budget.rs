//! The SMS budget of the day, kept over restarts: counts by country and by number. The file is not sealed, so numbers are
//! in it under names that say nothing without the keyring.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use relaymesh_core::crypto::{Crypto as _, RealCrypto};
use relaymesh_seal::keyfile::Keyring;
use relaymesh_sms::{Ask, Budget, Exceeded, Limits, Purpose, Spent};
use sha2::{Digest as _, Sha256};

/// File in the data directory.
const NAME: &str = "sms-spent.json";
/// A file that could not be read, put aside.
const DAMAGED: &str = "sms-spent.damaged";
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

/// What a file has; nothing where there is none. The error says no more than what kind of trouble it is.
fn read(path: &Path) -> Result<Spent, String> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| format!("its content is damaged: {:?}", error.classify()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Spent::default()),
        Err(error) => Err(error.kind().to_string()),
    }
}

/// What is wrong with the record of a data directory, and the file to look at.
pub fn trouble(dir: &Path) -> Option<(PathBuf, String)> {
    let damaged = dir.join(DAMAGED);
    if damaged.exists() {
        return Some((damaged, "it could not be read when the node started".to_owned()));
    }
    let path = dir.join(NAME);
    read(&path).err().map(|why| (path, why))
}

impl Kept {
    /// Goes on from the file. Where there is none, nothing was spent. Where there is one that cannot be read, the day counts as
    /// spent but for what is kept for one-time codes and refreshed tokens ([`Spent::unknown`]): a damaged file opens no day
    /// anew at the operator's cost, and locks nobody out. The file is put aside for `doctor` to tell of.
    pub fn open(limits: Limits, dir: &Path, keyring: &Keyring, now_ms: u64) -> Self {
        let path = dir.join(NAME);
        let names = RealCrypto.index(keyring, INDEX_NAMES, NAME.as_bytes());
        match read(&path) {
            Ok(spent) => Self { budget: Budget::new(limits, spent), path, names },
            Err(why) => {
                tracing::error!(
                    %why,
                    "{NAME} cannot be read: until the next day (UTC) SMS leave for one-time codes and refreshed tokens only"
                );
                // Where that fails it is written over: the day is counted in any case.
                let _ = fs::rename(&path, dir.join(DAMAGED));
                let spent = Spent::unknown(&limits, now_ms);
                let kept = Self { budget: Budget::new(limits, spent), path, names };
                // So that another start on the same day does not take it for a new one.
                kept.write();
                kept
            }
        }
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
            let mut file = fs::File::create(&next)?;
            file.write_all(&bytes)?;
            // Else a power cut may leave an empty file under the name, and an empty file is a damaged one.
            file.sync_data()?;
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
            Kept::open(limits, dir.path(), &keyring, 1)
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
        assert_eq!(trouble(dir.path()), None);
    }

    #[test]
    fn a_damaged_file_refills_no_day_and_keeps_what_codes_need() {
        let keyring = Keyring::generate(&mut ChaCha20Rng::from_seed([1; 32]), relaymesh_protocol::ids::Timestamp(1));
        let limits =
            Limits { per_day: 10, per_country_per_day: 10, per_number_per_day: 9, codes_percent: 20, countries: None };
        let notice = To { number: NUMBER, country: "CM", purpose: Purpose::Notice };
        let code = To { purpose: Purpose::Code, ..notice };
        for damage in [&b""[..], b"{", b"null", b"{\"day\":\"x\"}", b"\xff\xfe", b"[1,2]"] {
            let dir = tempfile::tempdir().unwrap();
            let open = |now_ms| Kept::open(limits.clone(), dir.path(), &keyring, now_ms);
            open(1).spend(1, &notice).unwrap();
            fs::write(dir.path().join(NAME), damage).unwrap();
            assert!(trouble(dir.path()).is_some_and(|(path, _)| path.ends_with(NAME)), "before the next start");
            assert_eq!(open(2).spend(2, &notice), Err(Exceeded::Day));
            assert_eq!(open(3).spend(3, &notice), Err(Exceeded::Day), "nor does one more start");
            assert!(trouble(dir.path()).is_some_and(|(path, _)| path.ends_with(DAMAGED)), "until somebody has looked");
            open(4).spend(4, &code).unwrap();
            open(4).spend(4, &code).unwrap();
            assert_eq!(open(4).spend(4, &code), Err(Exceeded::Day));
            open(5).spend(86_400_000, &notice).unwrap();
            assert_eq!(fs::read(dir.path().join(DAMAGED)).unwrap(), damage);
        }
    }

    #[test]
    fn a_file_that_may_not_be_read_is_no_empty_day() {
        let keyring = Keyring::generate(&mut ChaCha20Rng::from_seed([1; 32]), relaymesh_protocol::ids::Timestamp(1));
        let limits =
            Limits { per_day: 1, per_country_per_day: 1, per_number_per_day: 1, codes_percent: 0, countries: None };
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(NAME)).unwrap();
        let mut kept = Kept::open(limits, dir.path(), &keyring, 1);
        let notice = To { number: NUMBER, country: "CM", purpose: Purpose::Notice };
        assert_eq!(kept.spend(1, &notice), Err(Exceeded::Day));
    }
}
