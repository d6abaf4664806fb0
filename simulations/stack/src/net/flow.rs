//! One direction of a connection: what was written and not yet read, and when each piece arrives.

use std::collections::VecDeque;
use std::task::Waker;

use relaymesh_simulations::kernel::{Span, Time};

/// Bytes that may be on their way or unread: as far as Linux lets a receive buffer grow.
pub const WINDOW: usize = 6 * 1024 * 1024;
/// The first pause before bytes without an acknowledgement are sent again, beside two ways' time (Linux: at least 200 ms).
pub const RESEND_FIRST: Span = Span::millis(200);
/// The pauses double up to this.
const RESEND_MAX: Span = Span::secs(120);
/// A connection whose bytes were not acknowledged for so long is given up (Linux, `tcp_retries2` = 15).
pub const GIVE_UP: Span = Span::secs(924);

/// What arrives together.
struct Piece {
    at: Time,
    bytes: Vec<u8>,
    read: usize,
}

/// One direction.
#[derive(Default)]
pub struct Flow {
    pieces: VecDeque<Piece>,
    unread: usize,
    /// When the last piece arrives; later ones do not overtake it.
    last: Time,
    /// Since when bytes wait for a way.
    pub stalled: Option<Time>,
    /// When the reader sees the end, if the writer has closed.
    end: Option<Time>,
    /// When the reader sees the connection broken.
    broken: Option<Time>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What a reader finds.
pub enum Found {
    /// So many bytes; 0 = the end.
    Bytes(usize),
    /// The connection is broken.
    Broken,
    /// Nothing before this moment.
    Nothing(Time),
}

impl Flow {
    /// Room for more bytes.
    pub fn room(&self) -> usize {
        WINDOW.saturating_sub(self.unread)
    }

    /// Takes bytes that arrive at `at`, or when there is a way again.
    pub fn write(&mut self, bytes: &[u8], at: Option<Time>, now: Time) {
        self.unread += bytes.len();
        let at = self.arrival(at, now);
        self.pieces.push_back(Piece { at, bytes: bytes.to_vec(), read: 0 });
        self.wake_reader();
    }

    /// Takes the end, which arrives like bytes.
    pub fn close(&mut self, at: Option<Time>, now: Time) {
        if self.end.is_none() {
            self.end = Some(self.arrival(at, now));
            self.wake_reader();
        }
    }

    fn arrival(&mut self, at: Option<Time>, now: Time) -> Time {
        if self.stalled.is_some() {
            return Time::MAX;
        }
        let Some(at) = at else {
            self.stalled = Some(now);
            return Time::MAX;
        };
        self.last = self.last.max(at);
        self.last
    }

    /// Breaks at `at`, with everything that arrives after that.
    pub fn break_at(&mut self, at: Time) {
        if self.broken.is_none_or(|broken| broken > at) {
            self.broken = Some(at);
            self.wake_reader();
            self.wake_writer();
        }
    }

    /// Whether its reader can know by now that it is broken.
    pub fn is_broken(&self, now: Time) -> bool {
        self.broken.is_some_and(|at| at <= now)
    }

    /// Reads what has arrived.
    pub fn read(&mut self, into: &mut [u8], now: Time) -> Found {
        let mut count = 0;
        while let Some(first) = self.pieces.front_mut().filter(|first| first.at <= now && count < into.len()) {
            let some = (into.len() - count).min(first.bytes.len() - first.read);
            into[count..count + some].copy_from_slice(&first.bytes[first.read..first.read + some]);
            (count, first.read) = (count + some, first.read + some);
            if first.read == first.bytes.len() {
                self.pieces.pop_front();
            }
        }
        if count > 0 {
            self.unread -= count;
            self.wake_writer();
            return Found::Bytes(count);
        }
        if self.is_broken(now) {
            return Found::Broken;
        }
        if self.pieces.is_empty() && self.end.is_some_and(|at| at <= now) {
            return Found::Bytes(0);
        }
        let next = self.pieces.front().map(|first| first.at).or(self.end);
        let moments = [next, self.broken].into_iter().flatten();
        Found::Nothing(moments.min().unwrap_or(Time::MAX))
    }

    /// The way closed: what is still under way will be sent again.
    pub fn stall(&mut self, now: Time) {
        let mut waits = false;
        for piece in self.pieces.iter_mut().filter(|piece| piece.at > now) {
            (piece.at, waits) = (Time::MAX, true);
        }
        if let Some(end) = self.end.as_mut().filter(|end| **end > now) {
            (*end, waits) = (Time::MAX, true);
        }
        if waits && self.stalled.is_none() {
            self.stalled = Some(now);
        }
    }

    /// The way is open again: what waits arrives a `latency` after it is next sent.
    pub fn resume(&mut self, now: Time, latency: Span) {
        let Some(since) = self.stalled.take() else { return };
        let at = next_resend(since, now, latency).after(latency);
        self.last = self.last.max(at);
        for piece in self.pieces.iter_mut().filter(|piece| piece.at == Time::MAX) {
            piece.at = self.last;
        }
        if let Some(end) = self.end.as_mut().filter(|end| **end == Time::MAX) {
            *end = self.last;
        }
        self.wake_reader();
    }

    /// Who reads wants to know of changes.
    pub fn watch_read(&mut self, waker: &Waker) {
        self.reader = Some(waker.clone());
    }

    /// Who writes wants to know of room.
    pub fn watch_write(&mut self, waker: &Waker) {
        self.writer = Some(waker.clone());
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

/// When bytes that wait since then are next sent, from `now` on: after pauses that double.
pub fn next_resend(since: Time, now: Time, latency: Span) -> Time {
    let mut pause = resend_first(latency);
    let mut at = since;
    while at < now {
        at = at.after(pause);
        pause = Span((pause.0 * 2).min(RESEND_MAX.0));
    }
    at
}

/// The first pause on a way of this latency.
pub fn resend_first(latency: Span) -> Span {
    Span(RESEND_FIRST.0 + 2 * latency.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flow: &mut Flow, now: u64) -> Result<Vec<u8>, Time> {
        let mut into = [0; 4];
        match flow.read(&mut into, Time(now)) {
            Found::Bytes(count) => Ok(into[..count].to_vec()),
            Found::Broken => panic!("broken"),
            Found::Nothing(until) => Err(until),
        }
    }

    #[test]
    fn bytes_arrive_in_order_and_in_time() {
        let mut flow = Flow::default();
        flow.write(b"abcdef", Some(Time(50)), Time(0));
        flow.write(b"gh", Some(Time(40)), Time(1));
        flow.close(Some(Time(45)), Time(2));
        assert_eq!(read(&mut flow, 49), Err(Time(50)), "what was written later does not overtake");
        assert_eq!(read(&mut flow, 50).unwrap(), b"abcd");
        assert_eq!(read(&mut flow, 50).unwrap(), b"efgh");
        assert_eq!(read(&mut flow, 50).unwrap(), b"");
        assert_eq!(flow.room(), WINDOW);
    }

    #[test]
    fn a_cut_delays_what_was_under_way_until_it_is_sent_again() {
        let mut flow = Flow::default();
        let (second, latency) = (1_000_000, Span::millis(50));
        flow.write(b"a", Some(Time(50_000)), Time(0));
        flow.stall(Time(10_000));
        flow.write(b"b", Some(Time(90_000)), Time(40_000));
        assert_eq!(read(&mut flow, 10 * second), Err(Time::MAX));
        flow.resume(Time(10 * second), latency);
        // 300 ms, then doubled: 0.3, 0.9, 2.1, 4.5, 9.3, 18.9 s after the cut
        let due = 10_000 + 18_900_000 + latency.0;
        assert_eq!(read(&mut flow, due - 1), Err(Time(due)));
        assert_eq!(read(&mut flow, due).unwrap(), b"ab");
    }

    #[test]
    fn what_arrived_before_a_connection_broke_is_still_read() {
        let mut flow = Flow::default();
        flow.write(b"a", Some(Time(5)), Time(0));
        flow.break_at(Time(5));
        assert_eq!(read(&mut flow, 6).unwrap(), b"a");
        assert!(matches!(flow.read(&mut [0; 4], Time(6)), Found::Broken));
    }
}
