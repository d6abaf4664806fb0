//! The effective configuration, each value with its origin, secrets hidden.

use serde::Serialize;
use toml::{Table, Value};

use super::Loaded;
use super::layer::{Origin, leaves};

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
    let origin = match origin(loaded, &key) {
        Some(Origin::File) => "file".to_owned(),
        Some(Origin::Env(name)) => format!("env {name}"),
        None => "default".to_owned(),
    };
    Shown { key, value, origin }
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
