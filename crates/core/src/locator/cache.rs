//! Tags of numbers that were asked for, so that a region that is cut off still routes. A tag says nothing about whether
//! anybody is registered; that is looked up in the filter of the day.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::ids::{E164, NodeId, Tag, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Change, NumberKind};
use crate::batch::Key;
use crate::membership::Member;
use crate::node::Node;
use crate::record::{Stored, key, put_node, restore_row};
use crate::tx::{Run, Tx};

/// A tag is asked for again after this.
const LIFE: Duration = Duration::from_hours(30 * 24);
/// Most tags; the oldest make room.
const ENTRIES_MAX: usize = 1_000_000;
/// Tags that one run forgets.
const FORGET_MAX: usize = 4_096;
/// Kind bytes of the keyed hash, apart from those of index rows.
const KIND_PHONE: u8 = 0xA1;
const KIND_BRIDGE: u8 = 0xA2;

/// Keyed hash of node, key and number.
pub(super) type Place = [u8; 16];

/// A tag as stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    tag: Tag,
    at: Timestamp,
}

impl Stored for Row {}

/// All tags in memory.
#[derive(Debug, Default)]
pub(super) struct Cache {
    tags: BTreeMap<Place, (Tag, Timestamp)>,
    order: BTreeSet<(Timestamp, Place)>,
}

impl Cache {
    pub fn put(&mut self, place: Place, tag: Tag, at: Timestamp) {
        if let Some((_, old)) = self.tags.insert(place, (tag, at)) {
            self.order.remove(&(old, place));
        }
        self.order.insert((at, place));
    }

    pub fn remove(&mut self, place: &Place) {
        if let Some((_, at)) = self.tags.remove(place) {
            self.order.remove(&(at, *place));
        }
    }

    fn get(&self, place: &Place, now: Timestamp) -> Option<Tag> {
        self.tags.get(place).filter(|(_, at)| now.since(*at) < LIFE).map(|(tag, _)| *tag)
    }

    /// The oldest tags beyond `max`, and those that are too old.
    fn outdated(&self, now: Timestamp, max: usize) -> Vec<Place> {
        let over = self.tags.len().saturating_sub(max);
        let old = self.order.iter().enumerate().take_while(|(n, (at, _))| *n < over || now.since(*at) >= LIFE);
        old.take(FORGET_MAX).map(|(_, (_, place))| *place).collect()
    }
}

fn place(node: &Node, kind: NumberKind, number: &E164, of: &NodeId, key_id: u32) -> Place {
    let kind = match kind {
        NumberKind::Phone => KIND_PHONE,
        NumberKind::Bridge => KIND_BRIDGE,
    };
    let mut value = of.as_bytes().to_vec();
    value.extend_from_slice(&key_id.to_be_bytes());
    value.extend_from_slice(number.reveal().as_bytes());
    node.crypto().index(node.keys(), kind, &value)
}

/// The tag of a number under any of a member's oblivious keys, and the key's id.
pub(super) fn find(
    node: &Node,
    kind: NumberKind,
    number: &E164,
    member: &Member,
    now: Timestamp,
) -> Option<(u32, Tag)> {
    member.oblivious.iter().find_map(|(key_id, _)| {
        let tag = node.locator.cache.get(&place(node, kind, number, &member.id, *key_id), now)?;
        Some((*key_id, tag))
    })
}

/// Stores a tag; it is used once it is durable.
pub(super) fn store(
    node: &Node,
    tx: &mut Tx<'_>,
    kind: NumberKind,
    number: &E164,
    of: &NodeId,
    key_id: u32,
    tag: Tag,
) -> Run {
    let place = place(node, kind, number, of, key_id);
    let at = tx.now();
    put_node(node, tx, key::tag_cache(&place), &Row { tag, at })?;
    tx.then(Change::Cached(place, tag, at));
    Ok(())
}

/// Forgets what is too old or too much, so many at a time that one run stays small; tells how many.
pub(super) fn sweep(node: &Node, tx: &mut Tx<'_>) -> Run<usize> {
    let outdated = node.locator.cache.outdated(tx.now(), ENTRIES_MAX);
    let count = outdated.len();
    for place in outdated {
        tx.delete(key::tag_cache(&place))?;
        tx.then(Change::Uncached(place));
    }
    Ok(count)
}

pub(super) fn restore(node: &mut Node, row_key: &Key, row: &[u8]) {
    let place = row_key.get(1..).and_then(|place| Place::try_from(place).ok());
    if let (Some(place), Some(Row { tag, at })) = (place, restore_row::<Row>(node, row_key, row)) {
        node.locator.cache.put(place, tag, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_live_thirty_days() {
        let mut cache = Cache::default();
        let (place, tag) = ([1; 16], Tag([2; 16]));
        cache.put(place, tag, Timestamp(1_000));
        let end = Timestamp(1_000).after(LIFE);
        assert_eq!(cache.get(&place, end.before(Duration::from_millis(1))), Some(tag));
        assert_eq!(cache.get(&place, end), None);
        assert_eq!(cache.outdated(end, ENTRIES_MAX), [place]);
        cache.put(place, tag, end);
        assert_eq!(cache.get(&place, end), Some(tag));
        assert!(cache.outdated(end, ENTRIES_MAX).is_empty());
        cache.remove(&place);
        assert_eq!((cache.tags.len(), cache.order.len()), (0, 0));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut cache = Cache::default();
        for n in 0..10_u8 {
            cache.put([n; 16], Tag([n; 16]), Timestamp(u64::from(n)));
        }
        assert_eq!(cache.outdated(Timestamp(10), 7), [[0; 16], [1; 16], [2; 16]]);
    }
}
