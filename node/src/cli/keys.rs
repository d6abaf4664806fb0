//! `keys passphrase`.

use std::path::{Path, PathBuf};

use relaymesh_seal::password::Cost;
use serde::Serialize;
use toml::Value;

use super::args::Global;
use super::exit::ExitError;
use super::{print, print_json};
use crate::config::{Config, Env, SecretAt};
use crate::init::{new_passphrase, seeded};
use crate::{socket, terminal};

#[derive(Serialize)]
struct Resealed<'a> {
    keyring: &'a Path,
    /// What `[keys]` in the configuration has to say from now on.
    keys: String,
    warnings: Vec<String>,
}

/// Seals the keyring under a new passphrase. A running node would go on writing to the old file, so none may run: its socket
/// is held meanwhile, which also keeps one from starting.
pub fn passphrase(global: &Global, file: Option<PathBuf>) -> Result<(), ExitError> {
    let config = Config::load(&global.config, &Env::of_process())?.config;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| ExitError::failed(format!("the system gives no resources ({e})"), "close other programs"))?;
    let held = runtime.block_on(socket::Listener::bind(&config.socket_path()));
    let _held = held.map_err(|e| ExitError::failed(e.to_string(), "stop the node, then run this again"))?;
    let (old, keyring) = config.open_keyring()?;
    let source = new_passphrase(&match &file {
        Some(file) => {
            let here = std::env::current_dir().unwrap_or_default();
            let read = SecretAt::File(file.clone()).resolve(&here, &Env::of_process());
            read.map_err(|e| ExitError::failed(format!("there is no passphrase: {e}"), "name a readable file"))?
        }
        None => terminal::ask_twice("new passphrase for the keyring: ")
            .map_err(|e| ExitError::failed(e.to_string(), "name --passphrase-file, or run it on a terminal"))?,
    })?;
    let path = config.keyring_path();
    let old = old.reseal(&path, &keyring, &source, Cost::KEY_FILE, &mut seeded()?).map_err(|e| {
        ExitError::failed(format!("{e}; nothing was changed"), "check the data directory, its owner and free space")
    })?;
    let mut warnings = Vec::new();
    if let Err(error) = old.destroy() {
        warnings
            .push(format!("the old keyring could not be overwritten ({error}); its blocks may still be on the disk"));
    }
    if let Some(file) = &config.keys.file {
        warnings.push(format!(
            "{} opens nothing here any more, but copies of the old keyring; remove both",
            file.display()
        ));
    }
    let keys = match &file {
        Some(file) => {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            format!("passphrase = {{ file = {} }}", Value::from(file.display().to_string()))
        }
        None => "prompt = true".to_owned(),
    };
    let done = Resealed { keyring: &path, keys, warnings };
    if global.json { print_json(global, &done) } else { print(&text(&done, &global.config)) }
}

fn text(done: &Resealed<'_>, config: &Path) -> String {
    let mut out = format!("{} opens with the new passphrase only\n", done.keyring.display());
    for warning in &done.warnings {
        out.push_str(&format!("warning: {warning}\n"));
    }
    let keys = &done.keys;
    out.push_str(&format!("next: in {}, let [keys] have this line and no other:\n  {keys}\n", config.display()));
    out
}
