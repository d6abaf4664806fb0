//! Where a node may be reached: reading addresses that others wrote, and in what order to try them.

use std::net::IpAddr;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use relaymesh_protocol::ids::NodeId;

use crate::peer::{node_of, peer_of};

/// Addresses kept of one node from one source; whoever wrote them may be hostile.
pub(crate) const ADDRESSES_PER_NODE_MAX: usize = 8;

/// What an address costs and how likely it works; the order in which to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    /// A private address, where the configuration says that there is a local network of nodes.
    Lan,
    /// TCP.
    Direct,
    /// WebSocket: passes more firewalls, one layer more.
    WebSocket,
    /// Through another node, which bounds bytes and minutes.
    Relay,
}

impl Route {
    pub(crate) fn of(addr: &Multiaddr, lan: bool) -> Self {
        let has = |test: fn(&Protocol<'_>) -> bool| addr.iter().any(|part| test(&part));
        if is_relayed(addr) {
            Self::Relay
        } else if has(|p| matches!(p, Protocol::Ws(_) | Protocol::Wss(_))) {
            Self::WebSocket
        } else if lan && is_private(addr) {
            Self::Lan
        } else {
            Self::Direct
        }
    }

    /// How long after the first try an address of this kind is tried, if the better ones have not failed before.
    pub(crate) fn stagger(self) -> Duration {
        Duration::from_millis(match self {
            Self::Lan => 0,
            Self::Direct => 400,
            Self::WebSocket => 1500,
            Self::Relay => 4000,
        })
    }
}

pub(crate) fn is_relayed(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Whether the address means something only nearby: loopback, private, link-local or unspecified.
pub(crate) fn is_private(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => is_private_ip(IpAddr::V4(ip)),
        Some(Protocol::Ip6(ip)) => is_private_ip(ip.to_canonical()),
        Some(Protocol::Ip6zone(_)) => true,
        _ => false,
    }
}

fn is_private_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

/// Reads addresses of `node`: without those that do not parse or name another peer, without its own peer id at the end,
/// without doubles, at most eight.
pub(crate) fn read<T: AsRef<str>>(node: NodeId, texts: impl IntoIterator<Item = T>) -> Vec<Multiaddr> {
    clean(node, texts.into_iter().filter_map(|text| text.as_ref().parse().ok()))
}

pub(crate) fn clean(node: NodeId, addrs: impl IntoIterator<Item = Multiaddr>) -> Vec<Multiaddr> {
    let mut kept: Vec<Multiaddr> = Vec::new();
    for addr in addrs.into_iter().filter_map(|addr| without_own_id(node, addr)) {
        if kept.len() == ADDRESSES_PER_NODE_MAX {
            break;
        }
        if !kept.contains(&addr) {
            kept.push(addr);
        }
    }
    kept
}

fn without_own_id(node: NodeId, mut addr: Multiaddr) -> Option<Multiaddr> {
    // Written more than once it would be left at the end, or hide another peer there.
    while let Some(Protocol::P2p(peer)) = addr.iter().last() {
        if peer != peer_of(&node) {
            return None;
        }
        addr.pop();
    }
    (!addr.is_empty()).then_some(addr)
}

/// The relay that a `p2p-circuit` address goes through.
pub(crate) fn relay_of(addr: &Multiaddr) -> Option<NodeId> {
    let before = addr.iter().take_while(|part| *part != Protocol::P2pCircuit);
    let relay = before.filter_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None }).last()?;
    is_relayed(addr).then(|| node_of(&relay)).flatten()
}

/// A circuit address that says only which relay (`/p2p/R/p2p-circuit`), completed with where that relay is; others as
/// they are.
pub(crate) fn complete(addr: Multiaddr, relay_addrs: impl Fn(NodeId) -> Vec<Multiaddr>) -> Vec<Multiaddr> {
    let bare = matches!(addr.iter().next(), Some(Protocol::P2p(_)));
    let (true, Some(relay)) = (bare, relay_of(&addr)) else {
        return vec![addr];
    };
    let direct = relay_addrs(relay).into_iter().filter(|at| !is_relayed(at));
    direct.map(|at| addr.iter().fold(at, |joined, part| joined.with(part))).collect()
}

/// The address to listen at for a reservation at `relay`, reached at `at`.
pub(crate) fn reservation(relay: NodeId, at: Multiaddr) -> Multiaddr {
    at.with(Protocol::P2p(peer_of(&relay))).with(Protocol::P2pCircuit)
}

#[cfg(test)]
mod any;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::keypair;

    fn node(seed: u8) -> NodeId {
        node_of(&keypair([seed; 32]).public().to_peer_id()).unwrap()
    }

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn routes_are_told_apart() {
        let relayed = format!("/ip4/10.0.0.1/tcp/1/p2p/{}/p2p-circuit", node(1).peer_id());
        for (text, off, on) in [
            ("/ip4/192.168.1.2/tcp/1", Route::Direct, Route::Lan),
            ("/ip4/203.0.113.9/tcp/1", Route::Direct, Route::Direct),
            ("/ip6/::ffff:10.0.0.1/tcp/1", Route::Direct, Route::Lan),
            ("/ip6/fe80::1/tcp/1", Route::Direct, Route::Lan),
            ("/dns4/node.example/tcp/443/tls/ws", Route::WebSocket, Route::WebSocket),
            ("/ip4/127.0.0.1/tcp/1/ws", Route::WebSocket, Route::WebSocket),
            ("/dns4/node.example/tcp/443/wss", Route::WebSocket, Route::WebSocket),
            (relayed.as_str(), Route::Relay, Route::Relay),
        ] {
            assert_eq!(Route::of(&addr(text), false), off, "{text}");
            assert_eq!(Route::of(&addr(text), true), on, "{text}");
        }
        assert!(Route::Lan < Route::Direct && Route::Direct < Route::WebSocket && Route::WebSocket < Route::Relay);
    }

    #[test]
    fn addresses_of_another_peer_and_rubbish_are_left_out() {
        let (me, other) = (node(1), node(2));
        let texts = [
            format!("/ip4/1.2.3.4/tcp/5/p2p/{}", me.peer_id()),
            "/ip4/1.2.3.4/tcp/5".into(),
            format!("/ip4/1.2.3.4/tcp/6/p2p/{}", other.peer_id()),
            format!("/ip4/1.2.3.4/tcp/7/p2p/{}/p2p-circuit/p2p/{}", other.peer_id(), me.peer_id()),
            "nonsense".into(),
            format!("/p2p/{}", me.peer_id()),
        ];
        let circuit = addr(&format!("/ip4/1.2.3.4/tcp/7/p2p/{}/p2p-circuit", other.peer_id()));
        assert_eq!(read(me, &texts), [addr("/ip4/1.2.3.4/tcp/5"), circuit.clone()]);
        assert_eq!(relay_of(&circuit), Some(other));
        assert_eq!(relay_of(&addr("/ip4/1.2.3.4/tcp/5")), None);
    }

    #[test]
    fn no_more_addresses_than_the_limit_are_kept() {
        let texts = (0..100).map(|port| format!("/ip4/1.2.3.4/tcp/{port}"));
        assert_eq!(read(node(1), texts).len(), ADDRESSES_PER_NODE_MAX);
    }

    #[test]
    fn a_bare_circuit_address_is_completed() {
        let relay = node(3);
        let bare = addr(&format!("/p2p/{}/p2p-circuit", relay.peer_id()));
        let known = |asked| {
            if asked == relay { vec![addr("/ip4/1.2.3.4/tcp/5")] } else { vec![] }
        };
        let full = reservation(relay, addr("/ip4/1.2.3.4/tcp/5"));
        assert_eq!(complete(bare.clone(), known), std::slice::from_ref(&full));
        assert_eq!(complete(bare, |_| vec![]), Vec::<Multiaddr>::new());
        assert_eq!(complete(full.clone(), known), [full]);
    }
}
