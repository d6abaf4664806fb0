//! What became uncertain stays sealed for a while: its person is told under which number, may look, and can ask for it once
//! more. Then it is destroyed.

use std::time::Duration;

use relaymesh_protocol::ids::{E164, MessageId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Change;
use super::job::{self, Job, Part};
use super::tokens;
use crate::delivery::RESEND_LIFE;
use crate::input::Follow;
use crate::node::Node;
use crate::record::{Entity, Stored};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// How long the content of an uncertain job is kept: as long as a `RESEND` is carried about.
const KEPT_FOR: Duration = RESEND_LIFE;
/// How long a part that was asked for may be tried.
const RESEND_FOR: Duration = Duration::from_hours(24);
/// One message can be asked for so often: once per uncertain outcome.
const RESENDS_MAX: usize = 3;
/// Uncertain jobs that one entity may have at once; the oldest makes room.
const KEPT_MAX: usize = 32;
/// Table byte of [`Told`]; key = the number that the person was told, big-endian.
const TOLD: u8 = 12;

/// Which message a person knows by a number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    message: MessageId,
}

impl Stored for Told {}

/// Whether an uncertain job can be asked for: somebody is told its number, and it was not asked for too often.
pub(super) fn may_ask(job: &Job) -> bool {
    job.number.is_some() && job.asked.len() < RESENDS_MAX
}

/// Keeps an uncertain job, in the batch that makes it so.
pub(super) fn keep(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, message: &MessageId, job: &Job) -> Run {
    let told = entity.all::<Told>(node, tx, TOLD, KEPT_MAX)?;
    if let (true, Some((place, oldest))) = (told.len() >= KEPT_MAX, told.first()) {
        entity.delete(node, tx, TOLD, place)?;
        job::delete(tx, &oldest.message)?;
    }
    let until = tx.now().after(KEPT_FOR);
    let mut job = job.clone();
    job.kept_until = Some(until);
    // They were told with the outcome.
    if let Some(told) = tokens::latest(node, tx.now(), entity.id, &job) {
        job.device_tokens = Some(told);
        job.renewed = None;
    }
    job::put(node, tx, entity, message, &job)?;
    entity.put(node, tx, TOLD, &place(&job), &Told { message: *message })?;
    tx.wake(until, Timer::Kept(*message));
    Ok(())
}

fn place(job: &Job) -> [u8; 4] {
    job.told_as().to_be_bytes()
}

/// A kept job was read at start: it is owed no more, and ends at its time.
pub(super) fn rest(tx: &mut Tx<'_>, message: MessageId, until: Timestamp) {
    tx.then(Change::Settled(message));
    tx.wake(until, Timer::Kept(message));
}

/// Nobody asked for it in time: the content is destroyed.
pub(crate) fn on_kept(node: &Node, tx: &mut Tx<'_>, message: MessageId) -> Run {
    let Some((mut entity, job)) = job::get(node, tx, &message)? else { return job::delete(tx, &message) };
    match job.kept_until {
        None => Ok(()),
        Some(until) if tx.now() < until => {
            tx.wake(until, Timer::Kept(message));
            Ok(())
        }
        Some(_) => {
            entity.delete(node, tx, TOLD, &place(&job))?;
            node.count(tx, "uncertain_destroyed");
            job::delete(tx, &message)
        }
    }
}

/// Sends once more what an entity was told as uncertain under `number`. `asked` is the answer's id, which counts once;
/// `told` says whether a number is the one that asks. Whether there was something to send.
pub(super) fn again(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: &Entity,
    number: u32,
    asked: MessageId,
    told: impl Fn(&E164) -> bool,
) -> Run<bool> {
    let Some(row) = entity.get::<Told>(node, tx, TOLD, &number.to_be_bytes())? else { return Ok(false) };
    let message = row.message;
    let Some((mut owner, mut job)) = job::get(node, tx, &message)? else { return Ok(false) };
    let now = tx.now();
    let in_time = job.kept_until.is_some_and(|until| now < until);
    let theirs = owner.id == entity.id && job.number.as_ref().is_some_and(told);
    if !in_time || !theirs || job.asked.contains(&asked) {
        return Ok(false);
    }
    for part in job.parts.iter_mut().filter(|part| !matches!(part, Part::Done { .. })) {
        *part = Part::Ready;
    }
    job.kept_until = None;
    job.asked.push(asked);
    job.deadline = now.after(RESEND_FOR);
    job.refreshed = false;
    job.attempts = 0;
    owner.delete(node, tx, TOLD, &place(&job))?;
    job::put(node, tx, &mut owner, &message, &job)?;
    tx.then(Change::Owed(message, owner.id));
    tx.follow(Follow::RunJob(message));
    node.trace(tx, message, "publish", || "asked for once more by its person");
    Ok(true)
}
