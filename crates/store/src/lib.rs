//! An ordered key-value store with atomic batches, record versions and group commit.
//!
//! Why it exists: a node may answer "accepted" only for what survives kill -9 and power loss, and
//! one fsync per message is too slow. This crate turns many small batches into one durable commit
//! and tells each caller exactly once what became of its batch. Three promises:
//!
//! * **What is read is durable.** A batch becomes visible to `get` and `scan` only after its fsync.
//! * **Ok means safe.** `Outcome::Ok` leaves this crate after `flush` and `fsync`, never before.
//! * **Failed means absent**, once the store has reopened: the writer takes a failed commit back.
//!   (A process that dies before it could may find the batch in the store.)
//!
//! The port names no engine. It deliberately leaves out encryption, record formats, and any
//! knowledge of what the keys mean.
#![forbid(unsafe_code)]

mod archive;
mod engine;
mod error;
#[cfg(test)]
mod faulty;
mod layers;
mod limits;
mod mark;
mod memory;
mod memory_engine;
mod plan;
mod shared;
mod sled_engine;
mod sled_files;
mod sled_rows;
mod store;
mod types;
mod writer;

pub use error::{BatchError, ExportError, ImportError, OpenError, StoreError, SubmitError};
pub use limits::{DATA_FORMAT, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
pub use memory::{Fault, MemorySnapshot, MemoryStore};
pub use memory_engine::MemoryDisk;
pub use store::{Config, Stats, Store};
pub use types::{Batch, Completion, CompletionSink, Discard, Key, Outcome, Precondition, Read, Record, Version, Write};
