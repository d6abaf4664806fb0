//! What the fuzz targets `phone_file` and `pasted` have found worth keeping: read or refused, never a panic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use relaymesh_phone::{Delivery, Phone, sealed};

fn file(bytes: &[u8]) {
    assert!(sealed::open(bytes, sealed::Lock::Key(&[7; 32])).is_err(), "a file that nobody sealed");
    if let Ok(phone) = Phone::decode(bytes) {
        let again = phone.encode();
        assert_eq!(Phone::decode(&again).unwrap().encode(), again);
    }
}

fn pasted(bytes: &[u8]) {
    let _ = Delivery::parse(&String::from_utf8_lossy(bytes));
}

#[test]
fn every_corpus_file_is_read_or_refused() {
    for (name, read) in [("phone_file", file as fn(&[u8])), ("pasted", pasted)] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
        assert!(files.len() >= 50, "{name} has {} files", files.len());
        files.iter().for_each(|file| read(file));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        file(&bytes);
        pasted(&bytes);
    }
}
