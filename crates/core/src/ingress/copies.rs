//! A message that comes in again while it waits for its home. Most copies say nothing new. But an enrolled gateway client
//! vouches for what was brought by nobody so far, and a reliability test is of the one gateway client that brings it: which
//! one that is only its home can read.

use relaymesh_protocol::content::ServiceType;
use relaymesh_protocol::ids::{E164, MessageId};
use relaymesh_protocol::payload::Payload;
use relaymesh_protocol::platform::Platform;

use super::{Change, Origin};
use crate::delivery::{self, Body, Outbox, Route, Stage};
use crate::locator::{self, Candidate, Lookup};
use crate::node::Node;
use crate::record::{key, put_node};
use crate::tx::{Run, Tx};

/// Doors of tests that are remembered, so that each is told of once; the oldest is forgotten.
pub(super) const DOORS_MAX: usize = 256;
/// Nodes that are told of one door; as many as are offered a message at once.
const TOLD_MAX: usize = 4;

/// A door through which a test came again.
pub(crate) type TestDoor = (MessageId, E164);

/// Takes from a copy what it adds to the message that waits.
pub(super) fn came_again(
    node: &Node,
    tx: &mut Tx<'_>,
    id: MessageId,
    known: &Outbox,
    origin: &Origin,
    payload: &Payload,
) -> Run {
    let Some(gateway) = origin.gateway.as_ref().filter(|_| known.stage == Stage::Held) else { return Ok(()) };
    let copy = Outbox {
        sender: origin.sender.clone().or_else(|| known.sender.clone()),
        gateway: Some(gateway.clone()),
        date: origin.date,
        date_sent: origin.date_sent,
        trusted: true,
        ..known.clone()
    };
    if !known.trusted {
        return vouch(node, tx, id, &copy);
    }
    let door = (id, gateway.clone());
    let told = known.gateway.as_ref() == Some(gateway) || node.ingress.doors.contains(&door);
    if told || !is_test(payload) {
        return Ok(());
    }
    if tell(node, tx, id, &copy)? {
        tx.then(Change::TestDoor(door));
    }
    Ok(())
}

/// The message begins anew as one that an enrolled gateway client brought: whoever declined it may take it now, and it no
/// longer gives way to others where strangers fill the room.
fn vouch(node: &Node, tx: &mut Tx<'_>, id: MessageId, copy: &Outbox) -> Run {
    put_node(node, tx, key::outbox(&id), copy)?;
    node.trace(tx, id, "ingress", || "now through an enrolled gateway client");
    tx.then(delivery::Change::Release(id));
    delivery::hold(tx, id, copy);
    Ok(())
}

fn is_test(payload: &Payload) -> bool {
    let Payload::Platform(payload) = payload else { return false };
    Platform::by_shortcode(payload.shortcode).is_some_and(|platform| platform.service == ServiceType::Test)
}

/// Who may be the home hears that the test came through this door, too. Each copy has its letter, since none of them can be
/// told for the right one here; a home answers all of them as it answers the message. False where nobody is known yet: then
/// only a further copy tries again, for a test is over in ten minutes.
fn tell(node: &Node, tx: &mut Tx<'_>, id: MessageId, copy: &Outbox) -> Run<bool> {
    let mut told = false;
    let candidates = locator::locate(node, tx, id, copy);
    for candidate in candidates.iter().take(TOLD_MAX) {
        let Some(route) = route(&copy.lookup, candidate) else { continue };
        node.trace(tx, id, "leg", || format!("another door told to {}", node.membership.display(&candidate.node)));
        let body = Body::Submission(Box::new(copy.submission(id, route)));
        delivery::send(node, tx, candidate.node, body)?;
        told = true;
    }
    Ok(told)
}

/// What a candidate finds the person by.
fn route(lookup: &Lookup, candidate: &Candidate) -> Option<Route> {
    match (lookup, candidate.tag) {
        (Lookup::Device(device), _) => Some(Route::Device(*device)),
        (Lookup::Number(_), Some((key_id, tag))) => Some(Route::Number { tag, key_id }),
        // No test is routed otherwise.
        _ => None,
    }
}
