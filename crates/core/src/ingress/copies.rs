//! A message that comes in again. Most copies say nothing new. But an enrolled gateway client vouches for what was brought by
//! nobody so far, and a reliability test is of the one gateway client that brings it: which one that is only its home can
//! read, and where the test began here it may have ended there through another.

use relaymesh_protocol::ids::{E164, MessageId};

use super::{Change, Origin};
use crate::clients;
use crate::command::MessageOutcome;
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
pub(super) fn came_again(node: &Node, tx: &mut Tx<'_>, id: MessageId, known: &Outbox, origin: &Origin) -> Run {
    if let Stage::Done { outcome, .. } = known.stage {
        return ended(node, tx, id, known, origin, outcome);
    }
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
    if told || !known.is_test() {
        return Ok(());
    }
    if tell(node, tx, id, &copy)? {
        tx.then(Change::TestDoor(door));
    }
    Ok(())
}

/// A test may have ended at its home before the copy came that it is about.
fn ended(node: &Node, tx: &mut Tx<'_>, id: MessageId, known: &Outbox, origin: &Origin, before: MessageOutcome) -> Run {
    let now = clients::ended_elsewhere(node, tx, before, known.sms(origin.gateway.as_ref()))?;
    let mut known = known.clone();
    match &mut known.stage {
        Stage::Done { outcome, .. } if now != before => *outcome = now,
        _ => return Ok(()),
    }
    put_node(node, tx, key::outbox(&id), &known)
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
