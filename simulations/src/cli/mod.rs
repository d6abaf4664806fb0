//! The command line: one file for each subcommand.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

pub mod calibrate;
pub mod crosscheck;

use anyhow::{Context as _, Result};

/// `KEY=VALUE` pairs; a value is TOML, or else the text itself: `93d` needs no quotes.
///
/// # Errors
/// When there is no `=`.
pub fn sets(texts: &[String]) -> Result<Vec<(String, toml::Value)>> {
    let one = |text: &String| {
        let (key, value) = text.split_once('=').with_context(|| format!("`{text}`: write KEY=VALUE"))?;
        Ok((key.to_owned(), value_of(value)))
    };
    texts.iter().map(one).collect()
}

fn value_of(text: &str) -> toml::Value {
    let table = toml::from_str::<toml::Table>(&format!("value = {text}")).ok();
    let value = table.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| toml::Value::String(text.to_owned()))
}
