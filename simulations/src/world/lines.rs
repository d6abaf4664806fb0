//! Lines with a rate: how a throttled spot reaches the Internet. One line carries both directions, as the one radio of an old
//! mobile network does, first in, first out. How many bytes travel is counted only where a line has a rate.

use std::io::{self, Write};

use relaymesh_core::{Input, LinkError, SendError, WorkDone};
use relaymesh_protocol::frame::{Request, Response};
use serde::Serialize;

use super::frames::Frame;
use super::{Event, Target, World};
use crate::kernel::{Span, Time};
use crate::scenario::BitRate;

/// Around a request and its answer, beside their CBOR, headers of TCP/IP included: what `relaymesh bench --only traffic`
/// measures between two swarms (`node/src/bench/wire.rs`). Half of it goes each way.
const EXCHANGE_BYTES: u64 = 548;
/// A new connection between two nodes: the same measurement, which gives 4,388 to 4,632.
const CONNECTION_BYTES: u64 = 4_388;
/// A post over HTTPS and its answer, by a gateway client to a node or to the central service, and by a home to the platform.
/// Assumed: 5,000 bytes until TLS 1.3 stands, most of them certificates, and 1,000 for headers, JSON and acknowledgements.
const POST_BYTES: u64 = 6_000;

/// A line of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    rate: BitRate,
    /// When all that it was given is through.
    free: Time,
}

impl Line {
    /// A line with nothing on it.
    #[must_use]
    pub fn new(rate: BitRate) -> Self {
        Self { rate, free: Time::ZERO }
    }

    /// Puts a frame onto it that comes now: how long until it is through, its turn waited for. None when its turn would come
    /// only after `patience`: the frame is dropped and occupies nothing, so what waits is never more than that.
    pub fn pass(&mut self, now: Time, bytes: u64, patience: Span) -> Option<Span> {
        let begins = self.free.max(now);
        if begins.since(now) > patience {
            return None;
        }
        self.free = begins.after(self.rate.time(bytes));
        Some(self.free.since(now))
    }
}

/// A frame on its way.
pub struct Flying {
    /// Which.
    pub frame: Frame,
    /// It has yet to go through the line of where it goes.
    pub queues: Option<Queued>,
}

/// What is known of a frame that comes to the line of where it goes.
pub struct Queued {
    /// When it was sent.
    sent: Time,
    /// How long it is.
    bytes: u64,
}

/// Bytes of a value as CBOR, which is what the mesh sends, by the encoder that the mesh has.
fn cbor(value: &impl Serialize) -> u64 {
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    cbor4ii::serde::to_writer(&mut count, value).expect("counting does not fail, and frames can be written");
    count.0
}

/// Bytes that a frame has on a line.
fn bytes(frame: &Frame) -> u64 {
    let half = EXCHANGE_BYTES / 2;
    match frame {
        Frame::Ask { request, .. } => half + cbor(request),
        Frame::Carry { carried, .. } => half + cbor(&Request::Envelopes(vec![carried.clone()])),
        Frame::Answer { input, .. } => match input {
            Input::Answered { response: Ok(response), .. } => half + cbor(response),
            Input::Carried { taken: Ok(taken), .. } => half + cbor(&Response::Envelopes(vec![*taken])),
            _ => half,
        },
        Frame::Post { .. } | Frame::Central { .. } | Frame::Publish { .. } => POST_BYTES,
    }
}

/// What whoever waits for this answer hears when it does not come.
fn timed_out(input: Input) -> Input {
    let late = LinkError::TimedOut;
    match input {
        Input::Answered { token, from, .. } => Input::Answered { token, from, response: Err(late) },
        Input::Carried { to, envelope, .. } => Input::Carried { to, envelope, taken: Err(late) },
        other => other,
    }
}

impl World<'_> {
    /// Whether the line of this one has a rate now.
    pub(super) fn has_line(&mut self, target: Target) -> bool {
        self.spot(target).is_some_and(|spot| spot.throttle.is_some_and(|throttle| throttle.line.is_some()))
    }

    /// What stands on one site needs no line.
    fn are_beside(&mut self, (a, b): (Target, Target)) -> bool {
        let a = self.spot(a).map(|spot| spot.site);
        a.is_some() && a == self.spot(b).map(|spot| spot.site)
    }

    /// Puts a frame onto a line, if there is one: how long until it is through, or none when it is dropped.
    fn pass_line(&mut self, target: Target, bytes: u64) -> Option<Span> {
        let (now, patience) = (self.now, self.internet.timeout());
        let line = self.spot(target).and_then(|spot| spot.throttle.as_mut()?.line.as_mut());
        let through = line.map_or(Some(Span::ZERO), |line| line.pass(now, bytes, patience));
        if through.is_none() {
            self.count("line_full");
        }
        through
    }

    /// Sends a frame: through the line of its sender, then so long over the Internet (none: it is lost there, and has been on
    /// the line), then through the line of where it goes. `connects`: a connection is made for it.
    pub(super) fn send_frame(&mut self, frame: Frame, latency: Option<Span>, connects: bool) {
        let (from, to) = frame.ends();
        let (near, far) = (self.has_line(from), self.has_line(to));
        if !(near || far) || self.are_beside((from, to)) {
            return match latency {
                Some(latency) => self.fly(frame, latency),
                None => self.give_up(frame, self.now),
            };
        }
        let bytes = bytes(&frame) + if connects { CONNECTION_BYTES } else { 0 };
        let through = self.pass_line(from, bytes);
        let way = through.zip(latency).map(|(through, latency)| Span(through.0.saturating_add(latency.0)));
        match way.filter(|way| *way <= self.internet.timeout()) {
            None => self.give_up(frame, self.now),
            Some(way) if far => {
                let queues = Some(Queued { sent: self.now, bytes });
                let slot = self.frames.insert(Flying { frame, queues });
                self.push(way, Event::Frame { slot });
            }
            Some(way) => self.fly(frame, way),
        }
    }

    /// A frame comes to the line of where it goes.
    pub(super) fn enter_line(&mut self, frame: Frame, Queued { sent, bytes }: Queued) {
        let (now, timeout) = (self.now, self.internet.timeout());
        let through = self.pass_line(frame.ends().1, bytes);
        match through.filter(|through| now.after(*through).since(sent) <= timeout) {
            Some(through) => self.fly(frame, through),
            None => self.give_up(frame, sent),
        }
    }

    /// A frame arrives so much later.
    fn fly(&mut self, frame: Frame, after: Span) {
        if let Frame::Answer { to, boot, input, .. } = frame {
            return self.back(after, to, boot, input);
        }
        let slot = self.frames.insert(Flying { frame, queues: None });
        self.push(after, Event::Frame { slot });
    }

    /// A frame that was sent then is lost, or too slow: its sender hears so when its time is over. Gateway clients are told at
    /// once; they do nothing for minutes after that.
    fn give_up(&mut self, frame: Frame, sent: Time) {
        let after = sent.after(self.internet.timeout()).since(self.now);
        let id = |world: &Self, node: u16| world.nodes[usize::from(node)].id;
        match frame {
            Frame::Ask { from, boot, to, token, .. } => {
                let response = Err(LinkError::TimedOut);
                let input = Input::Answered { token, from: id(self, to), response };
                self.back(after, from, boot, input);
            }
            Frame::Carry { from, boot, to, envelope, .. } => {
                let input = Input::Carried { to: id(self, to), envelope, taken: Err(LinkError::TimedOut) };
                self.back(after, from, boot, input);
            }
            Frame::Answer { to, boot, input, .. } => self.back(after, to, boot, timed_out(input)),
            Frame::Post { gateway, node, message } => self.not_posted(gateway, node, message),
            Frame::Central { message, .. } => self.lost_upstream(message),
            Frame::Publish { node, boot, id, .. } => {
                // It has not even come to the platform.
                let done = WorkDone::Published(Err(SendError::Retry { after_ms: None }));
                self.back(after, node, boot, Input::Worked { id, done });
            }
        }
    }
}

#[cfg(test)]
mod tests;
