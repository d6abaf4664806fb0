//! Replays `tests/corpus/<decoder>/` and what the fuzz targets of the same names have found worth keeping: hostile inputs.
//! A decoder may refuse them by name; it may not panic, and what it takes it must write again as it read it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod decoders;

use std::fs;
use std::path::{Path, PathBuf};

use decoders::DECODERS;

/// Fewer would mean that the directory went missing.
const FILES_MIN: usize = 10;

/// The files of one decoder's corpora.
fn files(name: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for dir in [root.join("tests/corpus").join(name), root.join("../fuzz/corpus").join(name)] {
        let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= FILES_MIN, "{} has {} files", dir.display(), files.len());
        all.extend(files);
    }
    all
}

#[test]
fn every_corpus_file_through_every_decoder() {
    for (name, _) in DECODERS {
        for file in files(name) {
            let input = fs::read(&file).unwrap();
            for (_, decode) in DECODERS {
                decode(&input);
            }
        }
    }
}
