//! Doors for fuzzing and corpus replay, and for nothing else: each takes bytes from outside to the decoder that meets them
//! first, and says whether they were taken. None may panic.

use relaymesh_protocol::ids::{MeshId, Timestamp};

use crate::crypto::RealCrypto;
use crate::ingress::Gateway;
use crate::record::vault::{Account, Position, Seen, Session, Token};
use crate::record::{Head, decode};
use crate::{delivery, home, locator, membership};

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

/// An opened stored record, as the types in which accounts, sessions and messages lie. All other rows are read by the same
/// decoder.
#[must_use]
pub fn stored(bytes: &[u8]) -> bool {
    let read = [
        decode::<Account>(bytes).is_some(),
        decode::<Session>(bytes).is_some(),
        decode::<Token>(bytes).is_some(),
        decode::<Seen>(bytes).is_some(),
        decode::<Position>(bytes).is_some(),
        decode::<Head>(bytes).is_some(),
        decode::<delivery::Outbox>(bytes).is_some(),
        decode::<Gateway>(bytes).is_some(),
        home::reads_job(bytes),
    ];
    read.contains(&true)
}

/// An opened envelope's body.
#[must_use]
pub fn body(bytes: &[u8]) -> bool {
    delivery::Body::decode(bytes).is_some()
}
