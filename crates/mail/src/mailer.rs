//! The conversation with the smart host, and what its end means.
//!
//! The library's all-in-one call cannot say at which point a connection broke; the commands are
//! sent one by one here, because "before the text was handed over" and "after" are different fates.

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::message::{Invalid, Outgoing, Ready, build};

/// Mail has no key under which a repeat would be recognised: an unknown outcome stays unknown.
pub const MAY_RESEND: bool = false;
/// Time for the answers before the text is handed over, and again for the one after it.
const TIMEOUT_MS: u64 = 30_000;
/// Time for the goodbye, which decides nothing any more.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Replies that mean "your credentials", which are the operator's affair, not the message's.
const OPERATOR_CODES: &[u16] = &[530, 534, 535, 538];

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Not at all: for a relay on this machine.
    Off,
    /// Upgraded before anything is said; no upgrade, no mail.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// The smart host.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name; also what its certificate must say.
    pub host: String,
    /// Usually 587, 465 for implicit TLS, 25 on this machine.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Login, if it wants one; needs TLS.
    #[serde(default)]
    pub username: Option<String>,
    /// Its password.
    #[serde(default, deserialize_with = "secret")]
    pub password: Option<Zeroizing<String>>,
    /// The name with which we say hello.
    pub helo: String,
    /// Time for each half of the conversation, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// A certificate in PEM that the host's may be signed with, besides the system's: for a host of one's own.
    #[serde(default)]
    pub ca_pem: Option<Vec<u8>>,
}

fn timeout_ms() -> u64 {
    TIMEOUT_MS
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Zeroizing::new))
}

impl Config {
    /// A host without login.
    pub fn new(host: &str, port: u16, tls: Tls, helo: &str) -> Self {
        Self {
            host: host.to_owned(),
            port,
            tls,
            username: None,
            password: None,
            helo: helo.to_owned(),
            timeout_ms: TIMEOUT_MS,
            ca_pem: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mail::Config")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// The configuration cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The certificate check cannot be set up for this name.
    #[error("mail host is not a name that a certificate could have, or no root certificates are installed")]
    Tls,
    /// The certificate to trust is none.
    #[error("mail ca is not a certificate in PEM")]
    Ca,
    /// Only one of the two is set.
    #[error("mail username and password must be set together")]
    Login,
    /// A password must not go over an open connection.
    #[error("mail password needs tls = \"starttls\" or \"implicit\"")]
    OpenPassword,
    /// The name is not one word of ASCII.
    #[error("mail helo must be a host name")]
    Helo,
}

/// The smart host has taken responsibility for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its reply code.
    pub code: u16,
}

/// Why a message is not known to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Nothing was sent: no connection, a temporary refusal, or trouble with our login.
    #[error("mail was not sent, try again later (reply {code:?})")]
    Retry {
        /// The host's reply, if it gave one.
        code: Option<u16>,
    },
    /// The text was handed over and no reply came.
    #[error("mail was handed over and no reply came")]
    Unknown,
    /// The host refused for good.
    #[error("mail was refused with reply {code}")]
    Refused {
        /// Its reply.
        code: u16,
    },
    /// The message cannot be sent as it is.
    #[error("mail not sent: {0}")]
    Invalid(#[from] Invalid),
}

/// Sends messages, each on a connection of its own.
#[derive(Clone)]
pub struct Mailer {
    config: Config,
    hello: ClientId,
    tls: Option<TlsParameters>,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailer({:?})", self.config)
    }
}

impl Mailer {
    /// Checks the configuration. Nothing is sent.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        if config.username.is_some() != config.password.is_some() {
            return Err(ConfigError::Login);
        }
        if config.password.is_some() && config.tls == Tls::Off {
            return Err(ConfigError::OpenPassword);
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || b"-.[]:".contains(&b);
        if config.helo.is_empty() || !config.helo.bytes().all(word) {
            return Err(ConfigError::Helo);
        }
        let tls = match config.tls {
            Tls::Off => None,
            Tls::StartTls | Tls::Implicit => Some(parameters(&config)?),
        };
        let hello = ClientId::Domain(config.helo.clone());
        Ok(Self { config, hello, tls })
    }

    /// Sends one message. When the future is dropped the outcome is [`MailError::Unknown`].
    pub async fn send(&self, mail: &Outgoing) -> Result<Accepted, MailError> {
        let ready = build(mail)?;
        let timeout = Duration::from_millis(self.config.timeout_ms);
        let nothing_sent = MailError::Retry { code: None };
        let mut connection = tokio::time::timeout(timeout, self.prepare(&ready)).await.map_err(|_| nothing_sent)??;
        let handed = tokio::time::timeout(timeout, connection.message(&ready.bytes)).await;
        let accepted = match handed {
            Err(_) => Err(MailError::Unknown),
            Ok(Err(error)) => Err(after_text(&error)),
            Ok(Ok(reply)) => Ok(Accepted { code: reply.code().into() }),
        };
        // Taken or not is decided; a host that does not say goodbye changes nothing.
        let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.abort()).await;
        accepted
    }

    /// Everything up to the host's "go ahead".
    async fn prepare(&self, ready: &Ready) -> Result<AsyncSmtpConnection, MailError> {
        let mut connection = self.open().await.map_err(|error| at_login(&error))?;
        let from = ready.envelope.from().cloned();
        connection.command(Mail::new(from, Vec::new())).await.map_err(|e| before_text(&e))?;
        for recipient in ready.envelope.to() {
            let command = Rcpt::new(recipient.clone(), Vec::new());
            connection.command(command).await.map_err(|error| before_text(&error))?;
        }
        let go_ahead = connection.command(Data).await.map_err(|error| before_text(&error))?;
        if !go_ahead.has_code(354) {
            return Err(MailError::Retry { code: Some(go_ahead.code().into()) });
        }
        Ok(connection)
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let server = (self.config.host.as_str(), self.config.port);
        let timeout = Some(Duration::from_millis(self.config.timeout_ms));
        let first = self.tls.clone().filter(|_| self.config.tls == Tls::Implicit);
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, timeout, &self.hello, first, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.config.tls == Tls::StartTls) {
            connection.starttls(tls, &self.hello).await?;
        }
        if let (Some(user), Some(password)) = (&self.config.username, &self.config.password) {
            let credentials = Credentials::new(user.clone(), password.to_string());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, &credentials).await?;
        }
        Ok(connection)
    }
}

fn parameters(config: &Config) -> Result<TlsParameters, ConfigError> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(pem) = &config.ca_pem {
        builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(|_| ConfigError::Ca)?);
    }
    builder.build().map_err(|_| ConfigError::Tls)
}

fn code(error: &SmtpError) -> Option<u16> {
    error.status().map(u16::from)
}

/// Greeting, TLS and login say nothing about the message, even when they fail for good.
fn at_login(error: &SmtpError) -> MailError {
    if error.is_permanent() || error.is_client() || error.is_tls() {
        tracing::warn!(code = code(error), "the smart host does not let us in; check mail settings");
    }
    MailError::Retry { code: code(error) }
}

fn before_text(error: &SmtpError) -> MailError {
    match code(error) {
        Some(code) if error.is_permanent() && !OPERATOR_CODES.contains(&code) => MailError::Refused { code },
        code => MailError::Retry { code },
    }
}

/// A refusal in so many words is one; everything else leaves the message's fate open.
fn after_text(error: &SmtpError) -> MailError {
    match code(error) {
        Some(code) if error.is_permanent() => MailError::Refused { code },
        Some(code) if error.is_transient() => MailError::Retry { code: Some(code) },
        _ => MailError::Unknown,
    }
}
