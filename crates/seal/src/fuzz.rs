//! Doors for fuzzing and corpus replay, and for nothing else: each takes bytes to a decoder that no caller reaches by
//! itself, and says whether they were taken. None may panic.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_protocol::ids::{EntityId, NodeId};

use crate::envelope::{EnvelopeError, Opened, open_around};
use crate::keyfile;
use crate::keys::{NodeKey, SealingSecret};
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

/// Who signs insides.
static SENDER: LazyLock<NodeKey> = LazyLock::new(|| NodeKey::generate(&mut ChaCha20Rng::from_seed([3; 32])));
/// Whom they are sealed to.
static SECRET: LazyLock<SealingSecret> =
    LazyLock::new(|| SealingSecret::generate(&mut ChaCha20Rng::from_seed([7; 32])));

/// The inside of an envelope, with zeros up to the smallest bucket that holds it: sealed, and opened. If it is to be `signed`
/// and has the form of an inside, sender and signature in it are replaced by sound ones.
///
/// # Errors
/// As the opening of any envelope.
///
/// # Panics
/// When what has the form of an inside is not written again as it was.
pub fn inside(bytes: &[u8], signed: bool) -> Result<Opened, EnvelopeError> {
    open_around(bytes, signed.then_some(&*SENDER), &SECRET)
}

/// A sealed record.
#[must_use]
pub fn record(bytes: &[u8]) -> bool {
    let (shard, entity) = (NodeId([1; 32]), EntityId([2; 16]));
    let place = RecordAad { shard, table: "t", entity: &entity, record: b"r", counter: 0 };
    open_record_any_counter(&RecordKey::from_bytes([7; 32]), place, bytes).is_ok()
}
