//! `config check` and `config show`.

use serde::Serialize;

use super::args::{ConfigCommand, Global};
use super::exit::ExitError;
use super::{note, print, print_bare, print_json};
use crate::config::{Config, Env, show};
use crate::render::table;

pub fn run(global: &Global, command: &ConfigCommand) -> Result<(), ExitError> {
    let loaded = Config::load(&global.config, &Env::of_process())?;
    match command {
        ConfigCommand::Check => check(global, &loaded),
        ConfigCommand::Show => show_all(global, &loaded),
    }
}

#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    config: &'a std::path::Path,
    peer_id: String,
    sms: Vec<&'a str>,
    warnings: Vec<String>,
}

fn check(global: &Global, loaded: &crate::config::Loaded) -> Result<(), ExitError> {
    let prepared = loaded.config.prepare()?;
    let warnings = loaded.warnings(&prepared);
    if global.json {
        let sms = prepared.sms.iter().map(|(_, port)| port.name()).collect();
        let peer_id = prepared.keyring.node_id().peer_id();
        return print_json(global, &Checked { ok: true, config: &loaded.path, peer_id, sms, warnings });
    }
    for warning in &warnings {
        note(&format!("warning: {warning}"));
    }
    print(&format!("{} is good\n", loaded.path.display()))
}

fn show_all(global: &Global, loaded: &crate::config::Loaded) -> Result<(), ExitError> {
    let rows = show::rows(loaded);
    if global.json {
        return print_bare(&rows);
    }
    let cells = rows.iter().map(|row| vec![row.key.clone(), row.value.clone(), row.origin.clone()]).collect();
    print(&table(&["KEY", "VALUE", "FROM"], cells))
}
