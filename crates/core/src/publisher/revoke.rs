//! The end of a connection: gone here first, then revoked at the platform as well as that goes.

use super::configured;
use crate::accounts::{forget_handed, on_device, open_llt, required};
use crate::command::{Code, Private, PublisherReply, Refusal, Reply};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::output::{Output, Work, WorkId};
use crate::record::vault::{TOKEN, Token, token_key};
use crate::tx::{Run, Tx};

pub(super) fn on_command(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    llt: &Private,
    platform: &str,
    account: &Private,
) -> Run {
    required(&[("long_lived_token", llt.reveal()), ("platform", platform), ("account_identifier", account.reveal())])?;
    let (mut entity, _) = open_llt(node, tx, llt)?;
    let record = token_key(platform, account.reveal());
    let Some(token) = entity.get::<Token>(node, tx, TOKEN, &record)? else {
        // A platform that the operator took away keeps its stored tokens, and these can still be removed.
        configured(node, platform)?;
        let text = format!("No token found with account identifier {} for {platform}", account.reveal().trim());
        return Err(Refusal::new(Code::NotFound, text).into());
    };
    entity.delete(node, tx, TOKEN, &record)?;
    forget_handed(node, tx, &mut entity, &record)?;
    if !on_device(&token.json) && configured(node, platform).is_ok() {
        let id = WorkId(u64::from_le_bytes(tx.random()));
        let work = Work::Revoke { platform: platform.to_owned(), token: token.json.as_str().into() };
        tx.output(Output::Work { id, work });
    }
    let message = "Successfully deleted token".to_owned();
    tx.reply(reply, Reply::Publisher(PublisherReply::Revoked { message }));
    Ok(())
}
