//! All connections of a world, and who can reach whom.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use relaymesh_simulations::kernel::{Chance, Span, Time};
use relaymesh_simulations::world::{BETWEEN_NODES, Internet, Spot};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::flow::{Flow, Found, GIVE_UP, next_resend, resend_first};
use super::socket::Socket;

/// Draws of latency here begin at this number: the world's own count from zero.
const DRAWS_FROM: u64 = 1 << 48;
/// Times that one piece is lost before it is let through; nothing stays lost on a way that is open.
const LOSSES_MAX: u32 = 12;

/// One of a node's lives: what belongs to an earlier one is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life {
    /// Which node.
    pub node: u16,
    /// Which of its starts.
    pub life: u32,
}

/// What went over all wires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections asked for.
    pub dials: u64,
    /// And made.
    pub connections: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes, without headers of lower layers.
    pub bytes: u64,
}

struct Wire {
    ends: [Life; 2],
    /// `flows[n]` is what end `n` writes.
    flows: [Flow; 2],
    /// Ends that their owner has let go of.
    dropped: [bool; 2],
    /// Ends whose host knows nothing of the connection any more.
    dead: [bool; 2],
}

/// A listener's end of the connections that arrive.
pub type Arrivals = UnboundedSender<(Socket, u64)>;

struct Listener {
    owner: Life,
    arrivals: Arrivals,
}

struct State {
    start: Instant,
    chance: Chance,
    internet: Internet,
    spots: Vec<Spot>,
    draws: u64,
    listeners: BTreeMap<u64, Listener>,
    /// Whose port it is, listening or not.
    ports: BTreeMap<u64, u16>,
    wires: BTreeMap<u64, Wire>,
    next: u64,
    tally: Tally,
    hash: SipHasher13,
}

/// Shared by all sockets of a world.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

/// How a dial goes on.
pub enum Way {
    /// The first packet arrives after this.
    Open(Span),
    /// It does not.
    Lost,
}

impl Network {
    /// A network without connections, at virtual zero; within a runtime.
    #[must_use]
    pub fn new(chance: Chance, (internet, spots): (Internet, Vec<Spot>)) -> Self {
        Self(Arc::new(Mutex::new(State {
            start: Instant::now(),
            chance,
            internet,
            spots,
            draws: DRAWS_FROM,
            listeners: BTreeMap::new(),
            ports: BTreeMap::new(),
            wires: BTreeMap::new(),
            next: 0,
            tally: Tally::default(),
            hash: SipHasher13::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.state().now()
    }

    /// When a moment is, on tokio's clock.
    #[must_use]
    pub fn instant(&self, at: Time) -> Instant {
        self.state().start + std::time::Duration::from_micros(at.0)
    }

    /// What went over the wires so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.state().tally
    }

    /// A hash over every byte so far, with its moment.
    #[must_use]
    pub fn hash(&self) -> u128 {
        self.state().hash.finish128().as_u128()
    }

    /// Says whose a port is.
    pub fn assign(&self, port: u64, node: u16) {
        self.state().ports.insert(port, node);
    }

    /// Listens on a port, unless somebody does.
    ///
    /// # Errors
    /// When somebody does.
    pub fn listen(&self, port: u64, owner: Life, arrivals: Arrivals) -> io::Result<()> {
        let mut state = self.state();
        if state.listeners.contains_key(&port) {
            return Err(ErrorKind::AddrInUse.into());
        }
        state.ports.insert(port, owner.node);
        state.listeners.insert(port, Listener { owner, arrivals });
        Ok(())
    }

    /// Listens no more.
    pub fn unlisten(&self, port: u64, owner: Life) {
        let mut state = self.state();
        if state.listeners.get(&port).is_some_and(|listener| listener.owner == owner) {
            state.listeners.remove(&port);
        }
    }

    /// A first packet to a port.
    #[must_use]
    pub fn knock(&self, from: Life, port: u64) -> Way {
        let mut state = self.state();
        state.tally.dials += 1;
        let Some(to) = state.ports.get(&port).copied() else { return Way::Lost };
        state.packet(from.node, to).map_or(Way::Lost, Way::Open)
    }

    /// The packet has arrived: a socket for who knocked, and how long until it hears so. Its number is its port.
    ///
    /// # Errors
    /// After that time: nobody listens there.
    pub fn enter(&self, from: Life, port: u64) -> (Span, io::Result<Socket>) {
        let mut state = self.state();
        let Some(owner) = state.listeners.get(&port).map(|listener| listener.owner) else {
            let to = state.ports.get(&port).copied().unwrap_or(from.node);
            let back = state.packet(to, from.node).unwrap_or(Span::ZERO);
            return (back, Err(ErrorKind::ConnectionRefused.into()));
        };
        let back = state.delay(owner.node, from.node).unwrap_or(Span::ZERO);
        let wire = state.next;
        state.next += 1;
        state.tally.connections += 1;
        let flows = [Flow::default(), Flow::default()];
        state.wires.insert(wire, Wire { ends: [from, owner], flows, dropped: [false; 2], dead: [false; 2] });
        let arrivals = state.listeners.get(&port).map(|listener| listener.arrivals.clone());
        drop(state);
        if let Some(arrivals) = arrivals {
            // A listener that has just gone drops the socket, which closes it.
            let _ = arrivals.send((Socket::new(self.clone(), wire, 1), wire + 1));
        }
        (back, Ok(Socket::new(self.clone(), wire, 0)))
    }

    /// kill -9: nothing of this life is sent any more, and its peers' systems are told that nobody is there, where there is a
    /// way.
    pub fn kill(&self, who: Life) {
        let mut state = self.state();
        state.listeners.retain(|_, listener| listener.owner != who);
        let now = state.now();
        let touched: Vec<u64> =
            state.wires.iter().filter(|(_, wire)| wire.ends.contains(&who)).map(|(id, _)| *id).collect();
        for id in touched {
            let Some(ends) = state.wires.get(&id).map(|wire| wire.ends) else { continue };
            let own = usize::from(ends[0] != who);
            let delay = state.delay(who.node, ends[1 - own].node);
            let Some(wire) = state.wires.get_mut(&id) else { continue };
            wire.flows[1 - own].break_at(now);
            // Without a way the peer hears it when there is one again.
            wire.flows[own].break_at(delay.map_or(Time::MAX, |delay| now.after(delay)));
            wire.flows[own].stall(now);
            wire.dead[own] = true;
        }
    }

    /// Ways opened or closed.
    pub fn change(&self, (internet, spots): (Internet, Vec<Spot>)) {
        let mut state = self.state();
        (state.internet, state.spots) = (internet, spots);
        let now = state.now();
        let ids: Vec<u64> = state.wires.keys().copied().collect();
        for id in ids {
            let Some([a, b]) = state.wires.get(&id).map(|wire| wire.ends.map(|end| end.node)) else { continue };
            let open = state.is_open(a, b);
            let delay = if open { state.delay(a, b) } else { None };
            let Some(wire) = state.wires.get_mut(&id) else { continue };
            match delay {
                None => wire.flows.iter_mut().for_each(|flow| flow.stall(now)),
                Some(delay) => wire.reopen(now, delay),
            }
        }
    }

    pub(super) fn read(&self, wire: u64, end: usize, into: &mut [u8], waker: &Waker) -> Found {
        let mut state = self.state();
        let now = state.now();
        let Some(wire) = state.wires.get_mut(&wire) else { return Found::Broken };
        let found = wire.flows[1 - end].read(into, now);
        let Found::Nothing(until) = found else { return found };
        // Whoever cannot get rid of bytes gives the connection up.
        let given_up = wire.flows[end].stalled.map_or(Time::MAX, |since| since.after(GIVE_UP));
        if given_up <= now {
            wire.flows[1 - end].break_at(now);
            return Found::Broken;
        }
        wire.flows[1 - end].watch_read(waker);
        Found::Nothing(until.min(given_up))
    }

    pub(super) fn write(&self, id: u64, end: usize, bytes: &[u8], waker: &Waker) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        let now = state.now();
        let Some(wire) = state.wires.get_mut(&id) else { return Poll::Ready(Err(ErrorKind::BrokenPipe.into())) };
        if wire.flows[1 - end].is_broken(now) {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let count = wire.flows[end].room().min(bytes.len());
        if count == 0 {
            wire.flows[end].watch_write(waker);
            return Poll::Pending;
        }
        let (from, to) = (wire.ends[end].node, wire.ends[1 - end].node);
        let at = state.delay(from, to).map(|delay| now.after(delay));
        state.note(now, id << 1 | end as u64, &bytes[..count]);
        if let Some(wire) = state.wires.get_mut(&id) {
            wire.flows[end].write(&bytes[..count], at, now);
        }
        Poll::Ready(Ok(count))
    }

    pub(super) fn close(&self, id: u64, end: usize) {
        let mut state = self.state();
        let now = state.now();
        let Some((from, to)) = state.wires.get(&id).map(|wire| (wire.ends[end].node, wire.ends[1 - end].node)) else {
            return;
        };
        let at = state.delay(from, to).map(|delay| now.after(delay));
        if let Some(wire) = state.wires.get_mut(&id) {
            wire.flows[end].close(at, now);
        }
    }

    /// Its owner lets go of one end.
    pub(super) fn drop_end(&self, id: u64, end: usize) {
        self.close(id, end);
        let mut state = self.state();
        let Some(wire) = state.wires.get_mut(&id) else { return };
        wire.dropped[end] = true;
        if wire.dropped == [true; 2] {
            state.wires.remove(&id);
        }
    }
}

impl State {
    fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn spots(&self, a: u16, b: u16) -> Option<(&Spot, &Spot)> {
        Some((self.spots.get(usize::from(a))?, self.spots.get(usize::from(b))?))
    }

    fn is_open(&self, a: u16, b: u16) -> bool {
        self.spots(a, b).is_some_and(|(a, b)| self.internet.open(a, b))
    }

    /// How long one packet takes; none when there is no way or it is lost.
    fn packet(&mut self, a: u16, b: u16) -> Option<Span> {
        self.draws += 1;
        let (from, to) = self.spots(a, b)?;
        self.internet
            .latency(from, to, &self.chance, (BETWEEN_NODES, self.draws))
            .filter(|_| self.internet.open(from, to))
    }

    /// How long bytes take, with being sent again when they are lost; none when there is no way.
    fn delay(&mut self, a: u16, b: u16) -> Option<Span> {
        if !self.is_open(a, b) {
            return None;
        }
        let mut losses = 0;
        let latency = loop {
            match self.packet(a, b) {
                Some(latency) => break latency,
                None if losses < LOSSES_MAX => losses += 1,
                None => break Span::ZERO,
            }
        };
        let again = (0..losses).map(|n| resend_first(latency).0 << n).sum::<u64>();
        Some(Span(latency.0 + again))
    }

    fn note(&mut self, now: Time, flow: u64, bytes: &[u8]) {
        self.tally.writes += 1;
        self.tally.bytes += bytes.len() as u64;
        self.hash.write_u64(now.0);
        self.hash.write_u64(flow);
        self.hash.write(bytes);
    }
}

impl Wire {
    fn reopen(&mut self, now: Time, delay: Span) {
        let gone = self.flows.iter().any(|flow| flow.stalled.is_some_and(|since| now.since(since) >= GIVE_UP));
        for (own, flow) in self.flows.iter_mut().enumerate() {
            if gone {
                flow.break_at(now);
            } else if self.dead[own] {
                // The first packet to where nobody is any more brings the answer.
                let at = flow.stalled.map_or(now, |since| next_resend(since, now, delay));
                flow.break_at(at.after(delay));
            } else {
                flow.resume(now, delay);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{AsyncReadExt as _, AsyncWriteExt as _};
    use relaymesh_simulations::scenario::{Links, Share};
    use relaymesh_simulations::world::Labels;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::time::sleep;

    use super::*;

    const LATENCY: Span = Span::millis(50);
    const ASKER: Life = Life { node: 0, life: 1 };
    const ASKED: Life = Life { node: 1, life: 1 };

    fn ways(loss: f64, cut: bool) -> (Internet, Vec<Spot>) {
        let (within, timeout) = (LATENCY, Span::secs(20));
        let links = Links { within, between: within, abroad: within, sigma: 0.0, timeout, loss: Share(loss) };
        let mut spots: Vec<Spot> = (0..2).map(|site| Spot::new(0, false, site, Labels::default())).collect();
        spots[1].cut = u16::from(cut);
        (Internet::of(links), spots)
    }

    /// Both ends of a connection from node 0 to port 7 of node 1.
    fn connected(network: &Network) -> (Socket, Socket) {
        let (arrivals, mut on_arrivals) = unbounded_channel();
        network.listen(7, ASKED, arrivals).unwrap();
        assert!(matches!(network.knock(ASKER, 7), Way::Open(latency) if latency == LATENCY));
        let own = network.enter(ASKER, 7).1.unwrap();
        (own, on_arrivals.try_recv().unwrap().0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_killed_life_says_nothing_more_and_its_peer_hears_a_reset() {
        let network = Network::new(Chance::new(1), ways(0.0, false));
        let (mut own, mut other) = connected(&network);
        other.write_all(b"before").await.unwrap();
        sleep(Duration::from_millis(60)).await;
        network.kill(ASKED);
        assert_eq!(other.write(b"after").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(network.tally().bytes, 6);
        let mut bytes = [0; 16];
        assert_eq!(own.read(&mut bytes).await.unwrap(), 6, "what had arrived is there");
        let start = network.now();
        assert_eq!(own.read(&mut bytes).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(network.now().since(start), LATENCY);
        assert!(network.enter(ASKER, 7).1.is_err(), "nobody listens");
        network.listen(7, Life { life: 2, ..ASKED }, unbounded_channel().0).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_death_behind_a_cut_is_heard_when_the_way_is_open_again() {
        let network = Network::new(Chance::new(1), ways(0.0, false));
        let (mut own, _other) = connected(&network);
        network.change(ways(0.0, true));
        network.kill(ASKED);
        assert!(matches!(network.knock(ASKER, 7), Way::Lost));
        let healed = network.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(60)).await;
            healed.change(ways(0.0, false));
        });
        assert_eq!(own.read(&mut [0; 4]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!((60.0..61.0).contains(&network.now().since(Time::ZERO).as_secs_f64()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_whose_bytes_do_not_get_through_is_given_up() {
        let network = Network::new(Chance::new(1), ways(0.0, false));
        let (mut own, mut other) = connected(&network);
        network.change(ways(0.0, true));
        own.write_all(b"x").await.unwrap();
        assert_eq!(own.read(&mut [0; 4]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(network.now().since(Time::ZERO), GIVE_UP);
        network.change(ways(0.0, false));
        assert!(other.read(&mut [0; 4]).await.is_err(), "the other end learns it when there is a way");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_comes_later_and_in_order() {
        let network = Network::new(Chance::new(3), ways(0.5, false));
        let (arrivals, mut on_arrivals) = unbounded_channel();
        network.listen(7, ASKED, arrivals).unwrap();
        let mut own = network.enter(ASKER, 7).1.unwrap();
        let mut other = on_arrivals.try_recv().unwrap().0;
        for n in 0..50 {
            own.write_all(&[n]).await.unwrap();
        }
        own.close().await.unwrap();
        let mut bytes = Vec::new();
        other.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, (0..50).collect::<Vec<u8>>());
        assert!(network.now().since(Time::ZERO) > Span::millis(350), "some were sent again");
    }
}
