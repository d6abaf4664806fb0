//! What the operator asks of a running node: how it is, what became of a message, whether another node answers.

mod doctor;

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};

use crate::command::{
    Code, OperatorCommand, OperatorReply, Refusal, Reply, StatusReport, Target, TraceEvent, TraceReport,
};
use crate::delivery::{self, Body, Opened, Outbox, Stage};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::record::{key, open_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Lines of one timeline.
const TRACE_LINES_MAX: usize = 64;
/// A ping without answer is given up after this.
const PING_LIFE: Duration = Duration::from_secs(10);
/// Pings under way.
const PINGS_MAX: usize = 64;
/// Shortest message id prefix that `trace` takes.
const PREFIX_MIN: usize = 6;

/// What is remembered for the operator.
#[derive(Debug, Default)]
pub(crate) struct State {
    traces: BTreeMap<MessageId, Vec<TraceEvent>>,
    order: VecDeque<MessageId>,
    most: usize,
    pings: BTreeMap<u64, Ping>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping {
    reply: ReplyTo,
    to: NodeId,
    at: Timestamp,
}

/// How it changes.
#[derive(Debug)]
pub(crate) enum Change {
    Trace { message: MessageId, at: Timestamp, room: &'static str, what: Cow<'static, str> },
    Ping(u64, Ping),
    Ponged(u64),
}

impl State {
    /// Keeps the timelines of so many messages.
    pub(crate) fn keeping(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    pub(crate) fn timeline(&self, message: &MessageId) -> &[TraceEvent] {
        self.traces.get(message).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Trace { message, at, room, what } => self.add(message, at, room, what),
            Change::Ping(nonce, ping) => {
                self.pings.insert(nonce, ping);
            }
            Change::Ponged(nonce) => {
                self.pings.remove(&nonce);
            }
        }
    }

    fn add(&mut self, message: MessageId, at: Timestamp, room: &'static str, what: Cow<'static, str>) {
        let event = TraceEvent { at, room: room.into(), what };
        match self.traces.entry(message) {
            Entry::Occupied(mut lines) if lines.get().len() < TRACE_LINES_MAX => lines.get_mut().push(event),
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(vec![event]);
                self.order.push_back(message);
            }
        }
        if self.order.len() > self.most
            && let Some(old) = self.order.pop_front()
        {
            self.traces.remove(&old);
        }
    }
}

/// `status`, `trace`, `doctor`, `ping`.
pub(crate) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &OperatorCommand) -> Run {
    let answer = match command {
        OperatorCommand::Trace { message } => OperatorReply::Trace(trace(node, tx, message)?),
        OperatorCommand::Doctor => OperatorReply::Doctor(doctor::findings(node, tx.now())),
        OperatorCommand::Ping { node: target } => return ping(node, tx, reply, target),
        _ => OperatorReply::Status(status(node, tx.now())),
    };
    tx.reply(reply, Reply::Operator(answer));
    Ok(())
}

fn status(node: &Node, now: Timestamp) -> StatusReport {
    let uptime = u64::try_from(now.since(node.started()).as_millis()).unwrap_or(u64::MAX);
    StatusReport {
        name: node.config().name.clone(),
        instance: node.config().instance.clone(),
        peer_id: node.id().peer_id(),
        uptime_ms: uptime,
        members: node.membership.members().count() as u64 + 1,
        connected: node.membership.connected().len() as u64,
        entities: node.locator.entities() as u64,
        held: node.delivery.held() as u64,
        custody: node.delivery.custody() as u64,
        jobs: node.home.jobs() as u64,
        sms_queue: node.egress.queued() as u64,
        counters: node.counters().iter().map(|(name, n)| ((*name).to_owned(), *n)).collect(),
    }
}

fn trace(node: &Node, tx: &mut Tx<'_>, text: &str) -> Run<TraceReport> {
    let text = text.trim().to_ascii_lowercase();
    let hex_only = text.bytes().all(|b| b.is_ascii_hexdigit());
    if text.len() < PREFIX_MIN || text.len() > 64 || !hex_only {
        let text = "a message is named by 6 to 64 hex digits of its id";
        return Err(Refusal::new(Code::InvalidArgument, text).into());
    }
    let known = node.operator.order.iter().rev().find(|message| message.to_string().starts_with(&text));
    if let Some(message) = known {
        return Ok(TraceReport { message: message.to_string(), events: node.operator.timeline(message).to_vec() });
    }
    from_record(node, tx, &text)
}

/// After a restart only the record is left: when it came in, and how it stands.
fn from_record(node: &Node, tx: &mut Tx<'_>, text: &str) -> Run<TraceReport> {
    let even = text.get(..text.len() & !1).unwrap_or_default();
    let mut prefix = vec![key::OUTBOX];
    prefix.extend(hex::decode(even).unwrap_or_default());
    for (row_key, row) in tx.rows(&prefix, 16)? {
        let message = row_key.get(1..).map(MessageId::try_from);
        let (Some(Ok(message)), Some(outbox)) = (message, open_row::<Outbox>(node, &row_key, &row)) else { continue };
        if message.to_string().starts_with(text) {
            return Ok(TraceReport { message: message.to_string(), events: record_events(node, &outbox) });
        }
    }
    Err(Refusal::new(Code::NotFound, "this node knows no message of that id").into())
}

fn record_events(node: &Node, outbox: &Outbox) -> Vec<TraceEvent> {
    let event = |at, room: &'static str, what: Cow<'static, str>| TraceEvent { at, room: room.into(), what };
    let mut events = vec![event(outbox.received, "ingress", "stored".into())];
    let display = |by: &NodeId| node.membership.display(by);
    match outbox.stage {
        Stage::Held => {}
        Stage::Accepted { by, at } => events.push(event(at, "receipt", format!("accepted by {}", display(&by)).into())),
        Stage::Done { by, at, outcome } => {
            let what = format!("done by {}: {outcome:?}", display(&by)).to_lowercase();
            events.push(event(at, "receipt", what.into()));
        }
        Stage::Expired { at } => events.push(event(at, "ingress", "expired: no home accepted it".into())),
    }
    events
}

fn ping(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, target: &str) -> Run {
    let Target::Node(to) = node.membership.find(target)? else {
        return Err(Refusal::new(Code::InvalidArgument, "name one node, not an instance").into());
    };
    if let Some(text) = node.membership.blocked_by(&to) {
        return Err(Refusal::new(Code::FailedPrecondition, text).into());
    }
    if node.operator.pings.len() >= PINGS_MAX {
        return Err(Refusal::new(Code::ResourceExhausted, "too many pings under way").into());
    }
    let nonce = u64::from_be_bytes(tx.random());
    let at = tx.now();
    tx.then(Change::Ping(nonce, Ping { reply, to, at }));
    tx.wake(at.after(PING_LIFE), Timer::Ping(nonce));
    delivery::send(node, tx, to, Body::Ping { nonce })
}

/// A ping came: the answer goes back as a letter.
pub(crate) fn on_ping(node: &Node, tx: &mut Tx<'_>, opened: &Opened, nonce: u64) -> Run {
    delivery::send(node, tx, opened.sender, Body::Pong { nonce, hops: opened.hops })
}

/// The answer to a ping.
pub(crate) fn on_pong(node: &Node, tx: &mut Tx<'_>, from: NodeId, nonce: u64, hops: u8) -> Run {
    let Some(ping) = node.operator.pings.get(&nonce).filter(|ping| ping.to == from) else { return Ok(()) };
    let millis = u64::try_from(tx.now().since(ping.at).as_millis()).unwrap_or(u64::MAX);
    tx.then(Change::Ponged(nonce));
    let answer = OperatorReply::Ping { peer_id: from.peer_id(), millis, hops };
    tx.reply(ping.reply, Reply::Operator(answer));
    Ok(())
}

/// A ping has waited long enough.
pub(crate) fn on_ping_lost(node: &Node, tx: &mut Tx<'_>, nonce: u64) -> Run {
    let Some(ping) = node.operator.pings.get(&nonce) else { return Ok(()) };
    tx.then(Change::Ponged(nonce));
    let text = "no answer within 10 s; see `relaymesh doctor` on both nodes";
    tx.reply(ping.reply, Reply::Refused(Refusal::new(Code::Unavailable, text)));
    Ok(())
}
