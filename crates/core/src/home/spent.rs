//! Positions of bridge key exchanges that were consumed, under whichever number.
//!
//! A static bridge key is everybody's: whoever saw a first mail can send the same bytes from another number, and its session
//! can be derived again for as long as the static key lives. So the whole node remembers, not the number. The rows hold
//! nothing but a keyed hash, and begin with the static key's print: they go when it goes.

use sha2::{Digest, Sha256};

use super::consume::position_key;
use crate::batch::Key;
use crate::node::Node;
use crate::record::key;
use crate::tx::{Run, Tx};

/// Kind byte of the keyed hash of a position.
const KIND_POSITION: u8 = 35;
/// The only value that a row has: its version.
const ROW: [u8; 1] = [1];

/// The row of a block's position under a static key, which is what bridge sessions have as associated data.
fn place(node: &Node, ad: &[u8; 32], block: &[u8]) -> Option<Key> {
    let position = position_key(ad, block)?;
    let mut print = [0; 8];
    print.copy_from_slice(&Sha256::digest(ad)[..8]);
    Some(key::spent(&print, &node.crypto().index(node.keys(), KIND_POSITION, &position)))
}

/// Whether a block was consumed there, or another in its place.
pub(super) fn is_spent(node: &Node, tx: &mut Tx<'_>, ad: &[u8; 32], block: &[u8]) -> Run<bool> {
    let Some(place) = place(node, ad, block) else { return Ok(false) };
    Ok(tx.get(&place)?.is_some())
}

/// Remembers the position, in the batch that consumes it.
pub(super) fn spend(node: &Node, tx: &mut Tx<'_>, ad: &[u8; 32], block: &[u8]) -> Run {
    let Some(place) = place(node, ad, block) else { return Ok(()) };
    tx.put(place, ROW.to_vec())
}
