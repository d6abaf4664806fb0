//! Addresses that others wrote, made of any parts: what is kept of them can be dialled or fails to, and nothing else.

use libp2p::PeerId;
use proptest::prelude::*;

use super::*;

/// Nodes that addresses name.
fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn part() -> impl Strategy<Value = Protocol<'static>> {
    prop_oneof![
        2 => any::<[u8; 4]>().prop_map(|ip| Protocol::Ip4(ip.into())),
        1 => any::<[u8; 16]>().prop_map(|ip| Protocol::Ip6(ip.into())),
        1 => "[a-z.\u{e9}]{0,12}".prop_map(|name| Protocol::Dns4(name.into())),
        1 => "[a-z0-9]{1,5}".prop_map(|zone| Protocol::Ip6zone(zone.into())),
        2 => any::<u16>().prop_map(Protocol::Tcp),
        1 => any::<u64>().prop_map(Protocol::Memory),
        1 => prop_oneof![
            Just(Protocol::Tls), Just(Protocol::QuicV1), Just(Protocol::Ws("/".into())), Just(Protocol::Wss("/a".into())),
        ],
        // Some of these are not even peers of nodes.
        4 => (0..4_u8).prop_map(|n| Protocol::P2p(peer_of(&node(n)))),
        1 => any::<[u8; 32]>().prop_map(|hash| {
            Protocol::P2p(PeerId::from_bytes(&[&[0x12, 0x20][..], &hash].concat()).expect("a SHA-256 multihash"))
        }),
        3 => Just(Protocol::P2pCircuit),
    ]
}

fn addr() -> impl Strategy<Value = Multiaddr> {
    let any = proptest::collection::vec(part(), 0..8).prop_map(|parts| parts.into_iter().collect());
    let bare = (0..4_u8).prop_map(|n| reservation(node(n), Multiaddr::empty()));
    prop_oneof![4 => any, 1 => bare]
}

/// The parts of an address.
fn parts(addr: &Multiaddr) -> Vec<Protocol<'_>> {
    addr.iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn of_any_addresses_few_are_kept_and_none_names_a_peer_at_its_end(addrs in proptest::collection::vec(addr(), 0..14)) {
        let me = node(0);
        let kept = clean(me, addrs.iter().cloned());
        prop_assert!(kept.len() <= ADDRESSES_PER_NODE_MAX);
        for (n, addr) in kept.iter().enumerate() {
            prop_assert!(!addr.is_empty() && !kept[..n].contains(addr));
            prop_assert!(!matches!(addr.iter().last(), Some(Protocol::P2p(_))), "{addr}");
            // Nothing is made up: it was written so, or with the node's own peer behind it.
            let mut own = addr.clone();
            let written = (0..8).any(|_| {
                let found = addrs.contains(&own);
                own.push(Protocol::P2p(peer_of(&me)));
                found
            });
            prop_assert!(written, "{addr}");
        }
        prop_assert_eq!(clean(me, kept.clone()), kept.clone());
        prop_assert_eq!(read(me, kept.iter().map(ToString::to_string)), kept);
    }

    #[test]
    fn any_texts_are_read_or_left_out(
        texts in proptest::collection::vec("\\PC{0,40}|(/(ip4|tcp|p2p|p2p-circuit|dns|unix)?/?[a-z0-9.]{0,12}){0,5}", 0..12),
    ) {
        let kept = read(node(0), &texts);
        prop_assert!(kept.len() <= ADDRESSES_PER_NODE_MAX);
        prop_assert_eq!(clean(node(0), kept.clone()), kept);
    }

    #[test]
    fn a_relay_is_the_peer_before_the_circuit(addr in addr(), lan: bool) {
        let parts = parts(&addr);
        let circuit = parts.iter().position(|part| *part == Protocol::P2pCircuit);
        let before = &parts[..circuit.unwrap_or(0)];
        let last = before.iter().rev().find_map(|part| if let Protocol::P2p(peer) = part { Some(*peer) } else { None });
        prop_assert_eq!(relay_of(&addr).map(|relay| peer_of(&relay)), last.filter(|peer| node_of(peer).is_some()));
        prop_assert_eq!(Route::of(&addr, lan) == Route::Relay, circuit.is_some());
    }

    #[test]
    fn a_bare_circuit_is_completed_by_direct_addresses_only(addr in addr(), known in proptest::collection::vec(addr(), 0..5)) {
        let bare = matches!(addr.iter().next(), Some(Protocol::P2p(_)));
        let whole = complete(addr.clone(), |_| known.clone());
        if !bare || relay_of(&addr).is_none() {
            prop_assert_eq!(whole, [addr]);
        } else {
            let direct: Vec<_> = known.iter().filter(|at| !is_relayed(at)).collect();
            prop_assert_eq!(whole.len(), direct.len());
            for (whole, at) in whole.iter().zip(direct) {
                prop_assert_eq!(parts(whole), [parts(at), parts(&addr)].concat());
            }
        }
    }
}
