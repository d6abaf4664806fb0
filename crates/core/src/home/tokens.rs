//! The token that a part goes out under: the phone's own or the vault's, and a new one where the platform takes no more of
//! the old.

use std::time::Duration;

use relaymesh_protocol::ids::MessageId;

use super::Change;
use super::job::{self, Job};
use super::run::{again, failed};
use crate::command::FailureClass;
use crate::input::Follow;
use crate::node::Node;
use crate::output::{Output, SendError, Work, WorkId};
use crate::record::Entity;
use crate::record::vault::{TOKEN, Token, token_key};
use crate::tx::{Run, Tx};

/// The phone's own tokens over what the vault keeps.
pub(super) fn overlay(json: &str, device: Option<&(String, String)>) -> String {
    let Some((access, refresh)) = device else { return json.to_owned() };
    let mut token: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    token.insert("access_token".to_owned(), access.clone().into());
    token.insert("refresh_token".to_owned(), refresh.clone().into());
    serde_json::Value::Object(token).to_string()
}

/// The platform did not take the token: it is refreshed, once with an answer. What the attempt left is durable before.
pub(super) fn refresh(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, message: &MessageId, job: &mut Job) -> Run {
    let place = token_key(&job.platform, &job.account);
    let Some(stored) = entity.get::<Token>(node, tx, TOKEN, &place)? else {
        return failed(node, tx, entity, message, job, FailureClass::Account);
    };
    // Two refreshes at once would spend one rotating token twice, for which platforms take the whole grant away.
    let of = (entity.id, place);
    if node.home.refreshing.values().any(|other| *other == of) {
        return again(node, tx, entity, message, job, None);
    }
    job::put(node, tx, entity, message, job)?;
    let id = WorkId(u64::from_be_bytes(tx.random()));
    tx.then(Change::Working(id, *message));
    tx.then(Change::Refreshing(id, of));
    let work = Work::Refresh { platform: job.platform.clone(), token: stored.json.clone().into() };
    tx.output(Output::Work { id, work });
    Ok(())
}

/// A refreshed token is durable before the send that uses it. Asking again is harmless where the answer was lost or nobody
/// was there: the platform either gives the next token, or says that the old one was spent.
pub(super) fn refreshed(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    message: &MessageId,
    job: &mut Job,
    result: &Result<crate::command::Private, SendError>,
) -> Run {
    match result {
        Ok(json) => {
            let place = token_key(&job.platform, &job.account);
            if entity.get::<Token>(node, tx, TOKEN, &place)?.is_none() {
                // The person has revoked it since.
                return failed(node, tx, entity, message, job, FailureClass::Account);
            }
            let token =
                Token { platform: job.platform.clone(), account: job.account.clone(), json: json.reveal().to_owned() };
            entity.put(node, tx, TOKEN, &place, &token)?;
            job.refreshed = true;
            job::put(node, tx, entity, message, job)?;
            tx.follow(Follow::RunJob(*message));
            Ok(())
        }
        Err(SendError::Retry { after_ms }) => {
            again(node, tx, entity, message, job, after_ms.map(Duration::from_millis))
        }
        Err(SendError::Unknown) => again(node, tx, entity, message, job, None),
        Err(_) => failed(node, tx, entity, message, job, FailureClass::Account),
    }
}
