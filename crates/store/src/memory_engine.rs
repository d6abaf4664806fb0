//! The memory engine behind the same writer thread as sled, for tests of whole nodes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    engine::{CacheTrust, Change, Engine, EngineError, Hidden, Lookup, Meta, Opener},
    error::OpenError,
    layers::Layers,
    memory::{Fault, Faults},
    types::{Key, Record},
};

#[derive(Debug, Default)]
struct Disk {
    layers: Layers,
    faults: Faults,
}

/// A pretended disk. It outlives the [`crate::Store`] that is opened on it, so a test can close
/// a store, or let it fail, and open it again.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next `n` operations of this kind fail.
    pub fn fail_next(&self, n: u32, fault: Fault) {
        self.lock().faults.add(n, fault);
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        // Each method leaves the disk whole at every point where it could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lookup for MemoryDisk {
    fn lookup(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
        self.lock().layers.lookup(key)
    }
}

impl Engine for MemoryDisk {
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        _hidden: &Hidden,
    ) -> Result<Vec<(Key, Record)>, EngineError> {
        Ok(self.lock().layers.scan_applied(prefix, after, limit))
    }

    fn meta(&self) -> Result<Meta, EngineError> {
        Ok(self.lock().layers.meta())
    }

    fn write(&self, changes: &[Change], meta: Meta) -> Result<(), EngineError> {
        let mut disk = self.lock();
        if disk.faults.on_write() {
            return Err(EngineError::Refused("no space left (injected)".into()));
        }
        disk.layers.stage(changes, meta);
        Ok(())
    }

    fn sync(&self) -> Result<(), EngineError> {
        let mut disk = self.lock();
        let fault = disk.faults.on_sync();
        match fault {
            None | Some(Fault::SyncKept) => disk.layers.sync(),
            Some(_) => disk.layers.lose_unsynced(),
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(EngineError::CacheInDoubt("input/output error (injected)".into())),
        }
    }

    fn bytes_on_disk(&self) -> u64 {
        self.lock().layers.bytes()
    }
}

impl Opener for MemoryDisk {
    fn open(&mut self, _cache: CacheTrust) -> Result<Arc<dyn Engine>, OpenError> {
        self.lock().layers.lose_unsynced();
        Ok(Arc::new(self.clone()))
    }
}
