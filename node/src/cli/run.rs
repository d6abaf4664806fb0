//! `run`, and the commands that bring nodes of their own: `demo` and `bench`.

use super::args::{Global, RunArgs};
use super::exit::ExitError;
use crate::config::{Config, Env};
use crate::telemetry;

/// Runs the node until it is told to end.
pub fn run(global: &Global, args: &RunArgs) -> Result<(), ExitError> {
    let mut loaded = Config::load(&global.config, &Env::of_process())?;
    loaded.config.new_store = args.new_store;
    let prepared = loaded.config.prepare()?;
    telemetry::start(&loaded.config.log);
    let warnings = loaded.warnings(&prepared);
    crate::driver::run(&loaded.config, prepared, &warnings)
}

/// Several nodes on this machine, and a story to watch.
pub fn demo(global: &Global, mut args: crate::demo::DemoArgs) -> Result<(), ExitError> {
    args.json |= global.json;
    runtime()?
        .block_on(crate::demo::run(args))
        .map_err(|e| ExitError::failed(e.to_string(), "run it again with --keep and look into its directory"))
}

fn runtime() -> Result<tokio::runtime::Runtime, ExitError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| ExitError::failed(format!("the system gives no resources ({e})"), "close other programs"))
}

/// `bench`: measures this machine against the budgets.
///
/// # Errors
/// When a row could not be measured, or standard output cannot be written.
pub fn bench(global: &Global, mut args: crate::bench::BenchArgs) -> Result<(), ExitError> {
    args.json |= global.json;
    runtime()?.block_on(crate::bench::run(args)).map_err(|e| ExitError::failed(e.to_string(), e.help()))
}
