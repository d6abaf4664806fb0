//! A request as the adapters write it, and the answer as they read it. The HTTP library's own
//! types stay inside this folder, and none of these can print what they carry.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::EgressError;

/// Longest wait that a platform may ask for with `Retry-After`, in milliseconds: a day.
pub(crate) const RETRY_AFTER_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// The methods that we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads; follows at most two redirects.
    Get,
    /// Changes something; a redirect is an answer, never followed.
    Post,
    /// As [`Method::Post`].
    Put,
}

/// One file of a multipart form.
pub struct FilePart {
    /// The form field.
    pub field: &'static str,
    /// The file's name as the platform sees it.
    pub filename: String,
    /// Its media type.
    pub mimetype: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

pub(super) enum Body {
    Empty,
    Bytes(Zeroizing<Vec<u8>>),
    File(FilePart),
}

/// A request to send. Headers and body may hold secrets, so `Debug` shows the method only.
pub struct Request {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(String, Zeroizing<String>)>,
    pub(super) body: Body,
    pub(super) follow: bool,
    pub(super) fresh: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:?})", self.method)
    }
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        let follow = method == Method::Get;
        Self { method, url: url.into(), headers: Vec::new(), body: Body::Empty, follow, fresh: false }
    }

    /// Takes a redirect as the answer even of a `GET`: for one that changes something.
    pub fn no_redirects(mut self) -> Self {
        self.follow = false;
        self
    }

    /// Takes a new connection, if told so, and follows no redirect. A kept one may just be closing, and then nobody knows
    /// whether the request arrived; some servers close all of them without saying so.
    pub fn fresh(mut self, fresh: bool) -> Self {
        self.fresh = fresh;
        self
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::Get, url)
    }

    /// A `POST`.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new(Method::Post, url)
    }

    /// Adds a header. One that HTTP does not allow makes `send` fail before anything is sent.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Zeroizing::new(value.into())));
        self
    }

    /// `Authorization: Bearer …`
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// `Authorization: Basic …`
    pub fn basic(self, user: &str, password: &str) -> Self {
        let pair = Zeroizing::new(format!("{user}:{password}"));
        self.header("authorization", format!("Basic {}", STANDARD.encode(pair.as_bytes())))
    }

    /// A body of a declared content type.
    pub fn body(mut self, content_type: &str, bytes: Vec<u8>) -> Self {
        self.body = Body::Bytes(Zeroizing::new(bytes));
        self.header("content-type", content_type)
    }

    /// A JSON body.
    pub fn json(self, value: &impl Serialize) -> Result<Self, EgressError> {
        let bytes = serde_json::to_vec(value).map_err(|_| EgressError::Build)?;
        Ok(self.body("application/json", bytes))
    }

    /// A form-encoded body.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut encoder = url::form_urlencoded::Serializer::new(String::new());
        encoder.extend_pairs(fields);
        self.body("application/x-www-form-urlencoded", encoder.finish().into_bytes())
    }

    /// A multipart body with one file.
    pub fn file(mut self, part: FilePart) -> Self {
        self.body = Body::File(part);
        self
    }
}

/// What came back: always a status; the body may be missing even then.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, lower case, without parameters.
    pub content_type: String,
    /// How long the platform asked us to wait (`Retry-After` in seconds), in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The body, or why it did not arrive whole.
    pub body: Result<Zeroizing<Vec<u8>>, EgressError>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.status)
    }
}

impl Answer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON, if it is declared as JSON, whole and of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        let json = self.content_type == "application/json" || self.content_type.ends_with("+json");
        let body = self.body.as_ref().ok().filter(|_| json)?;
        serde_json::from_slice(body).ok()
    }
}

/// `Retry-After` in its seconds form. The date form would need a clock and is left out.
pub(crate) fn retry_after_ms(header: Option<&str>) -> Option<u64> {
    let seconds: u64 = header?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1000).min(RETRY_AFTER_MAX_MS))
}

/// The media type without its parameters.
pub(crate) fn media_type(header: Option<&str>) -> String {
    let text = header.unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_reads_seconds_and_is_capped() {
        assert_eq!(retry_after_ms(Some(" 3 ")), Some(3000));
        assert_eq!(retry_after_ms(Some("99999999999999999")), Some(RETRY_AFTER_MAX_MS));
        assert_eq!(retry_after_ms(Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
        assert_eq!(retry_after_ms(None), None);
    }

    #[test]
    fn debug_of_a_request_shows_no_secret() {
        let request = Request::post("https://a.example.org/?key=s3cret").bearer("s3cret");
        assert_eq!(format!("{request:?}"), "Request(Post)");
    }
}
