//! Doors for fuzzing and corpus replay, and for nothing else: each takes bytes from outside to the decoder that meets them
//! first, and says whether they were taken. None may panic.

use relaymesh_protocol::ids::{MeshId, Timestamp};

use crate::crypto::RealCrypto;
use crate::record::{self, Reader};
use crate::{accounts, bench, clients, delivery, egress, home, ingress, keys, locator, membership};

/// The mesh that facts are read for.
const MESH: MeshId = MeshId([7; 16]);
/// 2027-01-15.
const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A membership fact, as a peer or a bundle brings it.
#[must_use]
pub fn fact(bytes: &[u8]) -> bool {
    membership::read_fact(&RealCrypto, &MESH, bytes, NOW)
}

/// A filter of a vault node.
#[must_use]
pub fn filter(bytes: &[u8]) -> bool {
    locator::read_filter(bytes)
}

/// A bundle file.
#[must_use]
pub fn bundle(bytes: &[u8]) -> bool {
    delivery::read_bundle(bytes)
}

/// An invite code.
#[must_use]
pub fn invite(text: &str) -> bool {
    membership::read_invite(text)
}

/// All types that are stored.
fn readers() -> Vec<Reader> {
    let apart = [Reader::of::<clients::Test>(), Reader::of::<bench::FilterRow>()];
    let all: [&[Reader]; 10] = [
        &record::STORED,
        &accounts::STORED,
        &delivery::STORED,
        &egress::STORED,
        &home::STORED,
        &ingress::STORED,
        &keys::STORED,
        &locator::STORED,
        &membership::STORED,
        &apart,
    ];
    all.concat()
}

/// An opened stored record, read as each type that is stored, of this version and the older ones: what is taken is written
/// again as it was read.
///
/// # Panics
/// When it is not.
#[must_use]
pub fn stored(bytes: &[u8]) -> bool {
    readers().into_iter().filter(|reader| reader.read(bytes)).count() > 0
}

/// An opened envelope's body.
#[must_use]
pub fn body(bytes: &[u8]) -> bool {
    delivery::Body::decode(bytes).is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Paths of the types that the sources below `dir`, which are the module `path`, say are stored.
    fn stored_below(dir: &Path, path: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let file = entry.path();
            let name = file.file_stem().unwrap().to_str().unwrap();
            let module = if matches!(name, "lib" | "mod") { path.to_owned() } else { format!("{path}::{name}") };
            if file.is_dir() {
                stored_below(&file, &module, found);
                continue;
            }
            let source = fs::read_to_string(&file).unwrap();
            let types = source.lines().filter_map(|line| line.trim_start().strip_prefix("impl Stored for "));
            found.extend(types.map(|rest| format!("{module}::{}", rest.split([' ', '<']).next().unwrap())));
        }
    }

    #[test]
    fn every_stored_type_is_read() {
        let mut found = BTreeSet::new();
        stored_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "relaymesh_core", &mut found);
        let read: BTreeSet<String> = readers().iter().map(|reader| (reader.name)().to_owned()).collect();
        assert!(found.len() > 30, "the sources were not searched");
        assert_eq!(read, found);
    }

    /// Files that are named after a type, some with an older version behind it, are read as that type.
    #[test]
    fn the_corpus_has_a_record_of_every_stored_type() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/stored");
        let mut older = 0;
        for reader in readers() {
            let name = (reader.name)().split_once("::").unwrap().1.replace("::", "-");
            let current = fs::read(dir.join(&name)).unwrap_or_else(|_| panic!("fuzz/corpus/stored/{name} is missing"));
            assert!(reader.read(&current), "{name}");
            for version in 1..current[0] {
                let bytes = fs::read(dir.join(format!("{name}-v{version}"))).unwrap();
                assert!(bytes[0] == version && reader.read(&bytes), "{name} of version {version}");
                older += 1;
            }
        }
        assert!(older >= 6, "only {older} of older versions");
    }
}
