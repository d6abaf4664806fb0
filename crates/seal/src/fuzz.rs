//! Doors for fuzzing and corpus replay, and for nothing else: each takes bytes to a decoder that no caller reaches by
//! itself, and says whether they were taken. None may panic.

use relaymesh_protocol::ids::{EntityId, NodeId};

use crate::keyfile;
use crate::rest::{RecordAad, RecordKey, open_record_any_counter};

/// The first bytes of a key file.
#[must_use]
pub fn key_file_header(bytes: &[u8]) -> bool {
    keyfile::reads_header(bytes)
}

/// An opened slot of a key file: what is taken is written again as it was read.
///
/// # Panics
/// When it is not.
#[must_use]
pub fn keyring(bytes: &[u8]) -> bool {
    let Some(keyring) = keyfile::Keyring::decode(bytes) else { return false };
    let again = keyring.encode();
    assert!(keyfile::Keyring::decode(&again).is_some_and(|read| read.encode() == again));
    true
}

/// A sealed record.
#[must_use]
pub fn record(bytes: &[u8]) -> bool {
    let (shard, entity) = (NodeId([1; 32]), EntityId([2; 16]));
    let place = RecordAad { shard, table: "t", entity: &entity, record: b"r", counter: 0 };
    open_record_any_counter(&RecordKey::from_bytes([7; 32]), place, bytes).is_ok()
}
