//! Frames between nodes: links that come up with the first one, latency, loss, and answers that find their way back.

use relaymesh_core::command::Reply;
use relaymesh_core::{Input, LinkError, PublishRequest, ReplyTo, WorkId};
use relaymesh_protocol::frame::{Carried, Request, Response, Taken};
use relaymesh_protocol::ids::{EnvelopeId, NodeId};

use super::lines::Flying;
use super::{Target, Wish, World};
use crate::kernel::{Span, Time};
use crate::outcome::System;
use crate::tier_b::Calibration;

/// Whose luck a frame between two nodes has: all of them together, as only the mesh has such frames.
pub const BETWEEN_NODES: u64 = 0;

/// Who gets an answer that a node gives.
pub enum Waiter {
    /// A peer's core asked.
    Peer {
        /// Who.
        node: u16,
        /// In which of its lives.
        boot: u32,
        /// Its token.
        token: u64,
    },
    /// A peer's core handed an envelope over.
    Carrier {
        /// Who.
        node: u16,
        /// In which of its lives.
        boot: u32,
        /// Which envelope.
        envelope: EnvelopeId,
        /// Whose it is, if not the receiver's, and when its time is over.
        foreign: Option<(NodeId, Time)>,
    },
    /// A gateway client posted a message.
    Gateway {
        /// Which gateway client.
        gateway: u16,
        /// Which message.
        message: u32,
    },
    /// A courier waits for a bundle to carry to this node.
    Courier {
        /// Where it goes.
        to: u16,
    },
}

/// What is on its way.
pub enum Frame {
    /// A question.
    Ask { from: u16, boot: u32, to: u16, token: u64, request: Request },
    /// An envelope.
    Carry { from: u16, boot: u32, to: u16, envelope: EnvelopeId, carried: Carried },
    /// An answer for the core that asked, or that handed over.
    Answer { from: u16, to: u16, boot: u32, input: Input },
    /// A gateway client's post.
    Post { gateway: u16, node: u16, message: u32 },
    /// A gateway client's post to the central service.
    Central { gateway: u16, message: u32 },
    /// A home's post to the platform.
    Publish { node: u16, boot: u32, id: WorkId, request: Box<PublishRequest> },
}

impl Frame {
    /// Where it leaves, and where it goes.
    pub fn ends(&self) -> (Target, Target) {
        match self {
            Self::Ask { from, to, .. } | Self::Carry { from, to, .. } | Self::Answer { from, to, .. } => {
                (Target::Node(*from), Target::Node(*to))
            }
            Self::Post { gateway, node, .. } => (Target::Gateway(*gateway), Target::Node(*node)),
            Self::Central { gateway, .. } => (Target::Gateway(*gateway), Target::World),
            Self::Publish { node, .. } => (Target::Node(*node), Target::World),
        }
    }
}

/// The way of a frame between two nodes.
struct Link {
    /// How long it takes; none = the frame is lost.
    latency: Option<Span>,
    /// A connection is made for it.
    connects: bool,
}

impl World<'_> {
    /// The link between two nodes for a frame now.
    fn link(&mut self, from: u16, to: u16, joins: bool) -> Result<Link, LinkError> {
        // Islands: our nodes without a mesh.
        if self.system == System::Islands || !self.scenario.switches.mesh {
            return Err(LinkError::Unreachable);
        }
        let (a, b) = (&self.nodes[usize::from(from)], &self.nodes[usize::from(to)]);
        let allowed = joins || (a.allows(&b.id) && b.allows(&a.id));
        if !b.alive() || !allowed || !self.internet.open(&a.spot, &b.spot) {
            return Err(LinkError::Unreachable);
        }
        self.frame_count += 1;
        let latency = self.internet.latency(&a.spot, &b.spot, &self.chance, (BETWEEN_NODES, self.frame_count));
        let connects = !self.is_up(from, to);
        let ways = if connects { 1.0 + Calibration::kept().connecting_ways() } else { 1.0 };
        self.keep_up(from, to);
        let latency = latency.map(|latency| Span::from_secs_f64(latency.as_secs_f64() * ways));
        Ok(Link { latency, connects })
    }

    fn is_up(&self, a: u16, b: u16) -> bool {
        let used = self.nodes[usize::from(a)].links.get(&b);
        used.is_some_and(|used| self.now.since(*used) < Calibration::kept().idle())
    }

    /// Notes that a link is used. One that was closed tells its ends so first, and then that it is up again.
    fn keep_up(&mut self, a: u16, b: u16) {
        for (node, peer) in [(a, b), (b, a)] {
            let id = self.nodes[usize::from(peer)].id;
            let used = self.nodes[usize::from(node)].links.insert(peer, self.now);
            match used {
                Some(used) if self.now.since(used) < Calibration::kept().idle() => {}
                Some(_) => {
                    self.feed(node, Input::Disconnected(id));
                    self.feed(node, Input::Connected(id));
                }
                None => self.feed(node, Input::Connected(id)),
            }
        }
    }

    /// Closes links of a node that carried nothing for too long, before it looks around. A node only acts on what it is fed, so
    /// the moment at which it hears of it need not be an event of its own.
    pub(super) fn close_idle(&mut self, node: u16) {
        let (now, own, limit) = (self.now, &self.nodes[usize::from(node)], Calibration::kept().idle());
        if own.links.is_empty() || now.since(own.links_from) < limit {
            return;
        }
        let idle = own.links.iter().filter(|(_, used)| now.since(**used) >= limit);
        let idle: Vec<u16> = idle.map(|(peer, _)| *peer).collect();
        let eldest = own.links.values().filter(|used| now.since(**used) < limit).min();
        self.nodes[usize::from(node)].links_from = eldest.copied().unwrap_or(now);
        for peer in idle {
            self.hang_up(node, peer);
        }
    }

    /// Links that are no longer possible go down, and their ends hear it.
    pub(super) fn drop_links(&mut self) {
        if self.wish(Wish::Ways) {
            return;
        }
        let count = u16::try_from(self.nodes.len()).expect("fewer than 65,536 nodes");
        for node in 0..count {
            let peers: Vec<u16> = self.nodes[usize::from(node)].links.keys().copied().collect();
            for peer in peers {
                let (a, b) = (&self.nodes[usize::from(node)], &self.nodes[usize::from(peer)]);
                if a.alive() && b.alive() && self.internet.open(&a.spot, &b.spot) {
                    continue;
                }
                self.hang_up(node, peer);
                self.hang_up(peer, node);
            }
        }
    }

    fn hang_up(&mut self, node: u16, peer: u16) {
        let id = self.nodes[usize::from(peer)].id;
        if self.nodes[usize::from(node)].links.remove(&peer).is_some() {
            self.feed(node, Input::Disconnected(id));
        }
    }

    /// kill -9 of a node: peers' links close, and who waits for its answer hears so.
    pub(super) fn kill(&mut self, node: u16) {
        let id = self.nodes[usize::from(node)].id;
        self.wish(Wish::Kill(node));
        self.listen_to(node);
        self.nodes[usize::from(node)].kill(self.now);
        self.check_disk(node);
        let count = u16::try_from(self.nodes.len()).expect("fewer than 65,536 nodes");
        for other in (0..count).filter(|other| *other != node) {
            if self.nodes[usize::from(other)].links.remove(&node).is_some() {
                self.feed(other, Input::Disconnected(id));
            }
        }
        for waiter in self.take_waiters(node) {
            self.hear_closed(node, id, waiter);
        }
    }

    fn hear_closed(&mut self, node: u16, id: NodeId, waiter: Waiter) {
        let later = Span::millis(50);
        match waiter {
            Waiter::Peer { node: to, boot, token } => {
                let input = Input::Answered { token, from: id, response: Err(LinkError::Closed) };
                self.back(later, to, boot, input);
            }
            Waiter::Carrier { node: to, boot, envelope, .. } => {
                let input = Input::Carried { to: id, envelope, taken: Err(LinkError::Closed) };
                self.back(later, to, boot, input);
            }
            Waiter::Gateway { gateway, message } => self.not_posted(gateway, node, message),
            Waiter::Courier { .. } => {}
        }
    }

    /// An answer on its way back to a life of a node.
    pub(super) fn back(&mut self, after: Span, node: u16, boot: u32, input: Input) {
        if self.nodes[usize::from(node)].boots == boot {
            self.feed_later(after, node, input);
        }
    }

    pub(super) fn carry(&mut self, from: u16, to: NodeId, envelope: EnvelopeId, carried: Carried) {
        let failed = |error| Input::Carried { to, envelope, taken: Err(error) };
        let Some(target) = self.node_of(&to) else {
            return self.feed_later(Span::millis(1), from, failed(LinkError::Unreachable));
        };
        match self.link(from, target, false) {
            Err(error) => self.feed_later(Span::millis(200), from, failed(error)),
            Ok(Link { latency, connects }) => {
                let boot = self.nodes[usize::from(from)].boots;
                let frame = |carried| Frame::Carry { from, boot, to: target, envelope, carried };
                let times = if latency.is_some() { self.times_carried(from) } else { 1 };
                for n in 1..times {
                    let later = latency.map(|latency| Span(latency.0 * (n + 1)));
                    self.send_frame(frame(carried.clone()), later, false);
                }
                self.send_frame(frame(carried), latency, connects);
            }
        }
    }

    pub(super) fn ask(&mut self, from: u16, to: NodeId, token: u64, request: Request) {
        match &request {
            Request::Evaluate { .. } => self.count("asked_numbers"),
            Request::WhoHolds { .. } => self.count("asked_holders"),
            Request::WantFilter { .. } => self.count("asked_filters"),
            _ => {}
        }
        let failed = |error| Input::Answered { token, from: to, response: Err(error) };
        let Some(target) = self.node_of(&to) else {
            return self.feed_later(Span::millis(1), from, failed(LinkError::Unreachable));
        };
        match self.link(from, target, matches!(request, Request::Join { .. })) {
            Err(error) => self.feed_later(Span::millis(200), from, failed(error)),
            Ok(Link { latency, connects }) => {
                let boot = self.nodes[usize::from(from)].boots;
                self.send_frame(Frame::Ask { from, boot, to: target, token, request }, latency, connects);
            }
        }
    }

    pub(super) fn on_frame(&mut self, slot: u32) {
        let Some(Flying { frame, queues }) = self.frames.take(slot) else { return };
        if let Some(queued) = queues {
            return self.enter_line(frame, queued);
        }
        match frame {
            Frame::Ask { from, boot, to, token, request } => {
                let id = self.nodes[usize::from(from)].id;
                if !self.nodes[usize::from(to)].alive() {
                    let response = Err(LinkError::Closed);
                    let input = Input::Answered { token, from: self.nodes[usize::from(to)].id, response };
                    return self.back(Span::millis(50), from, boot, input);
                }
                if self.lies_to(to, from, boot, token, &request) {
                    return;
                }
                let reply = self.wait(to, Waiter::Peer { node: from, boot, token });
                self.feed(to, Input::Asked { reply, from: id, request });
            }
            Frame::Carry { from, boot, to, envelope, carried } => {
                let id = self.nodes[usize::from(from)].id;
                if !self.nodes[usize::from(to)].alive() {
                    let to = self.nodes[usize::from(to)].id;
                    let input = Input::Carried { to, envelope, taken: Err(LinkError::Closed) };
                    return self.back(Span::millis(50), from, boot, input);
                }
                if self.lies_about(to, from, boot, envelope, &carried) {
                    return;
                }
                let foreign = self.foreign(to, &carried);
                let reply = self.wait(to, Waiter::Carrier { node: from, boot, envelope, foreign });
                self.feed(to, Input::Envelope { reply, from: Some(id), carried });
            }
            Frame::Answer { to, boot, input, .. } => self.back(Span::ZERO, to, boot, input),
            Frame::Post { gateway, node, message } => self.on_post(gateway, node, message),
            Frame::Central { message, .. } => self.on_central(message),
            Frame::Publish { node, boot, id, request } => self.on_publish(node, boot, id, &request),
        }
    }

    pub(super) fn on_taken(&mut self, node: u16, to: ReplyTo, taken: Taken) {
        let Some(Waiter::Carrier { node: from, boot, envelope, foreign }) = self.waiter(node, to) else { return };
        self.note_taken(node, from, envelope, foreign, taken);
        let id = self.nodes[usize::from(node)].id;
        self.answer(node, from, boot, Input::Carried { to: id, envelope, taken: Ok(taken) });
    }

    pub(super) fn on_response(&mut self, node: u16, to: ReplyTo, response: Response) {
        let Some(Waiter::Peer { node: from, boot, token }) = self.waiter(node, to) else { return };
        let id = self.nodes[usize::from(node)].id;
        self.answer(node, from, boot, Input::Answered { token, from: id, response: Ok(response) });
    }

    /// Sends an answer back, if the way is still there.
    pub(super) fn answer(&mut self, node: u16, to: u16, boot: u32, input: Input) {
        let (a, b) = (&self.nodes[usize::from(node)].spot, &self.nodes[usize::from(to)].spot);
        self.frame_count += 1;
        let open = self.internet.open(a, b);
        let latency = self.internet.latency(a, b, &self.chance, (BETWEEN_NODES, self.frame_count));
        self.send_frame(Frame::Answer { from: node, to, boot, input }, latency.filter(|_| open), false);
    }

    fn take_waiters(&mut self, node: u16) -> Vec<Waiter> {
        let slots: Vec<u32> = self.waiters.iter().filter(|(_, (_, of, _))| *of == node).map(|(slot, _)| slot).collect();
        slots.into_iter().filter_map(|slot| self.waiters.take(slot)).map(|(.., waiter)| waiter).collect()
    }

    pub(super) fn on_reply(&mut self, node: u16, to: ReplyTo, reply: Reply) {
        match self.waiter(node, to) {
            Some(Waiter::Gateway { gateway, message }) => self.on_posted(gateway, node, message, reply),
            Some(Waiter::Courier { to }) => self.on_bundle(node, to, reply),
            _ => {}
        }
    }
}
