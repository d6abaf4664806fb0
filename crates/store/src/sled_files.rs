//! The directory of a sled store: made whole or not at all, marked with a format number, opened
//! by one process at a time, and repaired in the two ways that are known to be safe.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    engine::{CacheTrust, Engine, Opener},
    error::OpenError,
    limits::{DATA_FORMAT, LOCK_WAIT, SLED_FLUSH_MS},
    mark::{self, Mark},
    sled_engine::SledEngine,
};

const FORMAT_FILE: &str = "FORMAT";
const FORMAT_WORD: &str = "relaymesh-store";
const DATA_FILE: &str = "db";
const LOCK_POLL: Duration = Duration::from_millis(25);

/// Opens the store in one directory.
pub(crate) struct SledOpener {
    pub path: PathBuf,
    pub cache_bytes: u64,
    /// Whether a store may be made: one that was open and is gone is no new one.
    pub may_create: bool,
}

impl Opener for SledOpener {
    fn open(&mut self, cache: CacheTrust) -> Result<Arc<dyn Engine>, OpenError> {
        if is_missing(&self.path)? {
            if !self.may_create {
                return Err(OpenError::Missing { path: self.path.clone() });
            }
            self.create()?;
        }
        check_format(&self.path)?;
        if cache == CacheTrust::InDoubt {
            rewrite_data_file(&self.path)?;
        }
        let db = self.open_repairing()?;
        remove_debris(&self.path);
        let file = self.path.join(DATA_FILE);
        let file = File::open(&file).map_err(io_error("open", &file))?;
        let engine = SledEngine { db, file, mark: Mark::new(&self.path) };
        let meta = engine.meta().map_err(|error| OpenError::Corrupt {
            path: self.path.clone(),
            detail: format!("its numbers cannot be read ({error})"),
        })?;
        mark::check(&self.path, meta.last)?;
        engine.mark.written(meta.last);
        self.may_create = false;
        Ok(Arc::new(engine))
    }
}

impl SledOpener {
    /// Makes the store under another name, so that a kill in between leaves no half store.
    fn create(&self) -> Result<(), OpenError> {
        let parent = parent_of(&self.path);
        fs::create_dir_all(&parent).map_err(io_error("create", &parent))?;
        let draft = parent.join(format!("{}{}", draft_prefix(&self.path), std::process::id()));
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(io_error("remove", &draft))?;
        }
        create_private_dir(&draft).map_err(io_error("create", &draft))?;
        let db = self.open_sled(&draft)?;
        db.flush().map_err(|e| sled_error(e, &draft))?;
        drop(db);
        write_format(&draft.join(FORMAT_FILE))?;
        sync_all_below(&draft)?;
        match fs::rename(&draft, &self.path) {
            Ok(()) => sync_path(&parent),
            // Somebody else was faster; theirs is opened next.
            Err(_) if !is_missing(&self.path)? => Ok(()),
            Err(source) => Err(io_error("create", &self.path)(source)),
        }
    }

    /// A kill while sled writes a snapshot leaves `snap.*.generating`, which it then takes for
    /// the newest snapshot. The log itself is complete, so the leftover can go.
    fn open_repairing(&self) -> Result<sled::Db, OpenError> {
        match self.open_waiting() {
            Err(OpenError::Corrupt { path, detail }) => {
                if remove_half_snapshots(&self.path)? == 0 {
                    return Err(OpenError::Corrupt { path, detail });
                }
                tracing::warn!("removed an unfinished snapshot of the store and open it again");
                self.open_waiting()
            }
            other => other,
        }
    }

    /// The lock of a process that was just killed may outlive it for a moment.
    fn open_waiting(&self) -> Result<sled::Db, OpenError> {
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match self.open_sled(&self.path) {
                Err(OpenError::InUse { .. }) if Instant::now() < deadline => {
                    thread::sleep(LOCK_POLL);
                }
                other => return other,
            }
        }
    }

    /// sled panics on some kinds of damage; that is damage too.
    fn open_sled(&self, path: &Path) -> Result<sled::Db, OpenError> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(self.cache_bytes)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(Some(SLED_FLUSH_MS))
            .use_compression(false);
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(opened) => opened.map_err(|e| sled_error(e, path)),
            Err(_) => {
                Err(OpenError::Corrupt { path: path.to_owned(), detail: "the engine gave up while reading it".into() })
            }
        }
    }
}

fn sled_error(error: sled::Error, path: &Path) -> OpenError {
    let path = path.to_owned();
    match error {
        sled::Error::Io(source) if source.to_string().contains("could not acquire lock") => OpenError::InUse { path },
        sled::Error::Io(source) => OpenError::Io { action: "open the store at", path, source },
        other => OpenError::Corrupt { path, detail: other.to_string() },
    }
}

/// True if there is nothing at the path, or an empty directory.
fn is_missing(path: &Path) -> Result<bool, OpenError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(io_error("read", path)(source)),
    }
}

fn check_format(path: &Path) -> Result<(), OpenError> {
    let file = path.join(FORMAT_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NotAStore { path: path.to_owned() });
        }
        // Damaged beyond being text.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(source) => return Err(io_error("read", &file)(source)),
    };
    let number = text.trim().strip_prefix(FORMAT_WORD).map(str::trim);
    // The first format was 1: a 0 is damage.
    let Some(found) = number.and_then(|number| number.parse::<u32>().ok()).filter(|found| *found > 0) else {
        return Err(OpenError::NotAStore { path: path.to_owned() });
    };
    let path = path.to_owned();
    if found > DATA_FORMAT {
        return Err(OpenError::NewerFormat { path, found, supported: DATA_FORMAT });
    }
    // sled would quietly start an empty one.
    if !path.join(DATA_FILE).exists() {
        return Err(OpenError::Corrupt { path, detail: "its data file is missing".into() });
    }
    Ok(())
}

fn write_format(file: &Path) -> Result<(), OpenError> {
    let write = || {
        let mut out = File::create(file)?;
        writeln!(out, "{FORMAT_WORD} {DATA_FORMAT}")?;
        out.sync_all()
    };
    write().map_err(io_error("write", file))
}

/// After a failed fsync the kernel may show pages that never reached the disk. Reading all of
/// them into a new file and syncing that one leaves nothing to believe.
fn rewrite_data_file(path: &Path) -> Result<(), OpenError> {
    let (old, new) = (path.join(DATA_FILE), path.join("db.rewrite"));
    let rewrite = || {
        let mut source = File::open(&old)?;
        source.try_lock()?;
        let mut target = File::create(&new)?;
        io::copy(&mut source, &mut target)?;
        target.sync_all()?;
        fs::rename(&new, &old)?;
        File::open(path)?.sync_all()
    };
    rewrite().map_err(|error| {
        if let Err(left) = fs::remove_file(&new)
            && left.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%left, "cannot remove the unfinished copy of the store's data file");
        }
        io_error("rewrite", &old)(error)
    })
}

fn remove_half_snapshots(path: &Path) -> Result<usize, OpenError> {
    let entries = fs::read_dir(path).map_err(io_error("read", path))?;
    let mut removed = 0;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Drafts of creations that were killed. We hold the store's lock, so none can still win.
fn remove_debris(path: &Path) {
    let prefix = draft_prefix(path);
    let Ok(entries) = fs::read_dir(parent_of(path)) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, "cannot remove the draft of a store that was never finished");
        }
    }
}

fn draft_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.creating-")
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// sled itself syncs only its data file. Its `conf` is written once, here: torn by a power loss, it would make a store
/// that has acknowledged much unreadable.
fn sync_all_below(dir: &Path) -> Result<(), OpenError> {
    for entry in fs::read_dir(dir).map_err(io_error("read", dir))? {
        let entry = entry.map_err(io_error("read", dir))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync_all_below(&entry.path())?;
        } else {
            sync_path(&entry.path())?;
        }
    }
    sync_path(dir)
}

fn sync_path(path: &Path) -> Result<(), OpenError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_error("sync", path))
}

#[cfg(unix)]
fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_say_a_known_format_or_are_refused(bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "relaymesh-store[ \n\t]{0,2}[0-9+-]{0,11}\n?".prop_map(String::into_bytes),
            "(relaymesh-store ?){0,2}[01]{0,2}[ -~]{0,3}".prop_map(String::into_bytes),
        ]) {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(FORMAT_FILE), &bytes).unwrap();
            fs::write(dir.path().join(DATA_FILE), "").unwrap();
            let number = bytes.trim_ascii().strip_prefix(FORMAT_WORD.as_bytes()).map(<[u8]>::trim_ascii);
            let number = number.and_then(|word| std::str::from_utf8(word).ok()).and_then(|word| word.parse::<u32>().ok());
            match (number, check_format(dir.path())) {
                (Some(1..=DATA_FORMAT), told) => prop_assert!(told.is_ok(), "{told:?}"),
                (None | Some(0), Err(OpenError::NotAStore { .. })) => {}
                (Some(number), Err(OpenError::NewerFormat { found, supported, .. })) => {
                    prop_assert_eq!((found, supported), (number, DATA_FORMAT));
                }
                (number, told) => prop_assert!(false, "{number:?}: {told:?}"),
            }
        }
    }
}
