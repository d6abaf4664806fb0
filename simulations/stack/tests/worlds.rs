//! Whole worlds over real swarms, each in a process of its own, as `simulate --tier b` runs them.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use relaymesh_simulations::outcome::{Fate, Outcome};
use relaymesh_simulations::scenario::{Scenario, load};

/// The scenario of twenty nodes, shortened: the first fault is a cut of ten minutes, the second is gone.
fn twenty(length: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/twenty.toml");
    let text = |text: &str| toml::Value::String(text.to_owned());
    let mut scenario =
        load(&path, &[("duration".to_owned(), text(length)), ("drain".to_owned(), text("10m"))]).unwrap();
    scenario.fault.truncate(1);
    scenario.fault[0].start = relaymesh_simulations::kernel::Span::secs(15 * 60);
    scenario.fault[0].length = Some(relaymesh_simulations::kernel::Span::secs(10 * 60));
    scenario
}

fn run(scenario: &Scenario, seed: u64) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_simulate-stack"))
        .args(["--seed", &seed.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(toml::to_string(scenario).unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn outcome(text: &str) -> Outcome {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_world_repeats_in_another_process_and_another_seed_is_another_world() {
    let scenario = twenty("45m");
    let (first, second, other) = (run(&scenario, 7), run(&scenario, 7), run(&scenario, 8));
    assert_eq!(outcome(&first).trace, outcome(&second).trace);
    assert_eq!(first, second);
    assert_ne!(outcome(&first).trace, outcome(&other).trace);
}

#[test]
fn messages_cross_real_swarms_once_and_wait_out_a_cut() {
    let outcome = outcome(&run(&twenty("60m"), 1));
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    assert!(outcome.messages.len() > 40, "{}", outcome.messages.len());
    assert!(outcome.metrics["stack.connections"] > 20.0 && outcome.metrics["stack.bytes"] > 100_000.0);
    let published = outcome.messages.iter().filter(|row| row.fate == Fate::Published).count();
    assert!(published * 100 >= outcome.messages.len() * 90, "{published} of {}", outcome.messages.len());
    assert!(outcome.messages.iter().all(|row| row.posts <= 1));
}
