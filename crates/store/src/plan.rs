//! Turns batches into the changes of one commit: preconditions are checked against the store and
//! the batches earlier in the same group. The writer and the simulator's store share this.

use std::collections::{BTreeMap, btree_map::Entry};

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
        // Most batches write what they have expected something of; one look is enough for both.
        let mut found: BTreeMap<&[u8], Option<Record>> = BTreeMap::new();
        for expect in &batch.expects {
            let record = match self.changes.get(&expect.key) {
                Some((_, after)) => after,
                None => match found.entry(&expect.key) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(store.lookup(&expect.key)?),
                },
            };
            if record.as_ref().map_or(Version::ABSENT, |record| record.version) != expect.version {
                return Ok(Outcome::Conflict);
            }
        }
        // Looked up first, so that an error leaves no half batch in the plan.
        let mut before = Vec::with_capacity(batch.writes.len());
        for write in &batch.writes {
            before.push(match found.remove(write.key()) {
                Some(record) => record,
                None if self.changes.contains_key(write.key()) => None,
                None => store.lookup(write.key())?,
            });
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

    fn stage(&mut self, write: Write, before: Option<Record>) {
        let (key, after) = match write {
            Write::Put { key, value } => (key, Some(Record { version: self.meta.last, value })),
            Write::Delete { key } => (key, None),
        };
        let puts = after.is_some();
        let had = match self.changes.entry(key) {
            Entry::Occupied(mut slot) => std::mem::replace(&mut slot.get_mut().1, after).is_some(),
            Entry::Vacant(slot) => slot.insert((before, after)).0.is_some(),
        };
        match (had, puts) {
            (false, true) => self.meta.records = self.meta.records.saturating_add(1),
            (true, false) => self.meta.records = self.meta.records.saturating_sub(1),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Holds "old" at version 3, and writes down what it is asked for.
    #[derive(Default)]
    struct Asked(RefCell<Vec<Key>>);

    impl Lookup for Asked {
        fn lookup(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
            self.0.borrow_mut().push(key.to_vec());
            Ok((key == b"old").then(|| Record { version: Version(3), value: b"1".to_vec() }))
        }
    }

    #[test]
    fn a_key_that_is_expected_and_written_is_looked_up_once() {
        let (store, mut plan) = (Asked::default(), Plan::new(Meta { last: Version(3), records: 1 }));
        let create =
            Batch::new().expect("new", Version::ABSENT).expect("old", Version(3)).put("new", "2").delete("old");
        assert_eq!(plan.add(create, &store).unwrap(), Outcome::Ok);
        // What the group has written itself is not asked for at all.
        let again =
            Batch::new().expect("new", Version(4)).expect("old", Version::ABSENT).put("new", "3").put("old", "3");
        assert_eq!(plan.add(again, &store).unwrap(), Outcome::Ok);
        assert_eq!(*store.0.borrow(), [b"new", b"old"]);

        let (changes, meta) = plan.into_parts();
        assert_eq!(meta, Meta { last: Version(5), records: 2 });
        let ways = changes
            .into_iter()
            .map(|change| (change.before.map(|record| record.version.0), change.after.map(|record| record.version.0)));
        assert_eq!(ways.collect::<Vec<_>>(), [(None, Some(5)), (Some(3), Some(5))]);
    }

    #[test]
    fn a_conflict_leaves_no_trace() {
        let (store, mut plan) = (Asked::default(), Plan::new(Meta { last: Version(3), records: 1 }));
        let stale = Batch::new().expect("new", Version::ABSENT).expect("old", Version(2)).put("new", "2");
        assert_eq!(plan.add(stale, &store).unwrap(), Outcome::Conflict);
        assert_eq!(plan.into_parts(), (Vec::new(), Meta { last: Version(3), records: 1 }));
    }
}
