//! The swarm's parts, composed. Gating parts come first: the derive asks the fields in order, and whoever keeps state
//! about a peer must come after whoever may refuse it.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, Swarm, Transport as _, connection_limits, dcutr, identify, mdns, memory_connection_limits, ping, relay,
    swarm,
};
use tokio::sync::Notify;

use crate::asks::IN_FLIGHT_PER_PEER_MAX;
use crate::codec::{FRAME_PROTOCOL, FrameCodec};
use crate::config::{
    CONNECTIONS_PER_PEER_MAX, Config, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, MEMORY_SHARE_MAX, PENDING_CONNECTIONS_MAX,
};
use crate::gate::{Gate, Policy};
use crate::transport::{BoxedTransport, Transport, encryption, multiplexer};

/// What identify calls us; not negotiated, for people who look.
const IDENTIFY_PROTOCOL: &str = "/relaymesh/1";
/// What identify says of the software. No version number: it would tell an attacker which bugs to try.
const AGENT: &str = "relaymesh";
/// A ping's answer is awaited this long.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests under way on one connection, both directions, with slack for a peer that counts differently; what is beyond
/// is dropped by libp2p without an answer.
const STREAMS_OF_REQUESTS_MAX: usize = 3 * IN_FLIGHT_PER_PEER_MAX;

pub(crate) type Rpc = request_response::Behaviour<FrameCodec>;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub limits: connection_limits::Behaviour,
    pub memory: memory_connection_limits::Behaviour,
    pub gate: Gate,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub relay_client: Toggle<relay::client::Behaviour>,
    pub relay_server: Toggle<relay::Behaviour>,
    pub dcutr: Toggle<dcutr::Behaviour>,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
    pub rpc: Rpc,
}

/// Rings when one of the swarm's own tasks (one per connection) has panicked. libp2p would take the connection for open
/// forever, and its requests would never come back.
pub(crate) type Alarm = Arc<Notify>;

/// A swarm that listens nowhere yet.
pub(crate) fn swarm(
    config: &Config,
    identity: &Keypair,
    transport: &Transport,
    policy: Policy,
    alarm: &Alarm,
) -> io::Result<Swarm<Behaviour>> {
    let me = identity.public().to_peer_id();
    let (transport, relay_client) = with_relaying(config, identity, transport.build(identity)?)?;
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(limits(config)),
        memory: memory_connection_limits::Behaviour::with_max_percentage(MEMORY_SHARE_MAX),
        gate: Gate::new(policy),
        identify: identify::Behaviour::new(identify_config(config, identity)),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(config.ping_interval()).with_timeout(PING_TIMEOUT),
        ),
        dcutr: relay_client.as_ref().map(|_| dcutr::Behaviour::new(me)).into(),
        relay_client: relay_client.into(),
        relay_server: config.relay_server.then(|| relay_server(me)).into(),
        mdns: discovery(config, me).into(),
        rpc: Rpc::with_codec(FrameCodec::default(), [(FRAME_PROTOCOL, ProtocolSupport::Full)], rpc_config(config)),
    };
    let swarm_config = swarm::Config::with_executor(guarded(alarm.clone()))
        .with_idle_connection_timeout(IDLE_TIMEOUT)
        // A stream speaks one protocol, so there is nothing to wait for: its name and the request leave in one packet.
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(STREAMS_OF_REQUESTS_MAX + 16);
    Ok(Swarm::new(transport, behaviour, me, swarm_config))
}

fn guarded(alarm: Alarm) -> impl Fn(BoxFuture<'static, ()>) + Send {
    move |task| {
        let alarm = alarm.clone();
        tokio::spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                alarm.notify_one();
            }
        });
    }
}

fn with_relaying(
    config: &Config,
    identity: &Keypair,
    base: BoxedTransport,
) -> io::Result<(BoxedTransport, Option<relay::client::Behaviour>)> {
    if !config.relay_client {
        return Ok((TransportTimeout::new(base, HANDSHAKE_TIMEOUT).boxed(), None));
    }
    let (circuits, client) = relay::client::new(identity.public().to_peer_id());
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(encryption(identity)?)
        .multiplex(multiplexer())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let both = circuits.or_transport(base).map(|either, _| either.into_inner());
    Ok((TransportTimeout::new(both, HANDSHAKE_TIMEOUT).boxed(), Some(client)))
}

fn limits(config: &Config) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING_CONNECTIONS_MAX))
        .with_max_pending_outgoing(Some(PENDING_CONNECTIONS_MAX))
        .with_max_established_incoming(Some(config.max_inbound))
        .with_max_established_outgoing(Some(config.max_outbound))
        .with_max_established(Some(config.max_connections))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
}

/// Listen addresses stay hidden: what a node publishes of itself is its record's business.
fn identify_config(config: &Config, identity: &Keypair) -> identify::Config {
    identify::Config::new_with_signed_peer_record(IDENTIFY_PROTOCOL.to_owned(), identity)
        .with_agent_version(AGENT.to_owned())
        .with_interval(config.identify_interval())
        .with_push_listen_addr_updates(true)
        .with_hide_listen_addrs(true)
        .with_cache_size(0)
}

/// A relay for members (strangers that reserve are shown the door). libp2p's defaults, 2 minutes and 128 KiB, cut a
/// filter transfer short; these carry a day's traffic of a small node.
fn relay_server(me: PeerId) -> relay::Behaviour {
    let config = relay::Config {
        max_reservations: 512,
        max_circuits: 256,
        max_circuits_per_peer: 8,
        max_circuit_duration: Duration::from_secs(30 * 60),
        max_circuit_bytes: 16 * 1024 * 1024,
        ..relay::Config::default()
    };
    let mut server = relay::Behaviour::new(me, config);
    // by itself it waits for a confirmed external address; what it then tells its clients are the configured ones
    server.set_status(Some(relay::Status::Enable));
    server
}

/// Without a usable interface the node works on, without discovery.
fn discovery(config: &Config, me: PeerId) -> Option<mdns::tokio::Behaviour> {
    if !config.lan {
        return None;
    }
    mdns::tokio::Behaviour::new(mdns::Config::default(), me)
        .inspect_err(|error| tracing::warn!(%error, "no discovery on the local network"))
        .ok()
}

fn rpc_config(config: &Config) -> request_response::Config {
    request_response::Config::default()
        .with_request_timeout(config.request_timeout)
        .with_max_concurrent_streams(STREAMS_OF_REQUESTS_MAX)
}
