//! The words of the port: keys, records, batches and what becomes of them.

use std::fmt;

use crate::{
    error::{BatchError, StoreError},
    limits::{MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES},
};

/// A table-prefixed key, ordered bytewise; 1 to [`MAX_KEY_BYTES`] bytes.
pub type Key = Vec<u8>;

/// The number of the commit that wrote a record. Grows over the whole store and is never given
/// out twice, so a key that was deleted and made again never shows an old version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl Version {
    /// The version of a key that holds no record.
    pub const ABSENT: Self = Self(0);
}

/// A stored value and its version.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The commit that wrote it.
    pub version: Version,
    /// The bytes as they were put.
    pub value: Vec<u8>,
}

/// Shows sizes only: a value may be personal.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record(v{}, {} bytes)", self.version.0, self.value.len())
    }
}

/// One change of one key.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Create or replace the record.
    Put {
        /// Where.
        key: Key,
        /// What; at most [`MAX_VALUE_BYTES`].
        value: Vec<u8>,
    },
    /// Remove the record; an absent key stays absent.
    Delete {
        /// Where.
        key: Key,
    },
}

impl Write {
    /// The key that this write touches.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { value, .. } => write!(f, "Put({} bytes)", value.len()),
            Self::Delete { .. } => f.write_str("Delete"),
        }
    }
}

/// What a batch expects of one key before it writes.
#[derive(Clone, PartialEq, Eq)]
pub struct Precondition {
    /// The key that is looked at.
    pub key: Key,
    /// The version it must have; [`Version::ABSENT`] means that it must not exist.
    pub version: Version,
}

impl fmt::Debug for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Precondition(v{})", self.version.0)
    }
}

/// Writes that happen together or not at all, and only if every precondition holds.
/// Of two writes to the same key the later one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// All must hold.
    pub expects: Vec<Precondition>,
    /// All happen, with one common version.
    pub writes: Vec<Write>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a precondition.
    #[must_use]
    pub fn expect(mut self, key: impl Into<Key>, version: Version) -> Self {
        let key = key.into();
        self.expects.push(Precondition { key, version });
        self
    }

    /// Adds a put.
    #[must_use]
    pub fn put(mut self, key: impl Into<Key>, value: impl Into<Vec<u8>>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.writes.push(Write::Put { key, value });
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Key>) -> Self {
        self.writes.push(Write::Delete { key: key.into() });
        self
    }

    /// Bytes of all keys and values written.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.writes.iter().fold(0, |sum, write| {
            let value = match write {
                Write::Put { value, .. } => value.len(),
                Write::Delete { .. } => 0,
            };
            sum.saturating_add(write.key().len()).saturating_add(value)
        })
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// The first limit that the batch exceeds.
    pub fn validate(&self) -> Result<(), BatchError> {
        let expected = self.expects.iter().map(|expect| expect.key.as_slice());
        for key in self.writes.iter().map(Write::key).chain(expected) {
            if key.is_empty() || key.len() > MAX_KEY_BYTES {
                return Err(BatchError::Key { bytes: key.len() });
            }
        }
        for write in &self.writes {
            if let Write::Put { value, .. } = write
                && value.len() > MAX_VALUE_BYTES
            {
                return Err(BatchError::Value { bytes: value.len() });
            }
        }
        let bytes = self.bytes();
        if bytes > MAX_BATCH_BYTES {
            return Err(BatchError::Batch { bytes });
        }
        Ok(())
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written, synced and visible.
    Ok,
    /// A precondition did not hold; nothing was written.
    Conflict,
    /// The store could not write; the batch is taken back when the store reopens.
    Failed,
}

/// The one answer to an accepted token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The caller's number for the batch.
    pub token: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// Where completions go. Called on the writer thread, in the order of submission, so it must
/// not block and must not call [`crate::Store::apply`].
pub trait CompletionSink: Send {
    /// Takes the completions of one group.
    fn completed(&mut self, done: Vec<Completion>);
}

/// A sink for callers who use only [`crate::Store::apply`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl CompletionSink for Discard {
    fn completed(&mut self, _done: Vec<Completion>) {}
}

/// A receiver that is gone wants no answer.
impl CompletionSink for std::sync::mpsc::Sender<Completion> {
    fn completed(&mut self, done: Vec<Completion>) {
        for completion in done {
            if self.send(completion).is_err() {
                return;
            }
        }
    }
}

/// Synchronous reads of what is durable.
pub trait Read {
    /// The record at `key`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the store is closed.
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError>;

    /// The records at `keys`, in that order, all from one moment between two commits.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the store is closed.
    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, StoreError>;

    /// Up to `limit` records whose keys start with `prefix` and are greater than `after`, in
    /// bytewise order, all from one moment between two commits.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the store is closed.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Key, Record)>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked_on_both_sides() {
        let cases = [
            (Batch::new(), true),
            (Batch::new().put(vec![], vec![]), false),
            (Batch::new().put(vec![1; MAX_KEY_BYTES], vec![]), true),
            (Batch::new().put(vec![1; MAX_KEY_BYTES + 1], vec![]), false),
            (Batch::new().put("k", vec![0; MAX_VALUE_BYTES]), true),
            (Batch::new().put("k", vec![0; MAX_VALUE_BYTES + 1]), false),
            (Batch::new().expect(vec![], Version::ABSENT), false),
            (Batch::new().delete(vec![]), false),
        ];
        for (batch, good) in cases {
            assert_eq!(batch.validate().is_ok(), good, "{batch:?}");
        }
        let many = (0..17u8).fold(Batch::new(), |batch, n| batch.put(vec![n], vec![0; MAX_VALUE_BYTES]));
        assert!(matches!(many.validate(), Err(BatchError::Batch { .. })));
    }

    #[test]
    fn debug_shows_no_content() {
        let batch = Batch::new().put("secret-key", "secret-value").expect("secret-key", Version(3));
        let record = Record { version: Version(1), value: b"secret-value".to_vec() };
        assert!(!format!("{batch:?} {record:?}").contains("secret"));
        assert!(!format!("{record:?}").contains("115"));
    }
}
