//! Envelopes in and out: sealing a body to a node, taking one in, and what became of those that left.

use std::time::Duration;

use relaymesh_protocol::frame::{Carried, Taken};
use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};
use sha2::{Digest, Sha256};

use super::body::{Body, Opened, SmsRequest};
use super::legs::Leg;
use super::{Change, Loss, Offer, away, custody, quota, route};
use crate::crypto::Letter;
use crate::egress;
use crate::home;
use crate::input::{Follow, LinkError, ReplyTo};
use crate::node::Node;
use crate::output::Output;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Custody copies and receipts end after this long; the ingress re-seals until the submission's own end.
pub(super) const ENVELOPE_LIFE: Duration = Duration::from_hours(14 * 24);
/// Most hand-overs of one copy.
pub(super) const HOPS_MAX: u8 = 4;

/// A peer that is busy is asked again after this at least and at most.
const BUSY_PAUSE_MIN: Duration = Duration::from_secs(1);
const BUSY_PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

/// A sealed body, ready to leave.
pub(super) struct Sealed {
    /// What it is known by here; see [`print_of`].
    pub id: EnvelopeId,
    pub envelope: Vec<u8>,
    pub expires: Timestamp,
}

/// What this node knows an envelope by: half of a hash over all of its bytes. The id in the header is only what somebody wrote
/// there: whoever carries an envelope could write the same one into another, and have the first taken for known.
#[must_use]
pub fn print_of(envelope: &[u8]) -> EnvelopeId {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(envelope)[..16]);
    EnvelopeId(half)
}

/// When to come back to a peer that is busy: it says so, within reason.
pub(super) fn busy_pause(retry_after_ms: u32) -> Duration {
    Duration::from_millis(retry_after_ms.into()).clamp(BUSY_PAUSE_MIN, BUSY_PAUSE_MAX)
}

/// Seals a body to a member under its newest known key, even from an expired record.
pub(super) fn seal(node: &Node, tx: &mut Tx<'_>, to: NodeId, body: &Body) -> Option<Sealed> {
    let expires = tx.now().after(ENVELOPE_LIFE);
    seal_until(node, tx, to, body, expires)
}

/// As [`seal`], for what ends before an envelope does.
pub(super) fn seal_until(node: &Node, tx: &mut Tx<'_>, to: NodeId, body: &Body, expires: Timestamp) -> Option<Sealed> {
    let sealing = *node.membership.node(&to)?.sealing.first()?;
    let created = tx.now();
    let expires = expires.min(created.after(ENVELOPE_LIFE));
    let id = EnvelopeId(tx.random());
    let encoded = body.encode();
    let letter = Letter { to, sealing, id, created, expiry: expires, body: &encoded };
    match node.crypto().seal_letter(node.keys(), letter, &mut tx.fork()) {
        Ok(envelope) => Some(Sealed { id: print_of(&envelope), envelope, expires }),
        Err(_) => {
            node.count(tx, "seal_failed");
            None
        }
    }
}

/// Sends a letter of our own (question, answer, ping): straight to its recipient, into custody if that fails. A letter to
/// this node itself goes around at once.
pub(crate) fn send(node: &Node, tx: &mut Tx<'_>, to: NodeId, body: Body) -> Run {
    send_or(node, tx, to, body, Loss::Kept)
}

/// Asks a node for an SMS. The request goes there or nowhere: in custody it might arrive when another way was taken.
pub(crate) fn offer_sms(node: &Node, tx: &mut Tx<'_>, to: NodeId, id: [u8; 16], request: SmsRequest) {
    if let Some(sealed) = seal(node, tx, to, &Body::Sms(request)) {
        carry(tx, to, sealed.id, sealed.envelope, 0, 0, Offer::Sms(id));
    }
}

/// As [`send`], where something else than custody is for a letter that does not arrive.
pub(super) fn send_or(node: &Node, tx: &mut Tx<'_>, to: NodeId, body: Body, loss: Loss) -> Run {
    if to == node.id() {
        let envelope = EnvelopeId(tx.random());
        tx.follow(Follow::Body(Box::new(Opened { sender: to, envelope, hops: 0, by_hand: false, body })));
        return Ok(());
    }
    let Some(sealed) = seal(node, tx, to, &body) else { return Ok(()) };
    let offer = Offer::Letter { recipient: to, envelope: sealed.envelope.clone(), expires: sealed.expires, loss };
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
    if from.is_some_and(|peer| !quota::admit(node, tx, peer)) {
        return taken(node, tx, reply, Taken::Busy { retry_after_ms: quota::BUSY_MS }, "envelope_over_quota");
    }
    let Ok(header) = relaymesh_seal::envelope::Header::parse(&carried.envelope) else {
        return taken(node, tx, reply, Taken::Refused, "envelope_malformed");
    };
    if header.expiry < tx.now() || carried.hops > HOPS_MAX {
        return taken(node, tx, reply, Taken::Refused, "envelope_expired");
    }
    let print = print_of(&carried.envelope);
    if node.delivery.seen.contains_key(&print) {
        return taken(node, tx, reply, Taken::Known, "envelope_known");
    }
    if header.recipient != node.id() {
        return custody::take(node, tx, reply, from, &header, print, carried);
    }
    open(node, tx, print, carried, from.is_none())?;
    taken(node, tx, reply, Taken::Yes, "envelope_opened")
}

/// Opens an envelope addressed to this node. Whatever is wrong with it, it is dropped without a word.
fn open(node: &Node, tx: &mut Tx<'_>, print: EnvelopeId, carried: &Carried, by_hand: bool) -> Run {
    let opened = node.crypto().open_letter(node.keys(), &carried.envelope).ok();
    let opened = opened.filter(|letter| node.membership.is_member(&letter.sender));
    let Some((letter, body)) = opened.and_then(|letter| Some((letter.sender, Body::decode(&letter.body)?))) else {
        node.count(tx, "envelope_unopened");
        return Ok(());
    };
    tx.then(Change::Seen(print));
    let opened = Opened { sender: letter, envelope: print, hops: carried.hops, by_hand, body };
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
                tx.cancel(Timer::LegSilent(*message, to));
            }
            match taken {
                // Too much is under way from here: that says nothing of the other side.
                Err(LinkError::Busy) => {}
                Err(_) => {
                    away::missed(node, tx, to);
                    away::rest(node, tx, *message, to);
                }
                Ok(_) => away::found(node, tx, to),
            }
            match taken {
                Ok(Taken::Yes | Taken::Known) => Ok(()),
                // It is there, so nobody else needs to carry anything.
                Ok(Taken::Busy { retry_after_ms }) => {
                    let at = tx.now().after(busy_pause(retry_after_ms));
                    tx.wake_by(at, Timer::Route(*message));
                    Ok(())
                }
                Ok(Taken::Refused) | Err(_) => route::detour(node, tx, *message, to),
            }
        }
        Offer::Spray(message, candidate) => {
            if arrived {
                let at = tx.now();
                tx.then(Change::Sprayed(*message, *candidate, at));
                away::rest_sprayed(node, tx, *message, *candidate);
            }
            Ok(())
        }
        Offer::Letter { recipient, envelope: bytes, expires, loss } => {
            let keep = match loss {
                Loss::SaidAgain(words) if arrived => return home::heard(node, tx, to, words),
                Loss::SaidAgain(words) => home::lost(node, tx, to, words)?,
                Loss::Kept => !arrived,
                Loss::Forgotten => false,
            };
            if keep {
                custody::keep_own(node, tx, *recipient, envelope, bytes, *expires)?;
            }
            Ok(())
        }
        Offer::Sms(id) => egress::on_offered(node, tx, *id, to, taken),
        Offer::Copy { recipient } => custody::on_offered(node, tx, *recipient, to, envelope, taken),
    }
}
