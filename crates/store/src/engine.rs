//! What the writer needs of an engine. Private: no caller ever sees an engine.

use std::{collections::BTreeMap, io, sync::Arc};

use crate::{
    error::OpenError,
    types::{Key, Record, Version},
};

/// Numbers that every commit stores beside its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The last commit number given out as a version.
    pub last: Version,
    /// Records in the store.
    pub records: u64,
}

/// One key's way through a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub key: Key,
    pub before: Option<Record>,
    pub after: Option<Record>,
}

/// Why an engine failed. After either the engine is dropped: a second try on it may lie.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Reading or writing failed; the files themselves can still be trusted.
    #[error("{0}")]
    Refused(String),
    /// The kernel may hold pages as clean that never reached the disk, so what the next open
    /// reads may not be what a power loss leaves.
    #[error("{0}")]
    CacheInDoubt(String),
}

impl EngineError {
    /// Sorts an I/O error of a write or fsync: a full disk leaves the page cache honest.
    pub fn writing(source: &io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Refused(source.to_string()),
            _ => Self::CacheInDoubt(source.to_string()),
        }
    }
}

/// Whether the page cache of the kernel can be believed when an engine is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheTrust {
    Trusted,
    InDoubt,
}

/// What readers see instead of the rows that a commit on its way touches: the records from before it.
pub(crate) type Hidden = BTreeMap<Key, Option<Record>>;

/// Reads one record of whatever state the next batch builds on.
pub(crate) trait Lookup {
    fn lookup(&self, key: &[u8]) -> Result<Option<Record>, EngineError>;
}

/// An ordered map on some disk. Only the writer thread calls `write` and `sync`.
pub(crate) trait Engine: Lookup + Send + Sync {
    /// Up to `limit` records in order, those of `hidden` counted and perhaps left out: a commit is on its way there, and
    /// whoever reads a record in several steps would see it half written. The caller has what belongs in their place.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        hidden: &Hidden,
    ) -> Result<Vec<(Key, Record)>, EngineError>;

    fn meta(&self) -> Result<Meta, EngineError>;

    /// Makes all changes visible at once, durable only after `sync`.
    fn write(&self, changes: &[Change], meta: Meta) -> Result<(), EngineError>;

    /// Returns once everything written is on the disk itself.
    fn sync(&self) -> Result<(), EngineError>;

    fn bytes_on_disk(&self) -> u64;
}

/// Opens the same engine again and again.
pub(crate) trait Opener: Send {
    fn open(&mut self, cache: CacheTrust) -> Result<Arc<dyn Engine>, OpenError>;
}
