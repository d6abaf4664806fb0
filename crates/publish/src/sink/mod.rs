//! A local Mastodon-shaped server: for the demo, so that published texts can be looked at without
//! an account anywhere, and for tests, which need a server that fails on command.
//!
//! It keeps idempotency keys for an hour, as the real one does, and counts posts. It is not meant
//! for the open Internet: everyone who reaches its consent page is let in.

mod cut;
mod routes;
mod state;

use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use cut::{CutListener, Cutter};
use state::State;

pub use state::{Post, REDIRECT_URL};

/// How long a shutdown waits for open requests.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);

/// What the server does instead of answering properly. Everything but the listing is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Does nothing but answer with this status.
    Status {
        /// HTTP status.
        code: u16,
        /// `Retry-After`, in seconds.
        retry_after_s: Option<u64>,
    },
    /// Never answers; nothing is done.
    Hang,
    /// Closes the connection; nothing is done.
    CutBefore,
    /// Does what was asked and then closes the connection.
    CutAfter,
    /// Does what was asked and answers 200 with 100 kB of noise, declared as JSON.
    Garbage,
    /// Does what was asked and answers well, but declared as HTML.
    WrongType,
}

/// The parts shared between handlers and the handle.
pub(crate) struct Shared {
    state: Mutex<State>,
    fault: Mutex<Option<(Fault, u32)>>,
    log: Option<Mutex<File>>,
    closing: watch::Receiver<bool>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault for one request, if one is set.
    fn take_fault(&self) -> Option<Fault> {
        let mut slot = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let (fault, left) = (*slot)?;
        *slot = (left > 1).then_some((fault, left - 1));
        Some(fault)
    }

    async fn closed(&self) {
        let mut closing = self.closing.clone();
        // An error means that the handle is gone, which is as good as a shutdown.
        let _ = closing.wait_for(|closing| *closing).await;
    }
}

/// The server, not started.
#[derive(Debug, Clone, Copy)]
pub struct Sink;

impl Sink {
    /// Starts on `addr` (port 0 picks one). `log` receives one JSON line per post.
    pub async fn start(addr: SocketAddr, log: Option<PathBuf>) -> io::Result<SinkHandle> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let open = |path: PathBuf| OpenOptions::new().create(true).append(true).open(path);
        let (close, closing) = watch::channel(false);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(format!("http://{addr}"))),
            fault: Mutex::new(None),
            log: log.map(open).transpose()?.map(Mutex::new),
            closing,
        });
        let router = routes::router(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<Cutter>();
        let until = Arc::clone(&shared);
        let server =
            axum::serve(CutListener(listener), service).with_graceful_shutdown(async move { until.closed().await });
        let task = tokio::spawn(async move { server.await });
        Ok(SinkHandle { url: format!("http://{addr}"), addr, shared, close, task })
    }
}

/// A running server. Dropping it lets open requests end and stops it.
pub struct SinkHandle {
    /// `http://` host and port: the `base_url` of an adapter.
    pub url: String,
    addr: SocketAddr,
    shared: Arc<Shared>,
    close: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

impl std::fmt::Debug for SinkHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SinkHandle({})", self.url)
    }
}

impl SinkHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Client id and secret of a registration that is always there; it may use every redirect
    /// address.
    pub fn client(&self) -> (String, String) {
        self.shared.state().default_client()
    }

    /// An access token for `account`, without the browser's detour.
    pub fn token(&self, account: &str) -> String {
        self.shared.state().issue(account)
    }

    /// Says yes on the consent page as `account`: takes the authorization URL, gives the address
    /// the person would be sent to, with code and state. None if the page would show an error.
    pub fn approve(&self, authorization_url: &str, account: &str) -> Option<String> {
        let url = url::Url::parse(authorization_url).ok()?;
        let query = url.query_pairs().into_owned().collect();
        self.shared.state().authorize(&query, account, now_ms()).ok()
    }

    /// The posts kept so far, oldest first.
    pub fn posts(&self) -> Vec<Post> {
        self.shared.state().posts()
    }

    /// How many posts were ever made; repeats under a known key do not count.
    pub fn post_count(&self) -> u64 {
        self.shared.state().post_count()
    }

    /// From now on each of the next `times` requests meets `fault`.
    pub fn fault(&self, fault: Fault, times: u32) {
        let mut slot = self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = (times > 0).then_some((fault, times));
    }

    /// Gives refresh tokens and lifetimes from now on, as some servers do and Mastodon does not.
    pub fn rotate_tokens(&self, yes: bool) {
        self.shared.state().rotate_tokens(yes);
    }

    /// Takes no access token any more that was given so far; refresh tokens stay good.
    pub fn expire_tokens(&self) {
        self.shared.state().expire_tokens();
    }

    /// Behaves as servers that only have the client API (snac2): no OpenID endpoint, and 422 where
    /// Mastodon says 401.
    pub fn hide_userinfo(&self, yes: bool) {
        self.shared.state().hide_userinfo(yes);
    }

    /// Says "still working on it" to the next `polls` looks at an uploaded file.
    pub fn slow_media(&self, polls: u32) {
        self.shared.state().slow_media(polls);
    }

    /// Moves the server's clock on.
    pub fn advance_ms(&self, ms: u64) {
        self.shared.state().advance_ms(ms);
    }

    /// Stops: no new connections, open requests get two seconds.
    pub async fn shutdown(self) {
        self.close.send_replace(true);
        let mut task = self.task;
        if tokio::time::timeout(SHUTDOWN_WAIT, &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
