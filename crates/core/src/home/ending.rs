//! How a job ends: what duplicates hear of it, its ingress, and its person.

use relaymesh_protocol::ids::{EntityId, MessageId, Timestamp};
use relaymesh_protocol::sms_text::{Notice, TokenLine};

use super::job::{self, Job};
use super::{Change, kept, receipts, tokens};
use crate::command::{FailureClass, MessageOutcome, Private};
use crate::delivery::{self, Receipt};
use crate::egress::{self, TOKEN_TEXT_MAX};
use crate::membership::Relation;
use crate::node::Node;
use crate::output::SmsPurpose;
use crate::record::vault::{SEEN, Seen};
use crate::record::{Entity, key};
use crate::tx::{Run, Tx};

/// The end of a job: result for duplicates, receipt for the ingress, SMS for the person, in one batch.
pub(super) fn finish(
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
    end(node, tx, (message, entity.id), job, outcome, seen.as_ref(), keeps)
}

/// An account goes: what is owed to it goes unpublished, and is told as ever. A part that is under way may still arrive.
pub(crate) fn give_up(node: &Node, tx: &mut Tx<'_>, entity: EntityId) -> Run {
    let owed: Vec<MessageId> =
        node.home.owed.iter().filter(|(_, owed)| owed.entity == entity).map(|(message, _)| *message).collect();
    tx.prefetch(owed.iter().map(key::job))?;
    for message in &owed {
        if let Some((_, job)) = job::get(node, tx, message)? {
            job::delete(tx, message)?;
            end(node, tx, (message, entity), &job, job.unfinished(FailureClass::Account), None, false)?;
        }
    }
    Ok(())
}

/// Tells how a job ended. `seen` is what duplicates will hear, `keeps` whether its person may ask for it once more.
fn end(
    node: &Node,
    tx: &mut Tx<'_>,
    (message, entity): (&MessageId, EntityId),
    job: &Job,
    outcome: MessageOutcome,
    seen: Option<&Seen>,
    keeps: bool,
) -> Run {
    tx.then(Change::Settled(*message));
    node.trace(tx, *message, "publish", || describe(outcome));
    let (text, purpose) = words(node, tx, (message, entity), job, outcome, keeps);
    let tell = match &job.number {
        Some(number) => {
            egress::text(node, tx, *message, number, text, purpose)?;
            None
        }
        None => Some(text.reveal().to_owned()),
    };
    node.count(tx, "job_finished");
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

/// What the person is told, and why. A refreshed token goes along only where the app would read the same, and through
/// nobody whom this operator did not choose: a person without a number is told by the ingress that brought the message.
fn words(
    node: &Node,
    tx: &mut Tx<'_>,
    (message, entity): (&MessageId, EntityId),
    job: &Job,
    outcome: MessageOutcome,
    keeps: bool,
) -> (Private, SmsPurpose) {
    let notice = notice(job, outcome, tx.now(), keeps);
    if let Some(refresh) = tokens::untold(node, tx.now(), entity, job) {
        let relation = node.membership.relation(&job.ingress);
        let chosen = job.number.is_some() || matches!(relation, Relation::Own | Relation::Partner);
        let token = TokenLine::new(&job.account, refresh.reveal()).ok().filter(|_| chosen);
        let with = token.map(|token| Notice::TokenRefreshed { outcome: Box::new(notice.clone()), token });
        let text = with.map(|with| Private::from(with.text(job.language)));
        if let Some(text) = text.filter(|text| text.reveal().len() <= TOKEN_TEXT_MAX) {
            return (text, SmsPurpose::Token);
        }
        node.count(tx, "token_untold");
        node.trace(tx, *message, "publish", || "the new token cannot be told: the account must be connected again");
    }
    let purpose = if outcome == MessageOutcome::Published { SmsPurpose::Published } else { SmsPurpose::Notice };
    (notice.text(job.language).into(), purpose)
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
