//! Sealing of stored records: entities' records under their own key, the node's own under a daily or a lasting one.

use relaymesh_protocol::ids::EntityId;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::head::{Head, OpenedHead};
use super::key;
use crate::batch::Key;
use crate::command::Refusal;
use crate::crypto::{self, RecordAad};
use crate::node::Node;
use crate::tx::{Run, Tx};

/// Counts records that did not open: damaged, or sealed under a key that is gone.
pub(crate) const UNREADABLE: &str = "record_unreadable";
/// No entity: the record belongs to the node.
pub(super) const NO_ENTITY: EntityId = EntityId([0; 16]);

/// Under which key a node's own record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A key of the day it was written, destroyed after the longest life of such records.
    Day,
    /// The node's lasting key.
    Node,
    /// Signed or public anyway: not sealed.
    Public,
}

/// A type that is stored: its version byte, and how the version before becomes this one.
pub trait Stored: Serialize + DeserializeOwned {
    /// Written before the bytes.
    const VERSION: u8 = 1;
    /// Which key a node's own record of this type lies under; unused for entities' records.
    const SCOPE: Scope = Scope::Day;

    /// Reads a record of an older version.
    #[must_use]
    fn migrate(_version: u8, _bytes: &[u8]) -> Option<Self> {
        None
    }
}

/// Version byte and postcard.
#[must_use]
pub fn encode<T: Stored>(value: &T) -> Zeroizing<Vec<u8>> {
    let bytes = postcard::to_extend(value, vec![T::VERSION]).expect("writing to memory cannot fail");
    Zeroizing::new(bytes)
}

/// Reads what [`encode`] wrote, now or a version ago.
#[must_use]
pub fn decode<T: Stored>(bytes: &[u8]) -> Option<T> {
    let (version, rest) = bytes.split_first()?;
    if *version == T::VERSION {
        let (value, left) = postcard::take_from_bytes(rest).ok()?;
        return left.is_empty().then_some(value);
    }
    T::migrate(*version, rest)
}

/// Opens a stored row of the node's own (not of an entity's).
pub(crate) fn open_row<T: Stored>(node: &Node, key: &[u8], row: &[u8]) -> Option<T> {
    let (table, record) = key.split_first()?;
    let aad = RecordAad { shard: node.id(), table: *table, entity: NO_ENTITY, record, counter: 0 };
    match T::SCOPE {
        Scope::Public => decode(row),
        Scope::Node => {
            let (_, value) = node.crypto().open_record(&crypto::table_root(node.keys()), aad, row).ok()?;
            decode(&value)
        }
        Scope::Day => {
            let (day, sealed) = row.split_first_chunk::<4>()?;
            let day_key = crypto::day_key(node.keys(), u32::from_be_bytes(*day))?;
            let (_, value) = node.crypto().open_record(&day_key, aad, sealed).ok()?;
            decode(&value)
        }
    }
}

/// Opens a row that is read at start; one that does not open is passed over and noted.
pub(crate) fn restore_row<T: Stored>(node: &mut Node, key: &[u8], row: &[u8]) -> Option<T> {
    let opened = open_row(node, key, row);
    if opened.is_none() {
        node.bump(UNREADABLE);
    }
    opened
}

/// Reads a record of the node's own; a record that does not open counts as absent and is noted.
pub(crate) fn get_node<T: Stored>(node: &Node, tx: &mut Tx<'_>, key: &[u8]) -> Run<Option<T>> {
    let Some(row) = tx.get(key)? else { return Ok(None) };
    let opened = open_row(node, key, &row);
    if opened.is_none() {
        node.count(tx, UNREADABLE);
    }
    Ok(opened)
}

/// Writes a record of the node's own.
pub(crate) fn put_node<T: Stored>(node: &Node, tx: &mut Tx<'_>, key: Key, value: &T) -> Run {
    let row = seal_row(node, &key, value, tx.random()).ok_or_else(Refusal::unavailable)?;
    tx.put(key, row)
}

/// Seals a record of the node's own for its place; none while there is no key to seal it with.
pub(crate) fn seal_row<T: Stored>(node: &Node, key: &[u8], value: &T, nonce: [u8; 24]) -> Option<Vec<u8>> {
    let plain = encode(value);
    let (table, record) = key.split_first()?;
    let aad = RecordAad { shard: node.id(), table: *table, entity: NO_ENTITY, record, counter: 0 };
    Some(match T::SCOPE {
        Scope::Public => plain.to_vec(),
        Scope::Node => node.crypto().seal_record(&crypto::table_root(node.keys()), aad, nonce, &plain),
        Scope::Day => {
            let (day, day_key) = crypto::newest_day_key(node.keys())?;
            let mut row = day.to_be_bytes().to_vec();
            row.extend(node.crypto().seal_record(&day_key, aad, nonce, &plain));
            row
        }
    })
}

/// Removes a record of the node's own.
pub(crate) fn delete_row(tx: &mut Tx<'_>, key: Key) -> Run {
    tx.get(&key)?;
    tx.delete(key)
}

/// An entity in a run: its key, and the counter that this run's writes carry.
#[derive(Debug)]
pub struct Entity {
    /// Who.
    pub id: EntityId,
    epoch: u32,
    head: OpenedHead,
    counted: bool,
}

impl Entity {
    /// A new entity with a key of its own.
    ///
    /// # Errors
    /// When the node's keys are not there.
    pub fn create(node: &Node, tx: &mut Tx<'_>) -> Run<Self> {
        let id = EntityId(tx.random());
        let key = Zeroizing::new(tx.random());
        let (epoch, _) = crypto::newest_wrap_key(node.keys()).ok_or_else(Refusal::unavailable)?;
        Ok(Self { id, epoch, head: OpenedHead { counter: 0, key }, counted: false })
    }

    /// The entity, if it is here and its key opens.
    ///
    /// # Errors
    /// When records are missing or busy.
    pub fn load(node: &Node, tx: &mut Tx<'_>, id: EntityId) -> Run<Option<Self>> {
        let Some(row) = tx.get(&key::head(&id))? else { return Ok(None) };
        let opened = decode::<Head>(&row).and_then(|head| {
            let opened = head.open(node, node.keys(), &id)?;
            Some(Self { id, epoch: head.epoch, head: opened, counted: false })
        });
        if opened.is_none() {
            node.count(tx, UNREADABLE);
        }
        Ok(opened)
    }

    /// Reads one of the entity's records.
    ///
    /// # Errors
    /// When records are missing or busy.
    pub fn get<T: Stored>(&self, node: &Node, tx: &mut Tx<'_>, table: u8, record: &[u8]) -> Run<Option<T>> {
        let Some(row) = tx.get(&key::entity(&self.id, table, record))? else { return Ok(None) };
        let opened = self.open_row(node, table, record, &row);
        if opened.is_none() {
            node.count(tx, UNREADABLE);
        }
        Ok(opened)
    }

    fn open_row<T: Stored>(&self, node: &Node, table: u8, record: &[u8], row: &[u8]) -> Option<T> {
        let table_key = node.crypto().table_key(&self.head.key, table);
        let aad = RecordAad { shard: node.id(), table, entity: self.id, record, counter: 0 };
        let (counter, value) = node.crypto().open_record(&table_key, aad, row).ok()?;
        if counter > self.head.counter {
            return None;
        }
        decode(&value)
    }

    /// Reads up to `limit` of the entity's records of one table, with their record keys.
    ///
    /// # Errors
    /// When records are missing or busy.
    pub fn all<T: Stored>(&self, node: &Node, tx: &mut Tx<'_>, table: u8, limit: usize) -> Run<Vec<(Vec<u8>, T)>> {
        let prefix = key::entity(&self.id, table, b"");
        let rows = tx.rows(&prefix, limit)?;
        let mut all = Vec::with_capacity(rows.len());
        for (row_key, row) in rows {
            let record = row_key.get(prefix.len()..).unwrap_or_default().to_vec();
            match self.open_row(node, table, &record, &row) {
                Some(value) => all.push((record, value)),
                None => node.count(tx, UNREADABLE),
            }
        }
        Ok(all)
    }

    /// Writes one of the entity's records, and the head with its next counter.
    ///
    /// # Errors
    /// When the entity is busy.
    pub fn put<T: Stored>(&mut self, node: &Node, tx: &mut Tx<'_>, table: u8, record: &[u8], value: &T) -> Run {
        self.count(node, tx)?;
        let table_key = node.crypto().table_key(&self.head.key, table);
        let aad = RecordAad { shard: node.id(), table, entity: self.id, record, counter: self.head.counter };
        let row = node.crypto().seal_record(&table_key, aad, tx.random(), &encode(value));
        tx.put(key::entity(&self.id, table, record), row)
    }

    /// Seals a value under the entity's key for a row that lies outside the entity's range (a job).
    ///
    /// # Errors
    /// When the entity is busy.
    pub fn seal_apart<T: Stored>(
        &mut self,
        node: &Node,
        tx: &mut Tx<'_>,
        table: u8,
        record: &[u8],
        value: &T,
    ) -> Run<Vec<u8>> {
        self.count(node, tx)?;
        let table_key = node.crypto().table_key(&self.head.key, table);
        let aad = RecordAad { shard: node.id(), table, entity: self.id, record, counter: self.head.counter };
        Ok(node.crypto().seal_record(&table_key, aad, tx.random(), &encode(value)))
    }

    /// Opens what [`Entity::seal_apart`] sealed.
    #[must_use]
    pub fn open_apart<T: Stored>(&self, node: &Node, table: u8, record: &[u8], row: &[u8]) -> Option<T> {
        self.open_row(node, table, record, row)
    }

    /// Removes one of the entity's records.
    ///
    /// # Errors
    /// When the entity is busy.
    pub fn delete(&mut self, node: &Node, tx: &mut Tx<'_>, table: u8, record: &[u8]) -> Run {
        self.count(node, tx)?;
        tx.delete(key::entity(&self.id, table, record))
    }

    fn count(&mut self, node: &Node, tx: &mut Tx<'_>) -> Run {
        if self.counted {
            return Ok(());
        }
        tx.get(&key::head(&self.id))?;
        self.counted = true;
        self.head.counter += 1;
        let head = Head::seal(node, &self.id, self.epoch, &self.head, tx.random());
        tx.put(key::head(&self.id), encode(&head.ok_or_else(Refusal::unavailable)?).to_vec())
    }
}

/// Removes an entity: its key goes with the head, and nothing of it can be read any more. Its records are swept away page
/// by page afterwards, as they would be after a crash.
pub(crate) fn delete_head(tx: &mut Tx<'_>, id: &EntityId) -> Run {
    tx.get(&key::head(id))?;
    tx.delete(key::head(id))
}
