//! The one thread that writes: it gathers batches into a group, commits the group with one fsync,
//! answers, and closes and reopens the engine when the disk fails.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    engine::{CacheTrust, Change, EngineError, Meta, Opener},
    limits::{GROUP_GAP, MAX_GROUP_BYTES, REOPEN_MAX, REOPEN_MIN},
    plan::Plan,
    shared::{Gate, Shared},
    store::Config,
    types::{Batch, Completion, CompletionSink, Outcome},
};

/// What the handles send.
pub(crate) enum Job {
    Commit(Reply, Batch),
    Close(SyncSender<()>),
}

/// Who waits for the outcome.
pub(crate) enum Reply {
    Token(u64),
    Caller(SyncSender<Outcome>),
}

/// How the thread ends: by `close`, or because every handle is gone.
type Ended = Option<SyncSender<()>>;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Job>,
    opener: Box<dyn Opener>,
    sink: Box<dyn CompletionSink>,
    max_batch: usize,
    max_wait: Duration,
    meta: Meta,
    /// The commit in flight. After a failure it is taken back as soon as an engine is open.
    in_flight: Vec<Change>,
    cache: CacheTrust,
    /// Batches in the last group: how many callers are likely to come again at once.
    likely: usize,
}

impl Writer {
    pub fn new(
        shared: Arc<Shared>,
        queue: Receiver<Job>,
        opener: Box<dyn Opener>,
        sink: Box<dyn CompletionSink>,
        meta: Meta,
        config: &Config,
    ) -> Self {
        Self {
            shared,
            queue,
            opener,
            sink,
            max_batch: config.max_batch.max(1),
            max_wait: config.max_wait,
            meta,
            in_flight: Vec::new(),
            cache: CacheTrust::Trusted,
            likely: 1,
        }
    }

    pub fn run(mut self) {
        let ended = loop {
            if let ControlFlow::Break(ended) = self.turn() {
                break ended;
            }
        };
        // From here on nothing enters the queue; what is in it still gets its one answer.
        drop(self.shared.take_engine(Gate::Closed));
        while let Ok(job) = self.queue.try_recv() {
            self.refuse(job);
        }
        if let Some(closed) = ended {
            // The caller may have given up waiting.
            let _ignored = closed.send(());
        }
    }

    /// One group, from the queue to the answers.
    fn turn(&mut self) -> ControlFlow<Ended> {
        let (replies, batches, ended) = self.gather();
        let count = replies.len();
        let committed = catch_unwind(AssertUnwindSafe(|| self.commit(batches)))
            .unwrap_or_else(|_| Err(EngineError::CacheInDoubt("the engine panicked".into())));
        match committed {
            Ok(outcomes) => {
                self.likely = count;
                self.answer(replies.into_iter().zip(outcomes).collect());
            }
            Err(error) => {
                self.fail(&error);
                self.answer(replies.into_iter().map(|reply| (reply, Outcome::Failed)).collect());
                if ended.is_none() {
                    self.recover()?;
                }
            }
        }
        match ended {
            Some(ended) => ControlFlow::Break(ended),
            None => ControlFlow::Continue(()),
        }
    }

    /// Waits for a first batch, then as long as more are likely to come.
    fn gather(&mut self) -> (Vec<Reply>, Vec<Batch>, Option<Ended>) {
        let (mut replies, mut batches, mut bytes) = (Vec::new(), Vec::new(), 0_usize);
        let mut started = None;
        while replies.len() < self.max_batch && bytes < MAX_GROUP_BYTES {
            let job = match started {
                None => self.queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => self.next_in_group(replies.len(), since),
            };
            match job {
                Ok(Job::Commit(reply, batch)) => {
                    started.get_or_insert_with(Instant::now);
                    bytes = bytes.saturating_add(batch.bytes());
                    replies.push(reply);
                    batches.push(batch);
                }
                Ok(Job::Close(closed)) => return (replies, batches, Some(Some(closed))),
                Err(RecvTimeoutError::Disconnected) => return (replies, batches, Some(None)),
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        (replies, batches, None)
    }

    /// A lone writer never waits: only a group smaller than the last one hopes for company.
    fn next_in_group(&self, have: usize, since: Instant) -> Result<Job, RecvTimeoutError> {
        if let Ok(job) = self.queue.try_recv() {
            return Ok(job);
        }
        let left = self.max_wait.saturating_sub(since.elapsed());
        if have >= self.likely || left.is_zero() {
            return Err(RecvTimeoutError::Timeout);
        }
        self.queue.recv_timeout(left.min(GROUP_GAP))
    }

    fn commit(&mut self, batches: Vec<Batch>) -> Result<Vec<Outcome>, EngineError> {
        let engine = self.shared.engine()?;
        let mut plan = Plan::new(self.meta);
        let outcomes = batches.into_iter().map(|batch| plan.add(batch, &*engine)).collect::<Result<Vec<_>, _>>()?;
        let (changes, meta) = plan.into_parts();
        // Numbers of a commit that fails are burnt, so that no version is ever given out twice.
        self.meta.last = meta.last;
        if changes.is_empty() {
            return Ok(outcomes);
        }
        self.shared.hide(&changes);
        self.in_flight = changes;
        engine.write(&self.in_flight, meta)?;
        engine.sync()?;
        self.in_flight.clear();
        self.meta = meta;
        self.shared.show();
        let written = outcomes.iter().filter(|outcome| **outcome == Outcome::Ok).count();
        self.shared.counters.committed(meta, written);
        Ok(outcomes)
    }

    fn answer(&mut self, answers: Vec<(Reply, Outcome)>) {
        let mut done = Vec::with_capacity(answers.len());
        for (reply, outcome) in answers {
            match reply {
                Reply::Token(token) => done.push(Completion { token, outcome }),
                Reply::Caller(caller) => {
                    // The caller may have given up waiting.
                    let _ignored = caller.send(outcome);
                }
            }
        }
        if !done.is_empty() {
            self.sink.completed(done);
        }
    }

    fn refuse(&mut self, job: Job) {
        match job {
            Job::Commit(reply, _) => self.answer(vec![(reply, Outcome::Failed)]),
            // A second close finds the work done.
            Job::Close(closed) => drop(closed.send(())),
        }
    }

    /// Closes the engine: after a failed write or fsync nothing it says can be relied on.
    fn fail(&mut self, error: &EngineError) {
        tracing::error!(%error, "the store failed to write and is closed until it can be reopened");
        self.doubt(error);
        let engine = self.shared.take_engine(Gate::Broken);
        // sled waits in its drop for a thread that may have died; that must not stop us. If no
        // thread can be made, the closure and the engine in it are dropped here.
        let dropping = thread::Builder::new().name("store-drop".into()).spawn(move || drop(engine));
        drop(dropping);
    }

    fn doubt(&mut self, error: &EngineError) {
        if matches!(error, EngineError::CacheInDoubt(_)) {
            self.cache = CacheTrust::InDoubt;
        }
    }

    /// Refuses everything until the engine is open again and the failed commit is taken back.
    fn recover(&mut self) -> ControlFlow<Ended> {
        let mut pause = REOPEN_MIN;
        loop {
            self.refuse_for(pause)?;
            let reopened = catch_unwind(AssertUnwindSafe(|| self.reopen()));
            match reopened.unwrap_or_else(|_| Err("the engine panicked".into())) {
                Ok(()) => {
                    tracing::info!("the store is open again");
                    return ControlFlow::Continue(());
                }
                Err(error) => tracing::warn!(%error, "the store cannot be reopened yet"),
            }
            pause = (pause * 2).min(REOPEN_MAX);
        }
    }

    fn refuse_for(&mut self, pause: Duration) -> ControlFlow<Ended> {
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.queue.recv_timeout(left) {
                Ok(Job::Close(closed)) => return ControlFlow::Break(Some(closed)),
                Ok(job) => self.refuse(job),
                Err(RecvTimeoutError::Disconnected) => return ControlFlow::Break(None),
                Err(RecvTimeoutError::Timeout) => return ControlFlow::Continue(()),
            }
        }
    }

    fn reopen(&mut self) -> Result<(), String> {
        let engine = self.opener.open(self.cache).map_err(|error| chain(&error))?;
        self.cache = CacheTrust::Trusted;
        let stored = engine.meta().map_err(|error| error.to_string())?;
        self.meta.last = self.meta.last.max(stored.last);
        if !self.in_flight.is_empty() {
            // Written even if the old values seem to be there: a torn commit may have left parts.
            let back = self.in_flight.iter().cloned().map(reversed).collect::<Vec<_>>();
            let undone = engine.write(&back, self.meta).and_then(|()| engine.sync());
            undone.inspect_err(|error| self.doubt(error)).map_err(|error| error.to_string())?;
            self.in_flight.clear();
        }
        self.shared.put_engine(engine);
        Ok(())
    }
}

fn reversed(change: Change) -> Change {
    Change { key: change.key, before: change.after, after: change.before }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
