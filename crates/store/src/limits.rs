//! Every number that bounds this crate, with its unit and its reason.

use std::time::Duration;

/// Version of the layout on disk. Raised whenever an older binary could misread the data.
pub const DATA_FORMAT: u32 = 1;

/// Longest key in bytes. sled keeps up to 257 keys in one index page, and a page above 128 KiB
/// would go to a side file that sled never syncs.
pub const MAX_KEY_BYTES: usize = 400;

/// Longest value in bytes: the set filter of a node with many people, with room to spare.
pub const MAX_VALUE_BYTES: usize = 4 * 1024 * 1024 + 64 * 1024;

/// Most bytes of keys and values in one batch, so that one caller cannot stall all others.
pub const MAX_BATCH_BYTES: usize = 5 * 1024 * 1024;

/// Most bytes in one group of batches; a group is held in memory twice (old and new values).
pub(crate) const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// Default page cache in bytes. sled's own default of 1 GiB does not fit a small machine.
pub(crate) const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Default number of batches in one group.
pub(crate) const GROUP_BATCHES: usize = 128;

/// Default longest time that a batch waits for company.
pub(crate) const GROUP_WAIT: Duration = Duration::from_millis(2);

/// A group that hears nothing for this long stops waiting: everyone who could come has come.
pub(crate) const GROUP_GAP: Duration = Duration::from_micros(150);

/// Default number of batches that may wait for the writer before `submit` answers `Full`.
pub(crate) const QUEUE_BATCHES: usize = 1024;

/// First pause before a failed engine is reopened; doubles up to [`REOPEN_MAX`].
pub(crate) const REOPEN_MIN: Duration = Duration::from_millis(200);

/// Longest pause between two tries to reopen.
pub(crate) const REOPEN_MAX: Duration = Duration::from_secs(10);

/// How long `open` waits for the lock of a process that is just ending.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(1);

/// sled's background flush. It must never be off: it is the only thing in sled that calls fsync.
pub(crate) const SLED_FLUSH_MS: u64 = 500;

/// Bytes of a value in one sled row. A leaf page holds at most 16 rows, 20 or so while two pages
/// merge; all of them together must stay below sled's 128 KiB limit for side files.
pub(crate) const CHUNK_BYTES: usize = 5 * 1024;

/// Records that `export` and `import` handle at a time.
pub(crate) const ARCHIVE_PAGE: usize = 256;
