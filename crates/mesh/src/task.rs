//! The loop around the swarm. It waits in one place, its `select!`, and every arm is a call that returns at once.

use std::io;
use std::time::{Duration, Instant};

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, Swarm};
use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::NodeId;
use tokio::sync::{mpsc, watch};

use crate::address::{self, is_relayed, relay_of};
use crate::api::{Command, Event, Unanswered};
use crate::asks::Asks;
use crate::behaviour::{self, Alarm, Behaviour};
use crate::book::{Book, RESERVATIONS_MAX};
use crate::config::{Addresses, Config, OUTBOX_HARD_MAX, OUTBOX_SOFT_MAX};
use crate::dial::Dials;
use crate::inbox::Inbox;
use crate::links::Links;
use crate::peer::peer_of;
use crate::reserve::Reservations;
use crate::transport::Transport;

/// How often what is due is looked at while something is under way.
const TICK: Duration = Duration::from_millis(100);
/// And while nothing is.
const IDLE_TICK: Duration = Duration::from_secs(60);
/// An address that cannot be listened on (in use, interface down) is tried again after this long.
const LISTEN_RETRY: Duration = Duration::from_secs(10);

/// The task's ends of its channels.
pub(crate) struct Io {
    pub commands: mpsc::Receiver<Command>,
    pub events: mpsc::Sender<Event>,
    pub stop: watch::Receiver<bool>,
}

/// What is needed to build a swarm, again and again.
pub(crate) struct Blueprint {
    pub config: Config,
    pub addresses: Addresses,
    pub identity: Keypair,
    pub transport: Transport,
}

/// A configured address and the listener on it.
struct Listener {
    addr: Multiaddr,
    id: Option<ListenerId>,
    next: Instant,
}

/// A swarm and what is known about its connections; dies with a panic.
pub(crate) struct Live {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) links: Links,
    pub(crate) asks: Asks,
    pub(crate) inbox: Inbox,
    pub(crate) dials: Dials,
    pub(crate) reservations: Reservations,
    pub(crate) config: Config,
    listeners: Vec<Listener>,
    alarm: Alarm,
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Told to, or nobody is left who commands or listens.
    Stopped,
    /// A task of the swarm panicked: what it held is stuck.
    Broken,
}

impl Live {
    /// A swarm that listens, lets in and reserves as the book and the blueprint say.
    pub(crate) fn build(blueprint: &Blueprint, book: &mut Book) -> io::Result<Self> {
        let Blueprint { config, addresses, identity, transport } = blueprint;
        let (now, alarm) = (Instant::now(), Alarm::default());
        let mut live = Self {
            swarm: behaviour::swarm(config, identity, transport, book.policy(), &alarm)?,
            links: Links::default(),
            asks: Asks::default(),
            inbox: Inbox::default(),
            dials: Dials::default(),
            reservations: Reservations::default(),
            config: config.clone(),
            listeners: addresses
                .listen
                .iter()
                .map(|addr| Listener { addr: addr.clone(), id: None, next: now })
                .collect(),
            alarm,
        };
        if config.relay_server && addresses.external.is_empty() {
            tracing::warn!("a relay without an external address in the configuration is of no use to anybody");
        }
        for addr in &addresses.external {
            live.swarm.add_external_address(addr.clone());
            book.outbox.push_back(Event::AddressConfirmed { addr: addr.to_string() });
        }
        for (relay, addrs) in &book.reservations {
            live.reservations.want(*relay, addrs.clone(), now);
        }
        Ok(live)
    }

    /// Runs until told to stop, until nobody is left who commands or listens, or until something breaks.
    pub(crate) async fn run(&mut self, book: &mut Book, io: &mut Io) -> Ended {
        loop {
            self.housekeep(book, Instant::now());
            if flush(book, &io.events).is_err() || *io.stop.borrow() {
                return Ended::Stopped;
            }
            let tick = if self.is_restless() { TICK } else { IDLE_TICK };
            tokio::select! {
                () = self.alarm.notified() => return Ended::Broken,
                _ = io.stop.changed() => return Ended::Stopped,
                room = io.events.reserve(), if !book.outbox.is_empty() => match (room, book.outbox.pop_front()) {
                    (Ok(room), Some(event)) => room.send(event),
                    _ => return Ended::Stopped,
                },
                command = io.commands.recv(), if book.outbox.len() < OUTBOX_SOFT_MAX => match command {
                    Some(command) => self.on_command(book, command),
                    None => return Ended::Stopped,
                },
                event = self.swarm.select_next_some(), if book.outbox.len() < OUTBOX_HARD_MAX => {
                    self.on_swarm_event(book, event);
                }
                () = tokio::time::sleep(tick) => {}
            }
        }
    }

    /// Whether something has a deadline soon.
    fn is_restless(&self) -> bool {
        !self.dials.is_idle()
            || self.asks.anybody_waits()
            || self.links.anything_superseded()
            || self.reservations.anything_missing()
            || self.listeners.iter().any(|listener| listener.id.is_none())
    }

    fn housekeep(&mut self, book: &mut Book, now: Instant) {
        self.listen(now);
        self.reserve(book, now);
        self.dial_due(book, now);
        let overdue = self.asks.overdue(now, self.config.request_timeout);
        book.unanswered(overdue, Unanswered::TimedOut);
        let busy = |node: &NodeId| self.asks.in_flight(node) > 0 || self.inbox.count(node) > 0;
        for id in self.links.superfluous(now, busy) {
            self.swarm.close_connection(id);
        }
    }

    fn listen(&mut self, now: Instant) {
        for listener in self.listeners.iter_mut().filter(|listener| listener.id.is_none() && listener.next <= now) {
            listener.next = now + LISTEN_RETRY;
            match self.swarm.listen_on(listener.addr.clone()) {
                Ok(id) => listener.id = Some(id),
                Err(error) => {
                    tracing::error!(addr = %listener.addr, %error, "cannot listen, trying again")
                }
            }
        }
    }

    /// A listener has ended: notes that it must be opened again.
    pub(crate) fn on_listener_closed(&mut self, id: ListenerId, now: Instant) {
        if let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == Some(id)) {
            listener.id = None;
            listener.next = now + LISTEN_RETRY;
            tracing::warn!(addr = %listener.addr, "no longer listening, trying again");
        }
        if let Some(relay) = self.reservations.lost(id, now) {
            tracing::info!(relay = %relay.peer_id(), "reservation lost, asking again");
        }
    }

    /// Connects to relays that owe a reservation, then asks for it; in two steps, so that all addresses of the relay are
    /// tried and not only the one to announce.
    fn reserve(&mut self, book: &mut Book, now: Instant) {
        for (relay, announced) in self.reservations.due(now) {
            if !self.swarm.is_connected(&peer_of(&relay)) {
                self.connect(book, relay, now);
                continue;
            }
            match self.swarm.listen_on(address::reservation(relay, announced)) {
                Ok(listener) => self.reservations.listening(relay, listener),
                Err(error) => {
                    tracing::warn!(relay = %relay.peer_id(), %error, "cannot reserve, trying again")
                }
            }
        }
    }

    /// Begins to dial a node where it may be reached. Returns whether that, or a connection, is under way.
    fn connect(&mut self, book: &mut Book, node: NodeId, now: Instant) -> bool {
        let addrs = book.addresses(node);
        for relay in addrs.iter().filter_map(relay_of) {
            if !book.knows(&relay) {
                book.add_dialled(relay, Vec::new());
                self.swarm.behaviour_mut().gate.admit(peer_of(&relay));
            }
        }
        if !self.dials.are_under_way(&node) {
            self.make_room();
        }
        self.dials.start(node, addrs, self.config.lan, now)
    }

    /// Connections are kept long after their last word. Where that would keep this node from opening another, the one that
    /// was silent for longest goes.
    fn make_room(&mut self) {
        let counters = self.swarm.network_info().connection_counters().clone();
        let ours = counters.num_established_outgoing() + counters.num_pending_outgoing();
        if ours < self.config.max_outbound && counters.num_established() < self.config.max_connections {
            return;
        }
        let spare = |node: &NodeId| {
            self.asks.in_flight(node) > 0 || self.inbox.count(node) > 0 || self.reservations.is_at(node)
        };
        if let Some(id) = self.links.quietest(spare) {
            tracing::debug!("closing the quietest connection, to make room");
            self.swarm.close_connection(id);
        }
    }

    fn dial_due(&mut self, book: &mut Book, now: Instant) {
        loop {
            let due = self.dials.due(now);
            if due.is_empty() {
                break;
            }
            for (node, addrs) in due {
                self.dial(node, addrs);
            }
        }
        for node in self.dials.exhausted() {
            if self.swarm.is_connected(&peer_of(&node)) {
                self.pump(node);
            } else {
                book.unanswered(self.asks.give_up(node), Unanswered::Unreachable);
            }
        }
    }

    /// Dials even a connected node: a relayed connection is worth a direct one, and a connection too many is harmless.
    fn dial(&mut self, node: NodeId, addrs: Vec<Multiaddr>) {
        let opts = DialOpts::peer_id(peer_of(&node)).condition(PeerCondition::Always).addresses(addrs).build();
        let id = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => self.dials.dialling(node, id),
            Err(error) => tracing::debug!(peer = %node.peer_id(), %error, "not dialled"),
        }
    }

    fn on_command(&mut self, book: &mut Book, command: Command) {
        match command {
            Command::Send { to, id, frame } => self.send(book, to, id, frame),
            Command::Respond { channel, frame } => self.respond(channel, frame),
            Command::Members { allow, open } => {
                book.set_members(allow, open);
                self.swarm.behaviour_mut().gate.apply(book.policy());
            }
            Command::Dial { node, addrs } => self.on_dial(book, node, &addrs),
            Command::Block(node) => {
                book.block(node);
                self.part_with(book, node);
            }
            Command::Unblock(node) => {
                book.unblock(&node);
                self.swarm.behaviour_mut().gate.apply(book.policy());
            }
            Command::Reserve { relay, addrs } => self.on_reserve(book, relay, &addrs),
            Command::Disconnect(node) => self.part_with(book, node),
        }
    }

    fn send(&mut self, book: &mut Book, to: NodeId, id: u64, frame: Request) {
        let Some(ticket) = book.owe(id, to) else {
            return book.outbox.push_back(Event::Unanswered { id, to, why: Unanswered::Busy });
        };
        let now = Instant::now();
        if self.asks.push(to, ticket, frame, now).is_err() {
            return book.unanswered([ticket], Unanswered::Busy);
        }
        if self.swarm.is_connected(&peer_of(&to)) {
            self.pump(to);
        } else if !self.connect(book, to, now) {
            book.unanswered(self.asks.give_up(to), Unanswered::Unreachable);
        }
    }

    /// Sends what waits for a connected node, as far as it may have more under way.
    pub(crate) fn pump(&mut self, node: NodeId) {
        let rpc = &mut self.swarm.behaviour_mut().rpc;
        self.asks.pump(node, |frame| rpc.send_request(&peer_of(&node), frame));
    }

    fn respond(&mut self, channel: u64, frame: Response) {
        if let Some(channel) = self.inbox.take(channel) {
            // an error means that the asker has gone
            let _ = self.swarm.behaviour_mut().rpc.send_response(channel, frame);
        }
    }

    fn on_dial(&mut self, book: &mut Book, node: NodeId, addrs: &[String]) {
        book.add_dialled(node, address::read(node, addrs));
        self.swarm.behaviour_mut().gate.admit(peer_of(&node));
        let now = Instant::now();
        if !self.swarm.is_connected(&peer_of(&node)) {
            self.connect(book, node, now);
        } else if !self.links.has_direct(&node) {
            let direct = book.addresses(node).into_iter().filter(|addr| !is_relayed(addr)).collect();
            self.dials.start(node, direct, self.config.lan, now);
        }
    }

    fn on_reserve(&mut self, book: &mut Book, relay: NodeId, addrs: &[String]) {
        let full = book.reservations.len() >= RESERVATIONS_MAX && !book.reservations.contains_key(&relay);
        if !self.config.relay_client || full {
            return tracing::warn!(relay = %relay.peer_id(), full, "not reserved: off in the configuration, or too many");
        }
        let addrs = address::read(relay, addrs);
        if !book.is_member(&relay) {
            book.add_dialled(relay, addrs.clone());
            self.swarm.behaviour_mut().gate.admit(peer_of(&relay));
        }
        book.reservations.insert(relay, addrs.clone());
        self.reservations.want(relay, addrs, Instant::now());
    }

    /// Closes everything with a node and takes back what the core wanted of it.
    fn part_with(&mut self, book: &mut Book, node: NodeId) {
        book.forget_dialled(&node);
        book.reservations.remove(&node);
        self.reservations.forget(&node);
        self.dials.stop(&node);
        book.unanswered(self.asks.give_up(node), Unanswered::Closed);
        self.swarm.behaviour_mut().gate.apply(book.policy());
        // an error means that there was no connection
        let _ = self.swarm.disconnect_peer_id(peer_of(&node));
    }
}

/// Moves events to the channel as far as it has room.
///
/// # Errors
/// When the receiver is gone.
fn flush(book: &mut Book, events: &mpsc::Sender<Event>) -> Result<(), ()> {
    while let Some(event) = book.outbox.pop_front() {
        match events.try_send(event) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(event)) => {
                book.outbox.push_front(event);
                return Ok(());
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(()),
        }
    }
    if events.is_closed() { Err(()) } else { Ok(()) }
}
