//! Whether this machine's clock can be right. Codes end, records expire and jobs are given up by it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use relaymesh_core::command::Finding;
use tokio::process::Command;
use tokio::time::timeout;

use super::{finding, ok};
use crate::config::Config;
use crate::render;

/// File systems and clocks may be that far apart.
const AHEAD_MAX: Duration = Duration::from_secs(5 * 60);
/// `timedatectl` only asks a service on this machine.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// What sets a clock, with and without the Internet.
const FIX: &str = "set the clock: timedatectl set-ntp true, or without the Internet: date -u -s \"YYYY-MM-DD HH:MM\"";

/// The clock cannot be earlier than what was written by it: the program, the keys, the records.
pub fn of_files(config: &Config, now: SystemTime) -> Finding {
    let dirs = [config.data_dir(), config.store_path()];
    let listed =
        dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten().map(|entry| entry.path());
    let paths = listed.chain(std::env::current_exe().ok());
    let dated = paths.filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)));
    judge_files(dated.max(), now)
}

fn judge_files(newest: Option<(SystemTime, PathBuf)>, now: SystemTime) -> Finding {
    let Some((at, path)) = newest else {
        return finding("clock", "unknown", "there is no file to compare it with", "");
    };
    match at.duration_since(now) {
        Ok(ahead) if ahead > AHEAD_MAX => {
            let ahead = render::span(u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX));
            let found =
                format!("{} was written {ahead} from now: the clock was set back, or was ahead", path.display());
            finding("clock", "error", found, FIX)
        }
        _ => ok("clock", "later than everything that was written here"),
    }
}

/// Whether the system keeps its clock right, as far as it tells.
pub async fn of_system() -> Finding {
    let mut command = Command::new("timedatectl");
    let command = command.args(["show", "--property=NTPSynchronized", "--value"]).kill_on_drop(true);
    let told = match timeout(ASK_TIMEOUT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => String::new(),
    };
    judge_system(&told)
}

fn judge_system(told: &str) -> Finding {
    match told {
        "yes" => ok("clock.sync", "the system keeps the clock right over the network"),
        "no" => finding("clock.sync", "warning", "nothing keeps the clock right", FIX),
        _ => finding("clock.sync", "unknown", "timedatectl does not tell whether something keeps the clock right", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_its_own_files_is_wrong() {
        let now = SystemTime::now();
        let level = |ahead: Duration| judge_files(Some((now + ahead, "/data/keyring".into())), now).level;
        assert_eq!(level(Duration::ZERO), "ok");
        assert_eq!(level(AHEAD_MAX), "ok", "file systems differ a little");
        assert_eq!(level(AHEAD_MAX + Duration::from_secs(1)), "error");
        let old = Some((now - Duration::from_hours(9_000), "/data/keyring".into()));
        assert_eq!(judge_files(old, now).level, "ok", "a node that slept");
        assert_eq!(judge_files(None, now).level, "unknown");
        let told = judge_files(Some((now + Duration::from_hours(50), "/data/keyring".into())), now);
        assert!(told.found.contains("/data/keyring") && told.found.contains("2d 2h"), "{told:?}");
        assert!(told.fix.contains("timedatectl"), "{told:?}");
    }

    #[test]
    fn a_system_that_does_not_tell_is_no_failure() {
        for (told, level) in [("yes", "ok"), ("no", "warning"), ("", "unknown"), ("n/a", "unknown")] {
            assert_eq!(judge_system(told).level, level, "{told:?}");
        }
    }
}
