//! Who is in the mesh: a grow-only set of signed facts with revocation, spread by anti-entropy, and this node's own policy
//! about whom of them it talks to.

mod apply;
mod entry;
mod fact;
mod gossip;
mod invite;
mod join;
mod news;
mod operator;
mod own;
mod partners;
mod parts;
mod peers;
mod restore;
mod set;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use relaymesh_protocol::frame::{FactHead, Response};
use relaymesh_protocol::ids::{InstanceId, MeshId, NodeId, Timestamp};
use serde_bytes::ByteBuf;

use crate::command::{Code, Refusal, Target};
use crate::input::{Input, LinkError, ReplyTo};
use crate::limit::Bucket;
use crate::node::Node;
use crate::output::Output;
use crate::record::{self, key, put_node};
use crate::timer::Timer;
use crate::tx::{Run, Tx};
use crate::watch::Gauge;

pub(crate) use apply::Change;
pub(crate) use gossip::on_request;
pub use invite::check_code;
pub(crate) use news::tell_filter;
pub(crate) use operator::on_operator;
pub(crate) use own::{fingerprint, static_keys};
pub(crate) use restore::{inherit, is_sound, restore, restore_meta};
pub use set::Member;
pub(crate) use ways::on_ways;

use entry::Entry;
use fact::Held;
use gossip::Ask;
use invite::Invite;
use join::Joining;
use partners::Partners;
use restore::FactRow;
use set::FactSet;
use ways::Ways;

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [record::Reader; 5] = [
    record::Reader::of::<invite::Invite>(),
    record::Reader::of::<restore::HeardRow>(),
    record::Reader::of::<restore::FactRow>(),
    record::Reader::of::<restore::MeshRow>(),
    record::Reader::of::<restore::PolicyRow>(),
];

/// Tokens of this conversation's questions have this bit; other conversations' have not.
const TOKEN_BIT: u64 = 1 << 63;
/// Bytes of facts that are written at once: below what the store takes in one batch.
pub(crate) const WRITE_BYTES_MAX: usize = 3 * 1024 * 1024;

/// What another instance is to this node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same.
    Own,
    /// Both operators accepted each other by hand.
    Partner,
    /// One of both did.
    Offered,
    /// In the mesh.
    Member,
}

impl Relation {
    /// Its name in lists.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Partner => "partner",
            Self::Offered => "offered",
            Self::Member => "member",
        }
    }
}

/// What this node knows of the mesh.
#[derive(Debug, Default)]
pub struct State {
    me: Option<NodeId>,
    mesh: Option<MeshId>,
    mesh_stored: bool,
    instance: Option<InstanceId>,
    facts: FactSet,
    blocked_nodes: BTreeSet<NodeId>,
    blocked_instances: BTreeSet<InstanceId>,
    wishes: BTreeSet<InstanceId>,
    invites: BTreeMap<[u8; 8], Invite>,
    connected: BTreeSet<NodeId>,
    partners: Partners,
    /// With whom this node has compared.
    met: BTreeMap<NodeId, gossip::Met>,
    asks: BTreeMap<u64, Ask>,
    limits: BTreeMap<NodeId, Bucket>,
    joins: Option<Bucket>,
    joining: Option<Joining>,
    version: u64,
    announced: Option<u64>,
    renew_at: Timestamp,
    /// What was restored is sealed under keys of another node.
    is_foreign: bool,
    /// When somebody was last heard of; zero when nobody was, ever. Up to [`own::NOTE_EVERY`] older after a start.
    heard: Timestamp,
    /// The same, as it is on the disk.
    noted: Timestamp,
    /// Nobody was heard of for [`SAY_BACK_AFTER`], and the record does not tell yet that this node is back.
    is_back: bool,
    publics: Option<(own::Mark, crate::crypto::Publics)>,
    ways: Ways,
    digest: Mutex<Option<gossip::Remembered>>,
    sums: Mutex<Option<parts::Remembered>>,
    /// Who is more than a member, until something changes.
    relations: OnceLock<Relations>,
}

/// What follows from who is whose partner.
#[derive(Debug)]
struct Relations {
    by: BTreeMap<InstanceId, Relation>,
    /// Nodes of the own instance and of partners, this one and blocked ones among them.
    near: Vec<NodeId>,
}

impl State {
    /// Whether the records that were restored are another node's: none of them opens.
    pub(crate) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Why this node does not speak with another, and what ends it; nothing unless its operator blocked it.
    pub(crate) fn blocked_by(&self, id: &NodeId) -> Option<String> {
        let record = self.facts.record(id);
        let name = record.map_or_else(|| id.peer_id(), |record| record.name.clone());
        if self.blocked_nodes.contains(id) {
            let id = id.peer_id();
            return Some(format!("{name} is blocked here; `relaymesh node unblock {id}` ends that"));
        }
        let instance = record.map(|record| record.instance).filter(|of| self.blocked_instances.contains(of))?;
        Some(format!("{name}'s instance is blocked here; `relaymesh node unblock {instance}` ends that"))
    }

    /// A member by its id; none for this node itself, and for nodes that are blocked or revoked.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Member> {
        self.facts.members().get(id).filter(|member| self.speaks_with(member))
    }

    /// All members in order of id, without this node and without those that are blocked or revoked. An expired record
    /// still counts: letters are sealed to the newest key known.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.facts.members().values().filter(|member| self.speaks_with(member))
    }

    fn speaks_with(&self, member: &Member) -> bool {
        self.me != Some(member.id) && !self.is_blocked(member)
    }

    fn is_blocked(&self, member: &Member) -> bool {
        self.blocked_nodes.contains(&member.id) || self.blocked_instances.contains(&member.instance)
    }

    /// Whether a node is a member that this node speaks with.
    #[must_use]
    pub fn is_member(&self, id: &NodeId) -> bool {
        self.node(id).is_some()
    }

    /// Nodes that are connected now; strangers who want to join may be among them.
    #[must_use]
    pub fn connected(&self) -> &BTreeSet<NodeId> {
        &self.connected
    }

    /// The mesh; before the start an empty id.
    #[must_use]
    pub fn mesh(&self) -> MeshId {
        self.mesh.unwrap_or(MeshId([0; 16]))
    }

    /// This node's instance; before the start an empty id.
    #[must_use]
    pub fn own_instance(&self) -> InstanceId {
        self.instance.unwrap_or(InstanceId([0; 32]))
    }

    /// A member's instance.
    #[must_use]
    pub fn instance_of(&self, id: &NodeId) -> Option<InstanceId> {
        if self.me == Some(*id) {
            return self.instance;
        }
        self.node(id).map(|member| member.instance)
    }

    /// Who brought an instance in, when both say so.
    #[must_use]
    pub fn sponsor_of(&self, instance: &InstanceId) -> Option<InstanceId> {
        let sponsor = self.facts.instance(instance)?.sponsor?;
        let subject = fact::Subject::Sponsorship { instance: *instance, sponsor };
        self.facts.get(&subject).map(|_| sponsor)
    }

    /// What a node's instance is to this node's.
    #[must_use]
    pub fn relation(&self, id: &NodeId) -> Relation {
        self.instance_of(id).map_or(Relation::Member, |instance| self.relation_of(instance))
    }

    /// What an instance is to this node's.
    #[must_use]
    pub fn relation_of(&self, instance: InstanceId) -> Relation {
        let own = self.own_instance();
        if instance == own {
            return Relation::Own;
        }
        self.relations().by.get(&instance).copied().unwrap_or(Relation::Member)
    }

    /// Nodes of the own instance and of partners, in order of id; some may be blocked, or no members any more.
    pub(crate) fn near(&self) -> &[NodeId] {
        &self.relations().near
    }

    fn relations(&self) -> &Relations {
        self.relations.get_or_init(|| {
            let own = self.own_instance();
            let by = self.relations_to(own);
            let is_near = |of: &InstanceId| *of == own || by.get(of) == Some(&Relation::Partner);
            let near = self.facts.members().values().filter(|member| is_near(&member.instance));
            Relations { near: near.map(|member| member.id).collect(), by }
        })
    }

    fn relations_to(&self, own: InstanceId) -> BTreeMap<InstanceId, Relation> {
        let others = self.facts.federated().filter_map(|(from, to)| match (from == own, to == own) {
            (true, false) => Some(to),
            (false, true) => Some(from),
            _ => None,
        });
        let relation = |other| match (self.facts.federates(own, other), self.facts.federates(other, own)) {
            (true, true) => Relation::Partner,
            _ => Relation::Offered,
        };
        others.map(|other| (other, relation(other))).collect()
    }

    /// A node's name with the end of its peer id, for timelines.
    #[must_use]
    pub fn display(&self, id: &NodeId) -> String {
        let peer_id = id.peer_id();
        let tail = peer_id.get(peer_id.len().saturating_sub(6)..).unwrap_or_default();
        match self.facts.record(id) {
            Some(record) => format!("{} (…{tail})", record.name),
            None => format!("…{tail}"),
        }
    }

    /// Whether a question was this conversation's.
    #[must_use]
    pub fn asked(&self, token: u64) -> bool {
        token & TOKEN_BIT != 0
    }

    /// The node or instance that a text names: peer id, name, or leading characters of an id.
    ///
    /// # Errors
    /// When nothing or more than one thing is named so.
    pub fn find(&self, text: &str) -> Result<Target, Refusal> {
        let refusal = match self.find_node(text) {
            Ok(node) => return Ok(Target::Node(node)),
            Err(refusal) => refusal,
        };
        let is_unknown = |refusal: &Refusal| refusal.code == Code::NotFound;
        match self.find_instance(text) {
            Ok(instance) if is_unknown(&refusal) || self.is_name_of_instance_only(text) => {
                Ok(Target::Instance(instance))
            }
            Ok(_) => Err(refusal),
            Err(other) if is_unknown(&refusal) && is_unknown(&other) => {
                Err(peers::unknown("node or instance", text.trim()))
            }
            Err(other) => Err(if is_unknown(&refusal) { other } else { refusal }),
        }
    }

    /// A whole name says more than the beginnings of ids that it may happen to be, too.
    fn is_name_of_instance_only(&self, text: &str) -> bool {
        let is_it = |name: &str| name.eq_ignore_ascii_case(text.trim());
        self.facts.instances().any(|instance| is_it(&instance.name))
            && !self.facts.records().any(|record| is_it(&record.name))
    }

    /// The node that a text names.
    ///
    /// # Errors
    /// When none or more than one is named so.
    pub fn find_node(&self, text: &str) -> Result<NodeId, Refusal> {
        let named = self.facts.records().map(|record| (record.node, record.name.as_str(), record.node.peer_id()));
        peers::find("node", text, named)
    }

    /// The instance that a text names.
    ///
    /// # Errors
    /// When none or more than one is named so.
    pub fn find_instance(&self, text: &str) -> Result<InstanceId, Refusal> {
        let named =
            self.facts.instances().map(|instance| (instance.id, instance.name.as_str(), instance.id.to_string()));
        peers::find("instance", text, named)
    }

    /// What each fact is about, and its number.
    pub(crate) fn fact_versions(&self) -> Vec<(Vec<u8>, u64)> {
        self.facts.iter().map(|held| (held.fact.subject().key(), held.fact.seq())).collect()
    }

    /// How full everything is that others can fill.
    pub(crate) fn gauges(&self) -> [Gauge; 3] {
        [
            Gauge { name: "nodes_known", value: self.facts.members().len(), cap: entry::NODES_MAX },
            Gauge { name: "instances_known", value: self.facts.instances().count(), cap: entry::INSTANCES_MAX },
            Gauge { name: "questions_of_membership", value: self.asks.len(), cap: gossip::ASKS_MAX },
        ]
    }

    fn entry(&self, now: Timestamp) -> Entry<'_> {
        Entry::new(&self.facts, self.me.unwrap_or(NodeId([0; 32])), self.own_instance(), now)
    }
}

/// Who was gone for longer than this says that it is back. Several times [`own::NOTE_EVERY`].
const SAY_BACK_AFTER: Duration = Duration::from_hours(10);
/// The first heartbeat comes within this time, so that nodes started together do not ask together.
const FIRST_GOSSIP_MS: u64 = 5_000;

/// Begins: makes the own records once memory knows who we are.
pub(crate) fn start(node: &Node, tx: &mut Tx<'_>) -> Run {
    tx.change(Change::Self_ {
        me: node.id(),
        mesh: node.membership.mesh.unwrap_or(node.config().mesh),
        instance: node.membership.instance.unwrap_or_else(|| node.crypto().instance_id(node.keys())),
    });
    let jitter = u64::from(u16::from_be_bytes(tx.random())) % FIRST_GOSSIP_MS;
    tx.wake(tx.now().after(Duration::from_millis(jitter)), Timer::Gossip);
    see_to_records(tx);
    Ok(())
}

/// Lets the own records, and who may connect, follow what has changed, once it has.
pub(crate) fn see_to_records(tx: &mut Tx<'_>) {
    tx.output(Output::Follow(Input::Timer(Timer::RenewRecord)));
}

/// A link came up: members compare at once what they know, if it may differ.
pub(crate) fn on_connected(node: &Node, tx: &mut Tx<'_>, peer: NodeId) -> Run {
    tx.change(Change::Connected(peer));
    if node.membership.is_member(&peer) {
        let was_alone = gossip::is_alone(node);
        if was_alone || !gossip::agreed(node, &peer, tx.now()) {
            gossip::compare(node, tx, peer);
        }
        if was_alone {
            gossip::hurry(node, tx);
        }
        say_back(node, tx);
    }
    Ok(())
}

/// Somebody is heard of. After a long time the others have taken this node for gone, and try it ever more seldom: its newer record
/// tells all of them that it is there.
fn say_back(node: &Node, tx: &mut Tx<'_>) {
    let (heard, now) = (node.membership.heard, tx.now());
    let is_back = heard > Timestamp::default() && now.since(heard) >= SAY_BACK_AFTER;
    tx.change(Change::Heard { at: now, is_back });
    if is_back {
        see_to_records(tx);
    }
    own::note_soon(node, tx, now);
}

/// A link is gone.
pub(crate) fn on_disconnected(_: &Node, tx: &mut Tx<'_>, peer: NodeId) -> Run {
    tx.change(Change::Disconnected(peer));
    Ok(())
}

/// Answers to this conversation's questions.
pub(crate) fn on_answer(
    node: &Node,
    tx: &mut Tx<'_>,
    token: u64,
    from: NodeId,
    response: &Result<Response, LinkError>,
) -> Run {
    let Some(ask) = node.membership.asks.get(&token).filter(|ask| ask.peer == from) else { return Ok(()) };
    tx.change(Change::Answered(token));
    match &ask.what {
        gossip::What::Join => join::on_answer(node, tx, from, response),
        what => gossip::on_answer(node, tx, from, what, response),
    }
}

/// The heartbeat, the note that others are heard of, and the care for the own records.
pub(crate) fn on_timer(node: &Node, tx: &mut Tx<'_>, timer: &Timer) -> Run {
    match timer {
        Timer::Gossip => gossip::on_heartbeat(node, tx),
        Timer::Heard => own::note_heard(node, tx),
        _ => own::on_renew(node, tx),
    }
}

/// All facts as they travel, for a bundle; what others rest on comes first.
pub(crate) fn all_facts(node: &Node) -> Vec<ByteBuf> {
    node.membership.facts.iter().map(|held| ByteBuf::from(held.bytes.clone())).collect()
}

/// Takes facts in that somebody carried here: how many were new, and how many were refused.
pub(crate) fn import(node: &Node, tx: &mut Tx<'_>, facts: &[ByteBuf]) -> Run<(u64, u64)> {
    let taken = take(node, tx, facts.iter().map(|bytes| bytes.as_slice()))?;
    Ok((taken.new.len() as u64, (taken.missing.len() + taken.refused) as u64))
}

/// What became of facts that somebody sent.
#[derive(Debug)]
struct Taken {
    /// Heads of those that entered.
    new: Vec<FactHead>,
    /// Heads of those of them that others should hear of soon.
    urgent: Vec<FactHead>,
    missing: Vec<Held>,
    refused: usize,
}

/// Verifies facts, and stores those that are new and may enter.
fn take<'b>(node: &Node, tx: &mut Tx<'_>, facts: impl Iterator<Item = &'b [u8]>) -> Run<Taken> {
    let state = &node.membership;
    let mut verified = Vec::new();
    let (mut refused, mut early, mut room) = (0, false, WRITE_BYTES_MAX);
    for bytes in facts {
        if room < bytes.len() {
            break;
        }
        if state.has_bytes(bytes) {
            continue;
        }
        match Held::verify(node.crypto(), &state.mesh(), bytes, tx.now()) {
            Ok(held) => {
                room -= bytes.len();
                verified.push(held);
            }
            Err(error) => {
                refused += 1;
                early |= matches!(error, fact::FactError::Future);
            }
        }
    }
    if refused > 0 {
        node.count(tx, "fact_refused");
    }
    if early {
        node.count(tx, "fact_of_the_future");
    }
    let mut entry = state.entry(tx.now());
    let (_, missing) = entry.take_all(verified);
    let entered = entry.finish();
    let new = entered.iter().map(set::head).collect();
    let urgent = entered.iter().filter(|held| state.matters(held)).map(set::head).collect();
    put_facts(node, tx, entered)?;
    Ok(Taken { new, urgent, missing, refused })
}

impl State {
    /// Whether a fact says more than that a member is still there with the keys of this week, and still vouched for. Those that say no more come
    /// by the hundred in a large mesh: nobody waits for them, and nothing here follows from them.
    fn matters(&self, held: &Held) -> bool {
        let new = match &held.fact {
            fact::Fact::Node(new) => new,
            fact::Fact::Endorsement(new) => return self.facts.endorsement(new.instance, new.node).is_none(),
            _ => return true,
        };
        let Some(old) = self.facts.record(&new.node).filter(|_| self.me != Some(new.node)) else { return true };
        (old.instance, old.roles, old.relay) != (new.instance, new.roles, new.relay)
            || old.addrs != new.addrs
            || old.statics != new.statics
            || old.name != new.name
            || self.facts.members().get(&new.node).is_none()
    }

    /// Spares the signature check for what is held already.
    fn has_bytes(&self, bytes: &[u8]) -> bool {
        let known =
            Held::stored(bytes).and_then(|held| self.facts.get(&held.fact.subject()).map(|known| known.bytes == bytes));
        known.unwrap_or(false)
    }
}

/// Stores facts that were judged already.
fn put_facts(node: &Node, tx: &mut Tx<'_>, facts: Vec<Held>) -> Run {
    if facts.is_empty() {
        return Ok(());
    }
    let matters = facts.iter().any(|held| node.membership.matters(held));
    for held in &facts {
        let row = FactRow(ByteBuf::from(held.bytes.clone()));
        put_node(node, tx, key::fact(&held.fact.subject().key()), &row)?;
    }
    tx.then(Change::Facts { facts, matters });
    ways::look_soon(tx);
    if matters {
        see_to_records(tx);
    }
    Ok(())
}

/// Refuses an operator's command.
fn no<T>(code: Code, text: impl Into<String>) -> Run<T> {
    Err(Refusal::new(code, text).into())
}

/// Answers an operator with a sentence.
fn done(tx: &mut Tx<'_>, reply: ReplyTo, message: impl Into<String>) {
    use crate::command::{OperatorReply, Reply};
    tx.reply(reply, Reply::Operator(OperatorReply::Done { message: message.into() }));
}

#[cfg(test)]
pub(crate) mod tests;

/// Whether bytes are a fact that its signer said in this mesh.
pub(crate) fn read_fact(
    crypto: &dyn crate::crypto::Crypto,
    mesh: &MeshId,
    bytes: &[u8],
    now: relaymesh_protocol::ids::Timestamp,
) -> bool {
    fact::Held::verify(crypto, mesh, bytes, now).is_ok()
}

/// Whether a text is an invite code.
pub(crate) fn read_invite(text: &str) -> bool {
    invite::Code::parse(text).is_ok()
}
