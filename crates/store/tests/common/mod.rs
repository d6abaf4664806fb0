//! A place where a store can be opened again and again, on either engine.

use relaymesh_store::{CompletionSink, Config, MemoryDisk, Store};

/// A directory or a pretended disk.
pub enum Bed {
    Memory(MemoryDisk),
    Sled(tempfile::TempDir),
}

impl Bed {
    pub fn memory() -> Self {
        Self::Memory(MemoryDisk::new())
    }

    pub fn sled() -> Self {
        Self::Sled(tempfile::tempdir().unwrap())
    }

    pub fn open(&self, sink: impl CompletionSink + 'static) -> Store {
        match self {
            Self::Memory(disk) => Store::memory(disk, sink).unwrap(),
            Self::Sled(dir) => Store::open(Config::new(dir.path().join("store")), sink).unwrap(),
        }
    }

    pub fn reopen(&self, store: Store, sink: impl CompletionSink + 'static) -> Store {
        store.close();
        self.open(sink)
    }
}
