//! Whether the data have room, can be written, and belong to one user.

use std::path::{Path, PathBuf};

use relaymesh_core::command::Finding;

use super::{finding, of_error, ok};
use crate::config::disk::check_dir;
use crate::driver::budget::trouble;

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;
/// A store that compacts itself needs some room: with less than this it stops taking messages soon.
const LEFT_MIN: u64 = 64 * MIB;
/// With less than this, or less than a tenth of a small disk, somebody should look.
const LEFT_LOW: u64 = 1024 * MIB;
/// The same for files.
const FILES_LOW: u64 = 1_000;

/// What a file system has left for this user.
#[derive(Clone, Copy, Debug)]
struct Space {
    total: u64,
    left: u64,
    files_total: u64,
    files_left: u64,
}

/// Room, writing and owners of the data directory.
pub fn findings(data: &Path, store: &Path) -> Vec<Finding> {
    let written = match check_dir(data) {
        Ok(()) => ok("disk.write", format!("{} can be written", data.display())),
        Err(error) => of_error("disk.write", &error),
    };
    vec![space(data), written, owners(data, store), budget(data)]
}

/// Whether the node knows what it spent on SMS.
fn budget(data: &Path) -> Finding {
    let found = match trouble(data) {
        None => ok("sms.budget", "what was spent on SMS today is known"),
        Some((path, why)) => {
            let path = path.display();
            let what =
                format!("{path}: {why}; for the rest of that day (UTC) only one-time codes and tokens leave by SMS");
            finding("sms.budget", "warning", what, format!("check the disk, then: rm {path}"))
        }
    };
    Finding { expected: "a record of what was spent on SMS today, where any was".to_owned(), ..found }
}

fn space(data: &Path) -> Finding {
    match rustix::fs::statvfs(data) {
        Ok(stat) => {
            let space = Space {
                total: stat.f_blocks.saturating_mul(stat.f_frsize),
                left: stat.f_bavail.saturating_mul(stat.f_frsize),
                files_total: stat.f_files,
                files_left: stat.f_favail,
            };
            judge(data, space)
        }
        Err(error) => finding("disk.space", "unknown", format!("{}: {error}", data.display()), ""),
    }
}

fn judge(data: &Path, space: Space) -> Finding {
    let (data, low) = (data.display(), LEFT_LOW.min(space.total / 10));
    // File systems that make room for files as they go count none.
    let files_low = space.files_total > 0 && space.files_left < FILES_LOW;
    let level = match space {
        Space { left, .. } if left < LEFT_MIN => "error",
        Space { files_left: 0, .. } if files_low => "error",
        Space { left, .. } if left < low || files_low => "warning",
        _ => return ok("disk.space", format!("{} MiB are free below {data}", space.left / MIB)),
    };
    let found = if files_low {
        format!("the disk below {data} has room for {} more files only", space.files_left)
    } else {
        format!("only {} of {} MiB are free below {data}", space.left / MIB, space.total / MIB)
    };
    let fix =
        format!("free some, or set store.path on a larger disk; see what is large: du -xh {data} | sort -h | tail");
    finding("disk.space", level, found, fix)
}

/// A command that was once run as another user leaves files that the node cannot open.
#[cfg(unix)]
fn owners(data: &Path, store: &Path) -> Finding {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(meta) = std::fs::metadata(data) else {
        return finding("disk.owner", "unknown", format!("{} cannot be looked into", data.display()), "");
    };
    let entries = [data, store].into_iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let owned = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.uid())));
    judge_owners(data, meta.uid(), owned)
}

/// Other systems have no such owners.
#[cfg(not(unix))]
fn owners(data: &Path, _: &Path) -> Finding {
    finding("disk.owner", "unknown", format!("the owner of {} cannot be told", data.display()), "")
}

fn judge_owners(data: &Path, owner: u32, files: impl Iterator<Item = (PathBuf, u32)>) -> Finding {
    let mut foreign: Vec<(PathBuf, u32)> = files.filter(|(_, user)| *user != owner).collect();
    foreign.sort();
    let data = data.display();
    let Some((first, user)) = foreign.first() else {
        return ok("disk.owner", format!("everything in {data} belongs to one user"));
    };
    let first = first.display();
    let found = format!("{} files in {data} belong to another user, such as {first} (to {user})", foreign.len());
    finding("disk.owner", "warning", found, format!("run: chown -R {owner} {data}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * MIB;

    fn level(total: u64, left: u64, files: (u64, u64)) -> String {
        let found = judge(Path::new("/data"), Space { total, left, files_total: files.0, files_left: files.1 });
        assert_eq!(found.level == "ok", found.fix.is_empty(), "{found:?}");
        assert!(found.found.contains("/data"), "{found:?}");
        found.level
    }

    #[test]
    fn little_room_is_a_warning_and_none_an_error() {
        let files = (100_000, 90_000);
        for (total, left, expected) in [
            (4_000 * GIB, 2 * GIB, "ok"),
            (4_000 * GIB, GIB - MIB, "warning"),
            (2 * GIB, 300 * MIB, "ok"),
            (2 * GIB, 150 * MIB, "warning"),
            (4_000 * GIB, 63 * MIB, "error"),
            (GIB, 0, "error"),
        ] {
            assert_eq!(level(total, left, files), expected, "{left} of {total}");
        }
    }

    #[test]
    fn files_can_run_out_too_where_they_are_counted() {
        for (files, expected) in [((100_000, 999), "warning"), ((100_000, 0), "error"), ((0, 0), "ok")] {
            assert_eq!(level(100 * GIB, 50 * GIB, files), expected, "{files:?}");
        }
    }

    #[test]
    fn files_of_another_user_are_told_with_the_command() {
        let files = |user| [("/data/keyring", 7), ("/data/store/db", user)].map(|(path, user)| (path.into(), user));
        assert_eq!(judge_owners(Path::new("/data"), 7, files(7).into_iter()).level, "ok");
        let found = judge_owners(Path::new("/data"), 7, files(0).into_iter());
        assert_eq!((found.level.as_str(), found.fix.as_str()), ("warning", "run: chown -R 7 /data"));
        assert!(found.found.contains("/data/store/db"), "{found:?}");
    }

    #[test]
    fn this_machine_has_a_disk_and_a_missing_directory_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let level = |all: &[Finding], check: &str| all.iter().find(|one| one.check == check).unwrap().level.clone();
        let all = findings(dir.path(), &dir.path().join("store"));
        assert_eq!((level(&all, "disk.write"), level(&all, "disk.owner")), ("ok".to_owned(), "ok".to_owned()));
        assert_ne!(level(&all, "disk.space"), "unknown");
        assert_eq!(level(&all, "sms.budget"), "ok");
        std::fs::write(dir.path().join("sms-spent.json"), "{").unwrap();
        let told = budget(dir.path());
        assert!(
            told.level == "warning" && told.fix.contains("sms-spent.json") && !told.expected.is_empty(),
            "{told:?}"
        );
        let gone = dir.path().join("gone");
        let all = findings(&gone, &gone.join("store"));
        assert_eq!((level(&all, "disk.write"), level(&all, "disk.space")), ("error".to_owned(), "unknown".to_owned()));
    }
}
