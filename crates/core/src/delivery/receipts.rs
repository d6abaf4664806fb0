//! Answers about messages. An acceptance proves itself: only the holder of the ratchet can derive the message's MAC key,
//! so no lie of anyone else makes this node forget a message.

use std::time::Duration;

use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};
use relaymesh_protocol::payload::Payload;
use relaymesh_protocol::sms_text::TOKEN_LINE;

use super::body::{Body, Cargo, Receipt};
use super::legs::Leg;
use super::outbox::{OUTCOME_LIFE, Outbox, Stage};
use super::{Change, Loss, letters, window};
use crate::clients;
use crate::command::MessageOutcome;
use crate::egress::{self, purpose_for, text_max};
use crate::home::{self, Word};
use crate::ingress;
use crate::input::Follow;
use crate::locator;
use crate::membership::Relation;
use crate::node::Node;
use crate::output::SmsPurpose;
use crate::record::{get_node, key, put_node};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Receipts wait this long for others to the same node, and letters with them keep this distance: each is sealed by itself,
/// which costs as much as the rest of the work on a message.
const GATHER: Duration = Duration::from_millis(10);
/// So many leave at once without waiting.
const GATHER_MAX: usize = 32;

/// Most receipts of one letter that are read: a letter that was gathered holds [`GATHER_MAX`], and one message more.
const RECEIPTS_MAX: usize = 2 * GATHER_MAX;

/// Receipts for one node that wait a moment for company.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    receipts: Vec<Receipt>,
    /// When the last letter left.
    left: Timestamp,
}

impl Gathered {
    pub fn add(&mut self, receipts: Vec<Receipt>) {
        // An acceptance travels again beside the outcome.
        self.receipts.retain(|waiting| !receipts.contains(waiting));
        self.receipts.extend(receipts);
    }

    pub fn flushed(&mut self, at: Timestamp) {
        *self = Self { receipts: Vec::new(), left: at };
    }

    pub fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }
}

/// Tells an ingress something about one message; receipts to one node travel together.
pub(crate) fn say(node: &Node, tx: &mut Tx<'_>, to: NodeId, receipts: Vec<Receipt>) -> Run {
    if to == node.id() {
        for receipt in receipts {
            tx.follow(Follow::Receipt { from: to, receipt });
        }
        return Ok(());
    }
    let waiting = node.delivery.gathered.get(&to).map_or(0, |gathered| gathered.receipts.len());
    let more = receipts.len();
    tx.then(Change::Gather(to, receipts));
    let pause = if waiting + more >= GATHER_MAX { Duration::ZERO } else { GATHER };
    let at = tx.now().after(pause);
    tx.wake_by(at, Timer::Receipts(to));
    Ok(())
}

/// Declines leave together at round moments, so that the time of one tells nothing of its reason.
const DECLINE_GRID_MS: u64 = 100;

/// Tells an ingress that a message is not for this node, or not openable.
pub(crate) fn say_declined(node: &Node, tx: &mut Tx<'_>, to: NodeId, message: MessageId) -> Run {
    let receipt = Receipt::Declined { message };
    if to == node.id() {
        tx.follow(Follow::Receipt { from: to, receipt });
        return Ok(());
    }
    // Moved each time it would never fire: a peer that sends rubbish all the time would not be answered.
    let at = Timestamp((tx.now().0 / DECLINE_GRID_MS + 2) * DECLINE_GRID_MS);
    tx.wake_by(at, Timer::Declines(to));
    tx.then(Change::GatherDecline(to, receipt));
    Ok(())
}

/// Sends the declines that were gathered for a node.
pub(crate) fn on_declines(node: &Node, tx: &mut Tx<'_>, to: NodeId) -> Run {
    let Some(receipts) = node.delivery.declines.get(&to) else { return Ok(()) };
    for part in receipts.chunks(GATHER_MAX) {
        letters::send_or(node, tx, to, Body::Receipts(part.to_vec()), Loss::Forgotten)?;
    }
    tx.change(Change::DeclinesFlushed(to));
    Ok(())
}

/// Sends what was gathered for a node.
pub(crate) fn on_flush(node: &Node, tx: &mut Tx<'_>, to: NodeId) -> Run {
    let Some(gathered) = node.delivery.gathered.get(&to).filter(|gathered| !gathered.is_empty()) else {
        return Ok(());
    };
    // What was said while a batch was pending comes with a timer of the past.
    let due = gathered.left.after(GATHER);
    if tx.now() < due && gathered.receipts.len() < GATHER_MAX {
        tx.wake(due, Timer::Receipts(to));
        return Ok(());
    }
    for part in letters_of(&gathered.receipts) {
        let words = part.iter().filter_map(word).collect();
        letters::send_or(node, tx, to, Body::Receipts(part.to_vec()), Loss::SaidAgain(words))?;
    }
    let now = tx.now();
    tx.change(Change::Flushed(to, now));
    Ok(())
}

/// Cuts receipts into letters, never between the acceptance of a message and its outcome.
fn letters_of(receipts: &[Receipt]) -> Vec<&[Receipt]> {
    let mut letters = Vec::new();
    let (mut from, mut end) = (0, 0);
    for about_one in receipts.chunk_by(|a, b| a.message() == b.message()) {
        end += about_one.len();
        if end - from >= GATHER_MAX {
            letters.push(&receipts[from..end]);
            from = end;
        }
    }
    if end > from {
        letters.push(&receipts[from..end]);
    }
    letters
}

/// What a receipt tells its ingress that it must not miss.
fn word(receipt: &Receipt) -> Option<(MessageId, Word)> {
    match receipt {
        Receipt::Accepted { message, .. } => Some((*message, Word::Accepted)),
        Receipt::Done { message, .. } => Some((*message, Word::Done)),
        Receipt::Declined { .. } => None,
    }
}

/// Receipts of another node: each is judged by itself, and all become durable together.
pub(crate) fn on_receipts(node: &Node, tx: &mut Tx<'_>, from: NodeId, receipts: &[Receipt]) -> Run {
    let receipts = receipts.get(..RECEIPTS_MAX).unwrap_or(receipts);
    tx.prefetch(receipts.iter().map(|receipt| key::outbox(&receipt.message())))?;
    for receipt in receipts {
        judge(node, tx, from, receipt)?;
    }
    Ok(())
}

/// A receipt of this node to itself.
pub(crate) fn on_receipt(node: &Node, tx: &mut Tx<'_>, from: NodeId, receipt: &Receipt) -> Run {
    judge(node, tx, from, receipt)?;
    match word(receipt) {
        Some(word) => home::heard(node, tx, from, &[word]),
        None => Ok(()),
    }
}

fn judge(node: &Node, tx: &mut Tx<'_>, from: NodeId, receipt: &Receipt) -> Run {
    match receipt {
        Receipt::Accepted { message, auth_key, ad } => accepted(node, tx, from, *message, auth_key, ad),
        Receipt::Declined { message } => {
            if node.delivery.held.get(message).is_some_and(|held| held.legs.contains_key(&from)) {
                tx.then(Change::Leg(*message, from, Leg::Declined));
                window::moved_by(node, tx, *message);
                node.trace(tx, *message, "receipt", || format!("declined by {}", node.membership.display(&from)));
            }
            Ok(())
        }
        Receipt::Done { message, outcome, tell } => done(node, tx, from, *message, *outcome, tell.as_deref()),
    }
}

fn accepted(node: &Node, tx: &mut Tx<'_>, from: NodeId, message: MessageId, auth_key: &[u8; 32], ad: &[u8; 32]) -> Run {
    let Some(held) = node.delivery.held.get(&message) else { return Ok(()) };
    let Some(mut outbox) = get_node::<Outbox>(node, tx, &key::outbox(&message))? else { return Ok(()) };
    if outbox.stage != Stage::Held {
        return Ok(());
    }
    // Legs are memory: after a restart a candidate's late answer (out of a bundle, say) still counts.
    let asked = held.legs.contains_key(&from)
        || locator::locate(node, tx, message, &outbox).iter().any(|candidate| candidate.node == from);
    if !asked {
        node.count(tx, "receipt_unasked");
        return Ok(());
    }
    if !proves(node, &outbox, auth_key, ad) {
        tx.change(Change::Leg(message, from, Leg::Silent));
        window::moved(node, tx, held);
        tx.change(Change::Failed(from));
        node.count(tx, "acceptance_unproven");
        node.trace(tx, message, "receipt", || format!("unproven acceptance by {}", node.membership.display(&from)));
        return Ok(());
    }
    let at = tx.now();
    outbox.stage = Stage::Accepted { by: from, at };
    outbox.drop_cargo();
    put_node(node, tx, key::outbox(&message), &outbox)?;
    tx.then(Change::Proved(from));
    tx.then(Change::Release(message));
    window::moved(node, tx, held);
    tx.wake(at.after(OUTCOME_LIFE), Timer::Outcome(message));
    ingress::proven(node, tx, &outbox);
    node.count(tx, "message_accepted");
    node.trace(tx, message, "receipt", || format!("accepted by {}", node.membership.display(&from)));
    Ok(())
}

/// The rule: the stored, complete payload parses to one block, and `auth_key` is the MAC key of that block.
fn proves(node: &Node, outbox: &Outbox, auth_key: &[u8; 32], ad: &[u8; 32]) -> bool {
    let Cargo::Whole { payload, .. } = &outbox.cargo else { return false };
    Payload::parse(payload).is_ok_and(|payload| node.crypto().proves(auth_key, ad, payload.block()))
}

fn done(
    node: &Node,
    tx: &mut Tx<'_>,
    from: NodeId,
    message: MessageId,
    outcome: MessageOutcome,
    tell: Option<&str>,
) -> Run {
    let Some(mut outbox) = get_node::<Outbox>(node, tx, &key::outbox(&message))? else { return Ok(()) };
    let Stage::Accepted { by, .. } = outbox.stage else {
        node.count(tx, "receipt_unasked");
        return Ok(());
    };
    if by != from || outcome == MessageOutcome::Pending {
        node.count(tx, "receipt_unasked");
        return Ok(());
    }
    let at = tx.now();
    let outcome = clients::ended_elsewhere(node, tx, outcome, outbox.sms(outbox.gateway.as_ref()))?;
    outbox.stage = Stage::Done { by, at, outcome };
    let sender = outbox.sender.take();
    node.trace(tx, message, "receipt", || format!("done: {outcome:?}").to_lowercase());
    let relation = node.membership.relation(&from);
    let asked = purpose(relation, outcome, tell.unwrap_or_default());
    if let (Some(text), Some(sender)) = (tell.filter(|text| text.len() <= text_max(asked)), sender) {
        egress::text(node, tx, message, &sender, text.into(), purpose_for(relation, asked))?;
    }
    put_node(node, tx, key::outbox(&message), &outbox)?;
    ingress::settle(node, tx, message, outcome);
    Ok(())
}

/// Why a home lets its person be told. Only homes of the own instance and of partners send tokens through this node.
fn purpose(home: Relation, outcome: MessageOutcome, text: &str) -> SmsPurpose {
    let known = matches!(home, Relation::Own | Relation::Partner);
    match outcome {
        _ if known && text.lines().nth(TOKEN_LINE).is_some() => SmsPurpose::Token,
        MessageOutcome::Published => SmsPurpose::Published,
        _ => SmsPurpose::Notice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_letter_has_an_acceptance_whose_outcome_is_in_the_next() {
        let message = |n: u8| MessageId([n; 32]);
        let accepted = |n| Receipt::Accepted { message: message(n), auth_key: [1; 32], ad: [2; 32] };
        let done = |n| Receipt::Done { message: message(n), outcome: MessageOutcome::Published, tell: None };
        let mut receipts = vec![accepted(0)];
        for n in 1..=100 {
            receipts.extend([accepted(n), done(n)]);
        }
        let letters = letters_of(&receipts);
        assert_eq!(letters.concat(), receipts);
        for letter in letters {
            assert!(letter.len() <= GATHER_MAX + 1 && letter.len() <= RECEIPTS_MAX);
            assert!(matches!(letter.last(), Some(Receipt::Done { .. })));
        }
        assert!(letters_of(&[]).is_empty());
    }
}
