//! Deletion of an account: its key, so that nothing sealed under it can be read, every row that leads to it, and what is
//! owed to it. Its records are removed page by page afterwards.

use super::check::required;
use super::tokens::TOKENS_MAX;
use super::{done, llt};
use crate::command::{Code, Private, Refusal};
use crate::home;
use crate::input::ReplyTo;
use crate::locator::remove_entity;
use crate::node::Node;
use crate::record::index::{self, Kind};
use crate::record::vault::{Account, TOKEN, Token};
use crate::record::{delete_head, key};
use crate::tx::{Run, Tx};

pub(super) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, llt: &Private) -> Run {
    required(&[("long_lived_token", llt.reveal())])?;
    let (entity, account) = llt::open(node, tx, llt)?;
    let left = entity.all::<Token>(node, tx, TOKEN, TOKENS_MAX)?;
    if !left.is_empty() {
        return Err(tokens_left(left.iter().map(|(_, token)| token.platform.clone()).collect()).into());
    }
    forget(node, tx, &account)?;
    remove_entity(node, tx, entity.id)?;
    home::give_up(node, tx, entity.id)?;
    delete_head(tx, &entity.id)?;
    home::sweep_soon(tx, key::entity_prefix(&entity.id));
    node.count(tx, "accounts_deleted");
    done(tx, reply, "Entity deleted successfully.")
}

fn tokens_left(mut platforms: Vec<String>) -> Refusal {
    platforms.sort();
    platforms.dedup();
    let text = format!(
        "You cannot delete entity because it still has stored tokens. \
         Revoke stored tokens with the following platforms and try again: {}",
        platforms.join(", ")
    );
    Refusal::new(Code::FailedPrecondition, text)
}

fn forget(node: &Node, tx: &mut Tx<'_>, account: &Account) -> Run {
    if let Some(email) = &account.email {
        index::delete(node, tx, Kind::Email, email.as_bytes())?;
    }
    if let Some(phone) = &account.phone {
        index::delete(node, tx, Kind::Phone, phone.reveal().as_bytes())?;
    }
    index::delete(node, tx, Kind::Eid, account.eid.as_bytes())?;
    let in_use = account.device.iter().map(|device| device.id);
    for device in in_use.chain(account.retired.iter().map(|(device, _)| *device)) {
        index::delete(node, tx, Kind::Device, device.as_bytes())?;
    }
    Ok(())
}
