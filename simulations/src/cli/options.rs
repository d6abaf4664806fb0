//! Arguments that several subcommands share.

use std::str::FromStr;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::scenario::{Scenario, find, load_from, parse_quantity};

/// Which scenario, with which other values.
#[derive(Args, Clone, Debug)]
pub struct ScenarioArgs {
    /// A scenario's name (`simulate list`), or the path of its file.
    pub scenario: String,
    /// Another value for a key of the scenario (`people.count=500`); may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The size for continuous integration: the scenario's own `[ci]` values.
    #[arg(long)]
    pub ci: bool,
}

impl ScenarioArgs {
    /// Reads it.
    ///
    /// # Errors
    /// When there is no such scenario, or it cannot be.
    pub fn load(&self) -> Result<Scenario> {
        self.load_with(&[])
    }

    /// Reads it with more overrides.
    ///
    /// # Errors
    /// When there is no such scenario, or it cannot be.
    pub fn load_with(&self, more: &[(String, String)]) -> Result<Scenario> {
        let sets = self.sets.iter().map(|set| split(set));
        let mut sets = sets.collect::<Result<Vec<_>>>()?;
        sets.extend(more.iter().map(|(key, value)| (key.clone(), value_of(value))));
        Ok(load_from(&find(&self.scenario)?, &sets, self.ci)?)
    }
}

fn split(set: &str) -> Result<(String, toml::Value)> {
    let (key, value) = set.split_once('=').with_context(|| format!("`{set}`: write KEY=VALUE"))?;
    Ok((key.trim().to_owned(), value_of(value.trim())))
}

/// A TOML value, or else the text itself: `93d` needs no quotes.
#[must_use]
pub fn value_of(text: &str) -> toml::Value {
    let table = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    // A date would be read where a length of time is meant.
    let value = table.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}

/// Part and parts, `0/4` to `3/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(pub u64, pub u64);

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("`{text}` is no shard; write for example 0/4, the first of four");
        let (part, parts) = text.split_once('/').ok_or_else(problem)?;
        let (part, parts) = (part.parse().map_err(|_| problem())?, parts.parse().map_err(|_| problem())?);
        if part < parts {
            Ok(Self(part, parts))
        } else {
            Err(format!("{}: the parts of {parts} are 0 to {}", problem(), parts.saturating_sub(1)))
        }
    }
}

/// A share or a number of percentage points, `0.5pp`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity(pub f64);

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = parse_quantity(text)?;
        if value > 0.0 && value < 1.0 { Ok(Self(value)) } else { Err(format!("`{text}` is not between 0pp and 100pp")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_need_no_quotes() {
        assert_eq!(value_of("500"), toml::Value::Integer(500));
        assert_eq!(value_of("93d"), toml::Value::String("93d".to_owned()));
        assert_eq!(value_of("\"93d\""), toml::Value::String("93d".to_owned()));
        assert_eq!(value_of("[\"a\", \"b\"]").as_array().map(Vec::len), Some(2));
        assert_eq!(value_of("1\nother = 2"), toml::Value::String("1\nother = 2".to_owned()), "no second key");
    }

    #[test]
    fn shards_count_from_zero() {
        assert_eq!("3/4".parse(), Ok(Shard(3, 4)));
        for text in ["4/4", "0/0", "1", "a/b", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert!("0.5pp".parse::<Quantity>().is_ok_and(|Quantity(value)| (value - 0.005).abs() < 1e-12));
        assert!("0pp".parse::<Quantity>().is_err() && "6h".parse::<Quantity>().is_err());
    }
}
