//! Mastodon and what speaks its client API: one instance, OAuth 2 with PKCE, posts with an
//! `Idempotency-Key`, which servers keep for an hour.

pub(crate) mod account;
pub(crate) mod post;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use url::{Position, Url};

use crate::adapter::{Media, PlatformInfo, Protocol, Service};
use crate::egress::{Client, Request, UrlError};
use crate::secret::Secret;
use crate::split::{Limits, Part, split};

/// Files that one post may have.
const MEDIA_MAX: usize = 4;
/// Length of a post where the instance's administrator did not change it, in characters.
const POST_CHARS: usize = 500;
/// For how long a post may be repeated under its key. Servers keep keys for an hour; a quarter
/// of it is left for clocks and for the time a request spends on the way.
pub const RESEND_WITHIN: Duration = Duration::from_secs(45 * 60);

/// Redirect addresses of the existing apps: Android, iOS (two), Desktop (two).
const APP_REDIRECTS: &[&str] = &[
    "https://relay.smswithoutborders.com/android",
    "relaysms://relaysms.com/ios/",
    "https://oauth.afkanerd.com/platforms/mastodon/protocols/oauth2/redirect_codes/ios/",
    "https://oauth.afkanerd.com/platforms/mastodon/protocols/oauth2/redirect_codes/",
    "https://oauth.afkanerd.com/android/",
];

/// Our registration at one instance.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The instance, for example `https://mastodon.social`.
    pub base_url: String,
    /// From the instance's "development" page or `POST /api/v1/apps`.
    pub client_id: String,
    /// Comes with the client id.
    pub client_secret: Secret,
    /// Where a person may be sent back to, compared to the letter. Default: the existing apps.
    #[serde(default = "app_redirects")]
    pub redirect_urls: Vec<String>,
    /// Longest post of the instance, in characters.
    #[serde(default = "post_chars")]
    pub post_chars: usize,
    /// The instance answers a repeated `Idempotency-Key` with the post it made. Mastodon does; snac2 posts again. With
    /// `false` each request has a connection of its own, so that fewer answers are lost.
    #[serde(default = "yes")]
    pub idempotency_keys: bool,
}

/// Where the existing apps take people back.
pub fn app_redirects() -> Vec<String> {
    APP_REDIRECTS.iter().map(ToString::to_string).collect()
}

fn post_chars() -> usize {
    POST_CHARS
}

fn yes() -> bool {
    true
}

impl Config {
    /// A configuration with the defaults.
    pub fn new(base_url: &str, client_id: &str, client_secret: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.into(),
            redirect_urls: app_redirects(),
            post_chars: POST_CHARS,
            idempotency_keys: true,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mastodon::Config").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The configuration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The instance's address is not one that the egress client opens.
    #[error("mastodon base_url: {0}")]
    BaseUrl(#[from] UrlError),
    /// The instance's address has more than scheme, host and port.
    #[error("mastodon base_url must be scheme, host and port only")]
    Path,
    /// The registration is missing.
    #[error("mastodon client_id and client_secret must be set")]
    NoClient,
}

/// The adapter of one instance. Cheap enough to clone per task.
#[derive(Clone)]
pub struct Mastodon {
    config: Config,
    /// Scheme, host and port, without a slash at the end.
    base: String,
    /// The second half of account identifiers: host and, if unusual, port, with `_` for each colon.
    instance: String,
    client: Client,
}

impl fmt::Debug for Mastodon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mastodon({})", self.instance)
    }
}

impl Mastodon {
    /// Checks the configuration. Nothing is sent.
    pub fn new(config: Config, client: Client) -> Result<Self, ConfigError> {
        let url = client.validate(&config.base_url)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(ConfigError::Path);
        }
        if config.client_id.is_empty() || config.client_secret.expose().is_empty() {
            return Err(ConfigError::NoClient);
        }
        let base = url[..Position::BeforePath].to_owned();
        Ok(Self { config, base, instance: instance(&url), client })
    }

    /// How the apps list it.
    pub fn info() -> PlatformInfo {
        PlatformInfo {
            name: "mastodon".to_owned(),
            shortcode: b'm',
            protocol: Protocol::OAuth2,
            service: Service::Text,
            icon_svg: String::new(),
            icon_png: String::new(),
            support_url_scheme: false,
        }
    }

    /// True within 45 minutes, if the instance keeps keys: it answers a repeated one with the post it made.
    pub fn may_resend(&self, since_first_send: Duration) -> bool {
        self.config.idempotency_keys && since_first_send <= RESEND_WITHIN
    }

    /// Posts of a thread, each within the instance's limit.
    pub fn split(&self, text: &str, media: Vec<Media>) -> Vec<Part> {
        split(text, media, Limits::new(self.config.post_chars, MEDIA_MAX))
    }

    /// The instance, as in `name@instance`: `mastodon.social`, or `127.0.0.1_8080` where the port is unusual.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn as_client(&self, path: &str, fields: &[(&str, &str)]) -> Request {
        let secret = self.config.client_secret.expose();
        self.post(path).basic(&self.config.client_id, secret).form(fields)
    }

    fn get(&self, path: &str) -> Request {
        Request::get(self.url(path)).fresh(!self.config.idempotency_keys)
    }

    fn post(&self, path: &str) -> Request {
        Request::post(self.url(path)).fresh(!self.config.idempotency_keys)
    }
}

/// Holds no colon: those part the account from the text in contents of V0, and from the token in a token SMS.
fn instance(url: &Url) -> String {
    url[Position::BeforeHost..Position::AfterPort].replace(':', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress;

    fn client(allow_private: bool) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::new(egress::Config { allow_private }).unwrap()
    }

    #[test]
    fn configuration_is_checked() {
        let make =
            |base, private| Mastodon::new(Config::new(base, "id", "secret"), client(private)).map(|m| m.instance);
        assert_eq!(make("https://mastodon.social", false).unwrap(), "mastodon.social");
        assert_eq!(make("https://mastodon.social:443/", false).unwrap(), "mastodon.social");
        assert_eq!(make("http://127.0.0.1:81", true).unwrap(), "127.0.0.1_81");
        assert!(!make("http://[::1]:81", true).unwrap().contains(':'));
        assert_eq!(make("https://a.example.org/x", true).unwrap_err(), ConfigError::Path);
        assert!(matches!(make("http://a.org", false), Err(ConfigError::BaseUrl(_))));
        let empty = Mastodon::new(Config::new("https://a.org", "", "s"), client(false));
        assert_eq!(empty.unwrap_err(), ConfigError::NoClient);
    }

    #[test]
    fn configuration_takes_no_unknown_field_and_shows_no_secret() {
        let text = r#"{"base_url":"https://a.org","client_id":"id","client_secret":"hunter2"}"#;
        let config: Config = serde_json::from_str(text).unwrap();
        assert_eq!(config.redirect_urls.len(), 5);
        assert!(!format!("{config:?}").contains("hunter2"));
        let typo = text.replace("client_id", "clientid");
        assert!(serde_json::from_str::<Config>(&typo).is_err());
    }

    #[test]
    fn the_manifest_has_exactly_the_seven_fields_of_the_app() {
        let value = serde_json::to_value(Mastodon::info()).unwrap();
        let expected = serde_json::json!({
            "name": "mastodon", "shortcode": "m", "protocol_type": "oauth2",
            "service_type": "text", "icon_svg": "", "icon_png": "", "support_url_scheme": false,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_repeat_is_allowed_for_45_minutes_where_keys_are_kept() {
        let mut config = Config::new("https://a.org", "id", "s");
        let keeps = Mastodon::new(config.clone(), client(false)).unwrap();
        assert!(keeps.may_resend(Duration::from_secs(2700)) && !keeps.may_resend(Duration::from_secs(2701)));
        config.idempotency_keys = false;
        let forgets = Mastodon::new(config, client(false)).unwrap();
        assert!(!forgets.may_resend(Duration::ZERO));
    }
}
