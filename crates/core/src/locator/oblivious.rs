//! The one file of the locator that asks the port for the oblivious function and reads this node's oblivious keys.

use relaymesh_protocol::ids::{E164, Tag};
use relaymesh_seal::Secret32;
use relaymesh_seal::oblivious::{self, Purpose, split_seed};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::node::Node;
use crate::tx::Tx;

/// A compressed ristretto255 point.
pub(crate) type Point = [u8; 32];

/// A blinding state: the blind, and the number in clear. Wiped on drop, never shown.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct BlindState(#[serde(with = "serde_bytes")] Vec<u8>);

impl std::fmt::Debug for BlindState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlindState(…)")
    }
}

impl AsRef<[u8]> for BlindState {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Blinds numbers for one batch.
pub(super) fn blind(node: &Node, tx: &mut Tx<'_>, numbers: &[E164]) -> Vec<(BlindState, Point)> {
    let seed = Secret32::from_bytes(tx.random());
    let indexed = (0_u32..).zip(numbers);
    indexed
        .map(|(index, number)| {
            let (state, blinded) = node.crypto().blind(number, split_seed(&seed, index));
            (BlindState(state), blinded)
        })
        .collect()
}

/// The tags of a batch; `None` when an answer or the proof is wrong: then none of them counts.
pub(super) fn finish(
    node: &Node,
    purpose: Purpose,
    states: &[&BlindState],
    evaluated: &[Point],
    proof: &[u8],
    public: &Point,
) -> Option<Vec<Tag>> {
    let states: Vec<&[u8]> = states.iter().map(|state| state.as_ref()).collect();
    node.crypto().finish(purpose, &states, evaluated, proof, public)
}

/// Evaluates others' questions under one of this node's keys; `None` when it has no such key, or a point is none.
pub(super) fn evaluate(node: &Node, tx: &mut Tx<'_>, key_id: u32, blinded: &[Point]) -> Option<(Vec<Point>, Vec<u8>)> {
    let seed = tx.random();
    let (_, key) = keys(node).find(|(id, _)| *id == key_id)?;
    node.crypto().evaluate(key, blinded, seed)
}

/// This node's oblivious keys and their ids, newest first.
fn keys(node: &Node) -> impl Iterator<Item = (u32, &[u8; 32])> {
    let mut seeds: Vec<_> = node.keys().oblivious.iter().collect();
    seeds.sort_by_key(|(_, created)| std::cmp::Reverse(*created));
    seeds.into_iter().map(|(seed, _)| {
        let key = seed.danger_bytes();
        (oblivious::key_id(&node.crypto().oblivious_public(key)), key)
    })
}

/// The ids of this node's oblivious keys, newest first.
pub(super) fn key_ids(node: &Node) -> Vec<u32> {
    keys(node).map(|(id, _)| id).collect()
}

/// A number's tags under all of this node's keys.
pub(super) fn own_tags(node: &Node, number: &E164, purpose: Purpose) -> Vec<(u32, Tag)> {
    keys(node).map(|(id, key)| (id, node.crypto().direct(key, number, purpose))).collect()
}

/// Whether one of this node's static bridge keys has this id.
pub(super) fn has_static(node: &Node, kid: u8) -> bool {
    node.keys().statics.iter().any(|(id, _)| *id == kid)
}
