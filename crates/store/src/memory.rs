//! A store in memory, without a thread and without chance: the simulator's disk.
//!
//! It has the same meaning as [`crate::Store`] (reads show what is durable, a failure closes it),
//! and in addition it can hold back syncs, lose what was not synced, and fail on command.

use crate::{
    engine::Meta,
    error::StoreError,
    layers::Layers,
    plan::Plan,
    types::{Batch, Key, Outcome, Read, Record, Version},
};

/// What goes wrong on command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The write itself fails (disk full): nothing reaches the disk.
    Write,
    /// The write happens, its sync fails, and the data is lost.
    SyncLost,
    /// The write happens, its sync fails, and yet the data is on the disk.
    SyncKept,
}

/// How many operations of each kind still fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    write: u32,
    lost: u32,
    kept: u32,
}

impl Faults {
    pub fn add(&mut self, n: u32, fault: Fault) {
        let slot = match fault {
            Fault::Write => &mut self.write,
            Fault::SyncLost => &mut self.lost,
            Fault::SyncKept => &mut self.kept,
        };
        *slot = slot.saturating_add(n);
    }

    pub fn on_write(&mut self) -> bool {
        take(&mut self.write)
    }

    pub fn on_sync(&mut self) -> Option<Fault> {
        if take(&mut self.lost) {
            return Some(Fault::SyncLost);
        }
        take(&mut self.kept).then_some(Fault::SyncKept)
    }
}

fn take(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

/// A copy of everything that a [`MemoryStore`] holds.
#[derive(Clone, Debug)]
pub struct MemorySnapshot {
    layers: Layers,
    last: Version,
}

/// The deterministic store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    layers: Layers,
    faults: Faults,
    last: Version,
    hold_sync: bool,
    closed: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a batch and, unless syncs are held, makes it durable and visible.
    ///
    /// While syncs are held `Ok` says only that the batch is applied: later batches build on it,
    /// reads show it after [`sync`](Self::sync).
    pub fn apply(&mut self, batch: Batch) -> Outcome {
        if self.closed || batch.validate().is_err() {
            return Outcome::Failed;
        }
        let last = self.last.max(self.layers.meta().last);
        let mut plan = Plan::new(Meta { last, ..self.layers.meta() });
        match plan.add(batch, &self.layers) {
            Ok(Outcome::Ok) => {}
            Ok(other) => return other,
            Err(_) => return self.fail(),
        }
        let (changes, meta) = plan.into_parts();
        self.last = meta.last;
        if changes.is_empty() {
            return Outcome::Ok;
        }
        if self.faults.on_write() {
            return self.fail();
        }
        self.layers.stage(&changes, meta);
        if self.hold_sync { Outcome::Ok } else { self.sync() }
    }

    /// Makes everything applied durable.
    pub fn sync(&mut self) -> Outcome {
        if self.closed {
            return Outcome::Failed;
        }
        match self.faults.on_sync() {
            None => self.layers.sync(),
            Some(Fault::SyncKept) => {
                self.layers.sync();
                return self.fail();
            }
            Some(_) => return self.fail(),
        }
        Outcome::Ok
    }

    /// Stops (or starts again) the sync at the end of each `apply`.
    pub fn hold_sync(&mut self, hold: bool) {
        self.hold_sync = hold;
    }

    /// Lets the next `n` operations of this kind fail; each closes the store.
    pub fn fail_next(&mut self, n: u32, fault: Fault) {
        self.faults.add(n, fault);
    }

    /// True after a failure, until [`reopen`](Self::reopen).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Opens the store again after a failure. Faults that are still due stay.
    pub fn reopen(&mut self) {
        self.closed = false;
    }

    /// Drops what no sync has covered.
    pub fn lose_unsynced(&mut self) {
        self.layers.lose_unsynced();
    }

    /// Power loss and restart: drops what no sync has covered, the faults and the counters that
    /// live only in memory.
    pub fn crash(&mut self) {
        self.lose_unsynced();
        self.faults = Faults::default();
        self.last = self.layers.meta().last;
        self.closed = false;
    }

    /// A copy of the present state, faults apart.
    #[must_use]
    pub fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot { layers: self.layers.clone(), last: self.last }
    }

    /// Goes back to a copy. The store is open afterwards.
    pub fn restore(&mut self, snapshot: MemorySnapshot) {
        self.layers = snapshot.layers;
        self.last = snapshot.last;
        self.closed = false;
    }

    /// Number of records as the next batch sees them.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.layers.meta().records
    }

    fn fail(&mut self) -> Outcome {
        self.layers.lose_unsynced();
        self.closed = true;
        Outcome::Failed
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed { Err(StoreError::Unavailable) } else { Ok(()) }
    }
}

impl Read for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        self.check_open()?;
        Ok(self.layers.durable(key))
    }

    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, StoreError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Key, Record)>, StoreError> {
        self.check_open()?;
        Ok(self.layers.scan_durable(prefix, after, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(store: &MemoryStore, key: &str) -> Option<Vec<u8>> {
        store.get(key.as_bytes()).unwrap().map(|record| record.value)
    }

    #[test]
    fn held_writes_build_on_each_other_and_show_after_sync() {
        let mut store = MemoryStore::new();
        store.hold_sync(true);
        assert_eq!(store.apply(Batch::new().put("a", "1")), Outcome::Ok);
        let next = Batch::new().expect("a", Version(1)).put("b", "2");
        assert_eq!(store.apply(next), Outcome::Ok);
        assert_eq!(value(&store, "a"), None);
        assert_eq!(store.sync(), Outcome::Ok);
        assert_eq!(value(&store, "a"), Some(b"1".to_vec()));
        assert_eq!(store.records(), 2);
    }

    #[test]
    fn a_crash_takes_exactly_what_was_not_synced() {
        let mut store = MemoryStore::new();
        store.apply(Batch::new().put("a", "1"));
        store.hold_sync(true);
        store.apply(Batch::new().delete("a").put("b", "2"));
        store.crash();
        assert_eq!((value(&store, "a"), value(&store, "b")), (Some(b"1".to_vec()), None));
        assert_eq!(store.records(), 1);
    }

    #[test]
    fn each_fault_fails_closes_and_leaves_what_it_says() {
        for (fault, survives) in [(Fault::Write, false), (Fault::SyncLost, false), (Fault::SyncKept, true)] {
            let mut store = MemoryStore::new();
            store.apply(Batch::new().put("old", "1"));
            store.fail_next(1, fault);
            assert_eq!(store.apply(Batch::new().put("new", "2")), Outcome::Failed);
            assert!(store.is_closed());
            assert_eq!(store.get(b"old"), Err(StoreError::Unavailable));
            assert_eq!(store.scan(b"", None, 9), Err(StoreError::Unavailable));
            assert_eq!(store.apply(Batch::new()), Outcome::Failed);
            store.reopen();
            assert_eq!(value(&store, "old"), Some(b"1".to_vec()));
            assert_eq!(value(&store, "new").is_some(), survives, "{fault:?}");
            assert_eq!(store.apply(Batch::new().put("third", "3")), Outcome::Ok);
            assert_eq!(store.get(b"third").unwrap().unwrap().version, Version(3));
        }
    }

    #[test]
    fn a_snapshot_brings_back_both_layers() {
        let mut store = MemoryStore::new();
        store.apply(Batch::new().put("a", "1"));
        store.hold_sync(true);
        store.apply(Batch::new().put("b", "1"));
        let snapshot = store.snapshot();
        store.apply(Batch::new().put("a", "2").put("c", "2"));
        store.sync();
        store.restore(snapshot);
        assert_eq!(value(&store, "a"), Some(b"1".to_vec()));
        assert_eq!(value(&store, "b"), None);
        store.sync();
        assert_eq!(value(&store, "b"), Some(b"1".to_vec()));
        assert_eq!(value(&store, "c"), None);
    }
}
