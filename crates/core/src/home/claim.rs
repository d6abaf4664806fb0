//! What a submission claims about itself. Everything in it comes from another node, which may lie: its message id names the
//! job and answers duplicates, so it is computed again from the payload and from who wrote it.

use relaymesh_protocol::ids::{E164, EntityId, MessageId, NodeId};
use relaymesh_protocol::payload::Payload;

use super::consume::Incoming;
use super::find::People;
use crate::delivery::{Route, Submission};
use crate::membership::Relation;
use crate::node::Node;
use crate::record::Entity;
use crate::record::vault::{ACCOUNT, Account};
use crate::tx::{Run, Tx};

/// The id of a message: by the device that its payload names, else by its sender's number.
pub(super) fn id(payload: &Payload, number: Option<&E164>, bytes: &[u8]) -> MessageId {
    match (payload.device_id(), number) {
        (Some(device), _) => MessageId::of(device.as_bytes(), bytes),
        (None, Some(number)) => MessageId::of(number.reveal().as_bytes(), bytes),
        (None, None) => MessageId::of(b"", bytes),
    }
}

/// Whether route and id are those of this payload, as far as that shows without looking anybody up. A payload with a
/// device ID is routed by it, bridge mail by its number, and the rest by a number's tag (at its own home: by the number).
pub(super) fn fits_payload(node: &Node, incoming: &Incoming<'_>, payload: &Payload) -> bool {
    let number = match (&incoming.route, payload.device_id()) {
        (Route::Device(device), Some(named)) if *device == named => None,
        (Route::Bridge { number }, None) if matches!(payload, Payload::Bridge(_)) || incoming.from == node.id() => {
            Some(number)
        }
        (Route::Number { .. }, None) => return matches!(payload, Payload::Platform(_)),
        _ => return false,
    };
    incoming.message == id(payload, number, incoming.payload)
}

/// The rest of [`fits_payload`]: behind a tag there is an account, and its number makes the id.
pub(super) fn fits_number(node: &Node, tx: &mut Tx<'_>, incoming: &Incoming<'_>, people: &People) -> Run<bool> {
    let (Route::Number { .. }, Some(entity)) = (&incoming.route, &people.account) else { return Ok(true) };
    let account = entity.get::<Account>(node, tx, ACCOUNT, b"")?;
    let number = account.and_then(|account| account.phone);
    Ok(number.is_some_and(|number| incoming.message == MessageId::of(number.reveal().as_bytes(), incoming.payload)))
}

/// Whether an operator whom this one knows vouches for the gateway client that a submission came through. A stranger's word
/// that a gateway client is enrolled is worth nothing.
pub(super) fn is_vouched(node: &Node, from: NodeId, submission: &Submission) -> bool {
    let known = from == node.id() || matches!(node.membership.relation(&from), Relation::Own | Relation::Partner);
    known && submission.trusted
}

/// The number of an account.
pub(super) fn phone(node: &Node, tx: &mut Tx<'_>, id: EntityId) -> Run<Option<E164>> {
    let Some(entity) = Entity::load(node, tx, id)? else { return Ok(None) };
    Ok(entity.get::<Account>(node, tx, ACCOUNT, b"")?.and_then(|account| account.phone))
}
