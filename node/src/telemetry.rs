//! Logs of a running node, on standard error. Nothing that is logged holds a number, a text, a token or a key.

use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Starts logging at the configured level; an earlier start stays.
pub fn start(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    // A log on a full disk is not written. To say so on the same standard error would panic whoever logs.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let started = builder.with_writer(std::io::stderr).with_ansi(colour).try_init();
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
