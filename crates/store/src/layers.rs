//! The memory engine's disk: what a crash keeps, and what it takes.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
};

use crate::{
    engine::{Change, EngineError, Lookup, Meta},
    types::{Key, Record},
};

/// A durable map and, over it, the writes that no sync has covered yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    durable: BTreeMap<Key, Record>,
    durable_meta: Meta,
    unsynced: BTreeMap<Key, Option<Record>>,
    unsynced_meta: Option<Meta>,
}

impl Layers {
    /// Numbers as the next batch sees them.
    pub fn meta(&self) -> Meta {
        self.unsynced_meta.unwrap_or(self.durable_meta)
    }

    pub fn stage(&mut self, changes: &[Change], meta: Meta) {
        for change in changes {
            self.unsynced.insert(change.key.clone(), change.after.clone());
        }
        self.unsynced_meta = Some(meta);
    }

    pub fn sync(&mut self) {
        for (key, after) in std::mem::take(&mut self.unsynced) {
            match after {
                Some(record) => self.durable.insert(key, record),
                None => self.durable.remove(&key),
            };
        }
        if let Some(meta) = self.unsynced_meta.take() {
            self.durable_meta = meta;
        }
    }

    pub fn lose_unsynced(&mut self) {
        self.unsynced.clear();
        self.unsynced_meta = None;
    }

    pub fn durable(&self, key: &[u8]) -> Option<Record> {
        self.durable.get(key).cloned()
    }

    pub fn scan_durable(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Key, Record)> {
        in_range(&self.durable, prefix, after).take(limit).map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// As `scan_durable`, with the unsynced writes.
    pub fn scan_applied(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<(Key, Record)> {
        let newer = overlay_range(&self.unsynced, prefix, after);
        let rows = self.scan_durable(prefix, after, limit.saturating_add(newer.len()));
        merge(rows, newer, limit)
    }

    /// Bytes of keys and values that a crash keeps.
    pub fn bytes(&self) -> u64 {
        let bytes: usize = self.durable.iter().map(|(k, r)| k.len() + r.value.len()).sum();
        bytes as u64
    }
}

impl Lookup for Layers {
    fn lookup(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
        Ok(match self.unsynced.get(key) {
            Some(newer) => newer.clone(),
            None => self.durable(key),
        })
    }
}

/// The entries of a map under a prefix and after a key.
fn in_range<'a, V>(
    map: &'a BTreeMap<Key, V>,
    prefix: &'a [u8],
    after: Option<&'a [u8]>,
) -> impl Iterator<Item = (&'a Key, &'a V)> {
    let start = match after {
        Some(after) if after >= prefix => Excluded(after),
        _ => Included(prefix),
    };
    map.range::<[u8], _>((start, Unbounded)).take_while(move |(key, _)| key.starts_with(prefix))
}

/// The part of an overlay that a scan must respect.
pub(crate) fn overlay_range(
    overlay: &BTreeMap<Key, Option<Record>>,
    prefix: &[u8],
    after: Option<&[u8]>,
) -> BTreeMap<Key, Option<Record>> {
    in_range(overlay, prefix, after).map(|(key, record)| (key.clone(), record.clone())).collect()
}

/// Lays an overlay over rows in key order. The rows must have been fetched with room for all
/// of the overlay, or rows behind the last one could be missed.
pub(crate) fn merge(
    mut rows: Vec<(Key, Record)>,
    overlay: BTreeMap<Key, Option<Record>>,
    limit: usize,
) -> Vec<(Key, Record)> {
    if !overlay.is_empty() {
        rows.retain(|(key, _)| !overlay.contains_key(key));
        rows.extend(overlay.into_iter().filter_map(|(key, record)| Some((key, record?))));
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    }
    rows.truncate(limit);
    rows
}
