//! Image messages arrive as up to 255 SMS, maybe at several nodes: sets are kept per sender and session, handed to the
//! home when they stay incomplete, again as they grow, and given up after a day. What was handed on ends with its set.

use std::time::Duration;

use relaymesh_protocol::detect::parse_text;
use relaymesh_protocol::ids::{E164, Language, MessageId, Timestamp};
use relaymesh_protocol::segment::Segment;
use relaymesh_protocol::segment::assembly::{Progress, SEGMENT_TTL, Set};
use relaymesh_protocol::sms_text::Notice;
use serde::{Deserialize, Serialize};

use super::{Change, Origin, gateways, take_message};
use crate::batch::Key;
use crate::command::{Code, Door, Refusal, Reply, Submitted};
use crate::delivery::{self, Cargo, Outbox, Stage};
use crate::egress;
use crate::home;
use crate::input::ReplyTo;
use crate::locator::Lookup;
use crate::node::Node;
use crate::record::{Stored, delete_row, get_node, key, put_node, restore_row};
use crate::sets::{Open, Room, Worth};
use crate::timer::Timer;
use crate::tx::{Halt, Run, Tx};

/// An incomplete set goes to the home after this: the rest may have reached another node.
const HAND_ON_AFTER: Duration = Duration::from_secs(10 * 60);
/// A set that has grown since goes to the home once more after this, with what else came meanwhile.
const HAND_ON_AGAIN: Duration = Duration::from_secs(2 * 60);
/// Kind byte of the keyed hash that names a set.
const INDEX_SET: u8 = 33;
/// Kind byte of the keyed hash that names a sender of sets.
const INDEX_SENDER: u8 = 35;
/// Assemblies of one set that are tried: one is real, the others were planted.
const ASSEMBLIES_TRIED: usize = 4;

/// A set on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    set: Set,
    session: u8,
    sender: E164,
    gateway: Option<E164>,
    trusted: bool,
    date: Option<i64>,
    date_sent: Option<i64>,
    since: Timestamp,
    /// The home was sent all of it.
    handed_on: bool,
    /// An enrolled gateway client brought some of it: its sender is told how it ends.
    enrolled: bool,
    /// Under which names it waits in the outbox for its home.
    handed: Vec<MessageId>,
}

impl Stored for Row {
    const VERSION: u8 = 2;

    /// Version 1 ended before `handed`: what was handed on then ends by itself.
    fn migrate(version: u8, bytes: &[u8]) -> Option<Self> {
        if version != 1 {
            return None;
        }
        let whole = [bytes, &[0]].concat();
        let (row, left) = postcard::take_from_bytes(&whole).ok()?;
        left.is_empty().then_some(row)
    }
}

impl Row {
    fn is_complete(&self) -> bool {
        matches!(self.set.progress(), Progress::Complete(_))
    }
}

fn place(node: &Node, sender: &E164, session: u8) -> [u8; 16] {
    let mut value = sender.reveal().as_bytes().to_vec();
    value.push(session);
    node.crypto().index(node.keys(), INDEX_SET, &value)
}

fn sender_hash(node: &Node, sender: &E164) -> [u8; 16] {
    node.crypto().index(node.keys(), INDEX_SENDER, sender.reveal().as_bytes())
}

/// Takes one segment: durable, then answered; the last one makes a message.
pub(super) fn take(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, door: Door, origin: &Origin, segment: Segment) -> Run {
    let sender =
        origin.sender.clone().ok_or_else(|| Refusal::new(Code::InvalidArgument, "a segment needs its sender"))?;
    let (session, now) = (segment.session, tx.now());
    let hash = place(node, &sender, session);
    let mut row = match get_node::<Row>(node, tx, &key::segments(&hash))? {
        Some(row) => row,
        None => open(node, tx, origin, sender, session)?,
    };
    row.trusted &= origin.trusted;
    row.enrolled |= origin.trusted;
    let progress = row.set.insert(segment, now);
    gateways::used(node, tx, door, gateways::Use::Accepted);
    match progress {
        Progress::Rejected(reason) => Err(Refusal::new(Code::InvalidArgument, reason.to_string()).into()),
        Progress::Complete(_) => complete(node, tx, reply, origin, &hash, row),
        // The answer to the last segment was lost: its sender hears what became of the message.
        Progress::Duplicate if row.is_complete() => complete(node, tx, reply, origin, &hash, row),
        Progress::Duplicate | Progress::Held { .. } => {
            if progress != Progress::Duplicate {
                row.handed_on = false;
                let first = row.since.after(HAND_ON_AFTER);
                let at = if now < first { first } else { now.after(HAND_ON_AGAIN) };
                tx.wake_by(at, Timer::Segments(hash));
            }
            let (received, total) = standing(&row.set);
            keep(node, tx, &hash, &row)?;
            node.count(tx, "segment_stored");
            tx.reply(reply, Reply::Submitted(Submitted::Segment { received, total, session }));
            Ok(())
        }
    }
}

/// A set that begins, if there is room for it.
fn open(node: &Node, tx: &mut Tx<'_>, origin: &Origin, sender: E164, session: u8) -> Run<Row> {
    match node.ingress.sets.room(&sender_hash(node, &sender), Worth::of(origin.trusted, false)) {
        Room::Free => {}
        Room::Instead(other) => {
            let row = get_node::<Row>(node, tx, &key::segments(&other))?;
            node.count(tx, "segments_evicted");
            give_up(node, tx, &other, row)?;
        }
        Room::None => {
            node.count(tx, "segments_full");
            let text = "too many images are on their way; please try again later";
            return Err(Refusal::new(Code::ResourceExhausted, text).into());
        }
    }
    Ok(Row {
        set: Set::default(),
        session,
        sender,
        gateway: origin.gateway.clone(),
        trusted: origin.trusted,
        date: origin.date,
        date_sent: origin.date_sent,
        since: tx.now(),
        handed_on: false,
        enrolled: origin.trusted,
        handed: Vec::new(),
    })
}

/// Writes a set, and notes how it stands.
fn keep(node: &Node, tx: &mut Tx<'_>, hash: &[u8; 16], row: &Row) -> Run {
    put_node(node, tx, key::segments(hash), row)?;
    tx.then(Change::Set(*hash, noted(node, row)));
    Ok(())
}

fn noted(node: &Node, row: &Row) -> Open {
    let worth = Worth::of(row.enrolled, row.is_complete());
    Open { sender: sender_hash(node, &row.sender), since: row.since, worth }
}

/// A set ends, and with it what was handed on of it.
fn give_up(node: &Node, tx: &mut Tx<'_>, hash: &[u8; 16], row: Option<Row>) -> Run {
    if let Some(mut row) = row {
        tell_end(node, tx, &row)?;
        withdraw(tx, &mut row)?;
    }
    tx.then(Change::SetGone(*hash));
    delete_row(tx, key::segments(hash))
}

/// What was handed on waits for its home no longer.
fn withdraw(tx: &mut Tx<'_>, row: &mut Row) -> Run {
    row.handed.drain(..).try_for_each(|message| delivery::withdraw(tx, message))
}

/// Tells the sender of a set that stayed incomplete, if it is an image for all we know, and if it was an enrolled gateway
/// client that named the sender: anybody else may have made the number up. Only where this node is the home itself does it
/// know that the image came together after all.
fn tell_end(node: &Node, tx: &mut Tx<'_>, row: &Row) -> Run {
    if row.is_complete() || !row.enrolled || !row.set.is_credible() {
        return Ok(());
    }
    if home::has_image(node, tx, &row.set.device_ids(), &row.sender, row.session, row.since)? {
        return Ok(());
    }
    let (have, total) = standing(&row.set);
    let notice = Notice::ImageIncomplete { have, total: (total > 0).then_some(total) };
    egress::notice(node, tx, &row.sender, Language::EN, &notice)?;
    node.count(tx, "segments_expired");
    Ok(())
}

fn standing(set: &Set) -> (u8, u8) {
    match set.progress() {
        Progress::Held { have, total } => (u8::try_from(have).unwrap_or(u8::MAX), total.unwrap_or(0)),
        _ => (0, 0),
    }
}

/// All segments are here. Planted ones may make other assemblies: each is a message of its own, and only the real one's
/// MAC will ever be proven. The set stays for its day, so that late copies are seen as such.
fn complete(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, origin: &Origin, hash: &[u8; 16], mut row: Row) -> Run {
    withdraw(tx, &mut row)?;
    keep(node, tx, hash, &row)?;
    tx.wake(row.since.after(SEGMENT_TTL), Timer::Segments(*hash));
    let mut told = false;
    for assembly in row.set.assemblies().take(ASSEMBLIES_TRIED) {
        let Ok(message) = parse_text(&assembly.text) else { continue };
        let to = if told { ReplyTo::NOBODY } else { reply };
        take_message(node, tx, to, origin, &message, Some(assembly.image_len))?;
        told = true;
    }
    if told { Ok(()) } else { Err(Refusal::new(Code::InvalidArgument, "the assembled segments are no payload").into()) }
}

/// A set's time: first it is sent on as it is, then it ends and its sender is told once.
pub(crate) fn on_segments(node: &Node, tx: &mut Tx<'_>, hash: &[u8; 16]) -> Run {
    let Some(mut row) = get_node::<Row>(node, tx, &key::segments(hash))? else { return Ok(()) };
    let now = tx.now();
    if now.since(row.since) >= SEGMENT_TTL {
        return give_up(node, tx, hash, Some(row));
    }
    tx.wake(row.since.after(SEGMENT_TTL), Timer::Segments(*hash));
    if row.is_complete() || row.handed_on {
        return Ok(());
    }
    row.handed_on = true;
    withdraw(tx, &mut row)?;
    match hand_on(node, tx, &mut row) {
        // There is no room for it in the outbox: the copy here stays, and may still be completed.
        Err(Halt::Refused(_)) => node.count(tx, "segments_not_handed_on"),
        other => other?,
    }
    put_node(node, tx, key::segments(hash), &row)
}

/// Sends an incomplete set towards the home: by the device ID if that is complete in it, else by the sender's number. Planted
/// segments may make more than one. Such an envelope frees nothing.
fn hand_on(node: &Node, tx: &mut Tx<'_>, row: &mut Row) -> Run {
    let devices = row.set.device_ids();
    if devices.is_empty() {
        let number = Lookup::Number(row.sender.clone());
        return hand_on_by(node, tx, row, number);
    }
    devices.into_iter().try_for_each(|device| hand_on_by(node, tx, row, Lookup::Device(device)))
}

fn hand_on_by(node: &Node, tx: &mut Tx<'_>, row: &mut Row, lookup: Lookup) -> Run {
    let parts = postcard::to_allocvec(&row.set).expect("writing to memory cannot fail");
    let origin = match &lookup {
        Lookup::Device(device) => device.as_bytes().to_vec(),
        _ => row.sender.reveal().as_bytes().to_vec(),
    };
    let message = MessageId::of(&origin, &parts);
    delivery::make_room(node, tx, message, row.trusted)?;
    let outbox = Outbox {
        cargo: Cargo::Parts(Box::new(row.set.clone())),
        session: row.session,
        lookup,
        sender: None,
        // What was handed on ends when the set does.
        received: row.since,
        date: row.date,
        date_sent: row.date_sent,
        gateway: row.gateway.clone(),
        trusted: row.trusted,
        stage: Stage::Held,
    };
    put_node(node, tx, key::outbox(&message), &outbox)?;
    delivery::hold(tx, message, &outbox);
    row.handed.push(message);
    node.count(tx, "segments_handed_on");
    Ok(())
}

/// Sets their timers again after a restart.
pub(crate) fn restore(node: &mut Node, rows: &[(Key, Vec<u8>)]) {
    for (row_key, row) in rows {
        let hash = row_key.get(1..).and_then(|hash| <[u8; 16]>::try_from(hash).ok());
        let (Some(hash), Some(row)) = (hash, restore_row::<Row>(node, row_key, row)) else { continue };
        let noted = noted(node, &row);
        node.ingress.apply(Change::Set(hash, noted));
        let after = if row.handed_on { SEGMENT_TTL } else { HAND_ON_AFTER };
        node.set_timer(row.since.after(after), Timer::Segments(hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};

    #[test]
    fn a_set_of_version_1_has_nothing_of_its_own_in_the_outbox() {
        let mut set = Set::default();
        let later = relaymesh_protocol::segment::Part::Later(1);
        let segment = Segment { session: 7, part: later, chunk: "AAAA".to_owned() };
        assert!(matches!(set.insert(segment, Timestamp(5)), Progress::Held { .. }));
        let row = Row {
            set,
            session: 7,
            sender: "+237650123456".parse().unwrap(),
            gateway: None,
            trusted: true,
            date: Some(3),
            date_sent: None,
            since: Timestamp(5),
            handed_on: true,
            enrolled: true,
            handed: Vec::new(),
        };
        let mut bytes = encode(&row).to_vec();
        assert_eq!((bytes[0], bytes.pop()), (2, Some(0)));
        bytes[0] = 1;
        let read: Row = decode(&bytes).unwrap();
        assert_eq!((read.set, read.session, read.sender, read.since), (row.set, 7, row.sender, Timestamp(5)));
        assert!(read.trusted && read.handed_on && read.enrolled && read.handed.is_empty());
        assert!(decode::<Row>(&[bytes.as_slice(), &[0]].concat()).is_none());
        assert!(decode::<Row>(&bytes[..bytes.len() - 1]).is_none());
        for version in [0, 3] {
            bytes[0] = version;
            assert!(decode::<Row>(&bytes).is_none());
        }
    }
}
