//! From libp2p's events to ours. libp2p's types end here.

use std::io;
use std::time::{Duration, Instant};

use libp2p::request_response::{InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, mdns, ping, relay, request_response};
use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::NodeId;

use crate::address::{self, is_private};
use crate::api::{Event, Unanswered};
use crate::behaviour::{BehaviourEvent, PING_TIMEOUT};
use crate::book::Book;
use crate::codec::FRAME_PROTOCOL;
use crate::config::OUTBOX_SOFT_MAX;
use crate::links::Opened;
use crate::peer::{node_of, peer_of};
use crate::task::Live;

/// What a peer is told to wait when the inbox is full.
const BUSY_RETRY_AFTER_MS: u32 = 1000;

type RpcEvent = request_response::Event<Request, Response>;

impl Live {
    pub(crate) fn on_swarm_event(&mut self, book: &mut Book, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(book, event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(book, &peer_id, connection_id, endpoint.is_relayed(), endpoint.is_dialer());
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.on_closed(book, &peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), connection_id, error } => {
                tracing::debug!(%peer, %error, "dial failed");
                if let Some(node) = node_of(&peer) {
                    self.dials.failed(node, connection_id);
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                book.outbox.push_back(Event::Listening { addr: address.to_string() });
            }
            SwarmEvent::ListenerClosed { listener_id, .. } => self.on_listener_closed(listener_id, Instant::now()),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener reports"),
            SwarmEvent::ExternalAddrConfirmed { address } => {
                book.outbox.push_back(Event::AddressConfirmed { addr: address.to_string() });
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, book: &mut Book, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Rpc(event) => self.on_rpc(book, event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(book, peer_id, info);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result }) => {
                self.on_ping(&peer, connection, result.is_ok());
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => heard_on_lan(book, found),
            BehaviourEvent::RelayServer(relay::Event::ReservationReqAccepted { src_peer_id, .. }) => {
                self.on_reserved_here(book, src_peer_id);
            }
            BehaviourEvent::RelayClient(relay::client::Event::ReservationReqAccepted { relay_peer_id, .. }) => {
                if let Some(relay) = node_of(&relay_peer_id) {
                    self.reservations.accepted(&relay);
                }
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, book: &mut Book, peer: &PeerId, id: ConnectionId, relayed: bool, ours: bool) {
        let Some(node) = node_of(peer) else { return };
        let now = Instant::now();
        tracing::debug!(%peer, relayed, "connected");
        self.dials.stop(&node);
        let opened = Opened { relayed, ours, at: now, drain_until: now + self.config.request_timeout };
        if self.links.opened(node, id, &opened) {
            book.connected.insert(node);
            book.outbox.push_back(Event::Connected { node });
        }
        self.reservations.connected(&node, now);
        self.pump(node);
    }

    fn on_closed(&mut self, book: &mut Book, peer: &PeerId, id: ConnectionId) {
        let Some(node) = node_of(peer) else { return };
        if self.links.closed(node, id) {
            tracing::debug!(%peer, "disconnected");
            book.connected.remove(&node);
            book.outbox.push_back(Event::Disconnected { node });
            book.unanswered(self.asks.give_up(node), Unanswered::Closed);
        }
    }

    fn on_rpc(&mut self, book: &mut Book, event: RpcEvent) {
        match event {
            RpcEvent::Message { peer, connection_id, message: Message::Request { request_id, request, channel } } => {
                if let Some(node) = node_of(&peer) {
                    self.links.heard(node, connection_id, Instant::now());
                }
                self.on_request(book, &peer, request_id, request, channel);
            }
            RpcEvent::Message { peer, connection_id, message: Message::Response { request_id, response } } => {
                self.on_response(book, &peer, connection_id, request_id, response);
            }
            RpcEvent::OutboundFailure { peer, connection_id, request_id, error } => {
                self.on_outbound_failure(book, &peer, connection_id, request_id, &error);
            }
            RpcEvent::InboundFailure { request_id, .. } | RpcEvent::ResponseSent { request_id, .. } => {
                self.inbox.drop_request(request_id);
            }
        }
    }

    fn on_request(
        &mut self,
        book: &mut Book,
        peer: &PeerId,
        request_id: InboundRequestId,
        frame: Request,
        channel: ResponseChannel<Response>,
    ) {
        let Some(from) = node_of(peer) else { return };
        let refusal = if !book.is_member(&from) && !matches!(frame, Request::Join { .. }) {
            Some(Response::NotMember)
        } else if !self.inbox.has_room(&from) || book.outbox.len() >= OUTBOX_SOFT_MAX {
            Some(Response::Busy { retry_after_ms: BUSY_RETRY_AFTER_MS })
        } else {
            None
        };
        if let Some(refusal) = refusal {
            // an error means that the asker has gone
            let _ = self.swarm.behaviour_mut().rpc.send_response(channel, refusal);
            return;
        }
        let name = book.fresh();
        self.inbox.keep(name, from, request_id, channel);
        book.outbox.push_back(Event::Asked { from, channel: name, frame });
    }

    fn on_response(
        &mut self,
        book: &mut Book,
        peer: &PeerId,
        connection: ConnectionId,
        request: OutboundRequestId,
        frame: Response,
    ) {
        if let Some(ticket) = self.asks.landed(request) {
            book.settle(ticket, |id, from| Event::Answered { id, from, frame });
        }
        if let Some(node) = node_of(peer) {
            self.links.answered(node, connection, Instant::now());
            self.pump(node);
        }
    }

    fn on_outbound_failure(
        &mut self,
        book: &mut Book,
        peer: &PeerId,
        connection: ConnectionId,
        request: OutboundRequestId,
        error: &OutboundFailure,
    ) {
        let why = why(error);
        tracing::debug!(%peer, ?why, "no answer");
        book.unanswered(self.asks.landed(request), why);
        if why == Unanswered::TimedOut {
            self.on_silence(peer, connection, self.config.request_timeout);
        }
        if let Some(node) = node_of(peer)
            && self.swarm.is_connected(peer)
        {
            self.pump(node);
        }
    }

    fn on_ping(&mut self, peer: &PeerId, connection: ConnectionId, answered: bool) {
        let Some(node) = node_of(peer) else { return };
        if answered {
            self.links.answered(node, connection, Instant::now());
        } else {
            self.on_silence(peer, connection, PING_TIMEOUT);
        }
    }

    /// No answer within `waited`. Kept links carry little, so a peer that vanished without a word is found out by the first
    /// who has something to say: the connection is closed, what waits for it hears so, and the next request dials anew.
    fn on_silence(&mut self, peer: &PeerId, connection: ConnectionId, waited: Duration) {
        let Some(node) = node_of(peer) else { return };
        let Some(since) = Instant::now().checked_sub(waited) else { return };
        if self.links.failed(node, connection, since, self.reservations.is_at(&node)) {
            tracing::debug!(%peer, "silent, closing");
            self.swarm.close_connection(connection);
        }
    }

    /// A peer that does not speak our protocol is none of ours.
    fn on_identified(&mut self, book: &mut Book, peer: PeerId, info: identify::Info) {
        let Some(node) = node_of(&peer) else { return };
        if !info.protocols.contains(&FRAME_PROTOCOL) {
            tracing::debug!(%peer, "does not speak {FRAME_PROTOCOL}, closing");
            // an error means that it has gone
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        }
        let lan = self.config.lan;
        seen(book, node, info.listen_addrs.into_iter().filter(|addr| lan || !is_private(addr)));
    }

    /// While the mesh is open strangers may ask to join, also through a relay; to be relayed is for members.
    fn on_reserved_here(&mut self, book: &Book, peer: PeerId) {
        if !node_of(&peer).is_some_and(|node| book.is_member(&node)) {
            tracing::debug!(%peer, "no member, may not reserve");
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }
}

fn why(error: &OutboundFailure) -> Unanswered {
    match error {
        OutboundFailure::DialFailure => Unanswered::Unreachable,
        OutboundFailure::Timeout => Unanswered::TimedOut,
        OutboundFailure::ConnectionClosed => Unanswered::Closed,
        OutboundFailure::UnsupportedProtocols => Unanswered::Malformed,
        OutboundFailure::Io(error) => match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Unsupported => {
                Unanswered::Malformed
            }
            // the decoder's own complaints (wrong variant, wrong type) come as `Other` around a text
            io::ErrorKind::Other => Unanswered::Malformed,
            _ => Unanswered::Closed,
        },
    }
}

/// Hints are worth less than the room they take when the core is slow to read.
fn seen(book: &mut Book, node: NodeId, addrs: impl IntoIterator<Item = Multiaddr>) {
    let addrs = address::clean(node, addrs);
    if !addrs.is_empty() && book.outbox.len() < OUTBOX_SOFT_MAX {
        book.outbox.push_back(Event::Seen { node, addrs: addrs.iter().map(Multiaddr::to_string).collect() });
    }
}

/// mDNS reports pairs; the core wants nodes.
fn heard_on_lan(book: &mut Book, found: Vec<(PeerId, Multiaddr)>) {
    let mut nodes: Vec<NodeId> = found.iter().filter_map(|(peer, _)| node_of(peer)).collect();
    nodes.sort_unstable();
    nodes.dedup();
    for node in nodes {
        let of_node = found.iter().filter(|(peer, _)| *peer == peer_of(&node));
        seen(book, node, of_node.map(|(_, addr)| addr.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::keypair;

    #[test]
    fn what_mdns_finds_is_told_once_per_node_and_only_of_nodes() {
        let (a, b) = (keypair([1; 32]).public().to_peer_id(), keypair([2; 32]).public().to_peer_id());
        let addr = |port: u16, peer: PeerId| -> Multiaddr {
            format!("/ip4/192.168.0.5/tcp/{port}/p2p/{peer}").parse().unwrap()
        };
        let stranger = PeerId::random();
        let mut book = Book::default();
        heard_on_lan(&mut book, vec![(b, addr(1, b)), (a, addr(2, a)), (b, addr(3, b)), (stranger, addr(4, stranger))]);
        let mut told: Vec<_> = book
            .outbox
            .into_iter()
            .map(|event| match event {
                Event::Seen { node, addrs } => (node, addrs),
                other => panic!("{other:?}"),
            })
            .collect();
        told.sort();
        let mut expected = vec![
            (node_of(&a).unwrap(), vec!["/ip4/192.168.0.5/tcp/2".to_owned()]),
            (node_of(&b).unwrap(), vec!["/ip4/192.168.0.5/tcp/1".to_owned(), "/ip4/192.168.0.5/tcp/3".to_owned()]),
        ];
        expected.sort();
        assert_eq!(told, expected);
    }

    #[test]
    fn failures_are_told_apart() {
        let io = |kind| OutboundFailure::Io(io::Error::from(kind));
        for (error, expected) in [
            (OutboundFailure::DialFailure, Unanswered::Unreachable),
            (OutboundFailure::Timeout, Unanswered::TimedOut),
            (OutboundFailure::ConnectionClosed, Unanswered::Closed),
            (io(io::ErrorKind::InvalidInput), Unanswered::Malformed),
            (io(io::ErrorKind::UnexpectedEof), Unanswered::Closed),
        ] {
            assert_eq!(why(&error), expected, "{error:?}");
        }
    }
}
