//! The books of a world's watcher: which messages there are, and what each node has said yes to. It hears of every batch
//! that became durable and says what that breaks; it never looks into sealed values.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use relaymesh_core::batch::Key;
use relaymesh_core::record::key;
use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId};
use siphasher::sip::SipHasher13;

use super::{
    ACCEPTED_KEPT, CONSUMED_REMEMBERED, CUSTODY_KEPT, Copies, Custody, LIE_FREES_NO_COPY, Mark, PLAINTEXT_ONLY_AT_HOME,
};
use crate::kernel::{Span, Time};

/// A message that no home accepts ends after 120 days, less what clocks may differ.
const SUBMISSION_LIFE: Span = Span::days(119);

/// Something that broke: the invariant, and what was seen.
pub type Loss = (&'static str, String);

type Short = HashMap<u64, u32, BuildHasherDefault<SipHasher13>>;

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

    /// The message of an id.
    #[must_use]
    pub fn by_id(&self, id: &MessageId) -> Option<u32> {
        self.by_id.get(&short(&id.0)).copied()
    }

    /// The message of a block, by the start of its hash.
    #[must_use]
    pub fn by_block(&self, hash: &[u8]) -> Option<u32> {
        self.by_block.get(&short(hash)).copied()
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

#[cfg(test)]
mod tests;
