//! Links between the world's nodes: frames that a test may change, lose, repeat or hold up, and members that are driven by
//! hand.

use relaymesh_core::{Input, LinkError, ReplyTo};
use relaymesh_protocol::frame::{Carried, Request, Response, Taken};
use relaymesh_protocol::ids::{EnvelopeId, NodeId};

use super::{Event, LINK_MS, Sim, Waiter, World};

/// A frame without an answer is given up after this, in milliseconds.
const LOST_MS: u64 = 10_000;

/// What the network does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    Lose,
    /// Arrives twice, the second time so many milliseconds later.
    Twice(u64),
    /// Arrives so many milliseconds later.
    Late(u64),
}

/// A frame on its way.
pub enum Frame<'a> {
    Envelope(&'a mut Carried),
    Request(&'a mut Request),
    Taken(&'a mut Taken),
    Response(&'a mut Response),
}

/// Sees every frame (from, to, what), may change it, and says what becomes of it.
pub type Tap = Box<dyn FnMut(usize, usize, Frame<'_>) -> Fate>;

/// A member with a real keyring that does what a test wants.
pub trait Mind {
    /// An envelope was handed to it: its answer, and envelopes that it sends.
    fn envelope(&mut self, me: &Sim, from: NodeId, carried: &Carried) -> (Taken, Vec<(NodeId, Carried)>);

    /// It was asked something.
    fn request(&mut self, _me: &Sim, _from: NodeId, _request: &Request) -> Response {
        Response::Refused
    }
}

impl World {
    /// From now on every frame goes through `tap`.
    pub fn tap(&mut self, tap: impl FnMut(usize, usize, Frame<'_>) -> Fate + 'static) {
        self.tap = Some(Box::new(tap));
    }

    pub fn untap(&mut self) {
        self.tap = None;
    }

    /// The node ends, and a mind takes its place in the mesh.
    pub fn seize(&mut self, node: usize, mind: impl Mind + 'static) {
        self.kill(node);
        self.nodes[node].seize();
        self.minds.insert(node, Box::new(mind));
    }

    /// A node, or who holds its keys, hands an envelope to another: no mind of its own is asked.
    pub fn deliver(&mut self, from: usize, to: usize, carried: Carried) {
        let (boot, to) = (self.nodes[from].boots, self.nodes[to].id);
        self.push(LINK_MS, Event::Carry { from, boot, to, envelope: EnvelopeId([0; 16]), carried, copy: true });
    }

    /// A connected member asks; the answer is what the node says, at once or when its batch is durable.
    pub fn request(&mut self, from: usize, to: usize, request: Request) -> ReplyTo {
        let reply = self.waiter(to, Waiter::Nobody);
        let from = self.nodes[from].id;
        self.feed(to, Input::Asked { reply, from, request });
        reply
    }

    fn fate(&mut self, from: usize, to: usize, frame: Frame<'_>) -> Fate {
        self.tap.as_mut().map_or(Fate::Pass, |tap| tap(from, to, frame))
    }

    pub(super) fn carry(&mut self, from: usize, to: NodeId, envelope: EnvelopeId, mut carried: Carried) {
        self.frames += 1;
        let boot = self.nodes[from].boots;
        let fate = self.index(&to).map_or(Fate::Pass, |target| self.fate(from, target, Frame::Envelope(&mut carried)));
        let event = |carried, copy| Event::Carry { from, boot, to, envelope, carried, copy };
        match fate {
            Fate::Pass => self.push(LINK_MS, event(carried, false)),
            Fate::Late(ms) => self.push(LINK_MS + ms, event(carried, false)),
            Fate::Twice(ms) => {
                self.push(LINK_MS + ms, event(carried.clone(), true));
                self.push(LINK_MS, event(carried, false));
            }
            Fate::Lose => {
                let input = Input::Carried { to, envelope, taken: Err(LinkError::TimedOut) };
                self.push(LOST_MS, Event::Input { node: from, boot, input });
            }
        }
    }

    pub(super) fn inquire(&mut self, from: usize, to: NodeId, token: u64, mut request: Request) {
        self.frames += 1;
        let boot = self.nodes[from].boots;
        let fate = self.index(&to).map_or(Fate::Pass, |target| self.fate(from, target, Frame::Request(&mut request)));
        let event = |request, copy| Event::Ask { from, boot, to, token, request, copy };
        match fate {
            Fate::Pass => self.push(LINK_MS, event(request, false)),
            Fate::Late(ms) => self.push(LINK_MS + ms, event(request, false)),
            Fate::Twice(ms) => {
                self.push(LINK_MS + ms, event(request.clone(), true));
                self.push(LINK_MS, event(request, false));
            }
            Fate::Lose => {
                let input = Input::Answered { token, from: to, response: Err(LinkError::TimedOut) };
                self.push(LOST_MS, Event::Input { node: from, boot, input });
            }
        }
    }

    pub(super) fn on_carry(
        &mut self,
        from: usize,
        boot: u32,
        to: NodeId,
        envelope: EnvelopeId,
        carried: Carried,
        copy: bool,
    ) {
        let Some(target) = self.index(&to).filter(|target| self.meet(from, *target)) else {
            if !copy {
                let input = Input::Carried { to, envelope, taken: Err(LinkError::Unreachable) };
                self.push(LINK_MS, Event::Input { node: from, boot, input });
            }
            return;
        };
        let waiter = if copy { Waiter::Nobody } else { Waiter::Carrier { node: from, boot, envelope } };
        let reply = self.waiter(target, waiter);
        let sender = self.nodes[from].id;
        let Some(mut mind) = self.minds.remove(&target) else {
            self.feed(target, Input::Envelope { reply, from: Some(sender), carried });
            return;
        };
        let (taken, letters) = mind.envelope(&self.nodes[target], sender, &carried);
        self.minds.insert(target, mind);
        self.on_taken(target, reply, taken);
        for (to, carried) in letters {
            let to = self.index(&to).expect("minds write to nodes of the world");
            self.deliver(target, to, carried);
        }
    }

    pub(super) fn on_ask(&mut self, from: usize, boot: u32, to: NodeId, token: u64, request: Request, copy: bool) {
        let joins = matches!(request, Request::Join { .. });
        let target = self.index(&to).filter(|target| {
            let target = *target;
            self.meet(from, target) || (joins && self.linked(from, target))
        });
        let Some(target) = target else {
            if !copy {
                let input = Input::Answered { token, from: to, response: Err(LinkError::Unreachable) };
                self.push(LINK_MS, Event::Input { node: from, boot, input });
            }
            return;
        };
        let reply = self.waiter(target, if copy { Waiter::Nobody } else { Waiter::Peer { node: from, boot, token } });
        let sender = self.nodes[from].id;
        let Some(mut mind) = self.minds.remove(&target) else {
            self.feed(target, Input::Asked { reply, from: sender, request });
            return;
        };
        let response = mind.request(&self.nodes[target], sender, &request);
        self.minds.insert(target, mind);
        self.on_response(target, reply, response);
    }

    pub(super) fn on_taken(&mut self, node: usize, to: ReplyTo, mut taken: Taken) {
        let Some(Waiter::Carrier { node: from, boot, envelope }) = self.waiters.remove(&(node, to)) else { return };
        let fate = self.fate(node, from, Frame::Taken(&mut taken));
        let (after, taken) = answer(fate, taken);
        let input = Input::Carried { to: self.nodes[node].id, envelope, taken };
        self.push(after, Event::Input { node: from, boot, input });
    }

    pub(super) fn on_response(&mut self, node: usize, to: ReplyTo, mut response: Response) {
        match self.waiters.remove(&(node, to)) {
            Some(Waiter::Peer { node: from, boot, token }) => {
                let fate = self.fate(node, from, Frame::Response(&mut response));
                let (after, response) = answer(fate, response);
                let input = Input::Answered { token, from: self.nodes[node].id, response };
                self.push(after, Event::Input { node: from, boot, input });
            }
            Some(Waiter::Nobody) => {
                self.responses.insert(to, response);
            }
            _ => {}
        }
    }

    /// Who waits for an answer of a node that is gone hears so.
    pub(super) fn hang_up(&mut self, node: usize) {
        let id = self.nodes[node].id;
        let range = (node, ReplyTo(0))..=(node, ReplyTo(u64::MAX));
        let gone: Vec<_> = self.waiters.range(range).map(|(key, _)| *key).collect();
        for key in gone {
            let (to, boot, input) = match self.waiters.remove(&key) {
                Some(Waiter::Carrier { node, boot, envelope }) => {
                    (node, boot, Input::Carried { to: id, envelope, taken: Err(LinkError::Closed) })
                }
                Some(Waiter::Peer { node, boot, token }) => {
                    (node, boot, Input::Answered { token, from: id, response: Err(LinkError::Closed) })
                }
                Some(Waiter::Caller | Waiter::Nobody) | None => continue,
            };
            self.push(LINK_MS, Event::Input { node: to, boot, input });
        }
    }
}

/// When an answer arrives, and what of it.
fn answer<T>(fate: Fate, answer: T) -> (u64, Result<T, LinkError>) {
    match fate {
        Fate::Pass | Fate::Twice(_) => (LINK_MS, Ok(answer)),
        Fate::Late(ms) => (LINK_MS + ms, Ok(answer)),
        Fate::Lose => (LOST_MS, Err(LinkError::TimedOut)),
    }
}
