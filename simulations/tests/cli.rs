//! The binary as people call it.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use relaymesh_simulations::cli::golden::Golden;
use relaymesh_simulations::report::Lang;
use serde_json::Value;

fn simulate(arguments: &[&str]) -> Output {
    let folder = std::env::temp_dir();
    Command::new(env!("CARGO_BIN_EXE_simulate")).current_dir(folder).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A world of seconds: some people, some hours.
fn tiny(command: &str, more: &[&str]) -> Output {
    let scenario = here("tests/data/small.toml");
    let sets = ["duration=5h", "warmup=1h", "drain=1h", "people.count=6"];
    let mut arguments = vec![command, scenario.to_str().unwrap()];
    for set in sets {
        arguments.extend(["--set", set]);
    }
    arguments.extend(more);
    simulate(&arguments)
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

fn messages(folder: &Path) -> String {
    let bytes = fs::read(folder.join("messages.csv.zst")).unwrap();
    String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap()
}

#[test]
fn shards_merge_into_what_one_run_gives() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let run = |name: &str, more: &[&str]| {
        let path = at(name);
        let arguments = [&["--seeds", "4", "--out", path.to_str().unwrap()][..], more].concat();
        let output = tiny("run", &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let whole = run("whole", &["--json"]);
    run("second", &["--shard", "1/2"]);
    run("first", &["--shard", "0/2"]);
    let merge = |parts: &[&str], into: &str| {
        let parts: Vec<PathBuf> = parts.iter().map(|part| at(part)).collect();
        let mut arguments = vec!["report"];
        arguments.extend(parts.iter().map(|part| part.to_str().unwrap()));
        let into = at(into);
        arguments.extend(["--out", into.to_str().unwrap()]);
        simulate(&arguments)
    };
    assert!(merge(&["second", "first"], "merged").status.success());
    for name in ["summary.json", "metrics.csv", "scenario.toml", "report.md", "report.html", "report.fr.html"] {
        assert!(read(&at("whole"), name) == read(&at("merged"), name), "{name} differs");
    }
    assert!(messages(&at("whole")) == messages(&at("merged")), "rows differ");
    // Reports can be built again in place, with nothing lost.
    assert!(merge(&["merged"], "merged").status.success());
    assert!(messages(&at("whole")) == messages(&at("merged")), "rows differ");
    assert_eq!(merge(&["first", "first"], "twice").status.code(), Some(3), "a seed counts once");

    // What is printed is what is kept, and the page says the same.
    let summary: Value = serde_json::from_str(&read(&at("whole"), "summary.json")).unwrap();
    assert_eq!(summary, serde_json::from_str::<Value>(&out(&whole)).unwrap());
    let share = |figure: &str| Lang::En.percent(summary["summary"][figure]["estimate"].as_f64().unwrap());
    let page = read(&at("whole"), "report.html");
    let answer = page.split("aria-label=\"The answer\"><p>").nth(1).unwrap().split("</p>").next().unwrap();
    for figure in ["delivered.72h", "upstream.delivered.72h", "islands.delivered.72h"] {
        assert!(answer.contains(&share(figure)), "{figure} in {answer}");
    }

    // One line for each message of each system, whose shares are those of the figures.
    let rows = messages(&at("whole"));
    let of =
        |seed: &str, system: &str| rows.lines().filter(|row| row.starts_with(&format!("{seed},{system},"))).count();
    let sent = summary["seeds"][0]["metrics"]["messages"].as_f64().unwrap();
    assert_eq!(of("1", "mesh") as f64, sent);
    assert_eq!(of("1", "mesh"), of("1", "upstream"), "the same people write the same messages");
    let published = rows.lines().filter(|row| row.starts_with("1,mesh,") && row.contains(",published,")).count();
    let ever = summary["seeds"][0]["metrics"]["fate.published"].as_f64().unwrap();
    assert!((published as f64 / sent - ever).abs() < 1e-9);
}

#[test]
fn exit_codes_tell_what_happened() {
    let met = tiny("run", &["--seeds", "1", "--set", "expect={\"delivered.ever\"=\">= 0\"}"]);
    assert_eq!(met.status.code(), Some(0));
    assert!(met.stderr.is_empty(), "quiet when nobody looks: {}", String::from_utf8_lossy(&met.stderr));
    let missed = tiny("run", &["--seeds", "1", "--set", "expect={\"delivered.ever\"=\"> 100%\"}"]);
    assert_eq!(missed.status.code(), Some(1));
    assert!(out(&missed).contains("FAILS"), "{}", out(&missed));
    assert_eq!(tiny("check", &["--set", "people.cuont=3"]).status.code(), Some(3));
    assert_eq!(simulate(&["run"]).status.code(), Some(3), "also what is wrong on the command line");
    assert_eq!(simulate(&["--help"]).status.code(), Some(0));
}

#[test]
fn names_are_found_anywhere_and_nearly() {
    let list = out(&simulate(&["list"]));
    assert!(list.lines().any(|line| line.starts_with("cameroon-2017 ")), "{list}");
    assert!(out(&simulate(&["list", "--lang", "fr"])).contains("Internet est coupé"), "in French");
    let unknown = simulate(&["check", "cameron-2017"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("is it `cameroon-2017`?"));
    let schema: Value = serde_json::from_str(&out(&simulate(&["check", "--schema"]))).unwrap();
    assert!(schema["properties"]["people"].is_object());
}

#[test]
fn precision_adds_worlds_until_it_is_reached() {
    let short = ["--set", "duration=3h", "--set", "warmup=30m", "--set", "drain=30m", "--json"];
    let coarse = tiny("run", &[&["--precision", "99pp"][..], &short].concat());
    let document: Value = serde_json::from_str(&out(&coarse)).unwrap();
    assert_eq!(document["seeds"].as_array().unwrap().len(), 8, "the least");
    let fine = tiny("run", &[&["--precision", "0.01pp", "--seeds-max", "9"][..], &short].concat());
    let document: Value = serde_json::from_str(&out(&fine)).unwrap();
    assert_eq!(document["seeds"].as_array().unwrap().len(), 9, "the most");
}

#[test]
fn the_circle_and_the_share_of_device_ids_can_be_swept() {
    let output =
        tiny("sweep", &["--grid", "mesh.circle=1,8", "--grid", "people.device_id=0%,100%", "--seeds", "1", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sweep: Value = serde_json::from_str(&out(&output)).unwrap();
    let ever =
        |point: usize| sweep["points"][point]["samples"][0]["systems"]["mesh"]["delivered.ever"].as_f64().unwrap();
    let [alone_numbers, alone_devices, circle_numbers, circle_devices] = [0, 1, 2, 3].map(ever);
    assert!(alone_numbers < circle_numbers, "{alone_numbers} {circle_numbers}");
    assert_eq!(alone_devices, circle_devices, "who is found by device ID needs no partners");
    let none = tiny("sweep", &["--grid", "mesh.circle=0,8", "--seeds", "1"]);
    assert_eq!(none.status.code(), Some(3), "all points are read before the first is run");
}

#[test]
fn sweeps_and_comparisons_share_their_luck() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep");
    let out_to = ["--seeds", "2", "--out", path.to_str().unwrap()];
    let output =
        tiny("sweep", &[&["--grid", "sms.loss=5%,60%", "--tornado", "people.resend_times=0"][..], &out_to].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sweep: Value = serde_json::from_str(&read(&path, "sweep.json")).unwrap();
    let share =
        |point: usize| sweep["points"][point]["samples"][0]["systems"]["mesh"]["delivered.1h"].as_f64().unwrap();
    assert!(share(0) > share(1), "more loss, less delivery: {} and {}", share(0), share(1));
    // A point that changes nothing is the scenario itself.
    let base: Value = serde_json::from_str(&read(&path, "summary.json")).unwrap();
    assert_eq!(base["seeds"][0]["metrics"]["delivered.1h"].as_f64().unwrap(), share(0));
    let page = read(&path, "report.html");
    assert!(page.contains("severity-0") && page.contains("<title id=\"tornado-t\">"));

    let small = here("tests/data/small.toml");
    let small = small.to_str().unwrap();
    let sets = ["duration=5h", "warmup=1h", "drain=1h", "people.count=6"].map(|set| ["--set", set]).concat();
    let compare = [&["compare", small, small, "--seeds", "2", "--json", "--set-b", "sms.loss=60%"][..], &sets].concat();
    let found: Value = serde_json::from_str(&out(&simulate(&compare))).unwrap();
    let figure =
        |name: &str| found["differences"].as_array().unwrap().iter().find(|one| one["figure"] == name).unwrap().clone();
    assert_eq!(figure("messages")["judgement"], "equal", "the same people write the same messages");
    assert!(figure("delivered.1h")["difference"]["estimate"].as_f64().unwrap() < 0.0);
    assert_ne!(figure("delivered.1h")["judgement"], "better");
}

#[test]
fn the_frozen_traces_are_those_of_now() {
    let golden = Golden::read(&here("golden.toml")).unwrap();
    let now = golden.run_again().unwrap();
    let differences: String = golden.case.iter().zip(&now.case).map(|(old, new)| old.differences(new)).collect();
    assert!(differences.is_empty(), "{differences}if this was meant: simulate golden --bless");
    assert!(golden.case.iter().all(|case| case.trace.len() == 3), "all systems");
}
