//! The network as a libp2p transport: `/memory/N` is port N of the world.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Transport};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;

use super::network::{Life, Network, Way};
use super::socket::Socket;

/// The pause before a first packet without an answer is sent again; it doubles.
const KNOCK_AGAIN: Duration = Duration::from_secs(1);
/// So often (Linux, `tcp_syn_retries` = 6).
const KNOCKS: u32 = 7;

/// One node's sockets.
pub struct Wires {
    network: Network,
    own: Life,
    listeners: VecDeque<Listener>,
}

struct Listener {
    id: ListenerId,
    port: u64,
    arrivals: UnboundedReceiver<(Socket, u64)>,
    is_told: bool,
}

impl Wires {
    /// Of a life of a node.
    #[must_use]
    pub fn new(network: Network, own: Life) -> Self {
        Self { network, own, listeners: VecDeque::new() }
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        for listener in &self.listeners {
            self.network.unlisten(listener.port, self.own);
        }
    }
}

/// The port of `/memory/N`, with or without the peer's name behind it.
fn port_of(addr: &Multiaddr) -> Option<u64> {
    let mut parts = addr.iter();
    let Some(Protocol::Memory(port)) = parts.next() else { return None };
    matches!(parts.next(), None | Some(Protocol::P2p(_))).then_some(port).filter(|_| parts.next().is_none())
}

async fn connect(network: Network, own: Life, port: u64) -> io::Result<Socket> {
    let mut pause = KNOCK_AGAIN;
    for _ in 0..KNOCKS {
        if let Way::Open(way) = network.knock(own, port) {
            sleep(Duration::from_micros(way.0)).await;
            let (back, entered) = network.enter(own, port);
            sleep(Duration::from_micros(back.0)).await;
            return entered;
        }
        sleep(pause).await;
        pause *= 2;
    }
    Err(ErrorKind::TimedOut.into())
}

impl Transport for Wires {
    type Output = Socket;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Socket>>;
    type Dial = BoxFuture<'static, io::Result<Socket>>;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let port = port_of(&addr).ok_or(TransportError::MultiaddrNotSupported(addr))?;
        let (arrivals, on_arrivals) = unbounded_channel();
        self.network.listen(port, self.own, arrivals).map_err(TransportError::Other)?;
        self.listeners.push_back(Listener { id, port, arrivals: on_arrivals, is_told: false });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(at) = self.listeners.iter().position(|listener| listener.id == id) else { return false };
        self.listeners[at].arrivals.close();
        self.network.unlisten(self.listeners[at].port, self.own);
        true
    }

    fn dial(&mut self, addr: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let port = port_of(&addr).ok_or(TransportError::MultiaddrNotSupported(addr))?;
        Ok(connect(self.network.clone(), self.own, port).boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        for at in 0..self.listeners.len() {
            let listener = &mut self.listeners[at];
            let (listener_id, local_addr) = (listener.id, Multiaddr::from(Protocol::Memory(listener.port)));
            if !std::mem::replace(&mut listener.is_told, true) {
                return Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr: local_addr });
            }
            match listener.arrivals.poll_recv(cx) {
                Poll::Pending => {}
                Poll::Ready(Some((socket, from))) => {
                    let upgrade = ready(Ok(socket));
                    // Ports of who dials are not listened on: their numbers are above all that are.
                    let send_back_addr = Protocol::Memory(u64::from(u32::MAX) + from).into();
                    return Poll::Ready(TransportEvent::Incoming { listener_id, upgrade, local_addr, send_back_addr });
                }
                Poll::Ready(None) => {
                    self.listeners.remove(at);
                    return Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason: Ok(()) });
                }
            }
        }
        Poll::Pending
    }
}
