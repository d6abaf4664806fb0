//! Moving entities to the newest epoch: every head is wrapped anew, then the old wrap key is destroyed.
//!
//! A pass reads all heads page by page. An old key is destroyed only after a whole pass that met no head under it, so a
//! crash at any point loses nothing: the next pass begins from the start. A marker record is written before a pass; when it
//! is durable, so is every batch from before the newest key, and no head under an old key can still appear.

use relaymesh_protocol::ids::EntityId;
use serde::{Deserialize, Serialize};

use super::{Change, save};
use crate::WorkId;
use crate::crypto;
use crate::input::{Input, ReplyTo};
use crate::node::Node;
use crate::output::{Output, WorkDone};
use crate::record::{Head, Scope, Stored, UNREADABLE, decode, encode, key, put_node};
use crate::tx::{Run, Tx};

/// Heads in one page: their entities' lanes are held until the page is durable.
const PAGE: usize = 128;
/// Names the record of [`Marker`].
const MARKER: &str = "epoch";

/// A pass under way.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// Names it, so that a step of an older pass does nothing.
    pub id: WorkId,
    /// The epoch to move to.
    epoch: u32,
    /// Key prefixes still to be read, next last.
    left: Vec<Vec<u8>>,
    /// Whether this pass met a head of an older epoch.
    met: bool,
}

/// To which epoch the last pass moved.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    epoch: u32,
}

impl Stored for Marker {
    const SCOPE: Scope = Scope::Node;
}

/// Begins a pass if there is an old key, in place of one that may have come to a halt.
pub(super) fn begin(node: &Node, tx: &mut Tx<'_>) -> Run {
    let Some((epoch, _)) = crypto::newest_wrap_key(node.keys()) else { return Ok(()) };
    if node.keys().wraps.len() < 2 {
        return Ok(());
    }
    put_node(node, tx, key::meta(MARKER), &Marker { epoch })?;
    let pass = Pass { id: WorkId(u64::from_be_bytes(tx.random())), epoch, left: vec![vec![key::HEAD]], met: false };
    go_on(tx, pass);
    Ok(())
}

/// The newest key has just been saved: once it is in use, a pass begins.
pub(super) fn resume(tx: &mut Tx<'_>) {
    let pass = Pass { id: WorkId(u64::from_be_bytes(tx.random())), epoch: 0, left: Vec::new(), met: true };
    go_on(tx, pass);
}

/// Goes on with a pass when what was written is durable. The input is the one that ends this conversation's own work.
fn go_on(tx: &mut Tx<'_>, pass: Pass) {
    let id = pass.id;
    tx.then(Change::Pass(Some(pass)));
    tx.output(Output::Follow(Input::Worked { id, done: WorkDone::KeysSaved(Ok(())) }));
}

/// One page of a pass, or what comes after the last.
pub(super) fn step(node: &Node, tx: &mut Tx<'_>) -> Run {
    let Some(mut pass) = node.keys.pass.clone() else { return Ok(()) };
    let Some(prefix) = pass.left.pop() else { return finish(node, tx, &pass) };
    let rows = tx.rows(&prefix, PAGE + 1)?;
    if rows.len() > PAGE {
        // Too many for one page: ids are random, so the next byte splits them evenly.
        pass.left.extend((0..=u8::MAX).rev().map(|byte| [prefix.as_slice(), &[byte]].concat()));
    } else {
        for (place, row) in rows {
            pass.met |= rewrap(node, tx, pass.epoch, &place, &row)?;
        }
    }
    go_on(tx, pass);
    Ok(())
}

/// Wraps one entity's key for the epoch; tells whether it was under an older one.
fn rewrap(node: &Node, tx: &mut Tx<'_>, epoch: u32, place: &[u8], row: &[u8]) -> Run<bool> {
    let id = place.get(1..).and_then(|id| EntityId::try_from(id).ok());
    let (Some(id), Some(head)) = (id, decode::<Head>(row)) else {
        node.count(tx, UNREADABLE);
        return Ok(false);
    };
    if head.epoch == epoch && !head.is_old() {
        return Ok(false);
    }
    let sealed = head.open(node, node.keys(), &id).and_then(|open| Head::seal(node, &id, epoch, &open, tx.random()));
    let Some(sealed) = sealed else {
        node.count(tx, UNREADABLE);
        return Ok(false);
    };
    tx.put(place.to_vec(), encode(&sealed).to_vec())?;
    Ok(true)
}

/// A pass that met an old head is followed by another; one that met none lets the old keys go.
fn finish(node: &Node, tx: &mut Tx<'_>, pass: &Pass) -> Run {
    tx.then(Change::Pass(None));
    if pass.met {
        return begin(node, tx);
    }
    if node.keys.saving.is_some() {
        return Ok(());
    }
    let mut ring = node.keys().clone();
    ring.wraps.retain(|(epoch, _)| *epoch >= pass.epoch);
    if ring.wraps.len() < node.keys().wraps.len() && !ring.wraps.is_empty() {
        save(tx, ring, ReplyTo::NOBODY);
    }
    Ok(())
}
