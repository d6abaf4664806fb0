//! The handle: cheap to clone, safe to share, the only way in.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::{
    archive,
    engine::{CacheTrust, Opener},
    error::{ExportError, ImportError, OpenError, StoreError, SubmitError},
    limits::{CACHE_BYTES, GROUP_BATCHES, GROUP_WAIT, QUEUE_BATCHES},
    memory_engine::MemoryDisk,
    shared::Shared,
    sled_files::SledOpener,
    types::{Batch, CompletionSink, Key, Outcome, Read, Record},
    writer::{Job, Reply, Writer},
};

/// How a store is opened. [`Config::new`] has good defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the store.
    pub path: PathBuf,
    /// Whether a store is made where none is.
    pub create: bool,
    /// Page cache in bytes.
    pub cache_bytes: u64,
    /// Most batches in one commit.
    pub max_batch: usize,
    /// Longest time that a batch waits for others to share its fsync.
    pub max_wait: Duration,
    /// Batches that may wait for the writer.
    pub queue: usize,
}

impl Config {
    /// The defaults: made if it is missing, 64 MiB cache, groups of 128 batches or 2 ms, 1024 waiting.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            create: true,
            cache_bytes: CACHE_BYTES,
            max_batch: GROUP_BATCHES,
            max_wait: GROUP_WAIT,
            queue: QUEUE_BATCHES,
        }
    }
}

/// Numbers of one store. The counts start at zero whenever the store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Records stored. Exact between two commits.
    pub records_estimate: u64,
    /// Size of the files; for the memory engine, of keys and values.
    pub bytes_on_disk: u64,
    /// Groups written.
    pub commits: u64,
    /// Batches that were written in those groups.
    pub batches: u64,
    /// Times that the data was synced.
    pub fsyncs: u64,
}

/// An open store. The last handle that goes away ends the writer thread, after its queue;
/// [`Store::close`] does the same and waits for it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens the store in a directory, or makes it. Blocks for as long as recovery takes.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing is left running.
    pub fn open(config: Config, sink: impl CompletionSink + 'static) -> Result<Self, OpenError> {
        let opener =
            SledOpener { path: config.path.clone(), cache_bytes: config.cache_bytes, may_create: config.create };
        Self::start(Box::new(opener), &config, Box::new(sink))
    }

    /// Opens a store on a pretended disk, with the same writer thread.
    ///
    /// # Errors
    /// [`OpenError::Thread`] only.
    pub fn memory(disk: &MemoryDisk, sink: impl CompletionSink + 'static) -> Result<Self, OpenError> {
        Self::start(Box::new(disk.clone()), &Config::new(""), Box::new(sink))
    }

    pub(crate) fn start(
        mut opener: Box<dyn Opener>,
        config: &Config,
        sink: Box<dyn CompletionSink>,
    ) -> Result<Self, OpenError> {
        let engine = opener.open(CacheTrust::Trusted)?;
        let meta = engine
            .meta()
            .map_err(|error| OpenError::Corrupt { path: config.path.clone(), detail: error.to_string() })?;
        let shared = Arc::new(Shared::new(engine));
        shared.counters.records.store(meta.records, Relaxed);
        let (jobs, queue) = sync_channel(config.queue.max(1));
        let writer = Writer::new(Arc::clone(&shared), queue, opener, sink, meta, config);
        thread::Builder::new().name("store-writer".into()).spawn(move || writer.run()).map_err(OpenError::Thread)?;
        Ok(Self { shared, jobs })
    }

    /// Hands in a batch without waiting. Exactly one completion with this token follows, in the
    /// order of submission, if and only if this returns `Ok`.
    ///
    /// # Errors
    /// See [`SubmitError`]; the batch was not taken.
    pub fn submit(&self, token: u64, batch: Batch) -> Result<(), SubmitError> {
        batch.validate().map_err(SubmitError::Invalid)?;
        let gate = self.shared.gate();
        gate.check()?;
        let sent = self.jobs.try_send(Job::Commit(Reply::Token(token), batch));
        drop(gate);
        sent.map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::Full,
            TrySendError::Disconnected(_) => SubmitError::Closed,
        })
    }

    /// Hands in a batch and waits for its outcome. For tools and tests: it blocks, also while
    /// the queue is full. A batch that breaks a limit fails.
    #[must_use = "a batch that failed or met a conflict was not written"]
    pub fn apply(&self, batch: Batch) -> Outcome {
        if let Err(error) = batch.validate() {
            tracing::warn!(%error, "a batch was refused");
            return Outcome::Failed;
        }
        let usable = self.shared.gate().check();
        if usable.is_err() {
            return Outcome::Failed;
        }
        let (reply, outcome) = sync_channel(1);
        if self.jobs.send(Job::Commit(Reply::Caller(reply), batch)).is_err() {
            return Outcome::Failed;
        }
        outcome.recv().unwrap_or(Outcome::Failed)
    }

    /// Finishes what is queued, closes the engine and returns when its files are free.
    /// Every handle answers `Closed` afterwards.
    pub fn close(&self) {
        let (reply, closed) = sync_channel(1);
        if self.jobs.send(Job::Close(reply)).is_ok() {
            // An error means that another close was served first; the writer is gone either way.
            let _served = closed.recv();
        }
    }

    /// The numbers of the store.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while the store is closed.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let bytes_on_disk = self.shared.view()?.bytes_on_disk();
        let counters = &self.shared.counters;
        Ok(Stats {
            records_estimate: counters.records.load(Relaxed),
            bytes_on_disk,
            commits: counters.commits.load(Relaxed),
            batches: counters.batches.load(Relaxed),
            fsyncs: counters.fsyncs.load(Relaxed),
        })
    }

    /// Writes all records of one moment as a backup and returns their number. Commits wait
    /// meanwhile, so the target should be a fast one.
    ///
    /// # Errors
    /// See [`ExportError`]; a partial backup lacks its end mark and is refused by `import`.
    pub fn export(&self, out: &mut dyn io::Write) -> Result<u64, ExportError> {
        let view = self.shared.view().map_err(ExportError::Store)?;
        archive::export(&view, out)
    }

    /// Reads a backup into this store, which must be empty, and returns the number of records.
    /// The whole file is checked before the first record is written. Versions start anew.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn import<R: io::Read + io::Seek>(&self, input: R) -> Result<u64, ImportError> {
        if !self.scan(&[], None, 1).map_err(ImportError::Store)?.is_empty() {
            return Err(ImportError::NotEmpty);
        }
        archive::import(input, self)
    }
}

impl Read for Store {
    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        self.shared.view()?.get(key)
    }

    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, StoreError> {
        let view = self.shared.view()?;
        keys.iter().map(|key| view.get(key)).collect()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<(Key, Record)>, StoreError> {
        self.shared.view()?.scan(prefix, after, limit)
    }
}
