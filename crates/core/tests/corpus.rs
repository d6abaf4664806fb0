//! Hostile inputs that were found or thought of, replayed through every decoder that meets bytes from outside. The same
//! files seed the fuzz targets in `fuzz`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use relaymesh_core::fuzz;

type Decoder = fn(&[u8]) -> bool;

const DECODERS: [(&str, Decoder); 5] = [
    ("body", fuzz::body),
    ("fact", fuzz::fact),
    ("filter", fuzz::filter),
    ("bundle", fuzz::bundle),
    ("invite", |bytes| std::str::from_utf8(bytes).is_ok_and(fuzz::invite)),
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
