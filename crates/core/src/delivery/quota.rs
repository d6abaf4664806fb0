//! How many envelopes a peer may hand over: opening one costs a tenth of a millisecond and more, and what it says may have
//! to be answered.

use std::collections::BTreeMap;

use relaymesh_protocol::ids::{NodeId, Timestamp};

use super::Change;
use crate::limit::Bucket;
use crate::node::Node;
use crate::tx::Tx;

/// Envelopes that a peer may hand over at once: a backlog of a cut-off region, some of it.
const PEER_BURST: u32 = 4_000;
/// And in each second after that: twice what the whole way from an ingress to a platform is built for.
const PEER_PER_SECOND: u32 = 2_000;
/// Who is over its quota is asked to come back after this, in milliseconds.
pub(super) const BUSY_MS: u32 = 1_000;
/// Peers whose envelopes are counted at once; above it, those that may hand over a whole burst again are forgotten.
const PEERS_MAX: usize = 8_192;

/// The buckets of those that handed something over lately.
#[derive(Debug, Default)]
pub(super) struct Quotas(BTreeMap<NodeId, Bucket>);

impl Quotas {
    /// A peer handed one over, or tried.
    pub fn count(&mut self, peer: NodeId, at: Timestamp) {
        if self.0.len() >= PEERS_MAX && !self.0.contains_key(&peer) {
            // Who is full again is as one that was never seen.
            self.0.retain(|_, bucket| !bucket.is_full(at));
        }
        self.0.entry(peer).or_insert_with(|| Bucket::new(PEER_BURST, PEER_PER_SECOND)).take(at);
    }

    fn allows(&self, peer: &NodeId, now: Timestamp) -> bool {
        self.0.get(peer).is_none_or(|bucket| bucket.allows(now))
    }
}

/// Whether a peer may hand over one more envelope now, which is counted.
pub(super) fn admit(node: &Node, tx: &mut Tx<'_>, peer: NodeId) -> bool {
    let now = tx.now();
    let allowed = node.delivery.quotas.allows(&peer, now);
    if allowed {
        tx.change(Change::Came(peer, now));
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_a_burst_of_its_own_and_then_its_rate() {
        let (one, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut quotas = Quotas::default();
        let start = Timestamp(1_000_000);
        let mut taken = |peer: NodeId, at: Timestamp| {
            let may = quotas.allows(&peer, at);
            quotas.count(peer, at);
            may
        };
        assert_eq!((0..PEER_BURST + 9).filter(|_| taken(one, start)).count(), PEER_BURST as usize);
        assert!(taken(other, start));
        let later = Timestamp(start.0 + u64::from(BUSY_MS));
        assert_eq!((0..PEER_BURST).filter(|_| taken(one, later)).count(), PEER_PER_SECOND as usize);
    }

    #[test]
    fn those_that_were_quiet_are_forgotten_when_there_are_too_many() {
        let mut quotas = Quotas::default();
        for n in 0..PEERS_MAX + 10 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            quotas.count(NodeId(id), Timestamp(1_000 * n as u64));
        }
        assert!(quotas.0.len() <= 20, "{}", quotas.0.len());
    }
}
