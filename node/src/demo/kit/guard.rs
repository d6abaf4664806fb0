//! Ends a node when the process that started it is gone, however that ended: even SIGKILL closes a pipe.

use std::process::Stdio;

use tokio::process::{Child, Command};

/// Waits for the end of its input, then kills. Signals that a terminal sends to everybody do not hurry it.
const SCRIPT: &str = "trap '' HUP INT TERM; read -r _; kill -9 \"$1\"";

/// A guard. Dropping it lets the guarded process be.
pub struct Guard {
    _shell: Option<Child>,
}

impl Guard {
    /// Guards this process. Where no shell can be started there is no guard, which is no reason to tell no story.
    pub fn of(pid: u32) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "sh"]).arg(pid.to_string());
        // The pipe is held by this process alone, and nobody writes to it.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        Self { _shell: shell.spawn().ok() }
    }
}
