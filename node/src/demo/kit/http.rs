//! A plain HTTP client for this machine: what gateway clients and browsers do.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::{Body, to_bytes};
use axum::extract::Query;
use axum::http::{Request, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longest time for one request; a node on this machine answers within its `ingress.wait`.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// The client. Clones share connections.
#[derive(Clone)]
pub struct Http(Client<HttpConnector, Body>);

/// An answer.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// A text field of a JSON body.
    pub fn field(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        body.get(name)?.as_str().map(str::to_owned)
    }
}

impl Http {
    /// A client without any connection.
    pub fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// `GET`; redirects are not followed.
    pub async fn get(&self, url: &str) -> Result<Answer> {
        let request = Request::get(url).body(Body::empty()).context("no url")?;
        self.send(request).await
    }

    /// `POST` of a JSON document.
    pub async fn post(&self, url: &str, body: &Value) -> Result<Answer> {
        let request = Request::post(url).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.to_string())).context("no url")?;
        self.send(request).await
    }

    async fn send(&self, request: Request<Body>) -> Result<Answer> {
        tokio::time::timeout(REQUEST_TIME, self.answer(request)).await.context("no answer in time")?
    }

    async fn answer(&self, request: Request<Body>) -> Result<Answer> {
        let response = self.0.request(request).await.context("no connection")?;
        let location = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let body = to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await.context("the answer broke off")?;
        Ok(Answer { status, location, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// A parameter of an address, decoded.
pub fn query(address: &str, name: &str) -> Option<String> {
    let uri: Uri = address.parse().ok()?;
    let Query(mut fields) = Query::<BTreeMap<String, String>>::try_from_uri(&uri).ok()?;
    fields.remove(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let address = "https://relay.example.org/android?code=code-1&state=bWFz%3D%0A";
        assert_eq!(query(address, "code").as_deref(), Some("code-1"));
        assert_eq!(query(address, "state").as_deref(), Some("bWFz=\n"));
        assert_eq!(query(address, "error"), None);
        assert_eq!(query("not an address", "code"), None);
    }

    #[test]
    fn fields_of_an_answer_are_read_leniently() {
        let answer = |status, body: &str| Answer { status, location: None, body: body.to_owned() };
        let accepted = answer(200, r#"{"publisher_response":"accepted 00"}"#);
        assert_eq!(accepted.field("publisher_response").as_deref(), Some("accepted 00"));
        assert_eq!(accepted.field("error"), None);
        assert_eq!(answer(503, "<html>").field("error"), None);
    }
}
