//! Who presents a long-lived token.

use relaymesh_protocol::ids::EntityId;
use relaymesh_ratchet::SharedSecret;
use relaymesh_ratchet::llt::{split_eid, verify};

use super::identity::{absent, find, load};
use crate::command::{Code, Private, Refusal};
use crate::node::Node;
use crate::record::Entity;
use crate::record::index::Kind;
use crate::record::vault::Account;
use crate::tx::{Run, Tx};

/// The one text of every failure: which check failed is no one's business.
pub(crate) fn invalid_llt() -> Refusal {
    let text = "The long-lived token is invalid. Please log in again to generate a new token.";
    Refusal::new(Code::Unauthenticated, text)
}

/// The entity that presents `eid:jwt`, with its account; it has a device.
///
/// # Errors
/// When the token does not count; when the node cannot read the account, or another node may have it, that it is not
/// available.
pub(crate) fn open(node: &Node, tx: &mut Tx<'_>, llt: &Private) -> Run<(Entity, Account)> {
    let (eid, _) = split_eid(llt.reveal()).map_err(|_| invalid_llt())?;
    let id: EntityId =
        find(node, tx, Kind::Eid, eid.to_string().as_bytes())?.ok_or_else(|| absent(node, invalid_llt()))?;
    let (entity, account) = load(node, tx, id)?;
    let device = account.device.as_ref().ok_or_else(invalid_llt)?;
    let shared = SharedSecret::from(device.shared);
    verify(&shared, llt.reveal(), tx.now().seconds()).map_err(|_| invalid_llt())?;
    Ok((entity, account))
}
