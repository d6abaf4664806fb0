//! Whose message may this be? Each answer is a session to try; only a valid MAC makes it so.

use relaymesh_protocol::ids::EntityId;
use relaymesh_protocol::payload::{BridgePayload, Payload};
use sha2::{Digest, Sha256};

use super::consume::Incoming;
use super::sessions::SESSIONS_MAX;
use crate::delivery::Route;
use crate::node::Node;
use crate::record::index::{self, Kind};
use crate::record::vault::{ACCOUNT, BRIDGE, NOTICES, SEEN, SESSION, Session};
use crate::record::{Entity, key};
use crate::tx::{Run, Tx};

/// A session that may open the block.
pub(super) struct Try {
    /// Whose; `None` for a number that has no bridge identity yet.
    pub entity: Option<Entity>,
    /// Table and record key of the session.
    pub slot: (u8, Vec<u8>),
    /// The session.
    pub session: Session,
}

/// Whose the message may be, by what its payload says and how it was routed.
#[derive(Default)]
pub(super) struct People {
    /// The account; for bridge mail, of an app that is logged in.
    pub account: Option<Entity>,
    /// The bridge identity of the number.
    pub bridge: Option<Entity>,
}

impl People {
    /// All of them, in the order that their sessions are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Entity> {
        self.account.iter().chain(&self.bridge)
    }
}

/// Finds the people. `seen` is the record key of the block, read along with what else a message that opens needs, so that a
/// store that answers late is asked once.
pub(super) fn people(
    node: &Node,
    tx: &mut Tx<'_>,
    incoming: &Incoming<'_>,
    payload: &Payload,
    seen: &[u8],
) -> Run<People> {
    let bridge = match payload {
        Payload::Platform(_) => {
            let id = platform_entity(node, tx, incoming)?;
            return Ok(People { account: load(node, tx, id, seen)?, bridge: None });
        }
        Payload::Bridge(bridge) => bridge,
    };
    let Some(number) = incoming.number.as_ref() else { return Ok(People::default()) };
    let mut account = None;
    if bridge.key_exchange.is_none() {
        account = index::find(node, tx, Kind::Phone, number.reveal().as_bytes())?;
    }
    let identity = index::find(node, tx, Kind::Bridge, number.reveal().as_bytes())?;
    let account = load(node, tx, account, seen)?;
    Ok(People { account, bridge: load(node, tx, identity, seen)? })
}

fn load(node: &Node, tx: &mut Tx<'_>, id: Option<EntityId>, seen: &[u8]) -> Run<Option<Entity>> {
    let Some(id) = id else { return Ok(None) };
    let records = [(SEEN, seen), (SESSION, b""), (NOTICES, b""), (ACCOUNT, b"")];
    let records = records.map(|(table, record)| key::entity(&id, table, record));
    tx.prefetch(records.into_iter().chain([key::head(&id)]))?;
    Entity::load(node, tx, id)
}

fn platform_entity(node: &Node, tx: &mut Tx<'_>, incoming: &Incoming<'_>) -> Run<Option<EntityId>> {
    match &incoming.route {
        Route::Device(device) => index::find(node, tx, Kind::Device, device.as_bytes()),
        Route::Number { tag, key_id } => {
            let mut value = key_id.to_be_bytes().to_vec();
            value.extend_from_slice(&tag.0);
            index::find(node, tx, Kind::NumberTag, &value)
        }
        Route::Identity { .. } => Ok(None),
        Route::Bridge { .. } => match &incoming.number {
            Some(number) => index::find(node, tx, Kind::Phone, number.reveal().as_bytes()),
            None => Ok(None),
        },
    }
}

/// Sessions to try, in order. A logged-in app writes bridge mail under its vault session; everybody else under a bridge
/// session of the number.
pub(super) fn tries(node: &Node, tx: &mut Tx<'_>, people: People, payload: &Payload) -> Run<Vec<Try>> {
    let mut all = Vec::new();
    if let Some(entity) = people.account
        && let Some(session) = entity.get::<Session>(node, tx, SESSION, b"")?
    {
        all.push(Try { entity: Some(entity), slot: (SESSION, Vec::new()), session });
    }
    if let Payload::Bridge(bridge) = payload {
        all.extend(bridge_tries(node, tx, people.bridge, bridge)?);
    }
    Ok(all)
}

fn bridge_tries(node: &Node, tx: &mut Tx<'_>, entity: Option<Entity>, bridge: &BridgePayload) -> Run<Vec<Try>> {
    let mut all = Vec::new();
    match &bridge.key_exchange {
        Some(exchange) => {
            let slot = slot(exchange.kid, &exchange.client_public);
            let running = match &entity {
                Some(entity) => entity.get::<Session>(node, tx, BRIDGE, &slot)?,
                None => None,
            };
            let session = match running {
                Some(session) => Some(session),
                None => fresh(node, exchange.kid, &exchange.client_public),
            };
            all.extend(session.map(|session| Try { entity, slot: (BRIDGE, slot), session }));
        }
        None => {
            if let Some(entity) = entity {
                for (slot, session) in entity.all::<Session>(node, tx, BRIDGE, SESSIONS_MAX)? {
                    let entity = Entity::load(node, tx, entity.id)?;
                    all.push(Try { entity, slot: (BRIDGE, slot), session });
                }
            }
        }
    }
    Ok(all)
}

/// Where a number keeps the session of one client key under one static key: a repeated key exchange finds it running.
fn slot(kid: u8, client: &[u8; 32]) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update([kid]);
    hash.update(one_form(*client));
    hash.finalize()[..16].to_vec()
}

/// X25519 ignores the top bit of a public key, so a key has two forms that agree on the same secret. What is remembered
/// under a key must be found under both.
pub(super) fn one_form(mut key: [u8; 32]) -> [u8; 32] {
    key[31] &= 0x7f;
    key
}

fn fresh(node: &Node, kid: u8, client: &[u8; 32]) -> Option<Session> {
    let secret = crate::keys::static_secret(node, kid)?;
    let (ratchet, ad) = node.crypto().bob_session(&secret, client).ok()?;
    Some(Session { ratchet: ratchet.to_vec(), ad, client: *client, kid: Some(kid) })
}
