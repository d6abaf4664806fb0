//! Which bridge sessions of a number are kept. Whoever sends from a number, or forges it, can begin one: the session of the
//! first contact stays whatever others do, of the rest the one that was used longest ago makes room.

use serde::{Deserialize, Serialize};

use crate::node::Node;
use crate::record::vault::{BRIDGE, Session};
use crate::record::{Entity, Stored};
use crate::tx::{Run, Tx};

/// Bridge sessions kept for one number: its phones, and room for forged key exchanges beside them.
pub(super) const SESSIONS_MAX: usize = 8;
/// Table byte of [`Order`]; one record, key empty.
const ORDER: u8 = 10;

/// Record keys of the sessions: the first contact's, then the others, the one used last at the end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Order(Vec<Vec<u8>>);

impl Stored for Order {}

/// Ends all sessions of a number: whoever began them begins again, or not.
pub(super) fn forget(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity) -> Run {
    for (slot, _) in entity.all::<Session>(node, tx, BRIDGE, SESSIONS_MAX)? {
        entity.delete(node, tx, BRIDGE, &slot)?;
    }
    entity.put(node, tx, ORDER, b"", &Order::default())
}

/// A message opened under this session; an older one may make room.
pub(super) fn used(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, slot: &[u8]) -> Run {
    let Order(mut order) = entity.get::<Order>(node, tx, ORDER, b"")?.unwrap_or_default();
    let known = order.iter().position(|other| other == slot);
    if known.is_some_and(|at| at == 0 || at + 1 == order.len()) {
        return Ok(());
    }
    if let Some(at) = known {
        order.remove(at);
    }
    order.push(slot.to_vec());
    if order.len() > SESSIONS_MAX {
        entity.delete(node, tx, BRIDGE, &order.remove(1))?;
        node.count(tx, "bridge_session_dropped");
    }
    entity.put(node, tx, ORDER, b"", &Order(order))
}
