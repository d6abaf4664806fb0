//! Rows of entities that have had their time, removed page by page.
//!
//! Once a week a pass goes through all records of all entities. It removes consumed blocks and ratchet positions older than
//! [`SEEN_LIFE`]: they tell when somebody wrote. And it removes what is left of entities that were deleted: their heads, and
//! with them their keys, went first, so a crash in between leaves nothing that could be read. A page is one batch of bounded
//! size, and its end is the memory of the pass; a restart begins anew.
//!
//! Positions of bridge sessions are remembered by the whole node, as long as the static key from which such a session could
//! be begun again (see `spent`): a pass removes those whose key is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use relaymesh_protocol::ids::{EntityId, Timestamp};

use super::{Change, refusals, spent};
use crate::batch::Key;
use crate::node::Node;
use crate::record::vault::{NOTICES, POSITION, Position, SEEN, Seen};
use crate::record::{Entity, key};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Consumed blocks answer duplicates for so long: longer than any ingress keeps offering.
const SEEN_LIFE: Duration = Duration::from_hours(150 * 24);
/// Rows in one page: their entities' lanes are held until it is durable.
const PAGE: usize = 128;
/// Prefixes read for one page: most are short where a long one was split.
const PREFIXES: usize = 256;
/// Between two pages that wrote something, so that a pass takes little of the node's time.
const PAUSE: Duration = Duration::from_millis(20);
/// A pass begins so long after the start, and after the one before.
const FIRST: Duration = Duration::from_mins(10);
const EVERY: Duration = Duration::from_hours(7 * 24);
/// Bytes of a row's key before the record key: table, entity, record table.
const PREFIX_LEN: usize = 1 + 16 + 1;

/// A pass over all entities, or over some that are gone.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Key prefixes still to be read, next last.
    left: Vec<Key>,
    /// When the next pass over all begins.
    next: Timestamp,
}

/// How a pass changes. What is asked for in between must not be lost, so a page says what it did and not what is left.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing is under way; the next pass begins then.
    Rest(Timestamp),
    /// This prefix comes next.
    Add(Key),
    /// These prefixes are done; these come of them.
    Page { done: Vec<Key>, more: Vec<Key> },
}

impl Pass {
    pub fn apply(&mut self, step: Step) {
        match step {
            Step::Rest(next) => *self = Self { left: Vec::new(), next },
            Step::Add(prefix) => self.left.push(prefix),
            Step::Page { done, more } => {
                for done in done {
                    if let Some(at) = self.left.iter().rposition(|prefix| *prefix == done) {
                        self.left.remove(at);
                    }
                }
                self.left.extend(more);
            }
        }
    }
}

/// The first pass is due soon: it also finds what a restart interrupted.
pub(super) fn start(tx: &mut Tx<'_>) {
    let next = tx.now().after(FIRST);
    tx.then(Change::Sweep(Step::Rest(next)));
    tx.wake(next, Timer::Sweep);
}

/// The rows below a prefix are swept next.
pub(crate) fn soon(tx: &mut Tx<'_>, prefix: Key) {
    tx.then(Change::Sweep(Step::Add(prefix)));
    tx.wake(tx.now(), Timer::Sweep);
}

/// Positions under static bridge keys that are gone are swept next.
pub(crate) fn sweep_spent(tx: &mut Tx<'_>) {
    soon(tx, vec![key::SPENT]);
}

/// One page, or the beginning of a pass.
pub(crate) fn on_sweep(node: &Node, tx: &mut Tx<'_>) -> Run {
    let now = tx.now();
    let Pass { left, next } = &node.home.sweep;
    if left.is_empty() {
        if now < *next {
            tx.wake(*next, Timer::Sweep);
            return Ok(());
        }
        tx.then(Change::Sweep(Step::Rest(now.after(EVERY))));
        soon(tx, vec![key::ENTITY]);
        sweep_spent(tx);
        return Ok(());
    }
    let Page { rows, done, more } = page(tx, left)?;
    let wrote = sweep(node, tx, &rows)?;
    tx.then(Change::Sweep(Step::Page { done, more }));
    tx.wake(if wrote { now.after(PAUSE) } else { now }, Timer::Sweep);
    Ok(())
}

/// Rows that are swept in one batch.
#[derive(Default)]
struct Page {
    rows: Vec<(Key, Vec<u8>)>,
    /// Prefixes of which nothing else is left.
    done: Vec<Key>,
    /// And what is left of them.
    more: Vec<Key>,
}

/// The next rows: as many prefixes as fit whole, or a part of one that does not fit alone.
fn page(tx: &mut Tx<'_>, left: &[Key]) -> Run<Page> {
    let mut page = Page::default();
    for prefix in left.iter().rev().take(PREFIXES) {
        let mut rows = tx.rows(prefix, PAGE + 1)?;
        if page.rows.len() + rows.len() <= PAGE {
            page.rows.append(&mut rows);
            page.done.push(prefix.clone());
            continue;
        }
        if !page.rows.is_empty() {
            break;
        }
        page.done.push(prefix.clone());
        if is_gone(tx, prefix)? {
            // All of it goes, so a page after the other from the front is enough.
            rows.truncate(PAGE);
            page.rows = rows;
            page.more.push(prefix.clone());
        } else {
            // Too many for one page. Ids and hashes are random, so the next byte splits them evenly.
            page.more.extend((0..=u8::MAX).rev().map(|byte| [prefix.as_slice(), &[byte]].concat()));
        }
        break;
    }
    Ok(page)
}

fn entity_of(row: &[u8]) -> Option<EntityId> {
    row.get(1..17).and_then(|id| EntityId::try_from(id).ok())
}

/// Whether the rows below a prefix are of one entity, and it is deleted.
fn is_gone(tx: &mut Tx<'_>, prefix: &[u8]) -> Run<bool> {
    match entity_of(prefix) {
        Some(id) if prefix.first() == Some(&key::ENTITY) => Ok(tx.get(&key::head(&id))?.is_none()),
        _ => Ok(false),
    }
}

/// Sweeps a page; whether it wrote.
fn sweep(node: &Node, tx: &mut Tx<'_>, rows: &[(Key, Vec<u8>)]) -> Run<bool> {
    let is_spent = |row: &&Key| row.first() == Some(&key::SPENT);
    let swept = spent::sweep(node, tx, rows.iter().map(|(row, _)| row).filter(is_spent))?;
    let mut by_entity: BTreeMap<EntityId, Vec<&Key>> = BTreeMap::new();
    for (row, _) in rows.iter().filter(|(row, _)| !is_spent(&row)) {
        if let Some(id) = entity_of(row) {
            by_entity.entry(id).or_default().push(row);
        }
    }
    tx.prefetch(by_entity.keys().map(key::head))?;
    let (mut wrote, mut positions) = (swept, Vec::new());
    for (id, rows) in by_entity {
        if tx.get(&key::head(&id))?.is_none() {
            for row in rows {
                tx.delete(row.clone())?;
            }
            wrote = true;
        } else if let Some(mut entity) = Entity::load(node, tx, id)? {
            let (deleted, found) = age(node, tx, &mut entity, &rows)?;
            wrote |= deleted;
            if !found.is_empty() {
                positions.push((entity, found));
            }
        }
    }
    Ok(wrote | forget_positions(node, tx, positions)?)
}

/// A position's record key, and that of its block.
type Place<'a> = (&'a [u8], [u8; 16]);

/// Removes consumed blocks that are too old of one entity's rows, and sees to a notice that is overdue. Whether it wrote,
/// and the positions among the rows.
fn age<'a>(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, rows: &[&'a Key]) -> Run<(bool, Vec<Place<'a>>)> {
    let (mut wrote, mut positions) = (false, Vec::new());
    for row in rows {
        let record = row.get(PREFIX_LEN..).unwrap_or_default();
        match row.get(PREFIX_LEN - 1) {
            Some(&SEEN) => {
                let seen = entity.get::<Seen>(node, tx, SEEN, record)?;
                if seen.is_some_and(|seen| tx.now().since(seen.at) >= SEEN_LIFE) {
                    entity.delete(node, tx, SEEN, record)?;
                    wrote = true;
                }
            }
            Some(&POSITION) => {
                let position = entity.get::<Position>(node, tx, POSITION, record)?;
                positions.extend(position.map(|position| (record, position.block)));
            }
            Some(&NOTICES) => refusals::catch_up(node, tx, entity)?,
            _ => {}
        }
    }
    Ok((wrote, positions))
}

/// A position is as old as its block, and goes after it. Whether it wrote.
fn forget_positions(node: &Node, tx: &mut Tx<'_>, of: Vec<(Entity, Vec<Place<'_>>)>) -> Run<bool> {
    tx.prefetch(of.iter().flat_map(|(entity, positions)| {
        positions.iter().map(|(_, block)| key::entity(&entity.id, SEEN, block)).collect::<Vec<_>>()
    }))?;
    let mut wrote = false;
    for (mut entity, positions) in of {
        for (record, block) in positions {
            if tx.get(&key::entity(&entity.id, SEEN, &block))?.is_none() {
                entity.delete(node, tx, POSITION, record)?;
                wrote = true;
            }
        }
    }
    Ok(wrote)
}
