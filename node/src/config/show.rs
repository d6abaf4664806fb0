//! The effective configuration, each value with its origin, secrets hidden.

use serde::Serialize;
use toml::{Table, Value};

use super::Loaded;
use super::layer::{Origin, leaves};
use super::sections::Role;

/// The one setting whose effect depends on others.
const ROLES: &str = "node.roles";

/// One effective value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Dotted.
    pub key: String,
    /// As TOML; secrets as where they are, or `(hidden)`.
    pub value: String,
    /// `default`, `file` or `env NAME`.
    pub origin: String,
}

/// All effective values in order of key.
pub fn rows(loaded: &Loaded) -> Vec<Shown> {
    let table = Table::try_from(&loaded.config).expect("every section has a form in TOML");
    let mut keys = leaves(&table);
    keys.sort_unstable();
    let mut shown: Vec<Shown> = keys.iter().map(|key| row(loaded, &table, key)).collect();
    // A secret is shown as one value, not as the table it is written as.
    shown.dedup_by(|a, b| a.key == b.key);
    shown
}

fn row(loaded: &Loaded, table: &Table, key: &str) -> Shown {
    let value = find(table, key);
    let (key, value) = match key.strip_suffix(".(hidden)") {
        Some(short) => (short.to_owned(), "(hidden)".to_owned()),
        None => (key.to_owned(), value.map_or_else(String::new, ToString::to_string)),
    };
    let from = match origin(loaded, &key) {
        Some(Origin::File) => "file".to_owned(),
        Some(Origin::Env(name)) => format!("env {name}"),
        None => "default".to_owned(),
    };
    if key == ROLES {
        return roles(loaded, from);
    }
    Shown { key, value, origin: from }
}

/// What the node does with these settings, in the words of `node list`; and why that is not what is written.
fn roles(loaded: &Loaded, mut origin: String) -> Shown {
    let written = &loaded.config.node.roles;
    let served = loaded.config.roles();
    if written.contains(&Role::Relay) && !served.relay {
        origin.push_str(match loaded.config.mesh.relay_server {
            Some(_) => "; relay is off by mesh.relay_server",
            None => "; relay needs mesh.external",
        });
    }
    if !written.contains(&Role::Bridge) && served.bridge {
        origin.push_str("; bridge by [bridge]");
    }
    Shown { key: ROLES.to_owned(), value: Value::from(served.names()).to_string(), origin }
}

fn origin<'a>(loaded: &'a Loaded, key: &str) -> Option<&'a Origin> {
    loaded.origins.get(key).or_else(|| loaded.origins.get(key.rsplit_once('.')?.0))
}

fn find<'a>(table: &'a Table, dotted: &str) -> Option<&'a Value> {
    let (first, rest) = match dotted.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (dotted, None),
    };
    match (table.get(first)?, rest) {
        (value, None) => Some(value),
        (Value::Table(inner), Some(rest)) => find(inner, rest),
        _ => None,
    }
}
