//! Where a message enters: one SMS from a gateway client becomes durable, is answered, and only then routed.

mod copies;
mod gateways;
mod keywords;
mod segments;
mod waits;

use std::collections::{BTreeMap, VecDeque};

use relaymesh_protocol::detect::{DetectError, Detected, Message, detect};
use relaymesh_protocol::ids::{E164, GatewayId, MessageId, Timestamp};
use relaymesh_protocol::payload::Payload;

use crate::command::{Code, Door, MessageOutcome, Private, Refusal, Reply, Submit, Submitted};
use crate::delivery::{self, Cargo, Outbox, Stage};
use crate::input::ReplyTo;
use crate::locator::Lookup;
use crate::node::Node;
use crate::record::{self, get_node, key, put_node};
use crate::sets::{Open, Sets};
use crate::tx::{Run, Tx};

pub use gateways::{Gateway, id_of as gateway_id};
pub(crate) use gateways::{on_operator, on_save, restore};
pub(crate) use segments::{on_segments, restore as restore_segments};
pub(crate) use waits::{on_reply_wait, settle};

use gateways::{Brought, Usage};
use waits::Wait;

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [record::Reader; 3] = [
    record::Reader::of::<segments::Row>(),
    record::Reader::of::<gateways::Gateway>(),
    record::Reader::of::<gateways::Brought>(),
];

/// What ingress remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    gateways: BTreeMap<GatewayId, Gateway>,
    usage: BTreeMap<Door, Usage>,
    /// What gateway clients brought will be written down soon.
    saving: bool,
    sets: Sets,
    waits: BTreeMap<u64, Wait>,
    by_message: BTreeMap<MessageId, Vec<u64>>,
    keywords: keywords::Counts,
    /// Further doors of tests, oldest first.
    doors: VecDeque<copies::TestDoor>,
}

/// How ingress's memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Gateway(GatewayId, Box<Gateway>),
    GatewayGone(GatewayId),
    Used(Door, gateways::Use),
    Saving(bool),
    Saved(GatewayId, Brought),
    Set([u8; 16], Open),
    SetGone([u8; 16]),
    Wait(u64, Wait),
    Waited(u64),
    Keyword(keywords::Who, Timestamp),
    TestDoor(copies::TestDoor),
}

impl State {
    /// The gateway client behind a URL token's hash.
    pub(crate) fn gateway(&self, id: &GatewayId) -> Option<&Gateway> {
        self.gateways.get(id)
    }

    /// All gateway clients, in order of id.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = (&GatewayId, &Gateway)> {
        self.gateways.iter()
    }

    /// What the gateway client behind a URL has brought.
    pub(crate) fn brought(&self, id: &GatewayId) -> Brought {
        self.usage(Door::Gateway(*id)).brought
    }

    fn usage(&self, door: Door) -> Usage {
        self.usage.get(&door).copied().unwrap_or_else(|| Usage::of(door))
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Gateway(id, gateway) => {
                self.gateways.insert(id, *gateway);
            }
            Change::GatewayGone(id) => {
                self.gateways.remove(&id);
                self.usage.remove(&Door::Gateway(id));
            }
            Change::Used(door, used) => self.usage.entry(door).or_insert_with(|| Usage::of(door)).count(used),
            Change::Saving(soon) => self.saving = soon,
            Change::Saved(id, brought) => {
                if let Some(usage) = self.usage.get_mut(&Door::Gateway(id)) {
                    usage.saved = brought;
                }
            }
            Change::Set(place, open) => self.sets.add(place, open),
            Change::SetGone(place) => self.sets.remove(&place),
            Change::Wait(id, wait) => {
                self.by_message.entry(wait.message).or_default().push(id);
                self.waits.insert(id, wait);
            }
            Change::Waited(id) => self.drop_wait(id),
            Change::Keyword(who, at) => self.keywords.count(who, at),
            Change::TestDoor(door) => {
                if self.doors.len() >= copies::DOORS_MAX {
                    self.doors.pop_front();
                }
                self.doors.push_back(door);
            }
        }
    }

    fn drop_wait(&mut self, id: u64) {
        let Some(wait) = self.waits.remove(&id) else { return };
        if let Some(ids) = self.by_message.get_mut(&wait.message) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_message.remove(&wait.message);
            }
        }
    }
}

/// Nothing to set in motion: waits end with the process.
pub(crate) fn start(_node: &Node, _tx: &mut Tx<'_>) -> Run {
    Ok(())
}

/// What came in with a submission besides its payload.
struct Origin {
    sender: Option<E164>,
    gateway: Option<E164>,
    trusted: bool,
    date: Option<i64>,
    date_sent: Option<i64>,
}

/// One SMS.
pub(crate) fn on_submit(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, submit: &Submit) -> Run {
    let gateway = gateways::admit(node, tx, submit.door)?;
    let detected = match detect(submit.text.reveal()) {
        Ok(detected) => detected,
        Err(_) if keywords::take(node, tx, reply, submit, gateway)? => return Ok(()),
        Err(error) => return not_ours(node, tx, reply, submit.door, error),
    };
    let origin = origin(submit, gateway, matches!(&detected, Detected::Message(m) if m.payload.device_id().is_some()))?;
    match detected {
        Detected::Segment(segment) => segments::take(node, tx, reply, submit.door, &origin, segment),
        Detected::Message(message) => {
            gateways::used(node, tx, submit.door, gateways::Use::Accepted);
            take_message(node, tx, reply, &origin, &message, None)
        }
    }
}

/// A gateway client forwards everything that its phone gets: what is not ours is dropped unread and only counted. What was
/// ours and got damaged is told, so that whoever runs the modem sees that it cuts SMS.
fn not_ours(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, door: Door, error: DetectError) -> Run {
    if matches!((door, error), (Door::Gateway(_), DetectError::NotOurs)) {
        gateways::used(node, tx, door, gateways::Use::Ignored);
        node.count(tx, "sms_ignored");
        tx.reply(reply, Reply::Submitted(Submitted::Ignored));
        return Ok(());
    }
    let (counter, text) = match error {
        DetectError::NotOurs => ("sms_foreign", "not a RelaySMS payload".to_owned()),
        DetectError::Malformed(damage) => ("sms_malformed", format!("damaged RelaySMS payload: {damage}")),
    };
    node.count(tx, counter);
    Err(Refusal::new(Code::InvalidArgument, text).into())
}

fn origin(submit: &Submit, gateway: Option<&Gateway>, names_device: bool) -> Result<Origin, Refusal> {
    let sender = sender(&submit.sender, gateway);
    let sender = match sender {
        Err(_) if submit.door == Door::Content && names_device && submit.sender.reveal().is_empty() => None,
        other => Some(other?),
    };
    Ok(Origin {
        sender,
        gateway: gateway.map(|gateway| gateway.msisdn.clone()),
        trusted: gateway.is_some(),
        date: submit.date,
        date_sent: submit.date_sent,
    })
}

fn sender(text: &Private, gateway: Option<&Gateway>) -> Result<E164, Refusal> {
    let country = gateway.and_then(|gateway| gateway.country.as_deref());
    E164::normalise(text.reveal().trim(), country)
        .map_err(|why| Refusal::new(Code::InvalidArgument, format!("the sender is {why}")))
}

/// What a payload is routed by.
fn lookup(payload: &Payload, sender: Option<&E164>) -> Result<Lookup, Refusal> {
    let number = || {
        sender
            .cloned()
            .ok_or_else(|| Refusal::new(Code::InvalidArgument, "a payload without device ID needs its sender"))
    };
    Ok(match (payload, payload.device_id()) {
        (Payload::Bridge(bridge), _) => {
            Lookup::Bridge { number: number()?, kid: bridge.key_exchange.as_ref().map(|exchange| exchange.kid) }
        }
        (Payload::Platform(_), Some(device)) => Lookup::Device(device),
        (Payload::Platform(_), None) => Lookup::Number(number()?),
    })
}

/// A complete message: new ones become durable, copies hear what is known.
fn take_message(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    origin: &Origin,
    message: &Message,
    image: Option<u16>,
) -> Run {
    if matches!(message.payload, Payload::Bridge(_)) && !origin.trusted {
        // Anybody can make one for any number, and it leaves as mail under an operator's name.
        let text = "bridge mail comes in through enrolled gateway clients only (`relaymesh gateway add`)";
        return Err(Refusal::new(Code::InvalidArgument, text).into());
    }
    let lookup = lookup(&message.payload, origin.sender.as_ref())?;
    let id = match &lookup {
        Lookup::Device(device) => MessageId::of(device.as_bytes(), &message.bytes),
        Lookup::Number(number) | Lookup::Identity(number) | Lookup::Bridge { number, .. } => {
            MessageId::of(number.reveal().as_bytes(), &message.bytes)
        }
    };
    let place = key::outbox(&id);
    if (node.delivery.holds(&id) || !tx.presume_absent(&place)?)
        && let Some(known) = get_node::<Outbox>(node, tx, &place)?
    {
        node.count(tx, "sms_duplicate");
        node.trace(tx, id, "ingress", || "handed in once more, merged");
        copies::came_again(node, tx, id, &known, origin)?;
        return answer(node, tx, reply, id, known.outcome());
    }
    delivery::make_room(node, tx, id, origin.trusted)?;
    let received = tx.now();
    let outbox = Outbox {
        cargo: Cargo::Whole { payload: message.bytes.clone(), image },
        session: 0,
        lookup,
        sender: origin.sender.clone(),
        received,
        date: origin.date,
        date_sent: origin.date_sent,
        gateway: origin.gateway.clone(),
        trusted: origin.trusted,
        stage: Stage::Held,
    };
    put_node(node, tx, place, &outbox)?;
    node.count_then(tx, "sms_accepted");
    node.trace(tx, id, "ingress", || "stored");
    answer(node, tx, reply, id, None)?;
    delivery::hold(tx, id, &outbox);
    Ok(())
}

/// Answers now, or when an outcome is known or the wait ends.
fn answer(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, message: MessageId, known: Option<MessageOutcome>) -> Run {
    let final_outcome = known.filter(|outcome| *outcome != MessageOutcome::Pending);
    if final_outcome.is_some() || node.config().ingress_wait.is_zero() {
        tx.reply(reply, Reply::Submitted(Submitted::Accepted { message, outcome: final_outcome }));
        return Ok(());
    }
    waits::wait(node, tx, reply, message);
    Ok(())
}

/// An acceptance of this message has proven itself: its number is worth asking for first.
pub(crate) fn proven(node: &Node, tx: &mut Tx<'_>, outbox: &Outbox) {
    if let Lookup::Number(number) = &outbox.lookup {
        crate::locator::proven(node, tx, number);
    }
}
