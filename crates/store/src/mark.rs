//! How far the store was known to be durable, in a file of its own.
//!
//! sled takes a log that breaks off for one whose writer was killed: it goes on with what comes before. That is right for a torn
//! end and wrong for a damaged middle, behind which everything that was acknowledged would be gone without a word. So the number
//! of a durable commit is written beside the log, at most once a second, and a log that ends before it is refused.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{error::OpenError, types::Version};

pub(crate) const MARK_FILE: &str = "MARK";
/// A mark costs an fsync of its own; what is damaged within this of the end is not told from a torn end.
const EVERY: Duration = Duration::from_secs(1);

/// The mark of an open store.
#[derive(Debug)]
pub(crate) struct Mark {
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last commit that was written, durable or not.
    written: u64,
    /// The last commit that is durable.
    durable: u64,
    /// The one that the file names.
    marked: u64,
    at: Option<Instant>,
}

impl Mark {
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit was handed to the engine.
    pub fn written(&self, commit: Version) {
        self.state().written = commit.0;
    }

    /// What was written is durable. Names it if the last one was named long enough ago.
    ///
    /// # Errors
    /// When the file cannot be written: whoever took the directory away took the store with it.
    pub fn synced(&self) -> io::Result<()> {
        let mut state = self.state();
        state.durable = state.written;
        if state.at.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        self.write(&mut state)
    }

    fn write(&self, state: &mut State) -> io::Result<()> {
        let draft = self.dir.join("MARK.new");
        let mut out = File::create(&draft)?;
        // Twice, so that a damaged mark is not taken for another one.
        writeln!(out, "{0} {0}", state.durable)?;
        out.sync_all()?;
        // An old mark is a true one, so it does not matter when the new name is durable.
        fs::rename(&draft, self.dir.join(MARK_FILE))?;
        (state.marked, state.at) = (state.durable, Some(Instant::now()));
        Ok(())
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut state = std::mem::take(self.state.get_mut().unwrap_or_else(PoisonError::into_inner));
        if state.durable > state.marked
            && let Err(error) = self.write(&mut state)
        {
            tracing::warn!(%error, "the store's mark cannot be written");
        }
    }
}

/// Refuses a store that ends before a commit that was durable.
pub(crate) fn check(dir: &Path, last: Version) -> Result<(), OpenError> {
    let file = dir.join(MARK_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        // A store from before there were marks, or one whose operator took the mark away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(source) => return Err(OpenError::Io { action: "read", path: file, source }),
    };
    let Some(marked) = read(&text) else {
        tracing::warn!("the store's mark is damaged and says nothing");
        return Ok(());
    };
    if last.0 >= marked {
        return Ok(());
    }
    let detail = format!(
        "it ends at commit {}, but commit {marked} was safe: its data file is damaged, and what came after that place cannot \
         be read; without the file MARK it opens with what is left",
        last.0
    );
    Err(OpenError::Corrupt { path: dir.to_owned(), detail })
}

fn read(text: &str) -> Option<u64> {
    let (one, other) = text.trim().split_once(' ')?;
    (one == other).then(|| one.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_damaged_mark_says_nothing() {
        assert_eq!(read("12 12\n"), Some(12));
        for text in ["", "12", "12 13", "x x", "12 12 12"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    /// As [`Mark::write`] writes it.
    fn sound(commit: u64) -> Vec<u8> {
        format!("{commit} {commit}\n").into_bytes()
    }

    proptest! {
        #[test]
        fn any_bytes_name_a_commit_twice_or_say_nothing(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "[0-9 +\n\t-]{0,30}".prop_map(String::into_bytes),
                "[1-3]{1,2} [1-3]{1,2}[ \n]{0,2}".prop_map(String::into_bytes),
                any::<u64>().prop_map(sound),
            ],
            last in prop_oneof![0..30_u64, any::<u64>()],
        ) {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(MARK_FILE), &bytes).unwrap();
            let refused = check(dir.path(), Version(last)).is_err();
            let words: Vec<&[u8]> = bytes.trim_ascii().split(|byte| *byte == b' ').collect();
            let named = match words[..] {
                [one, other] if one == other => std::str::from_utf8(one).ok().and_then(|word| word.parse::<u64>().ok()),
                _ => None,
            };
            prop_assert_eq!(refused, named.is_some_and(|named| named > last));
        }

        #[test]
        fn a_flipped_bit_names_no_other_commit(commit: u64, short in 0..1_000_u64) {
            for commit in [commit, short] {
                for bit in 0..sound(commit).len() * 8 {
                    let mut bytes = sound(commit);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    let named = std::str::from_utf8(&bytes).ok().and_then(read);
                    prop_assert!(named.is_none_or(|named| named == commit), "bit {} of {}", bit, commit);
                }
            }
        }
    }

    #[test]
    fn it_is_written_at_first_rarely_then_and_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let marked = || read(&fs::read_to_string(dir.path().join(MARK_FILE)).unwrap());
        let mark = Mark::new(dir.path());
        let reach = |commit| {
            mark.written(Version(commit));
            mark.synced().unwrap();
        };
        reach(3);
        assert_eq!(marked(), Some(3));
        reach(4);
        assert_eq!(marked(), Some(3), "within the second");
        mark.written(Version(5));
        drop(mark);
        assert_eq!(marked(), Some(4), "what was not synced is not named");
        assert!(check(dir.path(), Version(4)).is_ok());
        let error = check(dir.path(), Version(3)).unwrap_err().to_string();
        assert!(error.contains("commit 3") && error.contains("commit 4"), "{error}");
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mark = Mark::new(&dir.path().join("gone"));
        assert!(mark.synced().is_err());
    }
}
