//! Reservations at relays, kept. libp2p renews one while its listener lives and does nothing once that is gone, so this
//! notices the loss and asks again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use libp2p::core::transport::ListenerId;
use relaymesh_protocol::ids::NodeId;

use crate::address::{Route, is_private, is_relayed};

/// Wait after the first failure; doubles.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// Longest wait between tries.
const RETRY_MAX: Duration = Duration::from_secs(5 * 60);

struct Reservation {
    addrs: Vec<Multiaddr>,
    listener: Option<ListenerId>,
    failures: u32,
    next: Instant,
}

#[derive(Default)]
pub(crate) struct Reservations {
    at: BTreeMap<NodeId, Reservation>,
}

impl Reservations {
    pub(crate) fn want(&mut self, relay: NodeId, addrs: Vec<Multiaddr>, now: Instant) {
        let listener = self.at.get(&relay).and_then(|known| known.listener);
        self.at.insert(relay, Reservation { addrs, listener, failures: 0, next: now });
    }

    /// No longer wanted. Its listener ends with the connection, which the caller closes; removing the listener while the
    /// relay's consent is on the way would make libp2p panic.
    pub(crate) fn forget(&mut self, relay: &NodeId) {
        self.at.remove(relay);
    }

    pub(crate) fn is_at(&self, relay: &NodeId) -> bool {
        self.at.contains_key(relay)
    }

    pub(crate) fn anything_missing(&self) -> bool {
        self.at.values().any(|reservation| reservation.listener.is_none())
    }

    /// Relays to try now, each with the address to announce. Counts the try as failed until told better.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(NodeId, Multiaddr)> {
        let mut due = Vec::new();
        for (relay, reservation) in &mut self.at {
            if reservation.listener.is_some() || reservation.next > now {
                continue;
            }
            reservation.next = now + backoff(reservation.failures);
            reservation.failures = reservation.failures.saturating_add(1);
            if let Some(addr) = most_public(&reservation.addrs) {
                due.push((*relay, addr));
            }
        }
        due
    }

    pub(crate) fn connected(&mut self, relay: &NodeId, now: Instant) {
        if let Some(reservation) = self.at.get_mut(relay) {
            reservation.next = now;
        }
    }

    pub(crate) fn listening(&mut self, relay: NodeId, listener: ListenerId) {
        if let Some(reservation) = self.at.get_mut(&relay) {
            reservation.listener = Some(listener);
        }
    }

    pub(crate) fn accepted(&mut self, relay: &NodeId) {
        if let Some(reservation) = self.at.get_mut(relay) {
            reservation.failures = 0;
        }
    }

    /// A listener has ended; returns the relay if it was a reservation's.
    pub(crate) fn lost(&mut self, listener: ListenerId, now: Instant) -> Option<NodeId> {
        let (relay, reservation) = self.at.iter_mut().find(|(_, r)| r.listener == Some(listener))?;
        reservation.listener = None;
        reservation.next = now + backoff(reservation.failures);
        Some(*relay)
    }
}

fn backoff(failures: u32) -> Duration {
    RETRY_FIRST.saturating_mul(1 << failures.min(10)).min(RETRY_MAX)
}

/// Others will dial the relay at the address that the reservation was made with, so it is the one that means something
/// to most of them, and not the one this node happens to use.
fn most_public(addrs: &[Multiaddr]) -> Option<Multiaddr> {
    let direct = addrs.iter().filter(|addr| !is_relayed(addr));
    direct.min_by_key(|addr| (is_private(addr), Route::of(addr, false))).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: NodeId = NodeId([1; 32]);

    fn addrs() -> Vec<Multiaddr> {
        ["/ip4/10.0.0.1/tcp/1", "/dns4/r.example/tcp/443/tls/ws", "/ip4/1.2.3.4/tcp/5"]
            .map(|text| text.parse().unwrap())
            .to_vec()
    }

    #[test]
    fn a_lost_reservation_is_asked_for_again_ever_more_slowly() {
        let (mut kept, start) = (Reservations::default(), Instant::now());
        kept.want(RELAY, addrs(), start);
        assert_eq!(kept.due(start), [(RELAY, "/ip4/1.2.3.4/tcp/5".parse().unwrap())]);
        assert!(kept.due(start).is_empty(), "one try at a time");
        let listener = ListenerId::next();
        kept.listening(RELAY, listener);
        kept.accepted(&RELAY);
        assert!(!kept.anything_missing());
        assert_eq!(kept.lost(ListenerId::next(), start), None);
        assert_eq!(kept.lost(listener, start), Some(RELAY));
        assert!(kept.due(start).is_empty());
        assert_eq!(kept.due(start + RETRY_FIRST).len(), 1);
        assert_eq!(kept.due(start + RETRY_FIRST * 2).len(), 1);
        assert!(kept.due(start + RETRY_FIRST * 3).is_empty());
        assert_eq!(kept.due(start + RETRY_FIRST * 4).len(), 1);
        kept.connected(&RELAY, start);
        assert_eq!(kept.due(start).len(), 1, "a connection is a reason to try at once");
    }

    #[test]
    fn waits_are_bounded() {
        assert_eq!(backoff(0), RETRY_FIRST);
        assert_eq!(backoff(u32::MAX), RETRY_MAX);
    }
}
