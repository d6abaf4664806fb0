//! `simulate fuzz`, `shrink` and `replay`, as somebody types them.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::Path;
use std::process::{Command, Output};

fn simulate(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_simulate")).args(args).current_dir(folder).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_fuzz_finds_is_made_small_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plant = ["--seeds", "1", "--from", "2", "--plant", "forgets_consumed", "--no-shrink"];
    let found = simulate(folder, &[&["fuzz"], &plant[..]].concat());
    assert_eq!(found.status.code(), Some(2), "{}", text(&found));
    let file = "repro/fuzz-consumed_remembered-2.json";
    assert!(text(&found).contains(file), "{}", text(&found));

    let large = simulate(folder, &["replay", file]);
    assert_eq!(large.status.code(), Some(2), "{}", text(&large));
    assert!(!text(&large).contains("has changed"), "the same code takes the same course: {}", text(&large));

    let shrunk = simulate(folder, &["shrink", file, "--out", "small.json", "--tries", "40"]);
    assert_eq!(shrunk.status.code(), Some(0), "{}", text(&shrunk));
    let small = simulate(folder, &["replay", "small.json", "--trace"]);
    assert_eq!(small.status.code(), Some(2), "{}", text(&small));
    assert!(text(&small).lines().count() > 100 && text(&small).contains("consumed_remembered breaks at"));
    let size = |name: &str| std::fs::metadata(folder.join(name)).unwrap().len();
    assert!(size("small.json") < size(file));
}

#[test]
fn a_file_that_is_none_is_told_and_nothing_breaks_without_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.json"), "{}").unwrap();
    for command in ["replay", "shrink"] {
        let told = simulate(folder.path(), &[command, "x.json"]);
        assert_eq!(told.status.code(), Some(3));
        assert!(String::from_utf8_lossy(&told.stderr).contains("no reproduction file"));
    }
    let calm = simulate(folder.path(), &["fuzz", "--seeds", "1", "--from", "2"]);
    assert_eq!(calm.status.code(), Some(0), "{}", text(&calm));
    assert!(text(&calm).contains("worlds: 1, nothing broke"));
    assert!(!folder.path().join("repro").exists());
}
