//! The code that the browser brought back becomes a stored token.

use relaymesh_protocol::ids::EntityId;

use super::urls::Request;
use super::{Change, Exchange, configured};
use crate::accounts::{TOKENS_MAX, Waiter, forget_handed, invalid, invalid_llt, open_llt, required, split};
use crate::command::{Code, Private, PublisherReply, Refusal, Reply};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::output::{Exchanged, Output, SendError, Work, WorkId};
use crate::record::Entity;
use crate::record::vault::{ACCOUNT, Account, TOKEN, Token, token_key};
use crate::tx::{Run, Tx};

pub(super) struct Asked<'a> {
    pub llt: &'a Private,
    pub platform: &'a str,
    pub code: &'a Private,
    pub code_verifier: &'a Private,
    pub redirect_url: &'a str,
    pub store_on_device: bool,
    pub request_identifier: &'a str,
}

pub(super) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, asked: &Asked<'_>) -> Run {
    required(&[
        ("long_lived_token", asked.llt.reveal()),
        ("platform", asked.platform),
        ("authorization_code", asked.code.reveal()),
    ])?;
    let (entity, account) = open_llt(node, tx, asked.llt)?;
    configured(node, asked.platform)?;
    let device = account.device.as_ref().ok_or_else(invalid_llt)?.id;
    check_request(node, tx, asked)?;
    if !node.publisher.waiting.has_room(tx.now()) {
        return Err(Refusal::unavailable().into());
    }
    let id = WorkId(u64::from_le_bytes(tx.random()));
    let platform = asked.platform.to_owned();
    let step =
        Exchange { entity: entity.id, device, platform: platform.clone(), store_on_device: asked.store_on_device };
    let waiter = Waiter { reply, since: tx.now(), step };
    tx.then(Change::Wait(id, Box::new(waiter)));
    let work = Work::Exchange {
        platform,
        code: asked.code.clone(),
        code_verifier: asked.code_verifier.clone(),
        redirect_url: asked.redirect_url.to_owned(),
    };
    tx.output(Output::Work { id, work });
    Ok(())
}

/// An exchange of a URL that was handed out here brings back what was handed out, once: another verifier or redirect is
/// somebody else's code.
fn check_request(node: &Node, tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.request_identifier.is_empty() {
        return Ok(());
    }
    let request = Request::of(asked.platform, asked.request_identifier);
    let now = tx.now();
    match node.publisher.urls.fits(&request, now, asked.code_verifier.reveal(), asked.redirect_url) {
        Some(false) => {
            Err(invalid("The code_verifier or redirect_url does not belong to this request. Please try again."))
        }
        Some(true) => {
            tx.change(Change::Used(request, now));
            Ok(())
        }
        None => Ok(()),
    }
}

/// The platform answered: the token is stored for the phone that asked, if it is still logged in.
pub(super) fn on_exchanged(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    asked: &Exchange,
    exchanged: &Result<Exchanged, SendError>,
) -> Run {
    let exchanged = exchanged.as_ref().map_err(refusal)?;
    let mut entity = logged_in(node, tx, asked.entity, asked)?;
    let record = token_key(&asked.platform, exchanged.account.reveal());
    if entity.get::<Token>(node, tx, TOKEN, &record)?.is_none()
        && entity.all::<Token>(node, tx, TOKEN, TOKENS_MAX)?.len() >= TOKENS_MAX
    {
        return Err(invalid("Too many platform accounts are connected. Revoke one and try again.").into());
    }
    let mut json = exchanged.token.reveal().to_owned();
    let mut tokens = Vec::new();
    if asked.store_on_device {
        let split = split(&json);
        tokens = split.tokens();
        json = split.rest;
    }
    let account = exchanged.account.reveal().trim().to_owned();
    entity.put(node, tx, TOKEN, &record, &Token { platform: asked.platform.clone(), account, json })?;
    forget_handed(node, tx, &mut entity, &record)?;
    let message = "Successfully fetched and stored token".to_owned();
    tx.reply(reply, Reply::Publisher(PublisherReply::Exchanged { message, tokens }));
    Ok(())
}

fn logged_in(node: &Node, tx: &mut Tx<'_>, id: EntityId, asked: &Exchange) -> Run<Entity> {
    let entity = Entity::load(node, tx, id)?.ok_or_else(Refusal::unavailable)?;
    let account: Account = entity.get(node, tx, ACCOUNT, b"")?.ok_or_else(Refusal::unavailable)?;
    let same = account.device.as_ref().is_some_and(|device| device.id == asked.device);
    if same { Ok(entity) } else { Err(invalid_llt().into()) }
}

fn refusal(error: &SendError) -> Refusal {
    match error {
        SendError::Refused { text } => invalid(text.clone()),
        SendError::Unauthorized => invalid("The platform did not accept the authorization code. Please try again."),
        SendError::Retry { .. } | SendError::Unknown => {
            Refusal::new(Code::Unavailable, "The platform could not be reached. Please try again later.")
        }
    }
}
