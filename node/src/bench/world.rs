//! Nodes without processes: the core in virtual time, with links that never break, and a count of what goes over them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_core::batch::{Batch, Key, Outcome, Write};
use relaymesh_core::command::{Command, OperatorCommand, OperatorReply, Reply};
use relaymesh_core::config::{Config, Otp, Platform, Roles};
use relaymesh_core::crypto::RealCrypto;
use relaymesh_core::record::key;
use relaymesh_core::{Input, LinkError, Load, Loaded, Node, Output, Pump, ReplyTo, Unavailable, WorkDone};
use relaymesh_protocol::frame::{Carried, Request, Response, Taken};
use relaymesh_protocol::ids::{EnvelopeId, MeshId, NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;

use super::cbor;

/// Virtual start: 2026-01-01.
pub const START: Timestamp = Timestamp(1_767_225_600_000);
/// How long things take, in milliseconds.
const FSYNC_MS: u64 = 2;
const LINK_MS: u64 = 20;
/// Longest virtual time for an operator's command.
const ANSWER_MS: u64 = 60_000;

/// Rows in memory.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// Version and value.
    pub rows: BTreeMap<Key, (u64, Vec<u8>)>,
    version: u64,
}

impl Disk {
    /// Writes a batch; nothing here writes behind a node's back, so its preconditions hold.
    pub fn write(&mut self, batch: Batch) {
        self.version += 1;
        for write in batch.writes {
            match write {
                Write::Put { key, value } => drop(self.rows.insert(key, (self.version, value))),
                Write::Delete { key } => drop(self.rows.remove(&key)),
            }
        }
    }
}

impl Load for Disk {
    fn get(&mut self, key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable> {
        Ok(self.rows.get(key).cloned())
    }

    fn rows(&mut self, prefix: &[u8], limit: usize) -> Result<Loaded, Unavailable> {
        let below = self.rows.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(below.take(limit).map(|(key, (version, value))| (key.clone(), *version, value.clone())).collect())
    }
}

/// One node.
pub struct Sim {
    /// Who.
    pub id: NodeId,
    /// Its settings.
    pub config: Config,
    /// Its keys.
    pub keyring: Keyring,
    /// Its records.
    pub disk: Disk,
    /// What went over its links.
    pub said: Said,
    pump: Pump,
    staged: BTreeMap<u64, Batch>,
    /// Peers with a link, and when they were last spoken with.
    links: BTreeMap<NodeId, Timestamp>,
}

/// What went over a node's links, in and out.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Frames by what they are about.
    pub kinds: BTreeMap<&'static str, Frames>,
    /// Connections that were made.
    pub connections: u64,
    /// How long connections lived, all together, in milliseconds.
    pub alive_ms: u64,
}

/// Frames of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    /// Their bytes as CBOR.
    pub bytes: u64,
    /// Requests among them, made or answered.
    pub requests: u64,
}

enum Event {
    Persisted { node: usize, token: u64 },
    Input { node: usize, input: Input },
    Ask { from: usize, to: NodeId, token: u64, request: Request },
    Carry { from: usize, to: NodeId, envelope: EnvelopeId, carried: Carried },
    Silent { one: usize, other: usize },
}

enum Waiter {
    Caller,
    Peer { node: usize, token: u64, kind: &'static str },
    Carrier { node: usize, envelope: EnvelopeId },
}

/// All nodes.
pub struct World {
    /// Virtual now.
    pub now: Timestamp,
    /// The nodes.
    pub nodes: Vec<Sim>,
    /// Envelopes for this node are kept instead of delivered; their sender hears that they arrived.
    pub catch: Option<usize>,
    /// What was kept.
    pub caught: Vec<Carried>,
    /// Connections are closed after so long without a frame.
    silence: Duration,
    events: BTreeMap<(Timestamp, u64), Event>,
    sequence: u64,
    waiters: BTreeMap<ReplyTo, Waiter>,
    replies: BTreeMap<ReplyTo, Reply>,
}

impl World {
    pub fn new(silence: Duration) -> Self {
        Self {
            now: START,
            nodes: Vec::new(),
            catch: None,
            caught: Vec::new(),
            silence,
            events: BTreeMap::new(),
            sequence: 0,
            waiters: BTreeMap::new(),
            replies: BTreeMap::new(),
        }
    }

    /// Starts a node over the records in `disk`.
    pub fn add(&mut self, config: Config, keyring: Keyring, disk: Disk) -> usize {
        let index = self.nodes.len();
        let node = Node::new(config.clone(), keyring.clone(), Arc::new(RealCrypto), self.now);
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&(index as u64).to_be_bytes());
        let mut sim = Sim {
            id: keyring.node_id(),
            config,
            keyring,
            disk,
            said: Said::default(),
            pump: Pump::new(node, seed),
            staged: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        restore(&mut sim.pump, &mut sim.disk, self.now);
        self.nodes.push(sim);
        self.settle(index);
        index
    }

    /// A power cut of everything: memory and what is on its way are gone, records stay.
    pub fn restart(&mut self) {
        self.events.clear();
        self.waiters.clear();
        for index in 0..self.nodes.len() {
            let sim = &mut self.nodes[index];
            let node = Node::new(sim.config.clone(), sim.keyring.clone(), Arc::new(RealCrypto), self.now);
            let mut seed = [8; 32];
            seed[..8].copy_from_slice(&(index as u64).to_be_bytes());
            sim.pump = Pump::new(node, seed);
            sim.staged.clear();
            sim.links.clear();
            restore(&mut sim.pump, &mut sim.disk, self.now);
            self.settle(index);
        }
    }

    /// Makes the second node a member of the first one's mesh.
    pub fn join(&mut self, host: usize, guest: usize) -> Result<()> {
        let OperatorReply::Invite { code, .. } = self.operate(host, OperatorCommand::Invite { own: false })? else {
            bail!("the node gave no invite");
        };
        self.operate(guest, OperatorCommand::Join { code })?;
        self.run_for(Duration::from_secs(2));
        Ok(())
    }

    /// The answer to an operator's command.
    pub fn operate(&mut self, node: usize, command: OperatorCommand) -> Result<OperatorReply> {
        let reply = self.send(node, Command::Operator(command));
        let until = Timestamp(self.now.0 + ANSWER_MS);
        while !self.replies.contains_key(&reply) && self.step(until) {}
        match self.replies.remove(&reply) {
            Some(Reply::Operator(answer)) => Ok(answer),
            other => bail!("the node answered {other:?}"),
        }
    }

    /// Gives a node a command; nobody waits for the answer.
    pub fn send(&mut self, node: usize, command: Command) -> ReplyTo {
        let reply = self.waiter(Waiter::Caller);
        self.feed(node, Input::Command { reply, command });
        reply
    }

    /// Answers that came so far and were not looked at.
    pub fn take_replies(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.replies).into_values().collect()
    }

    /// Runs on for so much virtual time.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.now.after(span);
        while self.step(until) {}
        self.now = until;
    }

    fn step(&mut self, until: Timestamp) -> bool {
        let event = self.events.keys().next().map(|(at, _)| *at);
        let timer = (0..self.nodes.len()).filter_map(|n| Some((self.nodes[n].pump.poll_timeout()?, n))).min();
        let event_first = event.is_some_and(|at| timer.is_none_or(|(timer, _)| at <= timer));
        let Some(at) = event.filter(|_| event_first).or(timer.map(|(at, _)| at)) else { return false };
        if at > until {
            return false;
        }
        self.now = self.now.max(at);
        if event_first {
            if let Some((_, event)) = self.events.pop_first() {
                self.happen(event);
            }
        } else if let Some((_, node)) = timer {
            let Sim { pump, disk, .. } = &mut self.nodes[node];
            pump.tick(self.now, disk);
            self.settle(node);
        }
        true
    }

    fn push(&mut self, after_ms: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((Timestamp(self.now.0 + after_ms), self.sequence), event);
    }

    fn feed(&mut self, node: usize, input: Input) {
        let Sim { pump, disk, .. } = &mut self.nodes[node];
        pump.feed(input, self.now, disk);
        self.settle(node);
    }

    fn waiter(&mut self, waiter: Waiter) -> ReplyTo {
        self.sequence += 1;
        let reply = ReplyTo(self.sequence);
        self.waiters.insert(reply, waiter);
        reply
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Persisted { node, token } => {
                let Sim { pump, disk, staged, .. } = &mut self.nodes[node];
                staged.remove(&token).into_iter().for_each(|batch| disk.write(batch));
                pump.persisted(token, Outcome::Ok, self.now, disk);
                self.settle(node);
            }
            Event::Input { node, input } => self.feed(node, input),
            Event::Ask { from, to, token, request } => {
                let Some(target) = self.meet(from, &to) else {
                    let input = Input::Answered { token, from: to, response: Err(LinkError::Unreachable) };
                    return self.feed(from, input);
                };
                let kind = about(&request);
                self.count(from, target, kind, cbor::length(&request), 1);
                let reply = self.waiter(Waiter::Peer { node: from, token, kind });
                let from = self.nodes[from].id;
                self.feed(target, Input::Asked { reply, from, request });
            }
            Event::Carry { from, to, envelope, carried } => self.on_carry(from, to, envelope, carried),
            Event::Silent { one, other } => self.on_silent(one, other),
        }
    }

    fn on_carry(&mut self, from: usize, to: NodeId, envelope: EnvelopeId, carried: Carried) {
        let target = self.meet(from, &to);
        if target.is_some() && target == self.catch {
            self.caught.push(carried);
            return self.feed(from, Input::Carried { to, envelope, taken: Ok(Taken::Yes) });
        }
        let Some(target) = target else {
            return self.feed(from, Input::Carried { to, envelope, taken: Err(LinkError::Unreachable) });
        };
        let frame = Request::Envelopes(vec![carried.clone()]);
        self.count(from, target, about(&frame), cbor::length(&frame), 1);
        let reply = self.waiter(Waiter::Carrier { node: from, envelope });
        let from = self.nodes[from].id;
        self.feed(target, Input::Envelope { reply, from: Some(from), carried });
    }

    /// The node of this id, linked; all nodes reach each other.
    fn meet(&mut self, from: usize, to: &NodeId) -> Option<usize> {
        let target = self.nodes.iter().position(|sim| sim.id == *to)?;
        let own = self.nodes[from].id;
        if from == target || self.nodes[from].links.contains_key(to) {
            return Some(target);
        }
        for (node, peer) in [(from, *to), (target, own)] {
            let sim = &mut self.nodes[node];
            sim.links.insert(peer, self.now);
            sim.said.connections += 1;
        }
        let silence = self.silence.as_millis() as u64;
        self.push(silence, Event::Silent { one: from, other: target });
        self.feed(from, Input::Connected(*to));
        self.feed(target, Input::Connected(own));
        Some(target)
    }

    /// A link may have been silent for long enough to be closed.
    fn on_silent(&mut self, one: usize, other: usize) {
        let ids = [self.nodes[one].id, self.nodes[other].id];
        let Some(spoken) = self.nodes[one].links.get(&ids[1]).copied() else { return };
        let since = self.now.since(spoken);
        if since < self.silence {
            let left = (self.silence - since).as_millis() as u64;
            return self.push(left, Event::Silent { one, other });
        }
        for (node, peer) in [(one, ids[1]), (other, ids[0])] {
            let sim = &mut self.nodes[node];
            sim.links.remove(&peer);
            sim.said.alive_ms += since.as_millis() as u64;
            self.feed(node, Input::Disconnected(peer));
        }
    }

    fn count(&mut self, one: usize, other: usize, kind: &'static str, bytes: u64, requests: u64) {
        let ids = [self.nodes[one].id, self.nodes[other].id];
        for (node, peer) in [(one, ids[1]), (other, ids[0])] {
            let Sim { said, links, .. } = &mut self.nodes[node];
            let frames = said.kinds.entry(kind).or_default();
            frames.bytes += bytes;
            frames.requests += requests;
            if let Some(spoken) = links.get_mut(&peer) {
                said.alive_ms += self.now.since(*spoken).as_millis() as u64;
                *spoken = self.now;
            }
        }
    }

    fn settle(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].pump.poll_output() {
            self.perform(node, output);
        }
    }

    fn perform(&mut self, node: usize, output: Output) {
        match output {
            Output::Persist { token, batch } => {
                self.nodes[node].staged.insert(token, batch);
                self.push(FSYNC_MS, Event::Persisted { node, token });
            }
            Output::Reply { to, reply } => {
                if self.waiters.remove(&to).is_some() {
                    self.replies.insert(to, reply);
                }
            }
            Output::Taken { to, taken } => {
                let Some(Waiter::Carrier { node: from, envelope }) = self.waiters.remove(&to) else { return };
                let response = Response::Envelopes(vec![taken]);
                self.count(from, node, ENVELOPES, cbor::length(&response), 0);
                let input = Input::Carried { to: self.nodes[node].id, envelope, taken: Ok(taken) };
                self.push(LINK_MS, Event::Input { node: from, input });
            }
            Output::Respond { to, response } => {
                let Some(Waiter::Peer { node: from, token, kind }) = self.waiters.remove(&to) else { return };
                self.count(from, node, kind, cbor::length(&response), 0);
                let input = Input::Answered { token, from: self.nodes[node].id, response: Ok(response) };
                self.push(LINK_MS, Event::Input { node: from, input });
            }
            Output::Carry { to, envelope, carried } => {
                self.push(LINK_MS, Event::Carry { from: node, to, envelope, carried });
            }
            Output::Ask { to, token, request } => self.push(LINK_MS, Event::Ask { from: node, to, token, request }),
            Output::SaveKeys { id, keyring } => {
                self.nodes[node].keyring = *keyring;
                let input = Input::Worked { id, done: WorkDone::KeysSaved(Ok(())) };
                self.push(FSYNC_MS, Event::Input { node, input });
            }
            // Nobody writes here, so nothing goes out into the world.
            Output::Work { .. }
            | Output::Members { .. }
            | Output::Dial { .. }
            | Output::Note(_)
            | Output::Follow(_) => {}
        }
    }
}

/// What envelopes are counted as.
const ENVELOPES: &str = "envelopes";

/// What a request and its answer are about.
fn about(request: &Request) -> &'static str {
    match request {
        Request::Digest(_) => "digests",
        Request::Heads(holdings) if holdings.parts.is_empty() => "news",
        Request::Heads(_) => "differences",
        Request::Facts(_) | Request::WantFacts(_) => "facts",
        Request::WantFilter { .. } => "filters",
        Request::Envelopes(_) => ENVELOPES,
        Request::Evaluate { .. } | Request::WhoHolds { .. } | Request::Join { .. } => "questions",
    }
}

/// Reads what lives in memory, and begins.
pub fn restore(pump: &mut Pump, store: &mut dyn Load, now: Timestamp) {
    for table in key::RESTORED {
        let rows = store.rows(&[table], usize::MAX).unwrap_or_default();
        let rows = rows.into_iter().map(|(key, _, value)| (key, value)).collect();
        pump.feed(Input::Restore { table, rows }, now, store);
    }
    pump.feed(Input::Started, now, store);
}

/// The keys of a node of these worlds.
pub fn keyring(seed: u8) -> Keyring {
    Keyring::generate(&mut ChaCha20Rng::from_seed([seed; 32]), START)
}

/// A node of an instance of its own.
pub fn config(name: &str, seed: u8) -> Config {
    Config {
        instance: format!("instance-{name}"),
        roles: Roles { gateway: true, vault: true, relay: true, bridge: false },
        country: Some("CM".to_owned()),
        addresses: vec![format!("/ip4/192.0.2.{seed}/tcp/7443")],
        otp: Otp { sms: true, email: false },
        platforms: vec![Platform::stand_in()],
        sms: true,
        ..Config::bare(name, MeshId([seed; 16]))
    }
}
