//! SMS to people: queued durably, and sent by the ways that the operator ordered: own ports, nodes of the own instance,
//! nodes of partners. A way that surely sent nothing gives the next one its turn; one that may have sent ends it. Another
//! node is asked by a sealed request and answers how it ended; `foreign` is that node's side.

mod foreign;
mod row;
mod ways;

use std::borrow::Cow;
use std::collections::BTreeMap;

use relaymesh_protocol::frame::Taken;
use relaymesh_protocol::ids::{E164, InstanceId, Language, MessageId, NodeId, Timestamp};
use relaymesh_protocol::sms_text::Notice;

pub(crate) use foreign::{on_request, purpose_for};

use row::Row;
use ways::{ask, go_on};

use crate::batch::Key;
use crate::command::Private;
use crate::delivery::SmsEnd;
use crate::input::{Follow, LinkError};
use crate::node::Node;
use crate::output::{SendError, SmsPurpose, WorkDone, WorkId};
use crate::record::{self, delete_row, get_node, key, put_node, restore_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};
use crate::watch::Gauge;

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [record::Reader; 1] = [record::Reader::of::<row::Row>()];

/// Most SMS that wait at once; further ones are dropped and counted.
const QUEUE_MAX: usize = 100_000;
/// Longest text that another node may ask to send: four joined SMS.
const FOREIGN_TEXT_MAX: usize = 612;
/// Longest text with a refreshed token: sixteen joined SMS, which holds 1,600 letters of token and account.
pub(crate) const TOKEN_TEXT_MAX: usize = 2_448;

/// Longest text that leaves for another node's sake.
pub(crate) fn text_max(purpose: SmsPurpose) -> usize {
    if purpose == SmsPurpose::Token { TOKEN_TEXT_MAX } else { FOREIGN_TEXT_MAX }
}

/// What egress remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Each with the message whose timeline hears of it: after a restart, none.
    queued: BTreeMap<[u8; 16], Option<MessageId>>,
    sending: BTreeMap<WorkId, [u8; 16]>,
    busy: BTreeMap<[u8; 16], WorkId>,
    /// What partners had of their day.
    served: foreign::Served,
}

/// How egress's memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Queued([u8; 16], Option<MessageId>),
    Gone([u8; 16]),
    Sending(WorkId, [u8; 16]),
    Sent(WorkId),
    /// For this instance, on this day.
    Served(InstanceId, u64),
}

impl State {
    /// SMS that wait to leave.
    pub(crate) fn queued(&self) -> usize {
        self.queued.len()
    }

    /// Whether this work sends an SMS of the queue.
    pub(crate) fn awaits(&self, id: WorkId) -> bool {
        self.sending.contains_key(&id)
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Queued(id, about) => {
                self.queued.insert(id, about);
            }
            Change::Gone(id) => {
                self.queued.remove(&id);
            }
            Change::Sending(work, id) => {
                self.sending.insert(work, id);
                self.busy.insert(id, work);
            }
            Change::Served(instance, day) => self.served.count(instance, day),
            Change::Sent(work) => {
                if let Some(id) = self.sending.remove(&work) {
                    self.busy.remove(&id);
                }
            }
        }
    }
}

/// How full the queue is.
pub(crate) fn gauges(node: &Node) -> [Gauge; 1] {
    [Gauge { name: "sms_queued", value: node.egress.queued(), cap: QUEUE_MAX }]
}

/// Tells a person something in the run's batch.
pub(crate) fn notice(node: &Node, tx: &mut Tx<'_>, to: &E164, language: Language, notice: &Notice) -> Run {
    order(node, tx, None, to, notice.text(language).into(), SmsPurpose::Notice)
}

/// Tells a person in the run's batch what became of a message; its timeline says whether that left, not what or to whom.
pub(crate) fn text(
    node: &Node,
    tx: &mut Tx<'_>,
    about: MessageId,
    to: &E164,
    text: Private,
    purpose: SmsPurpose,
) -> Run {
    order(node, tx, Some(about), to, text, purpose)
}

/// Sends a text in the run's batch, by the ways that the operator ordered.
fn order(node: &Node, tx: &mut Tx<'_>, about: Option<MessageId>, to: &E164, text: Private, purpose: SmsPurpose) -> Run {
    let id: [u8; 16] = tx.random();
    if node.egress.queued.len() >= QUEUE_MAX {
        node.count(tx, "sms_queue_full");
        trace(node, tx, about, || "dropped: too many wait");
        return Ok(());
    }
    let row = Row::new(to.clone(), text, purpose, tx.now(), None);
    trace(node, tx, about, || "ordered for the person");
    queue(node, tx, id, &row, about)
}

/// A line of a message's timeline, if the SMS tells of one.
fn trace<W: Into<Cow<'static, str>>>(node: &Node, tx: &mut Tx<'_>, about: Option<MessageId>, what: impl FnOnce() -> W) {
    if let Some(message) = about {
        node.trace(tx, message, "sms", what);
    }
}

fn queue(node: &Node, tx: &mut Tx<'_>, id: [u8; 16], row: &Row, about: Option<MessageId>) -> Run {
    put_node(node, tx, key::sms(&id), row)?;
    tx.then(Change::Queued(id, about));
    tx.follow(Follow::RunSms(id));
    Ok(())
}

/// Goes on with one SMS of the queue.
pub(crate) fn on_sms(node: &Node, tx: &mut Tx<'_>, id: &[u8; 16]) -> Run {
    if node.egress.busy.contains_key(id) {
        return Ok(());
    }
    let Some(mut row) = get_node::<Row>(node, tx, &key::sms(id))? else {
        tx.then(Change::Gone(*id));
        return Ok(());
    };
    if row.end.is_some() {
        return forget(tx, *id, &row);
    }
    if tx.now() >= row.expires() {
        node.count(tx, "sms_expired");
        return end(node, tx, *id, row, SmsEnd::Refused);
    }
    match row.asked {
        Some(other) => {
            row.attempts = row.attempts.saturating_add(1);
            ask(node, tx, *id, row, other)
        }
        None => go_on(node, tx, *id, row),
    }
}

/// Whether the node that was asked has the request.
pub(crate) fn on_offered(
    node: &Node,
    tx: &mut Tx<'_>,
    id: [u8; 16],
    to: NodeId,
    taken: Result<Taken, LinkError>,
) -> Run {
    let row = get_node::<Row>(node, tx, &key::sms(&id))?;
    let Some(mut row) = row.filter(|row| row.asked == Some(to) && !row.reached && row.end.is_none()) else {
        return Ok(());
    };
    match taken {
        Ok(Taken::Refused | Taken::Busy { .. }) | Err(LinkError::Unreachable | LinkError::Busy) => {
            row.decline(to, true);
            go_on(node, tx, id, row)
        }
        // A link that breaks may have carried it.
        Ok(Taken::Yes | Taken::Known) | Err(_) => {
            row.reached = true;
            put_node(node, tx, key::sms(&id), &row)
        }
    }
}

/// The node that was asked tells how it ended.
pub(crate) fn on_answer(node: &Node, tx: &mut Tx<'_>, from: NodeId, id: &[u8; 16], how: SmsEnd) -> Run {
    let row = get_node::<Row>(node, tx, &key::sms(id))?;
    let Some(mut row) = row.filter(|row| row.asked == Some(from) && row.end.is_none()) else {
        node.count(tx, "sms_answer_unasked");
        return Ok(());
    };
    match how {
        SmsEnd::Sent | SmsEnd::Unknown => {
            node.count(tx, if how == SmsEnd::Sent { "sms_sent" } else { "sms_failed" });
            end(node, tx, *id, row, how)
        }
        SmsEnd::NotNow | SmsEnd::Refused => {
            row.decline(from, how == SmsEnd::NotNow);
            go_on(node, tx, *id, row)
        }
    }
}

/// Own ports have answered.
pub(crate) fn on_worked(node: &Node, tx: &mut Tx<'_>, work: WorkId, done: &WorkDone) -> Run {
    let (Some(id), WorkDone::Sent(result)) = (node.egress.sending.get(&work).copied(), done) else { return Ok(()) };
    tx.then(Change::Sent(work));
    let Some(mut row) = get_node::<Row>(node, tx, &key::sms(&id))? else { return Ok(()) };
    let how = match result {
        Ok(()) => SmsEnd::Sent,
        Err(SendError::Unknown) => SmsEnd::Unknown,
        Err(SendError::Retry { .. }) => SmsEnd::NotNow,
        Err(_) => SmsEnd::Refused,
    };
    if row.from.is_none() && matches!(how, SmsEnd::NotNow | SmsEnd::Refused) {
        if let Err(SendError::Retry { after_ms }) = result {
            row.later = Some(row.later.flatten().max(*after_ms));
        }
        row.way += 1;
        return go_on(node, tx, id, row);
    }
    node.count(tx, if how == SmsEnd::Sent { "sms_sent" } else { "sms_failed" });
    end(node, tx, id, row, how)
}

/// It is over. Who asked for it hears so, and again whenever it asks again.
fn end(node: &Node, tx: &mut Tx<'_>, id: [u8; 16], mut row: Row, how: SmsEnd) -> Run {
    tx.then(Change::Gone(id));
    trace(node, tx, node.egress.queued.get(&id).copied().flatten(), || describe(node, &row, how));
    let Some((asker, asked)) = row.from else { return delete_row(tx, key::sms(&id)) };
    row.end = Some(how);
    row.text = Private::default();
    put_node(node, tx, key::sms(&id), &row)?;
    forget(tx, id, &row)?;
    foreign::answer(node, tx, asker, asked, how)
}

fn describe(node: &Node, row: &Row, how: SmsEnd) -> String {
    let end = match how {
        SmsEnd::Sent => "sent",
        SmsEnd::Unknown => "UNCERTAIN: the answer never came",
        SmsEnd::NotNow | SmsEnd::Refused => return "NOT SENT: no way took it".to_owned(),
    };
    match &row.asked {
        Some(other) => format!("{end}, through {}", node.membership.display(other)),
        None => format!("{end}, through own ports"),
    }
}

/// Forgets how it ended when nobody asks any more.
fn forget(tx: &mut Tx<'_>, id: [u8; 16], row: &Row) -> Run {
    let until = row.forgotten();
    if tx.now() >= until {
        return delete_row(tx, key::sms(&id));
    }
    tx.wake(until, Timer::Sms(id));
    Ok(())
}

/// What was queued before a restart leaves now.
pub(crate) fn start(node: &Node, tx: &mut Tx<'_>) -> Run {
    for id in node.egress.queued.keys() {
        tx.wake(tx.now(), Timer::Sms(*id));
    }
    Ok(())
}

/// Reads the queue at start.
pub(crate) fn restore(node: &mut Node, rows: &[(Key, Vec<u8>)], _now: Timestamp) {
    for (row_key, row) in rows {
        let id = row_key.get(1..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        let (Some(id), Some(row)) = (id, restore_row::<Row>(node, row_key, row)) else { continue };
        if row.end.is_some() {
            node.set_timer(row.forgotten(), Timer::Sms(id));
        } else {
            node.egress.queued.insert(id, None);
        }
    }
}
