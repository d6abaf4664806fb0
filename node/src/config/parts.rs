//! The ways out, made from their sections: platforms, SMS ports, mail. Nothing is sent.

use std::net::SocketAddr;
use std::path::Path;

use relaymesh_mail as mail;
use relaymesh_publish::captcha::{self, Captcha};
use relaymesh_publish::egress::{self, Client};
use relaymesh_publish::mastodon;
use relaymesh_publish::secret::Secret;
use relaymesh_sms::{HttpConfig, HttpPort};
use zeroize::Zeroizing;

use super::Config;
use super::disk::check_appendable;
use super::error::{ConfigError, suggest};
use super::prepare::SmsPort;
use super::secret::{SecretAt, read_private};
use super::sections::{SmsHttp, Smtp};
use relaymesh_core::config as core;

/// Name of the file port in `sms.reply_order`.
pub(super) const FILE_PORT: &str = "file";
/// Other nodes of the own instance in `sms.reply_order`.
const NODE_WAY: &str = "node";
/// What stands before a partner instance there.
const NODE_PREFIX: &str = "node:";
/// What every PEM file has.
const PEM_BEGIN: &[u8] = b"-----BEGIN ";

/// What to do about a gRPC port without TLS that other machines reach.
const PLAIN_HELP: &str = "set listen.tls_cert and listen.tls_key, or listen on 127.0.0.1; where a front on another machine ends TLS: listen.grpc_plain = true";

/// Whether only this machine reaches an address that is listened on.
pub fn is_local(at: SocketAddr) -> bool {
    at.ip().to_canonical().is_loopback()
}

/// Whether a name in `sms.reply_order` means other nodes.
fn is_node(name: &str) -> bool {
    name == NODE_WAY || name.starts_with(NODE_PREFIX)
}

impl Config {
    fn secret(&self, key: &'static str, at: Option<&SecretAt>) -> Result<Option<Secret>, ConfigError> {
        let read = at.map(|at| at.resolve(&self.dir, &self.env)).transpose();
        read.map_err(|e| ConfigError::key(key, e, ""))
    }

    /// Certificate and key of the gRPC port, if it ends TLS itself.
    ///
    /// # Errors
    /// When one of both is missing or unreadable, or others can read the key.
    pub fn grpc_tls(&self) -> Result<Option<relaymesh_api::Tls>, ConfigError> {
        let (cert, key) = match (&self.listen.tls_cert, &self.listen.tls_key) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (self.dir.join(cert), self.dir.join(key)),
            _ => return Err(ConfigError::key("listen", "tls_cert and tls_key belong together", "set both or none")),
        };
        let cert_pem = std::fs::read(&cert).map_err(|e| {
            ConfigError::key(
                "listen.tls_cert",
                format!("{} cannot be read ({e})", cert.display()),
                "name the PEM file of the certificate",
            )
        })?;
        let key_pem = read_private(&key).map_err(|e| ConfigError::key("listen.tls_key", e, ""))?;
        for (name, pem) in [("listen.tls_cert", &cert_pem), ("listen.tls_key", &*key_pem)] {
            if !pem.windows(PEM_BEGIN.len()).any(|at| at == PEM_BEGIN) {
                return Err(ConfigError::key(name, "is not a PEM file", "convert it to PEM"));
            }
        }
        Ok(Some(relaymesh_api::Tls { cert_pem, key_pem: key_pem.to_vec() }))
    }

    /// Whether passwords and tokens of apps come to `at` in clear, over a network.
    ///
    /// # Errors
    /// When they would, and nobody said that a front ends TLS before it.
    pub(super) fn is_grpc_plain(&self, at: SocketAddr) -> Result<bool, ConfigError> {
        let plain = self.grpc_tls()?.is_none() && !is_local(at);
        if plain && !self.listen.grpc_plain {
            let what = format!("{at} is for other machines, and without TLS passwords cross the network in clear");
            return Err(ConfigError::key("listen.grpc", what, PLAIN_HELP));
        }
        Ok(plain)
    }

    /// The Mastodon instance, if one is configured.
    pub(super) fn mastodon(&self, client: &Client) -> Result<Option<mastodon::Mastodon>, ConfigError> {
        let Some(section) = &self.platform.mastodon else { return Ok(None) };
        let secret = self.secret("platform.mastodon.client_secret", section.client_secret.as_ref())?;
        let secret = secret.unwrap_or_default();
        let mut config = mastodon::Config::new(&section.base_url, &section.client_id, secret.expose());
        if let Some(urls) = &section.redirect_urls {
            config.redirect_urls.clone_from(urls);
        }
        config.post_chars = section.post_chars.unwrap_or(config.post_chars);
        config.idempotency_keys = section.idempotency_keys.unwrap_or(config.idempotency_keys);
        if config.post_chars == 0 {
            return Err(ConfigError::key(
                "platform.mastodon.post_chars",
                "is 0",
                "leave it out or set the instance's limit",
            ));
        }
        mastodon::Mastodon::new(config, client.clone()).map(Some).map_err(|e| {
            let local = "; net.allow_private = true allows local tests";
            let help = match e {
                mastodon::ConfigError::BaseUrl(_) => format!("write base_url = \"https://INSTANCE\"{local}"),
                mastodon::ConfigError::Path => "leave everything after the host out".to_owned(),
                mastodon::ConfigError::NoClient => {
                    "register an application at the instance and write both down".to_owned()
                }
            };
            ConfigError::key("platform.mastodon", e, help)
        })
    }

    /// The captcha service, if one is configured, without the rest of a node.
    ///
    /// # Errors
    /// When its section is wrong.
    pub fn captcha_alone(&self) -> Result<Option<Captcha>, ConfigError> {
        let client = Client::new(egress::Config { allow_private: self.net.allow_private })
            .map_err(|e| ConfigError::key("net", e, "install the system's root certificates (ca-certificates)"))?;
        self.captcha(&client)
    }

    /// Name and port of the smart host, if one is configured.
    pub fn smart_host(&self) -> Option<(String, u16)> {
        let smtp = self.bridge.smtp.as_ref()?;
        Some((smtp.host.clone(), smtp.port.unwrap_or_else(|| usual_port(smtp))))
    }

    /// The captcha service, if one is configured.
    pub(super) fn captcha(&self, client: &Client) -> Result<Option<Captcha>, ConfigError> {
        let Some(section) = &self.otp.captcha else { return Ok(None) };
        let secret = self.secret("otp.captcha.secret", section.secret.as_ref())?;
        let secret = secret.ok_or_else(|| {
            ConfigError::key("otp.captcha.secret", "is missing", "write { file = \"…\" } or { env = \"…\" }")
        })?;
        let config = captcha::Config { url: section.url.clone(), secret, style: section.style };
        Captcha::new(config, client.clone()).map(Some).map_err(|e| {
            let help = "write url = \"https://HOST/PATH\" of the service; net.allow_private = true allows local tests";
            ConfigError::key("otp.captcha.url", e, help)
        })
    }

    /// The smart host, if one is configured.
    pub(super) fn mailer(&self) -> Result<Option<mail::Mailer>, ConfigError> {
        let Some(smtp) = &self.bridge.smtp else { return Ok(None) };
        if smtp.host.is_empty() {
            return Err(ConfigError::key("bridge.smtp.host", "is missing", "name the mail server"));
        }
        if smtp.port == Some(0) {
            return Err(ConfigError::key("bridge.smtp.port", "is 0", "leave it out for the usual one"));
        }
        let password = self.secret("bridge.smtp.password", smtp.password.as_ref())?;
        let config = mail::Config {
            host: smtp.host.clone(),
            port: smtp.port.unwrap_or_else(|| usual_port(smtp)),
            tls: smtp.tls,
            username: smtp.username.clone(),
            password: password.map(|secret| Zeroizing::new(secret.expose().to_owned())),
            helo: smtp.helo.clone().or_else(|| self.bridge.domain.clone()).unwrap_or_else(|| "localhost".to_owned()),
            timeout_ms: u64::try_from(smtp.timeout.0.as_millis()).unwrap_or(u64::MAX),
            ca_pem: smtp.ca.as_ref().map(|ca| self.ca(ca)).transpose()?,
        };
        mail::Mailer::new(config).map(Some).map_err(|e| ConfigError::key("bridge.smtp", e, "correct this section"))
    }

    /// A certificate that the smart host's may be signed with, besides the system's.
    fn ca(&self, path: &Path) -> Result<Vec<u8>, ConfigError> {
        let path = self.dir.join(path);
        let help = "name the PEM file of the certificate";
        let unreadable =
            |e| ConfigError::key("bridge.smtp.ca", format!("{} cannot be read ({e})", path.display()), help);
        let pem = std::fs::read(&path).map_err(unreadable)?;
        if !pem.windows(PEM_BEGIN.len()).any(|at| at == PEM_BEGIN) {
            return Err(ConfigError::key("bridge.smtp.ca", "is not a PEM file", "convert it to PEM"));
        }
        Ok(pem)
    }

    /// The SMS ports in the order they are tried.
    /// Own ports in their order, each with the number of its group; see [`Config::sms_ways`].
    pub(super) fn sms_ports(&self, client: &Client) -> Result<Vec<(usize, SmsPort)>, ConfigError> {
        let mut known: Vec<&str> = self.sms.http.keys().map(String::as_str).collect();
        if let Some(name) = known.iter().find(|name| **name == FILE_PORT || is_node(name)) {
            let what = format!("a provider cannot be named {name:?}");
            return Err(ConfigError::key("sms.http", what, "choose another name"));
        }
        known.extend(self.sms.file.as_ref().map(|_| FILE_PORT));
        for name in self.sms.reply_order.iter().flatten().filter(|name| !known.contains(&name.as_str())) {
            let what = match name.strip_prefix(NODE_PREFIX) {
                Some(instance) if !instance.is_empty() => continue,
                Some(_) => format!("{name:?} names no instance"),
                None if name == NODE_WAY => continue,
                None => format!("{name:?} is not configured"),
            };
            return Err(ConfigError::key("sms.reply_order", what, suggest(name, &known)));
        }
        // Ports that the order leaves out are checked all the same.
        for (name, section) in &self.sms.http {
            self.provider(name, section, client)?;
        }
        let mut ports = Vec::new();
        for (group, name) in self.sms_order() {
            if let Some(group) = group {
                ports.push((group, self.port(&name, client)?));
            }
        }
        Ok(ports)
    }

    /// The names of the order; own ports with the number of their group: those that follow each other are one.
    fn sms_order(&self) -> Vec<(Option<usize>, String)> {
        let order = self.sms.reply_order.clone().unwrap_or_else(|| {
            let file = self.sms.file.as_ref().map(|_| FILE_PORT.to_owned());
            self.sms.http.keys().cloned().chain(file).chain([NODE_WAY.to_owned()]).collect()
        });
        let (mut group, mut before) = (0, false);
        let numbered = order.into_iter().map(|name| {
            let own = !is_node(&name);
            group += usize::from(before && !own);
            before = own;
            (own.then_some(group), name)
        });
        numbered.collect()
    }

    /// The ways of SMS, as the core takes them.
    pub(super) fn sms_ways(&self) -> core::Egress {
        let mut order = Vec::new();
        for (group, name) in self.sms_order() {
            let way = match (group, name.strip_prefix(NODE_PREFIX)) {
                (Some(group), _) => core::SmsWay::Ports(group),
                (None, Some(instance)) => core::SmsWay::Partner(instance.to_owned()),
                (None, None) => core::SmsWay::Own,
            };
            if order.last() != Some(&way) {
                order.push(way);
            }
        }
        let countries = self.sms.budget.countries.iter().flatten().map(|letters| letters.to_ascii_uppercase());
        core::Egress {
            order,
            countries: countries.collect(),
            partners: self.sms.serve.partners.clone(),
            per_partner_per_day: self.sms.serve.per_partner_per_day,
        }
    }

    fn port(&self, name: &str, client: &Client) -> Result<SmsPort, ConfigError> {
        match (self.sms.http.get(name), &self.sms.file) {
            (Some(section), _) => Ok(SmsPort::Http(name.to_owned(), Box::new(self.provider(name, section, client)?))),
            (None, Some(file)) if !file.path.as_os_str().is_empty() => {
                let path = self.dir.join(&file.path);
                check_appendable(&path)?;
                Ok(SmsPort::File(path))
            }
            _ => Err(ConfigError::key("sms.file.path", "is missing", "name a file")),
        }
    }

    fn provider(&self, name: &str, section: &SmsHttp, client: &Client) -> Result<HttpPort, ConfigError> {
        let of = |e: ConfigError| ConfigError { what: format!("provider {name:?} {}", e.what), ..e };
        let config = self.http_config(section).map_err(of)?;
        HttpPort::new(config, client.clone()).map_err(|e| {
            ConfigError::key(
                "sms.http",
                format!("provider {name:?}: {e}"),
                "correct this section; the manual of the provider says more",
            )
        })
    }

    fn http_config(&self, section: &SmsHttp) -> Result<HttpConfig, ConfigError> {
        let url = self.secret("sms.http", section.url.as_ref())?;
        let url = url.ok_or_else(|| ConfigError::key("sms.http", "has no url", "write url = \"https://…\""))?;
        let mut headers = std::collections::BTreeMap::new();
        for (name, at) in &section.headers {
            if let Some(value) = self.secret("sms.http", Some(at))? {
                headers.insert(name.clone(), value);
            }
        }
        // The type is reached through its field, which is all that the SMS crate shows of it.
        let method = toml::Value::from(section.method.as_deref().unwrap_or("POST")).try_into();
        Ok(HttpConfig {
            url: url.expose().to_owned(),
            method: method
                .map_err(|_| ConfigError::key("sms.http", "has an unknown method", "write POST, PUT or GET"))?,
            content_type: section.content_type.clone().unwrap_or_else(|| "application/json".to_owned()),
            body: section.body.clone(),
            headers,
            bearer: self.secret("sms.http", section.bearer.as_ref())?,
            username: section.username.clone(),
            password: self.secret("sms.http", section.password.as_ref())?,
            success_statuses: section.success_statuses.clone().unwrap_or_else(|| vec![200, 201, 202]),
        })
    }
}

fn usual_port(smtp: &Smtp) -> u16 {
    match smtp.tls {
        mail::Tls::Off => 25,
        mail::Tls::StartTls => 587,
        mail::Tls::Implicit => 465,
    }
}
