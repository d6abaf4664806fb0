//! Doors for benchmarks and the simulator, and for nothing else: people made without sign-up, and the lookup of one message's home. What is
//! measured behind them is the code that a node runs.

use std::sync::Arc;

use relaymesh_protocol::frame::FilterLayer;
use relaymesh_protocol::ids::{DeviceId, E164, EntityId, Language, MessageId, NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::keys::NodeKey;
use relaymesh_seal::labels;
use relaymesh_seal::tags::{device_tag, filter_key};
use serde::{Deserialize, Serialize};
use xorf::{BinaryFuse16, Filter as _};
use zeroize::Zeroizing;

use crate::batch::{Batch, Key};
use crate::config::Config;
use crate::crypto::RealCrypto;
use crate::input::Input;
use crate::locator::{Routing, add_entity, by_device};
use crate::node::Node;
use crate::record::index::{self, Kind};
use crate::record::vault::{ACCOUNT, Account, Device, PasswordLimiter, SESSION, Session, TOKEN, Token, token_key};
use crate::record::{Entity, Scope, Stored, key, seal_row};
use crate::tx::{Fetch, Halt, Run, Tx, View};

/// A person as sign-up and connecting an account would have left them.
#[derive(Clone, Debug)]
pub struct Person {
    /// The number.
    pub number: E164,
    /// As payloads carry it.
    pub device: DeviceId,
    /// The phone's public publish key.
    pub publish: [u8; 32],
    /// The connected Mastodon account.
    pub account: String,
    /// Its token, as the platform gave it.
    pub token: String,
}

/// The records of a person at `node`, for a store in which they are not yet, and the server's public publish key.
/// `None` if the person's key is not one.
#[must_use]
pub fn person(node: &Node, person: &Person, now: Timestamp, seed: [u8; 32]) -> Option<(Batch, [u8; 32])> {
    let (mut view, mut session) = (View::default(), None);
    loop {
        let mut tx = Tx::new(now, seed, &view, &|_| false);
        match write(node, &mut tx, person, &mut session) {
            Ok(server) => return Some((tx.effects.batch, server)),
            Err(Halt::Need(Fetch::Keys(keys))) => keys.into_iter().for_each(|key| view.insert(key, None)),
            Err(_) => return None,
        }
    }
}

/// A server's half of a new session: the ratchet and its public key.
type Begun = (Zeroizing<Vec<u8>>, [u8; 32]);

/// `session` is begun in the first of the rounds, which all draw the same: it costs more than the rest of them together.
fn write(node: &Node, tx: &mut Tx<'_>, person: &Person, session: &mut Option<Begun>) -> Run<[u8; 32]> {
    let secret = tx.random();
    let (ratchet, ad) = match session {
        Some(begun) => begun.clone(),
        None => {
            let begun = node.crypto().bob_session(&secret, &person.publish);
            session.insert(begun.map_err(|_| crate::command::Refusal::unavailable())?).clone()
        }
    };
    let mut entity = Entity::create(node, tx)?;
    let account = Account {
        phone: Some(person.number.clone()),
        email: None,
        eid: hex::encode(tx.random::<16>()),
        country: person.number.country(),
        password: None,
        language: Language::EN,
        device: Some(Device { id: person.device, shared: tx.random() }),
        retired: Vec::new(),
        limiter: PasswordLimiter::default(),
        created: tx.now(),
    };
    let token = Token { platform: "mastodon".to_owned(), account: person.account.clone(), json: person.token.clone() };
    let session = Session { ratchet: ratchet.to_vec(), ad, client: person.publish, kid: None };
    entity.put(node, tx, SESSION, b"", &session)?;
    entity.put(node, tx, ACCOUNT, b"", &account)?;
    entity.put(node, tx, TOKEN, &token_key(&token.platform, &token.account), &token)?;
    index::put(node, tx, Kind::Device, person.device.as_bytes(), entity.id)?;
    index::put(node, tx, Kind::Phone, person.number.reveal().as_bytes(), entity.id)?;
    index::put(node, tx, Kind::Eid, account.eid.as_bytes(), entity.id)?;
    let routing = Routing { device: Some(person.device), phone: Some(person.number.clone()), bridge: None };
    add_entity(node, tx, entity.id, &routing)?;
    Ok(ad)
}

/// Records by which a node claims a person whom it does not know, for a world's adversaries: its filters will name the person
/// as if it lived there. Needs nothing but what is on every SMS, so any member can make them.
#[must_use]
pub fn claim(node: &Node, device: Option<DeviceId>, number: &E164, now: Timestamp, seed: [u8; 32]) -> Option<Batch> {
    let mut view = View::default();
    loop {
        let mut tx = Tx::new(now, seed, &view, &|_| false);
        let nobody = EntityId(tx.random());
        let routing = Routing { device, phone: Some(number.clone()), bridge: None };
        match add_entity(node, &mut tx, nobody, &routing) {
            Ok(()) => return Some(tx.effects.batch),
            Err(Halt::Need(Fetch::Keys(keys))) => keys.into_iter().for_each(|key| view.insert(key, None)),
            Err(_) => return None,
        }
    }
}

/// Another node's base filter under this node's name and signature, as a record of its own disk, for a world's adversaries.
/// `None` if it has not that filter.
#[must_use]
pub fn copied_filter(node: &Node, of: &NodeId, now: Timestamp) -> Option<(Key, Vec<u8>)> {
    let bytes = crate::locator::filter_bytes(node, of, FilterLayer::Base)?;
    let mut body = bytes.get(FILTER_SIGNATURE_LEN..)?.to_vec();
    body.get_mut(1..33)?.copy_from_slice(node.id().as_bytes());
    body.get_mut(34..42)?.copy_from_slice(&now.0.to_be_bytes());
    let mesh = node.membership.mesh();
    let parts: [&[u8]; 2] = [mesh.as_bytes(), &body];
    let signature = node.crypto().sign(node.keys(), labels::FILTER, &parts);
    let place = key::filter(&node.id(), FilterLayer::Base);
    let row = seal_row(node, &place, &FilterRow { at: now, bytes: [&signature[..], &body].concat() }, [0; 24])?;
    Some((place, row))
}

/// A node's base filter as `node` has it, in the bytes in which it travels.
#[must_use]
pub fn base_filter(node: &Node, of: &NodeId) -> Option<Vec<u8>> {
    crate::locator::filter_bytes(node, of, FilterLayer::Base).map(|bytes| bytes.into_vec())
}

/// Another node's base filter, as a record of this node's disk.
#[must_use]
pub fn kept_filter(node: &Node, of: &NodeId, bytes: Vec<u8>, at: Timestamp) -> Option<(Key, Vec<u8>)> {
    let place = key::filter(of, FilterLayer::Base);
    let mut nonce = [0; 24];
    nonce.copy_from_slice(of.as_bytes().get(..24)?);
    let row = seal_row(node, &place, &FilterRow { at, bytes }, nonce)?;
    Some((place, row))
}

/// Length of the signature before a filter's body.
const FILTER_SIGNATURE_LEN: usize = 64;

/// A node that knows the filters of many others, and the bare sets in them.
#[derive(Debug)]
pub struct Lookups {
    node: Node,
    sets: Vec<BinaryFuse16>,
}

/// A filter as the locator keeps it.
#[derive(Serialize, Deserialize)]
pub(crate) struct FilterRow {
    at: Timestamp,
    bytes: Vec<u8>,
}

impl Stored for FilterRow {
    const SCOPE: Scope = Scope::Node;
}

impl Lookups {
    /// A node of `config` that has a filter of each of these nodes, with the people of each. `None` if a filter cannot be
    /// built.
    #[must_use]
    pub fn new(config: Config, keyring: Keyring, nodes: &[(NodeKey, Vec<DeviceId>)], now: Timestamp) -> Option<Self> {
        let mut node = Node::new(config, keyring, Arc::new(RealCrypto), now);
        let mut sets = Vec::with_capacity(nodes.len());
        let mut rows = Vec::with_capacity(nodes.len());
        for (author, people) in nodes {
            let keys: Vec<u64> = people.iter().map(|device| filter_key(&device_tag(device), &author.id())).collect();
            let set = BinaryFuse16::try_from(keys.as_slice()).ok()?;
            rows.push(filter_row(&node, author, &set, keys.len(), now)?);
            sets.push(set);
        }
        node.handle(&Input::Restore { table: key::FILTER, rows }, &View::default(), now, [0; 32]);
        Some(Self { node, sets })
    }

    /// How many filters the node has taken.
    #[must_use]
    pub fn filters(&self) -> usize {
        crate::locator::filter_heads(&self.node).len()
    }

    /// Looks for the home of a device's message, as routing does.
    pub fn locate(&self, device: &DeviceId, now: Timestamp) {
        let view = View::default();
        let mut tx = Tx::new(now, [0; 32], &view, &|_| false);
        // Nobody here is a member, so whoever is found is left out at the end, and a question is noted down instead.
        let found = by_device(&self.node, &mut tx, MessageId([0; 32]), device);
        std::hint::black_box((found.is_empty(), tx.effects));
    }

    /// How many of the bare sets hold a key.
    #[must_use]
    pub fn raw(&self, key: u64) -> usize {
        self.sets.iter().filter(|set| set.contains(&key)).count()
    }
}

/// A filter in the bytes of `locator::filter`, signed by its author for the mesh that `node` is in.
fn filter_row(node: &Node, author: &NodeKey, set: &BinaryFuse16, keys: usize, at: Timestamp) -> Option<(Key, Vec<u8>)> {
    let id: NodeId = author.id();
    let mut body = vec![1];
    body.extend_from_slice(id.as_bytes());
    body.push(FilterLayer::Base as u8);
    body.extend_from_slice(&1_u64.to_be_bytes());
    body.extend_from_slice(&u32::try_from(keys).ok()?.to_be_bytes());
    let xorf::Descriptor { seed, segment_length, segment_length_mask, segment_count_length } = set.descriptor;
    body.extend_from_slice(&seed.to_le_bytes());
    for word in [segment_length, segment_length_mask, segment_count_length] {
        body.extend_from_slice(&word.to_le_bytes());
    }
    body.extend(set.fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
    let mesh = node.membership.mesh();
    let parts: [&[u8]; 2] = [mesh.as_bytes(), &body];
    let signature = author.sign(labels::FILTER, &parts);
    let place = key::filter(&id, FilterLayer::Base);
    let row = seal_row(node, &place, &FilterRow { at, bytes: [&signature[..], &body].concat() }, [0; 24])?;
    Some((place, row))
}
