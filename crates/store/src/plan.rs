//! Turns batches into the changes of one commit: preconditions are checked against the store and
//! the batches earlier in the same group. The writer and the simulator's store share this.

use std::collections::BTreeMap;

use crate::{
    engine::{Change, EngineError, Lookup, Meta},
    types::{Batch, Key, Outcome, Record, Version, Write},
};

/// A commit in the making.
pub(crate) struct Plan {
    changes: BTreeMap<Key, (Option<Record>, Option<Record>)>,
    meta: Meta,
}

impl Plan {
    pub fn new(meta: Meta) -> Self {
        Self { changes: BTreeMap::new(), meta }
    }

    /// Adds a batch if its preconditions hold; a conflict adds nothing.
    pub fn add(&mut self, batch: Batch, store: &dyn Lookup) -> Result<Outcome, EngineError> {
        for expect in &batch.expects {
            let found = self.current(&expect.key, store)?;
            if found.map_or(Version::ABSENT, |record| record.version) != expect.version {
                return Ok(Outcome::Conflict);
            }
        }
        // Looked up first, so that an error leaves no half batch in the plan.
        let mut before = Vec::with_capacity(batch.writes.len());
        for write in &batch.writes {
            let known = self.changes.contains_key(write.key());
            before.push(if known { None } else { store.lookup(write.key())? });
        }
        if !batch.writes.is_empty() {
            self.meta.last = Version(self.meta.last.0.saturating_add(1));
        }
        for (write, before) in batch.writes.into_iter().zip(before) {
            self.stage(write, before);
        }
        Ok(Outcome::Ok)
    }

    /// The commit: nothing to do if there are no changes.
    pub fn into_parts(self) -> (Vec<Change>, Meta) {
        let changes = self
            .changes
            .into_iter()
            .filter(|(_, (before, after))| before.is_some() || after.is_some())
            .map(|(key, (before, after))| Change { key, before, after })
            .collect();
        (changes, self.meta)
    }

    fn current(&self, key: &[u8], store: &dyn Lookup) -> Result<Option<Record>, EngineError> {
        match self.changes.get(key) {
            Some((_, after)) => Ok(after.clone()),
            None => store.lookup(key),
        }
    }

    fn stage(&mut self, write: Write, before: Option<Record>) {
        let (key, after) = match write {
            Write::Put { key, value } => (key, Some(Record { version: self.meta.last, value })),
            Write::Delete { key } => (key, None),
        };
        let slot = self.changes.entry(key).or_insert_with(|| (before.clone(), before));
        match (&slot.1, &after) {
            (None, Some(_)) => self.meta.records = self.meta.records.saturating_add(1),
            (Some(_), None) => self.meta.records = self.meta.records.saturating_sub(1),
            _ => {}
        }
        slot.1 = after;
    }
}
