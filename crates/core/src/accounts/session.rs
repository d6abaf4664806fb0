//! A fresh session for a phone: new server keys, device ID, ratchet and long-lived token, all in the batch that logs it in.

use std::time::Duration;

use relaymesh_protocol::ids::{DeviceId, Timestamp};
use relaymesh_ratchet::llt::{Eid, mint};
use relaymesh_ratchet::{KeyPair, PublicKey, SharedSecret, agree, device_id};
use zeroize::Zeroizing;

use super::check::{PhoneKeys, weak_key};
use crate::command::{AccountReply, Refusal};
use crate::locator::{Routing, add_entity};
use crate::node::Node;
use crate::record::Entity;
use crate::record::index::{self, Kind};
use crate::record::vault::{ACCOUNT, Account, Device, SESSION, Session};
use crate::tx::{Run, Tx};

/// How long a device ID that was replaced still answers duplicates: as long as consumed blocks are remembered.
pub(super) const RETIRED_LIFE: Duration = Duration::from_hours(150 * 24);
/// Most device IDs before the one in use: a login costs a code, so this is years of use.
const RETIRED_MAX: usize = 64;

/// Opens a session for the phone that holds `keys`, and writes session, account, index and routing. The device in use
/// before it is retired: its index row stays, to answer duplicates.
pub(super) fn open(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    mut account: Account,
    keys: &PhoneKeys,
    message: &str,
) -> Run<AccountReply> {
    retire(node, tx, &mut account)?;
    let (publish, device_pair) = (Zeroizing::new(tx.random()), KeyPair::generate(tx.rng()));
    let (ratchet, ad) =
        node.crypto().bob_session(&publish, keys.publish.as_bytes()).map_err(|_| small("client_publish_pub_key"))?;
    let shared = agree(device_pair.secret(), &keys.device_id).map_err(|_| small("client_device_id_pub_key"))?;
    let device = DeviceId(device_id(&shared, &account.identifier(), &keys.device_id));
    account.device = Some(Device { id: device, shared: *shared.as_bytes() });
    let session = Session { ratchet: ratchet.to_vec(), ad, client: *keys.publish.as_bytes(), kid: None };
    entity.put(node, tx, SESSION, b"", &session)?;
    entity.put(node, tx, ACCOUNT, b"", &account)?;
    index::put(node, tx, Kind::Device, device.as_bytes(), entity.id)?;
    let routing = Routing { device: Some(device), phone: account.phone.clone(), bridge: None };
    add_entity(node, tx, entity.id, &routing)?;
    Ok(AccountReply::Session {
        message: message.to_owned(),
        llt: token(tx, &shared, &account)?.into(),
        server_publish: PublicKey(ad).to_base64(),
        server_device_id: device_pair.public().to_base64(),
    })
}

/// The token is stamped with the moment of this very run: phones refuse one that is a minute old.
fn token(tx: &mut Tx<'_>, shared: &SharedSecret, account: &Account) -> Run<String> {
    let eid: Eid = account.eid.parse().map_err(|_| Refusal::unavailable())?;
    let iv = tx.random();
    Ok(mint(shared, &eid, tx.now().seconds(), &iv))
}

fn small(field: &str) -> Refusal {
    weak_key(field, "The key contributes nothing to the agreement")
}

/// Takes the device in use out of use, and forgets those that were retired long ago.
pub(super) fn retire(node: &Node, tx: &mut Tx<'_>, account: &mut Account) -> Run {
    let now = tx.now();
    if let Some(device) = account.device.take() {
        account.retired.push((device.id, now));
    }
    let over = account.retired.len().saturating_sub(RETIRED_MAX);
    let mut at = 0;
    let (gone, kept): (Vec<_>, Vec<_>) = account.retired.drain(..).partition(|(_, since)| {
        at += 1;
        at <= over || is_forgotten(*since, now)
    });
    account.retired = kept;
    for (device, _) in gone {
        index::delete(node, tx, Kind::Device, device.as_bytes())?;
    }
    Ok(())
}

fn is_forgotten(since: Timestamp, now: Timestamp) -> bool {
    now >= since.after(RETIRED_LIFE)
}
