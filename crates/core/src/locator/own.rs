//! The people of this node: what their routing tags are, and the two filters that are published of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_core::Rng;
use relaymesh_protocol::frame::FilterLayer;
use relaymesh_protocol::ids::{DeviceId, E164, EntityId, MeshId, Tag, Timestamp};
use relaymesh_seal::tags::{device_tag, filter_key};
use serde::{Deserialize, Serialize};

use super::filter::{Filter, padded};
use super::{Change, NumberKind, fetch, look_soon, oblivious};
use crate::batch::Key;
use crate::membership;
use crate::node::Node;
use crate::record::index;
use crate::record::vault::{ACCOUNT, Account};
use crate::record::{Entity, Scope, Stored, get_node, key, put_node, restore_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Retired device IDs and numbers stay findable, to answer late copies.
const RETIRED_LIFE: Duration = Duration::from_hours(150 * 24);
/// A base filter is built anew after this long even if it would hold the same people.
const BASE_LIFE: Duration = Duration::from_hours(30 * 24);
/// Fewest keys in a base filter: fewer people than this cannot be told from none.
const BASE_KEYS_MIN: usize = 256;
/// Fewest keys in a recent filter.
const RECENT_KEYS_MIN: usize = 64;
/// Who signed up may write at once: the filter follows a pause in newcomers of this length, or the full minute.
const PUBLISH_SOON: Duration = Duration::from_secs(1);
/// More new keys than this, and the base is built again instead.
const RECENT_KEYS_MAX: usize = 50_000;
/// Entities that one run gives tags under a new oblivious key, or frees of old ones.
const ENTITIES_PER_RUN: usize = 32;
/// Kind byte of the keyed hash of a tag row, apart from those of index rows.
const KIND_TAG_ROW: u8 = 0xA3;
/// Rows whose age is near the base filter's are taken for new: they may have been written while it was built.
const BASE_SLACK: Duration = Duration::from_secs(600);
/// Where bridge identities keep their number, in the order of fields that `home` writes.
const BRIDGE_IDENTITY: u8 = 9;

/// What an entity is found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// What its payloads carry.
    pub device: Option<DeviceId>,
    /// The number of its account.
    pub phone: Option<E164>,
    /// The number of its bridge identity.
    pub bridge: Option<E164>,
}

/// What a tag is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum What {
    Device,
    Number { kind: NumberKind, key_id: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OwnTag {
    what: What,
    tag: Tag,
    added: Timestamp,
    retired: Option<Timestamp>,
}

/// An entity's tags as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    entity: EntityId,
    tags: Vec<OwnTag>,
}

impl Stored for Row {
    const SCOPE: Scope = Scope::Node;
}

/// The number of a bridge identity, as stored with the entity.
#[derive(Serialize, Deserialize)]
pub(super) struct BridgeNumber {
    number: E164,
}

impl Stored for BridgeNumber {}

/// A tag in memory: its key in this node's filter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mine {
    key: u64,
    what: What,
    retired: Option<Timestamp>,
}

/// All people of this node.
#[derive(Debug, Default)]
pub(super) struct Own {
    entities: BTreeMap<EntityId, Vec<Mine>>,
    devices: BTreeMap<u64, u32>,
    numbers: BTreeMap<u64, u32>,
    /// Keys that the base filter lacks.
    fresh: BTreeSet<u64>,
    /// Entities changed so far, and when the recent filter was built.
    changes: u64,
    built: u64,
    /// Keys that the base filter has and nobody here any more.
    gone: u64,
    /// The recent filter names somebody who is gone: one that does not is due.
    stale: bool,
    /// Highest version that anybody has of this node's filters.
    seen: u64,
    /// The mesh that the base filter is signed for.
    pub mesh: Option<MeshId>,
}

fn count_down(counts: &mut BTreeMap<u64, u32>, key: u64) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Own {
    fn counts(&mut self, what: What) -> &mut BTreeMap<u64, u32> {
        match what {
            What::Device => &mut self.devices,
            What::Number { .. } => &mut self.numbers,
        }
    }

    fn has(&self, key: u64) -> bool {
        self.devices.contains_key(&key) || self.numbers.contains_key(&key)
    }

    /// Replaces an entity's tags; none removes it.
    pub fn set(&mut self, entity: EntityId, tags: Vec<Mine>) {
        let old = self.entities.remove(&entity).unwrap_or_default();
        for mine in &tags {
            if !self.has(mine.key) {
                self.fresh.insert(mine.key);
                self.changes += 1;
            }
            *self.counts(mine.what).entry(mine.key).or_default() += 1;
        }
        for mine in old {
            count_down(self.counts(mine.what), mine.key);
            if !self.has(mine.key) && !self.fresh.remove(&mine.key) {
                self.gone += 1;
            }
        }
        if !tags.is_empty() {
            self.entities.insert(entity, tags);
        }
    }

    /// A filter of these keys is durable.
    pub fn built(&mut self, layer: FilterLayer, keys: &[u64], changes: u64) {
        self.built = self.built.max(changes);
        let gone = keys.iter().filter(|key| !self.has(**key)).count() as u64;
        match layer {
            FilterLayer::Base => {
                for key in keys {
                    self.fresh.remove(key);
                }
                self.gone = gone;
            }
            FilterLayer::Recent => self.stale = gone > 0,
        }
    }

    /// The recent filter that is out names somebody who has just gone.
    pub fn outlived(&mut self) {
        self.stale = true;
    }

    /// Whether the published filters say all there is to say, in this mesh.
    pub fn is_published(&self, mesh: MeshId) -> bool {
        self.mesh == Some(mesh) && !self.stale && (self.changes <= self.built || self.fresh.is_empty())
    }

    /// Somebody has this version of one of the own filters.
    pub fn saw(&mut self, version: u64) {
        self.seen = self.seen.max(version);
    }

    /// Whether a device tag of this filter key is here.
    pub fn holds(&self, key: u64) -> bool {
        self.devices.contains_key(&key)
    }

    /// Whether a number tag of this filter key is here.
    pub fn holds_number(&self, key: u64) -> bool {
        self.numbers.contains_key(&key)
    }

    /// How many people.
    pub fn len(&self) -> usize {
        self.entities.len()
    }
}

fn place(node: &Node, entity: EntityId) -> Key {
    key::tag(&node.crypto().index(node.keys(), KIND_TAG_ROW, entity.as_bytes()))
}

fn index_value(key_id: u32, tag: &Tag) -> Vec<u8> {
    [key_id.to_be_bytes().as_slice(), tag.as_bytes()].concat()
}

fn mine(node: &Node, tags: &[OwnTag]) -> Vec<Mine> {
    let one = |own: &OwnTag| Mine { key: filter_key(&own.tag, &node.id()), what: own.what, retired: own.retired };
    tags.iter().map(one).collect()
}

/// Adds what an entity is found by. Nothing is taken away: what it replaces is retired, and found for 150 days more.
pub(crate) fn add_entity(node: &Node, tx: &mut Tx<'_>, entity: EntityId, routing: &Routing) -> Run {
    let place = place(node, entity);
    let row = get_node::<Row>(node, tx, &place)?;
    let mut row = row.unwrap_or(Row { entity, tags: Vec::new() });
    let now = tx.now();
    if let Some(device) = &routing.device {
        enter(&mut row, What::Device, device_tag(device), now);
    }
    let numbers = [(NumberKind::Phone, &routing.phone), (NumberKind::Bridge, &routing.bridge)];
    for (kind, number) in numbers {
        let Some(number) = number else { continue };
        for (key_id, tag) in oblivious::own_tags(node, number, kind.purpose()) {
            enter(&mut row, What::Number { kind, key_id }, tag, now);
            index::put(node, tx, kind.index(), &index_value(key_id, &tag), entity)?;
        }
    }
    if !node.config().metered {
        tx.wake(now.after(PUBLISH_SOON), Timer::FilterSoon);
    }
    look_soon(tx);
    write(node, tx, place, row)
}

fn enter(row: &mut Row, what: What, tag: Tag, now: Timestamp) {
    for own in row.tags.iter_mut().filter(|own| own.what == what) {
        if own.tag != tag {
            own.retired = own.retired.or(Some(now));
        }
    }
    match row.tags.iter_mut().find(|own| own.what == what && own.tag == tag) {
        Some(own) => own.retired = None,
        None => row.tags.push(OwnTag { what, tag, added: now, retired: None }),
    }
}

fn write(node: &Node, tx: &mut Tx<'_>, place: Key, row: Row) -> Run {
    let mine = mine(node, &row.tags);
    if row.tags.is_empty() {
        tx.delete(place)?;
    } else {
        put_node(node, tx, place, &row)?;
    }
    if outlives(node, row.entity, &mine) {
        tx.then(Change::OwnOutlived);
        look_soon(tx);
    }
    tx.then(Change::Own(row.entity, mine));
    Ok(())
}

/// Whether the recent filter names what an entity is no longer found by. It is asked itself: what it was built of is not
/// kept, and one that errs is built anew for nothing, once in thousands of times.
fn outlives(node: &Node, entity: EntityId, mine: &[Mine]) -> bool {
    let Some(recent) = node.locator.book.get(&node.id(), FilterLayer::Recent) else { return false };
    let before = node.locator.own.entities.get(&entity).into_iter().flatten();
    let mut gone = before.filter(|old| mine.iter().all(|new| new.key != old.key));
    gone.any(|old| recent.filter.contains(old.key))
}

/// Forgets what an entity was found by. Its keys leave the recent filter within the minute, and the base with the next one.
pub(crate) fn remove_entity(node: &Node, tx: &mut Tx<'_>, entity: EntityId) -> Run {
    let place = place(node, entity);
    let Some(row) = get_node::<Row>(node, tx, &place)? else { return Ok(()) };
    unindex(node, tx, entity, &row.tags)?;
    write(node, tx, place, Row { entity, tags: Vec::new() })
}

/// Removes the index rows of number tags, as far as they still point at this entity.
fn unindex(node: &Node, tx: &mut Tx<'_>, entity: EntityId, tags: &[OwnTag]) -> Run {
    for own in tags {
        let What::Number { kind, key_id } = own.what else { continue };
        let value = index_value(key_id, &own.tag);
        if index::find(node, tx, kind.index(), &value)? == Some(entity) {
            index::delete(node, tx, kind.index(), &value)?;
        }
    }
    Ok(())
}

/// Gives some entities their tags under a new oblivious key, and takes away those of keys and identifiers long retired.
/// Tells of how many.
pub(super) fn renew(node: &Node, tx: &mut Tx<'_>) -> Run<usize> {
    let ids = oblivious::key_ids(node);
    let now = tx.now();
    let stale = |mine: &Mine| {
        let retired = mine.retired.is_some_and(|at| now.since(at) >= RETIRED_LIFE);
        retired || matches!(mine.what, What::Number { key_id, .. } if !ids.contains(&key_id))
    };
    let due: Vec<EntityId> = node
        .locator
        .own
        .entities
        .iter()
        .filter(|(_, tags)| tags.iter().any(stale) || lacks(tags, &ids))
        .map(|(entity, _)| *entity)
        .take(ENTITIES_PER_RUN)
        .collect();
    tx.prefetch(due.iter().flat_map(|entity| {
        let account = key::entity(entity, ACCOUNT, b"");
        let bridge = key::entity(entity, BRIDGE_IDENTITY, b"");
        [place(node, *entity), key::head(entity), account, bridge]
    }))?;
    let count = due.len();
    for entity in due {
        renew_one(node, tx, entity, &ids)?;
    }
    Ok(count)
}

/// Whether a live number has no tag under one of the keys.
fn lacks(tags: &[Mine], ids: &[u32]) -> bool {
    [NumberKind::Phone, NumberKind::Bridge].into_iter().any(|wanted| {
        let live = tags.iter().filter(|mine| mine.retired.is_none());
        let have: BTreeSet<u32> = live
            .filter_map(|mine| match mine.what {
                What::Number { kind, key_id } if kind == wanted => Some(key_id),
                _ => None,
            })
            .collect();
        !have.is_empty() && ids.iter().any(|id| !have.contains(id))
    })
}

fn renew_one(node: &Node, tx: &mut Tx<'_>, entity: EntityId, ids: &[u32]) -> Run {
    let place = place(node, entity);
    let Some(mut row) = get_node::<Row>(node, tx, &place)? else {
        tx.change(Change::Own(entity, Vec::new()));
        return Ok(());
    };
    let numbers = numbers(node, tx, entity, &row)?;
    let now = tx.now();
    let (gone, kept): (Vec<_>, Vec<_>) = row.tags.into_iter().partition(|own| {
        let retired = own.retired.is_some_and(|at| now.since(at) >= RETIRED_LIFE);
        retired || matches!(own.what, What::Number { key_id, .. } if !ids.contains(&key_id))
    });
    row.tags = kept;
    unindex(node, tx, entity, &gone)?;
    // A number that cannot be read any more gets no new tags; it is not tried again each minute.
    for own in row.tags.iter_mut() {
        let readable = |kind| numbers.iter().any(|(known, _)| *known == kind);
        if matches!(own.what, What::Number { kind, .. } if !readable(kind)) {
            own.retired = own.retired.or(Some(now));
        }
    }
    for (kind, number) in numbers {
        for (key_id, tag) in oblivious::own_tags(node, &number, kind.purpose()) {
            enter(&mut row, What::Number { kind, key_id }, tag, now);
            index::put(node, tx, kind.index(), &index_value(key_id, &tag), entity)?;
        }
    }
    write(node, tx, place, row)
}

/// The numbers of an entity that are routed by, from its own sealed records.
fn numbers(node: &Node, tx: &mut Tx<'_>, entity: EntityId, row: &Row) -> Run<Vec<(NumberKind, E164)>> {
    let Some(record) = Entity::load(node, tx, entity)? else { return Ok(Vec::new()) };
    let routed = |wanted| row.tags.iter().any(|own| matches!(own.what, What::Number { kind, .. } if kind == wanted));
    let mut numbers = Vec::new();
    if routed(NumberKind::Phone) {
        let account = record.get::<Account>(node, tx, ACCOUNT, b"")?;
        numbers.extend(account.and_then(|account| account.phone).map(|number| (NumberKind::Phone, number)));
    }
    if routed(NumberKind::Bridge) {
        let bridge = record.get::<BridgeNumber>(node, tx, BRIDGE_IDENTITY, b"")?;
        numbers.extend(bridge.map(|bridge| (NumberKind::Bridge, bridge.number)));
    }
    Ok(numbers)
}

/// Whether this node has people to publish.
fn publishes(node: &Node) -> bool {
    let roles = node.config().roles;
    (roles.vault || roles.bridge) && !node.config().without.filters
}

/// Whether the filters out there say all there is to say of this node's people.
pub(super) fn is_published(node: &Node) -> bool {
    !publishes(node) || node.locator.own.is_published(node.membership.mesh())
}

/// Builds the base filter when there is none for this mesh, else the recent one when somebody is new, or gone from it.
pub(super) fn publish(node: &Node, tx: &mut Tx<'_>) -> Run {
    if !publishes(node) {
        return Ok(());
    }
    let own = &node.locator.own;
    let base = node.locator.book.get(&node.id(), FilterLayer::Base);
    // A filter is signed for one mesh: after a join, the others refuse what was built before it.
    let for_another = own.mesh != Some(node.membership.mesh());
    if base.is_none() || for_another || own.fresh.len() > RECENT_KEYS_MAX {
        return build(node, tx, FilterLayer::Base, Haste::AtOnce);
    }
    if own.changes > own.built && !own.fresh.is_empty() {
        return build(node, tx, FilterLayer::Recent, Haste::AtOnce);
    }
    if own.stale {
        return build(node, tx, FilterLayer::Recent, Haste::InTime);
    }
    Ok(())
}

/// Builds the base filter: everybody. Nobody is new in it, so it gets around by comparing. One in which nobody would come or
/// go is left as it is for a while: to build it anew would tell nobody anything, and cost every node its bytes.
pub(super) fn publish_base(node: &Node, tx: &mut Tx<'_>) -> Run {
    let own = &node.locator.own;
    let kept = node.locator.book.get(&node.id(), FilterLayer::Base);
    let young = kept.is_some_and(|kept| tx.now().since(kept.at) < BASE_LIFE);
    let same = own.fresh.is_empty() && own.gone == 0 && own.mesh == Some(node.membership.mesh());
    if !publishes(node) || (young && same) { Ok(()) } else { build(node, tx, FilterLayer::Base, Haste::InTime) }
}

/// How soon others shall have a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    /// Somebody in it may write at any moment.
    AtOnce,
    /// Others find everybody without it.
    InTime,
}

fn build(node: &Node, tx: &mut Tx<'_>, layer: FilterLayer, haste: Haste) -> Run {
    let own = &node.locator.own;
    let (mut keys, min): (BTreeSet<u64>, usize) = match layer {
        FilterLayer::Base => (own.devices.keys().chain(own.numbers.keys()).copied().collect(), BASE_KEYS_MIN),
        FilterLayer::Recent => (own.fresh.clone(), RECENT_KEYS_MIN),
    };
    let included: Vec<u64> = keys.iter().copied().collect();
    let size = padded(keys.len(), min);
    while keys.len() < size {
        keys.insert(tx.rng().next_u64());
    }
    let keys: Vec<u64> = keys.into_iter().collect();
    let last = node.locator.book.version(&node.id(), layer).max(own.seen);
    let version = tx.now().0.max(last.saturating_add(1));
    let sign = |label, parts: &[&[u8]]| node.crypto().sign(node.keys(), label, parts);
    let Some(filter) = Filter::build(node.id(), layer, version, &keys, &node.membership.mesh(), sign) else {
        node.count(tx, "filter_not_built");
        return Ok(());
    };
    let head = filter.head();
    fetch::store(node, tx, filter)?;
    tx.then(Change::Built(layer, included, own.changes));
    if layer == FilterLayer::Base {
        tx.then(Change::BuiltFor(node.membership.mesh()));
    }
    node.count(tx, "filter_built");
    if haste == Haste::AtOnce {
        membership::tell_filter(node, tx, head, None);
    }
    Ok(())
}

pub(super) fn restore(node: &mut Node, row_key: &Key, row: &[u8]) {
    let Some(row) = restore_row::<Row>(node, row_key, row) else { return };
    let base = node.locator.book.get(&node.id(), FilterLayer::Base).map(|kept| kept.at.before(BASE_SLACK));
    let mine = mine(node, &row.tags);
    let settled: Vec<u64> = mine
        .iter()
        .zip(&row.tags)
        .filter(|(_, own)| base.is_some_and(|base| own.added < base))
        .map(|(mine, _)| mine.key)
        .collect();
    node.locator.own.set(row.entity, mine);
    node.locator.own.built(FilterLayer::Base, &settled, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: What = What::Number { kind: NumberKind::Phone, key_id: 1 };

    fn one(key: u64, what: What) -> Mine {
        Mine { key, what, retired: None }
    }

    #[test]
    fn a_key_of_two_entities_stays_until_both_are_gone() {
        let mut own = Own::default();
        let (a, b) = (EntityId([1; 16]), EntityId([2; 16]));
        own.set(a, vec![one(5, What::Device)]);
        own.set(b, vec![one(5, What::Device), one(6, NUMBER)]);
        own.set(a, Vec::new());
        assert!(own.holds(5) && !own.holds(6) && own.holds_number(6));
        own.set(b, Vec::new());
        assert!(!own.holds(5) && !own.holds_number(6));
        assert_eq!((own.fresh.len(), own.len()), (0, 0));
    }

    #[test]
    fn setting_the_same_tags_again_keeps_them() {
        let mut own = Own::default();
        let a = EntityId([1; 16]);
        own.set(a, vec![one(5, What::Device)]);
        own.set(a, vec![one(5, What::Device), one(7, What::Device)]);
        assert!(own.holds(5) && own.holds(7));
        assert_eq!(own.fresh.iter().copied().collect::<Vec<_>>(), [5, 7]);
    }

    #[test]
    fn who_comes_while_the_base_is_written_stays_fresh() {
        let mut own = Own::default();
        own.set(EntityId([1; 16]), vec![one(5, What::Device)]);
        let changes = own.changes;
        own.set(EntityId([2; 16]), vec![one(6, What::Device)]);
        own.built(FilterLayer::Base, &[5], changes);
        assert_eq!(own.fresh.iter().copied().collect::<Vec<_>>(), [6]);
        assert!(own.changes > own.built);
    }

    #[test]
    fn a_replaced_tag_is_retired_and_comes_back() {
        let mut row = Row { entity: EntityId([1; 16]), tags: Vec::new() };
        enter(&mut row, What::Device, Tag([1; 16]), Timestamp(1));
        enter(&mut row, NUMBER, Tag([3; 16]), Timestamp(1));
        enter(&mut row, What::Device, Tag([2; 16]), Timestamp(2));
        assert_eq!(row.tags[0].retired, Some(Timestamp(2)));
        assert_eq!(row.tags[1].retired, None);
        enter(&mut row, What::Device, Tag([1; 16]), Timestamp(3));
        assert_eq!(row.tags.iter().map(|own| own.retired).collect::<Vec<_>>(), [None, None, Some(Timestamp(3))]);
    }

    #[test]
    fn a_number_lacks_its_tag_under_a_new_key() {
        assert!(!lacks(&[one(1, NUMBER)], &[1]));
        assert!(lacks(&[one(1, NUMBER)], &[2, 1]));
        assert!(!lacks(&[one(1, What::Device)], &[2, 1]));
    }
}
