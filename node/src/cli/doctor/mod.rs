//! `doctor`: what is wrong with this machine, the configuration and the running node, and the command that mends it.
//!
//! Each file finds one kind of trouble. What can only be known from outside, such as whether a name resolves, is `unknown`
//! where nobody answers: a node in a cut-off region is healthy.

mod certificate;
mod clock;
mod disk;
mod names;
mod reach;

use std::time::SystemTime;

use relaymesh_core::command::{Finding, OperatorCommand, OperatorReply};

use super::args::Global;
use super::ask::{ask_node, strange};
use super::exit::{ExitError, Kind};
use super::{print, print_bare};
use crate::config::{Config, ConfigError, Env, Loaded};
use crate::render;

/// The node's own findings after those that need no node; exit 5 when one is an error.
pub fn run(global: &Global) -> Result<(), ExitError> {
    let loaded = Config::load(&global.config, &Env::of_process())?;
    let node = match ask_node(global, &loaded.config, OperatorCommand::Doctor) {
        Ok(OperatorReply::Doctor(found)) => Ok(found),
        Ok(_) => return Err(strange()),
        Err(error) => Err(error),
    };
    let mut all = of_config(&loaded, node.is_ok());
    all.extend(of_machine(&loaded.config));
    match node {
        Ok(found) => all.extend(found),
        Err(error) => all.push(finding("node", "error", error.what, error.help)),
    }
    // A list in JSON too: a finding explains itself.
    if global.json { print_bare(&all) } else { print(&render::findings(&all)) }?;
    let errors = all.iter().filter(|finding| finding.level == "error").count();
    match errors {
        0 => Ok(()),
        1 => Err(ExitError::new(Kind::Unhealthy, "1 check failed", "do what stands beside it")),
        more => Err(ExitError::new(Kind::Unhealthy, format!("{more} checks failed"), "do what stands beside them")),
    }
}

fn finding(check: &str, level: &str, found: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding::new(check, level, found, fix)
}

fn ok(check: &str, found: impl Into<String>) -> Finding {
    finding(check, "ok", found, "")
}

/// An error of the configuration. Some say what to do in the same breath.
fn of_error(check: &str, error: &ConfigError) -> Finding {
    let told = error.to_string();
    let (found, fix) = match told.split_once("; ") {
        Some(both) if error.help.is_empty() => both,
        _ => (told.as_str(), error.help.as_str()),
    };
    finding(check, "error", found, fix)
}

/// What can be seen from here, without the node.
fn of_machine(config: &Config) -> Vec<Finding> {
    let now = SystemTime::now();
    let mut all = disk::findings(&config.data_dir(), &config.store_path());
    all.push(clock::of_files(config, now));
    all.extend(certificate::findings(config, now));
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return all };
    all.extend(runtime.block_on(async {
        let (clock, names, services) =
            tokio::join!(clock::of_system(), names::findings(config.host_names()), reach::findings(config));
        std::iter::once(clock).chain(names).chain(services).collect::<Vec<_>>()
    }));
    // A look-up that nobody answers goes on in a thread of its own, and is not waited for.
    runtime.shutdown_background();
    all
}

/// Whether the next `run` would take the configuration. A key that only systemd or a person can give is in the hands of the
/// running node, which is proof enough.
fn of_config(loaded: &Loaded, runs: bool) -> Vec<Finding> {
    let good = || ok("config", format!("{} is good", loaded.path.display()));
    match loaded.config.prepare() {
        Ok(prepared) => {
            let warnings = loaded.warnings(&prepared);
            let warnings = warnings.iter().map(|warning| {
                let (found, fix) = warning.split_once("; ").unwrap_or((warning, ""));
                finding("config", "warning", found, fix)
            });
            std::iter::once(good()).chain(warnings).collect()
        }
        Err(error) if error.is_about_access() && runs => {
            vec![good(), ok("keys", "open in the running node")]
        }
        Err(error) => vec![finding("config", "error", error.to_string(), error.help)],
    }
}
