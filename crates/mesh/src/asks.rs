//! Requests of ours: those under way, and those that wait for a connection or for their turn.
//!
//! A ticket names a request inside this crate; who is owed an answer for it stands in the book.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use libp2p::request_response::OutboundRequestId;
use relaymesh_protocol::frame::Request;
use relaymesh_protocol::ids::NodeId;

/// Requests under way to one peer. libp2p drops what exceeds the other side's capacity without a word, so we stay below.
pub(crate) const IN_FLIGHT_PER_PEER_MAX: usize = 16;
/// Requests that wait for one peer.
pub(crate) const WAITING_PER_PEER_MAX: usize = 256;

pub(crate) type Ticket = u64;

struct Waiting {
    ticket: Ticket,
    frame: Request,
    since: Instant,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    in_flight: usize,
}

#[derive(Default)]
pub(crate) struct Asks {
    queues: BTreeMap<NodeId, Queue>,
    flights: BTreeMap<OutboundRequestId, (Ticket, NodeId)>,
}

/// The queue for that peer is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Asks {
    pub(crate) fn push(&mut self, to: NodeId, ticket: Ticket, frame: Request, now: Instant) -> Result<(), Full> {
        let queue = self.queues.entry(to).or_default();
        if queue.waiting.len() >= WAITING_PER_PEER_MAX {
            return Err(Full);
        }
        queue.waiting.push_back(Waiting { ticket, frame, since: now });
        Ok(())
    }

    /// Hands waiting requests to `send` for as long as the peer may have more under way.
    pub(crate) fn pump(&mut self, to: NodeId, mut send: impl FnMut(Request) -> OutboundRequestId) {
        let Some(queue) = self.queues.get_mut(&to) else {
            return;
        };
        while queue.in_flight < IN_FLIGHT_PER_PEER_MAX
            && let Some(next) = queue.waiting.pop_front()
        {
            queue.in_flight += 1;
            self.flights.insert(send(next.frame), (next.ticket, to));
        }
    }

    /// A request has come back, one way or the other.
    pub(crate) fn landed(&mut self, request: OutboundRequestId) -> Option<Ticket> {
        let (ticket, to) = self.flights.remove(&request)?;
        if let Some(queue) = self.queues.get_mut(&to) {
            queue.in_flight = queue.in_flight.saturating_sub(1);
        }
        self.forget_if_idle(to);
        Some(ticket)
    }

    pub(crate) fn in_flight(&self, to: &NodeId) -> usize {
        self.queues.get(to).map_or(0, |queue| queue.in_flight)
    }

    pub(crate) fn anybody_waits(&self) -> bool {
        self.queues.values().any(|queue| !queue.waiting.is_empty())
    }

    /// Takes all that wait for `to`.
    pub(crate) fn give_up(&mut self, to: NodeId) -> Vec<Ticket> {
        let Some(queue) = self.queues.get_mut(&to) else {
            return Vec::new();
        };
        let given_up = queue.waiting.drain(..).map(|waiting| waiting.ticket).collect();
        self.forget_if_idle(to);
        given_up
    }

    /// Takes all that have waited for longer than `span`.
    pub(crate) fn overdue(&mut self, now: Instant, span: Duration) -> Vec<Ticket> {
        let mut overdue = Vec::new();
        for queue in self.queues.values_mut() {
            while let Some(first) = queue.waiting.front()
                && now.saturating_duration_since(first.since) >= span
            {
                overdue.extend(queue.waiting.pop_front().map(|waiting| waiting.ticket));
            }
        }
        self.queues.retain(|_, queue| queue.in_flight > 0 || !queue.waiting.is_empty());
        overdue
    }

    fn forget_if_idle(&mut self, to: NodeId) {
        if self.queues.get(&to).is_some_and(|queue| queue.in_flight == 0 && queue.waiting.is_empty()) {
            self.queues.remove(&to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: NodeId = NodeId([1; 32]);

    fn frame() -> Request {
        Request::WhoHolds { keys: vec![1] }
    }

    #[test]
    fn a_peers_queue_is_bounded_and_overdue_ones_leave_it() {
        let mut asks = Asks::default();
        let start = Instant::now();
        for ticket in 0..WAITING_PER_PEER_MAX as u64 {
            assert_eq!(asks.push(TO, ticket, frame(), start), Ok(()));
        }
        assert_eq!(asks.push(TO, 999, frame(), start), Err(Full));
        assert_eq!(asks.push(NodeId([2; 32]), 1000, frame(), start), Ok(()));
        let span = Duration::from_secs(20);
        assert!(asks.overdue(start, span).is_empty());
        assert_eq!(asks.overdue(start + span, span).len(), WAITING_PER_PEER_MAX + 1);
        assert!(!asks.anybody_waits());
        assert!(asks.queues.is_empty());
    }

    #[test]
    fn giving_up_takes_each_waiting_request_once() {
        let mut asks = Asks::default();
        for ticket in [5, 6] {
            asks.push(TO, ticket, frame(), Instant::now()).unwrap();
        }
        assert_eq!(asks.give_up(TO), [5, 6]);
        assert_eq!(asks.give_up(TO), Vec::<Ticket>::new());
    }
}
