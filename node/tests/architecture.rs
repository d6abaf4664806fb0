//! The architecture page tells the truth about where things are.

use std::path::Path;

/// Texts between backticks that look like paths of this repository.
fn paths(page: &str) -> Vec<&str> {
    let roots =
        ["protocol", "crates/", "node/", "configs", "docs", "simulations", "fuzz", "Cargo.toml", "deny.toml", ".ci/"];
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| roots.iter().any(|root| text.starts_with(root)))
        .filter(|text| !text.contains([' ', '*', '(', '<']))
        .collect()
}

#[test]
fn every_path_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the page is there");
    let named = paths(&page);
    assert!(named.len() >= 30, "the page names the rooms, found {}", named.len());
    let missing: Vec<_> = named.iter().filter(|path| !root.join(path).exists()).collect();
    assert!(missing.is_empty(), "named but not there: {missing:?}");
}

#[test]
fn the_page_says_what_happens_to_an_envelope_that_no_one_accepts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the page is there");
    let line = page.lines().find(|line| line.contains("envelope that no one accepts")).expect("the page says so");
    let file = paths(line).pop().expect("the line names the file");
    let source = std::fs::read_to_string(root.join(file)).expect("the file is there");
    assert!(source.contains("SUBMISSION_LIFE") && source.contains("fn expire"));
}
