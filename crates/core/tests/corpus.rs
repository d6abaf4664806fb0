//! Hostile inputs that were found or thought of, replayed through every decoder that meets bytes from outside. The same
//! files seed the fuzz targets in `fuzz`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::prelude::*;
use relaymesh_core::fuzz;

type Decoder = fn(&[u8]) -> bool;

const DECODERS: [(&str, Decoder); 5] = [
    ("body", fuzz::body),
    ("fact", fuzz::fact),
    ("filter", fuzz::filter),
    ("bundle", fuzz::bundle),
    ("invite", |bytes| std::str::from_utf8(bytes).is_ok_and(fuzz::invite)),
];

/// Decoders that also take what is not signed: they may not panic, whatever they say.
const READERS: [(&str, Decoder); 6] = [
    ("body", fuzz::body),
    ("fact", fuzz::fact),
    ("filter", fuzz::filter),
    ("bundle", fuzz::bundle),
    ("invite", |bytes| std::str::from_utf8(bytes).is_ok_and(fuzz::invite)),
    ("stored", fuzz::stored),
];

/// A file that is well-formed though useless.
const SOUND: &str = "bundle/empty-lists";

#[test]
fn no_hostile_file_panics_and_none_but_the_sound_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut replayed = 0;
    for entry in std::fs::read_dir(&root).unwrap() {
        let folder = entry.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let bytes = std::fs::read(file.path()).unwrap();
            let name = format!("{}/{}", folder.file_name().display(), file.file_name().display());
            for (decoder, decode) in DECODERS {
                let taken = decode(&bytes);
                let sound = name == SOUND && decoder == "bundle";
                // A body has no seal of its own: the envelope around it is what is signed.
                assert!(!taken || sound || decoder == "body", "{decoder} takes {name}");
            }
            replayed += 1;
        }
    }
    assert!(replayed >= 50, "only {replayed} files");
}

/// What the fuzz targets of the same names have found worth keeping.
#[test]
fn what_fuzzing_found_panics_nobody() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, _) in READERS {
        let files: Vec<_> = std::fs::read_dir(root.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 15, "{name} has {} files", files.len());
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            for (decoder, read) in READERS {
                let taken = read(&bytes);
                assert!(!taken || !matches!(decoder, "fact" | "filter"), "{decoder} takes {}", file.display());
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(version in 0_u8..4, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (_, read) in READERS {
            let _ = read(&bytes);
            let _ = read(&[&[version], bytes.as_slice()].concat());
        }
    }
}
