//! When no filter knows a device tag: asking nodes whose filters are old or missing whether they hold the person.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::{MessageId, NodeId, Tag, Timestamp};
use relaymesh_seal::tags::filter_key;

use super::search::flush_soon;
use super::{Asked, Change, ask};
use crate::input::LinkError;
use crate::limit::Bucket;
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Nodes that are asked about one tag at a time.
const AT_A_TIME: usize = 8;
/// Nodes that are asked about one tag before its answers are forgotten.
const NODES_MAX: usize = 64;
/// Answers are remembered for so long.
const MEMORY: Duration = Duration::from_secs(600);
/// A filter that is younger than this knows everybody: the recent one is built each minute.
const FRESH: Duration = Duration::from_secs(120);
/// Tags that are hunted for; the oldest make room.
const HUNTS_MAX: usize = 10_000;
/// Messages that wait for one tag and are woken by an answer.
const MESSAGES_MAX: usize = 64;
/// Tags that one flush looks at.
const PER_FLUSH: usize = 256;
/// Tags in one question.
const KEYS_MAX: usize = 16;
/// Keys that one peer may ask for at once, and per second.
const ASKED_BURST: u32 = 128;
const ASKED_PER_SECOND: u32 = 16;
/// A peer that asks more is asked to come back after this, in milliseconds.
const BUSY_MS: u32 = 5_000;

#[derive(Clone, Debug)]
struct Hunt {
    since: Timestamp,
    messages: BTreeSet<MessageId>,
    asked: BTreeSet<NodeId>,
    open: usize,
    holders: BTreeSet<NodeId>,
}

/// All tags that are hunted for.
#[derive(Debug, Default)]
pub(super) struct Hunts {
    by: BTreeMap<Tag, Hunt>,
    order: BTreeSet<(Timestamp, Tag)>,
    due: BTreeSet<Tag>,
    limits: BTreeMap<NodeId, Bucket>,
}

impl Hunts {
    fn live(&self, tag: &Tag, now: Timestamp) -> Option<&Hunt> {
        self.by.get(tag).filter(|hunt| now.since(hunt.since) < MEMORY)
    }

    /// A message waits for a tag.
    pub fn want(&mut self, tag: Tag, message: MessageId, now: Timestamp) {
        if self.live(&tag, now).is_none() {
            self.forget(&tag);
            while self.by.len() >= HUNTS_MAX
                && let Some((_, oldest)) = self.order.first().copied()
            {
                self.forget(&oldest);
            }
            self.order.insert((now, tag));
            self.due.insert(tag);
        }
        let fresh = || Hunt {
            since: now,
            messages: BTreeSet::new(),
            asked: BTreeSet::new(),
            open: 0,
            holders: BTreeSet::new(),
        };
        let hunt = self.by.entry(tag).or_insert_with(fresh);
        if hunt.messages.len() < MESSAGES_MAX {
            hunt.messages.insert(message);
        }
    }

    fn forget(&mut self, tag: &Tag) {
        if let Some(hunt) = self.by.remove(tag) {
            self.order.remove(&(hunt.since, *tag));
        }
        self.due.remove(tag);
    }

    pub fn opened(&mut self, tag: &Tag, node: NodeId) {
        if let Some(hunt) = self.by.get_mut(tag) {
            hunt.open += usize::from(hunt.asked.insert(node));
        }
    }

    pub fn closed(&mut self, tag: &Tag) {
        if let Some(hunt) = self.by.get_mut(tag) {
            hunt.open = hunt.open.saturating_sub(1);
            if hunt.holders.is_empty() {
                self.due.insert(*tag);
            }
        }
    }

    pub fn found(&mut self, tag: &Tag, node: NodeId) {
        if let Some(hunt) = self.by.get_mut(tag) {
            hunt.holders.insert(node);
        }
    }

    pub fn looked_at(&mut self, tag: &Tag) {
        self.due.remove(tag);
    }

    pub fn limit(&mut self, node: NodeId, bucket: Bucket) {
        self.limits.insert(node, bucket);
    }

    /// Forgets what peers asked for: a full bucket each is what they had long ago.
    pub fn daily(&mut self) {
        self.limits.clear();
    }

    /// Nodes that said they hold a tag.
    pub fn holders(&self, tag: &Tag, now: Timestamp) -> impl Iterator<Item = &NodeId> {
        self.live(tag, now).into_iter().flat_map(|hunt| &hunt.holders)
    }
}

/// No filter knows this tag: nodes are asked, unless they were lately.
pub(super) fn want(node: &Node, tx: &mut Tx<'_>, message: MessageId, tag: Tag) {
    let now = tx.now();
    match node.locator.hunts.live(&tag, now) {
        Some(hunt) if hunt.messages.contains(&message) => {}
        live => {
            tx.then(Change::Hunt(tag, message, now));
            if live.is_none() {
                flush_soon(node, tx);
            }
        }
    }
}

/// Nodes to ask about a tag: without a filter first, then connected ones.
fn pick(node: &Node, hunt: &Hunt, now: Timestamp) -> Vec<NodeId> {
    let connected = node.membership.connected();
    let known = connected.iter().chain(node.membership.near()).filter_map(|id| node.membership.node(id));
    let mut nodes: Vec<(bool, bool, NodeId)> = known
        .filter(|member| member.roles.vault && !hunt.asked.contains(&member.id))
        .filter_map(|member| {
            let newest = node.locator.book.newest(&member.id);
            let worth = newest.is_none_or(|at| now.since(at) >= FRESH);
            worth.then_some((newest.is_some(), !connected.contains(&member.id), member.id))
        })
        .collect();
    nodes.sort();
    nodes.dedup();
    let room = AT_A_TIME.saturating_sub(hunt.open).min(NODES_MAX.saturating_sub(hunt.asked.len()));
    nodes.into_iter().take(room).map(|(.., id)| id).collect()
}

/// Asks about the tags that are due.
pub(super) fn flush(node: &Node, tx: &mut Tx<'_>) {
    let hunts = &node.locator.hunts;
    let mut groups: BTreeMap<NodeId, Vec<Tag>> = BTreeMap::new();
    for tag in hunts.due.iter().take(PER_FLUSH) {
        tx.change(Change::Hunted(*tag));
        let Some(hunt) = hunts.live(tag, tx.now()) else { continue };
        for to in pick(node, hunt, tx.now()) {
            groups.entry(to).or_default().push(*tag);
        }
    }
    for (to, tags) in groups {
        for tags in tags.chunks(KEYS_MAX) {
            let keys = tags.iter().map(|tag| filter_key(tag, &to)).collect();
            ask::send(node, tx, to, Request::WhoHolds { keys }, Asked::Holders(tags.to_vec()));
        }
    }
}

/// A node says which of the tags it holds.
pub(super) fn on_answer(
    node: &Node,
    tx: &mut Tx<'_>,
    from: NodeId,
    tags: &[Tag],
    response: &Result<Response, LinkError>,
) -> Run {
    if let Ok(Response::Holds(yes)) = response
        && yes.len() == tags.len()
    {
        for (tag, _) in tags.iter().zip(yes).filter(|(_, yes)| **yes) {
            tx.then(Change::Holder(*tag, from));
            let now = tx.now();
            for message in node.locator.hunts.by.get(tag).into_iter().flat_map(|hunt| &hunt.messages) {
                tx.wake(now, Timer::Route(*message));
            }
        }
    }
    flush_soon(node, tx);
    Ok(())
}

/// Whether people behind these keys are here. Only device tags: numbers go through the ration.
pub(super) fn answer(node: &Node, tx: &mut Tx<'_>, from: NodeId, keys: &[u64]) -> Response {
    if keys.is_empty() || keys.len() > KEYS_MAX {
        return Response::Refused;
    }
    let fresh = Bucket::new(ASKED_BURST, ASKED_PER_SECOND);
    let mut bucket = node.locator.hunts.limits.get(&from).copied().unwrap_or(fresh);
    if !keys.iter().all(|_| bucket.take(tx.now())) {
        return Response::Busy { retry_after_ms: BUSY_MS };
    }
    tx.change(Change::HoldsLimit(from, bucket));
    Response::Holds(keys.iter().map(|key| node.locator.own.holds(*key)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(n: u32) -> Tag {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        Tag(bytes)
    }

    #[test]
    fn answers_are_remembered_for_ten_minutes() {
        let mut hunts = Hunts::default();
        let (start, node) = (Timestamp(1_000), NodeId([1; 32]));
        hunts.want(tag(1), MessageId([1; 32]), start);
        hunts.opened(&tag(1), node);
        hunts.found(&tag(1), node);
        hunts.looked_at(&tag(1));
        hunts.closed(&tag(1));
        assert!(hunts.due.is_empty(), "found: nobody else is asked");
        let end = start.after(MEMORY);
        assert_eq!(hunts.holders(&tag(1), end.before(Duration::from_millis(1))).count(), 1);
        assert_eq!(hunts.holders(&tag(1), end).count(), 0);
        hunts.want(tag(1), MessageId([2; 32]), end);
        let hunt = &hunts.by[&tag(1)];
        assert!(hunt.asked.is_empty() && hunts.due.contains(&tag(1)));
        assert_eq!((hunt.messages.len(), hunts.order.len()), (1, 1));
    }

    #[test]
    fn the_oldest_hunt_makes_room() {
        let mut hunts = Hunts::default();
        for n in 0..HUNTS_MAX as u32 + 3 {
            hunts.want(tag(n), MessageId([1; 32]), Timestamp(u64::from(n)));
        }
        assert_eq!((hunts.by.len(), hunts.order.len(), hunts.due.len()), (HUNTS_MAX, HUNTS_MAX, HUNTS_MAX));
        assert!(!hunts.by.contains_key(&tag(2)) && hunts.by.contains_key(&tag(3)));
    }
}
