//! What outlives the swarm: what the core wanted, whom it is owed answers about, and what it has not read yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use libp2p::Multiaddr;
use relaymesh_protocol::ids::NodeId;

use crate::address;
use crate::api::{Event, Unanswered};
use crate::asks::Ticket;
use crate::gate::Policy;
use crate::peer::peer_of;

/// Requests of ours without an answer, to all peers; a frame may be half a megabyte.
pub(crate) const OUTSTANDING_MAX: usize = 2048;
/// Nodes dialled without being members: invitations under way, and relays on the way to members.
pub(crate) const DIALLED_MAX: usize = 64;
/// Nodes refused by name.
pub(crate) const BLOCKED_MAX: usize = 10_000;
/// Relays with a reservation.
pub(crate) const RESERVATIONS_MAX: usize = 8;

struct Owed {
    id: u64,
    to: NodeId,
}

#[derive(Default)]
pub(crate) struct Book {
    members: BTreeMap<NodeId, Vec<Multiaddr>>,
    dialled: BTreeMap<NodeId, Vec<Multiaddr>>,
    dialled_order: VecDeque<NodeId>,
    blocked: BTreeSet<NodeId>,
    open: bool,
    pub reservations: BTreeMap<NodeId, Vec<Multiaddr>>,
    pub connected: BTreeSet<NodeId>,
    pub outbox: VecDeque<Event>,
    owed: BTreeMap<Ticket, Owed>,
    next: u64,
    panics: u64,
}

impl Book {
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            open: self.open,
            known: self.members.keys().chain(self.dialled.keys()).map(peer_of).collect(),
            blocked: self.blocked.iter().map(peer_of).collect(),
        }
    }

    pub(crate) fn is_member(&self, node: &NodeId) -> bool {
        self.members.contains_key(node) && !self.blocked.contains(node)
    }

    /// Replaces the members. Who was a member and is none any more loses the right of having been dialled, too.
    pub(crate) fn set_members(&mut self, allow: Vec<(NodeId, Vec<String>)>, open: bool) {
        let now = allow.into_iter().map(|(node, addrs)| (node, address::read(node, addrs))).collect();
        let before = std::mem::replace(&mut self.members, now);
        self.open = open;
        let members = &self.members;
        self.dialled.retain(|node, _| !before.contains_key(node) && !members.contains_key(node));
        self.dialled_order.retain(|node| self.dialled.contains_key(node));
    }

    /// Lets a node in that the core, or a circuit address, named; the one named longest ago gives way.
    pub(crate) fn add_dialled(&mut self, node: NodeId, addrs: Vec<Multiaddr>) {
        if self.dialled.insert(node, addrs).is_none() {
            self.dialled_order.push_back(node);
        }
        if self.dialled_order.len() > DIALLED_MAX
            && let Some(oldest) = self.dialled_order.pop_front()
        {
            self.dialled.remove(&oldest);
        }
    }

    pub(crate) fn forget_dialled(&mut self, node: &NodeId) {
        self.dialled.remove(node);
        self.dialled_order.retain(|known| known != node);
    }

    pub(crate) fn knows(&self, node: &NodeId) -> bool {
        self.members.contains_key(node) || self.dialled.contains_key(node)
    }

    pub(crate) fn block(&mut self, node: NodeId) {
        if self.blocked.len() < BLOCKED_MAX {
            self.blocked.insert(node);
        } else {
            tracing::error!("{BLOCKED_MAX} nodes are blocked already");
        }
    }

    pub(crate) fn unblock(&mut self, node: &NodeId) {
        self.blocked.remove(node);
    }

    /// Where a node may be reached: what the core last said first.
    pub(crate) fn addresses(&self, node: NodeId) -> Vec<Multiaddr> {
        let of = |node: NodeId| {
            let all = [&self.dialled, &self.reservations, &self.members]
                .into_iter()
                .filter_map(|known| known.get(&node))
                .flatten();
            all.fold(Vec::new(), |mut kept: Vec<Multiaddr>, addr| {
                if !kept.contains(addr) {
                    kept.push(addr.clone());
                }
                kept
            })
        };
        of(node).into_iter().flat_map(|addr| address::complete(addr, of)).collect()
    }

    /// A number never used before in this process.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Notes that the core is owed an answer; none when too many are outstanding.
    pub(crate) fn owe(&mut self, id: u64, to: NodeId) -> Option<Ticket> {
        if self.owed.len() >= OUTSTANDING_MAX {
            return None;
        }
        let ticket = self.fresh();
        self.owed.insert(ticket, Owed { id, to });
        Some(ticket)
    }

    /// Pays what is owed for a ticket. The second time for the same ticket does nothing.
    pub(crate) fn settle(&mut self, ticket: Ticket, event: impl FnOnce(u64, NodeId) -> Event) {
        if let Some(Owed { id, to }) = self.owed.remove(&ticket) {
            self.outbox.push_back(event(id, to));
        }
    }

    pub(crate) fn unanswered(&mut self, tickets: impl IntoIterator<Item = Ticket>, why: Unanswered) {
        for ticket in tickets {
            self.settle(ticket, |id, to| Event::Unanswered { id, to, why });
        }
    }

    /// The swarm is gone and all connections with it.
    pub(crate) fn swarm_ended(&mut self) {
        let owed: Vec<Ticket> = self.owed.keys().copied().collect();
        self.unanswered(owed, Unanswered::Closed);
        let gone = std::mem::take(&mut self.connected);
        self.outbox.extend(gone.into_iter().map(|node| Event::Disconnected { node }));
    }

    pub(crate) fn panicked(&mut self) {
        self.swarm_ended();
        self.panics += 1;
        self.outbox.push_back(Event::Restarted { panics: self.panics });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{keypair, node_of};

    fn node(seed: u8) -> NodeId {
        node_of(&keypair([seed; 32]).public().to_peer_id()).unwrap()
    }

    #[test]
    fn each_request_is_paid_once_whatever_happens() {
        let mut book = Book::default();
        let first = book.owe(7, node(1)).unwrap();
        book.owe(7, node(1)).unwrap();
        book.unanswered([first, first], Unanswered::TimedOut);
        assert_eq!(book.outbox.len(), 1);
        book.panicked();
        book.swarm_ended();
        let closed = Event::Unanswered { id: 7, to: node(1), why: Unanswered::Closed };
        assert_eq!(book.outbox.iter().filter(|event| **event == closed).count(), 1);
        assert_eq!(book.outbox.back(), Some(&Event::Restarted { panics: 1 }));
    }

    #[test]
    fn outstanding_requests_are_bounded() {
        let mut book = Book::default();
        assert!((0..OUTSTANDING_MAX as u64).all(|id| book.owe(id, node(1)).is_some()));
        assert_eq!(book.owe(0, node(1)), None);
    }

    #[test]
    fn a_member_that_is_removed_is_out_even_if_it_was_dialled_once() {
        let mut book = Book::default();
        book.add_dialled(node(1), Vec::new());
        assert!(book.knows(&node(1)));
        book.set_members(vec![(node(1), vec!["/ip4/1.2.3.4/tcp/5".into()])], false);
        assert_eq!(book.addresses(node(1)).len(), 1);
        book.set_members(Vec::new(), false);
        assert!(!book.knows(&node(1)));
    }

    #[test]
    fn the_node_dialled_longest_ago_gives_way() {
        let mut book = Book::default();
        for seed in 0..=DIALLED_MAX as u8 {
            book.add_dialled(node(seed), Vec::new());
        }
        assert!(!book.knows(&node(0)));
        assert!(book.knows(&node(1)) && book.knows(&node(DIALLED_MAX as u8)));
    }
}
