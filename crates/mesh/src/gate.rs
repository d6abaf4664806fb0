//! Who may have a connection: members, whom the core dialled, and, while the mesh is open, a few strangers.
//!
//! libp2p's allow-list has no "open" and cannot bound strangers, so this is our own. It stands before every behaviour
//! that keeps state about a peer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::peer::node_of;

/// Strangers connected at once. They hold a connection for as long as it takes to join; members are never kept out by
/// them.
pub(crate) const STRANGERS_MAX: usize = 16;

/// Who may connect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    pub open: bool,
    pub known: BTreeSet<PeerId>,
    pub blocked: BTreeSet<PeerId>,
}

impl Policy {
    fn permits(&self, peer: &PeerId) -> bool {
        !self.blocked.contains(peer) && (self.known.contains(peer) || (self.open && node_of(peer).is_some()))
    }
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("this peer may not connect")]
    NotPermitted,
    #[error("{STRANGERS_MAX} strangers are connected already")]
    TooManyStrangers,
}

#[derive(Default)]
pub(crate) struct Gate {
    policy: Policy,
    /// Connections of each connected peer.
    connected: BTreeMap<PeerId, usize>,
    closing: VecDeque<PeerId>,
    waker: Option<Waker>,
}

impl Gate {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Replaces the policy and closes what it no longer permits.
    pub(crate) fn apply(&mut self, policy: Policy) {
        self.policy = policy;
        self.closing = self.connected.keys().filter(|peer| !self.policy.permits(peer)).copied().collect();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Lets one more peer in, unless it is blocked.
    pub(crate) fn admit(&mut self, peer: PeerId) {
        self.policy.known.insert(peer);
    }

    fn check(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        if !self.policy.permits(peer) {
            return Err(ConnectionDenied::new(Refused::NotPermitted));
        }
        let stranger = |peer: &PeerId| !self.policy.known.contains(peer);
        let strangers = || self.connected.keys().filter(|peer| stranger(peer)).count();
        if stranger(peer) && !self.connected.contains_key(peer) && strangers() >= STRANGERS_MAX {
            return Err(ConnectionDenied::new(Refused::TooManyStrangers));
        }
        Ok(())
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer).map(|()| dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        peer.map_or(Ok(()), |peer| self.check(&peer)).map(|()| Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer).map(|()| dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) => *self.connected.entry(new.peer_id).or_default() += 1,
            FromSwarm::ConnectionClosed(gone) if gone.remaining_established == 0 => {
                self.connected.remove(&gone.peer_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        if let Some(peer_id) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::keypair;

    fn peer(seed: u8) -> PeerId {
        keypair([seed; 32]).public().to_peer_id()
    }

    #[test]
    fn only_members_unless_open_and_never_the_blocked() {
        let known = BTreeSet::from([peer(1), peer(2)]);
        let blocked = BTreeSet::from([peer(2), peer(3)]);
        for (open, who, may) in
            [(false, 1, true), (false, 2, false), (false, 4, false), (true, 1, true), (true, 3, false), (true, 4, true)]
        {
            let gate = Gate::new(Policy { open, known: known.clone(), blocked: blocked.clone() });
            assert_eq!(gate.check(&peer(who)).is_ok(), may, "open {open}, peer {who}");
        }
        let open = Gate::new(Policy { open: true, ..Policy::default() });
        assert!(open.check(&PeerId::random()).is_err(), "only Ed25519 peers can be nodes");
    }

    #[test]
    fn strangers_never_keep_members_out() {
        let mut gate = Gate::new(Policy { open: true, known: BTreeSet::from([peer(200)]), ..Policy::default() });
        for seed in 0..STRANGERS_MAX as u8 {
            assert!(gate.check(&peer(seed)).is_ok());
            gate.connected.insert(peer(seed), 1);
        }
        assert!(gate.check(&peer(100)).is_err());
        assert!(gate.check(&peer(0)).is_ok(), "a second connection of one that is in");
        assert!(gate.check(&peer(200)).is_ok());
    }
}
