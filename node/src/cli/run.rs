//! `run`: the configuration, the log, then the node.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::args::Global;
use super::exit::ExitError;
use crate::config::{Config, Env};

pub fn run(global: &Global) -> Result<(), ExitError> {
    let env = Env::of_process();
    let loaded = Config::load(&global.config, &env)?;
    let prepared = loaded.config.prepare()?;
    start_log(&loaded.config.log.level, &env)?;
    for warning in loaded.warnings(&prepared) {
        tracing::warn!("{warning}");
    }
    // The running node takes over here: `crate::driver::run(&loaded.config, prepared)`.
    Err(ExitError::failed("this build has no node in it", "build relaymesh with its driver"))
}

/// Logs go to standard error, in colour only on a terminal that wants it.
fn start_log(level: &str, env: &Env) -> Result<(), ExitError> {
    let filter = EnvFilter::try_new(level).map_err(|_| ExitError::config("log.level: is no level", "write info"))?;
    let plain = env.get("NO_COLOR").is_some_and(|set| !set.is_empty()) || env.get("TERM") == Some("dumb");
    let colour = !plain && std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr);
    log.try_init().map_err(|_| ExitError::failed("the log was started twice", "report this"))
}
