//! From an identifier to its entity: rows keyed by a keyed hash, so that the disk names nobody.

use relaymesh_protocol::ids::EntityId;
use serde::{Deserialize, Serialize};

use super::key;
use super::sealed::{Scope, Stored, get_node, put_node};
use crate::node::Node;
use crate::tx::{Run, Tx};

/// What kind of identifier a row is for; part of the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Device ID, live or retired.
    Device = 1,
    /// E.164 of an account.
    Phone = 2,
    /// E-mail address of an account, as typed.
    Email = 3,
    /// The account's public id, as its long-lived token names it.
    Eid = 4,
    /// E.164 of a bridge identity.
    Bridge = 5,
    /// Key id (4 bytes, big-endian) and number tag, as envelopes of number payloads carry them.
    NumberTag = 6,
    /// Key id and bridge tag.
    BridgeTag = 7,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row(EntityId);

impl Stored for Row {
    const SCOPE: Scope = Scope::Node;
}

fn place(node: &Node, kind: Kind, value: &[u8]) -> Vec<u8> {
    key::index(&node.crypto().index(node.keys(), kind as u8, value))
}

/// The entity behind an identifier.
pub(crate) fn find(node: &Node, tx: &mut Tx<'_>, kind: Kind, value: &[u8]) -> Run<Option<EntityId>> {
    Ok(get_node::<Row>(node, tx, &place(node, kind, value))?.map(|row| row.0))
}

/// Points an identifier at an entity.
pub(crate) fn put(node: &Node, tx: &mut Tx<'_>, kind: Kind, value: &[u8], entity: EntityId) -> Run {
    put_node(node, tx, place(node, kind, value), &Row(entity))
}

/// Forgets an identifier.
pub(crate) fn delete(node: &Node, tx: &mut Tx<'_>, kind: Kind, value: &[u8]) -> Run {
    tx.delete(place(node, kind, value))
}
