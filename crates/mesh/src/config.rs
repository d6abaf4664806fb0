//! What an operator may say about the mesh, and the limits that nobody may.

use std::time::Duration;

use libp2p::Multiaddr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Commands waiting for the task.
pub(crate) const COMMANDS_MAX: usize = 256;
/// Events waiting for the core in the channel.
pub(crate) const EVENTS_MAX: usize = 1024;
/// Events waiting in the task when the channel is full: beyond, no command is read and requests are answered `Busy`.
pub(crate) const OUTBOX_SOFT_MAX: usize = 1024;
/// Events waiting in the task: beyond, the swarm is left alone, so that peers feel the back-pressure.
pub(crate) const OUTBOX_HARD_MAX: usize = 4096;
/// Connections to one peer. Two nodes that dial each other at once have two for a while; with one allowed both close.
pub(crate) const CONNECTIONS_PER_PEER_MAX: u32 = 3;
/// Handshakes under way, each direction.
pub(crate) const PENDING_CONNECTIONS_MAX: u32 = 64;
/// New connections are refused once this share of the machine's memory is used by the process.
pub(crate) const MEMORY_SHARE_MAX: f64 = 0.8;
/// Connections that carry nothing are closed after this long. Making one again costs as much as a dozen pings. Where nothing changes
/// the core comes back to a partner every two hours, and as often as this where nobody can dial the node.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// From the first byte to an authenticated, multiplexed connection.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What an operator may say about the mesh. The default listens nowhere and is a plain client of relays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Multiaddresses to listen on, such as `/ip4/0.0.0.0/tcp/4001` or, behind a TLS front,
    /// `/ip4/127.0.0.1/tcp/4002/ws`.
    pub listen: Vec<String>,
    /// Multiaddresses under which others reach this node, such as `/dns4/node.example/tcp/443/tls/ws`.
    pub external: Vec<String>,
    /// Looks for nodes on the local network (mDNS) and prefers private addresses. A hostile packet on that network can
    /// end the discovery on it until a restart, hence off.
    pub lan: bool,
    /// Lets members behind NAT be reached through this node. Needs `external`: a relay without a known address grants
    /// reservations that libp2p's clients refuse.
    pub relay_server: bool,
    /// Can be reached, and reaches others, through relays.
    pub relay_client: bool,
    /// Connections in all, both directions.
    pub max_connections: u32,
    /// Connections that others opened.
    pub max_inbound: u32,
    /// Connections that this node opened.
    pub max_outbound: u32,
    /// From handing a request over to giving up on its answer; in a file, whole seconds.
    #[serde(serialize_with = "to_seconds", deserialize_with = "from_seconds")]
    pub request_timeout: Duration,
    /// The line is paid by the byte: pings are rarer.
    pub metered: bool,
    /// Pings so often instead; for measuring what one costs.
    #[serde(skip)]
    pub ping_every: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            external: Vec::new(),
            lan: false,
            relay_server: false,
            relay_client: true,
            max_connections: 320,
            max_inbound: 256,
            max_outbound: 128,
            request_timeout: Duration::from_secs(20),
            metered: false,
            ping_every: None,
        }
    }
}

fn to_seconds<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(span.as_secs())
}

fn from_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_secs)
}

impl Config {
    /// Time between pings on a connection. One ping costs both sides about 280 bytes with headers, and both sides ping.
    ///
    /// They are not what finds a dead peer: who has something to say finds it, by a request without an answer. They keep
    /// the state of a NAT alive, so a node that others reach only through its own connections pings more often.
    #[must_use]
    pub fn ping_interval(&self) -> Duration {
        if let Some(every) = self.ping_every {
            return every;
        }
        let behind_nat = self.external.is_empty() && self.relay_client;
        Duration::from_secs(match (behind_nat, self.metered) {
            (true, false) => 5 * 60,
            (true, true) => 20 * 60,
            (false, false) => 30 * 60,
            (false, true) => 2 * 60 * 60,
        })
    }

    /// Time between identify rounds on a connection; each is about a kilobyte, and what changes is told at once anyway.
    pub(crate) fn identify_interval(&self) -> Duration {
        Duration::from_secs(24 * 60 * 60)
    }

    pub(crate) fn parse(&self) -> Result<Addresses, StartError> {
        let all = |texts: &[String], which| texts.iter().map(|t| parse(t, which)).collect::<Result<Vec<_>, _>>();
        Ok(Addresses { listen: all(&self.listen, "listen")?, external: all(&self.external, "external")? })
    }
}

fn parse(text: &str, which: &'static str) -> Result<Multiaddr, StartError> {
    text.parse().map_err(|source| StartError::Address { which, text: text.to_owned(), source })
}

/// The addresses of a [`Config`], parsed.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub listen: Vec<Multiaddr>,
    pub external: Vec<Multiaddr>,
}

/// Why the mesh did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// One of the configured addresses is no multiaddress.
    #[error("the {which} address {text:?} is no multiaddress; expected something like /ip4/0.0.0.0/tcp/4001")]
    Address {
        /// The configuration key.
        which: &'static str,
        /// The address as written.
        text: String,
        /// What the parser says.
        source: libp2p::multiaddr::Error,
    },
    /// The transport or a part of the behaviour could not be built.
    #[error("the {part} of the mesh could not be built")]
    Build {
        /// Which part.
        part: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_named_when_wrong() {
        let good = Config { listen: vec!["/ip4/127.0.0.1/tcp/0".into()], ..Config::default() };
        assert_eq!(good.parse().unwrap().listen.len(), 1);
        let bad = Config { external: vec!["example.org:443".into()], ..Config::default() };
        let told = bad.parse().unwrap_err().to_string();
        assert!(told.contains("external") && told.contains("example.org:443"), "{told}");
    }

    #[test]
    fn a_metered_line_is_left_alone_and_a_nat_is_kept_awake() {
        let at = |external: &[&str], metered| {
            let external = external.iter().map(|addr| (*addr).to_owned()).collect();
            Config { external, metered, ..Config::default() }.ping_interval()
        };
        let public = ["/ip4/192.0.2.1/tcp/4001"];
        assert!(at(&public, true) > at(&public, false));
        assert!(at(&[], true) > at(&[], false));
        for metered in [false, true] {
            assert!(at(&[], metered) < at(&public, metered));
            assert!(at(&[], metered) < IDLE_TIMEOUT, "or an idle connection is gone before its first ping");
        }
    }
}
