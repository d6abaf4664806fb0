//! News: what must be known everywhere within seconds is told over the links that there are, from node to node, instead of
//! being found by the next comparison. Its author tells it, and whoever finds it new passes it on.

use std::time::Duration;

use relaymesh_protocol::frame::{FactHead, FilterHead, Holdings, Request};
use relaymesh_protocol::ids::{NodeId, Timestamp};
use serde_bytes::ByteBuf;

use super::State;
use super::fact::Held;
use super::gossip::{self, What, ask};
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::Tx;

/// Connected members that get own facts at once.
const PUSH_PEERS_MAX: usize = 64;
/// Members that are told of something: partners, and others that are connected.
const TOLD: usize = 8;
/// The same, where bytes are dear.
const TOLD_METERED: usize = 2;
/// What was said longer ago than this is not passed on at once: who comes back after a while learns much that others know.
/// Long enough for clocks that disagree.
const FRESH: Duration = Duration::from_secs(600);
/// When a newcomer's filter is looked for, in case it was told of before the newcomer itself.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Sends own facts to every connected member and to partners, connected or not; the rest hears of them from others.
pub(super) fn push(node: &Node, tx: &mut Tx<'_>, facts: &[Held], not: Option<NodeId>) {
    if facts.is_empty() {
        return;
    }
    let state = &node.membership;
    let partners = state.partners.ids().filter(|peer| !state.connected.contains(peer));
    let all = partners.chain(state.connected.iter().copied());
    let all = all.filter(|peer| state.is_member(peer) && Some(*peer) != not);
    for peer in all.take(PUSH_PEERS_MAX).collect::<Vec<_>>() {
        let facts = facts.iter().map(|held| ByteBuf::from(held.bytes.clone())).collect();
        ask(tx, peer, What::Told, Request::Facts(facts));
    }
}

/// Sees to it that others hear of facts that are new here: by the next rounds, and at once of what was said just now.
pub(super) fn pass_on(node: &Node, tx: &mut Tx<'_>, new: &[FactHead], from: NodeId) {
    let facts: Vec<FactHead> = new.iter().filter(|head| is_fresh(head.seq, tx.now())).cloned().collect();
    if !new.is_empty() {
        gossip::hurry(node, tx);
    }
    if facts.is_empty() {
        return;
    }
    tell(node, tx, &facts, &[], Some(from));
    tx.wake(tx.now().after(LOOK_AGAIN), Timer::Gossip);
}

/// Tells others of a filter that somebody waits for: the first of a node, or one of newcomers; `from` knows it already.
pub(crate) fn tell_filter(node: &Node, tx: &mut Tx<'_>, head: FilterHead, from: Option<NodeId>) {
    if is_fresh(head.version, tx.now()) {
        tell(node, tx, &[], &[head], from);
    }
}

/// Numbers of facts and versions of filters are the times when they were made.
fn is_fresh(made_ms: u64, now: Timestamp) -> bool {
    now.since(Timestamp(made_ms)) <= FRESH
}

fn tell(node: &Node, tx: &mut Tx<'_>, facts: &[FactHead], filters: &[FilterHead], not: Option<NodeId>) {
    for peer in audience(node, tx, not) {
        let mesh = node.membership.mesh();
        let (facts, filters) = (facts.to_vec(), filters.to_vec());
        ask(
            tx,
            peer,
            What::Told,
            Request::Heads(Box::new(Holdings { mesh, of: 0, parts: Vec::new(), facts, filters })),
        );
    }
}

/// Partners, connected or not, and some of the members that are connected.
fn audience(node: &Node, tx: &mut Tx<'_>, not: Option<NodeId>) -> Vec<NodeId> {
    let state: &State = &node.membership;
    let count = if node.config().metered { TOLD_METERED } else { TOLD };
    let wanted = |peer: &NodeId| state.is_member(peer) && Some(*peer) != not;
    let mut audience: Vec<NodeId> = state.partners.ids().filter(wanted).collect();
    let mut others: Vec<NodeId> =
        state.connected.iter().filter(|peer| wanted(peer) && !audience.contains(peer)).copied().collect();
    while audience.len() < count && !others.is_empty() {
        let at = u64::from_be_bytes(tx.random()) % others.len() as u64;
        audience.push(others.swap_remove(usize::try_from(at).unwrap_or_default()));
    }
    audience
}
