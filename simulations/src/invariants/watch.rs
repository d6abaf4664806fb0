//! The books of a world's watcher: which messages there are, and what each node has said yes to. It hears of every batch
//! that became durable and says what that breaks; it never looks into sealed values.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use relaymesh_core::batch::{Batch, Key, Write};
use relaymesh_core::record::{key, vault};
use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId};
use siphasher::sip::SipHasher13;

use super::{
    ACCEPTED_KEPT, CONSUMED_REMEMBERED, CUSTODY_KEPT, Copies, Custody, LIE_FREES_NO_COPY, PLAINTEXT_ONLY_AT_HOME,
};
use crate::kernel::{Span, Time};

/// A message that no home accepts ends after 120 days, less what clocks may differ.
const SUBMISSION_LIFE: Span = Span::days(119);

/// Something that broke: the invariant, and what was seen.
pub type Loss = (&'static str, String);

type Short = HashMap<u64, u32, BuildHasherDefault<SipHasher13>>;

/// A record of a batch that the watcher cares for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The row of a message at its ingress was written, or removed.
    Outbox { message: u32, id: MessageId, there: bool },
    /// A block was noted as consumed.
    Seen { message: u32, row: Key },
    /// The row of a job was written, or removed.
    Job { message: u32, id: MessageId, there: bool },
    /// A custody copy was removed.
    CustodyGone { recipient: NodeId, envelope: EnvelopeId },
    /// Somebody will be told something: an SMS, or a receipt.
    Word,
}

/// What comes of a block that was consumed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Job,
    Word,
    Nothing,
}

/// What is known of a message.
#[derive(Clone, Copy, Debug)]
struct Known {
    home: u16,
    accepted: Option<Time>,
    /// Its home has it, durably.
    consumed: bool,
    /// Its home is done with it.
    ended: bool,
    /// A declared fault took a disk that held it, or somebody who lies said yes to it.
    excused: bool,
    /// Nodes that hold or owe it.
    keepers: u16,
}

/// The books.
#[derive(Debug, Default)]
pub struct Watch {
    by_id: Short,
    by_block: Short,
    messages: Vec<Known>,
    nodes: Vec<Copies>,
    liars: Vec<bool>,
    /// When the last fault began or ended.
    pub calm_since: Time,
}

fn short(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

impl Watch {
    /// Empty books over so many nodes.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self { nodes: vec![Copies::default(); nodes], liars: vec![false; nodes], ..Self::default() }
    }

    /// Nothing that this node says binds it.
    pub fn distrust(&mut self, node: u16) {
        self.liars[usize::from(node)] = true;
    }

    /// Whether this node lies.
    #[must_use]
    pub fn is_liar(&self, node: u16) -> bool {
        self.liars[usize::from(node)]
    }

    /// A person has written a message.
    pub fn written(&mut self, id: &MessageId, block: &[u8; 16], home: u16) {
        let message = u32::try_from(self.messages.len()).expect("fewer than 2^32 messages");
        self.by_id.insert(short(&id.0), message);
        self.by_block.insert(short(block), message);
        self.messages.push(Known { home, accepted: None, consumed: false, ended: false, excused: false, keepers: 0 });
    }

    /// What a node has said yes to.
    #[must_use]
    pub fn copies(&self, node: u16) -> &Copies {
        &self.nodes[usize::from(node)]
    }

    /// Whether a message's home has it.
    #[must_use]
    pub fn is_consumed(&self, message: u32) -> bool {
        self.messages.get(message as usize).is_some_and(|known| known.consumed)
    }

    /// Its home.
    #[must_use]
    pub fn home(&self, message: u32) -> Option<u16> {
        self.messages.get(message as usize).map(|known| known.home)
    }

    /// A node has said yes to a message: it must be on its disk. `on_disk` tells whether.
    pub fn accepted(&mut self, node: u16, message: u32, now: Time, on_disk: bool) -> Option<Loss> {
        let liar = self.is_liar(node);
        let known = self.messages.get_mut(message as usize)?;
        known.accepted.get_or_insert(now);
        known.excused |= liar;
        let lost = !on_disk && !liar;
        lost.then(|| (ACCEPTED_KEPT, format!("node {node} said yes to message {message} before it was durable")))
    }

    /// A batch of a node is durable. `holds` and `owes` are its core's word, `published` the platform's.
    pub fn durable(
        &mut self,
        node: u16,
        now: Time,
        marks: Vec<Mark>,
        core: &dyn Core,
        published: &dyn Fn(u32) -> bool,
    ) -> Vec<Loss> {
        let word = marks.contains(&Mark::Word);
        let begun = |mark: &Mark| match mark {
            Mark::Job { message, there: true, .. } => Some(*message),
            _ => None,
        };
        let jobs: Vec<u32> = marks.iter().filter_map(begun).collect();
        let mut losses = Vec::new();
        for mark in marks {
            match mark {
                Mark::Outbox { message, id, there } => losses.extend(self.outbox(node, now, message, id, there, core)),
                Mark::Seen { message, row } => {
                    let next = match word {
                        _ if jobs.contains(&message) => Next::Job,
                        true => Next::Word,
                        false => Next::Nothing,
                    };
                    losses.extend(self.seen(node, message, row, next));
                }
                Mark::Job { message, id, there } => {
                    Copies::row(&mut self.nodes[usize::from(node)].jobs, message, there);
                    let told = word || published(message);
                    losses.extend(self.job(node, message, id, core.owes(&id), told));
                }
                Mark::CustodyGone { recipient, envelope } => {
                    losses.extend(self.custody_gone(node, now, recipient, envelope));
                }
                Mark::Word => {}
            }
        }
        losses
    }

    fn outbox(&mut self, node: u16, now: Time, message: u32, id: MessageId, there: bool, core: &dyn Core) -> Vec<Loss> {
        Copies::row(&mut self.nodes[usize::from(node)].rows, message, there);
        let holds = there && core.holds(&id);
        let had = self.nodes[usize::from(node)].held.contains_key(&message);
        if holds && !had {
            self.nodes[usize::from(node)].held.insert(message, (id, now));
            self.messages[message as usize].keepers += 1;
        }
        if holds || !had {
            return Vec::new();
        }
        self.nodes[usize::from(node)].held.remove(&message);
        let known = self.messages[message as usize];
        let over = known.accepted.is_some_and(|at| now.since(at) >= SUBMISSION_LIFE);
        let mut losses = Vec::new();
        if !(known.consumed || over || self.is_liar(node)) {
            let what = format!("node {node} let message {message} go, which its home {} has not consumed", known.home);
            losses.push((LIE_FREES_NO_COPY, what));
        }
        self.messages[message as usize].ended |= over;
        losses.extend(self.dropped_by(message));
        losses
    }

    fn seen(&mut self, node: u16, message: u32, row: Key, next: Next) -> Vec<Loss> {
        let known = &mut self.messages[message as usize];
        if known.home != node {
            return vec![(
                PLAINTEXT_ONLY_AT_HOME,
                format!("node {node} opened message {message} of node {}", known.home),
            )];
        }
        if known.consumed {
            return Vec::new();
        }
        known.consumed = true;
        known.ended = next != Next::Job;
        self.nodes[usize::from(node)].consume(message, row);
        if next != Next::Nothing {
            return Vec::new();
        }
        vec![(ACCEPTED_KEPT, format!("node {node} consumed message {message}, owes no publication and tells nobody"))]
    }

    fn job(&mut self, node: u16, message: u32, id: MessageId, owes: bool, told: bool) -> Vec<Loss> {
        let known = &mut self.messages[message as usize];
        let owed = &mut self.nodes[usize::from(node)].owed;
        if owes {
            known.keepers += u16::from(owed.insert(message, id).is_none());
            return Vec::new();
        }
        if owed.remove(&message).is_none() {
            return Vec::new();
        }
        known.ended = true;
        let mut losses: Vec<Loss> = self.dropped_by(message).into_iter().collect();
        if !told {
            losses.push((ACCEPTED_KEPT, format!("node {node} gave message {message} up and tells nobody")));
        }
        losses
    }

    /// One keeper less.
    fn dropped_by(&mut self, message: u32) -> Option<Loss> {
        let known = self.messages.get_mut(message as usize)?;
        known.keepers = known.keepers.saturating_sub(1);
        let lost = is_orphan(known);
        lost.then(|| (ACCEPTED_KEPT, format!("nobody has message {message} any more, and it has not ended")))
    }

    /// A custodian said yes. `on_disk` tells whether the copy is there.
    pub fn acknowledged(
        &mut self,
        node: u16,
        copy: (NodeId, EnvelopeId),
        expires: Time,
        on_disk: bool,
    ) -> Option<Loss> {
        if self.is_liar(node) {
            return None;
        }
        if !on_disk {
            return Some((CUSTODY_KEPT, format!("node {node} said yes to a copy before it was durable")));
        }
        self.nodes[usize::from(node)].custody.insert(copy, Custody { expires, handed: false });
        None
    }

    /// The recipient of a copy has answered for it.
    pub fn handed(&mut self, node: u16, copy: &(NodeId, EnvelopeId)) {
        if let Some(custody) = self.nodes[usize::from(node)].custody.get_mut(copy) {
            custody.handed = true;
        }
    }

    fn custody_gone(&mut self, node: u16, now: Time, recipient: NodeId, envelope: EnvelopeId) -> Option<Loss> {
        let custody = self.nodes[usize::from(node)].custody.remove(&(recipient, envelope))?;
        // Clocks may be wrong by a quarter of an hour, and by what a fault says.
        let over = now.after(Span::hours(1)) >= custody.expires;
        let early = !(custody.handed || over);
        early.then(|| (CUSTODY_KEPT, format!("node {node} dropped a copy before hand-over and before its time")))
    }

    /// A declared fault took a node's disk.
    pub fn lost_disk(&mut self, node: u16) {
        let copies = std::mem::take(&mut self.nodes[usize::from(node)]);
        for message in copies.held.keys().chain(copies.owed.keys()) {
            let known = &mut self.messages[*message as usize];
            known.keepers = known.keepers.saturating_sub(1);
            known.excused = true;
        }
        for known in self.messages.iter_mut().filter(|known| known.home == node && known.consumed) {
            known.excused = true;
        }
    }

    /// A node lost its memory, or starts again: what it said yes to must be on its disk.
    #[must_use]
    pub fn check_disk(&self, node: u16, has: &dyn Fn(&[u8]) -> bool) -> Vec<Loss> {
        let copies = &self.nodes[usize::from(node)];
        if self.is_liar(node) {
            return Vec::new();
        }
        let mut losses = Vec::new();
        for (message, (id, _)) in &copies.held {
            if !has(&key::outbox(id)) {
                losses.push((ACCEPTED_KEPT, format!("node {node} has lost message {message}, which it held")));
            }
        }
        for (message, id) in &copies.owed {
            if !has(&key::job(id)) {
                losses.push((ACCEPTED_KEPT, format!("node {node} has lost message {message}, which it owed")));
            }
        }
        for (recipient, envelope) in copies.custody.keys() {
            if !has(&key::custody(recipient, envelope)) {
                losses.push((CUSTODY_KEPT, format!("node {node} has lost a copy that it said yes to")));
            }
        }
        for (message, row) in copies.consumed() {
            if !has(row) {
                losses.push((
                    CONSUMED_REMEMBERED,
                    format!("node {node} has forgotten that it consumed message {message}"),
                ));
            }
        }
        losses
    }

    /// Messages that were accepted, have not ended, and are with nobody. Checked at midnight and at the end.
    #[must_use]
    pub fn orphans(&self) -> Vec<Loss> {
        let count = self.messages.iter().filter(|known| is_orphan(known)).count();
        if count == 0 {
            return Vec::new();
        }
        vec![(ACCEPTED_KEPT, format!("{count} accepted messages are with nobody and have not ended"))]
    }
}

fn is_orphan(known: &Known) -> bool {
    known.accepted.is_some() && known.keepers == 0 && !known.ended && !known.excused
}

/// What a core says of a message.
pub trait Core {
    /// It keeps its copy.
    fn holds(&self, message: &MessageId) -> bool;
    /// It owes its publication.
    fn owes(&self, message: &MessageId) -> bool;
}

impl Core for relaymesh_core::Node {
    fn holds(&self, message: &MessageId) -> bool {
        self.holds(message)
    }

    fn owes(&self, message: &MessageId) -> bool {
        self.owes(message)
    }
}

/// The records of a batch that the watcher cares for.
#[must_use]
pub fn marks_of(watch: &Watch, batch: &Batch) -> Vec<Mark> {
    batch.writes.iter().filter_map(|write| mark(watch, write)).collect()
}

fn mark(watch: &Watch, write: &Write) -> Option<Mark> {
    let there = matches!(write, Write::Put { .. });
    let row = write.key();
    let (table, rest) = row.split_first()?;
    let message = |id: &MessageId| watch.by_id.get(&short(&id.0)).copied();
    Some(match *table {
        key::OUTBOX => {
            let id = MessageId::try_from(rest).ok()?;
            Mark::Outbox { message: message(&id)?, id, there }
        }
        key::JOB => {
            let id = MessageId::try_from(rest).ok()?;
            Mark::Job { message: message(&id)?, id, there }
        }
        key::ENTITY if there && rest.get(16) == Some(&vault::SEEN) => {
            Mark::Seen { message: *watch.by_block.get(&short(rest.get(17..)?))?, row: row.clone() }
        }
        key::CUSTODY if !there => {
            let (recipient, envelope) = rest.split_at_checked(32)?;
            let (recipient, envelope) = (NodeId::try_from(recipient).ok()?, EnvelopeId::try_from(envelope).ok()?);
            Mark::CustodyGone { recipient, envelope }
        }
        key::SMS | key::RECEIPT if there => Mark::Word,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: MessageId = MessageId([7; 32]);
    const NOW: Time = Time(1_000_000);
    const COPY: (NodeId, EnvelopeId) = (NodeId([3; 32]), EnvelopeId([4; 16]));

    /// A core that says the same of every message.
    struct Says {
        holds: bool,
        owes: bool,
    }

    impl Core for Says {
        fn holds(&self, _: &MessageId) -> bool {
            self.holds
        }

        fn owes(&self, _: &MessageId) -> bool {
            self.owes
        }
    }

    /// Node 0 holds message 0, whose home is node 1.
    fn held() -> Watch {
        let mut watch = Watch::new(3);
        watch.written(&ID, &[9; 16], 1);
        assert!(batch(&mut watch, 0, vec![outbox(true)], true, false).is_empty());
        assert_eq!(watch.accepted(0, 0, NOW, true), None);
        watch
    }

    fn outbox(there: bool) -> Mark {
        Mark::Outbox { message: 0, id: ID, there }
    }

    fn job(there: bool) -> Mark {
        Mark::Job { message: 0, id: ID, there }
    }

    fn seen() -> Mark {
        Mark::Seen { message: 0, row: vec![1] }
    }

    fn batch(watch: &mut Watch, node: u16, marks: Vec<Mark>, holds: bool, owes: bool) -> Vec<&'static str> {
        let losses = watch.durable(node, NOW, marks, &Says { holds, owes }, &|_| false);
        losses.into_iter().map(|(invariant, _)| invariant).collect()
    }

    #[test]
    fn a_copy_may_go_when_the_home_has_consumed_it() {
        let mut watch = held();
        assert!(batch(&mut watch, 1, vec![seen(), job(true)], false, true).is_empty());
        assert!(batch(&mut watch, 0, vec![outbox(true)], false, false).is_empty());
        assert!(batch(&mut watch, 1, vec![job(false), Mark::Word], false, false).is_empty());
        assert!(watch.orphans().is_empty());
    }

    #[test]
    fn a_copy_that_goes_before_is_freed_by_a_lie_and_leaves_nobody() {
        let mut watch = held();
        assert_eq!(batch(&mut watch, 0, vec![outbox(true)], false, false), [LIE_FREES_NO_COPY, ACCEPTED_KEPT]);
        assert_eq!(watch.orphans().len(), 1);
        let mut watch = held();
        watch.distrust(0);
        assert_eq!(batch(&mut watch, 0, vec![outbox(true)], false, false), [ACCEPTED_KEPT], "liars may let go");
    }

    #[test]
    fn another_node_that_opens_is_seen() {
        let mut watch = held();
        assert_eq!(batch(&mut watch, 2, vec![seen(), job(true)], false, true)[0], PLAINTEXT_ONLY_AT_HOME);
    }

    #[test]
    fn a_home_owes_a_publication_or_a_word() {
        let mut watch = held();
        assert_eq!(batch(&mut watch, 1, vec![seen()], false, false), [ACCEPTED_KEPT]);
        let mut watch = held();
        assert!(batch(&mut watch, 1, vec![seen(), Mark::Word], false, false).is_empty(), "refused, and told");
        let mut watch = held();
        assert!(batch(&mut watch, 1, vec![seen(), job(true)], false, true).is_empty());
        assert_eq!(batch(&mut watch, 1, vec![job(false)], false, false), [ACCEPTED_KEPT], "given up, and not told");
    }

    #[test]
    fn a_yes_before_the_disk_has_it_is_none() {
        let mut watch = held();
        assert_eq!(watch.accepted(0, 0, NOW, false).unwrap().0, ACCEPTED_KEPT);
        assert_eq!(watch.acknowledged(0, COPY, Time(9), false).unwrap().0, CUSTODY_KEPT);
    }

    #[test]
    fn what_was_said_yes_to_is_on_the_disk_after_a_crash() {
        let mut watch = held();
        watch.acknowledged(0, COPY, Time(9), true);
        batch(&mut watch, 1, vec![seen(), job(true)], false, true);
        let lost = |node| watch.check_disk(node, &|_| false).into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
        assert_eq!(lost(0), [ACCEPTED_KEPT, CUSTODY_KEPT]);
        assert_eq!(lost(1), [ACCEPTED_KEPT, CONSUMED_REMEMBERED]);
        assert!(watch.check_disk(0, &|_| true).is_empty());
        watch.lost_disk(0);
        watch.lost_disk(1);
        assert!(watch.check_disk(0, &|_| false).is_empty() && watch.check_disk(1, &|_| false).is_empty());
        assert!(watch.orphans().is_empty(), "a declared fault took them");
    }

    #[test]
    fn a_custodian_drops_a_copy_at_hand_over_or_at_its_end() {
        let gone = || vec![Mark::CustodyGone { recipient: COPY.0, envelope: COPY.1 }];
        let far = NOW.after(Span::days(14));
        let with = |expires, handed| {
            let mut watch = held();
            watch.acknowledged(0, COPY, expires, true);
            if handed {
                watch.handed(0, &COPY);
            }
            batch(&mut watch, 0, gone(), true, false)
        };
        assert_eq!(with(far, false), [CUSTODY_KEPT]);
        assert!(with(far, true).is_empty());
        assert!(with(NOW, false).is_empty());
    }

    #[test]
    fn marks_are_read_from_keys_alone() {
        let mut watch = Watch::new(1);
        watch.written(&ID, &[9; 16], 0);
        let put = |key: Key| Write::Put { key, value: Vec::new() };
        let entity = relaymesh_protocol::ids::EntityId([5; 16]);
        let writes = vec![
            put(key::outbox(&ID)),
            Write::Delete { key: key::job(&ID) },
            put(key::entity(&entity, vault::SEEN, &[9; 16])),
            put(key::entity(&entity, vault::POSITION, &[9; 16])),
            Write::Delete { key: key::custody(&COPY.0, &COPY.1) },
            put(key::custody(&COPY.0, &COPY.1)),
            put(key::sms(&[1; 16])),
            put(key::outbox(&MessageId([8; 32]))),
        ];
        let marks = marks_of(&watch, &Batch { expects: Vec::new(), writes });
        let consumed = Mark::Seen { message: 0, row: key::entity(&entity, vault::SEEN, &[9; 16]) };
        let handed = Mark::CustodyGone { recipient: COPY.0, envelope: COPY.1 };
        assert_eq!(marks, [outbox(true), job(false), consumed, handed, Mark::Word]);
    }
}
