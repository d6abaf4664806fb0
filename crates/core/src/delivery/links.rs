//! Links to members that come up: each sets in motion what waits for that member, and no member does so more than once a
//! minute, however often it connects.

use std::collections::BTreeMap;
use std::time::Duration;

use relaymesh_protocol::ids::{NodeId, Timestamp};

use super::{Change, route};
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// A member that connects again within this waits for its end.
const PASS_EVERY: Duration = Duration::from_secs(60);

/// When a link last set something in motion, by member: those of the last [`PASS_EVERY`], and no stranger.
#[derive(Debug, Default)]
pub(super) struct Passes(BTreeMap<NodeId, Timestamp>);

impl Passes {
    pub fn passed(&mut self, peer: NodeId, at: Timestamp) {
        self.0.retain(|_, last| at.since(*last) < PASS_EVERY);
        self.0.insert(peer, at);
    }

    /// Until when a member has to wait, if it has.
    fn wait(&self, peer: &NodeId, now: Timestamp) -> Option<Timestamp> {
        let last = *self.0.get(peer)?;
        // A clock that went back makes nobody wait.
        (last <= now && now.since(last) < PASS_EVERY).then(|| last.after(PASS_EVERY))
    }
}

/// A link came up: what waits for that member goes, now or when its minute is over.
pub(crate) fn on_link(node: &Node, tx: &mut Tx<'_>, peer: NodeId) -> Run {
    // Strangers may connect where the gate is open, as often as they like: they change no way.
    if !node.membership.is_member(&peer) {
        return Ok(());
    }
    let now = tx.now();
    if let Some(until) = node.delivery.passes.wait(&peer, now) {
        tx.wake_by(until, Timer::Link(peer));
        return Ok(());
    }
    tx.change(Change::Passed(peer, now));
    route::on_connected(node, tx, peer)
}

/// A member's minute is over; it may be gone again.
pub(crate) fn on_link_again(node: &Node, tx: &mut Tx<'_>, peer: NodeId) -> Run {
    if node.membership.connected().contains(&peer) { on_link(node, tx, peer) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_a_minute_of_its_own_and_is_forgotten_after_it() {
        let (one, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let at = |seconds: u64| Timestamp(1_000_000 + 1_000 * seconds);
        let mut passes = Passes::default();
        assert_eq!(passes.wait(&one, at(0)), None);
        passes.passed(one, at(0));
        assert_eq!((passes.wait(&one, at(1)), passes.wait(&one, at(59))), (Some(at(60)), Some(at(60))));
        assert_eq!((passes.wait(&one, at(60)), passes.wait(&other, at(1))), (None, None));
        assert_eq!(passes.wait(&one, Timestamp(1)), None, "the clock went back");
        passes.passed(other, at(60));
        assert_eq!(passes.0.len(), 1, "only the last minute's are kept");
    }
}
