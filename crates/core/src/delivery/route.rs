//! What happens to a message from its ingress on: candidates, offers, detours through custodians, retries, and its end
//! when nobody accepts it within [`super::SUBMISSION_LIFE`].

use std::time::Duration;

use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};
use relaymesh_protocol::sms_text::Notice;

use super::body::{Body, Cargo, Route, Submission};
use super::custody::{self, COPY_BUDGET, spread_targets};
use super::legs::{CANDIDATES_MAX, DELAY_MAX, Held, Leg, SILENT_AFTER, next_delay, next_search};
use super::letters::{carry, seal_until};
use super::outbox::{OUTCOME_LIFE, Outbox, Stage};
use super::window::{self, Line};
use super::{Change, Offer, Rows, away};
use crate::egress;
use crate::input::Follow;
use crate::locator::{self, Candidate, Lookup};
use crate::node::Node;
use crate::output::SmsPurpose;
use crate::record::{delete_row, get_node, key, put_node, restore_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Copies of one attempt that go to custodians when a candidate cannot be reached.
const SPRAY_COPIES: usize = 2;
/// Messages that are tried at once when a link comes up; the rest follow spread over the next seconds.
const BURST: usize = 64;

/// Starts a message's way: it is durable in the outbox.
pub(crate) fn hold(tx: &mut Tx<'_>, message: MessageId, outbox: &Outbox) {
    tx.then(Change::Hold(message, Box::new(held(outbox))));
    tx.follow(Follow::Route(message));
}

fn held(outbox: &Outbox) -> Held {
    let line = match outbox.cargo {
        Cargo::Whole { .. } => Some(Line::of(&outbox.lookup)),
        // Answers and incomplete images stand in nobody's line: no ratchet counts them.
        Cargo::Parts(_) | Cargo::Keyword(_) => None,
    };
    let mut held = Held::new(outbox.received, line);
    held.tag = outbox.lookup.device_tag();
    held
}

/// Whether a candidate may be offered the message now.
fn due(node: &Node, held: &Held, candidate: &Candidate, now: Timestamp) -> bool {
    let leg = held.legs.get(&candidate.node);
    let known = candidate.node == node.id() || node.membership.is_member(&candidate.node);
    known && !leg.is_some_and(|leg| leg.waits(now))
}

/// A candidate that declined an answer or an incomplete image has it, and may have acted on it: offering it again would bring
/// nothing.
fn has_it(held: &Held, candidate: &Candidate) -> bool {
    matches!(held.legs.get(&candidate.node), Some(Leg::Declined))
}

/// Finds candidates for a held message, offers it to them, and sets the next attempt.
pub(crate) fn on_route(node: &Node, tx: &mut Tx<'_>, message: MessageId) -> Run {
    let Some(held) = node.delivery.held.get(&message) else { return Ok(()) };
    if !node.delivery.held.has_turn(&message, held) {
        tx.then(Change::Parked(message));
        return Ok(());
    }
    let Some(outbox) = get_node::<Outbox>(node, tx, &key::outbox(&message))? else {
        tx.then(Change::Release(message));
        window::moved(node, tx, held);
        return Ok(());
    };
    let now = tx.now();
    if now >= outbox.end() {
        return expire(node, tx, message, outbox);
    }
    let mut candidates = locator::locate(node, tx, message, &outbox);
    if let Some(patience) = outbox.patience() {
        let known = candidates.len();
        candidates.retain(|candidate| !has_it(held, candidate));
        if known > 0 && candidates.is_empty() && now.since(outbox.received) >= patience {
            return end(node, tx, message, outbox);
        }
    }
    if held.gives_way() && back_in_line(tx, message, held, &candidates) {
        return Ok(());
    }
    let unknown = candidates.is_empty();
    let sleeps = leave_alone(node, held, &mut candidates, now);
    candidates.retain(|candidate| due(node, held, candidate, now));
    best_first(node, held, &mut candidates);
    if candidates.is_empty() && sleeps.is_none() {
        node.count(tx, "route_no_candidate");
    }
    for candidate in &candidates {
        offer(node, tx, message, &outbox, candidate);
    }
    let waited = now.since(held.received);
    let delay =
        if unknown { next_search(held.delay, waited, tx.rng()) } else { next_delay(held.delay, DELAY_MAX, tx.rng()) };
    tx.then(Change::Attempted(message, delay));
    tx.wake(sleeps.unwrap_or(now.after(delay)), Timer::Route(message));
    Ok(())
}

/// Takes out candidates that nothing is to be offered to now: those away, whom one message tries for all, and those that have
/// just declined. If no other is left: until when the message sleeps, to have copies for custodians or to ask again.
fn leave_alone(node: &Node, held: &Held, candidates: &mut Vec<Candidate>, now: Timestamp) -> Option<Timestamp> {
    let away = candidates.extract_if(.., |candidate| away::waits_for(node, held, &candidate.node, now));
    let sprays = away.map(|candidate| held.spray_at(&candidate.node, now)).min();
    let rests = |candidate: &Candidate| held.rests_until(&candidate.node).filter(|until| *until > now);
    let rested = candidates.iter().filter_map(rests).min();
    candidates.retain(|candidate| rests(candidate).is_none());
    sprays.into_iter().chain(rested).min().filter(|_| candidates.is_empty())
}

/// Keeps the few candidates that are most likely to be the home.
pub(super) fn best_first(node: &Node, held: &Held, candidates: &mut Vec<Candidate>) {
    candidates.sort_by_key(|candidate| {
        let score = node.delivery.score(&candidate.node);
        (held.order(&candidate.node), -score, candidate.node)
    });
    candidates.truncate(CANDIDATES_MAX);
}

/// Whether a message that gave way takes its place again, since somebody who was never asked may be its home.
fn back_in_line(tx: &mut Tx<'_>, message: MessageId, held: &Held, candidates: &[Candidate]) -> bool {
    let mut any = false;
    for candidate in candidates.iter().filter(|candidate| !held.legs.contains_key(&candidate.node)) {
        tx.then(Change::Leg(message, candidate.node, Leg::Due));
        any = true;
    }
    if let Some(line) = held.line.filter(|_| any) {
        let now = tx.now();
        tx.wake(now, Timer::Window(line));
    }
    any && held.line.is_some()
}

/// The submission as one candidate needs it.
pub(super) fn submission(outbox: &Outbox, message: MessageId, candidate: &Candidate) -> Option<Submission> {
    let route = match (&outbox.lookup, candidate.tag) {
        (Lookup::Device(device), _) => Route::Device(*device),
        (Lookup::Number(_), Some((key_id, tag))) => Route::Number { tag, key_id },
        (Lookup::Identity(_), Some((key_id, tag))) => Route::Identity { tag, key_id },
        (Lookup::Number(_) | Lookup::Identity(_), None) => return None,
        (Lookup::Bridge { number, .. }, _) => Route::Bridge { number: number.clone() },
    };
    Some(outbox.submission(message, route))
}

fn offer(node: &Node, tx: &mut Tx<'_>, message: MessageId, outbox: &Outbox, candidate: &Candidate) {
    let at = tx.now();
    let leg = Leg::Offered { at };
    if candidate.node == node.id() {
        tx.then(Change::Leg(message, candidate.node, leg));
        tx.follow(Follow::Local(message));
        return;
    }
    let Some(submission) = submission(outbox, message, candidate) else { return };
    let body = Body::Submission(Box::new(submission));
    let Some(sealed) = seal_until(node, tx, candidate.node, &body, outbox.end()) else {
        // Too large for an envelope, say: this candidate will never open it.
        tx.then(Change::Leg(message, candidate.node, leg));
        tx.then(Change::Leg(message, candidate.node, Leg::Declined));
        return window::moved_by(node, tx, message);
    };
    node.count(tx, "leg_offered");
    node.trace(tx, message, "leg", || format!("offered to {}", node.membership.display(&candidate.node)));
    tx.then(Change::Leg(message, candidate.node, leg));
    tx.wake(at.after(SILENT_AFTER), Timer::LegSilent(message, candidate.node));
    carry(tx, candidate.node, sealed.id, sealed.envelope, 0, 0, Offer::Leg(message));
}

/// A candidate could not be reached: freshly sealed copies go to custodians.
pub(super) fn detour(node: &Node, tx: &mut Tx<'_>, message: MessageId, candidate: NodeId) -> Run {
    let now = tx.now();
    let may = node.delivery.held.get(&message).is_some_and(|held| held.may_spray(&candidate, now));
    let targets = spread_targets(node, &candidate, &[], SPRAY_COPIES);
    if targets.is_empty() || !may {
        return Ok(());
    }
    let Some(outbox) = get_node::<Outbox>(node, tx, &key::outbox(&message))? else { return Ok(()) };
    if outbox.stage != Stage::Held {
        return Ok(());
    }
    let found = locator::locate(node, tx, message, &outbox);
    let Some(submission) =
        found.iter().find(|c| c.node == candidate).and_then(|candidate| submission(&outbox, message, candidate))
    else {
        return Ok(());
    };
    let body = Body::Submission(Box::new(submission));
    let Some(sealed) = seal_until(node, tx, candidate, &body, outbox.end()) else { return Ok(()) };
    tx.then(Change::Sprays(message, now));
    for to in targets {
        node.trace(tx, message, "custody", || format!("copy to {}", node.membership.display(&to)));
        carry(tx, to, sealed.id, sealed.envelope.clone(), 1, COPY_BUDGET, Offer::Spray(message, candidate));
    }
    Ok(())
}

/// Nobody accepted in time: the copy ends, and the sender is told that the outcome is uncertain, if it was an enrolled
/// gateway client that named it: anybody else may have made the number up.
fn expire(node: &Node, tx: &mut Tx<'_>, message: MessageId, mut outbox: Outbox) -> Run {
    node.trace(tx, message, "ingress", || "expired: no home accepted it");
    if let Some(sender) = outbox.sender.take().filter(|_| outbox.trusted) {
        let notice = Notice::Expired { sent: outbox.received };
        egress::text(node, tx, message, &sender, notice.text(outbox.language()).into(), SmsPurpose::Notice)?;
    }
    node.count(tx, "message_expired");
    end(node, tx, message, outbox)
}

/// The copy ends; the record stays for duplicates, which an incomplete image has none of.
fn end(node: &Node, tx: &mut Tx<'_>, message: MessageId, mut outbox: Outbox) -> Run {
    if matches!(outbox.cargo, Cargo::Parts(_)) {
        return withdraw(tx, message);
    }
    outbox.stage = Stage::Expired { at: tx.now() };
    outbox.drop_cargo();
    put_node(node, tx, key::outbox(&message), &outbox)?;
    tx.then(Change::Release(message));
    window::moved_by(node, tx, message);
    tx.wake(tx.now().after(OUTCOME_LIFE), Timer::Outcome(message));
    Ok(())
}

/// A message of this node's own making ends, and nothing of it stays.
pub(crate) fn withdraw(tx: &mut Tx<'_>, message: MessageId) -> Run {
    tx.then(Change::Release(message));
    delete_row(tx, key::outbox(&message))
}

/// An offer has waited long enough for its receipt.
pub(crate) fn on_leg_silent(node: &Node, tx: &mut Tx<'_>, message: MessageId, candidate: NodeId) -> Run {
    let Some(held) = node.delivery.held.get(&message) else { return Ok(()) };
    if let Some(Leg::Offered { at }) = held.legs.get(&candidate)
        && tx.now().since(*at) >= SILENT_AFTER
    {
        tx.change(Change::Leg(message, candidate, Leg::Silent));
        window::moved(node, tx, held);
        node.count(tx, "leg_silent");
    }
    Ok(())
}

/// A link to a member came up: what waits for it, and what found no way before, goes now.
pub(super) fn on_connected(node: &Node, tx: &mut Tx<'_>, peer: NodeId) -> Run {
    custody::on_connected(node, tx, peer);
    let (all, now) = (&node.delivery.held, tx.now());
    // What was offered over the link before may be lost with it; the home knows a block that it has already.
    let mut helped: Vec<MessageId> = Vec::new();
    for (message, ..) in all.with_leg(&peer).filter(|(.., leg)| *leg != Leg::Declined) {
        tx.change(Change::Leg(*message, peer, Leg::Due));
        helped.push(*message);
    }
    away::on_connected(node, tx, peer);
    // It may be asked who is a candidate, or may carry a copy; a candidate that declined helps no further.
    helped.extend(all.nowhere());
    let carries = all.spreading(now).filter(|(_, held)| !held.legs.contains_key(&peer));
    helped.extend(carries.map(|(message, _)| *message));
    route_these(node, tx, usize::MAX, helped);
    Ok(())
}

/// Tries held messages again soon, as far as it is their turn: the first at once, the others spread over the next seconds.
pub(crate) fn route_all(node: &Node, tx: &mut Tx<'_>, wanted: impl Fn(&Held) -> bool) {
    route_some(node, tx, usize::MAX, wanted);
}

/// As [`route_some`], those that a candidate has not declined.
pub(super) fn route_to(node: &Node, tx: &mut Tx<'_>, most: usize, candidate: &NodeId) {
    let legs = node.delivery.held.with_leg(candidate).filter(|(.., leg)| *leg != Leg::Declined);
    let messages: Vec<MessageId> = legs.map(|(message, ..)| *message).collect();
    route_these(node, tx, most, messages);
}

/// As [`route_all`], those that found a candidate away.
pub(super) fn route_missed(node: &Node, tx: &mut Tx<'_>, candidate: &NodeId) {
    let legs = node.delivery.held.with_leg(candidate).filter(|(.., leg)| *leg == Leg::Unreachable);
    let messages: Vec<MessageId> = legs.map(|(message, ..)| *message).collect();
    route_these(node, tx, usize::MAX, messages);
}

/// As [`route_all`], at most so many, the oldest.
pub(crate) fn route_some(node: &Node, tx: &mut Tx<'_>, most: usize, wanted: impl Fn(&Held) -> bool) {
    let wanted = node.delivery.held.iter().filter(|(_, held)| wanted(held));
    let messages: Vec<MessageId> = wanted.map(|(message, _)| *message).collect();
    route_these(node, tx, most, messages);
}

fn route_these(node: &Node, tx: &mut Tx<'_>, most: usize, messages: Vec<MessageId>) {
    let now = tx.now();
    let all = &node.delivery.held;
    let held = messages.into_iter().filter_map(|message| Some((message, all.get(&message)?)));
    let turn = held.filter(|(message, held)| all.has_turn(message, held));
    let mut waiting: Vec<_> = turn.map(|(message, held)| (held.received, message)).collect();
    waiting.sort_unstable();
    for (n, (_, message)) in waiting.into_iter().take(most).enumerate() {
        let later = if n < BURST { Duration::ZERO } else { Duration::from_millis((n as u64).min(30_000)) };
        tx.wake(now.after(later), Timer::Route(message));
    }
}

/// An outcome was kept long enough.
pub(crate) fn on_forget(node: &Node, tx: &mut Tx<'_>, message: MessageId) -> Run {
    let Some(outbox) = get_node::<Outbox>(node, tx, &key::outbox(&message))? else { return Ok(()) };
    let ended = match outbox.stage {
        Stage::Held => return Ok(()),
        Stage::Accepted { at, .. } | Stage::Done { at, .. } | Stage::Expired { at } => at,
    };
    if tx.now().since(ended) >= OUTCOME_LIFE {
        return delete_row(tx, key::outbox(&message));
    }
    tx.wake(ended.after(OUTCOME_LIFE), Timer::Outcome(message));
    Ok(())
}

/// Sets everything in motion after the records were read.
pub(crate) fn start(node: &Node, tx: &mut Tx<'_>) -> Run {
    route_all(node, tx, |_| true);
    for recipient in node.delivery.copies.recipients() {
        tx.wake(tx.now(), Timer::Custody(*recipient));
    }
    Ok(())
}

/// Standing decays.
pub(crate) fn daily(_node: &Node, tx: &mut Tx<'_>) -> Run {
    tx.change(Change::Decay);
    Ok(())
}

/// Reads outbox and custody at start.
pub(crate) fn restore(node: &mut Node, table: u8, rows: &Rows, _now: Timestamp) {
    if table == key::CUSTODY {
        return custody::restore(node, rows);
    }
    for (row_key, row) in rows {
        let message = row_key.get(1..).map(MessageId::try_from);
        let (Some(Ok(message)), Some(outbox)) = (message, restore_row::<Outbox>(node, row_key, row)) else { continue };
        match outbox.stage {
            Stage::Held => {
                if !outbox.trusted {
                    node.delivery.apply(Change::Stranger(message, outbox.received));
                }
                node.delivery.held.hold(message, held(&outbox));
            }
            Stage::Accepted { at, .. } | Stage::Done { at, .. } | Stage::Expired { at } => {
                node.set_timer(at.after(OUTCOME_LIFE), Timer::Outcome(message));
            }
        }
    }
}
