//! Open connections: how each goes, and whether it is dead or superseded.

use std::collections::BTreeMap;
use std::time::Instant;

use libp2p::swarm::ConnectionId;
use relaymesh_protocol::ids::NodeId;

/// Pings or requests in a row that got no answer on a connection before it is closed; libp2p's ping closes nothing.
const FAILURES_MAX: u32 = 3;

struct Link {
    relayed: bool,
    failures: u32,
}

#[derive(Default)]
pub(crate) struct Links {
    links: BTreeMap<NodeId, BTreeMap<ConnectionId, Link>>,
    /// Peers with a relayed connection besides a direct one, and until when the relayed one may finish.
    superseded: BTreeMap<NodeId, Instant>,
}

impl Links {
    /// Returns whether it is the first of that node. `drain_until`: if a relayed connection has become superfluous, it
    /// may be used until then.
    pub(crate) fn opened(&mut self, node: NodeId, id: ConnectionId, relayed: bool, drain_until: Instant) -> bool {
        let of_node = self.links.entry(node).or_default();
        of_node.insert(id, Link { relayed, failures: 0 });
        let first = of_node.len() == 1;
        if of_node.values().any(|link| link.relayed) && of_node.values().any(|link| !link.relayed) {
            self.superseded.entry(node).or_insert(drain_until);
        }
        first
    }

    /// Returns whether it was the last of that node.
    pub(crate) fn closed(&mut self, node: NodeId, id: ConnectionId) -> bool {
        let Some(of_node) = self.links.get_mut(&node) else {
            return false;
        };
        of_node.remove(&id);
        let last = of_node.is_empty();
        if last {
            self.links.remove(&node);
        }
        if self.relayed_of(&node).is_empty() || !self.has_direct(&node) {
            self.superseded.remove(&node);
        }
        last
    }

    pub(crate) fn answered(&mut self, node: NodeId, id: ConnectionId) {
        if let Some(link) = self.links.get_mut(&node).and_then(|of_node| of_node.get_mut(&id)) {
            link.failures = 0;
        }
    }

    /// Returns whether the connection must be taken for dead. `precious`: much hangs on it (a reservation), so the first
    /// failure counts.
    pub(crate) fn failed(&mut self, node: NodeId, id: ConnectionId, precious: bool) -> bool {
        let Some(link) = self.links.get_mut(&node).and_then(|of_node| of_node.get_mut(&id)) else {
            return false;
        };
        link.failures += 1;
        link.failures >= if precious { 1 } else { FAILURES_MAX }
    }

    pub(crate) fn anything_superseded(&self) -> bool {
        !self.superseded.is_empty()
    }

    /// Relayed connections that can be closed now: a direct one stands, and nothing is under way or the time is up.
    /// Requests are spread over all connections of a peer, so keeping both would send half of them the slow way.
    pub(crate) fn superfluous(&self, now: Instant, busy: impl Fn(&NodeId) -> bool) -> Vec<ConnectionId> {
        let ready = self.superseded.iter().filter(|(node, until)| now >= **until || !busy(node));
        ready.flat_map(|(node, _)| self.relayed_of(node)).collect()
    }

    fn relayed_of(&self, node: &NodeId) -> Vec<ConnectionId> {
        let of_node = self.links.get(node).into_iter().flatten();
        of_node.filter(|(_, link)| link.relayed).map(|(id, _)| *id).collect()
    }

    pub(crate) fn has_direct(&self, node: &NodeId) -> bool {
        self.links.get(node).is_some_and(|of_node| of_node.values().any(|link| !link.relayed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    #[test]
    fn a_relayed_connection_goes_once_a_direct_one_is_up_and_it_is_idle() {
        let mut links = Links::default();
        let (relayed, direct) = (ConnectionId::new_unchecked(1), ConnectionId::new_unchecked(2));
        let start = Instant::now();
        let until = start + Duration::from_secs(20);
        assert!(links.opened(NODE, relayed, true, until));
        assert!(links.superfluous(until, |_| false).is_empty(), "the only one stays");
        assert!(!links.opened(NODE, direct, false, until));
        assert!(links.superfluous(start, |_| true).is_empty(), "it is in use");
        assert_eq!(links.superfluous(start, |_| false), [relayed]);
        assert_eq!(links.superfluous(until, |_| true), [relayed]);
        assert!(!links.closed(NODE, relayed));
        assert!(!links.anything_superseded());
        assert!(links.closed(NODE, direct));
    }

    #[test]
    fn three_failures_in_a_row_are_death_and_an_answer_is_life() {
        let mut links = Links::default();
        let id = ConnectionId::new_unchecked(1);
        links.opened(NODE, id, false, Instant::now());
        assert!(!links.failed(NODE, id, false));
        assert!(!links.failed(NODE, id, false));
        links.answered(NODE, id);
        assert!(!links.failed(NODE, id, false));
        assert!(!links.failed(NODE, id, false));
        assert!(links.failed(NODE, id, false));
        links.answered(NODE, id);
        assert!(links.failed(NODE, id, true));
    }
}
