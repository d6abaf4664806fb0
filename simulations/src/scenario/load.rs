//! Reading scenario files: `extends` is laid under, overrides over, then everything is checked.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml::{Table, Value};

use super::{Scenario, imports};

/// Files that extend each other deeper than this are a mistake.
const DEPTH_MAX: usize = 8;

/// Reads a scenario file, with what it extends, and overrides (`people.count` → value) over it.
///
/// # Errors
/// When a file cannot be read or is no scenario.
pub fn load(path: &Path, overrides: &[(String, Value)]) -> Result<Scenario> {
    let mut table = read(path, 0)?;
    for (key, value) in overrides {
        set(&mut table, key, value.clone())?;
    }
    let mut scenario: Scenario = Table::try_into(table).with_context(|| format!("{}", path.display()))?;
    imports::expand(&mut scenario, path.parent().unwrap_or(Path::new("")))?;
    Ok(scenario)
}

fn read(path: &Path, depth: usize) -> Result<Table> {
    if depth > DEPTH_MAX {
        bail!("{}: scenarios extend each other in a circle", path.display());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut table: Table = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
    let Some(base) = table.remove("extends") else { return Ok(table) };
    let base = base.as_str().context("`extends` is the name of a file")?.to_owned();
    let under = read(&path.with_file_name(base), depth + 1)?;
    Ok(merge(under, table))
}

/// Tables are merged, everything else is replaced.
fn merge(mut under: Table, over: Table) -> Table {
    for (key, value) in over {
        match (under.remove(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => under.insert(key, Value::Table(merge(below, above))),
            (_, value) => under.insert(key, value),
        };
    }
    under
}

/// Sets `a.b.0.c` to a value.
fn set(table: &mut Table, key: &str, value: Value) -> Result<()> {
    let mut parts = key.split('.').peekable();
    let first = parts.next().context("an empty key")?;
    let mut place = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
    for part in parts {
        place = match place {
            Value::Table(inner) => inner.entry(part).or_insert_with(|| Value::Table(Table::new())),
            Value::Array(inner) => {
                let at: usize = part.parse().with_context(|| format!("`{key}`: `{part}` is no place of a list"))?;
                inner.get_mut(at).with_context(|| format!("`{key}`: the list has no place {at}"))?
            }
            _ => bail!("`{key}`: `{part}` lies within a plain value"),
        };
    }
    *place = value;
    Ok(())
}
