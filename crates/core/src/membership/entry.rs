//! What may enter the set of facts.
//!
//! A fact enters only behind those it rests on: an instance behind a known sponsor, a node behind its instance's
//! endorsement. Without that, one hostile member could fill every node of the mesh with inventions. Where a cap is
//! reached newcomers are refused, and room comes back when old records are forgotten.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use relaymesh_protocol::ids::{InstanceId, NodeId, Timestamp};

use super::fact::{Fact, Held, Instance, NodeRecord, Subject};
use super::set::{FactSet, forgotten, revoked};

/// Nodes that everybody knows of everybody; beyond that the mesh needs another way to find nodes.
pub const NODES_MAX: usize = 5_000;
/// Instances.
pub const INSTANCES_MAX: usize = 2_000;
/// Instances without a sponsor: the first one, and room for a mesh that grew together from several.
pub const ROOTS_MAX: usize = 8;
/// Instances that one instance may bring in, and nodes that it may have: so one alone cannot use up the mesh's room.
pub const PER_INSTANCE_MAX: usize = 256;
/// Partners that one instance may name.
pub const FEDERATIONS_MAX: usize = 256;

/// What becomes of a fact that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Replaces what was known.
    New,
    /// This or something newer was known.
    Known,
    /// What it rests on is not known yet.
    Missing,
    /// No room, revoked or long expired.
    Refused,
}

/// Facts that are about to enter, on top of those that are in.
#[derive(Debug)]
pub struct Entry<'a> {
    base: &'a FactSet,
    new: BTreeMap<Subject, Held>,
    /// Of `base` and `new`; counted once somebody new asks for room.
    counts: OnceCell<Counts>,
    me: NodeId,
    own: InstanceId,
    now: Timestamp,
}

#[derive(Debug, Default)]
struct Counts {
    nodes: usize,
    instances: usize,
    roots: usize,
    brought: BTreeMap<InstanceId, usize>,
    endorsed: BTreeMap<InstanceId, usize>,
    revoked: BTreeMap<InstanceId, usize>,
    named: BTreeMap<InstanceId, usize>,
}

impl Counts {
    fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Node(_) => self.nodes += 1,
            Fact::Instance(instance) => {
                self.instances += 1;
                self.roots += usize::from(instance.sponsor.is_none());
            }
            Fact::Sponsorship(f) => *self.brought.entry(f.sponsor).or_default() += 1,
            Fact::Endorsement(f) => *self.endorsed.entry(f.instance).or_default() += 1,
            Fact::Revocation(f) => *self.revoked.entry(f.by).or_default() += 1,
            Fact::Federation(f) => *self.named.entry(f.from).or_default() += 1,
        }
    }

    fn room(counts: &BTreeMap<InstanceId, usize>, of: &InstanceId, max: usize) -> bool {
        counts.get(of).copied().unwrap_or_default() < max
    }
}

impl<'a> Entry<'a> {
    /// Nothing new yet. What is about `me` and `own` always finds room.
    #[must_use]
    pub fn new(base: &'a FactSet, me: NodeId, own: InstanceId, now: Timestamp) -> Self {
        Self { base, new: BTreeMap::new(), counts: OnceCell::new(), me, own, now }
    }

    fn counts(&self) -> &Counts {
        self.counts.get_or_init(|| {
            let mut counts = Counts::default();
            let newcomers = self.new.values().filter(|held| self.base.get(&held.fact.subject()).is_none());
            self.base.iter().chain(newcomers).for_each(|held| counts.add(&held.fact));
            counts
        })
    }

    /// What entered.
    #[must_use]
    pub fn finish(self) -> Vec<Held> {
        self.new.into_values().collect()
    }

    fn get(&self, subject: &Subject) -> Option<&Held> {
        self.new.get(subject).or_else(|| self.base.get(subject))
    }

    fn has(&self, subject: &Subject) -> bool {
        self.get(subject).is_some()
    }

    fn knows(&self, id: InstanceId) -> bool {
        self.has(&Subject::Instance(id))
    }

    fn is_revoked(&self, by: InstanceId, node: Option<NodeId>) -> bool {
        revoked(&|subject| self.get(subject), by, node)
    }

    /// Takes what may enter; returns how many facts did, and those that lack what they rest on. In any order: what is
    /// missing at first may come later in the list.
    pub fn take_all(&mut self, facts: Vec<Held>) -> (usize, Vec<Held>) {
        let mut waiting = facts;
        waiting.sort_by_key(|held| held.fact.subject());
        let mut taken = 0;
        loop {
            let before = taken;
            let mut missing = Vec::new();
            for held in waiting {
                match self.offer(&held) {
                    Verdict::New => {
                        self.enter(held);
                        taken += 1;
                    }
                    Verdict::Missing => missing.push(held),
                    Verdict::Known | Verdict::Refused => {}
                }
            }
            if taken == before || missing.is_empty() {
                return (taken, missing);
            }
            waiting = missing;
        }
    }

    /// Takes a fact without asking whether it may enter.
    pub fn enter(&mut self, held: Held) {
        let subject = held.fact.subject();
        if !self.has(&subject)
            && let Some(counts) = self.counts.get_mut()
        {
            counts.add(&held.fact);
        }
        self.new.insert(subject, held);
    }

    /// What would become of a fact.
    #[must_use]
    pub fn offer(&self, held: &Held) -> Verdict {
        let known = self.get(&held.fact.subject());
        if known.is_some_and(|known| !held.beats(known)) {
            return Verdict::Known;
        }
        let fresh = known.is_none();
        match &held.fact {
            Fact::Instance(f) => self.offer_instance(f, fresh),
            Fact::Sponsorship(f) => {
                self.rests_on(f.sponsor, !fresh || Counts::room(&self.counts().brought, &f.sponsor, PER_INSTANCE_MAX))
            }
            Fact::Revocation(f) => {
                let room = !fresh || Counts::room(&self.counts().revoked, &f.by, 2 * PER_INSTANCE_MAX);
                let known = self.knows(f.by);
                if !known { Verdict::Missing } else { new_if(room || f.node.is_none()) }
            }
            Fact::Endorsement(f) => {
                let sound = f.expires > self.now && !self.is_revoked(f.instance, Some(f.node));
                let room = !fresh || Counts::room(&self.counts().endorsed, &f.instance, PER_INSTANCE_MAX);
                self.rests_on(f.instance, sound && room)
            }
            Fact::Node(f) => self.offer_node(f, fresh),
            Fact::Federation(f) => {
                let room = !fresh || Counts::room(&self.counts().named, &f.from, FEDERATIONS_MAX);
                if self.knows(f.to) { self.rests_on(f.from, room) } else { Verdict::Missing }
            }
        }
    }

    fn offer_instance(&self, f: &Instance, fresh: bool) -> Verdict {
        if f.id == self.own {
            return Verdict::New;
        }
        let room = !fresh || self.counts().instances < INSTANCES_MAX;
        match f.sponsor {
            None => new_if(room && (!fresh || self.counts().roots < ROOTS_MAX)),
            Some(sponsor) if !self.has(&Subject::Sponsorship { instance: f.id, sponsor }) => Verdict::Missing,
            Some(sponsor) => self.rests_on(sponsor, room && !self.is_revoked(f.id, None)),
        }
    }

    fn offer_node(&self, f: &NodeRecord, fresh: bool) -> Verdict {
        if f.node == self.me {
            return Verdict::New;
        }
        if !self.has(&Subject::Endorsement { instance: f.instance, node: f.node }) {
            return Verdict::Missing;
        }
        let sound = !forgotten(f, self.now) && !self.is_revoked(f.instance, Some(f.node));
        self.rests_on(f.instance, sound && (!fresh || self.counts().nodes < NODES_MAX))
    }

    fn rests_on(&self, instance: InstanceId, sound: bool) -> Verdict {
        if !self.knows(instance) {
            return Verdict::Missing;
        }
        new_if(sound && !self.is_revoked(instance, None))
    }
}

fn new_if(sound: bool) -> Verdict {
    if sound { Verdict::New } else { Verdict::Refused }
}
