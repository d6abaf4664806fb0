//! Asking a captcha service whether a token is that of a person, before a one-time code costs money.
//!
//! What the service does not clearly say counts as "cannot be asked": then nobody gets in, neither a robot nor a person.

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use crate::egress::{Answer, Client, Request, UrlError};
use crate::secret::Secret;

/// Longest token that is passed on, in bytes; reCAPTCHA's have some 2,000.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// How a service is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Form fields `secret` and `response`: reCAPTCHA, hCaptcha, Turnstile.
    #[default]
    SiteVerify,
    /// JSON fields `client_secret` and `token`: the service that the existing RelaySMS apps have built in.
    RelaySms,
}

/// One service.
#[derive(Clone)]
pub struct Config {
    /// The address that answers, with its path.
    pub url: String,
    /// Our secret there.
    pub secret: Secret,
    /// How it is asked.
    pub style: Style,
}

/// The service could not be asked, or did not say yes or no. The reason is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the captcha service cannot be asked now")]
pub struct Unavailable;

/// The client of one service.
#[derive(Clone)]
pub struct Captcha {
    config: Config,
    client: Client,
}

impl fmt::Debug for Captcha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Captcha({:?})", self.config.style)
    }
}

/// What all services answer.
#[derive(Deserialize)]
struct Said {
    success: bool,
    #[serde(default, rename = "error-codes")]
    errors: Vec<String>,
}

impl Captcha {
    /// Checks the address. Nothing is sent.
    ///
    /// # Errors
    /// When the egress client would not open it.
    pub fn new(config: Config, client: Client) -> Result<Self, UrlError> {
        client.validate(&config.url)?;
        Ok(Self { config, client })
    }

    /// Whether the token is that of a person. Bounded in time by the egress client.
    ///
    /// # Errors
    /// When the service does not answer, or with anything else than yes or no.
    pub async fn verify(&self, token: &str) -> Result<bool, Unavailable> {
        if token.len() > TOKEN_BYTES_MAX {
            return Ok(false);
        }
        let answer = self.client.send(self.request(token)?).await.map_err(|error| {
            tracing::warn!(%error, "the captcha service does not answer; nobody can sign up or log in");
            Unavailable
        })?;
        read(&answer)
    }

    fn request(&self, token: &str) -> Result<Request, Unavailable> {
        let (post, secret) = (Request::post(&self.config.url), self.config.secret.expose());
        match self.config.style {
            Style::SiteVerify => Ok(post.form(&[("secret", secret), ("response", token)])),
            Style::RelaySms => post.json(&json!({ "client_secret": secret, "token": token })).map_err(|_| Unavailable),
        }
    }
}

/// Services say no with 200 or with a 4xx; either way in so many words. A no about our own secret is none about the person.
pub(crate) fn read(answer: &Answer) -> Result<bool, Unavailable> {
    let said: Option<Said> = if answer.status < 500 { answer.json() } else { None };
    let ours = |said: &Said| said.errors.iter().any(|error| error.ends_with("-secret") || error == "bad-request");
    match said {
        Some(said) if said.success && answer.is_success() => Ok(true),
        Some(said) if !said.success && !ours(&said) && answer.status != 429 => Ok(false),
        Some(_) => {
            tracing::warn!(status = answer.status, "the captcha service does not accept us; check otp.captcha.secret");
            Err(Unavailable)
        }
        None => {
            tracing::warn!(status = answer.status, "the captcha service gave no usable answer; check otp.captcha.url");
            Err(Unavailable)
        }
    }
}
