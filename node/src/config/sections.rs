//! The sections of the file, with their defaults. What a section means is checked in [`super::prepare`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use relaymesh_core::config::Accept;
use relaymesh_mail::Tls;
use relaymesh_publish::captcha::Style as CaptchaStyle;
use serde::{Deserialize, Serialize};

use super::secret::SecretAt;
use super::span::Span;

/// `[node]`: who this is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// The node's name, for people.
    pub name: String,
    /// The instance's name, for people.
    pub instance: String,
    /// How to reach the operator; published in the instance record.
    pub contact: String,
    /// What the node does; `bridge` joins by itself when `[bridge]` has a domain and a smart host.
    pub roles: BTreeSet<Role>,
    /// ISO 3166 alpha-2 of where the node's numbers are.
    pub country: Option<String>,
    /// How gateway clients reach `listen.http` from outside, such as `https://relay.example.org`.
    pub public_url: Option<String>,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            name: "relaymesh".to_owned(),
            instance: "relaymesh".to_owned(),
            contact: String::new(),
            roles: BTreeSet::from([Role::Gateway, Role::Vault, Role::Relay]),
            country: None,
            public_url: None,
        }
    }
}

/// What a node can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes SMS in.
    Gateway,
    /// Holds vaults.
    Vault,
    /// Relays for members behind NAT and holds custody copies.
    Relay,
    /// Serves bridge e-mail.
    Bridge,
}

/// `[listen]`: where others come in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Gateway clients, `ADDRESS:PORT`.
    pub http: String,
    /// Apps, `ADDRESS:PORT`.
    pub grpc: String,
    /// Other nodes, multiaddresses.
    pub mesh: Vec<String>,
    /// Certificate chain of `grpc`, PEM; without one, `grpc` is for this machine, where a front may end TLS.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub tls_key: Option<PathBuf>,
    /// A front that ends TLS reaches `grpc` over the network, in clear: `grpc` may be for other machines without a certificate.
    pub grpc_plain: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            http: "127.0.0.1:8080".to_owned(),
            grpc: "127.0.0.1:8443".to_owned(),
            mesh: vec!["/ip4/0.0.0.0/tcp/7443".to_owned()],
            tls_cert: None,
            tls_key: None,
            grpc_plain: false,
        }
    }
}

/// `[mesh]`: how nodes meet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mesh {
    /// Multiaddresses under which others reach this node; they are published.
    pub external: Vec<String>,
    /// Who may become a member through this node.
    pub accept: Accept,
    /// Look for nodes on the local network.
    pub lan: bool,
    /// Let members behind NAT be reached through this node; by default, when `external` is set and the role is `relay`.
    pub relay_server: Option<bool>,
    /// Be reached, and reach others, through relays.
    pub relay_client: bool,
    /// Connections in all.
    pub max_connections: u32,
}

impl Default for Mesh {
    fn default() -> Self {
        let mesh = relaymesh_mesh::Config::default();
        Self {
            external: Vec::new(),
            accept: Accept::Invite,
            lan: false,
            relay_server: None,
            relay_client: true,
            max_connections: mesh.max_connections,
        }
    }
}

/// `[store]`: where the data are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// The data directory; by default the one of the configuration file.
    pub path: PathBuf,
    /// Page cache in MiB.
    pub cache_mib: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: PathBuf::from("."), cache_mib: 64 }
    }
}

/// `[keys]`: what opens the keyring. Exactly one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// A key file, better on another disk than the data.
    pub file: Option<PathBuf>,
    /// A passphrase, by file or environment.
    pub passphrase: Option<SecretAt>,
    /// Ask for the passphrase on the terminal where `passphrase` gives none.
    pub prompt: bool,
    /// A systemd credential: a file in `$CREDENTIALS_DIRECTORY`.
    pub credential: Option<String>,
}

/// `[otp]`: one-time codes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Otp {
    /// Send codes by SMS; by default, when an SMS can leave this node.
    pub sms: Option<bool>,
    /// Send codes by e-mail; by default, when a smart host is configured.
    pub email: Option<bool>,
    /// Countries (ISO 3166 alpha-2) that get a code by SMS; empty = all.
    pub countries: Vec<String>,
    /// A service that tells people from robots before a code is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captcha: Option<Captcha>,
}

/// `[otp.captcha]`; see `relaymesh_publish::captcha`. While the service cannot be asked nobody gets a code.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Captcha {
    /// The address that verifies tokens, with its path.
    pub url: String,
    /// Our secret there.
    pub secret: Option<SecretAt>,
    /// `siteverify` (reCAPTCHA, hCaptcha, Turnstile) or `relaysms` (the service that the existing apps have built in).
    pub style: CaptchaStyle,
}

/// `[sms]`: how an SMS leaves.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sms {
    /// Ways in the order they are tried: `file`, names of `[sms.http.NAME]`, `node` for other nodes of this instance, and
    /// `node:INSTANCE` for those of a partner, by its name or the beginning of its id. By default all ports, by name, the
    /// file after them, then `node`. One-time codes leave by own ports only.
    pub reply_order: Option<Vec<String>>,
    /// Whose SMS this node sends besides those of its own instance.
    pub serve: SmsServe,
    /// Lines in a file, for development.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<SmsFile>,
    /// Providers' HTTP interfaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http: BTreeMap<String, SmsHttp>,
    /// What may leave in a day.
    pub budget: SmsBudget,
}

/// `[sms.serve]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmsServe {
    /// Partner instances, by name or the beginning of their id; `node federate` makes partners.
    pub partners: Vec<String>,
    /// SMS a day for each of them, within `[sms.budget]`.
    pub per_partner_per_day: u32,
}

impl Default for SmsServe {
    fn default() -> Self {
        Self { partners: Vec::new(), per_partner_per_day: 100 }
    }
}

/// `[sms.file]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsFile {
    /// Where the lines go.
    pub path: PathBuf,
}

/// `[sms.http.NAME]`; see `relaymesh_sms::HttpConfig`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmsHttp {
    /// Where to. Some providers have keys in it.
    pub url: Option<SecretAt>,
    /// `POST`, `PUT` or `GET`.
    pub method: Option<String>,
    /// How the body is written.
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
    /// More headers.
    pub headers: BTreeMap<String, SecretAt>,
    /// Key for `Authorization: Bearer`.
    pub bearer: Option<SecretAt>,
    /// Name for HTTP Basic.
    pub username: Option<String>,
    /// Password for HTTP Basic.
    pub password: Option<SecretAt>,
    /// What the provider answers when it took the SMS.
    pub success_statuses: Option<Vec<u16>>,
}

/// `[sms.budget]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmsBudget {
    /// SMS a day in all.
    pub per_day: u32,
    /// SMS a day to one country.
    pub per_country_per_day: u32,
    /// SMS a day to one number, one-time codes apart; the last quarter is not for news of success, and as many refreshed
    /// tokens go beside them.
    pub per_number_per_day: u32,
    /// Percent of the day that only one-time codes and refreshed tokens may use.
    pub codes_percent: u32,
    /// Countries that may be sent to; absent = all.
    pub countries: Option<BTreeSet<String>>,
}

impl Default for SmsBudget {
    fn default() -> Self {
        Self { per_day: 1_000, per_country_per_day: 500, per_number_per_day: 20, codes_percent: 20, countries: None }
    }
}

/// `[ingress]`: what gateway clients meet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingress {
    /// How long a gateway client may wait for an outcome; `"0s"` = answered at once.
    pub wait: Span,
    /// Take SMS from anybody, not only at enrolled URLs; by default, when `listen.http` is on this machine only.
    pub open: Option<bool>,
}

impl Default for Ingress {
    fn default() -> Self {
        Self { wait: Span::seconds(2), open: None }
    }
}

/// `[platform.*]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Platforms {
    /// One Mastodon instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mastodon: Option<Mastodon>,
}

/// `[platform.mastodon]`; see `relaymesh_publish::mastodon::Config`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mastodon {
    /// The instance.
    pub base_url: String,
    /// Our registration.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Option<SecretAt>,
    /// Where a person may be sent back to; by default the existing apps.
    pub redirect_urls: Option<Vec<String>>,
    /// Longest post of the instance, in characters.
    pub post_chars: Option<usize>,
    /// The instance answers a repeated idempotency key with the post it made, as Mastodon does; by default yes. With
    /// `false` (snac2) a post whose answer never came is told as uncertain and never repeated.
    pub idempotency_keys: Option<bool>,
}

/// `[bridge]`: e-mail aliases.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bridge {
    /// Domain of the aliases.
    pub domain: Option<String>,
    /// The smart host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Smtp>,
}

/// `[bridge.smtp]`; see `relaymesh_mail::Config`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// By default 465 for implicit TLS, 25 without TLS, else 587.
    pub port: Option<u16>,
    /// `starttls`, `implicit` or `off`.
    #[serde(serialize_with = "tls_name")]
    pub tls: Tls,
    /// Login.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretAt>,
    /// The name with which we say hello; by default `bridge.domain`.
    pub helo: Option<String>,
    /// PEM file of a certificate that the host's may be signed with, besides the system's.
    pub ca: Option<PathBuf>,
    /// Time for each half of the conversation.
    pub timeout: Span,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: None,
            tls: Tls::StartTls,
            username: None,
            password: None,
            helo: None,
            ca: None,
            timeout: Span::seconds(30),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn tls_name<S: serde::Serializer>(tls: &Tls, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match tls {
        Tls::Off => "off",
        Tls::StartTls => "starttls",
        Tls::Implicit => "implicit",
    })
}

/// `[net]`: the line out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Net {
    /// Platforms and providers may be at private addresses and without TLS. For local tests and the demo.
    pub allow_private: bool,
    /// The line is paid by the byte.
    pub metered: bool,
}

/// `[log]`, to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,relaymesh_mesh=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned() }
    }
}
