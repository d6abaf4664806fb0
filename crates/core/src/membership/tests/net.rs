//! Pumps with disks of their own, and a router between them that can be cut.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_protocol::frame::Response;
use relaymesh_protocol::ids::{MeshId, NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;

use crate::command::{Command, NodeRow, OperatorCommand, OperatorReply, Refusal, Reply};
use crate::config::Config;
use crate::crypto::RealCrypto;
use crate::input::{Input, LinkError, ReplyTo};
use crate::node::Node;
use crate::output::{Output, WorkDone};
use crate::pump::Pump;
use crate::record::key;
use crate::testing::{Disk, Router};

pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);

pub(crate) struct Peer {
    pub pump: Pump,
    pub disk: Disk,
    pub keyring: Keyring,
    pub config: Config,
    pub allow: BTreeMap<NodeId, Vec<String>>,
    pub relays: Vec<NodeId>,
    blocked: Vec<NodeId>,
    open: bool,
    dialled: BTreeSet<NodeId>,
    /// The key file cannot be written.
    pub keys_fail: bool,
    /// Frames that came in.
    pub heard: u64,
}

impl Peer {
    pub fn node(&self) -> &Node {
        self.pump.node()
    }

    pub fn id(&self) -> NodeId {
        self.node().id()
    }

    fn lets_in(&self, other: &NodeId) -> bool {
        !self.blocked.contains(other) && (self.open || self.allow.contains_key(other) || self.dialled.contains(other))
    }
}

#[derive(Default)]
pub(crate) struct Net {
    pub peers: Vec<Peer>,
    pub now: Timestamp,
    links: BTreeSet<(usize, usize)>,
    cut: BTreeSet<(usize, usize)>,
    replies: BTreeMap<u64, Reply>,
    /// Who asked by which token, per reply number.
    asked: BTreeMap<u64, (usize, usize, u64)>,
    next: u64,
    inbox: VecDeque<(usize, Input)>,
    /// Nobody hears anything.
    pub deaf: bool,
}

pub(crate) fn config(name: &str) -> Config {
    Config {
        instance: format!("{name}-org"),
        contact: format!("mailto:ops@{name}.example"),
        country: Some("CM".to_owned()),
        addresses: vec![format!("/dns4/{name}.example/tcp/7443")],
        ..Config::bare(name, MeshId([name.as_bytes()[0]; 16]))
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Router for Net {
    fn count(&self) -> usize {
        self.peers.len()
    }

    fn machine(&mut self, at: usize) -> (&mut Pump, &mut Disk) {
        let peer = &mut self.peers[at];
        (&mut peer.pump, &mut peer.disk)
    }

    fn clock(&mut self) -> &mut Timestamp {
        &mut self.now
    }

    fn inbox(&mut self) -> &mut VecDeque<(usize, Input)> {
        &mut self.inbox
    }

    fn act(&mut self, at: usize, output: Output) {
        match output {
            Output::Persist { token, batch } => {
                self.persist(at, token, &batch);
            }
            Output::Reply { to, reply } => drop(self.replies.insert(to.0, reply)),
            Output::Members { allow, blocked, relays, open } => self.members(at, allow, blocked, relays, open),
            Output::Dial { node, .. } => {
                self.peers[at].dialled.insert(node);
                if let Some(other) = self.index(&node) {
                    self.link(at, other);
                }
            }
            Output::Ask { to, token, request } => self.ask(at, to, token, request),
            Output::Respond { to, response } => {
                if let Some((asker, asked, token)) = self.asked.remove(&to.0) {
                    let from = self.peers[asked].id();
                    self.inbox.push_back((asker, Input::Answered { token, from, response: Ok(response) }));
                }
            }
            Output::SaveKeys { id, keyring } => {
                let fail = self.peers[at].keys_fail;
                if !fail {
                    self.peers[at].keyring = *keyring;
                }
                let saved = if fail { Err(crate::output::WorkError::Failed) } else { Ok(()) };
                self.inbox.push_back((at, Input::Worked { id, done: WorkDone::KeysSaved(saved) }));
            }
            _ => {}
        }
    }
}

impl Net {
    pub fn new(names: &[&str]) -> Self {
        let mut net = Self { now: START, ..Self::default() };
        for name in names {
            net.add(config(name));
        }
        net
    }

    pub fn add(&mut self, config: Config) -> usize {
        let seed = [u8::try_from(self.peers.len() + 1).unwrap(); 32];
        let keyring = Keyring::generate(&mut ChaCha20Rng::from_seed(seed), self.now);
        let node = Node::new(config.clone(), keyring.clone(), Arc::new(RealCrypto), self.now);
        self.peers.push(Peer {
            pump: Pump::new(node, seed),
            disk: Disk::default(),
            keyring,
            config,
            allow: BTreeMap::new(),
            relays: Vec::new(),
            blocked: Vec::new(),
            open: false,
            dialled: BTreeSet::new(),
            keys_fail: false,
            heard: 0,
        });
        let at = self.peers.len() - 1;
        self.begin(at);
        at
    }

    fn begin(&mut self, at: usize) {
        for table in key::RESTORED {
            let rows = self.peers[at].disk.table(table);
            self.inbox.push_back((at, Input::Restore { table, rows }));
        }
        self.inbox.push_back((at, Input::Started));
        self.settle();
    }

    /// kill -9 and start again: only disk and key file remain.
    pub fn restart(&mut self, at: usize) {
        for other in 0..self.peers.len() {
            self.unlink(at, other);
        }
        self.asked.retain(|_, (asker, asked, _)| *asker != at && *asked != at);
        let peer = &mut self.peers[at];
        let node = Node::new(peer.config.clone(), peer.keyring.clone(), Arc::new(RealCrypto), self.now);
        peer.pump = Pump::new(node, [99; 32]);
        self.begin(at);
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert(pair(a, b));
        self.unlink(a, b);
        self.settle();
    }

    pub fn heal(&mut self, a: usize, b: usize) {
        self.cut.remove(&pair(a, b));
    }

    fn unlink(&mut self, a: usize, b: usize) {
        if self.links.remove(&pair(a, b)) {
            let (a_id, b_id) = (self.peers[a].id(), self.peers[b].id());
            self.inbox.push_back((a, Input::Disconnected(b_id)));
            self.inbox.push_back((b, Input::Disconnected(a_id)));
        }
    }

    fn index(&self, id: &NodeId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.id() == *id)
    }

    /// Makes a link if both sides let each other in.
    fn link(&mut self, a: usize, b: usize) -> bool {
        if self.links.contains(&pair(a, b)) {
            return true;
        }
        let (a_id, b_id) = (self.peers[a].id(), self.peers[b].id());
        if self.cut.contains(&pair(a, b)) || !self.peers[a].lets_in(&b_id) || !self.peers[b].lets_in(&a_id) {
            return false;
        }
        self.links.insert(pair(a, b));
        self.inbox.push_back((a, Input::Connected(b_id)));
        self.inbox.push_back((b, Input::Connected(a_id)));
        true
    }

    pub fn feed(&mut self, at: usize, input: Input) {
        self.inbox.push_back((at, input));
        self.settle();
    }

    fn members(
        &mut self,
        at: usize,
        allow: Vec<(NodeId, Vec<String>)>,
        blocked: Vec<NodeId>,
        relays: Vec<NodeId>,
        open: bool,
    ) {
        let peer = &mut self.peers[at];
        (peer.allow, peer.blocked, peer.relays, peer.open) = (allow.into_iter().collect(), blocked, relays, open);
        for other in 0..self.peers.len() {
            let id = self.peers[other].id();
            if other != at && !self.peers[at].lets_in(&id) {
                self.unlink(at, other);
            }
        }
    }

    fn ask(&mut self, at: usize, to: NodeId, token: u64, request: relaymesh_protocol::frame::Request) {
        if self.deaf {
            return;
        }
        let other = self.index(&to).filter(|other| self.link(at, *other));
        let Some(other) = other else {
            let response = Err(LinkError::Unreachable);
            self.inbox.push_back((at, Input::Answered { token, from: to, response }));
            return;
        };
        self.next += 1;
        self.asked.insert(self.next, (at, other, token));
        self.peers[other].heard += 1;
        let from = self.peers[at].id();
        self.inbox.push_back((other, Input::Asked { reply: ReplyTo(self.next), from, request }));
    }

    /// Lets days pass of which only the last minutes are lived through: what was due then happens late, once.
    pub fn days(&mut self, days: u32) {
        const LIVED: Duration = Duration::from_secs(180);
        for _ in 0..days {
            self.now = self.now.after(Duration::from_secs(86_400) - LIVED);
            self.pass(LIVED);
        }
    }

    pub fn operator(&mut self, at: usize, command: OperatorCommand) -> Result<OperatorReply, Refusal> {
        self.next += 1;
        let to = self.next;
        self.feed(at, Input::Command { reply: ReplyTo(to), command: Command::Operator(command) });
        self.answer(to).expect("answered at once")
    }

    /// Asks, and lets a minute pass until there is an answer.
    pub fn operator_waiting(&mut self, at: usize, command: OperatorCommand) -> Result<OperatorReply, Refusal> {
        self.next += 1;
        let to = self.next;
        self.feed(at, Input::Command { reply: ReplyTo(to), command: Command::Operator(command) });
        for _ in 0..60 {
            if let Some(answer) = self.answer(to) {
                return answer;
            }
            self.pass(Duration::from_secs(1));
        }
        panic!("no answer within a minute");
    }

    /// What a node answers a peer that is connected.
    pub fn put_to(&mut self, at: usize, from: NodeId, request: relaymesh_protocol::frame::Request) -> Response {
        self.next += 1;
        let reply = ReplyTo(self.next);
        let peer = &mut self.peers[at];
        peer.pump.feed(Input::Asked { reply, from, request }, self.now, &mut peer.disk);
        let mut answer = None;
        while let Some(output) = self.peers[at].pump.poll_output() {
            match output {
                Output::Respond { to, response } if to == reply => answer = Some(response),
                other => self.act(at, other),
            }
        }
        self.settle();
        answer.expect("answered")
    }

    fn answer(&mut self, to: u64) -> Option<Result<OperatorReply, Refusal>> {
        match self.replies.remove(&to)? {
            Reply::Operator(reply) => Some(Ok(reply)),
            Reply::Refused(refusal) => Some(Err(refusal)),
            other => panic!("not for an operator: {other:?}"),
        }
    }

    pub fn invite(&mut self, at: usize) -> String {
        match self.operator(at, OperatorCommand::Invite { own: false }).expect("an invite") {
            OperatorReply::Invite { code, .. } => code.reveal().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    pub fn join(&mut self, at: usize, code: &str) -> Result<OperatorReply, Refusal> {
        self.operator_waiting(at, OperatorCommand::Join { code: code.into() })
    }

    pub fn list(&mut self, at: usize) -> Vec<NodeRow> {
        match self.operator(at, OperatorCommand::NodeList).expect("a list") {
            OperatorReply::Nodes(rows) => rows,
            other => panic!("{other:?}"),
        }
    }

    /// Names and states of the others, as `at` lists them.
    pub fn others(&mut self, at: usize) -> Vec<(String, String)> {
        let mut others: Vec<_> = self.list(at).into_iter().skip(1).map(|row| (row.name, row.state)).collect();
        others.sort();
        others
    }

    pub fn names(&mut self, at: usize) -> Vec<String> {
        self.others(at).into_iter().map(|(name, _)| name).collect()
    }
}
