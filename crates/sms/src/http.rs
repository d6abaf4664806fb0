//! A provider's HTTP interface, described by templates.
//!
//! What follows from the statuses is the same for all of them; what differs (address, body, login)
//! is configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use relaymesh_publish::egress::{Answer, Client, EgressError, Method, Request};
use relaymesh_publish::secret::Secret;
use serde::Deserialize;

use crate::template::{ConfigError, Escape, Template};
use crate::{Accepted, SendError, Sms};

/// So often a request is repeated whose end is unknown, if the provider can tell that it is the same.
const REPEATS: u32 = 2;
/// Pause before each of them.
const REPEAT_PAUSE: Duration = Duration::from_secs(1);
/// What the name of a header has in it by which a provider tells a repeated request.
const IDEMPOTENCY: &str = "idempotency";

/// Headers that follow from the rest of the request; a second one would make two requests of it.
const OWN_HEADERS: &[&str] = &["content-length", "content-type", "host", "transfer-encoding"];

/// One provider.
///
/// Placeholders in URL, headers and body: `{to}` (E.164), `{to_digits}` (without the plus),
/// `{text}`, `{id}`. The content type decides how they are escaped in the body.
///
/// A request whose end is unknown (no answer, or a 5xx that is not 503) is not repeated, because the person
/// could get the SMS twice. Only where a header named for it, such as `Idempotency-Key`, carries `{id}`, the
/// provider can tell that it is the same, and it is repeated here; nothing else is tried after it in any case.
///
/// Twilio takes a form and HTTP Basic with account SID and auth token:
/// ```toml
#[doc = include_str!("../examples/twilio.toml")]
/// ```
/// Queuedroid takes JSON and a bearer key:
/// ```toml
#[doc = include_str!("../examples/queuedroid.toml")]
/// ```
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to; placeholders may stand in path and query.
    pub url: String,
    /// How.
    #[serde(default)]
    pub method: HttpMethod,
    /// `application/json`, `application/x-www-form-urlencoded` or `text/plain`.
    #[serde(default = "json")]
    pub content_type: String,
    /// The body; empty for a provider that takes all in the URL.
    #[serde(default)]
    pub body: String,
    /// More headers. Values may be secret; use `bearer` or `password` where they fit.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Key for `Authorization: Bearer`.
    #[serde(default)]
    pub bearer: Option<Secret>,
    /// Name for HTTP Basic.
    #[serde(default)]
    pub username: Option<String>,
    /// Password for HTTP Basic.
    #[serde(default)]
    pub password: Option<Secret>,
    /// What the provider answers when it took the SMS.
    #[serde(default = "success_statuses")]
    pub success_statuses: Vec<u16>,
}

/// The methods that providers use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// `POST`.
    #[default]
    Post,
    /// `PUT`.
    Put,
    /// `GET`, as some older gateways want it.
    Get,
}

fn json() -> String {
    "application/json".to_owned()
}

fn success_statuses() -> Vec<u16> {
    vec![200, 201, 202]
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys stand in URLs of some providers.
        f.debug_struct("HttpConfig").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The port to one provider.
pub struct HttpPort {
    config: HttpConfig,
    url: Template,
    body: Template,
    headers: Vec<(String, Template)>,
    /// The provider takes a repeated request once.
    idempotent: bool,
    client: Client,
}

impl fmt::Debug for HttpPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpPort({:?})", self.config)
    }
}

impl HttpPort {
    /// Checks the configuration with a made-up SMS. Nothing is sent.
    pub fn new(config: HttpConfig, client: Client) -> Result<Self, ConfigError> {
        let escape = escape(&config.content_type)?;
        let url = Template::parse("url", &config.url, Escape::Percent)?;
        let body = Template::parse("body", &config.body, escape)?;
        let mut headers = Vec::new();
        for (name, value) in &config.headers {
            if !is_header(name, value.expose()) {
                return Err(ConfigError::Header);
            }
            let template = Template::parse("headers", value.expose(), Escape::Header)?;
            headers.push((name.clone(), template));
        }
        let idempotent =
            headers.iter().any(|(name, value)| name.to_ascii_lowercase().contains(IDEMPOTENCY) && value.has_id());
        let port = Self { config, url, body, headers, idempotent, client };
        port.check(escape)?;
        Ok(port)
    }

    fn check(&self, escape: Escape) -> Result<(), ConfigError> {
        self.check_login()?;
        let statuses = &self.config.success_statuses;
        if statuses.is_empty() || !statuses.iter().all(|status| (200..300).contains(status)) {
            return Err(ConfigError::Statuses);
        }
        let (url_to, url_text) = self.url.names();
        let (body_to, body_text) = self.body.names();
        if !(url_to || body_to) || !(url_text || body_text) {
            return Err(ConfigError::Useless);
        }
        let probe = |to, text, id| Sms { to, text, id, at_ms: 0 };
        let (one, two) = (probe("+10000001", "a", "b"), probe("+20000002", "x\"y", "z"));
        if self.host(&one)? != self.host(&two)? {
            return Err(ConfigError::Url);
        }
        if escape == Escape::Json && !self.config.body.is_empty() {
            let filled = self.body.fill(&two).ok_or(ConfigError::Body)?;
            serde_json::from_str::<serde::de::IgnoredAny>(&filled).map_err(|_| ConfigError::Body)?;
        }
        Ok(())
    }

    fn check_login(&self) -> Result<(), ConfigError> {
        let HttpConfig { bearer, username, password, .. } = &self.config;
        let half = username.is_some() != password.is_some();
        let both = bearer.is_some() && username.is_some();
        if half || both { Err(ConfigError::Login) } else { Ok(()) }
    }

    fn host(&self, sms: &Sms<'_>) -> Result<Option<String>, ConfigError> {
        let filled = self.url.fill(sms).ok_or(ConfigError::Url)?;
        let url = self.client.validate(&filled).map_err(|_| ConfigError::Url)?;
        Ok(url.host_str().map(str::to_owned))
    }

    pub(crate) async fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SendError> {
        let first = self.attempt(sms).await;
        if first != Err(SendError::Unknown) || !self.idempotent {
            return first;
        }
        for _ in 0..REPEATS {
            tokio::time::sleep(REPEAT_PAUSE).await;
            // Whatever else is said now, the first request may have been taken.
            if self.attempt(sms).await.is_ok() {
                return Ok(Accepted);
            }
        }
        Err(SendError::Unknown)
    }

    async fn attempt(&self, sms: &Sms<'_>) -> Result<Accepted, SendError> {
        let request = self.request(sms).ok_or(SendError::Invalid("the sms does not fit the template"))?;
        let answer = self.client.send(request).await.map_err(unsent)?;
        self.judge(&answer)
    }

    fn request(&self, sms: &Sms<'_>) -> Option<Request> {
        let method = match self.config.method {
            HttpMethod::Post => Method::Post,
            HttpMethod::Put => Method::Put,
            HttpMethod::Get => Method::Get,
        };
        let mut request = Request::new(method, self.url.fill(sms)?).no_redirects();
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.fill(sms)?);
        }
        if let Some(key) = &self.config.bearer {
            request = request.bearer(key.expose());
        }
        if let (Some(user), Some(password)) = (&self.config.username, &self.config.password) {
            request = request.basic(user, password.expose());
        }
        if self.config.body.is_empty() {
            return Some(request);
        }
        Some(request.body(&self.config.content_type, self.body.fill(sms)?.into_bytes()))
    }

    /// A success status is success whatever the body says. A 2xx that is not on the list is as
    /// good as no answer: the provider may have taken the SMS. So may it after any 5xx but 503: a
    /// 500 can follow the hand-over to the carrier, and a proxy's 502 or 504 can hide a 201.
    fn judge(&self, answer: &Answer) -> Result<Accepted, SendError> {
        let retry = SendError::Retry { retry_after_ms: answer.retry_after_ms };
        match answer.status {
            status if self.config.success_statuses.contains(&status) => Ok(Accepted),
            408 | 425 | 429 | 503 => Err(retry),
            200..300 | 500..600 => Err(SendError::Unknown),
            status => Err(SendError::Refused { status }),
        }
    }
}

fn escape(content_type: &str) -> Result<Escape, ConfigError> {
    let bare = content_type.split(';').next().unwrap_or_default().trim();
    match bare {
        "application/json" => Ok(Escape::Json),
        "application/x-www-form-urlencoded" => Ok(Escape::Percent),
        "text/plain" => Ok(Escape::Plain),
        _ => Err(ConfigError::ContentType),
    }
}

fn is_header(name: &str, value: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let visible = |b: u8| b.is_ascii_graphic() || b == b' ';
    let ours = OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own));
    !ours && !name.is_empty() && name.bytes().all(token) && value.bytes().all(visible)
}

fn unsent(error: EgressError) -> SendError {
    match error {
        EgressError::NotConnected => SendError::Retry { retry_after_ms: None },
        EgressError::Url(_) | EgressError::Build => SendError::Invalid("the request cannot be written as http"),
        EgressError::NoAnswer | EgressError::TooLong | EgressError::Redirect => SendError::Unknown,
    }
}
