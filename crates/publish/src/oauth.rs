//! The parts of OAuth 2 that platforms share: PKCE (RFC 7636) and the stored token. The core makes the URL of the consent
//! page and holds redirects against the list.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::adapter::Class;
use crate::egress::{Answer, EgressError};

/// What is needed to turn a code into a token.
pub struct Exchange<'a> {
    /// The code from the redirect.
    pub code: &'a str,
    /// What the challenge in the consent page's address was made of (RFC 7636).
    pub code_verifier: &'a str,
    /// The same redirect address as before.
    pub redirect_url: &'a str,
    /// Now, in epoch seconds, for `expires_at`.
    pub now_s: u64,
}

/// A connected account.
pub struct Account {
    /// Who it is, distinct per platform, for example `name@instance` for Mastodon.
    pub identifier: String,
    /// The platform's token answer as JSON, with `expires_at` added.
    pub token_json: Zeroizing<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(..)")
    }
}

/// Why an OAuth call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// Nothing was sent or the platform is busy; may be tried again.
    #[error("the platform cannot be asked now ({why:?})")]
    Retry {
        /// What stood in the way.
        why: Class,
        /// How long the platform asked us to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The request may have been received; a code or a rotating token may be spent.
    #[error("the platform did not answer in time or answered nonsense")]
    Unknown,
    /// The platform refused.
    #[error("the platform refused with status {status}")]
    Refused {
        /// Its HTTP status.
        status: u16,
    },
    /// Less was granted than publishing needs.
    #[error("the granted scopes do not allow publishing; connect the account again")]
    Scopes,
    /// The platform gave no refresh token for this account.
    #[error("no refresh token was given for this account; connect it again")]
    NotOffered,
    /// The call makes no sense; nothing was sent.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Sorts a failed exchange of bytes.
pub(crate) fn unanswered(error: EgressError) -> OAuthError {
    match error {
        EgressError::NotConnected => OAuthError::Retry { why: Class::Connect, retry_after_ms: None },
        EgressError::Url(_) | EgressError::Build => OAuthError::Invalid("the request cannot be written as http"),
        EgressError::NoAnswer | EgressError::TooLong | EgressError::Redirect => OAuthError::Unknown,
    }
}

/// Sorts an answer that is not 2xx.
pub(crate) fn refused(answer: &Answer) -> OAuthError {
    match retry_class(answer.status) {
        Some(why) => OAuthError::Retry { why, retry_after_ms: answer.retry_after_ms },
        None if may_be_taken(answer.status) => OAuthError::Unknown,
        None => OAuthError::Refused { status: answer.status },
    }
}

/// The statuses that say "not taken, come again".
pub(crate) fn retry_class(status: u16) -> Option<Class> {
    match status {
        408 | 425 => Some(Class::TooEarly),
        429 => Some(Class::RateLimited),
        503 => Some(Class::Server),
        _ => None,
    }
}

/// The statuses that tell nothing of what was done: a server that stumbled (500) may have done it before, and a gateway
/// (502, 504 and their kin) has passed the request on and got no answer that it could give.
pub(crate) fn may_be_taken(status: u16) -> bool {
    matches!(status, 500..=502 | 504..=599)
}

/// `code_challenge` of method S256.
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// A token as the platform gave it, with what we add.
pub(crate) struct Token(Map<String, Value>);

impl Token {
    /// From a platform's answer: needs an access token, adds `expires_at`, and copies the access
    /// token where no refresh token was given, as the upstream publisher stores it.
    pub(crate) fn from_answer(answer: &Answer, now_s: u64) -> Option<Self> {
        let mut token = Self(answer.json::<Map<String, Value>>()?);
        let access = token.access()?.to_owned();
        if token.text("refresh_token").is_none() {
            token.0.insert("refresh_token".into(), Value::String(access));
        }
        if let Some(lifetime_s) = token.0.get("expires_in").and_then(Value::as_u64) {
            let expires_at = now_s.saturating_add(lifetime_s);
            token.0.insert("expires_at".into(), expires_at.into());
        }
        Some(token)
    }

    /// From the vault.
    pub(crate) fn parse(token_json: &str) -> Option<Self> {
        let token = Self(serde_json::from_str(token_json).ok()?);
        token.access()?;
        Some(token)
    }

    pub(crate) fn access(&self) -> Option<&str> {
        self.text("access_token")
    }

    /// The refresh token, unless it is our copy of the access token.
    pub(crate) fn refresh(&self) -> Option<&str> {
        self.text("refresh_token").filter(|token| Some(*token) != self.access())
    }

    /// The granted scopes; absent means "as asked for" (RFC 6749 §5.1).
    pub(crate) fn scopes(&self) -> Option<Vec<&str>> {
        Some(self.text("scope")?.split_ascii_whitespace().collect())
    }

    pub(crate) fn to_json(&self) -> Zeroizing<String> {
        Zeroizing::new(Value::Object(self.0.clone()).to_string())
    }

    /// Takes over what the older token has and this one lacks, as a rotated answer may: the refresh token too, which stays
    /// good where no new one is given (RFC 6749 §6).
    pub(crate) fn fill_from(&mut self, older: &Self) {
        if let (None, Some(refresh)) = (self.refresh(), older.refresh()) {
            self.0.insert("refresh_token".into(), Value::String(refresh.to_owned()));
        }
        for (name, value) in &older.0 {
            self.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_is_the_one_of_the_rfc() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_refresh_token_stays_where_no_new_one_is_given() {
        let token = |json: &str| Token(serde_json::from_str(json).unwrap());
        let old = token(r#"{"access_token":"a","refresh_token":"r","scope":"write"}"#);
        for (answer, refresh) in [
            // As `from_answer` copies it.
            (r#"{"access_token":"b","refresh_token":"b"}"#, "r"),
            (r#"{"access_token":"b","refresh_token":"s"}"#, "s"),
        ] {
            let mut new = token(answer);
            new.fill_from(&old);
            assert_eq!((new.access(), new.refresh(), new.scopes()), (Some("b"), Some(refresh), Some(vec!["write"])));
        }
    }

    #[test]
    fn statuses_are_sorted() {
        for (status, class, unknown) in [
            (408, Some(Class::TooEarly), false),
            (425, Some(Class::TooEarly), false),
            (429, Some(Class::RateLimited), false),
            (503, Some(Class::Server), false),
            (500, None, true),
            (502, None, true),
            (504, None, true),
            (522, None, true),
            (400, None, false),
            (401, None, false),
            (302, None, false),
        ] {
            assert_eq!((retry_class(status), may_be_taken(status)), (class, unknown), "{status}");
        }
    }
}
