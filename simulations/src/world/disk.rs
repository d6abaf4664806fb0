//! A node's disk: rows that are durable. Values are shared between worlds that began from one bootstrap.

use std::collections::BTreeMap;
use std::sync::Arc;

use relaymesh_core::batch::{ABSENT, Batch, Key, Outcome, Write};
use relaymesh_core::{Load, Loaded, Unavailable};

use crate::kernel::Time;

/// Rows by key, each with its version.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    rows: BTreeMap<Key, (u64, Arc<[u8]>)>,
    version: u64,
    /// Rows that only seem to be durable, and since when: none on a disk without a planted mistake.
    late: Vec<(Time, Key)>,
}

impl Disk {
    /// Writes a batch if every record still has the version that was read.
    pub fn apply(&mut self, batch: Batch) -> Outcome {
        let misfit = |(key, version): &&(Key, u64)| self.rows.get(key).map_or(ABSENT, |row| row.0) != *version;
        if let Some((_, version)) = batch.expects.iter().find(misfit) {
            // Lanes keep the batches of one writer from conflicting, but for records that were presumed absent.
            debug_assert_eq!(*version, ABSENT, "a record changed between reading and writing");
            return Outcome::Conflict;
        }
        self.version += 1;
        for write in batch.writes {
            match write {
                Write::Put { key, value } => {
                    self.rows.insert(key, (self.version, value.into()));
                }
                Write::Delete { key } => {
                    self.rows.remove(&key);
                }
            }
        }
        Outcome::Ok
    }

    /// Puts a row that another disk has too.
    pub fn share(&mut self, key: Key, value: Arc<[u8]>) {
        self.version += 1;
        self.rows.insert(key, (self.version, value));
    }

    /// Notes that a row is not really written yet.
    pub fn delay(&mut self, key: Key, now: Time) {
        self.late.push((now, key));
    }

    /// Loses the rows that were not really written since `since`.
    pub fn lose_since(&mut self, since: Time) {
        for (at, key) in std::mem::take(&mut self.late) {
            if at >= since {
                self.rows.remove(&key);
            }
        }
    }

    /// Loses rows.
    pub fn lose(&mut self, which: impl Fn(&[u8]) -> bool) {
        self.rows.retain(|key, _| !which(key));
    }

    /// Whether a row is there.
    #[must_use]
    pub fn has(&self, key: &[u8]) -> bool {
        self.rows.contains_key(key)
    }

    /// The rows of a table.
    pub fn table(&self, table: u8) -> impl Iterator<Item = (&Key, &Arc<[u8]>)> {
        let rows = self.rows.range(vec![table]..);
        rows.take_while(move |(key, _)| key.first() == Some(&table)).map(|(key, (_, value))| (key, value))
    }
}

impl Load for Disk {
    fn get(&mut self, key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable> {
        Ok(self.rows.get(key).map(|(version, value)| (*version, value.to_vec())))
    }

    fn rows(&mut self, prefix: &[u8], limit: usize) -> Result<Loaded, Unavailable> {
        let from = self.rows.range(prefix.to_vec()..);
        let below = from.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(below.map(|(key, (version, value))| (key.clone(), *version, value.to_vec())).collect())
    }
}
