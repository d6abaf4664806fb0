//! Nodes of a mesh that know each other, and a router between them that can be cut, muted and made to lie.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use relaymesh_protocol::frame::{Request, Response, Taken};
use relaymesh_protocol::ids::{DeviceId, E164, EntityId, MessageId, NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;

use crate::batch::Outcome;
use crate::command::{Command, OperatorCommand, OperatorReply, Reply};
use crate::config::{Config, Roles};
use crate::crypto::RealCrypto;
use crate::delivery::{Cargo, Outbox, Stage};
use crate::input::{Input, LinkError, ReplyTo};
use crate::locator::{Lookup, Routing, add_entity};
use crate::membership::tests::net::{Net, config};
use crate::node::Node;
use crate::output::{Output, WorkDone};
use crate::pump::{Load as _, Pump};
use crate::record::{key, put_node};
use crate::testing::{Disk, Router};
use crate::tx::{Effects, Fetch, Halt, Run, Tx, View};

pub struct Peer {
    pub pump: Pump,
    pub disk: Disk,
    pub keyring: Keyring,
    config: Config,
}

impl Peer {
    pub fn node(&self) -> &Node {
        self.pump.node()
    }
}

pub struct World {
    pub peers: Vec<Peer>,
    pub now: Timestamp,
    pub cut: BTreeSet<(usize, usize)>,
    /// No gossip passes.
    pub mute: bool,
    /// Proofs are broken on the way.
    pub lie: bool,
    /// Filters are damaged on the way.
    pub garble: bool,
    /// Who asked whom what.
    pub asked: Vec<(usize, usize, Request)>,
    /// Answers on their way: who asked, who answers, and the asker's token.
    waiting: BTreeMap<u64, (usize, usize, u64)>,
    /// Envelopes offered: from, to.
    pub carried: Vec<(usize, usize)>,
    carries: BTreeMap<u64, (usize, NodeId, relaymesh_protocol::ids::EnvelopeId)>,
    replies: BTreeMap<u64, Reply>,
    inbox: VecDeque<(usize, Input)>,
    next: u64,
}

pub fn device(n: u8) -> DeviceId {
    DeviceId([n; 32])
}

pub fn number(n: u32) -> E164 {
    format!("+2376{n:08}").parse().unwrap()
}

pub fn message(n: u8) -> MessageId {
    MessageId([n; 32])
}

impl Router for World {
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
            Output::Ask { to, token, request } => self.ask(at, to, token, request),
            Output::Respond { to, response } => self.respond(to, response),
            Output::Carry { to, envelope, carried } => {
                let other = self.peers.iter().position(|peer| peer.node().id() == to).unwrap();
                self.carried.push((at, other));
                if self.is_cut(at, other) {
                    let taken = Err(LinkError::Unreachable);
                    return self.inbox.push_back((at, Input::Carried { to, envelope, taken }));
                }
                self.next += 1;
                self.carries.insert(self.next, (at, to, envelope));
                let from = Some(self.id(at));
                self.inbox.push_back((other, Input::Envelope { reply: ReplyTo(self.next), from, carried }));
            }
            Output::Taken { to, taken } => self.taken(to, taken),
            Output::SaveKeys { id, keyring } => {
                self.peers[at].keyring = *keyring;
                self.inbox.push_back((at, Input::Worked { id, done: WorkDone::KeysSaved(Ok(())) }));
            }
            _ => {}
        }
    }
}

/// A message that came through a door without enrolment.
pub fn outbox(lookup: &Lookup, payload: Vec<u8>) -> Outbox {
    Outbox {
        cargo: Cargo::Whole { payload, image: None },
        session: 0,
        lookup: lookup.clone(),
        sender: None,
        received: Timestamp(0),
        date: None,
        date_sent: None,
        gateway: None,
        trusted: false,
        stage: Stage::Held,
    }
}

impl World {
    /// A mesh in which all are partners.
    pub fn partners(names: &[&str]) -> Self {
        Self::with(names, true, |_| {})
    }

    pub fn with(names: &[&str], federate: bool, change: impl Fn(&mut Config)) -> Self {
        let mut net = Net::default();
        net.now = crate::membership::tests::net::START;
        for name in names {
            let mut config = config(name);
            config.roles = Roles { gateway: true, vault: true, relay: false, bridge: true };
            change(&mut config);
            net.add(config);
        }
        for joiner in 1..names.len() {
            let code = net.invite(0);
            net.join(joiner, &code).unwrap();
        }
        net.pass(Duration::from_secs(300));
        if federate {
            for at in 0..names.len() {
                for name in names.iter().filter(|name| **name != names[at]) {
                    net.operator(at, OperatorCommand::Federate { instance: format!("{name}-org") }).unwrap();
                }
            }
            net.pass(Duration::from_secs(300));
        }
        let now = net.now;
        let peers = net.peers.into_iter().map(|peer| Peer {
            pump: peer.pump,
            disk: peer.disk,
            keyring: peer.keyring,
            config: peer.config,
        });
        let mut world = Self {
            peers: peers.collect(),
            now,
            cut: BTreeSet::new(),
            mute: false,
            lie: false,
            garble: false,
            asked: Vec::new(),
            waiting: BTreeMap::new(),
            carried: Vec::new(),
            carries: BTreeMap::new(),
            replies: BTreeMap::new(),
            inbox: VecDeque::new(),
            next: 1 << 40,
        };
        for at in 0..world.peers.len() {
            world.restart(at);
        }
        world
    }

    pub fn id(&self, at: usize) -> NodeId {
        self.peers[at].node().id()
    }

    pub fn count(&self, at: usize, counter: &str) -> u64 {
        self.peers[at].node().counters().get(counter).copied().unwrap_or_default()
    }

    /// kill -9 and start again.
    pub fn restart(&mut self, at: usize) {
        self.inbox.retain(|(to, _)| *to != at);
        self.waiting.retain(|_, (asker, asked, _)| *asker != at && *asked != at);
        let peer = &mut self.peers[at];
        let node = Node::new(peer.config.clone(), peer.keyring.clone(), Arc::new(RealCrypto), self.now);
        peer.pump = Pump::new(node, [77; 32]);
        for table in key::RESTORED {
            let rows = peer.disk.table(table);
            self.inbox.push_back((at, Input::Restore { table, rows }));
        }
        self.inbox.push_back((at, Input::Started));
        for other in (0..self.peers.len()).filter(|other| *other != at) {
            if !self.is_cut(at, other) {
                self.inbox.push_back((at, Input::Connected(self.id(other))));
                self.inbox.push_back((other, Input::Connected(self.peers[at].node().id())));
            }
        }
        self.settle();
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    /// Runs a handler by itself; what it writes is on disk afterwards, what it remembers comes with a restart.
    pub fn run<T>(&mut self, at: usize, handler: impl Fn(&Node, &mut Tx<'_>) -> Run<T>) -> T {
        self.run_with(at, handler, drop)
    }

    fn run_with<T>(
        &mut self,
        at: usize,
        handler: impl Fn(&Node, &mut Tx<'_>) -> Run<T>,
        keep: impl FnOnce(Effects),
    ) -> T {
        let peer = &mut self.peers[at];
        let mut view = View::default();
        loop {
            let idle = |_: &crate::tx::Lane| false;
            let mut tx = Tx::new(self.now, [41; 32], &view, &idle);
            match handler(peer.pump.node(), &mut tx) {
                Ok(value) => {
                    assert_eq!(peer.disk.write(&tx.effects.batch), Outcome::Ok);
                    keep(tx.effects);
                    return value;
                }
                Err(Halt::Need(Fetch::Keys(keys))) => {
                    for key in keys {
                        let record = peer.disk.get(&key).unwrap();
                        view.insert(key, record);
                    }
                }
                Err(Halt::Need(Fetch::Prefix { prefix, limit })) => {
                    let rows = peer.disk.rows(&prefix, limit).unwrap();
                    view.insert_prefix(prefix, limit, rows);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    /// The same, and the node remembers what it would, but says nothing and sets no timer.
    pub fn run_kept<T>(&mut self, at: usize, handler: impl Fn(&Node, &mut Tx<'_>) -> Run<T>) -> T {
        let mut kept = None;
        let value = self.run_with(at, handler, |effects| kept = Some((effects.at_once, effects.then)));
        let (at_once, then) = kept.expect("the handler ended");
        let node = self.peers[at].pump.node_mut();
        node.apply_all(at_once);
        node.apply_all(then);
        value
    }

    /// What a handler that reads nothing would make the locator remember.
    pub fn run_changes(&mut self, at: usize, handler: impl Fn(&Node, &mut Tx<'_>) -> Run) -> Vec<String> {
        let (view, idle) = (View::default(), |_: &crate::tx::Lane| false);
        let mut tx = Tx::new(self.now, [41; 32], &view, &idle);
        handler(self.peers[at].node(), &mut tx).unwrap();
        let changes = tx.effects.at_once.iter().filter_map(|change| match change {
            crate::node::Change::Locator(change) => Some(format!("{change:?}")),
            _ => None,
        });
        changes.collect()
    }

    /// A person comes to live at a node.
    pub fn settle_person(&mut self, at: usize, n: u8, routing: &Routing) {
        self.run(at, |node, tx| add_entity(node, tx, EntityId([n; 16]), routing));
        self.restart(at);
    }

    /// A message that no home has accepted waits at a node.
    pub fn hold(&mut self, at: usize, n: u8, lookup: &Lookup) {
        self.hold_all(at, &[(message(n), vec![n; 40])], lookup);
    }

    /// The same for several, a millisecond apart.
    pub fn hold_all(&mut self, at: usize, messages: &[(MessageId, Vec<u8>)], lookup: &Lookup) {
        for (id, payload) in messages {
            let received = self.now;
            self.run(at, |node, tx| {
                let outbox = Outbox { trusted: true, received, ..outbox(lookup, payload.clone()) };
                put_node(node, tx, key::outbox(id), &outbox)
            });
            self.now.0 += 1;
        }
        self.restart(at);
    }

    fn ask(&mut self, at: usize, to: NodeId, token: u64, request: Request) {
        let other = self.peers.iter().position(|peer| peer.node().id() == to).unwrap();
        let gossip = matches!(request, Request::Digest(_) | Request::Heads(_) | Request::Facts(_));
        if self.is_cut(at, other) || (self.mute && gossip) {
            let response = Err(LinkError::Unreachable);
            return self.inbox.push_back((at, Input::Answered { token, from: to, response }));
        }
        if !gossip {
            self.asked.push((at, other, request.clone()));
        }
        self.next += 1;
        self.waiting.insert(self.next, (at, other, token));
        let from = self.id(at);
        self.inbox.push_back((other, Input::Asked { reply: ReplyTo(self.next), from, request }));
    }

    fn respond(&mut self, to: ReplyTo, mut response: Response) {
        let Some((asker, asked, token)) = self.waiting.remove(&to.0) else { return };
        if let (true, Response::Evaluated { proof, .. }) = (self.lie, &mut response) {
            proof[0] ^= 1;
        }
        if let (true, Response::Filter { bytes, .. }) = (self.garble, &mut response) {
            bytes[0] ^= 1;
        }
        let from = self.id(asked);
        self.inbox.push_back((asker, Input::Answered { token, from, response: Ok(response) }));
    }

    fn taken(&mut self, to: ReplyTo, taken: Taken) {
        if let Some((at, to, envelope)) = self.carries.remove(&to.0) {
            self.inbox.push_back((at, Input::Carried { to, envelope, taken: Ok(taken) }));
        }
    }

    pub fn operator(&mut self, at: usize, command: OperatorCommand) -> OperatorReply {
        self.next += 1;
        let reply = ReplyTo(self.next);
        self.inbox.push_back((at, Input::Command { reply, command: Command::Operator(command) }));
        self.settle();
        match self.replies.remove(&reply.0) {
            Some(Reply::Operator(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// Carries a bundle from one node to another.
    pub fn bundle(&mut self, from: usize, to: usize) {
        let OperatorReply::Bundle { bytes, .. } = self.operator(from, OperatorCommand::BundleExport) else {
            panic!("a bundle")
        };
        self.import(to, bytes);
    }

    /// Takes a bundle in, part by part; how many envelopes, how many new facts and filters, how many were refused.
    pub fn import(&mut self, at: usize, bytes: Vec<u8>) -> (u64, u64, u64) {
        self.next += 1;
        let reply = self.next;
        let command = Command::Operator(OperatorCommand::BundleImport { bytes });
        self.inbox.push_back((at, Input::Command { reply: ReplyTo(reply), command }));
        self.settle();
        for _ in 0..10_000 {
            match self.replies.remove(&reply) {
                Some(Reply::Operator(OperatorReply::Imported { envelopes, facts, refused })) => {
                    return (envelopes, facts, refused);
                }
                Some(other) => panic!("{other:?}"),
                None => self.pass(Duration::from_millis(10)),
            }
        }
        panic!("the bundle is never taken in");
    }

    /// What a peer answers to one request.
    pub fn put_to(&mut self, at: usize, from: usize, request: Request) -> Response {
        self.next += 1;
        let reply = ReplyTo(self.next);
        let from = self.id(from);
        let peer = &mut self.peers[at];
        peer.pump.feed(Input::Asked { reply, from, request }, self.now, &mut peer.disk);
        let mut answer = None;
        loop {
            let Some(output) = self.peers[at].pump.poll_output() else { break };
            match output {
                Output::Respond { to, response } if to == reply => answer = Some(response),
                other => self.act(at, other),
            }
        }
        answer.expect("answered")
    }

    pub fn evaluations(&self, from: usize, to: usize) -> Vec<usize> {
        let asked = self.asked.iter().filter(|(a, b, _)| (*a, *b) == (from, to));
        asked
            .filter_map(|(.., request)| match request {
                Request::Evaluate { blinded, .. } => Some(blinded.len()),
                _ => None,
            })
            .collect()
    }

    pub fn offers(&self, from: usize, to: usize) -> usize {
        self.carried.iter().filter(|pair| **pair == (from, to)).count()
    }
}
