//! What the core asks the store to write: all of a batch or nothing.

/// A table-prefixed key; see [`crate::record::key`].
pub type Key = Vec<u8>;

/// Longest record that the core writes, in bytes: the largest filter, sealed.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024 + 4 * 1024;
/// Most bytes of keys and values that the core writes in one batch.
pub const BATCH_BYTES_MAX: usize = 5 * 1024 * 1024;

/// The version of a record that is not there.
pub const ABSENT: u64 = 0;

/// One change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Create or replace.
    Put {
        /// Where.
        key: Key,
        /// Sealed or public bytes.
        value: Vec<u8>,
    },
    /// Remove; nothing happens if it is not there.
    Delete {
        /// Where.
        key: Key,
    },
}

impl Write {
    /// The record's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Writes that happen together, if every read record still has the version that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Key and version ([`ABSENT`] = must not be there).
    pub expects: Vec<(Key, u64)>,
    /// In order; at most one per key.
    pub writes: Vec<Write>,
}

/// How a batch ended; exactly once per token, in token order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable.
    Ok,
    /// A record had another version; nothing was written.
    Conflict,
    /// The store is down; nothing may be assumed.
    Failed,
}
