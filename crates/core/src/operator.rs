//! What the operator asks of a running node: how it is, what became of a message, whether another node answers.

mod doctor;

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};

use crate::command::{
    Code, OperatorCommand, OperatorReply, Refusal, Reply, StatusReport, Target, TraceEvent, TraceReport, message_prefix,
};
use crate::config::TIMELINES;
use crate::delivery::{self, Body, OUTCOME_LIFE, Opened, Outbox, Stage};
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
/// Records that are looked at for the beginning of a message id: six digits and more are shared by hardly any two.
const RECORDS_MAX: usize = 16;

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

    /// The messages with a timeline whose ids begin so.
    fn named(&self, prefix: &str) -> BTreeSet<MessageId> {
        self.traces.keys().filter(|message| message.to_string().starts_with(prefix)).copied().collect()
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
    let prefix = message_prefix(text).map_err(|why| Refusal::new(Code::InvalidArgument, why))?;
    let mut found = node.operator.named(&prefix);
    let is_whole = found.iter().any(|message| message.to_string() == prefix);
    let records = if is_whole { Vec::new() } else { records(node, tx, &prefix)? };
    found.extend(records.iter().map(|(message, _)| *message));
    let message = only(&prefix, &found)?;
    let kept = node.operator.timeline(&message);
    let events = match records.iter().find(|(of, _)| *of == message) {
        // After a restart only the record is left: when it came in, and how it stands.
        Some((_, outbox)) if kept.is_empty() => record_events(node, outbox),
        _ => kept.to_vec(),
    };
    Ok(TraceReport { message: message.to_string(), events })
}

/// The messages that came in here and whose ids begin so, as far as they are on record.
fn records(node: &Node, tx: &mut Tx<'_>, prefix: &str) -> Run<Vec<(MessageId, Outbox)>> {
    let even = prefix.get(..prefix.len() & !1).unwrap_or_default();
    let mut place = vec![key::OUTBOX];
    place.extend(hex::decode(even).unwrap_or_default());
    let rows = tx.rows(&place, RECORDS_MAX)?;
    let read = rows.iter().filter_map(|(row_key, row)| {
        let message = MessageId::try_from(row_key.get(1..)?).ok()?;
        let outbox = open_row::<Outbox>(node, row_key, row)?;
        message.to_string().starts_with(prefix).then_some((message, outbox))
    });
    Ok(read.collect())
}

/// The one message that is meant.
fn only(prefix: &str, found: &BTreeSet<MessageId>) -> Result<MessageId, Refusal> {
    match (found.first(), found.len()) {
        (None, _) => Err(Refusal::new(Code::NotFound, unknown())),
        (Some(message), 1) => Ok(*message),
        (Some(_), several) => {
            let what = format!("{prefix} is ambiguous: {several} message ids begin so; give more digits of the one");
            Err(Refusal::new(Code::InvalidArgument, what))
        }
    }
}

/// What a node may have known and has forgotten.
fn unknown() -> String {
    format!(
        "this node knows no message of that id: it keeps the timelines of the last {TIMELINES} messages in memory, which a \
         restart forgets, and for {} days how a message ended that was handed in here; ask the node where it was",
        OUTCOME_LIFE.as_secs() / 86_400
    )
}

fn record_events(node: &Node, outbox: &Outbox) -> Vec<TraceEvent> {
    let event = |at, room: &'static str, what: Cow<'static, str>| TraceEvent { at, room: room.into(), what };
    let mut events = vec![event(outbox.received, "ingress", "stored".into())];
    let display = |by: &NodeId| node.membership.display(by);
    match outbox.stage {
        Stage::Held => {}
        Stage::Accepted { by, at } => events.push(event(at, "receipt", format!("accepted by {}", display(&by)).into())),
        Stage::Done { by, at, outcome } => {
            let outcome = format!("{outcome:?}").to_lowercase();
            events.push(event(at, "receipt", format!("done by {}: {outcome}", display(&by)).into()));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(messages: &[[u8; 32]]) -> State {
        let mut state = State::keeping(8);
        for (at, message) in messages.iter().enumerate() {
            let at = Timestamp(at as u64);
            state.apply(Change::Trace { message: MessageId(*message), at, room: "ingress", what: "stored".into() });
        }
        state
    }

    #[test]
    fn a_beginning_of_several_ids_is_ambiguous_and_counted() {
        let mut third = [0xab; 32];
        third[3] = 1;
        let (first, second) = ([0xab; 32], [[0xab; 31].as_slice(), &[2]].concat().try_into().unwrap());
        let state = kept(&[first, second, third, [7; 32]]);
        let find = |prefix: &str| only(prefix, &state.named(prefix));
        let several = |prefix: &str| find(prefix).map_err(|refusal| (refusal.code, refusal.text)).unwrap_err();
        let (code, told) = several("ababab");
        assert!(code == Code::InvalidArgument && told.contains("ambiguous: 3 message ids"), "{told}");
        assert!(several("abababab").1.contains("ambiguous: 2 message ids"));
        assert_eq!(find("abababa"), Err(Refusal::new(Code::InvalidArgument, several("abababa").1)));
        assert_eq!(find("abababab01").map_err(|refusal| refusal.code), Err(Code::NotFound));
        assert_eq!(find("ababab01"), Ok(MessageId(third)));
        assert_eq!(find("070707"), Ok(MessageId([7; 32])));
        assert_eq!(find(&MessageId(first).to_string()), Ok(MessageId(first)));
        let (code, told) = several("000000");
        assert!(code == Code::NotFound && told.contains("last 20000 messages in memory"), "{told}");
        assert!(told.contains("restart forgets") && told.contains("30 days"), "{told}");
    }
}
