//! Dials under way: each node's addresses in stages, the better first, the next when its time comes or the earlier ones
//! have failed. (libp2p would try eight at once and keep whichever is quickest, often the relay.)

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use relaymesh_protocol::ids::NodeId;

use crate::address::Route;

/// Dials of one node under way, by stage.
struct Plan {
    stages: VecDeque<(Instant, Vec<Multiaddr>)>,
    pending: BTreeSet<ConnectionId>,
}

#[derive(Default)]
pub(crate) struct Dials {
    plans: BTreeMap<NodeId, Plan>,
}

impl Dials {
    /// Begins to dial a node, unless that is under way. Returns whether it is under way now.
    pub(crate) fn start(&mut self, node: NodeId, addrs: Vec<Multiaddr>, lan: bool, now: Instant) -> bool {
        if self.plans.contains_key(&node) {
            return true;
        }
        let mut by_route: BTreeMap<Route, Vec<Multiaddr>> = BTreeMap::new();
        for addr in addrs {
            by_route.entry(Route::of(&addr, lan)).or_default().push(addr);
        }
        let Some(first) = by_route.keys().next().map(|route| route.stagger()) else {
            return false;
        };
        let due = |route: Route| now + route.stagger().saturating_sub(first).max(Duration::ZERO);
        let stages = by_route.into_iter().map(|(route, addrs)| (due(route), addrs)).collect();
        self.plans.insert(node, Plan { stages, pending: BTreeSet::new() });
        true
    }

    /// Takes the stages to dial now. Call again until none is left: a stage whose dial fails at once brings the next
    /// forward.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(NodeId, Vec<Multiaddr>)> {
        let mut taken = Vec::new();
        for (node, plan) in &mut self.plans {
            let due = plan.stages.front().is_some_and(|(at, _)| *at <= now || plan.pending.is_empty());
            if due && let Some((_, addrs)) = plan.stages.pop_front() {
                taken.push((*node, addrs));
            }
        }
        taken
    }

    pub(crate) fn dialling(&mut self, node: NodeId, id: ConnectionId) {
        if let Some(plan) = self.plans.get_mut(&node) {
            plan.pending.insert(id);
        }
    }

    pub(crate) fn failed(&mut self, node: NodeId, id: ConnectionId) {
        if let Some(plan) = self.plans.get_mut(&node) {
            plan.pending.remove(&id);
        }
    }

    /// Takes the nodes that nothing is left to try for.
    pub(crate) fn exhausted(&mut self) -> Vec<NodeId> {
        let over = self.plans.extract_if(.., |_, plan| plan.stages.is_empty() && plan.pending.is_empty());
        over.map(|(node, _)| node).collect()
    }

    pub(crate) fn stop(&mut self, node: &NodeId) {
        self.plans.remove(node);
    }

    pub(crate) fn are_under_way(&self, node: &NodeId) -> bool {
        self.plans.contains_key(node)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.plans.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    fn addrs(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    const TCP: &str = "/ip4/1.2.3.4/tcp/5";
    const WS: &str = "/ip4/1.2.3.4/tcp/6/ws";
    const CIRCUIT: &str = "/ip4/1.2.3.4/tcp/5/p2p/12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2/p2p-circuit";

    #[test]
    fn better_addresses_come_first_and_the_best_at_once() {
        let (mut dials, start) = (Dials::default(), Instant::now());
        assert!(dials.start(NODE, addrs(&[CIRCUIT, WS, TCP]), false, start));
        assert_eq!(dials.due(start), [(NODE, addrs(&[TCP]))]);
        dials.dialling(NODE, ConnectionId::new_unchecked(1));
        assert_eq!(dials.due(start), []);
        let ws_at = start + Route::WebSocket.stagger() - Route::Direct.stagger();
        assert_eq!(dials.due(ws_at), [(NODE, addrs(&[WS]))]);
        dials.dialling(NODE, ConnectionId::new_unchecked(2));
        assert_eq!(dials.due(ws_at), []);
        assert_eq!(dials.exhausted(), []);
    }

    #[test]
    fn a_failure_brings_the_next_stage_forward_and_the_last_ends_the_plan() {
        let (mut dials, start) = (Dials::default(), Instant::now());
        dials.start(NODE, addrs(&[TCP, CIRCUIT]), false, start);
        dials.due(start);
        dials.dialling(NODE, ConnectionId::new_unchecked(1));
        dials.failed(NODE, ConnectionId::new_unchecked(1));
        assert_eq!(dials.due(start), [(NODE, addrs(&[CIRCUIT]))]);
        dials.dialling(NODE, ConnectionId::new_unchecked(2));
        assert_eq!(dials.exhausted(), []);
        dials.failed(NODE, ConnectionId::new_unchecked(2));
        assert_eq!(dials.exhausted(), [NODE]);
        assert!(dials.is_idle());
    }

    #[test]
    fn a_node_without_addresses_is_not_dialled() {
        assert!(!Dials::default().start(NODE, Vec::new(), false, Instant::now()));
    }
}
