//! Between the core's batches and the store's.

use relaymesh_core::batch::{BATCH_BYTES_MAX, Batch, Outcome, RECORD_BYTES_MAX, Write};
use relaymesh_core::record::key;
use relaymesh_core::{Input, Load, Loaded, Pump, Unavailable};
use relaymesh_store::{
    Completion, CompletionSink, MAX_BATCH_BYTES, MAX_VALUE_BYTES, Precondition, Read, Store, StoreError, Version,
};
use tokio::sync::mpsc;

use super::hub::now;

/// Rows per page while tables are read at start; a filter may have 4 MiB.
const PAGE: usize = 256;

// A batch that the store does not take would look like a full disk, for ever.
const _: () = assert!(RECORD_BYTES_MAX <= MAX_VALUE_BYTES && BATCH_BYTES_MAX <= MAX_BATCH_BYTES);

/// The store could not be read at start.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store gives none.
    #[error("the records in the data directory cannot be read")]
    Store(#[from] StoreError),
    /// They are sealed under other keys.
    #[error(
        "the store in the data directory does not belong to the keyring there, or is damaged: the record that names its node does not open"
    )]
    Foreign,
}

/// Hands completions from the store's writer thread to the loop.
pub struct Sink(pub mpsc::Sender<Vec<Completion>>);

impl CompletionSink for Sink {
    fn completed(&mut self, done: Vec<Completion>) {
        // The channel has room for every batch that may be under way; after the loop's end nobody needs to know.
        let _ = self.0.try_send(done);
    }
}

/// Reads records for runs.
pub struct Loader(Store);

impl Loader {
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

impl Load for Loader {
    fn get(&mut self, key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable> {
        let record = self.0.get(key).map_err(|_| Unavailable)?;
        Ok(record.map(|record| (record.version.0, record.value)))
    }

    fn rows(&mut self, prefix: &[u8], limit: usize) -> Result<Loaded, Unavailable> {
        let rows = self.0.scan(prefix, None, limit).map_err(|_| Unavailable)?;
        Ok(rows.into_iter().map(|(key, record)| (key, record.version.0, record.value)).collect())
    }
}

/// A batch as the store takes it.
pub fn batch(batch: Batch) -> relaymesh_store::Batch {
    relaymesh_store::Batch {
        expects: batch
            .expects
            .into_iter()
            .map(|(key, version)| Precondition { key, version: Version(version) })
            .collect(),
        writes: batch
            .writes
            .into_iter()
            .map(|write| match write {
                Write::Put { key, value } => relaymesh_store::Write::Put { key, value },
                Write::Delete { key } => relaymesh_store::Write::Delete { key },
            })
            .collect(),
    }
}

/// An outcome as the core takes it.
pub fn outcome(outcome: relaymesh_store::Outcome) -> Outcome {
    match outcome {
        relaymesh_store::Outcome::Ok => Outcome::Ok,
        relaymesh_store::Outcome::Conflict => Outcome::Conflict,
        relaymesh_store::Outcome::Failed => Outcome::Failed,
    }
}

/// Feeds every table that lives in memory, page by page.
pub fn restore(pump: &mut Pump, loader: &mut Loader) -> Result<(), RestoreError> {
    for table in key::RESTORED {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = loader.0.scan(&[table], after.as_deref(), PAGE)?;
            let full = page.len() == PAGE;
            after = page.last().map(|(key, _)| key.clone());
            let rows = page.into_iter().map(|(key, record)| (key, record.value)).collect();
            pump.feed(Input::Restore { table, rows }, now(), loader);
            if !full {
                break;
            }
        }
    }
    if pump.node().has_foreign_records() { Err(RestoreError::Foreign) } else { Ok(()) }
}
