//! What every platform adapter can do, and the words in which it reports.
//!
//! The important distinction is in [`SendError`]: *nothing was sent* against *the answer never
//! came*. The first may be tried again for as long as the job lives, the second only where the
//! platform makes a second try harmless ([`Adapter::may_resend`]).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::mastodon::Mastodon;
use crate::oauth::{Account, Exchange, OAuthError};
use crate::split::Part;

/// How accounts of a platform are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// OAuth 2 with PKCE.
    OAuth2,
    /// Phone number based authentication.
    Pnba,
    /// No account.
    Event,
}

/// Which content format the apps use for a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Sender, recipients, subject, body.
    Email,
    /// Sender and body.
    Text,
    /// Sender, recipient, body.
    Message,
    /// A reliability test.
    Test,
}

/// A platform as the apps list it. It serialises to exactly the seven fields that the strict
/// parser of the Android app knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformInfo {
    /// Name in lower case, for example `mastodon`.
    pub name: String,
    /// The ASCII letter that stands for the platform in payloads.
    #[serde(serialize_with = "letter")]
    pub shortcode: u8,
    /// How accounts are connected.
    #[serde(rename = "protocol_type")]
    pub protocol: Protocol,
    /// Content format.
    #[serde(rename = "service_type")]
    pub service: Service,
    /// Address of an icon; may be empty.
    pub icon_svg: String,
    /// Address of an icon; empty unless it certainly loads, or the app's refresh is aborted.
    pub icon_png: String,
    /// Whether the platform accepts redirect addresses with an app's own scheme.
    pub support_url_scheme: bool,
}

fn letter<S: Serializer>(code: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_char(char::from(*code))
}

/// One file to publish.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// Name as the platform shows it.
    pub filename: String,
    /// Media type, for example `image/webp`.
    pub mimetype: String,
    /// The bytes.
    pub data: Vec<u8>,
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Media(..)")
    }
}

/// One part of a publication: a post of a thread, or the whole.
pub struct PartRequest {
    /// The same for each try of the same part, and different for all others.
    pub idempotency_key: String,
    /// Account identifier as [`Account::identifier`].
    pub account: String,
    /// The stored token as [`Account::token_json`].
    pub token_json: Zeroizing<String>,
    /// The text of this part, already within the platform's limit.
    pub text: Zeroizing<String>,
    /// `remote_id` of the part before, in a thread.
    pub in_reply_to: Option<String>,
    /// Files of this part.
    pub media: Vec<Media>,
}

impl fmt::Debug for PartRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartRequest(..)")
    }
}

/// A part that the platform has.
#[derive(Clone, PartialEq, Eq)]
pub enum Sent {
    /// It is posted.
    Posted {
        /// The platform's name for it; the next part of a thread replies to it.
        remote_id: String,
        /// Where people see it.
        url: Option<String>,
    },
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent::Posted(..)")
    }
}

/// Why a try failed without anything being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// No connection came about.
    Connect,
    /// 408 or 425: the platform did not take the request.
    TooEarly,
    /// 429.
    RateLimited,
    /// 503. The other 5xx say nothing of what was done: [`SendError::Unknown`].
    Server,
    /// An attached file is not ready yet; the post itself was not sent.
    Media,
}

/// Why a part is not known to be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing was sent. May be tried again until the job's deadline.
    #[error("nothing was sent ({why:?})")]
    Retry {
        /// What stood in the way.
        why: Class,
        /// How long the platform asked us to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The request may have been received and the answer never came, was cut, or is no answer of
    /// this platform.
    #[error("the request may have been received, no usable answer came")]
    Unknown,
    /// The token was not accepted.
    #[error("the platform did not accept the token")]
    Unauthorized,
    /// The platform refused for good.
    #[error("the platform refused with status {status}")]
    Refused {
        /// Its HTTP status.
        status: u16,
    },
    /// The request makes no sense; nothing was sent.
    #[error("not sent: {0}")]
    Invalid(&'static str),
}

/// A platform this node publishes to.
#[derive(Debug, Clone)]
pub enum Adapter {
    /// One Mastodon-compatible instance.
    Mastodon(Mastodon),
}

impl Adapter {
    /// How the apps list it.
    pub fn info(&self) -> PlatformInfo {
        match self {
            Self::Mastodon(_) => Mastodon::info(),
        }
    }

    /// Whether a part whose answer never came may be sent once more without a second post,
    /// `since_first_send` after it was written for the first time.
    pub fn may_resend(&self, since_first_send: Duration) -> bool {
        match self {
            Self::Mastodon(mastodon) => mastodon.may_resend(since_first_send),
        }
    }

    /// Cuts a text into the parts that the platform takes. The same input gives the same parts.
    pub fn split(&self, text: &str, media: Vec<Media>) -> Vec<Part> {
        match self {
            Self::Mastodon(mastodon) => mastodon.split(text, media),
        }
    }

    /// Ends connecting an account: the code becomes a token, the token says whose it is.
    pub async fn exchange(&self, exchange: &Exchange<'_>) -> Result<Account, OAuthError> {
        match self {
            Self::Mastodon(mastodon) => mastodon.exchange(exchange).await,
        }
    }

    /// A new token for a stored one; `now_s` in epoch seconds. The old one may be spent at once:
    /// make the new one durable before using it.
    pub async fn refresh(&self, token_json: &str, now_s: u64) -> Result<Zeroizing<String>, OAuthError> {
        match self {
            Self::Mastodon(mastodon) => mastodon.refresh(token_json, now_s).await,
        }
    }

    /// Asks the platform to forget a token.
    pub async fn revoke(&self, token_json: &str) -> Result<(), OAuthError> {
        match self {
            Self::Mastodon(mastodon) => mastodon.revoke(token_json).await,
        }
    }

    /// The account identifier a token belongs to.
    pub async fn userinfo(&self, token_json: &str) -> Result<String, OAuthError> {
        match self {
            Self::Mastodon(mastodon) => mastodon.userinfo(token_json).await,
        }
    }

    /// Publishes one part. Bounded in time by the egress client. When the future is dropped the
    /// outcome is [`SendError::Unknown`].
    pub async fn publish(&self, request: &PartRequest) -> Result<Sent, SendError> {
        match self {
            Self::Mastodon(mastodon) => mastodon.publish(request).await,
        }
    }
}
