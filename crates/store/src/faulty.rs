//! An engine that fails on command, and what the writer must do about it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    engine::{CacheTrust, Change, Engine, EngineError, Hidden, Lookup, Meta, Opener},
    error::{OpenError, StoreError, SubmitError},
    memory_engine::MemoryDisk,
    sled_files::SledOpener,
    store::{Config, Store},
    types::{Batch, Completion, Discard, Key, Outcome, Read as _, Record, Version},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// `write` does nothing and fails: the disk is full.
    NoSpace,
    /// `write` does the first half, durably, and fails: the worst that a disk can do.
    Torn,
    /// `sync` works and says that it failed.
    SyncLies,
    /// `write` panics.
    Panic,
}

/// What still goes wrong, in this order; and how many opens fail.
#[derive(Default)]
struct Script {
    troubles: VecDeque<Trouble>,
    failing_opens: u32,
    opens: Vec<CacheTrust>,
}

type Shared = Arc<Mutex<Script>>;

struct Faulty<E: ?Sized> {
    script: Shared,
    inner: Arc<E>,
}

impl<E: Engine + ?Sized> Faulty<E> {
    fn due(&self, kinds: &[Trouble]) -> Option<Trouble> {
        let mut script = self.script.lock().unwrap();
        let next = script.troubles.front().copied().filter(|next| kinds.contains(next))?;
        script.troubles.pop_front();
        Some(next)
    }
}

impl<E: Engine + ?Sized> Lookup for Faulty<E> {
    fn lookup(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
        self.inner.lookup(key)
    }
}

impl<E: Engine + ?Sized> Engine for Faulty<E> {
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        hidden: &Hidden,
    ) -> Result<Vec<(Key, Record)>, EngineError> {
        self.inner.scan(prefix, after, limit, hidden)
    }

    fn meta(&self) -> Result<Meta, EngineError> {
        self.inner.meta()
    }

    fn write(&self, changes: &[Change], meta: Meta) -> Result<(), EngineError> {
        match self.due(&[Trouble::NoSpace, Trouble::Torn, Trouble::Panic]) {
            Some(Trouble::NoSpace) => Err(EngineError::Refused("no space".into())),
            Some(Trouble::Torn) => {
                self.inner.write(&changes[..changes.len() / 2], meta)?;
                self.inner.sync()?;
                Err(EngineError::CacheInDoubt("input/output error".into()))
            }
            Some(_) => panic!("injected"),
            None => self.inner.write(changes, meta),
        }
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.inner.sync()?;
        match self.due(&[Trouble::SyncLies]) {
            Some(_) => Err(EngineError::CacheInDoubt("input/output error".into())),
            None => Ok(()),
        }
    }

    fn bytes_on_disk(&self) -> u64 {
        self.inner.bytes_on_disk()
    }
}

struct FaultyOpener {
    script: Shared,
    inner: Box<dyn Opener>,
}

impl Opener for FaultyOpener {
    fn open(&mut self, cache: CacheTrust) -> Result<Arc<dyn Engine>, OpenError> {
        let mut script = self.script.lock().unwrap();
        if script.failing_opens > 0 {
            script.failing_opens -= 1;
            let path = "injected".into();
            return Err(OpenError::Corrupt { path, detail: "injected".into() });
        }
        script.opens.push(cache);
        drop(script);
        let inner = self.inner.open(cache)?;
        Ok(Arc::new(Faulty { script: Arc::clone(&self.script), inner }))
    }
}

struct Bench {
    store: Store,
    script: Shared,
    done: Receiver<Completion>,
    _dir: tempfile::TempDir,
}

fn benches() -> [Bench; 2] {
    ["memory", "sled"].map(|kind| {
        let dir = tempfile::tempdir().unwrap();
        let inner: Box<dyn Opener> = match kind {
            "memory" => Box::new(MemoryDisk::new()),
            _ => Box::new(SledOpener { path: dir.path().join("store"), cache_bytes: 1 << 20, may_create: true }),
        };
        let script = Shared::default();
        let opener = FaultyOpener { script: Arc::clone(&script), inner };
        let (sink, done) = channel();
        let config = Config::new(dir.path());
        let store = Store::start(Box::new(opener), &config, Box::new(sink)).unwrap();
        Bench { store, script, done, _dir: dir }
    })
}

impl Bench {
    fn trouble(&self, trouble: Trouble) {
        self.script.lock().unwrap().troubles.push_back(trouble);
    }

    fn wait_open(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.store.get(b"x") == Err(StoreError::Unavailable) {
            assert!(Instant::now() < until, "the store did not reopen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.store.get(key.as_bytes()).unwrap().map(|record| record.value)
    }
}

#[test]
fn a_failure_fails_the_group_closes_reopens_and_takes_the_commit_back() {
    for trouble in [Trouble::NoSpace, Trouble::Torn, Trouble::SyncLies, Trouble::Panic] {
        for bench in benches() {
            let store = &bench.store;
            let long = vec![9; 40_000];
            assert_eq!(store.apply(Batch::new().put("a", "1").put("b", long.clone())), Outcome::Ok);
            bench.trouble(trouble);
            let bad = Batch::new().put("a", vec![2; 30_000]).delete("b").put("c", "2").put("d", "2");
            store.submit(7, bad).unwrap();
            let answer = bench.done.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!(answer, Completion { token: 7, outcome: Outcome::Failed });
            assert_eq!(store.get(b"a"), Err(StoreError::Unavailable));
            assert_eq!(store.scan(b"", None, 9), Err(StoreError::Unavailable));
            assert_eq!(store.stats(), Err(StoreError::Unavailable));
            assert_eq!(store.submit(8, Batch::new()), Err(SubmitError::Unavailable));
            assert_eq!(store.apply(Batch::new().put("e", "3")), Outcome::Failed);

            bench.wait_open();
            assert_eq!(bench.value("a"), Some(b"1".to_vec()), "{trouble:?}");
            assert_eq!(bench.value("b"), Some(long), "{trouble:?}");
            assert_eq!(store.scan(b"", None, 9).unwrap().len(), 2, "{trouble:?}");
            assert_eq!(store.stats().unwrap().records_estimate, 2);
            assert_eq!(store.get(b"a").unwrap().unwrap().version, Version(1));
            store.submit(9, Batch::new().expect("a", Version(1)).put("c", "3")).unwrap();
            let answer = bench.done.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!(answer, Completion { token: 9, outcome: Outcome::Ok });
            let version = store.get(b"c").unwrap().unwrap().version;
            assert!(version > Version(2), "the failed commit's number came back: {version:?}");
            assert_eq!(bench.done.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        }
    }
}

#[test]
fn a_full_disk_keeps_the_files_and_an_io_error_rewrites_them() {
    for (trouble, trust) in [(Trouble::NoSpace, CacheTrust::Trusted), (Trouble::SyncLies, CacheTrust::InDoubt)] {
        for bench in benches() {
            bench.trouble(trouble);
            assert_eq!(bench.store.apply(Batch::new().put("a", "1")), Outcome::Failed);
            bench.wait_open();
            assert_eq!(bench.script.lock().unwrap().opens, [CacheTrust::Trusted, trust]);
        }
    }
}

#[test]
fn reopening_goes_on_until_it_works() {
    for bench in benches() {
        assert_eq!(bench.store.apply(Batch::new().put("a", "1")), Outcome::Ok);
        bench.script.lock().unwrap().failing_opens = 1;
        bench.trouble(Trouble::NoSpace);
        // The second trouble meets the attempt to take the first commit back.
        bench.trouble(Trouble::Torn);
        assert_eq!(bench.store.apply(Batch::new().put("a", "2").put("b", "2")), Outcome::Failed);
        bench.wait_open();
        assert_eq!((bench.value("a"), bench.value("b")), (Some(b"1".to_vec()), None));
        assert_eq!(bench.store.apply(Batch::new().put("b", "3")), Outcome::Ok);
    }
}

#[test]
fn a_broken_store_can_be_closed() {
    for bench in benches() {
        bench.script.lock().unwrap().failing_opens = u32::MAX;
        bench.trouble(Trouble::NoSpace);
        assert_eq!(bench.store.apply(Batch::new().put("a", "1")), Outcome::Failed);
        bench.store.close();
        assert_eq!(bench.store.get(b"a"), Err(StoreError::Closed));
        assert_eq!(bench.store.submit(1, Batch::new()), Err(SubmitError::Closed));
        bench.store.close();
    }
}

/// Everything goes through, but a sync waits for the test.
struct SlowSync {
    inner: MemoryDisk,
    entered: std::sync::mpsc::Sender<()>,
    leave: Arc<Mutex<Receiver<()>>>,
}

struct SlowOpener(Option<SlowSync>);

impl Opener for SlowOpener {
    fn open(&mut self, _cache: CacheTrust) -> Result<Arc<dyn Engine>, OpenError> {
        Ok(Arc::new(self.0.take().expect("opened once")))
    }
}

impl Lookup for SlowSync {
    fn lookup(&self, key: &[u8]) -> Result<Option<Record>, EngineError> {
        self.inner.lookup(key)
    }
}

impl Engine for SlowSync {
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        hidden: &Hidden,
    ) -> Result<Vec<(Key, Record)>, EngineError> {
        self.inner.scan(prefix, after, limit, hidden)
    }

    fn meta(&self) -> Result<Meta, EngineError> {
        self.inner.meta()
    }

    fn write(&self, changes: &[Change], meta: Meta) -> Result<(), EngineError> {
        self.inner.write(changes, meta)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.entered.send(()).unwrap();
        self.leave.lock().unwrap().recv().unwrap();
        self.inner.sync()
    }

    fn bytes_on_disk(&self) -> u64 {
        0
    }
}

#[test]
fn what_is_not_durable_cannot_be_read() {
    let (entered, wait_entered) = channel();
    let (let_go, leave) = channel();
    let engine = SlowSync { inner: MemoryDisk::new(), entered, leave: Arc::new(Mutex::new(leave)) };
    let opener = Box::new(SlowOpener(Some(engine)));
    let store = Store::start(opener, &Config::new(""), Box::new(Discard)).unwrap();
    let commit = |token, batch| {
        store.submit(token, batch).unwrap();
        wait_entered.recv().unwrap();
    };
    let keys = || store.scan(b"", None, 2).unwrap().into_iter().map(|(k, _)| k).collect::<Vec<_>>();

    commit(1, Batch::new().put("a", "1").put("b", "1"));
    assert!(keys().is_empty());
    let_go.send(()).unwrap();
    while keys().is_empty() {
        thread::yield_now();
    }
    commit(2, Batch::new().delete("a").put("aa", "2").put("c", "2"));
    assert_eq!(keys(), [b"a", b"b"]);
    let many = store.get_many(&[b"a".to_vec(), b"aa".to_vec()]).unwrap();
    assert_eq!((many[0].is_some(), many[1].is_some()), (true, false));
    let_go.send(()).unwrap();
    while keys().first().is_some_and(|first| first == b"a") {
        thread::yield_now();
    }
    assert_eq!(keys(), [b"aa".to_vec(), b"b".to_vec()]);
}
