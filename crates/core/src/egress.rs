//! SMS to people: queued durably, sent through the node's ports, repeated while nothing was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use relaymesh_protocol::ids::{E164, Language, NodeId, Timestamp};
use relaymesh_protocol::sms_text::Notice;
use serde::{Deserialize, Serialize};

use crate::batch::Key;
use crate::delivery::{self, Body, SmsRequest};
use crate::input::Follow;
use crate::membership::Relation;
use crate::node::Node;
use crate::output::{Output, SendError, SmsPurpose, Work, WorkDone, WorkId};
use crate::record::{Stored, delete_row, get_node, key, put_node, restore_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};
use crate::watch::Gauge;

/// An SMS that could not leave for so long is no longer news.
const SMS_LIFE: Duration = Duration::from_hours(24);
/// Shortest and longest pause between attempts.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// Most SMS that wait at once; further ones are dropped and counted.
const QUEUE_MAX: usize = 100_000;
/// Longest text that another node may ask to send: four joined SMS.
pub(crate) const FOREIGN_TEXT_MAX: usize = 612;

/// What egress remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    queued: BTreeMap<[u8; 16], ()>,
    sending: BTreeMap<WorkId, [u8; 16]>,
    busy: BTreeMap<[u8; 16], WorkId>,
}

/// How egress's memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Queued([u8; 16]),
    Gone([u8; 16]),
    Sending(WorkId, [u8; 16]),
    Sent(WorkId),
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
            Change::Queued(id) => {
                self.queued.insert(id, ());
            }
            Change::Gone(id) => {
                self.queued.remove(&id);
            }
            Change::Sending(work, id) => {
                self.sending.insert(work, id);
                self.busy.insert(id, work);
            }
            Change::Sent(work) => {
                if let Some(id) = self.sending.remove(&work) {
                    self.busy.remove(&id);
                }
            }
        }
    }
}

/// An SMS that waits.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    to: E164,
    text: String,
    since: Timestamp,
    attempts: u32,
}

impl Stored for Row {}

/// How full the queue is.
pub(crate) fn gauges(node: &Node) -> [Gauge; 1] {
    [Gauge { name: "sms_queued", value: node.egress.queued(), cap: QUEUE_MAX }]
}

/// Tells a person something in the run's batch.
pub(crate) fn notice(node: &Node, tx: &mut Tx<'_>, to: &E164, language: Language, notice: &Notice) -> Run {
    text(node, tx, to, notice.text(language))
}

/// Sends a text to a person in the run's batch: from here, or through a node of the own instance that can.
pub(crate) fn text(node: &Node, tx: &mut Tx<'_>, to: &E164, text: String) -> Run {
    let id: [u8; 16] = tx.random();
    if node.config().sms {
        return queue(node, tx, id, to.clone(), text);
    }
    let other = node.membership.members().find(|m| m.roles.gateway && node.membership.relation(&m.id) == Relation::Own);
    match other.map(|member| member.id) {
        Some(other) => delivery::send(node, tx, other, Body::Sms(SmsRequest { id, to: to.clone(), text })),
        None => {
            node.count(tx, "sms_no_route");
            Ok(())
        }
    }
}

fn queue(node: &Node, tx: &mut Tx<'_>, id: [u8; 16], to: E164, text: String) -> Run {
    if node.egress.queued.len() >= QUEUE_MAX {
        node.count(tx, "sms_queue_full");
        return Ok(());
    }
    put_node(node, tx, key::sms(&id), &Row { to, text, since: tx.now(), attempts: 0 })?;
    tx.then(Change::Queued(id));
    tx.follow(Follow::RunSms(id));
    Ok(())
}

/// Another node asks for an SMS: only one's own instance and partners may.
pub(crate) fn on_request(node: &Node, tx: &mut Tx<'_>, from: NodeId, request: &SmsRequest) -> Run {
    let may = matches!(node.membership.relation(&from), Relation::Own | Relation::Partner);
    if !may || !node.config().sms || request.text.len() > FOREIGN_TEXT_MAX {
        node.count(tx, "sms_request_refused");
        return Ok(());
    }
    if tx.get(&key::sms(&request.id))?.is_some() {
        return Ok(());
    }
    queue(node, tx, request.id, request.to.clone(), request.text.clone())
}

/// Sends one SMS of the queue.
pub(crate) fn on_sms(node: &Node, tx: &mut Tx<'_>, id: &[u8; 16]) -> Run {
    if node.egress.busy.contains_key(id) {
        return Ok(());
    }
    let Some(row) = get_node::<Row>(node, tx, &key::sms(id))? else {
        tx.then(Change::Gone(*id));
        return Ok(());
    };
    if tx.now().since(row.since) >= SMS_LIFE {
        node.count(tx, "sms_expired");
        tx.then(Change::Gone(*id));
        return delete_row(tx, key::sms(id));
    }
    let work = WorkId(u64::from_be_bytes(tx.random()));
    tx.then(Change::Sending(work, *id));
    let to = row.to.reveal().to_owned().into();
    let sms = Work::Sms { to, text: row.text.into(), id: *id, purpose: SmsPurpose::Notice };
    tx.output(Output::Work { id: work, work: sms });
    Ok(())
}

/// A port has answered.
pub(crate) fn on_worked(node: &Node, tx: &mut Tx<'_>, work: WorkId, done: &WorkDone) -> Run {
    let (Some(id), WorkDone::Sent(result)) = (node.egress.sending.get(&work).copied(), done) else { return Ok(()) };
    let Some(mut row) = get_node::<Row>(node, tx, &key::sms(&id))? else {
        tx.then(Change::Sent(work));
        return Ok(());
    };
    tx.then(Change::Sent(work));
    if let Err(SendError::Retry { after_ms }) = result {
        row.attempts = row.attempts.saturating_add(1);
        let pause = PAUSE_MIN.saturating_mul(1 << row.attempts.min(9)).min(PAUSE_MAX);
        let pause = after_ms.map_or(pause, Duration::from_millis).min(PAUSE_MAX);
        put_node(node, tx, key::sms(&id), &row)?;
        tx.wake(tx.now().after(pause), Timer::Sms(id));
        return Ok(());
    }
    node.count(tx, if result.is_ok() { "sms_sent" } else { "sms_failed" });
    tx.then(Change::Gone(id));
    delete_row(tx, key::sms(&id))
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
        if let (Some(id), Some(_)) = (id, restore_row::<Row>(node, row_key, row)) {
            node.egress.queued.insert(id, ());
        }
    }
}
