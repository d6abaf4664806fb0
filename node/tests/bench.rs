//! The shape of what `relaymesh bench` prints. No time is asserted: what is fast here says nothing elsewhere.

use std::process::Command;

use serde_json::Value;

/// Names of all fields of a row, sorted.
const FIELDS: [&str; 7] = ["baseline", "budget", "met", "name", "ratio", "unit", "value"];

fn bench(words: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_relaymesh")).arg("bench").args(words).output().expect("the binary starts")
}

#[test]
fn rows_come_as_one_json_array() {
    let output = bench(&["--quick", "--json", "--only", "ratchet,locator"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("one JSON array");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for row in &rows {
        let mut fields: Vec<&str> = row.as_object().expect("an object").keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, FIELDS);
        for field in ["value", "baseline", "ratio"] {
            assert!(row[field].as_f64().is_some_and(|number| number > 0.0), "{field} of {row}");
        }
        let ratio = row["value"].as_f64().unwrap() / row["baseline"].as_f64().unwrap();
        // Each of the three numbers is rounded to thousandths.
        assert!((ratio / row["ratio"].as_f64().unwrap() - 1.0).abs() < 0.01, "{row}");
        let limit = row["budget"].as_str().and_then(|budget| budget.strip_prefix("≤ ")).expect("an upper limit");
        let limit: f64 = limit.parse().expect("a number");
        assert_eq!(row["met"].as_bool(), Some(row["value"].as_f64().unwrap() <= limit), "{row}");
    }
}

#[test]
fn the_table_has_the_same_rows_and_a_debug_build_warns() {
    let output = bench(&["--quick", "--only", "ratchet"]);
    let table = String::from_utf8(output.stdout).expect("text");
    assert!(table.starts_with("what"), "{table}");
    assert_eq!(table.lines().filter(|line| line.starts_with("ratchet decrypt")).count(), 2, "{table}");
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(told.contains("debug build"), cfg!(debug_assertions), "{told}");
}

#[test]
fn an_unknown_group_is_a_mistake() {
    assert_eq!(bench(&["--only", "speed"]).status.code(), Some(2));
}

#[test]
fn what_could_not_be_measured_is_told_and_no_success() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relaymesh"));
    command.args(["bench", "--quick", "--json", "--only", "home"]).env("TMPDIR", "/nowhere");
    let output = command.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("one JSON array");
    assert!(!rows.is_empty() && rows.iter().all(|row| row["value"].is_null() && row["met"].is_null()), "{rows:?}");
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(told.contains("home: not measured: ") && told.contains("1 of the rows could not be measured"), "{told}");
}
