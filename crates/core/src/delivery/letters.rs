//! Envelopes in and out: sealing a body to a node, taking one in, and what became of those that left.

use std::time::Duration;

use relaymesh_protocol::frame::{Carried, Taken};
use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId, Timestamp};

use super::body::{Body, Opened};
use super::legs::Leg;
use super::{Change, Offer, custody, route};
use crate::crypto::Letter;
use crate::home;
use crate::input::{Follow, LinkError, ReplyTo};
use crate::node::Node;
use crate::output::Output;
use crate::tx::{Run, Tx};

/// Custody copies and receipts end after this long; the ingress re-seals until the submission's own end.
pub(super) const ENVELOPE_LIFE: Duration = Duration::from_hours(14 * 24);
/// Most hand-overs of one copy.
pub(super) const HOPS_MAX: u8 = 4;

/// A sealed body, ready to leave.
pub(super) struct Sealed {
    pub id: EnvelopeId,
    pub envelope: Vec<u8>,
    pub expires: Timestamp,
}

/// Seals a body to a member under its newest known key, even from an expired record.
pub(super) fn seal(node: &Node, tx: &mut Tx<'_>, to: NodeId, body: &Body) -> Option<Sealed> {
    let sealing = *node.membership.node(&to)?.sealing.first()?;
    let created = tx.now();
    let expires = created.after(ENVELOPE_LIFE);
    let id = EnvelopeId(tx.random());
    let encoded = body.encode();
    let letter = Letter { to, sealing, id, created, expiry: expires, body: &encoded };
    match node.crypto().seal_letter(node.keys(), letter, &mut tx.fork()) {
        Ok(envelope) => Some(Sealed { id, envelope, expires }),
        Err(_) => {
            node.count(tx, "seal_failed");
            None
        }
    }
}

/// Sends a letter of our own (question, answer, ping): straight to its recipient, into custody if that fails. A letter to
/// this node itself goes around at once.
pub(crate) fn send(node: &Node, tx: &mut Tx<'_>, to: NodeId, body: Body) -> Run {
    send_words(node, tx, to, body, Vec::new())
}

/// As [`send`], for receipts: what `words` names is said again until it is heard.
pub(super) fn send_words(
    node: &Node,
    tx: &mut Tx<'_>,
    to: NodeId,
    body: Body,
    words: Vec<(MessageId, home::Word)>,
) -> Run {
    if to == node.id() {
        let envelope = EnvelopeId(tx.random());
        tx.follow(Follow::Body(Box::new(Opened { sender: to, envelope, hops: 0, by_hand: false, body })));
        return Ok(());
    }
    let Some(sealed) = seal(node, tx, to, &body) else { return Ok(()) };
    let offer = Offer::Letter { recipient: to, envelope: sealed.envelope.clone(), expires: sealed.expires, words };
    carry(tx, to, sealed.id, sealed.envelope, 0, 0, offer);
    Ok(())
}

/// Offers an envelope to a peer and remembers what it is.
pub(super) fn carry(
    tx: &mut Tx<'_>,
    to: NodeId,
    id: EnvelopeId,
    envelope: Vec<u8>,
    hops: u8,
    copies: u8,
    offer: Offer,
) {
    tx.then(Change::Offered(to, id, offer));
    tx.output(Output::Carry { to, envelope: id, carried: Carried { envelope, hops, copies } });
}

/// An envelope came: ours is opened, another's taken into custody.
pub(crate) fn on_envelope(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    from: Option<NodeId>,
    carried: &Carried,
) -> Run {
    if from.is_some_and(|peer| !node.membership.is_member(&peer)) {
        return taken(node, tx, reply, Taken::Refused, "envelope_stranger");
    }
    let Ok(header) = relaymesh_seal::envelope::Header::parse(&carried.envelope) else {
        return taken(node, tx, reply, Taken::Refused, "envelope_malformed");
    };
    if header.expiry < tx.now() || carried.hops > HOPS_MAX {
        return taken(node, tx, reply, Taken::Refused, "envelope_expired");
    }
    if node.delivery.seen.contains_key(&header.id) {
        return taken(node, tx, reply, Taken::Known, "envelope_known");
    }
    if header.recipient != node.id() {
        return custody::take(node, tx, reply, from, &header, carried);
    }
    open(node, tx, header.id, carried, from.is_none())?;
    taken(node, tx, reply, Taken::Yes, "envelope_opened")
}

/// Opens an envelope addressed to this node. Whatever is wrong with it, it is dropped without a word.
fn open(node: &Node, tx: &mut Tx<'_>, id: EnvelopeId, carried: &Carried, by_hand: bool) -> Run {
    let opened = node.crypto().open_letter(node.keys(), &carried.envelope).ok();
    let opened = opened.filter(|letter| node.membership.is_member(&letter.sender));
    let Some((letter, body)) = opened.and_then(|letter| Some((letter.sender, Body::decode(&letter.body)?))) else {
        node.count(tx, "envelope_unopened");
        return Ok(());
    };
    tx.then(Change::Seen(id));
    let opened = Opened { sender: letter, envelope: id, hops: carried.hops, by_hand, body };
    match &opened.body {
        // Nobody says these again once this node has said yes to them, so they are durable before it does.
        Body::Receipts(_) | Body::Sms(_) => node.run_body(tx, &opened),
        _ => {
            tx.follow(Follow::Body(Box::new(opened)));
            Ok(())
        }
    }
}

pub(super) fn taken(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, taken: Taken, counter: &'static str) -> Run {
    node.count(tx, counter);
    if reply != ReplyTo::NOBODY {
        tx.output(Output::Taken { to: reply, taken });
    }
    Ok(())
}

/// What became of an envelope that left.
pub(crate) fn on_carried(
    node: &Node,
    tx: &mut Tx<'_>,
    to: NodeId,
    envelope: EnvelopeId,
    taken: Result<Taken, LinkError>,
) -> Run {
    let Some(offer) = node.delivery.offers.get(&(to, envelope)) else { return Ok(()) };
    tx.then(Change::Answered(to, envelope));
    let arrived = matches!(taken, Ok(Taken::Yes | Taken::Known));
    match offer {
        Offer::Leg(message) => {
            if !arrived {
                tx.then(Change::Leg(*message, to, Leg::Unreachable));
                route::detour(node, tx, *message, to)?;
            }
            Ok(())
        }
        Offer::Spray(message, candidate) => {
            if arrived {
                let at = tx.now();
                tx.then(Change::Sprayed(*message, *candidate, at));
            }
            Ok(())
        }
        Offer::Letter { recipient, envelope: bytes, expires, words } => {
            if arrived {
                return home::heard(node, tx, to, words);
            }
            if home::lost(node, tx, to, words)? {
                custody::keep_own(node, tx, *recipient, envelope, bytes, *expires)?;
            }
            Ok(())
        }
        Offer::Copy { recipient } => custody::on_offered(node, tx, *recipient, to, envelope, taken),
    }
}
