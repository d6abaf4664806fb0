//! Running jobs: each part goes from ready to sending, durably, before anything is sent; a part whose answer never came is
//! sent again only where that is proven harmless.

use std::time::Duration;

use relaymesh_protocol::ids::{EntityId, MessageId, Timestamp};
use relaymesh_seal::labels;
use sha2::{Digest, Sha256};

use super::ending::finish;
use super::job::{self, EMAIL_BRIDGE, Job, Part};
use super::tokens::{catch_up, latest, overlay, refresh, refreshed};
use super::{Change, Owed, kept, keywords, receipts};
use crate::command::{FailureClass, MessageOutcome};
use crate::input::Follow;
use crate::node::Node;
use crate::output::{Output, PublishRequest, SendError, Work, WorkDone, WorkId};
use crate::record::Entity;
use crate::record::vault::{TOKEN, Token, token_key};
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
    catch_up(node, tx, entity.id, job);
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
        overlay(&stored.json, latest(node, tx.now(), entity.id, job).as_ref())
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
        SendError::Unauthorized if !job.refreshed => refresh(node, tx, entity, message, job),
        SendError::Unauthorized => failed(node, tx, entity, message, job, FailureClass::Account),
        SendError::Refused { .. } => failed(node, tx, entity, message, job, FailureClass::Platform),
    }
}

/// Final.
pub(super) fn failed(
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
pub(super) fn again(
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
