//! Segments of one image session that reached different nodes come together at the home. Every set that another node hands
//! on is declined, whatever became of it, so that nobody learns by it whom this node knows.
//!
//! **Invariant:** a set that makes a whole is tried until its block is consumed or the set ends, also after a restart; and
//! every set ends a day after its last segment.

use std::time::Duration;

use relaymesh_protocol::detect::parse_text;
use relaymesh_protocol::ids::{DeviceId, E164, EntityId, NodeId, Timestamp};
use relaymesh_protocol::segment::assembly::{SEGMENT_TTL, Set};
use serde::{Deserialize, Serialize};

use super::consume::{self, block_key};
use super::{Change, Rows, claim};
use crate::delivery::{Cargo, Route, Submission};
use crate::input::Follow;
use crate::node::Node;
use crate::record::index::{self, Kind};
use crate::record::vault::{SEEN, Seen};
use crate::record::{Entity, Stored, delete_row, get_node, key, put_node, restore_row};
use crate::sets::{Open, Room, Worth};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Kind byte of the keyed hash that names a set of segments at the home.
const INDEX_SET: u8 = 34;
/// A whole is tried again after this, the pause growing fourfold: its first try may have been lost with the process.
const RETRY: Duration = Duration::from_secs(60);
/// So often: planted segments make wholes that nothing opens.
const TRIES_MAX: u8 = 5;

/// The segments of one session of one person.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    set: Set,
    entity: EntityId,
    session: u8,
    /// When the first of it came here, or its whole was consumed.
    since: Timestamp,
    /// Who brought some of it last: hears what becomes of the whole.
    from: NodeId,
    /// As that one handed it in, without the segments.
    submission: Submission,
    /// The sender, where this node is the ingress as well.
    number: Option<E164>,
    /// An operator whom this one knows vouches for some of it.
    vouched: bool,
    /// Times that the wholes it makes were tried.
    tries: u8,
    /// A whole of it was consumed, then.
    consumed: Option<Timestamp>,
}

impl Stored for Row {}

impl Row {
    /// When nothing of it is worth keeping any more.
    fn end(&self) -> Timestamp {
        self.set.since().unwrap_or(self.since).after(SEGMENT_TTL)
    }

    fn open(&self) -> Open {
        let worth = Worth::of(self.vouched, self.consumed.is_some());
        Open { sender: self.entity.0, since: self.since, worth }
    }
}

fn place(node: &Node, entity: &EntityId, session: u8) -> [u8; 16] {
    let mut value = entity.0.to_vec();
    value.push(session);
    node.crypto().index(node.keys(), INDEX_SET, &value)
}

/// An incomplete set, from here or out of an envelope.
pub(super) fn on_parts(
    node: &Node,
    tx: &mut Tx<'_>,
    from: NodeId,
    submission: &Submission,
    number: Option<&E164>,
    set: &Set,
) -> Run {
    // Nobody but this node itself knows a sender's number here: who names one asks whether it is known.
    let number = number.filter(|_| from == node.id());
    if let Some(entity) = whose(node, tx, &submission.route, number)? {
        merge(node, tx, entity, from, submission, number, set)?;
    }
    consume::decline(node, tx, from, submission.message)
}

fn whose(node: &Node, tx: &mut Tx<'_>, route: &Route, number: Option<&E164>) -> Run<Option<EntityId>> {
    match (route, number) {
        (Route::Device(device), _) => index::find(node, tx, Kind::Device, device.as_bytes()),
        (Route::Number { tag, key_id }, _) => index::find(node, tx, Kind::NumberTag, &consume::tag_value(*key_id, tag)),
        (Route::Bridge { .. }, Some(number)) => index::find(node, tx, Kind::Phone, number.reveal().as_bytes()),
        (Route::Bridge { .. }, None) | (Route::Identity { .. }, _) => Ok(None),
    }
}

fn merge(
    node: &Node,
    tx: &mut Tx<'_>,
    entity: EntityId,
    from: NodeId,
    submission: &Submission,
    number: Option<&E164>,
    set: &Set,
) -> Run {
    let now = tx.now();
    let place = place(node, &entity, submission.session);
    let vouched = claim::is_vouched(node, from, submission);
    let known = get_node::<Row>(node, tx, &key::home_set(&place))?;
    if known.is_none() && !make_room(node, tx, &entity, vouched)? {
        return Ok(());
    }
    let mut template = submission.clone();
    template.cargo = Cargo::Parts(Box::default());
    let number = number.cloned();
    let mut row = match known {
        Some(row) => Row { from, submission: template, number: number.or(row.number), ..row },
        None => Row {
            set: Set::default(),
            entity,
            session: submission.session,
            since: now,
            from,
            submission: template,
            number,
            vouched,
            tries: 0,
            consumed: None,
        },
    };
    let before = row.set.clone();
    row.set.merge(set.clone(), now);
    row.vouched |= vouched;
    node.count(tx, "segments_merged");
    if row.set == before {
        return Ok(());
    }
    row.tries = 0;
    look(node, tx, &place, row)
}

/// Makes room for one more set of a person; whether there is any.
fn make_room(node: &Node, tx: &mut Tx<'_>, entity: &EntityId, vouched: bool) -> Run<bool> {
    match node.home.sets.room(&entity.0, Worth::of(vouched, false)) {
        Room::Free => Ok(true),
        Room::Instead(other) => {
            node.count(tx, "segments_evicted");
            drop_set(tx, &other)?;
            Ok(true)
        }
        Room::None => {
            node.count(tx, "segments_full");
            Ok(false)
        }
    }
}

fn drop_set(tx: &mut Tx<'_>, place: &[u8; 16]) -> Run {
    tx.then(Change::SetGone(*place));
    delete_row(tx, key::home_set(place))
}

/// Looks at what a set makes: wholes are tried, and what is consumed needs no segments any more.
fn look(node: &Node, tx: &mut Tx<'_>, place: &[u8; 16], mut row: Row) -> Run {
    let now = tx.now();
    let wholes = wholes(node, tx, &row)?;
    let mut at = row.end();
    if is_consumed(node, tx, &row.entity, &wholes)? {
        (row.set, row.since, row.consumed) = (Set::default(), now, Some(now));
        at = row.end();
    } else if !wholes.is_empty() && row.tries < TRIES_MAX {
        at = at.min(now.after(RETRY.saturating_mul(1 << (2 * row.tries))));
        row.tries += 1;
        for whole in wholes {
            let submission = Box::new(whole.submission);
            tx.follow(Follow::Assembled { from: row.from, submission, number: row.number.clone() });
        }
    }
    tx.wake(at, Timer::HomeSet(*place));
    tx.then(Change::Set(*place, row.open()));
    put_node(node, tx, key::home_set(place), &row)
}

/// A whole that a set makes.
struct Whole {
    submission: Submission,
    block: [u8; 16],
}

fn wholes(node: &Node, tx: &mut Tx<'_>, row: &Row) -> Run<Vec<Whole>> {
    let mut wholes = Vec::new();
    for assembly in row.set.assemblies() {
        let Ok(message) = parse_text(&assembly.text) else { continue };
        let phone = match &row.number {
            Some(number) => Some(number.clone()),
            None => claim::phone(node, tx, row.entity)?,
        };
        let block = block_key(message.payload.block());
        let mut submission = row.submission.clone();
        submission.message = claim::id(&message.payload, phone.as_ref(), &message.bytes);
        if let Some(device) = message.payload.device_id() {
            submission.route = Route::Device(device);
        }
        submission.cargo = Cargo::Whole { payload: message.bytes, image: Some(assembly.image_len) };
        wholes.push(Whole { submission, block });
    }
    Ok(wholes)
}

fn is_consumed(node: &Node, tx: &mut Tx<'_>, entity: &EntityId, wholes: &[Whole]) -> Run<bool> {
    if wholes.is_empty() {
        return Ok(false);
    }
    let Some(entity) = Entity::load(node, tx, *entity)? else { return Ok(false) };
    for whole in wholes {
        if entity.get::<Seen>(node, tx, SEEN, &whole.block)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A set's time: what it makes is tried again, or it ends.
pub(crate) fn on_home_set(node: &Node, tx: &mut Tx<'_>, place: &[u8; 16]) -> Run {
    let Some(mut row) = get_node::<Row>(node, tx, &key::home_set(place))? else {
        tx.then(Change::SetGone(*place));
        return Ok(());
    };
    let now = tx.now();
    row.set.expire(now);
    if now >= row.end() {
        if row.consumed.is_none() {
            node.count(tx, "segments_expired_at_home");
        }
        return drop_set(tx, place);
    }
    look(node, tx, place, row)
}

/// Whether an image of this session was consumed here since.
pub(crate) fn has_image(
    node: &Node,
    tx: &mut Tx<'_>,
    devices: &[DeviceId],
    sender: &E164,
    session: u8,
    since: Timestamp,
) -> Run<bool> {
    let mut people = vec![index::find(node, tx, Kind::Phone, sender.reveal().as_bytes())?];
    for device in devices {
        people.push(index::find(node, tx, Kind::Device, device.as_bytes())?);
    }
    for entity in people.into_iter().flatten() {
        let row = get_node::<Row>(node, tx, &key::home_set(&place(node, &entity, session)))?;
        if row.and_then(|row| row.consumed).is_some_and(|at| at >= since) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the sets at start; each is looked at again.
pub(super) fn restore(node: &mut Node, rows: &Rows) {
    for (row_key, row) in rows {
        let place = row_key.get(1..).and_then(|place| <[u8; 16]>::try_from(place).ok());
        let (Some(place), Some(row)) = (place, restore_row::<Row>(node, row_key, row)) else { continue };
        node.home.sets.add(place, row.open());
        node.set_timer(row.since, Timer::HomeSet(place));
    }
}
