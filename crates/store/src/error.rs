//! One error per operation. No message carries a key or a value.

use std::{io, path::PathBuf};

use crate::limits::{MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Somebody else has it open.
    #[error(
        "the store at {} is in use by another process; stop that process or choose another data directory",
        path.display()
    )]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// A newer binary wrote it.
    #[error(
        "the store at {} has data format {found}, this program reads up to {supported}; install a newer version",
        path.display()
    )]
    NewerFormat {
        /// The store.
        path: PathBuf,
        /// Number in the file `FORMAT`.
        found: u32,
        /// Highest number that we read.
        supported: u32,
    },
    /// There is none, and none is to be made.
    #[error("there is no store at {}; restore it from a backup", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The directory holds something else.
    #[error(
        "{} is not empty and not a store of this program; choose an empty or missing directory",
        path.display()
    )]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// The engine cannot make sense of its files.
    #[error(
        "the store at {} is damaged ({detail}); keep a copy of the directory, then restore a backup of it",
        path.display()
    )]
    Corrupt {
        /// The store.
        path: PathBuf,
        /// The engine's words.
        detail: String,
    },
    /// The file system said no.
    #[error("cannot {action} {}; check space, permissions and the disk", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// No thread for the writer.
    #[error("cannot start the writer thread of the store")]
    Thread(#[source] io::Error),
}

/// Why a read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A disk error closed the store; it tries to reopen by itself.
    #[error("the store is closed after a disk error and tries to reopen; check space and the disk")]
    Unavailable,
    /// `close` was called.
    #[error("the store was closed")]
    Closed,
    /// A record cannot be read.
    #[error("the store cannot read a record: {0}")]
    Read(String),
}

/// Which limit a batch exceeds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Key empty or too long.
    #[error("a key has {bytes} bytes, allowed are 1 to {MAX_KEY_BYTES}")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// Value too long.
    #[error("a value has {bytes} bytes, allowed are {MAX_VALUE_BYTES}")]
    Value {
        /// Its length.
        bytes: usize,
    },
    /// Everything together too long.
    #[error("the batch has {bytes} bytes, allowed are {MAX_BATCH_BYTES}; split it")]
    Batch {
        /// Keys and values.
        bytes: usize,
    },
}

/// Why a batch was not taken; there will be no completion for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The queue is full; try again later.
    #[error("the queue of the store is full; try again later")]
    Full,
    /// A disk error closed the store; it tries to reopen by itself.
    #[error("the store is closed after a disk error and tries to reopen; check space and the disk")]
    Unavailable,
    /// `close` was called.
    #[error("the store was closed")]
    Closed,
    /// The batch breaks a limit.
    #[error("the batch breaks a limit")]
    Invalid(#[source] BatchError),
}

/// Why a backup could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The store cannot be read.
    #[error("cannot read the store for the backup")]
    Store(#[source] StoreError),
    /// The target cannot be written.
    #[error("cannot write the backup; check the space on its disk")]
    Io(#[source] io::Error),
}

/// Why a backup could not be read in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Not one of our files.
    #[error("the file is not a store backup: it does not start with the right mark")]
    NotABackup,
    /// A newer binary wrote it.
    #[error("the backup has format {found}, this program reads up to {supported}; install a newer version")]
    NewerFormat {
        /// Number in the file.
        found: u16,
        /// Highest number that we read.
        supported: u16,
    },
    /// Bytes do not add up.
    #[error("the backup is damaged at record {record}: {why}; nothing was imported, use another copy")]
    Damaged {
        /// Records that were good.
        record: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// The target has data.
    #[error("the store is not empty; import only into a new one")]
    NotEmpty,
    /// The target cannot be read.
    #[error("cannot read the store")]
    Store(#[source] StoreError),
    /// The target cannot be written.
    #[error("the store stopped taking records after {imported}; remove it and import into a new one")]
    Stopped {
        /// Records that are in.
        imported: u64,
    },
    /// The file cannot be read.
    #[error("cannot read the backup")]
    Io(#[source] io::Error),
}
