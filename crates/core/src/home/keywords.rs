//! What a person answered to our SMS, at its home: `RESEND n` sends an uncertain message once more, `STOP` freezes the bridge
//! identity of the number, `START` ends that. Whatever came of it, the ingress hears the same at the same time.

use std::time::Duration;

use relaymesh_protocol::ids::{E164, MessageId, NodeId, Timestamp};
use relaymesh_protocol::payload::Payload;
use relaymesh_protocol::sms_text::{Keyword, Notice};
use serde::{Deserialize, Serialize};

use super::bridge::{self, BridgeIdentity};
use super::consume::{self, Incoming};
use super::find::Try;
use super::{allowance, claim, kept, sessions};
use crate::delivery::{Outbox, Route, Submission};
use crate::egress;
use crate::locator::{self, Lookup, NumberKind};
use crate::node::Node;
use crate::record::index;
use crate::record::vault::BRIDGE;
use crate::record::{Entity, Stored};
use crate::tx::{Run, Tx};

/// Table byte of [`Freeze`]; one record, key empty; only of bridge identities.
const FREEZE: u8 = 11;
/// Clocks of ingresses may differ by so much.
const SKEW: Duration = Duration::from_secs(10 * 60);
/// Answers to `STOP` and `START` that one number gets in a day.
const TOLD_PER_DAY: u8 = 4;
/// Answers that are remembered, so that a late copy does nothing.
const DONE_MAX: usize = 16;

/// What the number said last about its bridge mail.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Freeze {
    /// Nothing is published.
    frozen: bool,
    /// Since when it is as it is.
    at: Timestamp,
    /// When an ingress took in the answer that made it so.
    said: Timestamp,
    /// After `START`: only a new key exchange through an authenticated gateway client begins again.
    awaits_hello: bool,
    /// Answers that had an effect, the newest last.
    done: Vec<MessageId>,
    /// Day, and SMS about this on that day.
    told: (u64, u8),
}

impl Stored for Freeze {}

/// An answer whose home may be this very node.
pub(super) fn on_local(node: &Node, tx: &mut Tx<'_>, message: MessageId, outbox: &Outbox) -> Run {
    let own = |kind, number| locator::own_tag(node, kind, number);
    let route = match &outbox.lookup {
        Lookup::Number(number) => own(NumberKind::Phone, number).map(|(key_id, tag)| Route::Number { tag, key_id }),
        Lookup::Identity(number) => {
            own(NumberKind::Bridge, number).map(|(key_id, tag)| Route::Identity { tag, key_id })
        }
        Lookup::Device(_) | Lookup::Bridge { .. } => None,
    };
    match (route, &outbox.cargo) {
        (Some(route), crate::delivery::Cargo::Keyword(keyword)) => {
            on_keyword(node, tx, node.id(), &outbox.submission(message, route), *keyword)
        }
        _ => consume::decline(node, tx, node.id(), message),
    }
}

/// An answer, from here or out of an envelope.
pub(super) fn on_keyword(node: &Node, tx: &mut Tx<'_>, from: NodeId, submission: &Submission, keyword: Keyword) -> Run {
    if let Some((kind, tag)) = of(&submission.route)
        && claim::is_vouched(node, from, submission)
        && let Some(id) = index::find(node, tx, kind.index(), &consume::tag_value(tag.0, &tag.1))?
        && let Some(mut entity) = Entity::load(node, tx, id)?
    {
        let done = match keyword {
            Keyword::Resend { number } => {
                let told = |told: &E164| locator::is_tag_of(node, kind, told, tag);
                !is_frozen(node, tx, &entity)? && kept::again(node, tx, &entity, number, submission.message, told)?
            }
            Keyword::Stop if kind == NumberKind::Bridge => stop(node, tx, submission, &mut entity)?,
            Keyword::Start if kind == NumberKind::Bridge => start(node, tx, submission, &mut entity)?,
            Keyword::Stop | Keyword::Start => false,
        };
        node.count(tx, if done { "keyword_done" } else { "keyword_without_effect" });
    }
    consume::decline(node, tx, from, submission.message)
}

fn of(route: &Route) -> Option<(NumberKind, (u32, relaymesh_protocol::ids::Tag))> {
    match route {
        Route::Number { tag, key_id } => Some((NumberKind::Phone, (*key_id, *tag))),
        Route::Identity { tag, key_id } => Some((NumberKind::Bridge, (*key_id, *tag))),
        Route::Device(_) | Route::Bridge { .. } => None,
    }
}

fn stop(node: &Node, tx: &mut Tx<'_>, submission: &Submission, entity: &mut Entity) -> Run<bool> {
    let mut freeze = entity.get::<Freeze>(node, tx, FREEZE, b"")?.unwrap_or_default();
    let older = submission.received.after(SKEW) < freeze.said;
    if freeze.frozen || older || freeze.done.contains(&submission.message) {
        return Ok(false);
    }
    freeze.turn(true, submission, tx.now());
    freeze.awaits_hello = true;
    // Whoever began a session under this number, they begin again after `START`, or not at all.
    sessions::forget(node, tx, entity)?;
    tell(node, tx, entity, &mut freeze, |_| Notice::BridgeStopped)?;
    entity.put(node, tx, FREEZE, b"", &freeze)?;
    node.count(tx, "bridge_stopped");
    Ok(true)
}

fn start(node: &Node, tx: &mut Tx<'_>, submission: &Submission, entity: &mut Entity) -> Run<bool> {
    let Some(mut freeze) = entity.get::<Freeze>(node, tx, FREEZE, b"")? else { return Ok(false) };
    let older = submission.received <= freeze.said;
    if !freeze.frozen || older || freeze.done.contains(&submission.message) {
        return Ok(false);
    }
    freeze.turn(false, submission, tx.now());
    tell(node, tx, entity, &mut freeze, |alias| Notice::BridgeAgain { alias })?;
    entity.put(node, tx, FREEZE, b"", &freeze)?;
    Ok(true)
}

impl Freeze {
    fn turn(&mut self, frozen: bool, submission: &Submission, now: Timestamp) {
        self.frozen = frozen;
        self.at = now;
        self.said = submission.received.min(now);
        if self.done.len() >= DONE_MAX {
            self.done.remove(0);
        }
        self.done.push(submission.message);
    }
}

fn tell(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &Entity,
    freeze: &mut Freeze,
    notice: impl FnOnce(String) -> Notice,
) -> Run {
    let today = tx.now().day();
    let (day, count) = freeze.told;
    let count = if day == today { count } else { 0 };
    let identity = entity.get::<BridgeIdentity>(node, tx, bridge::BRIDGE_IDENTITY, b"")?;
    let (true, Some(BridgeIdentity { number })) = (count < TOLD_PER_DAY, identity) else { return Ok(()) };
    freeze.told = (today, count + 1);
    let language = allowance::language(node, tx, entity)?;
    egress::notice(node, tx, &number, language, &notice(bridge::alias(node, &number)))
}

/// Whether nothing may be published for an entity: it is a bridge identity, and its number said `STOP`.
pub(super) fn is_frozen(node: &Node, tx: &mut Tx<'_>, entity: &Entity) -> Run<bool> {
    Ok(entity.get::<Freeze>(node, tx, FREEZE, b"")?.is_some_and(|freeze| freeze.frozen))
}

/// Whether a session of a number may be tried. What an ingress took in while the number had mail stopped is never opened,
/// and after `START` a new key exchange comes first.
pub(super) fn lets_in(
    node: &Node,
    tx: &mut Tx<'_>,
    incoming: &Incoming<'_>,
    payload: &Payload,
    candidate: &Try,
) -> Run<bool> {
    let Some(entity) = candidate.entity.as_ref().filter(|_| candidate.slot.0 == BRIDGE) else { return Ok(true) };
    let Some(freeze) = entity.get::<Freeze>(node, tx, FREEZE, b"")? else { return Ok(true) };
    let submission = incoming.submission;
    let hello = matches!(payload, Payload::Bridge(bridge) if bridge.key_exchange.is_some());
    let since = submission.received.after(SKEW) >= freeze.at;
    Ok(!freeze.frozen && since && (!freeze.awaits_hello || (hello && submission.trusted)))
}

/// A message of a bridge identity opened: it has begun again.
pub(super) fn begun(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity) -> Run {
    match entity.get::<Freeze>(node, tx, FREEZE, b"")? {
        Some(mut freeze) if freeze.awaits_hello => {
            freeze.awaits_hello = false;
            entity.put(node, tx, FREEZE, b"", &freeze)
        }
        _ => Ok(()),
    }
}
