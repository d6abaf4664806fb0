//! What an ingress may not have heard yet: that its message was accepted, or how it ended. Both are said again until a
//! direct answer tells that the ingress has them, for an ingress says yes to receipts only when they are durable there.
//!
//! While a publication is owed, its job says who waits for what; when it ends, a row of its own takes over.

use std::time::Duration;

use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::job::{self, Job};
use super::unheard::{Lack, Word};
use super::{Change, Rows};
use crate::command::MessageOutcome;
use crate::delivery::{self, Receipt, SUBMISSION_LIFE};
use crate::input::Follow;
use crate::node::Node;
use crate::record::vault::{SEEN, Seen};
use crate::record::{Stored, get_node, key, put_node, restore_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Messages of which one ingress is told again at once.
const AT_ONCE: usize = 128;
/// The next ones follow after this.
const PACE: Duration = Duration::from_millis(250);
/// What was said and neither heard nor lost after this is said again.
const WATCH: Duration = Duration::from_secs(30);
/// Pause after a letter that did not arrive; doubled each time, up to the longest. A link to the ingress or its newer record ends
/// it, and what waits for somebody who is away is in custody.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_hours(12);
/// So many doublings reach it.
const PAUSE_STEPS: u32 = 15;
/// Whoever is no member now is looked for again after this.
const NO_MEMBER: Duration = Duration::from_hours(1);
/// A link has come up: what is under way over it may still arrive.
const LINK_SETTLES: Duration = Duration::from_millis(500);

/// How a message ended, for its ingress.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    /// Who handed the message in first.
    to: NodeId,
    auth_key: [u8; 32],
    ad: [u8; 32],
    outcome: MessageOutcome,
    /// What that ingress tells the sender.
    tell: Option<String>,
    at: Timestamp,
    /// A letter with it was put into custody.
    kept: bool,
}

impl Stored for Row {}

/// Tells an ingress that its message is consumed.
pub(super) fn accepted(node: &Node, tx: &mut Tx<'_>, to: NodeId, message: MessageId, seen: &Seen) -> Run {
    if node.home.unheard.has_room(&to) {
        note(tx, to, message, Word::Accepted);
    } else {
        node.count(tx, "receipt_unkept");
    }
    delivery::say(node, tx, to, vec![acceptance(message, seen)])
}

/// Tells the ingress that brought a message first how it ended, and those that brought it meanwhile.
pub(super) fn ended(
    node: &Node,
    tx: &mut Tx<'_>,
    (to, message): (NodeId, MessageId),
    block: &[u8; 16],
    seen: &Seen,
    tell: Option<String>,
) -> Run {
    if node.home.unheard.has_room(&to) {
        let (auth_key, ad, outcome) = (seen.auth_key, seen.ad, seen.outcome);
        let row = Row { to, auth_key, ad, outcome, tell: tell.clone(), at: tx.now(), kept: false };
        put_node(node, tx, key::receipt(&message), &row)?;
        note(tx, to, message, Word::Done);
    } else {
        node.count(tx, "receipt_unkept");
    }
    delivery::say(node, tx, to, whole(message, seen, tell))?;
    for (other, message) in node.home.unheard.others.get(block).into_iter().flatten() {
        delivery::say(node, tx, *other, whole(*message, seen, None))?;
    }
    tx.then(Change::OthersTold(*block));
    Ok(())
}

/// A consumed block was offered again: its stored result and proof. What the sender is told by SMS goes only to the ingress
/// that brought the block first, as long as that may not have heard it.
pub(super) fn repeat(
    node: &Node,
    tx: &mut Tx<'_>,
    (to, message): (NodeId, MessageId),
    block: &[u8; 16],
    seen: &Seen,
) -> Run {
    if seen.outcome != MessageOutcome::Pending {
        let row = get_node::<Row>(node, tx, &key::receipt(&message))?.filter(|row| row.to == to);
        let tell = row.and_then(|row| row.tell);
        if node.home.unheard.lack(&to, &message).is_some() {
            note(tx, to, message, Word::Done);
        }
        return delivery::say(node, tx, to, whole(message, seen, tell));
    }
    if job::get(node, tx, &message)?.is_some_and(|(_, job)| job.ingress == to) {
        return accepted(node, tx, to, message, seen);
    }
    tx.then(Change::Other(*block, to, message));
    Ok(())
}

/// Notes that something was said just now, and watches over it.
fn note(tx: &mut Tx<'_>, to: NodeId, message: MessageId, word: Word) {
    let now = tx.now();
    tx.then(Change::Said(to, message, word, Some(now)));
    tx.wake_by(now.after(WATCH), Timer::Remind(to));
}

fn acceptance(message: MessageId, seen: &Seen) -> Receipt {
    Receipt::Accepted { message, auth_key: seen.auth_key, ad: seen.ad }
}

/// Proof and outcome, which travel in one letter: an ingress that heard only the first would ask no more.
fn whole(message: MessageId, seen: &Seen, tell: Option<String>) -> Vec<Receipt> {
    vec![acceptance(message, seen), Receipt::Done { message, outcome: seen.outcome, tell }]
}

/// An ingress has what a letter said, durably.
pub(crate) fn heard(node: &Node, tx: &mut Tx<'_>, by: NodeId, words: &[(MessageId, Word)]) -> Run {
    for (message, word) in words {
        if *word == Word::Done && node.home.unheard.lack(&by, message).is_some_and(|lack| lack.word == Word::Done) {
            tx.delete(key::receipt(message))?;
        }
        tx.then(Change::Heard(by, *message, *word));
    }
    Ok(())
}

/// A letter did not arrive: it is said again. Whether the letter itself goes into custody, so that others or a stick carry
/// it: one that is there already is enough, and a connected ingress hears it soon.
pub(crate) fn lost(node: &Node, tx: &mut Tx<'_>, to: NodeId, words: &[(MessageId, Word)]) -> Run<bool> {
    let now = tx.now();
    let away = !node.membership.connected().contains(&to);
    let mut keep = false;
    tx.prefetch(words.iter().map(|(message, _)| key::receipt(message)))?;
    for (message, word) in words {
        let kept = node.home.unheard.lack(&to, message).and_then(|lack| lack.kept);
        if !away || kept >= Some(*word) {
            continue;
        }
        keep = true;
        tx.then(Change::Kept(to, *message, *word));
        if *word == Word::Done
            && let Some(row) = get_node::<Row>(node, tx, &key::receipt(message))?.filter(|row| row.to == to)
        {
            put_node(node, tx, key::receipt(message), &Row { kept: true, ..row })?;
        }
    }
    let lost = node.home.unheard.by.get(&to).map_or(0, |one| one.lost);
    let rest = now.after(PAUSE_MIN.saturating_mul(1 << lost.min(PAUSE_STEPS)).min(PAUSE_MAX));
    tx.then(Change::Lost(to, words.iter().map(|(message, _)| *message).collect(), now, rest));
    tx.wake_by(rest, Timer::Remind(to));
    Ok(keep)
}

/// Says again what an ingress may not have heard.
pub(crate) fn on_remind(node: &Node, tx: &mut Tx<'_>, to: NodeId) -> Run {
    let Some(ingress) = node.home.unheard.by.get(&to) else { return Ok(()) };
    let now = tx.now();
    if to != node.id() && !node.membership.is_member(&to) {
        tx.wake(now.after(NO_MEMBER), Timer::Remind(to));
        return Ok(());
    }
    // What is said anew sets the timer, and must not have all else said again to somebody who is away.
    if ingress.rest > now && ingress.rest <= now.after(PAUSE_MAX) {
        tx.wake(ingress.rest, Timer::Remind(to));
        return Ok(());
    }
    let silent = |lack: &Lack| lack.said.is_none_or(|at| now.since(at) >= WATCH);
    let due = ingress.lacks.iter().filter(|(_, lack)| silent(lack)).map(|(message, _)| *message);
    let due: Vec<MessageId> = due.take(AT_ONCE).collect();
    let pause = if due.len() == AT_ONCE { PACE } else { WATCH };
    for message in due {
        tx.follow(Follow::Remind { to, message });
    }
    tx.wake(now.after(pause), Timer::Remind(to));
    Ok(())
}

/// Says again what one message's ingress may not have heard.
pub(crate) fn on_remind_of(node: &Node, tx: &mut Tx<'_>, to: NodeId, message: MessageId) -> Run {
    let place = key::receipt(&message);
    let row = get_node::<Row>(node, tx, &place)?.filter(|row| row.to == to);
    if let Some(row) = row {
        if tx.now().since(row.at) >= SUBMISSION_LIFE {
            tx.then(Change::Heard(to, message, Word::Done));
            return tx.delete(place);
        }
        node.count(tx, "receipt_again");
        let seen = Seen { auth_key: row.auth_key, ad: row.ad, at: row.at, outcome: row.outcome };
        note(tx, to, message, Word::Done);
        return delivery::say(node, tx, to, whole(message, &seen, row.tell));
    }
    let owed = job::get(node, tx, &message)?.filter(|(_, job)| job.ingress == to);
    let seen = match &owed {
        Some((entity, job)) => entity.get::<Seen>(node, tx, SEEN, &job.block)?,
        None => None,
    };
    let Some(seen) = seen else {
        tx.then(Change::Heard(to, message, Word::Done));
        return Ok(());
    };
    node.count(tx, "receipt_again");
    accepted(node, tx, to, message, &seen)
}

/// A job that was read at start: whether its ingress heard of the acceptance is not known.
pub(super) fn found(node: &Node, tx: &mut Tx<'_>, message: MessageId, job: &Job) {
    if node.home.unheard.lack(&job.ingress, &message).is_none() && node.home.unheard.has_room(&job.ingress) {
        let soon = tx.now().after(LINK_SETTLES);
        tx.then(Change::Said(job.ingress, message, Word::Accepted, None));
        tx.wake_by(soon, Timer::Remind(job.ingress));
    }
}

/// A link to an ingress came up.
pub(crate) fn on_connected(node: &Node, tx: &mut Tx<'_>, peer: NodeId) {
    if node.home.unheard.by.contains_key(&peer) {
        let soon = tx.now().after(LINK_SETTLES);
        tx.change(Change::Linked(peer));
        tx.wake(soon, Timer::Remind(peer));
    }
}

/// An ingress says something new of itself: it may be back.
pub(crate) fn on_news(node: &Node, tx: &mut Tx<'_>, member: &NodeId) {
    if node.home.unheard.by.contains_key(member) {
        tx.change(Change::Linked(*member));
        tx.wake_by(tx.now().after(LINK_SETTLES), Timer::Remind(*member));
    }
}

/// What was not heard before a restart is said again.
pub(super) fn start(node: &Node, tx: &mut Tx<'_>) {
    for ingress in node.home.unheard.by.keys() {
        tx.wake(tx.now(), Timer::Remind(*ingress));
    }
}

/// Reads which ingresses may lack a receipt.
pub(super) fn restore(node: &mut Node, rows: &Rows) {
    for (row_key, row) in rows {
        let message = row_key.get(1..).map(MessageId::try_from);
        let (Some(Ok(message)), Some(row)) = (message, restore_row::<Row>(node, row_key, row)) else { continue };
        node.home.unheard.said(row.to, message, Word::Done, None);
        if row.kept {
            node.home.unheard.kept(&row.to, &message, Word::Done);
        }
    }
}
