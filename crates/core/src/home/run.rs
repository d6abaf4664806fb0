//! Running jobs: each part goes from ready to sending, durably, before anything is sent; a part whose answer never came is
//! sent again only where that is proven harmless.

use std::time::Duration;

use relaymesh_protocol::ids::{EntityId, MessageId, Timestamp};
use relaymesh_protocol::sms_text::Notice;
use relaymesh_seal::labels;
use sha2::{Digest, Sha256};

use super::job::{self, EMAIL_BRIDGE, Job, Part};
use super::{Change, Owed, kept, keywords, receipts, refusals};
use crate::command::{FailureClass, MessageOutcome};
use crate::delivery::{self, Receipt};
use crate::input::Follow;
use crate::node::Node;
use crate::output::{Output, PublishRequest, SendError, Work, WorkDone, WorkId};
use crate::record::Entity;
use crate::record::key;
use crate::record::vault::{SEEN, Seen, TOKEN, Token, token_key};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Shortest and longest pause between attempts.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// Shortest and longest pause before a part is repeated that may be there: until then the platform knows its key.
const REPEAT_AFTER: Duration = Duration::from_secs(10);
const DOUBT_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// What comes next in a job.
enum Next {
    Send(usize),
    Finish(MessageOutcome),
}

/// Runs a job on: sends its next part, or ends it.
pub(crate) fn on_job(node: &Node, tx: &mut Tx<'_>, message: MessageId) -> Run {
    if node.home.busy.contains_key(&message) || !node.home.owed.contains_key(&message) {
        return Ok(());
    }
    let Some((mut entity, mut job)) = job::get(node, tx, &message)? else {
        tx.then(Change::Settled(message));
        return Ok(());
    };
    if let Some(until) = job.kept_until {
        kept::rest(tx, message, until);
        return Ok(());
    }
    if let Some(Owed { restored: true, .. }) = node.home.owed.get(&message) {
        tx.then(Change::Owed(message, entity.id));
        receipts::found(node, tx, message, &job);
    }
    match next(node, &job, tx.now()) {
        Next::Send(_) if job.platform == EMAIL_BRIDGE && keywords::is_frozen(node, tx, &entity)? => {
            failed(node, tx, &mut entity, &message, &job, FailureClass::Account)
        }
        Next::Finish(outcome) => finish(node, tx, &mut entity, &message, &job, outcome),
        Next::Send(index) => send(node, tx, &mut entity, &message, &mut job, index),
    }
}

fn next(node: &Node, job: &Job, now: Timestamp) -> Next {
    let open = job.parts.iter().position(|part| !matches!(part, Part::Done { .. }));
    let Some(index) = open else { return Next::Finish(MessageOutcome::Published) };
    match job.parts.get(index).and_then(Part::in_doubt_since) {
        Some(first) if !repeatable(node, job, first, now) => Next::Finish(MessageOutcome::Uncertain),
        _ if now >= job.deadline => Next::Finish(job.unfinished(FailureClass::Expired)),
        _ => Next::Send(index),
    }
}

/// Whether a part that may have arrived can be sent again: the platform still knows its idempotency key.
fn repeatable(node: &Node, job: &Job, first: Timestamp, now: Timestamp) -> bool {
    let platform = node.config().platforms.iter().find(|platform| platform.name == job.platform);
    platform.is_some_and(|platform| now.since(first) < platform.resend_within)
}

fn send(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, message: &MessageId, job: &mut Job, index: usize) -> Run {
    if !begin(node, tx, entity, message, job, index)? {
        let outcome = job.unfinished(FailureClass::Account);
        return finish(node, tx, entity, message, job, outcome);
    }
    job::put(node, tx, entity, message, job)
}

/// A new job's first part goes out with the batch that makes the job, where a part in doubt can be repeated. Where it cannot,
/// the part waits for a batch of its own: a crash between the two then leaves nothing in doubt. Whether it goes out now.
pub(super) fn begin_new(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &Entity,
    message: &MessageId,
    job: &mut Job,
) -> Run<bool> {
    let now = tx.now();
    if !repeatable(node, job, now, now) {
        return Ok(false);
    }
    begin(node, tx, entity, message, job, 0)
}

/// Sends a part once the batch is durable, in which the caller writes the job; `false` = the account is no longer connected.
fn begin(node: &Node, tx: &mut Tx<'_>, entity: &Entity, message: &MessageId, job: &mut Job, index: usize) -> Run<bool> {
    let Some(request) = request(node, tx, entity, job, index)? else { return Ok(false) };
    job.begin(index, tx.now());
    let id = WorkId(u64::from_be_bytes(tx.random()));
    tx.then(Change::Working(id, *message));
    let part = u16::try_from(index).unwrap_or(u16::MAX);
    tx.output(Output::Work { id, work: Work::Publish { message: *message, part, request: Box::new(request) } });
    node.trace(tx, *message, "publish", || {
        format!("part {} of {} sent to {}", index + 1, job.parts.len(), job.platform)
    });
    Ok(true)
}

/// One part for the platform's adapter; `None` when the account is no longer connected.
fn request(node: &Node, tx: &mut Tx<'_>, entity: &Entity, job: &Job, index: usize) -> Run<Option<PublishRequest>> {
    let token = if job.platform == EMAIL_BRIDGE {
        String::new()
    } else {
        let stored = entity.get::<Token>(node, tx, TOKEN, &token_key(&job.platform, &job.account))?;
        let Some(stored) = stored else { return Ok(None) };
        overlay(&stored.json, job.device_tokens.as_ref())
    };
    let Some(content) = job.content.part(index) else { return Ok(None) };
    let before = index.checked_sub(1).and_then(|before| job.parts.get(before));
    let in_reply_to = match before {
        Some(Part::Done { remote }) => Some(remote.clone()),
        _ => None,
    };
    Ok(Some(PublishRequest {
        platform: job.platform.clone(),
        account: job.account.clone().into(),
        token: token.into(),
        idempotency_key: idempotency_key(entity.id, &job.block, index),
        content,
        in_reply_to,
    }))
}

/// What the platform knows a part by. Made of what the home itself found, the entity and the consumed block: a key that came
/// from outside could be one that the platform knows from another post.
fn idempotency_key(entity: EntityId, block: &[u8; 16], index: usize) -> String {
    let mut hash = Sha256::new();
    hash.update(labels::IDEMPOTENCY);
    hash.update(entity.0);
    hash.update(block);
    format!("{}-{index}", hex::encode(&hash.finalize()[..16]))
}

/// The phone's own tokens over what the vault keeps.
fn overlay(json: &str, device: Option<&(String, String)>) -> String {
    let Some((access, refresh)) = device else { return json.to_owned() };
    let mut token: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap_or_default();
    token.insert("access_token".to_owned(), access.clone().into());
    token.insert("refresh_token".to_owned(), refresh.clone().into());
    serde_json::Value::Object(token).to_string()
}

/// A publication or a refresh ended.
pub(crate) fn on_worked(node: &Node, tx: &mut Tx<'_>, id: WorkId, done: &WorkDone) -> Run {
    let Some(message) = node.home.working.get(&id).copied() else { return Ok(()) };
    let Some((mut entity, mut job)) = job::get(node, tx, &message)? else {
        // Given up with its account while it was under way.
        tx.then(Change::Worked(id));
        tx.then(Change::Settled(message));
        return Ok(());
    };
    tx.then(Change::Worked(id));
    match done {
        WorkDone::Published(Ok(remote)) => published(node, tx, &mut entity, &message, &mut job, remote),
        WorkDone::Published(Err(error)) => unpublished(node, tx, &mut entity, &message, &mut job, error),
        WorkDone::Refreshed(result) => refreshed(node, tx, &mut entity, &message, &mut job, result),
        _ => Ok(()),
    }
}

fn published(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    message: &MessageId,
    job: &mut Job,
    remote: &str,
) -> Run {
    if let Some(part) = job.open_part() {
        *part = Part::Done { remote: remote.to_owned() };
    }
    job.attempts = 0;
    if job.parts.iter().all(|part| matches!(part, Part::Done { .. })) {
        return finish(node, tx, entity, message, job, MessageOutcome::Published);
    }
    job::put(node, tx, entity, message, job)?;
    tx.follow(Follow::RunJob(*message));
    Ok(())
}

fn unpublished(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    message: &MessageId,
    job: &mut Job,
    error: &SendError,
) -> Run {
    node.count(tx, "publish_failed");
    if *error != SendError::Unknown {
        job.not_taken();
    }
    match error {
        SendError::Unknown => again(node, tx, entity, message, job, None),
        SendError::Retry { after_ms } => again(node, tx, entity, message, job, after_ms.map(Duration::from_millis)),
        SendError::Unauthorized if !job.refreshed && job.device_tokens.is_none() => {
            refresh(node, tx, entity, message, job)
        }
        SendError::Unauthorized => failed(node, tx, entity, message, job, FailureClass::Account),
        SendError::Refused { .. } => failed(node, tx, entity, message, job, FailureClass::Platform),
    }
}

/// Final.
fn failed(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    message: &MessageId,
    job: &Job,
    class: FailureClass,
) -> Run {
    finish(node, tx, entity, message, job, job.unfinished(class))
}

fn pause(attempts: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << attempts.min(9)).min(PAUSE_MAX)
}

/// Tries a job again after a pause, as the platform wished or longer each time. A part in doubt has only as long as the
/// platform knows its key, and where that is over it ends now.
fn again(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    message: &MessageId,
    job: &mut Job,
    wish: Option<Duration>,
) -> Run {
    let mut wait = wish.unwrap_or_else(|| pause(job.attempts)).min(PAUSE_MAX);
    if let Some(first) = job.open_part().and_then(|part| part.in_doubt_since()) {
        wait = wait.max(REPEAT_AFTER).min(wish.map_or(DOUBT_PAUSE_MAX, |_| PAUSE_MAX));
        if !repeatable(node, job, first, tx.now().after(wait)) {
            return finish(node, tx, entity, message, job, MessageOutcome::Uncertain);
        }
    }
    job.attempts = job.attempts.saturating_add(1);
    job::put(node, tx, entity, message, job)?;
    tx.wake(tx.now().after(wait), Timer::Job(*message));
    node.trace(tx, *message, "publish", || format!("will be tried again in {} s", wait.as_secs()));
    Ok(())
}

/// The platform did not take the token: it is refreshed, once with an answer. What the attempt left is durable before.
fn refresh(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, message: &MessageId, job: &mut Job) -> Run {
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
fn refreshed(
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

/// The end of a job: result for duplicates, receipt for the ingress, SMS for the person, in one batch.
fn finish(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &mut Entity,
    message: &MessageId,
    job: &Job,
    outcome: MessageOutcome,
) -> Run {
    let mut seen = entity.get::<Seen>(node, tx, SEEN, &job.block)?;
    if let Some(seen) = &mut seen {
        seen.outcome = outcome;
        entity.put(node, tx, SEEN, &job.block, seen)?;
    }
    let keeps = outcome == MessageOutcome::Uncertain && kept::may_ask(job);
    if keeps {
        kept::keep(node, tx, entity, message, job)?;
    } else {
        job::delete(tx, message)?;
    }
    end(node, tx, message, job, outcome, seen.as_ref(), keeps)
}

/// An account goes: what is owed to it goes unpublished, and is told as ever. A part that is under way may still arrive.
pub(crate) fn give_up(node: &Node, tx: &mut Tx<'_>, entity: EntityId) -> Run {
    let owed: Vec<MessageId> =
        node.home.owed.iter().filter(|(_, owed)| owed.entity == entity).map(|(message, _)| *message).collect();
    tx.prefetch(owed.iter().map(key::job))?;
    for message in &owed {
        if let Some((_, job)) = job::get(node, tx, message)? {
            job::delete(tx, message)?;
            end(node, tx, message, &job, job.unfinished(FailureClass::Account), None, false)?;
        }
    }
    Ok(())
}

/// Tells how a job ended. `seen` is what duplicates will hear, `keeps` whether its person may ask for it once more.
fn end(
    node: &Node,
    tx: &mut Tx<'_>,
    message: &MessageId,
    job: &Job,
    outcome: MessageOutcome,
    seen: Option<&Seen>,
    keeps: bool,
) -> Run {
    tx.then(Change::Settled(*message));
    let notice = notice(job, outcome, tx.now(), keeps);
    let tell = match &job.number {
        Some(number) => {
            refusals::tell_number(node, tx, number, job.language, &notice)?;
            None
        }
        None => Some(notice.text(job.language)),
    };
    node.count(tx, "job_finished");
    node.trace(tx, *message, "publish", || describe(outcome));
    if !job.asked.is_empty() {
        // The ingress heard how it ended when it became uncertain; what was asked for since is between home and person.
        return Ok(());
    }
    match seen {
        Some(seen) => receipts::ended(node, tx, (job.ingress, *message), &job.block, seen, tell),
        // Unreadable: there is no proof to say again.
        None => delivery::say(node, tx, job.ingress, vec![Receipt::Done { message: *message, outcome, tell }]),
    }
}

fn describe(outcome: MessageOutcome) -> String {
    match outcome {
        MessageOutcome::Pending => "pending".to_owned(),
        MessageOutcome::Published => "PUBLISHED".to_owned(),
        MessageOutcome::Failed(class) => format!("FAILED: {}", class.text()),
        MessageOutcome::Uncertain => "UNCERTAIN: the answer never came".to_owned(),
        MessageOutcome::Test { id, .. } => format!("test {id}"),
    }
}

fn notice(job: &Job, outcome: MessageOutcome, at: Timestamp, resend: bool) -> Notice {
    let platform = job.platform.clone();
    let number = job.told_as();
    match outcome {
        MessageOutcome::Published => Notice::Published { platform, at, number },
        MessageOutcome::Failed(_) => Notice::Failed { platform, at, number },
        MessageOutcome::Uncertain | MessageOutcome::Pending | MessageOutcome::Test { .. } => {
            Notice::Uncertain { platform, at, number, resend }
        }
    }
}
