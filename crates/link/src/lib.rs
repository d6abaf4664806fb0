//! Between the core's frames and the mesh task: envelopes to one peer travel together, and each of a request's envelopes
//! is an input of its own. The node and the simulator's stack tier drive a core and a mesh task by this same code.
#![forbid(unsafe_code)]

mod heard;

use std::collections::{BTreeMap, BTreeSet};

use relaymesh_core::{Input, LinkError, Output, ReplyTo};
use relaymesh_mesh::{Command, Event, Handle, Unanswered};
use relaymesh_protocol::frame::{Carried, ENVELOPES_PER_REQUEST_MAX, REQUEST_BYTES_MAX, Request, Response, Taken};
use relaymesh_protocol::ids::{EnvelopeId, NodeId};

use heard::Heard;

/// A request under way.
enum Asked {
    /// Of the core, under its own token.
    Ask(u64),
    /// Envelopes, in the order of their answers.
    Envelopes(Vec<EnvelopeId>),
}

/// What an answer of the core goes to.
enum Answer {
    /// A request of a peer.
    Channel(u64),
    /// One of the envelopes of a request.
    Envelope { group: u64, index: usize },
}

/// A request full of envelopes, until each has its answer.
struct Group {
    channel: u64,
    taken: Vec<Option<Taken>>,
}

/// Frames under way.
pub struct Links {
    mesh: Handle,
    out: BTreeMap<NodeId, Vec<(EnvelopeId, Carried)>>,
    asked: BTreeMap<u64, Asked>,
    next_ask: u64,
    answers: BTreeMap<ReplyTo, Answer>,
    groups: BTreeMap<u64, Group>,
    failed: Vec<Input>,
    blocked: Vec<NodeId>,
    relays: Vec<NodeId>,
    members: BTreeSet<NodeId>,
    connected: BTreeSet<NodeId>,
    heard: Heard,
}

impl Links {
    /// Of a node whose mesh task has this handle.
    #[must_use]
    pub fn new(mesh: Handle) -> Self {
        Self {
            mesh,
            out: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_ask: 1,
            answers: BTreeMap::new(),
            groups: BTreeMap::new(),
            failed: Vec::new(),
            blocked: Vec::new(),
            relays: Vec::new(),
            members: BTreeSet::new(),
            connected: BTreeSet::new(),
            heard: Heard::default(),
        }
    }

    /// An output that concerns other nodes.
    pub fn on_output(&mut self, output: Output) {
        match output {
            Output::Carry { to, envelope, carried } => self.out.entry(to).or_default().push((envelope, carried)),
            Output::Ask { to, token, request } => self.send(to, request, Asked::Ask(token)),
            Output::Taken { to, taken } => self.on_taken(to, taken),
            Output::Respond { to, response } => {
                if let Some(Answer::Channel(channel)) = self.answers.remove(&to) {
                    self.command(Command::Respond { channel, frame: response });
                }
            }
            Output::Members { allow, blocked, relays, open } => self.members(allow, blocked, relays, open),
            Output::Dial { node, addrs } => self.command(Command::Dial { node, addrs }),
            _ => {}
        }
    }

    fn members(&mut self, allow: Vec<(NodeId, Vec<String>)>, blocked: Vec<NodeId>, relays: Vec<NodeId>, open: bool) {
        let old = std::mem::replace(&mut self.blocked, blocked.clone());
        old.iter().filter(|node| !blocked.contains(node)).for_each(|node| self.command(Command::Unblock(*node)));
        blocked.iter().filter(|node| !old.contains(node)).for_each(|node| self.command(Command::Block(*node)));
        let old = std::mem::replace(&mut self.relays, relays.clone());
        for relay in relays.iter().filter(|relay| !old.contains(relay)) {
            let addrs = allow.iter().find(|(node, _)| node == relay).map(|(_, addrs)| addrs.clone());
            self.command(Command::Reserve { relay: *relay, addrs: addrs.unwrap_or_default() });
        }
        old.iter().filter(|relay| !relays.contains(relay)).for_each(|relay| self.command(Command::Disconnect(*relay)));
        let now = allow.iter().map(|(node, _)| *node).collect();
        let before = std::mem::replace(&mut self.members, now);
        self.command(Command::Members { allow, open });
        // After the list, which takes the right to be dialled from those who were only that.
        let new =
            |node: &NodeId| self.members.contains(node) && !before.contains(node) && !self.connected.contains(node);
        for (node, addrs) in self.heard.of(new) {
            self.command(Command::Dial { node, addrs });
        }
    }

    fn command(&mut self, command: Command) {
        if let Err(error) = self.mesh.try_send(command) {
            tracing::warn!(%error, "the mesh task does not take a command");
        }
    }

    fn send(&mut self, to: NodeId, frame: Request, asked: Asked) {
        let id = self.next_ask;
        self.next_ask += 1;
        if self.mesh.try_send(Command::Send { to, id, frame }).is_err() {
            let inputs = unanswered(to, asked, LinkError::Busy);
            self.failed.extend(inputs);
            return;
        }
        self.asked.insert(id, asked);
    }

    /// Sends what was gathered; gives back what could not be sent.
    pub fn flush(&mut self) -> Vec<Input> {
        for (to, envelopes) in std::mem::take(&mut self.out) {
            for part in parts(envelopes) {
                let (ids, carried) = part.into_iter().unzip();
                self.send(to, Request::Envelopes(carried), Asked::Envelopes(ids));
            }
        }
        std::mem::take(&mut self.failed)
    }

    fn on_taken(&mut self, to: ReplyTo, taken: Taken) {
        let Some(Answer::Envelope { group: id, index }) = self.answers.remove(&to) else { return };
        let Some(group) = self.groups.get_mut(&id) else { return };
        if let Some(slot) = group.taken.get_mut(index) {
            *slot = Some(taken);
        }
        if group.taken.iter().all(Option::is_some)
            && let Some(group) = self.groups.remove(&id)
        {
            let frame = Response::Envelopes(group.taken.into_iter().flatten().collect());
            self.command(Command::Respond { channel: group.channel, frame });
        }
    }

    /// Something happened in the mesh: the inputs that follow from it. `next_reply` numbers who waits for answers.
    pub fn on_event(&mut self, event: Event, next_reply: &mut u64) -> Vec<Input> {
        match event {
            Event::Connected { node } => {
                self.connected.insert(node);
                vec![Input::Connected(node)]
            }
            Event::Disconnected { node } => {
                self.connected.remove(&node);
                vec![Input::Disconnected(node)]
            }
            Event::Asked { from, channel, frame: Request::Envelopes(envelopes) } => {
                self.on_envelopes(from, channel, envelopes, next_reply)
            }
            Event::Asked { from, channel, frame } => {
                let reply = take(next_reply);
                self.answers.insert(reply, Answer::Channel(channel));
                vec![Input::Asked { reply, from, request: frame }]
            }
            Event::Answered { id, from, frame } => match self.asked.remove(&id) {
                Some(asked) => answered(from, asked, frame),
                None => Vec::new(),
            },
            Event::Unanswered { id, to, why } => match self.asked.remove(&id) {
                Some(asked) => unanswered(to, asked, link_error(why)),
                None => Vec::new(),
            },
            Event::Restarted { panics } => {
                tracing::error!(panics, "the mesh task panicked and runs again");
                Vec::new()
            }
            Event::Listening { addr } => {
                tracing::info!(addr, "listening");
                Vec::new()
            }
            Event::Seen { node, addrs } => {
                if self.members.contains(&node) && !self.connected.contains(&node) {
                    self.command(Command::Dial { node, addrs: addrs.clone() });
                }
                self.heard.keep(node, addrs);
                Vec::new()
            }
            Event::AddressConfirmed { .. } => Vec::new(),
        }
    }

    fn on_envelopes(
        &mut self,
        from: NodeId,
        channel: u64,
        envelopes: Vec<Carried>,
        next_reply: &mut u64,
    ) -> Vec<Input> {
        if envelopes.is_empty() || envelopes.len() > ENVELOPES_PER_REQUEST_MAX {
            self.command(Command::Respond { channel, frame: Response::Refused });
            return Vec::new();
        }
        let group = take(next_reply).0;
        self.groups.insert(group, Group { channel, taken: vec![None; envelopes.len()] });
        let mut inputs = Vec::with_capacity(envelopes.len());
        for (index, carried) in envelopes.into_iter().enumerate() {
            let reply = take(next_reply);
            self.answers.insert(reply, Answer::Envelope { group, index });
            inputs.push(Input::Envelope { reply, from: Some(from), carried });
        }
        inputs
    }
}

fn take(next_reply: &mut u64) -> ReplyTo {
    let reply = ReplyTo(*next_reply);
    *next_reply += 1;
    reply
}

/// Cuts envelopes into requests that stay below both limits.
fn parts(envelopes: Vec<(EnvelopeId, Carried)>) -> Vec<Vec<(EnvelopeId, Carried)>> {
    let mut parts: Vec<Vec<(EnvelopeId, Carried)>> = Vec::new();
    let mut bytes = 0;
    for one in envelopes {
        let size = one.1.envelope.len();
        let fits = parts.last().is_some_and(|part| part.len() < ENVELOPES_PER_REQUEST_MAX);
        if !fits || bytes + size > REQUEST_BYTES_MAX {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.push(one);
        }
    }
    parts
}

fn answered(from: NodeId, asked: Asked, frame: Response) -> Vec<Input> {
    match (asked, frame) {
        (Asked::Ask(token), response) => vec![Input::Answered { token, from, response: Ok(response) }],
        (Asked::Envelopes(ids), Response::Envelopes(taken)) if taken.len() == ids.len() => ids
            .into_iter()
            .zip(taken)
            .map(|(envelope, taken)| Input::Carried { to: from, envelope, taken: Ok(taken) })
            .collect(),
        (Asked::Envelopes(ids), Response::Busy { retry_after_ms }) => {
            let busy = |envelope| Input::Carried { to: from, envelope, taken: Ok(Taken::Busy { retry_after_ms }) };
            ids.into_iter().map(busy).collect()
        }
        (asked @ Asked::Envelopes(_), _) => unanswered(from, asked, LinkError::Closed),
    }
}

fn unanswered(to: NodeId, asked: Asked, error: LinkError) -> Vec<Input> {
    match asked {
        Asked::Ask(token) => vec![Input::Answered { token, from: to, response: Err(error) }],
        Asked::Envelopes(ids) => {
            ids.into_iter().map(|envelope| Input::Carried { to, envelope, taken: Err(error) }).collect()
        }
    }
}

fn link_error(why: Unanswered) -> LinkError {
    match why {
        Unanswered::Unreachable => LinkError::Unreachable,
        Unanswered::TimedOut => LinkError::TimedOut,
        Unanswered::Closed | Unanswered::Malformed => LinkError::Closed,
        Unanswered::Busy => LinkError::Busy,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use relaymesh_mesh::{Config, Mesh, real_transport};
    use tokio::sync::mpsc::Receiver;

    use super::*;

    /// Longest wait for what must come.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn start(seed: u8, listen: &[&str]) -> (Handle, Receiver<Event>) {
        let listen = listen.iter().map(|addr| (*addr).to_owned()).collect();
        Mesh::start(Config { listen, ..Config::default() }, [seed; 32], real_transport()).unwrap()
    }

    async fn wait<T>(events: &mut Receiver<Event>, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(picked) = pick(events.recv().await.expect("the task runs")) {
                    return picked;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("it comes in time")
    }

    fn members(allow: &[NodeId]) -> Output {
        let allow = allow.iter().map(|node| (*node, Vec::new())).collect();
        Output::Members { allow, blocked: Vec::new(), relays: Vec::new(), open: false }
    }

    #[tokio::test]
    async fn a_node_that_was_heard_of_is_dialled_once_it_is_a_member() {
        let (a, mut of_a) = start(1, &[]);
        let (b, mut of_b) = start(2, &["/ip4/127.0.0.1/tcp/0"]);
        let at = wait(&mut of_b, |event| if let Event::Listening { addr } = event { Some(addr) } else { None }).await;
        let (a_id, b_id) = (a.node(), b.node());
        let (mut one, mut other) = (Links::new(a), Links::new(b));
        other.on_output(members(&[a_id]));
        let mut replies = 1;
        for addr in ["/ip4/127.0.0.1/tcp/9".to_owned(), at] {
            assert!(one.on_event(Event::Seen { node: b_id, addrs: vec![addr] }, &mut replies).is_empty());
        }
        one.on_output(members(&[]));
        // Its record, as membership has it, names no address: what was heard is all there is.
        one.on_output(members(&[b_id]));
        wait(&mut of_a, |event| (event == Event::Connected { node: b_id }).then_some(())).await;
    }
}
