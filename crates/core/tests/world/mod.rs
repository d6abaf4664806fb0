//! A small deterministic world for scenario tests: several nodes, links that can be cut, a platform that keeps idempotency
//! keys as the real one does, an SMS network, and people with phones. Time is virtual.
#![allow(dead_code, unused_imports, reason = "each test uses its part of the world")]

mod forge;
mod network;
mod people;
mod sim;
mod usual;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use relaymesh_core::command::{Command, OperatorCommand, OperatorReply, Private, Reply};
use relaymesh_core::{
    Input, Output, PublishContent, PublishRequest, ReplyTo, SendError, SmsPurpose, Work, WorkDone, WorkId,
};
use relaymesh_protocol::frame::Request;
use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};

pub use forge::{Stranger, bridge_text, letter, letter_bytes, open, platform_text, seal_to};
pub use network::{Fate, Frame, Mind, Tap};
pub use people::{Person, enrol};
pub use sim::{Health, Sim};
pub use usual::{NUMBER, booth, counter, minutes, static_key, status, three};

/// Virtual start: 2026-01-01.
pub const START: Timestamp = Timestamp(1_767_225_600_000);
/// How long things take, in milliseconds.
const LINK_MS: u64 = 20;
const WORK_MS: u64 = 30;
/// The platform knows an idempotency key for an hour.
const KEY_LIFE_MS: u64 = 3_600_000;

/// Something that will happen.
enum Event {
    Persisted {
        node: usize,
        boot: u32,
        token: u64,
    },
    Input {
        node: usize,
        boot: u32,
        input: Input,
    },
    Ask {
        from: usize,
        boot: u32,
        to: NodeId,
        token: u64,
        request: Request,
        copy: bool,
    },
    Carry {
        from: usize,
        boot: u32,
        to: NodeId,
        envelope: EnvelopeId,
        carried: relaymesh_protocol::frame::Carried,
        /// Of another frame: nobody waits for its answer.
        copy: bool,
    },
}

/// Who gets an answer that a node gives.
enum Waiter {
    Caller,
    Nobody,
    Peer { node: usize, boot: u32, token: u64 },
    Carrier { node: usize, boot: u32, envelope: EnvelopeId },
}

/// A post on the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    pub account: String,
    pub text: String,
    pub key: String,
    pub id: String,
}

/// How the platform behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformMood {
    Fine,
    /// Posts, and the answer is lost (or a proxy's 502).
    LosesAnswers,
    /// Posts nothing, and answers nothing.
    Swallows,
    /// 503 or 429: nothing is taken.
    Down,
    /// 422.
    Refuses,
}

/// How the SMS ports of a node behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsMood {
    /// Nothing is sent; later it may be.
    Down,
    /// Nothing is sent, for good.
    Refuses,
    /// It is sent, and no answer comes.
    LosesAnswers,
}

/// How the platform answers a request for a new token. Each new one spends the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshMood {
    /// No refresh tokens here.
    Refuses,
    Fine,
    /// Gives a new access token under the refresh token as it is.
    Keeps,
    /// Gives the next token, and the answer is lost.
    LosesAnswers,
    /// Nobody is there, and nothing is spent.
    Down,
}

pub struct World {
    pub now: Timestamp,
    pub nodes: Vec<Sim>,
    pub posts: Vec<Post>,
    pub mails: Vec<PublishRequest>,
    pub sms: Vec<(String, String)>,
    /// The ids of these, in the same order: one that was sent again after a kill has the same, and a port drops it.
    pub sms_ids: Vec<[u8; 16]>,
    /// Why they were sent, in the same order.
    pub sms_purposes: Vec<SmsPurpose>,
    /// Which node sent each of them, in the same order.
    pub sms_by: Vec<usize>,
    /// How the ports of a node behave; all is well by default.
    pub sms_moods: BTreeMap<usize, SmsMood>,
    /// Codes that were mailed: address and code.
    pub codes: Vec<(String, String)>,
    pub mood: PlatformMood,
    /// How long a write takes to be durable, in milliseconds.
    pub fsync_ms: u64,
    /// The platform never ends a request for this account.
    pub hangs_for: Option<String>,
    pub refresh: RefreshMood,
    /// Posts by key, and when they were made.
    keys: BTreeMap<String, (String, Timestamp)>,
    /// Access tokens that the platform does not take any more.
    stale: BTreeSet<String>,
    /// Tokens that it gave for others.
    issued: BTreeSet<String>,
    /// Requests for a new token that the platform saw.
    pub refreshes: usize,
    cut: BTreeSet<(usize, usize)>,
    events: BTreeMap<(Timestamp, u64), Event>,
    seq: u64,
    waiters: BTreeMap<(usize, ReplyTo), Waiter>,
    replies: BTreeMap<(usize, ReplyTo), Reply>,
    next_reply: u64,
    pub frames: u64,
    /// Answers to a test's own questions.
    pub responses: BTreeMap<ReplyTo, relaymesh_protocol::frame::Response>,
    tap: Option<Tap>,
    minds: BTreeMap<usize, Box<dyn Mind>>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    pub fn new() -> Self {
        Self {
            now: START,
            nodes: Vec::new(),
            posts: Vec::new(),
            mails: Vec::new(),
            sms: Vec::new(),
            sms_ids: Vec::new(),
            sms_purposes: Vec::new(),
            sms_by: Vec::new(),
            sms_moods: BTreeMap::new(),
            codes: Vec::new(),
            mood: PlatformMood::Fine,
            fsync_ms: 2,
            hangs_for: None,
            refresh: RefreshMood::Refuses,
            keys: BTreeMap::new(),
            stale: BTreeSet::new(),
            issued: BTreeSet::new(),
            refreshes: 0,
            cut: BTreeSet::new(),
            events: BTreeMap::new(),
            seq: 0,
            waiters: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_reply: 1,
            frames: 0,
            responses: BTreeMap::new(),
            tap: None,
            minds: BTreeMap::new(),
        }
    }

    /// Adds a node of an instance and starts it.
    pub fn add(&mut self, name: &str, seed: u8) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Sim::new(name, seed, self.now));
        self.boot(index);
        index
    }

    fn boot(&mut self, node: usize) {
        let now = self.now;
        self.nodes[node].boot(now);
        self.settle(node);
        for other in 0..self.nodes.len() {
            if other != node && self.linked(node, other) {
                self.meet(node, other);
            }
        }
    }

    /// kill -9: what was not yet durable is gone, and so is memory.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
        let id = self.nodes[node].id;
        for other in 0..self.nodes.len() {
            if other != node && self.nodes[other].alive() && self.nodes[other].links.remove(&id) {
                self.feed(other, Input::Disconnected(id));
            }
        }
        self.nodes[node].links.clear();
        self.hang_up(node);
    }

    /// Time passes while a node is off.
    pub fn sleep(&mut self, node: usize, millis: u64) {
        self.kill(node);
        self.now.0 += millis;
        self.restart(node);
    }

    pub fn restart(&mut self, node: usize) {
        self.boot(node);
    }

    /// Whether two nodes can speak now.
    fn linked(&self, a: usize, b: usize) -> bool {
        let pair = (a.min(b), a.max(b));
        self.nodes[a].alive() && self.nodes[b].alive() && !self.cut.contains(&pair)
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
        let (ida, idb) = (self.nodes[a].id, self.nodes[b].id);
        if self.nodes[a].links.remove(&idb) {
            self.feed(a, Input::Disconnected(idb));
        }
        if self.nodes[b].links.remove(&ida) {
            self.feed(b, Input::Disconnected(ida));
        }
    }

    pub fn heal(&mut self, a: usize, b: usize) {
        self.cut.remove(&(a.min(b), a.max(b)));
    }

    fn index(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|sim| sim.id == *id)
    }

    /// A first frame between two nodes makes a link, as libp2p would dial.
    fn meet(&mut self, a: usize, b: usize) -> bool {
        if !self.linked(a, b) {
            return false;
        }
        let (ida, idb) = (self.nodes[a].id, self.nodes[b].id);
        if !(self.nodes[a].allows(&idb) && self.nodes[b].allows(&ida)) {
            return false;
        }
        if self.nodes[a].links.insert(idb) {
            self.feed(a, Input::Connected(idb));
        }
        if self.nodes[b].links.insert(ida) {
            self.feed(b, Input::Connected(ida));
        }
        true
    }

    fn push(&mut self, after_ms: u64, event: Event) {
        let at = Timestamp(self.now.0 + after_ms);
        self.seq += 1;
        self.events.insert((at, self.seq), event);
    }

    fn feed(&mut self, node: usize, input: Input) {
        if self.nodes[node].alive() {
            self.nodes[node].feed(input, self.now);
            self.settle(node);
        }
    }

    /// Asks a node and runs the world until it answers (at most a virtual minute).
    pub fn ask(&mut self, node: usize, command: Command) -> Reply {
        let reply = self.send(node, command);
        let until = Timestamp(self.now.0 + 60_000);
        while self.now < until {
            if let Some(answer) = self.replies.remove(&(node, reply)) {
                return answer;
            }
            if !self.step(until) {
                break;
            }
        }
        self.replies.remove(&(node, reply)).expect("the node answers within a minute")
    }

    /// Asks without waiting.
    pub fn send(&mut self, node: usize, command: Command) -> ReplyTo {
        let reply = ReplyTo(self.next_reply);
        self.next_reply += 1;
        self.waiters.insert((node, reply), Waiter::Caller);
        self.feed(node, Input::Command { reply, command });
        reply
    }

    pub fn answered(&self, node: usize, reply: ReplyTo) -> bool {
        self.replies.contains_key(&(node, reply))
    }

    pub fn operate(&mut self, node: usize, command: OperatorCommand) -> OperatorReply {
        match self.ask(node, Command::Operator(command)) {
            Reply::Operator(reply) => reply,
            other => panic!("unexpected reply {other:?}"),
        }
    }

    /// Makes the second node a member of the first one's mesh.
    pub fn join(&mut self, host: usize, guest: usize) {
        let OperatorReply::Invite { code, .. } = self.operate(host, OperatorCommand::Invite { own: false }) else {
            panic!("no invite");
        };
        self.operate(guest, OperatorCommand::Join { code });
        self.run_for(2_000);
    }

    pub fn federate(&mut self, a: usize, b: usize) {
        let (ia, ib) = (self.nodes[a].instance_id(), self.nodes[b].instance_id());
        self.operate(a, OperatorCommand::Federate { instance: ib });
        self.operate(b, OperatorCommand::Federate { instance: ia });
        self.run_for(5_000);
    }

    /// Runs the world for so many virtual milliseconds.
    pub fn run_for(&mut self, millis: u64) {
        let until = Timestamp(self.now.0 + millis);
        while self.step(until) {}
        self.now = until;
    }

    /// The next thing that happens before `until`.
    fn step(&mut self, until: Timestamp) -> bool {
        let event = self.events.keys().next().map(|(at, _)| *at);
        let timer = (0..self.nodes.len()).filter_map(|n| Some((self.nodes[n].timeout()?, n))).min();
        match (event, timer) {
            (Some(at), t) if t.is_none_or(|(timer, _)| at <= timer) => {
                if at > until {
                    return false;
                }
                self.now = self.now.max(at);
                let (_, event) = self.events.pop_first().expect("just seen");
                self.happen(event);
                true
            }
            (_, Some((at, node))) => {
                if at > until {
                    return false;
                }
                self.now = self.now.max(at);
                self.nodes[node].tick(self.now);
                self.settle(node);
                true
            }
            _ => false,
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Persisted { node, boot, token } => {
                if self.nodes[node].is(boot) {
                    self.nodes[node].persisted(token, self.now);
                    self.settle(node);
                }
            }
            Event::Input { node, boot, input } => {
                if self.nodes[node].is(boot) {
                    self.feed(node, input);
                }
            }
            Event::Ask { from, boot, to, token, request, copy } => self.on_ask(from, boot, to, token, request, copy),
            Event::Carry { from, boot, to, envelope, carried, copy } => {
                self.on_carry(from, boot, to, envelope, carried, copy);
            }
        }
    }

    fn waiter(&mut self, node: usize, waiter: Waiter) -> ReplyTo {
        let reply = ReplyTo(self.next_reply);
        self.next_reply += 1;
        self.waiters.insert((node, reply), waiter);
        reply
    }

    fn settle(&mut self, node: usize) {
        let mut outputs: VecDeque<Output> = self.nodes[node].outputs();
        while let Some(output) = outputs.pop_front() {
            self.perform(node, output);
        }
    }

    fn perform(&mut self, node: usize, output: Output) {
        let boot = self.nodes[node].boots;
        match output {
            Output::Persist { token, batch } => {
                self.nodes[node].stage(token, batch);
                self.push(self.fsync_ms, Event::Persisted { node, boot, token });
            }
            Output::Reply { to, reply } => {
                if self.waiters.remove(&(node, to)).is_some() {
                    self.replies.insert((node, to), reply);
                }
            }
            Output::Taken { to, taken } => self.on_taken(node, to, taken),
            Output::Respond { to, response } => self.on_response(node, to, response),
            Output::Carry { to, envelope, carried } => self.carry(node, to, envelope, carried),
            Output::Ask { to, token, request } => self.inquire(node, to, token, request),
            Output::Work { id, work } => {
                if let Work::Publish { request, .. } = &work
                    && self.hangs_for.as_deref() == Some(request.account.reveal())
                {
                    return;
                }
                let done = match self.sms_mood(node, &work) {
                    Some(unsent) => WorkDone::Sent(Err(unsent)),
                    None => self.work(work),
                };
                let lost = self.sms.len() > self.sms_by.len();
                self.sms_by.resize(self.sms.len(), node);
                let lost = lost && self.sms_moods.get(&node) == Some(&SmsMood::LosesAnswers);
                let done = if lost { WorkDone::Sent(Err(SendError::Unknown)) } else { done };
                self.push(WORK_MS, Event::Input { node, boot, input: Input::Worked { id, done } });
            }
            Output::SaveKeys { id, keyring } => {
                self.nodes[node].keyring = *keyring;
                let input = Input::Worked { id, done: WorkDone::KeysSaved(Ok(())) };
                self.push(1, Event::Input { node, boot, input });
            }
            Output::Members { allow, blocked, .. } => self.nodes[node].members(allow, blocked),
            Output::Dial { .. } | Output::Note(_) => {}
            Output::Follow(_) => unreachable!("the pump runs follow-ups"),
        }
    }

    fn sms_mood(&self, node: usize, work: &Work) -> Option<SendError> {
        match (work, self.sms_moods.get(&node)?) {
            (Work::Sms { .. }, SmsMood::Down) => Some(SendError::Retry { after_ms: None }),
            (Work::Sms { .. }, SmsMood::Refuses) => Some(SendError::Refused { text: "no".to_owned() }),
            _ => None,
        }
    }

    fn work(&mut self, work: Work) -> WorkDone {
        match work {
            Work::HashPassword { password, .. } => WorkDone::Hashed(Ok(format!("plain:{}", password.reveal()))),
            Work::VerifyPassword { password, hash } => {
                WorkDone::Verified(Ok(hash == format!("plain:{}", password.reveal())))
            }
            Work::Captcha { .. } => WorkDone::Captcha(Ok(true)),
            Work::Sms { to, text, id, purpose, .. } => {
                self.sms_ids.push(id);
                self.sms_purposes.push(purpose);
                self.sms.push((to.reveal().to_owned(), text.reveal().to_owned()));
                WorkDone::Sent(Ok(()))
            }
            Work::OtpMail { to, code } => {
                self.codes.push((to.reveal().to_owned(), code.reveal().to_owned()));
                WorkDone::Sent(Ok(()))
            }
            Work::Publish { request, .. } => WorkDone::Published(self.publish(*request)),
            Work::Refresh { token, .. } => WorkDone::Refreshed(self.refreshed(token.reveal())),
            Work::Exchange { code, .. } => WorkDone::Exchanged(Ok(relaymesh_core::Exchanged {
                token: format!("{{\"access_token\":\"token-{}\"}}", code.reveal()).into(),
                account: format!("{}@mastodon.test", code.reveal()).into(),
            })),
            Work::Revoke { .. } => WorkDone::Revoked,
        }
    }

    fn publish(&mut self, request: PublishRequest) -> Result<String, SendError> {
        match self.mood {
            PlatformMood::Down => return Err(SendError::Retry { after_ms: None }),
            PlatformMood::Refuses => return Err(SendError::Refused { text: "422".to_owned() }),
            PlatformMood::Swallows => return Err(SendError::Unknown),
            PlatformMood::Fine | PlatformMood::LosesAnswers => {}
        }
        let known = if self.mood == PlatformMood::LosesAnswers { Err(SendError::Unknown) } else { Ok(()) };
        if self.stale.contains(&access_token(request.token.reveal())) {
            return Err(SendError::Unauthorized);
        }
        let text = match &request.content {
            PublishContent::Text { text, .. } => text.reveal().to_owned(),
            PublishContent::Email { .. } | PublishContent::Message { .. } => {
                self.mails.push(request);
                return known.map(|()| "mail".to_owned());
            }
        };
        let now = self.now;
        self.keys.retain(|_, (_, made)| now.0 - made.0 < KEY_LIFE_MS);
        let id = match self.keys.get(&request.idempotency_key) {
            Some((id, _)) => id.clone(),
            None => {
                let id = format!("{}", self.posts.len() + 1);
                self.keys.insert(request.idempotency_key.clone(), (id.clone(), now));
                let account = request.account.reveal().to_owned();
                self.posts.push(Post { account, text, key: request.idempotency_key, id: id.clone() });
                id
            }
        };
        known.map(|()| id)
    }

    /// From now on the platform wants a new token of this account.
    pub fn expire(&mut self, person: &Person) {
        let name = person.account.split('@').next().unwrap_or_default();
        self.expire_token(format!("token-{name}"));
    }

    /// From now on the platform does not take this access token.
    pub fn expire_token(&mut self, access: impl Into<String>) {
        self.stale.insert(access.into());
    }

    /// Access and refresh token are one here: what is spent cannot be refreshed again.
    fn refreshed(&mut self, token: &str) -> Result<Private, SendError> {
        let old = field(token, "refresh_token").unwrap_or_else(|| access_token(token));
        let spent = || SendError::Refused { text: "invalid_grant".to_owned() };
        match self.refresh {
            RefreshMood::Refuses => return Err(spent()),
            RefreshMood::Down => return Err(SendError::Retry { after_ms: None }),
            RefreshMood::Fine | RefreshMood::Keeps | RefreshMood::LosesAnswers => self.refreshes += 1,
        }
        if self.refresh == RefreshMood::Keeps {
            return Ok(format!("{{\"access_token\":\"{old}-{}\"}}", self.refreshes).into());
        }
        let next = format!("{old}+");
        if self.issued.contains(&next) {
            return Err(spent());
        }
        self.stale.insert(old);
        self.issued.insert(next.clone());
        if self.refresh == RefreshMood::LosesAnswers {
            return Err(SendError::Unknown);
        }
        Ok(match field(token, "refresh_token") {
            Some(_) => format!("{{\"access_token\":\"{next}\",\"refresh_token\":\"{next}\"}}").into(),
            None => format!("{{\"access_token\":\"{next}\"}}").into(),
        })
    }

    /// As if nothing had ever been posted.
    pub fn forget_posts(&mut self) {
        self.posts.clear();
        self.keys.clear();
    }

    /// How often each text stands on the platform.
    pub fn count(&self, text: &str) -> usize {
        self.posts.iter().filter(|post| post.text == text).count()
    }
}

fn access_token(json: &str) -> String {
    field(json, "access_token").unwrap_or_default()
}

fn field(json: &str, name: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(json).ok()?;
    Some(json.get(name)?.as_str()?.to_owned())
}

/// Nobody answers for a work twice.
#[allow(unused)]
fn _ids(_: WorkId) {}
