//! Positions of bridge key exchanges that were consumed, under whichever number.
//!
//! A static bridge key is everybody's: whoever saw a first mail can send the same bytes from another number, and its session
//! can be derived again for as long as the static key lives. So the whole node remembers, not the number. The rows hold
//! nothing but a keyed hash, and begin with the static key's print: they go when it goes.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::consume::position_key;
use crate::batch::Key;
use crate::membership;
use crate::node::Node;
use crate::record::key;
use crate::tx::{Run, Tx};

/// Kind byte of the keyed hash of a position.
const KIND_POSITION: u8 = 35;
/// The only value that a row has: its version.
const ROW: [u8; 1] = [1];

/// Bytes of a row's key before the static key's print.
const TABLE_LEN: usize = 1;
/// Bytes of a static key's print.
const PRINT_LEN: usize = 8;

fn print(ad: &[u8; 32]) -> [u8; PRINT_LEN] {
    *Sha256::digest(ad).first_chunk().expect("SHA-256 has 32 bytes")
}

/// Deletes those rows whose static key is gone: no session can be begun from it again. Whether it wrote.
pub(super) fn sweep<'a>(node: &Node, tx: &mut Tx<'_>, rows: impl Iterator<Item = &'a Key>) -> Run<bool> {
    let mut live: Option<BTreeSet<[u8; PRINT_LEN]>> = None;
    let mut wrote = false;
    for row in rows {
        let live = live.get_or_insert_with(|| membership::static_keys(node).iter().map(print).collect());
        let of = row.get(TABLE_LEN..).and_then(|rest| rest.first_chunk::<PRINT_LEN>());
        if of.is_none_or(|of| !live.contains(of)) {
            tx.delete(row.clone())?;
            wrote = true;
        }
    }
    Ok(wrote)
}

/// The row of a block's position under a static key, which is what bridge sessions have as associated data.
fn place(node: &Node, ad: &[u8; 32], block: &[u8]) -> Option<Key> {
    let position = position_key(ad, block)?;
    Some(key::spent(&print(ad), &node.crypto().index(node.keys(), KIND_POSITION, &position)))
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
