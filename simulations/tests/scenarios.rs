//! The named scenarios: each reads, says where each of its numbers is from, and runs at the size of continuous integration.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::PathBuf;

use relaymesh_simulations::outcome::System;
use relaymesh_simulations::run::world;
use relaymesh_simulations::scenario::{Scenario, load};
use relaymesh_simulations::world::Bootstrap;
use toml::{Table, Value};

/// The scenarios of the study; any of them that is missing is noticed.
const NAMED: [&str; 19] = [
    "asn-cut",
    "calm-30d",
    "cameroon-2017",
    "cameroon-2017-240d",
    "decapitate",
    "election-5d",
    "exam-curfew",
    "flash-crowd",
    "gateway-hunt",
    "phones-only",
    "seize-30",
    "slow-squeeze",
    "sms-dark",
    "sms-dark-133d",
    "sms-rough",
    "soak-year",
    "split-heal",
    "sybil-eclipse",
    "throttle-2g",
];
/// `RELAYMESH_SCENARIOS=ci` runs all of the size of continuous integration; otherwise each runs for its first day only.
const SIZE: &str = "RELAYMESH_SCENARIOS";
/// Keys under which numbers need no source: they are none of the world's.
const FREE: [&str; 6] = ["sources", "expect", "ci", "name", "summary", "summary_fr"];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.toml"))
}

fn own_table(name: &str) -> Table {
    toml::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

/// A scenario with its overrides for continuous integration.
fn ci(name: &str) -> Scenario {
    let ci = load(&path(name), &[]).unwrap().ci;
    let mut sets: Vec<(String, Value)> = ci.into_iter().collect();
    if std::env::var(SIZE).is_err() {
        for (key, value) in [("duration", "26h"), ("warmup", "1h"), ("drain", "1h")] {
            sets.push((key.to_owned(), Value::String(value.to_owned())));
        }
        // In one day somebody should write.
        sets.push(("people.count".to_owned(), Value::Integer(20)));
        sets.push(("people.daily_online".to_owned(), Value::Float(2.0)));
    }
    load(&path(name), &sets).unwrap()
}

/// Whether a text is a quantity: it begins with a digit.
fn is_number(value: &Value) -> bool {
    match value {
        Value::Integer(_) | Value::Float(_) => true,
        Value::String(text) => text.starts_with(|c: char| c.is_ascii_digit()),
        _ => false,
    }
}

/// The keys of all numbers below a value; places in lists of named things are left out, those of faults are not.
fn numbers(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            for (name, inner) in table.iter().filter(|(name, _)| !(key.is_empty() && FREE.contains(&name.as_str()))) {
                numbers(inner, &if key.is_empty() { name.clone() } else { format!("{key}.{name}") }, found);
            }
        }
        Value::Array(list) => {
            for (n, inner) in list.iter().enumerate() {
                let numbered = matches!(inner, Value::Table(_)) && key == "fault";
                numbers(inner, &if numbered { format!("{key}.{n}") } else { key.to_owned() }, found);
            }
        }
        value if is_number(value) => found.push(key.to_owned()),
        _ => {}
    }
}

/// Numbers of a file without a source in the same file: what another file says of another number is no source of this one.
fn unsourced(table: &Table) -> Vec<String> {
    let sources = table.get("sources").and_then(Value::as_table).cloned().unwrap_or_default();
    let sourced = |key: &String| {
        sources.iter().any(|(place, source)| {
            let covers = key == place || key.strip_prefix(place.as_str()).is_some_and(|rest| rest.starts_with('.'));
            covers && source.as_str().is_some_and(|text| !text.trim().is_empty())
        })
    };
    let mut found = Vec::new();
    numbers(&Value::Table(table.clone()), "", &mut found);
    found.retain(|key| !sourced(key));
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_number_of_a_scenario_has_a_source_or_is_said_to_be_assumed() {
    for name in NAMED.into_iter().chain(["country-10-regions"]) {
        let missing = unsourced(&own_table(name));
        assert!(missing.is_empty(), "{name}: no source of {missing:?}");
    }
    let table =
        toml::from_str("duration = \"3d\"\n[[fault]]\nstart = \"1d\"\n[sources]\nduration = \"assumed\"\n").unwrap();
    assert_eq!(unsourced(&table), ["fault.0.start"], "a number without a source is noticed");
}

#[test]
fn every_scenario_reads_expects_something_and_is_told_in_two_languages() {
    for name in NAMED {
        let scenario = load(&path(name), &[]).unwrap();
        assert_eq!(scenario.name, name);
        assert!(!scenario.expect.is_empty() && !scenario.ci.is_empty(), "{name}");
        assert!(!scenario.summary.is_empty() && !scenario.summary_fr.is_empty(), "{name}");
        let sources = own_table(name).get("sources").and_then(Value::as_table).cloned().unwrap_or_default();
        assert!(!sources.is_empty(), "{name}");
    }
}

#[test]
fn every_scenario_runs_at_its_ci_size_and_breaks_no_rule() {
    for name in NAMED {
        let scenario = ci(name);
        let bootstrap = Bootstrap::new(&scenario).unwrap();
        let run = world(&scenario, &bootstrap, 1, &[System::Mesh]).unwrap();
        let outcome = &run.outcomes[0];
        assert!(outcome.violations.is_empty(), "{name}: {:?}", outcome.violations);
        assert!(outcome.events > 0 && !outcome.messages.is_empty(), "{name}");
    }
}
