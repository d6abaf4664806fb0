//! New ways for messages that wait: a node's first record, or a newer one (with a new key to seal to, another address, or
//! only the word that it is back), a partner. Facts come in crowds, so what they open is gathered for a moment, and looked at no
//! more often than [`PAUSE`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::ids::{InstanceId, NodeId, Timestamp};

use super::fact::{Fact, Held};
use super::{Change, Relation, State};
use crate::delivery;
use crate::home;
use crate::locator;
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// So much later messages are tried: the other side of a new partnership learns of it too.
const SETTLE: Duration = Duration::from_secs(1);
/// At least so long after the last time.
const PAUSE: Duration = Duration::from_secs(10);
/// Messages that one look wakes where members opened the way: anybody can make new ones. A partner wakes all.
const WOKEN_MAX: usize = 1_000;

/// What has changed since messages were last tried because of it.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// Nodes that can be written to now, or that say something new of themselves; and whether it is the former.
    nodes: BTreeMap<NodeId, bool>,
    /// Somebody became a partner: its nodes may be asked for numbers.
    partner: bool,
    last: Timestamp,
}

impl Ways {
    /// Nothing new since `last`.
    pub fn taken(last: Timestamp) -> Self {
        Self { last, ..Self::default() }
    }

    fn is_empty(&self) -> bool {
        self.nodes.is_empty() && !self.partner
    }
}

impl State {
    /// Puts facts in, and notes which ways they open.
    pub(super) fn learn(&mut self, facts: Vec<Held>) {
        let partners = |state: &Self, of: &BTreeSet<InstanceId>| {
            of.iter().filter(|instance| state.relation_of(**instance) == Relation::Partner).count()
        };
        let own = self.own_instance();
        let others: BTreeSet<InstanceId> = facts.iter().filter_map(|held| other_side(&held.fact, own)).collect();
        let before = partners(self, &others);
        let relates = facts.iter().any(|held| self.relates(held));
        let writable = self.facts.put(facts);
        if relates {
            self.relations.take();
        }
        for (node, is_new) in writable.into_iter().filter(|(node, _)| self.me != Some(*node)) {
            *self.ways.nodes.entry(node).or_default() |= is_new;
        }
        self.ways.partner |= partners(self, &others) > before;
    }

    /// Whether it may follow from a fact what instances are to the own one, or which nodes are theirs: not from what a member
    /// is like now, nor from that it still is one.
    fn relates(&self, held: &Held) -> bool {
        match &held.fact {
            Fact::Node(new) => self.facts.members().get(&new.node).is_none_or(|old| old.instance != new.instance),
            Fact::Endorsement(new) => self.facts.endorsement(new.instance, new.node).is_none(),
            _ => true,
        }
    }
}

/// With whom a fact federates this instance, or does not any more.
fn other_side(fact: &Fact, own: InstanceId) -> Option<InstanceId> {
    let Fact::Federation(federation) = fact else { return None };
    match (federation.from == own, federation.to == own) {
        (true, false) => Some(federation.to),
        (false, true) => Some(federation.from),
        _ => None,
    }
}

/// Facts are being put in: what they open is looked at soon.
pub(super) fn look_soon(tx: &mut Tx<'_>) {
    tx.wake_by(tx.now().after(SETTLE), Timer::Ways);
}

/// Tries the messages that may have a way now.
pub(crate) fn on_ways(node: &Node, tx: &mut Tx<'_>) -> Run {
    let (ways, now) = (&node.membership.ways, tx.now());
    if ways.is_empty() {
        return Ok(());
    }
    if now.since(ways.last) < PAUSE {
        tx.wake(ways.last.after(PAUSE), Timer::Ways);
        return Ok(());
    }
    let most = if ways.partner { usize::MAX } else { WOKEN_MAX };
    let new: Vec<&NodeId> = ways.nodes.iter().filter(|(_, is_new)| **is_new).map(|(id, _)| id).collect();
    if ways.partner || !new.is_empty() {
        delivery::route_some(node, tx, most, |held| {
            let named = |id: &&NodeId| held.gains(id, || locator::may_name(node, id, held.tag.as_ref()));
            ways.partner || new.iter().any(named)
        });
    }
    // Whoever was known before is a candidate already, where it may be one.
    for (id, _) in ways.nodes.iter().filter(|(_, is_new)| !**is_new) {
        delivery::on_news(node, tx, most, id);
        home::on_news(node, tx, id);
    }
    if ways.partner {
        locator::on_partner(node, tx);
    }
    node.count(tx, "ways_opened");
    tx.change(Change::WaysTaken(now));
    Ok(())
}
