//! The configuration file and, after a NUL, one variable of the environment, `RELAYMESH_SECTION__KEY=value`. What is read can
//! be shown, and nothing but its values decides whether it is accepted; what is refused is told in one line.

#![no_main]

// The binary is no library: this is its source.
#[path = "../../node/src/config/mod.rs"]
#[allow(dead_code, unused_imports)]
mod config;
#[path = "../../node/src/terminal.rs"]
#[allow(dead_code)]
mod terminal;

use std::path::Path;

use config::{Config, ConfigError, Env, show};
use libfuzzer_sys::fuzz_target;
use relaymesh_protocol::ids::MeshId;

fuzz_target!(|text: &str| {
    let (file, variable) = text.split_once('\0').unwrap_or((text, ""));
    let env = variable.split_once('=').map_or_else(Env::default, |(name, value)| Env::from([(name, value)]));
    let loaded = match Config::parse(Path::new("/etc/relaymesh.toml"), file, &env) {
        Ok(loaded) => loaded,
        Err(error) => return told(&error),
    };
    let rows = show::rows(&loaded);
    assert!(rows.iter().any(|row| row.key == "listen.http"), "all settings are shown");
    match loaded.config.values() {
        Ok(_) => drop(loaded.config.to_core(MeshId([0; 16]))),
        Err(error) => told(&error),
    }
});

fn told(error: &ConfigError) {
    let told = format!("{error}; {}", error.help);
    assert!(!told.contains(char::is_control), "one line, and nothing that a terminal obeys: {told:?}");
}
