//! What the fuzz targets `keyring`, `envelope` and `oblivious` have found worth keeping, and random bytes: whatever a file or
//! a stranger holds is refused by name and panics nobody.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use relaymesh_seal::envelope::{EnvelopeError, Header};
use relaymesh_seal::fuzz;
use relaymesh_seal::oblivious::{Evaluator, Purpose, finish};

fn read_all(bytes: &[u8]) {
    let _ = fuzz::key_file_header(bytes);
    let _ = fuzz::keyring(bytes);
    assert!(!fuzz::record(bytes), "a record that nobody sealed");
    let _ = Header::parse(bytes);
    let opened = fuzz::inside(bytes, true);
    let unsigned = fuzz::inside(bytes, false).expect_err("nobody signed it");
    assert_eq!(unsigned, opened.err().unwrap_or(EnvelopeError::Signature));
}

fn evaluate(bytes: &[u8]) {
    let (points, proof) = bytes.as_chunks::<32>();
    let evaluator = Evaluator::from_seed(&[7; 32]);
    let _ = evaluator.evaluate(points, [9; 32]);
    let states: Vec<&[u8]> = points.iter().map(<[u8; 32]>::as_slice).collect();
    assert!(finish(Purpose::Phone, &states, points, proof, &evaluator.public()).is_err());
}

#[test]
fn every_corpus_file_is_read_or_refused() {
    for (name, read, files_min) in
        [("keyring", read_all as fn(&[u8]), 50), ("envelope", read_all, 14), ("oblivious", evaluate, 10)]
    {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
        assert!(files.len() >= files_min, "{name} has {} files", files.len());
        files.iter().for_each(|file| read(file));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
    }
}
