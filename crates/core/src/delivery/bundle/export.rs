//! Filling a bundle: messages first, then what is held for others, letters, facts, and filters as far as there is room.
//! What did not fit is told, and has its turn in the next bundle.

use std::collections::BTreeSet;

use relaymesh_protocol::frame::{Carried, FilterLayer};
use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId, Timestamp};
use serde_bytes::ByteBuf;

use super::{BUNDLE_BYTES_MAX, Bundle, ITEMS_MAX, MAGIC};
use crate::command::{LeftBehind, OperatorReply, Reply};
use crate::delivery::body::Body;
use crate::delivery::legs::{Leg, SILENT_AFTER};
use crate::delivery::outbox::{Outbox, Stage};
use crate::delivery::{Change, custody, letters, route};
use crate::input::ReplyTo;
use crate::locator;
use crate::membership::{self, Relation};
use crate::node::Node;
use crate::record::{get_node, key};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Held messages that are looked at for one bundle.
const MESSAGES_MAX: usize = 4_096;
/// Bytes around all items: magic, mesh, and the lengths of three lists.
const FRAME_BYTES: usize = 64;
/// Bytes around one item: its length, and an envelope's hops and copies.
const ITEM_BYTES: usize = 8;
/// Each kind gets so much of a bundle if it needs it, however much there is of the kinds before it.
const SHARE: usize = 8;

/// Where the last bundle stopped, for each kind of which something stayed behind: the next one begins after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    message: Option<(Timestamp, MessageId)>,
    copy: Option<(NodeId, EnvelopeId)>,
    letter: Option<(NodeId, EnvelopeId)>,
    filter: Option<(NodeId, FilterLayer)>,
}

/// What is left of a bundle.
struct Room {
    bytes: usize,
    /// Kept for the kinds that follow.
    kept: usize,
    envelopes: usize,
}

impl Room {
    fn take(&mut self, items: &[usize]) -> bool {
        let size = items.iter().map(|bytes| bytes + ITEM_BYTES).sum::<usize>();
        let fits = size + self.kept <= self.bytes;
        if fits {
            self.bytes -= size;
        }
        fits
    }

    fn take_envelopes(&mut self, all: &[Carried]) -> bool {
        let sizes: Vec<usize> = all.iter().map(|carried| carried.envelope.len()).collect();
        let fits = all.len() <= self.envelopes && self.take(&sizes);
        if fits {
            self.envelopes -= all.len();
        }
        fits
    }
}

/// Puts what comes after `last` before what comes up to it.
fn in_turn<K: Ord + Copy>(mut all: Vec<K>, last: Option<K>) -> Vec<K> {
    all.sort_unstable();
    let first = last.map_or(0, |last| all.partition_point(|one| *one <= last));
    all.rotate_left(first);
    all
}

/// What is filled in so far.
struct Filling {
    room: Room,
    turns: Turns,
    left: LeftBehind,
    carried: Vec<Carried>,
    /// Nodes that a message in it goes to.
    candidates: BTreeSet<NodeId>,
}

/// `bundle export`.
pub(super) fn export(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo) -> Run {
    let (bytes, envelopes, left) = fill(node, tx, BUNDLE_BYTES_MAX)?;
    tx.reply(reply, Reply::Operator(OperatorReply::Bundle { bytes, envelopes, left }));
    Ok(())
}

/// Fills a bundle of at most `bytes_max` bytes; tells how many envelopes are in it.
pub(super) fn fill(node: &Node, tx: &mut Tx<'_>, bytes_max: usize) -> Run<(Vec<u8>, u64, LeftBehind)> {
    let facts = membership::all_facts(node);
    let questions = questions(node, tx);
    let [mut copies, mut own] = [Vec::new(), Vec::new()];
    let [mut copies_bytes, mut own_bytes] = [0, 0];
    for (recipient, id, copy) in node.delivery.copies.iter() {
        let (keys, bytes) = if copy.own { (&mut own, &mut own_bytes) } else { (&mut copies, &mut copies_bytes) };
        keys.push((*recipient, *id));
        *bytes += copy.bytes + ITEM_BYTES;
    }
    own_bytes += questions.iter().map(|carried| carried.envelope.len() + ITEM_BYTES).sum::<usize>();
    let facts_bytes: usize = facts.iter().map(|fact| fact.len() + ITEM_BYTES).sum();
    let [copies_share, own_share, facts_share] =
        [copies_bytes, own_bytes, facts_bytes].map(|bytes| bytes.min(bytes_max / SHARE));

    let kept = copies_share + own_share + facts_share;
    let room = Room { bytes: bytes_max.saturating_sub(FRAME_BYTES), kept, envelopes: ITEMS_MAX };
    let turns = node.delivery.turns.clone();
    let (carried, candidates) = (Vec::new(), BTreeSet::new());
    let mut filling = Filling { room, turns, left: LeftBehind::default(), carried, candidates };

    filling.messages(node, tx)?;
    filling.room.kept = own_share + facts_share;
    let last = filling.turns.copy;
    (filling.turns.copy, filling.left.envelopes) = filling.copies(node, tx, in_turn(copies, last))?;
    filling.room.kept = facts_share;
    let last = filling.turns.letter;
    (filling.turns.letter, filling.left.letters) = filling.copies(node, tx, in_turn(own, last))?;
    for question in questions {
        if filling.room.take_envelopes(std::slice::from_ref(&question)) {
            filling.carried.push(question);
        } else {
            filling.left.letters += 1;
        }
    }
    filling.room.kept = 0;
    let facts = filling.facts(facts);
    let filters = filling.filters(node);

    let bundle = Bundle { mesh: node.membership.mesh(), facts, filters, carried: filling.carried };
    tx.then(Change::Bundled(filling.turns));
    let envelopes = bundle.carried.len() as u64;
    let bytes = postcard::to_extend(&bundle, MAGIC.to_vec()).expect("writing to memory cannot fail");
    Ok((bytes, envelopes, filling.left))
}

/// Blinded questions of waiting messages, sealed.
fn questions(node: &Node, tx: &mut Tx<'_>) -> Vec<Carried> {
    let questions = locator::questions(node, tx).into_iter();
    let sealed = questions.filter_map(|(to, question)| letters::seal(node, tx, to, &Body::Question(question)));
    sealed.map(|sealed| carried(sealed.envelope)).collect()
}

fn carried(envelope: Vec<u8>) -> Carried {
    Carried { envelope, hops: 0, copies: custody::COPY_BUDGET }
}

impl Filling {
    /// Held messages, oldest first: whole messages, with an envelope for each of their candidates. They stand in the bundle
    /// as they came in, so that a person's ratchet sees them in order.
    fn messages(&mut self, node: &Node, tx: &mut Tx<'_>) -> Run {
        let all = node.delivery.held.iter().map(|(message, held)| (held.received, *message)).collect();
        let all = in_turn(all, self.turns.message);
        let looked: Vec<_> = all.iter().take(MESSAGES_MAX).copied().collect();
        tx.prefetch(looked.iter().map(|(_, message)| key::outbox(message)))?;
        let mut written = Vec::new();
        let mut last = None;
        for one in &looked {
            let (offers, to) = offers(node, tx, one.1)?;
            if !self.room.take_envelopes(&offers) {
                break;
            }
            for candidate in to {
                offered(node, tx, one.1, candidate);
                self.candidates.insert(candidate);
            }
            last = Some(*one);
            written.push((*one, offers));
        }
        self.left.messages = (all.len() - written.len()) as u64;
        self.turns.message = last.filter(|_| self.left.messages > 0);
        written.sort_by_key(|(one, _)| *one);
        self.carried.extend(written.into_iter().flat_map(|(_, offers)| offers));
        Ok(())
    }

    /// Copies in custody, in this order; where it stopped, and how many stayed behind.
    fn copies(
        &mut self,
        node: &Node,
        tx: &mut Tx<'_>,
        all: Vec<(NodeId, EnvelopeId)>,
    ) -> Run<(Option<(NodeId, EnvelopeId)>, u64)> {
        let size =
            |(recipient, id)| node.delivery.copies.of(recipient).and_then(|of| of.get(id)).map_or(0, |c| c.bytes);
        let mut fit = Vec::new();
        for (recipient, id) in &all {
            if fit.len() >= self.room.envelopes || !self.room.take(&[size((recipient, id))]) {
                break;
            }
            fit.push((*recipient, *id));
        }
        self.room.envelopes -= fit.len();
        tx.prefetch(fit.iter().map(|(recipient, id)| key::custody(recipient, id)))?;
        for (recipient, id) in &fit {
            self.carried.extend(custody::export(node, tx, recipient, id)?);
        }
        let left = (all.len() - fit.len()) as u64;
        Ok((fit.last().copied().filter(|_| left > 0), left))
    }

    /// Facts, what others rest on first.
    fn facts(&mut self, all: Vec<ByteBuf>) -> Vec<ByteBuf> {
        let count = all.len();
        let fit: Vec<ByteBuf> =
            all.into_iter().take(ITEMS_MAX).take_while(|fact| self.room.take(&[fact.len()])).collect();
        self.left.facts = (count - fit.len()) as u64;
        fit
    }

    /// Filters of this node's instance, of partners, of nodes that messages in the bundle go to, then of all others.
    /// Hostile ones can be large: one that does not fit makes no smaller one stay behind.
    fn filters(&mut self, node: &Node) -> Vec<ByteBuf> {
        let rank = |of: &NodeId| match node.membership.relation(of) {
            _ if *of == node.id() => 0,
            Relation::Own => 0,
            Relation::Partner => 1,
            _ if self.candidates.contains(of) => 2,
            _ => 3,
        };
        let heads = locator::filter_heads(node);
        let places = heads.iter().map(|head| (head.node, head.layer)).collect();
        let mut places = in_turn(places, self.turns.filter);
        places.sort_by_key(|(of, _)| rank(of));
        let ranks: Vec<u8> = places.iter().map(|(of, _)| rank(of)).collect();
        let mut fit = Vec::new();
        let mut last = None;
        for ((of, layer), rank) in places.iter().zip(ranks) {
            let Some(filter) = locator::filter_bytes(node, of, *layer) else { continue };
            if fit.len() < ITEMS_MAX && self.room.take(&[filter.len()]) {
                fit.push(filter);
                last = Some((*of, *layer)).filter(|_| rank == 3).or(last);
            }
        }
        self.left.filters = (places.len() - fit.len()) as u64;
        self.turns.filter = last.filter(|_| self.left.filters > 0);
        fit
    }
}

/// A held message, sealed to each of its best candidates, and to whom.
fn offers(node: &Node, tx: &mut Tx<'_>, message: MessageId) -> Run<(Vec<Carried>, Vec<NodeId>)> {
    let none = (Vec::new(), Vec::new());
    let Some(outbox) = get_node::<Outbox>(node, tx, &key::outbox(&message))? else { return Ok(none) };
    let Some(held) = node.delivery.held.get(&message).filter(|_| outbox.stage == Stage::Held) else { return Ok(none) };
    let mut candidates = locator::locate(node, tx, message, &outbox);
    candidates.retain(|candidate| candidate.node != node.id());
    route::best_first(node, held, &mut candidates);
    let (mut all, mut to) = none;
    for candidate in candidates {
        let Some(submission) = route::submission(&outbox, message, &candidate) else { continue };
        let body = Body::Submission(Box::new(submission));
        let Some(sealed) = letters::seal_until(node, tx, candidate.node, &body, outbox.end()) else { continue };
        all.push(carried(sealed.envelope));
        to.push(candidate.node);
    }
    Ok((all, to))
}

/// The leg counts as offered, so that a receipt is expected.
fn offered(node: &Node, tx: &mut Tx<'_>, message: MessageId, candidate: NodeId) {
    let at = tx.now();
    tx.then(Change::Leg(message, candidate, Leg::Offered { at }));
    tx.wake(at.after(SILENT_AFTER), Timer::LegSilent(message, candidate));
    node.trace(tx, message, "custody", || "written to a bundle");
}
