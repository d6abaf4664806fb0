//! What the file system must offer before a node starts.

use std::fs;
use std::path::Path;

use relaymesh_store::DATA_FORMAT;

use super::error::{ConfigError, Place};

/// File in which the store notes its data format, as `relaymesh-store N`.
const FORMAT_FILE: &str = "FORMAT";

fn wrong(path: &Path, what: impl Into<String>, help: impl Into<String>) -> ConfigError {
    ConfigError::new(Place::File(path.to_owned()), what, help)
}

/// The directory is there, and files can be made in it.
pub fn check_dir(path: &Path) -> Result<(), ConfigError> {
    let meta = fs::metadata(path).map_err(|e| {
        wrong(
            path,
            format!("the data directory cannot be used ({e})"),
            "run: relaymesh init --dir DIR, or correct store.path",
        )
    })?;
    if !meta.is_dir() {
        return Err(wrong(path, "is not a directory", "correct store.path"));
    }
    tempfile::tempfile_in(path).map(drop).map_err(|e| {
        wrong(path, format!("nothing can be written there ({e})"), "check owner, permissions and free space")
    })
}

/// The file can be appended to, or made.
pub fn check_appendable(path: &Path) -> Result<(), ConfigError> {
    let failed = |e: std::io::Error| {
        wrong(path, format!("cannot be written ({e})"), "check the path, its owner and permissions")
    };
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(wrong(path, "is a directory", "name a file in it")),
        Ok(_) => fs::OpenOptions::new().append(true).open(path).map(drop).map_err(failed),
        Err(_) => tempfile::tempfile_in(path.parent().unwrap_or(Path::new("."))).map(drop).map_err(failed),
    }
}

/// The store is there, unless it `may_be_new`, and not of a newer release. Opening it would take its lock from a running node.
///
/// A node that began with an empty store in place of one that is lost or not mounted would tell people that they have no
/// account, and would publish again what it had published.
pub fn check_store(path: &Path, may_be_new: bool) -> Result<(), ConfigError> {
    let Ok(text) = fs::read_to_string(path.join(FORMAT_FILE)) else {
        let empty = fs::read_dir(path)
            .map_or_else(|error| error.kind() == std::io::ErrorKind::NotFound, |mut entries| entries.next().is_none());
        if !empty || may_be_new {
            return Ok(());
        }
        return Err(wrong(
            path,
            "the store is missing",
            "mount its disk or restore it from a backup; to begin without anybody's data under the same keys: relaymesh run --new-store",
        ));
    };
    match text.split_whitespace().last().map(str::parse::<u32>) {
        Some(Ok(found)) if found > DATA_FORMAT => Err(wrong(
            path,
            format!("has data format {found}, this program reads up to {DATA_FORMAT}"),
            "install a newer version of relaymesh",
        )),
        _ => Ok(()),
    }
}

/// Whether two existing paths lie on one file system; unknown counts as no.
#[cfg(unix)]
pub fn on_one_disk(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    matches!((fs::metadata(a), fs::metadata(b)), (Ok(a), Ok(b)) if a.dev() == b.dev())
}

/// Whether two existing paths lie on one file system; unknown counts as no.
#[cfg(not(unix))]
pub fn on_one_disk(_: &Path, _: &Path) -> bool {
    false
}

/// Whether group or others may enter the directory.
#[cfg(unix)]
pub fn is_open_dir(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

/// Whether group or others may enter the directory.
#[cfg(not(unix))]
pub fn is_open_dir(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_a_newer_release_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FORMAT_FILE), format!("relaymesh-store {DATA_FORMAT}\n")).unwrap();
        assert_eq!(check_store(dir.path(), false), Ok(()));
        fs::write(dir.path().join(FORMAT_FILE), format!("relaymesh-store {}\n", DATA_FORMAT + 1)).unwrap();
        let told = check_store(dir.path(), true).unwrap_err();
        assert!(told.what.contains("data format") && told.help.contains("newer version"), "{told}");
    }

    #[test]
    fn a_missing_store_is_made_only_where_that_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path(), &dir.path().join("store")] {
            assert_eq!(check_store(path, true), Ok(()));
            let told = check_store(path, false).unwrap_err();
            assert!(told.what.contains("missing") && told.help.contains("--new-store"), "{told}");
        }
        // Whatever this is, it is not empty; the store says what is wrong with it.
        fs::write(dir.path().join("letter"), "").unwrap();
        assert_eq!(check_store(dir.path(), false), Ok(()));
    }

    #[test]
    fn directories_are_told_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "").unwrap();
        assert!(check_dir(dir.path()).is_ok());
        assert!(check_dir(&file).is_err() && check_dir(&dir.path().join("none")).is_err());
        assert!(check_appendable(&file).is_ok() && check_appendable(&dir.path().join("new")).is_ok());
        assert!(check_appendable(dir.path()).is_err() && check_appendable(Path::new("/nowhere/at/all")).is_err());
    }
}
