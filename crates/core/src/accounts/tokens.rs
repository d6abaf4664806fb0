//! The list of connected platforms, and the hand-over of their tokens to the phone.
//!
//! Upstream strips the vault's copy before it answers, so a lost answer loses the tokens. Here the stripped values stay
//! sealed for ten minutes beside the token, and whoever asks for the hand-over again within that time gets them again. The
//! first list after that removes them; nothing else ever reads them.

use std::time::Duration;

use relaymesh_protocol::ids::Timestamp;
use relaymesh_protocol::platform::{Platform, Protocol};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::check::required;
use super::llt;
use crate::command::{AccountReply, Private, Reply, StoredToken};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::record::vault::{TOKEN, Token};
use crate::record::{Entity, Stored, key};
use crate::tx::{Run, Tx};

/// Most platform accounts of one person.
pub(crate) const TOKENS_MAX: usize = 64;
/// What goes to the phone, in the order of the answer.
const MOVED: [&str; 3] = ["access_token", "refresh_token", "id_token"];
/// Table byte of [`Handed`]; key as the token's. Apart from those of [`crate::record::vault`].
const HANDED: u8 = 32;
/// How long an answer may be lost and asked for again.
const HANDED_LIFE: Duration = Duration::from_mins(10);

/// What was handed over a moment ago.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(super) struct Handed {
    values: [String; 3],
    #[zeroize(skip)]
    until: Timestamp,
}

impl Stored for Handed {}

impl Handed {
    fn tokens(&self) -> Vec<(String, Private)> {
        MOVED.iter().zip(&self.values).map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect()
    }
}

/// A token as the vault keeps it on, and what goes to the phone.
pub(crate) struct Split {
    pub rest: String,
    values: [String; 3],
}

impl Split {
    /// Names and values for the answer; what the platform did not give is empty.
    pub fn tokens(&self) -> Vec<(String, Private)> {
        MOVED.iter().zip(&self.values).map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect()
    }
}

fn object(json: &str) -> Map<String, Value> {
    match serde_json::from_str(json) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Whether the vault keeps neither access nor refresh token.
pub(crate) fn on_device(json: &str) -> bool {
    let object = object(json);
    !object.contains_key(MOVED[0]) && !object.contains_key(MOVED[1])
}

/// Takes the phone's tokens out of a stored one.
pub(crate) fn split(json: &str) -> Split {
    let mut object = object(json);
    let values = MOVED.map(|name| match object.remove(name) {
        Some(Value::String(text)) => text,
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    });
    Split { rest: Value::Object(object).to_string(), values }
}

fn is_oauth2(platform: &str) -> bool {
    Platform::by_name(platform).is_some_and(|platform| platform.protocol == Protocol::OAuth2)
}

pub(super) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, llt: &Private, migrate: bool) -> Run {
    required(&[("long_lived_token", llt.reveal())])?;
    let (mut entity, _) = llt::open(node, tx, llt)?;
    let mut rows = entity.all::<Token>(node, tx, TOKEN, TOKENS_MAX)?;
    rows.sort_by(|(_, a), (_, b)| (&a.platform, &a.account).cmp(&(&b.platform, &b.account)));
    let handed = entity.all::<Handed>(node, tx, HANDED, TOKENS_MAX)?;
    let now = tx.now();
    let (fresh, over): (Vec<_>, Vec<_>) = handed.into_iter().partition(|(_, handed)| now < handed.until);
    for (record, _) in &over {
        entity.delete(node, tx, HANDED, record)?;
    }
    let mut tokens = Vec::with_capacity(rows.len());
    for (record, token) in rows {
        let mut listed = listed(&token);
        if migrate && is_oauth2(&token.platform) {
            if !listed.on_device {
                listed.tokens = hand_over(node, tx, &mut entity, &record, &token)?;
            } else if let Some((_, handed)) = fresh.iter().find(|(of, _)| *of == record) {
                listed.tokens = handed.tokens();
                listed.on_device = false;
            }
        }
        tokens.push(listed);
    }
    let message = "Tokens retrieved successfully.".to_owned();
    tx.reply(reply, Reply::Account(AccountReply::Tokens { tokens, message }));
    Ok(())
}

fn listed(token: &Token) -> StoredToken {
    StoredToken {
        platform: token.platform.clone(),
        account: token.account.as_str().into(),
        tokens: Vec::new(),
        on_device: is_oauth2(&token.platform) && on_device(&token.json),
    }
}

/// Strips the vault's copy and keeps what it stripped for a lost answer.
fn hand_over(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    record: &[u8],
    token: &Token,
) -> Run<Vec<(String, Private)>> {
    let Split { rest, values } = split(&token.json);
    let stripped = Token { platform: token.platform.clone(), account: token.account.clone(), json: rest };
    let handed = Handed { values, until: tx.now().after(HANDED_LIFE) };
    entity.put(node, tx, TOKEN, record, &stripped)?;
    entity.put(node, tx, HANDED, record, &handed)?;
    Ok(handed.tokens())
}

/// Forgets what was handed over of one token: it is stored anew, or gone.
pub(crate) fn forget_handed(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, record: &[u8]) -> Run {
    entity.delete(node, tx, HANDED, record)
}

/// Removes every token, whether it can be read or not.
pub(super) fn remove_all(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity) -> Run {
    for table in [TOKEN, HANDED] {
        let prefix = key::entity(&entity.id, table, b"");
        for (row, _) in tx.rows(&prefix, TOKENS_MAX)? {
            entity.delete(node, tx, table, row.get(prefix.len()..).unwrap_or_default())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_split_into_what_goes_and_what_stays() {
        let json = r#"{"access_token":"a","refresh_token":"r","expires_at":5,"scope":"write"}"#;
        assert!(!on_device(json));
        let split = split(json);
        assert_eq!(split.rest, r#"{"expires_at":5,"scope":"write"}"#);
        let values: Vec<_> = split.tokens().iter().map(|(n, v)| format!("{n}={}", v.reveal())).collect();
        assert_eq!(values, ["access_token=a", "refresh_token=r", "id_token="]);
        assert!(on_device(&split.rest));
        assert!(on_device("not json") && on_device("[]"));
        assert!(!on_device(r#"{"refresh_token":"r"}"#));
    }
}
