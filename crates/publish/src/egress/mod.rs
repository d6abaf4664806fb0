//! The one HTTP client through which this node reaches the outside, and its guard against being
//! sent to the inside (server-side request forgery).
//!
//! Only `https` on port 443 to public host names; names are resolved here, filtered, and the
//! client connects to exactly what passed; no proxy from the environment, no cookies, no referer;
//! ten seconds in all and one mebibyte of answer. Reads follow at most two redirects, each checked
//! like the first URL. Changes follow none: a body with a code or a text in it must not wander.

mod address;
mod request;
mod resolve;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use reqwest::{Response, multipart};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

pub use address::is_global;
pub use request::{Answer, FilePart, Method, Request};
pub use resolve::{Looking, Lookup, SystemLookup};
pub use target::{URL_BYTES_MAX, UrlError};

use request::Body;
pub(crate) use request::{RETRY_AFTER_MAX_MS, media_type, retry_after_ms};

/// Time for one exchange, from the look-up to the last byte: a platform that hangs costs no more.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for look-up, connection and TLS. Shorter than the total, so that a connection that never
/// came is told apart from an answer that never came.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Redirects that a read follows.
pub const REDIRECTS_MAX: usize = 2;
/// How long an idle connection is kept. Shorter than common servers do (5 s and up), because a
/// request written into a connection that the server just closed has an uncertain outcome.
const IDLE: Duration = Duration::from_secs(4);
/// Idle connections that are kept to one host: as many as a busy node uses at once.
const KEPT_MAX: usize = 128;
const USER_AGENT: &str = concat!("relaymesh/", env!("CARGO_PKG_VERSION"));

/// How the client may connect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Allows `http`, every port, literal and private addresses. For local tests and the demo.
    pub allow_private: bool,
}

/// What [`Config`] means in detail; the tests of the guard relax one without the other.
#[derive(Debug, Clone, Copy)]
struct Rules {
    any_port: bool,
    private_addresses: bool,
}

impl From<Config> for Rules {
    fn from(config: Config) -> Self {
        Self { any_port: config.allow_private, private_addresses: config.allow_private }
    }
}

/// Why there is no answer. None of them names the host, the query or the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The URL is not one that we open; nothing was sent.
    #[error("url refused: {0}")]
    Url(#[from] UrlError),
    /// Header, form or body cannot be written as HTTP; nothing was sent.
    #[error("request cannot be written as http")]
    Build,
    /// No connection came about (name, address, TLS, time); nothing was sent.
    #[error("no connection to the host")]
    NotConnected,
    /// The request may have arrived, the answer did not.
    #[error("connected, but no complete answer")]
    NoAnswer,
    /// The answer was longer than [`ANSWER_BYTES_MAX`].
    #[error("answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// A redirect led to a URL that we do not open, or there were too many.
    #[error("redirect refused")]
    Redirect,
}

impl EgressError {
    /// Whether it is certain that the host never saw the request.
    pub fn nothing_sent(self) -> bool {
        matches!(self, Self::Url(_) | Self::Build | Self::NotConnected)
    }
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No TLS provider: the binary installs one at its start.
    #[error("no rustls crypto provider is installed; install one before the egress client is made")]
    NoProvider,
    /// The HTTP library refused, for example because no root certificates are installed.
    #[error("http client cannot be set up; are root certificates installed?")]
    Library(#[source] reqwest::Error),
}

/// The egress client. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    rules: Rules,
    reads: reqwest::Client,
    changes: reqwest::Client,
    fresh: reqwest::Client,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "egress::Client({:?})", self.rules)
    }
}

impl Client {
    /// A client with the system's resolver.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        Self::with_lookup(config, Arc::new(SystemLookup::default()))
    }

    /// A client that asks `lookup` for addresses. The guard filters its answers all the same.
    pub fn with_lookup(config: Config, lookup: Arc<dyn Lookup>) -> Result<Self, SetupError> {
        Self::with_rules(config.into(), lookup)
    }

    fn with_rules(rules: Rules, lookup: Arc<dyn Lookup>) -> Result<Self, SetupError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SetupError::NoProvider);
        }
        let follow = Policy::custom(move |attempt| follow(attempt, rules));
        let make = |policy, kept| build(rules, &lookup, policy, kept);
        let (reads, changes) = (make(follow, KEPT_MAX)?, make(Policy::none(), KEPT_MAX)?);
        Ok(Self { rules, reads, changes, fresh: make(Policy::none(), 0)? })
    }

    /// Parses a URL and checks that this client would open it.
    pub fn validate(&self, url: &str) -> Result<Url, UrlError> {
        target::check(url, self.rules)
    }

    /// Sends one request. Dropping the future closes the connection; the request may have arrived.
    pub async fn send(&self, request: Request) -> Result<Answer, EgressError> {
        let url = self.validate(&request.url)?;
        let client = match &request {
            Request { fresh: true, .. } => &self.fresh,
            Request { follow: true, .. } => &self.reads,
            _ => &self.changes,
        };
        let ready = write(client, url, request)?;
        let response = ready.send().await.map_err(|error| classify(&error))?;
        Ok(read(response).await)
    }
}

fn build(
    rules: Rules,
    lookup: &Arc<dyn Lookup>,
    redirects: Policy,
    kept: usize,
) -> Result<reqwest::Client, SetupError> {
    let guarded = resolve::Guarded { lookup: Arc::clone(lookup), rules };
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .redirect(redirects)
        .https_only(!rules.any_port)
        .timeout(TOTAL_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(kept)
        .dns_resolver(Arc::new(guarded))
        .build()
        .map_err(SetupError::Library)
}

fn follow(attempt: Attempt<'_>, rules: Rules) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error("too many redirects");
    }
    match target::check_url(attempt.url(), rules) {
        Ok(()) => attempt.follow(),
        Err(refused) => attempt.error(refused),
    }
}

fn write(client: &reqwest::Client, url: Url, request: Request) -> Result<reqwest::RequestBuilder, EgressError> {
    let mut ready = match request.method {
        Method::Get => client.get(url),
        Method::Post => client.post(url),
        Method::Put => client.put(url),
    };
    for (name, value) in &request.headers {
        ready = ready.header(name.as_str(), value.as_str());
    }
    Ok(match request.body {
        Body::Empty => ready,
        Body::Bytes(bytes) => ready.body(bytes.to_vec()),
        Body::File(part) => ready.multipart(form(part)?),
    })
}

fn form(part: FilePart) -> Result<multipart::Form, EgressError> {
    let file = multipart::Part::bytes(part.data).file_name(part.filename);
    let file = file.mime_str(&part.mimetype).map_err(|_| EgressError::Build)?;
    Ok(multipart::Form::new().part(part.field, file))
}

/// Sorts the library's error. What is not provably "before the request" counts as "may have
/// arrived".
fn classify(error: &reqwest::Error) -> EgressError {
    if error.is_builder() {
        EgressError::Build
    } else if error.is_redirect() {
        EgressError::Redirect
    } else if error.is_connect() {
        EgressError::NotConnected
    } else {
        EgressError::NoAnswer
    }
}

async fn read(mut response: Response) -> Answer {
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
    let content_type = media_type(header("content-type"));
    let retry_after_ms = retry_after_ms(header("retry-after"));
    let status = response.status().as_u16();
    let body = read_body(&mut response).await;
    Answer { status, content_type, retry_after_ms, body }
}

async fn read_body(response: &mut Response) -> Result<Zeroizing<Vec<u8>>, EgressError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|_| EgressError::NoAnswer)? {
        if chunk.len() > ANSWER_BYTES_MAX - body.len() {
            return Err(EgressError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
