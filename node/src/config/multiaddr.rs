//! The multiaddresses that a node of this mesh can have. Stricter than the format: what passes here, the mesh can open.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use relaymesh_protocol::ids::NodeId;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Listening: an address of this machine, TCP or WebSocket behind a TLS front.
    Listen,
    /// Publishing: how others reach this node, names and TLS included.
    External,
}

/// Checks one address; the error says what was expected where.
///
/// # Errors
/// When it is none that can be used so.
pub fn check(text: &str, for_use: Use) -> Result<(), &'static str> {
    let mut parts = text.strip_prefix('/').ok_or("must begin with a slash, like /ip4/0.0.0.0/tcp/7443")?.split('/');
    host(&mut parts, for_use)?;
    if parts.next() != Some("tcp") {
        return Err("must have /tcp/PORT after the host");
    }
    let port =
        parts.next().and_then(|port| port.parse::<u16>().ok()).ok_or("needs a port from 0 to 65535 after /tcp/")?;
    if for_use == Use::External && port == 0 {
        return Err("cannot be published with port 0");
    }
    let rest: Vec<&str> = parts.collect();
    tail(&rest, for_use)
}

/// The socket address that a multiaddress begins with: `/ip4/A/tcp/P` or `/ip6/A/tcp/P`.
pub fn tcp_of(multiaddress: &str) -> Option<SocketAddr> {
    let mut words = multiaddress.split('/').skip(1);
    let (family, host, tcp, port) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if !matches!(family, "ip4" | "ip6") || tcp != "tcp" {
        return None;
    }
    Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?))
}

fn host<'a>(parts: &mut impl Iterator<Item = &'a str>, for_use: Use) -> Result<(), &'static str> {
    let (kind, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let good = match (kind, for_use) {
        ("ip4", _) => value.parse::<Ipv4Addr>().is_ok(),
        ("ip6", _) => value.parse::<Ipv6Addr>().is_ok(),
        ("dns" | "dns4" | "dns6", Use::External) => is_name(value),
        ("dns" | "dns4" | "dns6", Use::Listen) => return Err("must name an address of this machine, not a host name"),
        _ => return Err("must begin with /ip4/, /ip6/ or, if published, /dns4/"),
    };
    if good { Ok(()) } else { Err("has no valid host after /ip4/, /ip6/ or /dns4/") }
}

fn is_name(text: &str) -> bool {
    let label =
        |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    text.len() <= 253 && text.split('.').all(label)
}

fn tail(rest: &[&str], for_use: Use) -> Result<(), &'static str> {
    match (rest, for_use) {
        ([] | ["ws"], _) => Ok(()),
        ([before @ .., "p2p", id], Use::External) => {
            NodeId::from_peer_id(id).map_err(|_| "has no valid peer id after /p2p/")?;
            tail(before, Use::External)
        }
        (["wss"] | ["tls", "ws"], Use::External) => Ok(()),
        (["wss"] | ["tls", "ws"], Use::Listen) => Err("cannot end TLS itself: listen on /ws behind a TLS front"),
        (_, Use::Listen) => Err("can only have /ws after the port"),
        (_, Use::External) => Err("can only have /ws, /tls/ws, /wss and /p2p/PEER after the port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_told_apart() {
        let peer = NodeId([7; 32]).peer_id();
        let with_peer = format!("/dns4/node.example.org/tcp/443/tls/ws/p2p/{peer}");
        for (text, listen, external) in [
            ("/ip4/0.0.0.0/tcp/7443", true, true),
            ("/ip4/127.0.0.1/tcp/0", true, false),
            ("/ip6/::/tcp/7443/ws", true, true),
            ("/dns4/node.example.org/tcp/7443", false, true),
            ("/ip4/1.2.3.4/tcp/443/wss", false, true),
            (with_peer.as_str(), false, true),
            ("/ip4/1.2.3.4/tcp/443/p2p/nonsense", false, false),
            ("0.0.0.0:7443", false, false),
            ("/ip4/0.0.0.0", false, false),
            ("/ip4/0.0.0.0/udp/1/quic-v1", false, false),
            ("/ip4/0.0.0/tcp/1", false, false),
            ("/ip4/0.0.0.0/tcp/65536", false, false),
            ("/ip4/0.0.0.0/tcp/1/", false, false),
            ("", false, false),
        ] {
            assert_eq!(check(text, Use::Listen).is_ok(), listen, "listen {text}");
            assert_eq!(check(text, Use::External).is_ok(), external, "external {text}");
        }
    }

    #[test]
    fn only_addresses_with_a_port_are_tried() {
        assert_eq!(tcp_of("/ip4/127.0.0.1/tcp/7443").unwrap().to_string(), "127.0.0.1:7443");
        assert_eq!(tcp_of("/ip6/::1/tcp/7444/ws").unwrap().to_string(), "[::1]:7444");
        for other in ["/dns4/relay.example.org/tcp/1", "/ip4/127.0.0.1/udp/1", "/ip4/127.0.0.1", "", "/ip4/x/tcp/1"] {
            assert_eq!(tcp_of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(/?[a-z0-9.:]{0,6}){0,8}") {
            let _ = check(&text, Use::Listen);
            let _ = check(&text, Use::External);
        }
    }
}
