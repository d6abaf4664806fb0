//! What readers and the writer share: the engine, and the values that a commit in flight hides.
//!
//! While a commit is on its way to the disk, readers see the values from before it. So nobody
//! ever acts on a record that a power loss could still take away.

use std::sync::{
    Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{
    engine::{Change, Engine, EngineError, Hidden, Meta},
    error::{StoreError, SubmitError},
    layers::{merge, overlay_range},
    types::{Key, Record},
};

/// Whether batches are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Broken,
    Closed,
}

impl Gate {
    pub fn check(self) -> Result<(), SubmitError> {
        match self {
            Self::Open => Ok(()),
            Self::Broken => Err(SubmitError::Unavailable),
            Self::Closed => Err(SubmitError::Closed),
        }
    }
}

/// Numbers for `stats`, counted since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub records: AtomicU64,
    pub commits: AtomicU64,
    pub batches: AtomicU64,
    pub fsyncs: AtomicU64,
}

impl Counters {
    pub fn committed(&self, meta: Meta, batches: usize) {
        self.records.store(meta.records, Relaxed);
        self.commits.fetch_add(1, Relaxed);
        self.batches.fetch_add(batches as u64, Relaxed);
        self.fsyncs.fetch_add(1, Relaxed);
    }
}

struct State {
    engine: Option<Arc<dyn Engine>>,
    closed: bool,
    /// Values from before the commit in flight.
    hidden: Hidden,
}

/// The meeting point of all handles and the writer.
pub(crate) struct Shared {
    state: RwLock<State>,
    /// Apart from `state`, so that handing in a batch never waits for a long read. A sender holds
    /// it while it sends: once the writer has closed it, nothing more can enter the queue.
    gate: RwLock<Gate>,
    pub counters: Counters,
}

impl Shared {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        let state = State { engine: Some(engine), closed: false, hidden: Hidden::new() };
        Self { state: RwLock::new(state), gate: RwLock::new(Gate::Open), counters: Counters::default() }
    }

    pub fn gate(&self) -> RwLockReadGuard<'_, Gate> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_gate(&self, gate: Gate) {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = gate;
    }

    /// The state between two commits, for as long as the view lives.
    pub fn view(&self) -> Result<View<'_>, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match (&state.engine, state.closed) {
            (_, true) => Err(StoreError::Closed),
            (None, _) => Err(StoreError::Unavailable),
            (Some(engine), _) => Ok(View { engine: Arc::clone(engine), state }),
        }
    }

    /// The engine, for the writer.
    pub fn engine(&self) -> Result<Arc<dyn Engine>, EngineError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.engine.clone().ok_or_else(|| EngineError::Refused("the engine is closed".into()))
    }

    /// Hides a commit that is about to be written.
    pub fn hide(&self, changes: &[Change]) {
        let hidden = changes.iter().map(|c| (c.key.clone(), c.before.clone())).collect();
        self.write().hidden = hidden;
    }

    /// Shows the commit, which is now durable.
    pub fn show(&self) {
        let hidden = std::mem::take(&mut self.write().hidden);
        drop(hidden); // outside the lock
    }

    /// Closes the engine after a failure, or for good, and hands it out to be dropped.
    pub fn take_engine(&self, gate: Gate) -> Option<Arc<dyn Engine>> {
        self.set_gate(gate);
        let mut state = self.write();
        state.closed = gate == Gate::Closed;
        state.hidden.clear();
        state.engine.take()
    }

    pub fn put_engine(&self, engine: Arc<dyn Engine>) {
        self.write().engine = Some(engine);
        self.set_gate(Gate::Open);
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at one moment of the store. Commits wait while it lives.
pub(crate) struct View<'a> {
    engine: Arc<dyn Engine>,
    state: RwLockReadGuard<'a, State>,
}

impl View<'_> {
    pub fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        match self.state.hidden.get(key) {
            Some(before) => Ok(before.clone()),
            None => self.engine.lookup(key).map_err(|error| unreadable(&error)),
        }
    }

    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Key, Record)>, StoreError> {
        let hidden = overlay_range(&self.state.hidden, prefix, after);
        let room = limit.saturating_add(hidden.len());
        let rows = self.engine.scan(prefix, after, room, &hidden).map_err(|error| unreadable(&error))?;
        Ok(merge(rows, hidden, limit))
    }

    pub fn bytes_on_disk(&self) -> u64 {
        self.engine.bytes_on_disk()
    }
}

fn unreadable(error: &EngineError) -> StoreError {
    StoreError::Read(error.to_string())
}
