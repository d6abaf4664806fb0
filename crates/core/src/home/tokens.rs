//! The token that a part goes out under: the phone's own or the vault's, and a new one where the platform takes no more of
//! the old. What the phone's own became lies in the job until it ends, never in the vault's record, and its person is told by
//! SMS. Until it has been, messages come under the old ones, so what these became is remembered for a while, in memory only.

use std::collections::BTreeMap;
use std::time::Duration;

use relaymesh_protocol::ids::{EntityId, MessageId, Timestamp};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Change;
use super::job::{self, Job, Pair};
use super::run::{again, failed};
use crate::command::{FailureClass, Private};
use crate::input::Follow;
use crate::node::Node;
use crate::output::{Output, SendError, Work, WorkId};
use crate::record::Entity;
use crate::record::vault::{TOKEN, Token, token_key};
use crate::tx::{Run, Tx};

/// Accounts whose phones may not know their new tokens; the one that ends first makes room.
pub(super) const RENEWED_MAX: usize = 10_000;
/// How long that is remembered: as long as a message may wait for its publication.
const RENEWED_LIFE: Duration = Duration::from_hours(72);
/// Refresh tokens of one account that are known to be spent; the newest ones.
const SPENT_MAX: usize = 8;

/// What the tokens of one account became that its phone keeps.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Renewed {
    /// SHA-256 of the refresh tokens before it, the oldest first.
    spent: Vec<[u8; 32]>,
    tokens: Pair,
    #[zeroize(skip)]
    until: Timestamp,
}

impl std::fmt::Debug for Renewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renewed(..)")
    }
}

fn digest(refresh: &str) -> [u8; 32] {
    Sha256::digest(refresh.as_bytes()).into()
}

/// Whose tokens a job goes out under.
fn owner(entity: EntityId, job: &Job) -> (EntityId, Vec<u8>) {
    (entity, token_key(&job.platform, &job.account))
}

/// Remembers what tokens became.
pub(super) fn remember(all: &mut BTreeMap<(EntityId, Vec<u8>), Renewed>, of: (EntityId, Vec<u8>), renewed: Renewed) {
    if all.len() >= RENEWED_MAX && !all.contains_key(&of) {
        let first = all.iter().min_by_key(|(_, renewed)| renewed.until).map(|(of, _)| of.clone());
        first.map(|of| all.remove(&of));
    }
    all.insert(of, renewed);
}

/// The newest that is known to come of a phone's own tokens; none where the vault keeps them.
pub(super) fn latest(node: &Node, now: Timestamp, entity: EntityId, job: &Job) -> Option<Pair> {
    let own = job.renewed.as_ref().or(job.device_tokens.as_ref())?;
    let known = node.home.renewed.get(&owner(entity, job));
    // A phone that has pasted the new refresh token still has the old access token.
    let newer = known.filter(|known| {
        now < known.until && (known.tokens.refresh == own.refresh || known.spent.contains(&digest(&own.refresh)))
    });
    Some(newer.map_or(own, |known| &known.tokens).clone())
}

/// The refresh token that a person whose phone keeps its own must be told; none if the phone sent that one.
pub(super) fn untold(node: &Node, now: Timestamp, entity: EntityId, job: &Job) -> Option<Private> {
    let latest = latest(node, now, entity, job)?;
    let had = job.device_tokens.as_ref()?;
    (latest.refresh != had.refresh).then(|| latest.refresh.as_str().into())
}

/// A message that its phone wrote before it knew goes on under what its tokens became. Whether that is news to the job.
pub(super) fn catch_up(node: &Node, tx: &mut Tx<'_>, entity: EntityId, job: &mut Job) -> bool {
    let Some(latest) = latest(node, tx.now(), entity, job) else { return false };
    if job.renewed.as_ref().or(job.device_tokens.as_ref()) != Some(&latest) {
        job.renewed = Some(latest);
        return true;
    }
    if let (Some(had), Some(now)) = (&job.device_tokens, &job.renewed)
        && !node.home.renewed.contains_key(&owner(entity, job))
    {
        // After a restart the jobs are all that knows.
        let spent = vec![digest(&had.refresh)];
        note(tx, entity, job, spent, now.clone());
    }
    false
}

fn note(tx: &mut Tx<'_>, entity: EntityId, job: &Job, mut spent: Vec<[u8; 32]>, tokens: Pair) {
    spent.drain(..spent.len().saturating_sub(SPENT_MAX));
    let until = tx.now().after(RENEWED_LIFE);
    tx.then(Change::Renewed(owner(entity, job), Renewed { spent, tokens, until }));
}

/// The phone's own tokens over what the vault keeps.
pub(super) fn overlay(json: &str, own: Option<&Pair>) -> String {
    let Some(own) = own else { return json.to_owned() };
    let mut token: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    token.insert("access_token".to_owned(), own.access.clone().into());
    token.insert("refresh_token".to_owned(), own.refresh.clone().into());
    serde_json::Value::Object(token).to_string()
}

/// The tokens in a platform's answer; one that gives no new refresh token lets the old one stand.
fn pair(json: &str, old: &Pair) -> Option<Pair> {
    let token: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).ok()?;
    let text = |name: &str| Some(token.get(name)?.as_str()?.to_owned()).filter(|text| !text.is_empty());
    Some(Pair { access: text("access_token")?, refresh: text("refresh_token").unwrap_or_else(|| old.refresh.clone()) })
}

/// The platform did not take the token: it is refreshed, once with an answer. What the attempt left is durable before.
pub(super) fn refresh(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, message: &MessageId, job: &mut Job) -> Run {
    let place = token_key(&job.platform, &job.account);
    let Some(stored) = entity.get::<Token>(node, tx, TOKEN, &place)? else {
        return failed(node, tx, entity, message, job, FailureClass::Account);
    };
    // Another message may have brought a newer one meanwhile.
    if catch_up(node, tx, entity.id, job) {
        job::put(node, tx, entity, message, job)?;
        tx.follow(Follow::RunJob(*message));
        return Ok(());
    }
    // Two refreshes at once would spend one rotating token twice, for which platforms take the whole grant away.
    let of = (entity.id, place);
    if node.home.refreshing.values().any(|other| *other == of) {
        return again(node, tx, entity, message, job, None);
    }
    job::put(node, tx, entity, message, job)?;
    let id = WorkId(u64::from_be_bytes(tx.random()));
    tx.then(Change::Working(id, *message));
    tx.then(Change::Refreshing(id, of));
    let token = overlay(&stored.json, latest(node, tx.now(), entity.id, job).as_ref()).into();
    let work = Work::Refresh { platform: job.platform.clone(), token };
    tx.output(Output::Work { id, work });
    Ok(())
}

/// The phone's own tokens became new ones: the job keeps them, and other messages of the phone go out under them.
fn renew(node: &Node, tx: &mut Tx<'_>, entity: EntityId, job: &mut Job, old: &Pair, new: Pair) {
    let known = node.home.renewed.get(&owner(entity, job)).filter(|known| known.tokens == *old);
    let mut spent = known.map_or_else(Vec::new, |known| known.spent.clone());
    spent.push(digest(&old.refresh));
    note(tx, entity, job, spent, new.clone());
    job.renewed = Some(new);
}

/// A refreshed token is durable before the send that uses it. Asking again is harmless where the answer was lost or nobody
/// was there: the platform either gives the next token, or says that the old one was spent.
pub(super) fn refreshed(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    message: &MessageId,
    job: &mut Job,
    result: &Result<Private, SendError>,
) -> Run {
    match result {
        Ok(json) => {
            let place = token_key(&job.platform, &job.account);
            if entity.get::<Token>(node, tx, TOKEN, &place)?.is_none() {
                // The person has revoked it since.
                return failed(node, tx, entity, message, job, FailureClass::Account);
            }
            if let Some(old) = latest(node, tx.now(), entity.id, job) {
                let Some(new) = pair(json.reveal(), &old) else {
                    return failed(node, tx, entity, message, job, FailureClass::Account);
                };
                renew(node, tx, entity.id, job, &old, new);
            } else {
                let (platform, account) = (job.platform.clone(), job.account.clone());
                let token = Token { platform, account, json: json.reveal().to_owned() };
                entity.put(node, tx, TOKEN, &place, &token)?;
            }
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
