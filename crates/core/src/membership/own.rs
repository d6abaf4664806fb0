//! What this node says of itself and its instance, and when it says it anew.

use std::time::Duration;

use relaymesh_protocol::ids::{InstanceId, MeshId, NodeId, Timestamp};
use sha2::{Digest, Sha256};

use super::fact::{
    ADDRS_MAX, ENDORSEMENT_LIFE_MAX, Endorsement, Fact, Federation, Held, Instance, NodeRecord, OBLIVIOUS_KEYS_MAX,
    RECORD_LIFE_MAX, Revocation, SEALING_KEYS_MAX, SMS_COUNTRIES_MAX, STATIC_KEYS_MAX, Sponsorship, Subject,
};
use super::news::push;
use super::restore::{HEARD, HeardRow, MESH, MeshRow};
use super::{Change, peers, put_facts};
use crate::crypto::Publics;
use crate::input::Input;
use crate::node::Node;
use crate::output::Output;
use crate::record::{key, put_node};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// How often the node looks after its records, counted from midnight: all nodes of a mesh look about the same time.
const LOOK_EVERY: Duration = Duration::from_hours(6);
/// And so much later at most, left to chance.
const LOOK_SPREAD_MS: u64 = 300_000;
/// A record is made anew on the day after which it is valid for less than this. What many nodes renew at midnight one comparison
/// finds; renewed at any time of the day, it made most comparisons differ.
const RENEW_BEFORE: Duration = Duration::from_hours(7 * 24);
/// An endorsement is given anew on the day on which it gets older than this, in milliseconds.
const ENDORSE_EVERY_MS: u64 = 30 * DAY_MS;
const DAY_MS: u64 = 86_400_000;
/// That somebody is heard of is noted again after this.
pub(super) const NOTE_EVERY: Duration = Duration::from_hours(3);
/// Characters of a name or a contact that are published.
const TEXT_MAX: usize = 128;

/// For whom facts are made: usually as memory has it, while joining as it will be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground {
    pub mesh: MeshId,
    pub instance: InstanceId,
    pub sponsor: Option<InstanceId>,
}

impl Ground {
    pub fn now(node: &Node) -> Self {
        let state = &node.membership;
        let instance = state.own_instance();
        let sponsor = state.facts.instance(&instance).and_then(|instance| instance.sponsor);
        Self { mesh: state.mesh(), instance, sponsor }
    }
}

/// Whether this node holds its instance's key, and so may speak for it.
pub(super) fn speaks_for_instance(node: &Node) -> bool {
    node.crypto().instance_id(node.keys()) == node.membership.own_instance()
}

/// Has it noted that somebody was heard of at `heard`, if the last note is old, or of a clock that was ahead.
pub(super) fn note_soon(node: &Node, tx: &mut Tx<'_>, heard: Timestamp) {
    let noted = node.membership.noted;
    if heard.since(noted) >= NOTE_EVERY || noted > tx.now() {
        tx.output(Output::Follow(Input::Timer(Timer::Heard)));
    }
}

/// Notes when somebody was last heard of.
pub(super) fn note_heard(node: &Node, tx: &mut Tx<'_>) -> Run {
    let heard = node.membership.heard;
    put_node(node, tx, key::meta(HEARD), &HeardRow { at: heard })?;
    tx.then(Change::Noted(heard));
    Ok(())
}

/// Looks after the own records, forgets what is stale, and says who may connect if that has changed.
pub(super) fn on_renew(node: &Node, tx: &mut Tx<'_>) -> Run {
    let state = &node.membership;
    let Some(me) = state.me else { return Ok(()) };
    if !state.mesh_stored {
        store_mesh(node, tx, state.mesh(), state.own_instance())?;
    }
    let mark = mark(node);
    if state.publics.as_ref().is_none_or(|(of, _)| *of != mark) {
        tx.change(Change::Publics(mark, publics(node)));
    }
    let facts = due(node, tx, me);
    push(node, tx, &facts, None);
    put_facts(node, tx, facts)?;
    let stale = state.facts.stale(tx.now());
    if !stale.is_empty() {
        for subject in &stale {
            tx.delete(key::fact(&subject.key()))?;
        }
        tx.then(Change::Forget(stale));
        super::see_to_records(tx);
    }
    if state.announced != Some(state.version) {
        tx.output(peers::announcement(node));
        tx.then(Change::Announced(state.version));
    }
    let next = next_look(tx.now()).after(Duration::from_millis(u64::from_be_bytes(tx.random()) % LOOK_SPREAD_MS));
    tx.then(Change::RenewAt(next));
    tx.wake(next, Timer::RenewRecord);
    Ok(())
}

fn next_look(now: Timestamp) -> Timestamp {
    let every = LOOK_EVERY.as_millis() as u64;
    Timestamp((now.0 / every + 1) * every)
}

/// The last moment of the day in which `now` is.
fn end_of_day(now: Timestamp) -> Timestamp {
    Timestamp(now.0 / DAY_MS * DAY_MS + DAY_MS - 1)
}

/// Tells one state of the keyring from the next as far as the record is concerned: how many keys, and how new.
pub(super) type Mark = (usize, Timestamp, usize, Timestamp, usize);

fn mark(node: &Node) -> Mark {
    let keys = node.keys();
    let newest = |made: Option<Timestamp>| made.unwrap_or_default();
    (
        keys.sealing.len(),
        newest(keys.sealing.iter().map(|(_, made)| *made).max()),
        keys.oblivious.len(),
        newest(keys.oblivious.iter().map(|(_, made)| *made).max()),
        keys.statics.len(),
    )
}

/// The public halves, computed once per state of the keyring: each of up to 255 static keys costs a multiplication, and the
/// records are looked after at every news.
fn publics(node: &Node) -> Publics {
    match &node.membership.publics {
        Some((of, publics)) if *of == mark(node) => publics.clone(),
        _ => node.crypto().publics(node.keys()),
    }
}

/// The public halves of the static bridge keys that live here.
pub(crate) fn static_keys(node: &Node) -> Vec<[u8; 32]> {
    publics(node).statics.iter().map(|(_, public)| *public).collect()
}

/// Writes down which mesh and whose node this is.
pub(super) fn store_mesh(node: &Node, tx: &mut Tx<'_>, mesh: MeshId, instance: InstanceId) -> Run {
    let held = node.crypto().instance_id(node.keys());
    let row = MeshRow { mesh, adopted: (instance != held).then_some(instance) };
    put_node(node, tx, key::meta(MESH), &row)?;
    tx.then(Change::MeshStored);
    Ok(())
}

/// Own facts that are missing, outdated or about to expire.
fn due(node: &Node, tx: &Tx<'_>, me: NodeId) -> Vec<Held> {
    let state = &node.membership;
    let (now, ground) = (tx.now(), Ground::now(node));
    let mut due = Vec::new();
    if speaks_for_instance(node) {
        let instance = instance(node, ground, 0);
        let said = state.facts.instance(&ground.instance);
        if said.is_none_or(|said| Instance { seq: said.seq, ..instance.clone() } != *said) {
            let seq = next_seq(said.map(|said| said.seq), now);
            due.push(sign_instance(node, ground.mesh, Fact::Instance(Instance { seq, ..instance })));
        }
        due.extend(endorsements_due(node, now, ground, me));
        due.extend(wishes_due(node, now, ground.instance));
    }
    let record = record(node, ground, now, 0);
    let said = state.facts.record(&me);
    let renews =
        |said: &NodeRecord| !said.says_the_same(&record) || said.expires <= end_of_day(now).after(RENEW_BEFORE);
    if state.is_back || said.is_none_or(renews) {
        let seq = next_seq(said.map(|said| said.seq), now);
        due.push(sign_node(node, ground.mesh, Fact::Node(NodeRecord { seq, ..record })));
    }
    due
}

/// The own node's endorsement if it is missing, and all that get old. A node that is revoked gets none.
fn endorsements_due(node: &Node, now: Timestamp, ground: Ground, me: NodeId) -> Vec<Held> {
    let facts = &node.membership.facts;
    let missing = facts.endorsement(ground.instance, me).is_none();
    let old = |endorsement: &&Endorsement| endorsement.seq.saturating_add(ENDORSE_EVERY_MS) <= end_of_day(now).0;
    let alive = |endorsement: &&Endorsement| {
        let seen = endorsement.node == me || facts.record(&endorsement.node).is_some_and(|record| record.expires > now);
        seen && !facts.revoked(ground.instance, Some(endorsement.node))
    };
    let renewed = facts.endorsements(ground.instance).filter(old).filter(alive);
    let renewed = renewed.map(|endorsement| endorse(node, ground, endorsement.node, Some(endorsement.seq), now));
    let first = missing.then(|| endorse(node, ground, me, None, now));
    renewed.chain(first).collect()
}

/// Partners that the operator named before they were in the mesh. Who was named and then blocked has a fact that says so.
fn wishes_due(node: &Node, now: Timestamp, from: InstanceId) -> Vec<Held> {
    let state = &node.membership;
    let unsaid = |to: &&InstanceId| {
        state.facts.instance(to).is_some() && state.facts.get(&Subject::Federation { from, to: **to }).is_none()
    };
    state.wishes.iter().filter(unsaid).map(|to| federate(node, *to, true, now)).collect()
}

/// The number of a fact that replaces one: the time, and later than before whatever the clock says.
pub(super) fn next_seq(before: Option<u64>, now: Timestamp) -> u64 {
    before.map_or(now.0, |before| now.0.max(before.saturating_add(1)))
}

fn sign_node(node: &Node, mesh: MeshId, fact: Fact) -> Held {
    fact.signed(&mesh, |label, parts| node.crypto().sign(node.keys(), label, parts))
}

fn sign_instance(node: &Node, mesh: MeshId, fact: Fact) -> Held {
    fact.signed(&mesh, |label, parts| node.crypto().sign_instance(node.keys(), label, parts))
}

/// This instance's word for a node.
pub(super) fn endorse(node: &Node, ground: Ground, of: NodeId, before: Option<u64>, now: Timestamp) -> Held {
    let seq = next_seq(before, now);
    let expires = Timestamp(seq).after(ENDORSEMENT_LIFE_MAX);
    sign_instance(
        node,
        ground.mesh,
        Fact::Endorsement(Endorsement { instance: ground.instance, node: of, expires, seq }),
    )
}

/// This instance's word for an instance that it brings in.
pub(super) fn sponsor(node: &Node, instance: InstanceId, now: Timestamp) -> Held {
    let Ground { mesh, instance: sponsor, .. } = Ground::now(node);
    let before = node.membership.facts.get(&Subject::Sponsorship { instance, sponsor });
    let seq = next_seq(before.map(|held| held.fact.seq()), now);
    sign_instance(node, mesh, Fact::Sponsorship(Sponsorship { sponsor, instance, seq }))
}

/// This instance wants another as partner.
pub(super) fn federate(node: &Node, to: InstanceId, on: bool, now: Timestamp) -> Held {
    let Ground { mesh, instance: from, .. } = Ground::now(node);
    let before = node.membership.facts.get(&Subject::Federation { from, to });
    let seq = next_seq(before.map(|held| held.fact.seq()), now);
    sign_instance(node, mesh, Fact::Federation(Federation { from, to, on, seq }))
}

/// A node of this instance is out, for everybody.
pub(super) fn revoke(node: &Node, of: NodeId, now: Timestamp) -> Held {
    let Ground { mesh, instance: by, .. } = Ground::now(node);
    sign_instance(node, mesh, Fact::Revocation(Revocation { by, node: Some(of), seq: now.0 }))
}

/// What this node says of itself and its instance to whom it wants to join, or in the mesh that it has joined.
pub(super) fn presented(node: &Node, ground: Ground, now: Timestamp) -> Vec<Held> {
    let (me, said) = (node.id(), &node.membership.facts);
    let mut facts = Vec::new();
    if node.crypto().instance_id(node.keys()) == ground.instance {
        let seq = next_seq(said.instance(&ground.instance).map(|instance| instance.seq), now);
        facts.push(sign_instance(node, ground.mesh, Fact::Instance(instance(node, ground, seq))));
        let before = said.endorsement(ground.instance, me).map(|endorsement| endorsement.seq);
        facts.push(endorse(node, ground, me, before, now));
    }
    let before = said.record(&me).map(|record| record.seq);
    facts.push(sign_node(node, ground.mesh, Fact::Node(record(node, ground, now, next_seq(before, now)))));
    facts
}

fn instance(node: &Node, ground: Ground, seq: u64) -> Instance {
    let config = node.config();
    Instance {
        id: ground.instance,
        name: publishable(&config.instance),
        contact: publishable(&config.contact),
        sponsor: ground.sponsor,
        seq,
    }
}

fn record(node: &Node, ground: Ground, now: Timestamp, seq: u64) -> NodeRecord {
    let config = node.config();
    let mut publics = publics(node);
    publics.sealing.truncate(SEALING_KEYS_MAX);
    publics.oblivious.truncate(OBLIVIOUS_KEYS_MAX);
    publics.statics.truncate(STATIC_KEYS_MAX);
    let roles = config.roles;
    // A volunteer's home is in nobody's list.
    let only_dials = roles.gateway && !roles.vault && !roles.relay && !roles.bridge;
    let addrs = if only_dials { Vec::new() } else { config.published().iter().take(ADDRS_MAX).cloned().collect() };
    NodeRecord {
        node: node.id(),
        instance: ground.instance,
        name: publishable(&config.name),
        sealing: publics.sealing,
        oblivious: publics.oblivious,
        roles,
        addrs,
        country: config.country.clone(),
        statics: publics.statics.iter().map(|(kid, public)| (*kid, fingerprint(public))).collect(),
        relay: node.membership.relays(node).first().copied(),
        seq,
        issued: now,
        expires: now.after(RECORD_LIFE_MAX),
        sms: config.sms.then(|| sms_countries(&config.egress.countries)),
    }
}

fn sms_countries(all: &[String]) -> Vec<String> {
    if all.len() > SMS_COUNTRIES_MAX { Vec::new() } else { all.iter().map(|c| c.to_ascii_uppercase()).collect() }
}

/// What of a static bridge key's public half is announced.
pub(crate) fn fingerprint(public: &[u8; 32]) -> [u8; 4] {
    *Sha256::digest(public).first_chunk().expect("SHA-256 has 32 bytes")
}

fn publishable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}
