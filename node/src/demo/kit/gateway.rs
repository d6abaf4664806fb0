//! A gateway client: the phone with Internet that forwards every SMS it gets, the way DekuSMS does. One attempt each,
//! whatever the answer.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::json;

use super::http::Http;

/// A gateway client that is enrolled at a node.
#[derive(Clone)]
pub struct GatewayClient {
    /// The operator's name for it.
    pub name: String,
    /// The node it forwards to.
    pub node: String,
    /// The node's address for it, with its token.
    pub url: String,
    http: Http,
}

/// What a node answered to one forwarded SMS.
pub struct Forwarded {
    /// HTTP status.
    pub status: u16,
    /// How long the answer took.
    pub took: Duration,
    /// `publisher_response`, or `error`.
    pub text: String,
}

impl Forwarded {
    /// Whether the node promised to keep the SMS.
    pub fn accepted(&self) -> bool {
        (200..300).contains(&self.status) && self.text != "ignored"
    }
}

impl GatewayClient {
    /// A gateway client with its URL.
    pub fn new(name: &str, node: &str, url: String, http: Http) -> Self {
        Self { name: name.to_owned(), node: node.to_owned(), url, http }
    }

    /// Forwards one SMS.
    ///
    /// # Errors
    /// When the node does not answer; a real gateway client would not notice.
    pub async fn forward(&self, sender: &str, text: &str) -> Result<Forwarded> {
        let begun = Instant::now();
        let answer = self.http.post(&self.url, &deku(sender, text, epoch_ms())).await?;
        let told = answer.field("publisher_response").or_else(|| answer.field("error"));
        Ok(Forwarded { status: answer.status, took: begun.elapsed(), text: told.unwrap_or_default() })
    }
}

/// The JSON document of DekuSMS, with the fields that it always has.
fn deku(sender: &str, text: &str, now_ms: u64) -> serde_json::Value {
    json!({
        "thread_id": 1, "address": sender, "date": now_ms, "date_sent": now_ms.saturating_sub(1_500), "read": 0,
        "status": -1, "type": 1, "body": text, "text": text, "sub_id": 1, "tag": "",
    })
}

/// Milliseconds since the Unix epoch.
pub fn epoch_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kept_sms_counts_as_accepted() {
        let told = |status, text: &str| Forwarded { status, took: Duration::ZERO, text: text.to_owned() }.accepted();
        assert!(told(200, "accepted 00"));
        assert!(told(200, ""));
        assert!(!told(200, "ignored"));
        assert!(!told(400, "Decoded payload is empty"));
        assert!(!told(503, ""));
    }

    #[test]
    fn the_document_has_what_a_node_needs() {
        let document = deku("+237650000001", "AgAA", 1_767_225_600_000);
        assert_eq!(document["address"], "+237650000001");
        assert_eq!(document["text"], document["body"]);
        assert_eq!(document["date"], 1_767_225_600_000_u64);
        assert!(document["date_sent"].as_u64() < document["date"].as_u64());
    }
}
