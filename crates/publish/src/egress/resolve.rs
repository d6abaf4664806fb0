//! Names to addresses, with everything that is not on the open Internet taken out.
//!
//! The HTTP client connects to exactly the addresses returned here, so there is no second look-up
//! between check and use, and a name that changes its answer gains nothing.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::Rules;
use super::address::is_global;

/// How long one look-up may take, so that a dead resolver counts as "not connected".
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);
/// Look-ups of one name under way.
const LOOKUPS_PER_NAME_MAX: usize = 8;
/// Look-ups of all names under way, far below the 512 threads that the runtime has for what blocks: a hostile server may
/// redirect to many names.
const LOOKUPS_MAX: usize = 64;
/// How many addresses of one name are tried at most; a hostile zone could list thousands.
const ADDRESSES_MAX: usize = 8;

/// The answer of a [`Lookup`].
pub type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Asks for the addresses of a host name. The guard trusts no answer.
pub trait Lookup: Send + Sync + 'static {
    /// Every address of `host`, in the order they should be tried.
    fn lookup(&self, host: &str) -> Looking;
}

/// The system's resolver. It blocks a thread for as long as it likes, which may be longer than anybody waits for it, and the
/// process has so many threads for all its blocking work, password hashes among it. So each name has a few at once, and all
/// names together have some: where a resolver is dead, work that needs no name goes on.
#[derive(Clone)]
pub struct SystemLookup {
    names: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    all: Arc<Semaphore>,
    ask: fn(&str) -> std::io::Result<Vec<IpAddr>>,
}

impl SystemLookup {
    fn asking(ask: fn(&str) -> std::io::Result<Vec<IpAddr>>) -> Self {
        Self { names: Arc::default(), all: Arc::new(Semaphore::new(LOOKUPS_MAX)), ask }
    }

    /// A place in the queue of a name.
    fn queue(&self, host: &str) -> Queued {
        let mut names = lock(&self.names);
        let room = names.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(LOOKUPS_PER_NAME_MAX)));
        Queued { host: host.to_owned(), room: Some(Arc::clone(room)), names: Arc::clone(&self.names) }
    }
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self::asking(|host| Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }
}

impl fmt::Debug for SystemLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemLookup")
    }
}

/// Keeps the queue of a name in being, until nobody is in it any more.
struct Queued {
    host: String,
    room: Option<Arc<Semaphore>>,
    names: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut names = lock(&self.names);
        self.room = None;
        if names.get(&self.host).is_some_and(|room| Arc::strong_count(room) == 1) {
            names.remove(&self.host);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one call on the map, so a panic leaves none half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> Looking {
        let (queued, all, ask, host) = (self.queue(host), Arc::clone(&self.all), self.ask, host.to_owned());
        Box::pin(async move {
            let Some(room) = queued.room.clone() else { return Err(std::io::ErrorKind::Other.into()) };
            let of_name = room.acquire_owned().await.map_err(std::io::Error::other)?;
            let of_all = all.acquire_owned().await.map_err(std::io::Error::other)?;
            // The permits go with the thread, not with whoever waits for it.
            let asked = tokio::task::spawn_blocking(move || {
                let found = ask(&host);
                drop((of_name, of_all));
                drop(queued);
                found
            });
            asked.await.map_err(std::io::Error::other)?
        })
    }
}

/// No address of the name may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("host name has no address on the open internet")]
struct NoGlobalAddress;

/// A [`Lookup`] behind the address guard.
pub(super) struct Guarded {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) rules: Rules,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.lookup.lookup(name.as_str());
        let rules = self.rules;
        Box::pin(async move {
            let found = tokio::time::timeout(LOOKUP_TIMEOUT, looking).await??;
            let kept = keep_allowed(found, rules);
            if kept.is_empty() {
                return Err(NoGlobalAddress.into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be connected to. Port 0 means "the port of the URL".
pub(super) fn keep_allowed(found: Vec<IpAddr>, rules: Rules) -> Vec<SocketAddr> {
    let allowed = |ip: &IpAddr| rules.private_addresses || is_global(*ip);
    let kept = found.into_iter().filter(allowed).take(ADDRESSES_MAX);
    kept.map(|ip| SocketAddr::new(ip, 0)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    const AT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// Far beyond what the test takes.
    const HELD_AT_MOST: Duration = Duration::from_secs(20);
    /// Threads that the resolver below holds, and whether it lets them go.
    static HELD: AtomicUsize = AtomicUsize::new(0);
    static OVER: AtomicUsize = AtomicUsize::new(0);

    fn ask(host: &str) -> std::io::Result<Vec<IpAddr>> {
        if host.starts_with("dead") {
            HELD.fetch_add(1, Ordering::SeqCst);
            // A failed test must end: its runtime waits for its threads.
            let begun = Instant::now();
            while OVER.load(Ordering::SeqCst) == 0 && begun.elapsed() < HELD_AT_MOST {
                std::thread::sleep(Duration::from_millis(2));
            }
            HELD.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(vec![AT])
    }

    async fn until(so: impl Fn() -> bool) {
        let waiting = async {
            while !so() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it comes to be so");
    }

    #[tokio::test]
    async fn a_name_that_nobody_answers_for_holds_a_few_threads_and_no_other_name() {
        let lookup = SystemLookup::asking(ask);
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..100 {
            waiting.spawn(lookup.lookup("dead.example.org"));
        }
        until(|| HELD.load(Ordering::SeqCst) == LOOKUPS_PER_NAME_MAX).await;
        assert_eq!(lookup.lookup("alive.example.org").await.unwrap(), [AT]);
        assert_eq!(lock(&lookup.names).len(), 1, "who has ended has no queue");
        // Nobody waits any more, and the threads still hang: further ones may not come on top.
        waiting.shutdown().await;
        for n in 0..100 {
            waiting.spawn(lookup.lookup("dead.example.org"));
            waiting.spawn(lookup.lookup(&format!("dead-{n}.example.org")));
        }
        until(|| HELD.load(Ordering::SeqCst) == LOOKUPS_MAX).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(HELD.load(Ordering::SeqCst), LOOKUPS_MAX);
        waiting.shutdown().await;
        OVER.store(1, Ordering::SeqCst);
        until(|| lock(&lookup.names).is_empty()).await;
        assert_eq!(lookup.lookup("dead.example.org").await.unwrap(), [AT], "an end has been made of it");
        assert_eq!((lookup.all.available_permits(), lock(&lookup.names).len()), (LOOKUPS_MAX, 0));
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = SystemLookup::default().lookup("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
    }
}
