//! Open connections: how each goes, and whether it is dead, superseded or in the way.

use std::collections::BTreeMap;
use std::time::Instant;

use libp2p::swarm::ConnectionId;
use relaymesh_protocol::ids::NodeId;

/// Pings or requests in a row that got no answer on a connection on which others are answered, before it is closed;
/// libp2p's ping closes nothing.
const FAILURES_MAX: u32 = 3;

struct Link {
    relayed: bool,
    /// This node opened it.
    ours: bool,
    failures: u32,
    /// When the peer last said something on it.
    heard: Instant,
}

/// What is known of a connection when it opens.
pub(crate) struct Opened {
    pub relayed: bool,
    pub ours: bool,
    pub at: Instant,
    /// If a relayed connection has become superfluous, it may be used until then.
    pub drain_until: Instant,
}

#[derive(Default)]
pub(crate) struct Links {
    links: BTreeMap<NodeId, BTreeMap<ConnectionId, Link>>,
    /// Peers with a relayed connection besides a direct one, and until when the relayed one may finish.
    superseded: BTreeMap<NodeId, Instant>,
}

impl Links {
    /// Returns whether it is the first of that node.
    pub(crate) fn opened(&mut self, node: NodeId, id: ConnectionId, opened: &Opened) -> bool {
        let of_node = self.links.entry(node).or_default();
        let Opened { relayed, ours, at, drain_until } = *opened;
        of_node.insert(id, Link { relayed, ours, failures: 0, heard: at });
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

    fn link(&mut self, node: NodeId, id: ConnectionId) -> Option<&mut Link> {
        self.links.get_mut(&node).and_then(|of_node| of_node.get_mut(&id))
    }

    /// The peer asked something.
    pub(crate) fn heard(&mut self, node: NodeId, id: ConnectionId, now: Instant) {
        if let Some(link) = self.link(node, id) {
            link.heard = now;
        }
    }

    /// The peer answered something.
    pub(crate) fn answered(&mut self, node: NodeId, id: ConnectionId, now: Instant) {
        self.heard(node, id, now);
        if let Some(link) = self.link(node, id) {
            link.failures = 0;
        }
    }

    /// Something that was said at `since` got no answer. Returns whether the connection must be taken for dead: nothing
    /// at all was heard on it since then, or it failed several times in a row. `precious`: much hangs on it (a
    /// reservation), so the first failure counts.
    pub(crate) fn failed(&mut self, node: NodeId, id: ConnectionId, since: Instant, precious: bool) -> bool {
        let Some(link) = self.link(node, id) else {
            return false;
        };
        link.failures += 1;
        precious || link.heard <= since || link.failures >= FAILURES_MAX
    }

    /// Of the connections that this node opened and that nothing is under way on, the one that was silent for longest.
    pub(crate) fn quietest(&self, spare: impl Fn(&NodeId) -> bool) -> Option<ConnectionId> {
        let idle = self.links.iter().filter(|(node, _)| !spare(node)).flat_map(|(_, of_node)| of_node);
        idle.filter(|(_, link)| link.ours).min_by_key(|(_, link)| link.heard).map(|(id, _)| *id)
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
    const WAIT: Duration = Duration::from_secs(20);

    fn connection(id: usize) -> ConnectionId {
        ConnectionId::new_unchecked(id)
    }

    fn opened(relayed: bool, at: Instant) -> Opened {
        Opened { relayed, ours: true, at, drain_until: at + WAIT }
    }

    #[test]
    fn a_relayed_connection_goes_once_a_direct_one_is_up_and_it_is_idle() {
        let mut links = Links::default();
        let (relayed, direct) = (connection(1), connection(2));
        let start = Instant::now();
        let until = start + WAIT;
        assert!(links.opened(NODE, relayed, &opened(true, start)));
        assert!(links.superfluous(until, |_| false).is_empty(), "the only one stays");
        assert!(!links.opened(NODE, direct, &opened(false, start)));
        assert!(links.superfluous(start, |_| true).is_empty(), "it is in use");
        assert_eq!(links.superfluous(start, |_| false), [relayed]);
        assert_eq!(links.superfluous(until, |_| true), [relayed]);
        assert!(!links.closed(NODE, relayed));
        assert!(!links.anything_superseded());
        assert!(links.closed(NODE, direct));
    }

    #[test]
    fn silence_is_death_and_so_are_three_failures_in_a_row_beside_other_answers() {
        let mut links = Links::default();
        let id = connection(1);
        let start = Instant::now();
        links.opened(NODE, id, &opened(false, start));
        let asked = start + Duration::from_secs(1);
        assert!(links.failed(NODE, id, asked, false), "nothing was heard since");
        links.answered(NODE, id, asked + Duration::from_secs(1));
        assert!(!links.failed(NODE, id, asked, false));
        assert!(!links.failed(NODE, id, asked, false));
        links.answered(NODE, id, asked + Duration::from_secs(2));
        assert!(!links.failed(NODE, id, asked, false));
        links.heard(NODE, id, asked + Duration::from_secs(3));
        assert!(!links.failed(NODE, id, asked, false));
        assert!(links.failed(NODE, id, asked, false), "its questions are no answers");
        links.answered(NODE, id, asked + Duration::from_secs(4));
        assert!(links.failed(NODE, id, asked, true));
    }

    #[test]
    fn the_connection_of_ours_that_was_silent_for_longest_goes_first() {
        let mut links = Links::default();
        let start = Instant::now();
        assert_eq!(links.quietest(|_| false), None);
        for n in 1..=4_u8 {
            let at = start + Duration::from_secs(n.into());
            links.opened(NodeId([n; 32]), connection(n.into()), &Opened { ours: n > 1, ..opened(false, at) });
        }
        assert_eq!(links.quietest(|_| false), Some(connection(2)));
        assert_eq!(links.quietest(|node| *node == NodeId([2; 32])), Some(connection(3)));
        links.heard(NodeId([2; 32]), connection(2), start + Duration::from_secs(9));
        assert_eq!(links.quietest(|_| false), Some(connection(3)));
    }
}
