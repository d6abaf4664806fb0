//! How bytes travel. The swarm takes any of these, so that a simulation or a test can bring its own.

use std::io;
use std::sync::Arc;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, MemoryTransport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport as _, dns, noise, tcp, websocket, yamux};

use crate::gathered::Gathering;
use crate::tally::{Counted, Tally};

/// Authenticated, multiplexed connections.
pub type BoxedTransport = Boxed<(PeerId, StreamMuxerBox)>;

type Builder = dyn Fn(&Keypair) -> io::Result<BoxedTransport> + Send + Sync;

/// Makes a transport for an identity; called at the start and after each panic.
#[derive(Clone)]
pub struct Transport(Arc<Builder>);

impl Transport {
    /// A transport of one's own.
    pub fn new(build: impl Fn(&Keypair) -> io::Result<BoxedTransport> + Send + Sync + 'static) -> Self {
        Self(Arc::new(build))
    }

    pub(crate) fn build(&self, identity: &Keypair) -> io::Result<BoxedTransport> {
        (self.0)(identity)
    }
}

/// Streams on one connection, both directions. Frames, identify, ping and relay circuits need some sixty.
const STREAMS_PER_CONNECTION_MAX: usize = 256;
/// Largest WebSocket message taken: a Noise frame is at most 64 KiB, and writers send few at once.
const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

pub(crate) fn multiplexer() -> Gathering<yamux::Config> {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
    Gathering(config)
}

pub(crate) fn encryption(identity: &Keypair) -> io::Result<noise::Config> {
    noise::Config::new(identity).map_err(io::Error::other)
}

/// Byte streams under the encryption and multiplexing that all nodes use: for whoever brings sockets of another kind.
///
/// # Errors
/// When the identity cannot sign for the encryption's key.
pub fn secured<S>(identity: &Keypair, sockets: S) -> io::Result<BoxedTransport>
where
    S: libp2p::Transport + Send + Unpin + 'static,
    S::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S::Error: Send + Sync + 'static,
    S::Dial: Send + 'static,
    S::ListenerUpgrade: Send + 'static,
{
    Ok(sockets
        .upgrade(Version::V1Lazy)
        .authenticate(encryption(identity)?)
        .multiplex(multiplexer())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}

/// What nodes use: TCP and WebSocket, with names resolved by the system's servers. `/ws` listens in clear, to stand
/// behind a TLS front; `/ws`, `/wss` and `/tls/ws` can be dialled.
#[must_use]
pub fn real_transport() -> Transport {
    counting_transport(&Arc::default())
}

/// As [`real_transport`]; what goes over its sockets is added to `tally`.
#[must_use]
pub fn counting_transport(tally: &Arc<Tally>) -> Transport {
    let tally = tally.clone();
    Transport::new(move |identity| {
        let counted = || {
            let tally = tally.clone();
            resolving(sockets()).map(move |socket, _| Counted::new(socket, tally.clone()))
        };
        let mut websocket = websocket::Config::new(counted());
        websocket.set_max_data_size(WEBSOCKET_MESSAGE_BYTES_MAX);
        let (websocket, tcp) = (secured(identity, websocket)?, secured(identity, counted())?);
        Ok(websocket.or_transport(tcp).map(|either, _| either.into_inner()).boxed())
    })
}

fn sockets() -> tcp::tokio::Transport {
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
}

/// Without a readable `/etc/resolv.conf` (bare containers) names do not resolve and numeric addresses still work; no
/// resolver of a third party is asked instead.
fn resolving(inner: tcp::tokio::Transport) -> dns::tokio::Transport<tcp::tokio::Transport> {
    match dns::tokio::Transport::system(inner) {
        Ok(transport) => transport,
        Err(error) => {
            tracing::warn!(%error, "no system resolver: only numeric addresses can be dialled");
            dns::tokio::Transport::custom(sockets(), dns::ResolverConfig::default(), dns::ResolverOpts::default())
        }
    }
}

/// Connections inside this process (`/memory/1234`), encrypted as the real ones are. For tests.
#[must_use]
pub fn memory_transport() -> Transport {
    Transport::new(|identity| secured(identity, MemoryTransport::default()))
}
