//! The set of facts that this node holds, and the members that follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use relaymesh_protocol::frame::FactHead;
use relaymesh_protocol::ids::{InstanceId, NodeId, Timestamp};
use sha2::{Digest, Sha256};

use super::fact::{Endorsement, Fact, Held, Instance, NodeRecord, Subject};
use super::parts;
use crate::config::Roles;

/// A record that expired so long ago (in milliseconds) is forgotten: later than any envelope could still open.
pub const FORGET_AFTER_MS: u64 = 150 * 86_400_000;
/// Leading bytes of a subject's hash that name it in a head.
const NAME_LEN: usize = 12;
/// Leading bytes of a fact's hash in a head, so that two facts of one subject and number are told apart.
const MARK_LEN: usize = 4;

/// A node of the mesh, as its newest record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub id: NodeId,
    /// Whose.
    pub instance: InstanceId,
    /// For people.
    pub name: String,
    /// For people.
    pub instance_name: String,
    /// Keys to seal to, newest first.
    pub sealing: Vec<[u8; 32]>,
    /// Public oblivious keys by id, newest first.
    pub oblivious: Vec<(u32, [u8; 32])>,
    /// What it does.
    pub roles: Roles,
    /// Where it may be dialled.
    pub addrs: Vec<String>,
    /// ISO 3166 alpha-2.
    pub country: Option<String>,
    /// Static bridge keys that live there.
    pub statics: Vec<(u8, [u8; 4])>,
    /// Number of the record.
    pub seq: u64,
    /// When the record becomes a mere dial hint.
    pub expires: Timestamp,
    /// The relay it can be reached through.
    pub relay: Option<NodeId>,
    /// Countries that SMS can leave to there, as the node's own record says.
    pub sms: Option<Vec<String>>,
}

impl Member {
    /// Whether it says that SMS to this country can leave there.
    #[must_use]
    pub fn sends_to(&self, country: &str) -> bool {
        let listed = |to: &Vec<String>| to.is_empty() || to.iter().any(|c| c.eq_ignore_ascii_case(country));
        self.sms.as_ref().is_some_and(listed)
    }
}

/// A fact with what names it, computed once.
#[derive(Debug)]
struct Kept {
    held: Held,
    head: FactHead,
}

/// What a head calls a subject: kind byte and hash.
type Name = [u8; NAME_LEN + 1];

/// What a comparison asks of a fact, found without the fact.
#[derive(Debug)]
struct Named {
    subject: Subject,
    seq: u64,
    mark: [u8; MARK_LEN],
}

/// The facts by subject, and what follows from them.
#[derive(Debug, Default)]
pub struct FactSet {
    facts: BTreeMap<Subject, Kept>,
    names: BTreeMap<Name, Named>,
    members: BTreeMap<NodeId, Member>,
    /// Changes so far: whoever remembers something of this set sees by it whether that still holds.
    generation: u64,
    sums: Mutex<Sums>,
}

/// What comparisons ask of parts, kept between two of them; a fact that changes spoils only its own part.
#[derive(Debug, Default)]
struct Sums {
    of: u16,
    parts: Vec<Part>,
    /// Changes of parts so far.
    changes: u64,
}

/// The facts of a part in order of their subjects.
#[derive(Debug, Default)]
struct Part {
    subjects: BTreeSet<Subject>,
    /// The count of changes when this part last changed: tells one state of it from all others.
    change: u64,
    made: Option<Made>,
}

/// A hash over the facts of a part, and their heads.
#[derive(Debug)]
struct Made {
    hash: Sha256,
    heads: Vec<FactHead>,
}

impl Part {
    fn made(&mut self, facts: &BTreeMap<Subject, Kept>) -> &Made {
        self.made.get_or_insert_with(|| {
            let mut made = Made { hash: Sha256::new(), heads: Vec::new() };
            for Kept { held, head } in self.subjects.iter().filter_map(|subject| facts.get(subject)) {
                made.hash.update(held.hash);
                made.heads.push(head.clone());
            }
            made
        })
    }
}

impl Sums {
    fn divided(facts: &BTreeMap<Subject, Kept>, of: u16, changes: u64) -> Self {
        let part = |_| Part { change: changes, ..Part::default() };
        let mut sums = Self { of, parts: (0..of).map(part).collect(), changes };
        for (subject, kept) in facts {
            if let Some(part) = sums.part_of(&kept.head) {
                part.subjects.insert(*subject);
            }
        }
        sums
    }

    fn part_of(&mut self, head: &FactHead) -> Option<&mut Part> {
        self.parts.get_mut(usize::from(parts::of_fact(head, self.of)))
    }

    /// The fact about a subject is another one now, or gone.
    fn spoil(&mut self, subject: &Subject, head: &FactHead, is_there: bool) {
        self.changes += 1;
        let changes = self.changes;
        let Some(part) = self.part_of(head) else { return };
        if is_there {
            part.subjects.insert(*subject)
        } else {
            part.subjects.remove(subject)
        };
        (part.change, part.made) = (changes, None);
    }
}

/// Short enough that the heads of the largest mesh fit one answer.
fn name(subject: &Subject) -> Name {
    let key = subject.key();
    let mut name = [0; NAME_LEN + 1];
    let bytes = key.iter().take(1).copied().chain(Sha256::digest(&key));
    name.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    name
}

fn mark(held: &Held) -> [u8; MARK_LEN] {
    let mut mark = [0; MARK_LEN];
    mark.copy_from_slice(&held.hash[..MARK_LEN]);
    mark
}

pub(super) fn head(held: &Held) -> FactHead {
    head_of(&name(&held.fact.subject()), held)
}

fn head_of(name: &Name, held: &Held) -> FactHead {
    FactHead { subject: [&name[..], &mark(held)].concat(), seq: held.fact.seq() }
}

impl FactSet {
    /// The fact about a subject.
    #[must_use]
    pub fn get(&self, subject: &Subject) -> Option<&Held> {
        self.facts.get(subject).map(|kept| &kept.held)
    }

    /// All facts; what others rest on comes first.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.facts.values().map(|kept| &kept.held)
    }

    /// An instance's record.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        match &self.get(&Subject::Instance(*id))?.fact {
            Fact::Instance(instance) => Some(instance),
            _ => None,
        }
    }

    /// All instances' records.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        let (least, most) = (Subject::Instance(InstanceId([0; 32])), Subject::Instance(InstanceId([0xff; 32])));
        self.facts.range(least..=most).filter_map(|(_, kept)| match &kept.held.fact {
            Fact::Instance(instance) => Some(instance),
            _ => None,
        })
    }

    /// A node's record, endorsed or not.
    #[must_use]
    pub fn record(&self, id: &NodeId) -> Option<&NodeRecord> {
        match &self.get(&Subject::Node(*id))?.fact {
            Fact::Node(record) => Some(record),
            _ => None,
        }
    }

    /// An instance's word for a node.
    #[must_use]
    pub fn endorsement(&self, instance: InstanceId, node: NodeId) -> Option<&Endorsement> {
        match &self.get(&Subject::Endorsement { instance, node })?.fact {
            Fact::Endorsement(endorsement) => Some(endorsement),
            _ => None,
        }
    }

    /// Endorsements that an instance gave.
    pub fn endorsements(&self, of: InstanceId) -> impl Iterator<Item = &Endorsement> {
        let least = Subject::Endorsement { instance: of, node: NodeId([0; 32]) };
        let most = Subject::Endorsement { instance: of, node: NodeId([0xff; 32]) };
        self.facts.range(least..=most).filter_map(|(_, kept)| match &kept.held.fact {
            Fact::Endorsement(endorsement) => Some(endorsement),
            _ => None,
        })
    }

    /// Whether `from` wants `to` as its partner.
    #[must_use]
    pub fn federates(&self, from: InstanceId, to: InstanceId) -> bool {
        let fact = self.get(&Subject::Federation { from, to }).map(|held| &held.fact);
        matches!(fact, Some(Fact::Federation(federation)) if federation.on)
    }

    /// Who wants whom as partner.
    pub fn federated(&self) -> impl Iterator<Item = (InstanceId, InstanceId)> {
        self.iter().filter_map(|held| match &held.fact {
            Fact::Federation(federation) if federation.on => Some((federation.from, federation.to)),
            _ => None,
        })
    }

    /// Whether an instance, or a node of it, was revoked.
    #[must_use]
    pub fn revoked(&self, by: InstanceId, node: Option<NodeId>) -> bool {
        revoked(&|subject| self.get(subject), by, node)
    }

    /// Nodes that follow from the facts: endorsed, of a known instance, not revoked.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<NodeId, Member> {
        &self.members
    }

    /// How many facts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// The heads of all facts.
    #[cfg(test)]
    pub fn heads(&self) -> Vec<FactHead> {
        self.facts.values().map(|kept| kept.head.clone()).collect()
    }

    /// For each of so many parts what tells its present state from all others, and a hash over the facts in it, in order of
    /// their subjects, if that state is not among those that are known.
    pub fn part_hashes(&self, of: u16, known: impl Fn(usize, u64) -> bool) -> Vec<(u64, Option<Sha256>)> {
        let mut sums = self.divided(of);
        let parts = sums.parts.iter_mut().enumerate();
        let hash = |(n, part): (usize, &mut Part)| {
            (part.change, (!known(n, part.change)).then(|| part.made(&self.facts).hash.clone()))
        };
        parts.map(hash).collect()
    }

    /// The heads of all facts in some of so many parts.
    pub fn heads_in(&self, of: u16, parts: &[u16]) -> Vec<FactHead> {
        if parts.is_empty() {
            return Vec::new();
        }
        // A peer may name a part twice.
        let parts: BTreeSet<u16> = parts.iter().copied().collect();
        let mut sums = self.divided(of);
        let mut heads = Vec::new();
        for part in parts {
            if let Some(part) = sums.parts.get_mut(usize::from(part)) {
                heads.extend(part.made(&self.facts).heads.iter().cloned());
            }
        }
        heads
    }

    /// What is remembered of so many parts.
    fn divided(&self, of: u16) -> MutexGuard<'_, Sums> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.of != of {
            *sums = Sums::divided(&self.facts, of, sums.changes + 1);
        }
        sums
    }

    /// Changes so far.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Hash over all facts.
    #[cfg(test)]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.iter().for_each(|held| hash.update(held.hash));
        hash.finalize().into()
    }

    /// The fact that a head names, whatever version of it.
    #[must_use]
    pub fn by_head(&self, head: &FactHead) -> Option<&Held> {
        self.get(&self.named(head)?.subject)
    }

    fn named(&self, head: &FactHead) -> Option<&Named> {
        self.names.get(head.subject.first_chunk::<{ NAME_LEN + 1 }>()?)
    }

    /// Of another node's heads, those that this set lacks or has in an older version, as far as they can be compared.
    #[must_use]
    pub fn lacks(&self, theirs: &[FactHead]) -> Vec<FactHead> {
        let newer = |theirs: &&FactHead| {
            let Some(ours) = self.named(theirs) else { return true };
            let mark = theirs.subject.get(NAME_LEN + 1..).unwrap_or_default();
            (std::cmp::Reverse(theirs.seq), mark) < (std::cmp::Reverse(ours.seq), &ours.mark[..])
        };
        let mut lacking: Vec<_> = theirs.iter().filter(newer).cloned().collect();
        lacking.sort();
        lacking
    }

    /// Of the facts in some of so many parts, the heads of those that another node's heads show it to lack.
    #[must_use]
    pub fn surplus(&self, theirs: &[FactHead], of: u16, parts: &[u16]) -> Vec<FactHead> {
        let known: BTreeMap<&[u8], &FactHead> =
            theirs.iter().filter_map(|head| Some((head.subject.get(..=NAME_LEN)?, head))).collect();
        let news = |ours: &FactHead| {
            let Some(theirs) = ours.subject.get(..=NAME_LEN).and_then(|name| known.get(name)) else { return true };
            (std::cmp::Reverse(ours.seq), &ours.subject) < (std::cmp::Reverse(theirs.seq), &theirs.subject)
        };
        let mut heads = self.heads_in(of, parts);
        heads.retain(news);
        heads
    }

    /// Puts facts in, newest wins, without asking whether they may enter. Returns the nodes that can be written to now and could
    /// not before, or that say something new of themselves, and whether it is the former.
    pub fn put(&mut self, facts: Vec<Held>) -> Vec<(NodeId, bool)> {
        let mut touched = Vec::new();
        for held in facts {
            let subject = held.fact.subject();
            if self.get(&subject).is_none_or(|known| held.beats(known)) {
                touched.push(subject);
                let name = name(&subject);
                let head = head_of(&name, &held);
                self.names.insert(name, Named { subject, seq: head.seq, mark: mark(&held) });
                self.sums().spoil(&subject, &head, true);
                self.facts.insert(subject, Kept { held, head });
            }
        }
        self.follow(&touched)
    }

    /// Takes facts out.
    pub fn remove(&mut self, subjects: &[Subject]) {
        for subject in subjects {
            self.names.remove(&name(subject));
            if let Some(gone) = self.facts.remove(subject) {
                self.sums().spoil(subject, &gone.head, false);
            }
        }
        self.follow(subjects);
    }

    fn sums(&mut self) -> &mut Sums {
        self.sums.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&mut self, touched: &[Subject]) -> Vec<(NodeId, bool)> {
        if touched.is_empty() {
            return Vec::new();
        }
        self.generation += 1;
        let mut writable = Vec::new();
        for node in self.affected(touched) {
            let Some(member) = self.derive(&node) else {
                self.members.remove(&node);
                continue;
            };
            let seq = member.seq;
            let before = self.members.insert(node, member);
            let is_new = before.is_none();
            if before.is_none_or(|before| before.seq != seq) {
                writable.push((node, is_new));
            }
        }
        writable
    }

    fn affected(&self, touched: &[Subject]) -> Vec<NodeId> {
        let mut nodes = Vec::new();
        let mut instances = Vec::new();
        for subject in touched {
            match subject {
                Subject::Node(node) | Subject::Endorsement { node, .. } => nodes.push(*node),
                Subject::Revocation { node: Some(node), .. } => nodes.push(*node),
                Subject::Revocation { by: id, node: None } | Subject::Instance(id) => instances.push(*id),
                Subject::Sponsorship { .. } | Subject::Federation { .. } => {}
            }
        }
        if !instances.is_empty() {
            let of = |record: &NodeRecord| instances.contains(&record.instance);
            nodes.extend(self.records().filter(|record| of(record)).map(|record| record.node));
        }
        nodes.sort();
        nodes.dedup();
        nodes
    }

    /// All nodes' records.
    pub fn records(&self) -> impl Iterator<Item = &NodeRecord> {
        self.iter().filter_map(|held| if let Fact::Node(record) = &held.fact { Some(record) } else { None })
    }

    fn derive(&self, id: &NodeId) -> Option<Member> {
        let record = self.record(id)?;
        let instance = self.instance(&record.instance)?;
        self.endorsement(record.instance, *id)?;
        if self.revoked(record.instance, None) || self.revoked(record.instance, Some(*id)) {
            return None;
        }
        Some(Member {
            id: *id,
            instance: record.instance,
            name: record.name.clone(),
            instance_name: instance.name.clone(),
            sealing: record.sealing.iter().map(|(key, _)| *key).collect(),
            oblivious: record.oblivious.clone(),
            roles: record.roles,
            addrs: record.addrs.clone(),
            country: record.country.clone(),
            statics: record.statics.clone(),
            seq: record.seq,
            expires: record.expires,
            relay: record.relay,
            sms: record.sms.clone(),
        })
    }

    /// Subjects whose facts are no longer worth keeping.
    #[must_use]
    pub fn stale(&self, now: Timestamp) -> Vec<Subject> {
        // Nearly always nobody is revoked, and then nobody need be looked up.
        let least = Subject::Revocation { by: InstanceId([0; 32]), node: None };
        let most = Subject::Revocation { by: InstanceId([0xff; 32]), node: Some(NodeId([0xff; 32])) };
        let some_are = self.facts.range(least..=most).next().is_some();
        let stale = |held: &&Held| match &held.fact {
            // A revoked node's record stays as long as others: it is what names the node to be kept out.
            Fact::Node(record) => forgotten(record, now),
            Fact::Endorsement(f) => f.expires <= now || (some_are && self.revoked(f.instance, Some(f.node))),
            _ => false,
        };
        self.iter().filter(stale).map(|held| held.fact.subject()).collect()
    }
}

pub(super) fn forgotten(record: &NodeRecord, now: Timestamp) -> bool {
    record.expires.0.saturating_add(FORGET_AFTER_MS) <= now.0
}

pub(super) fn revoked<'a>(get: &dyn Fn(&Subject) -> Option<&'a Held>, by: InstanceId, node: Option<NodeId>) -> bool {
    get(&Subject::Revocation { by, node }).is_some()
}
