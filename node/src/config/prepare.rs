//! Everything that must be right before a node binds its sockets.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;

use relaymesh_mail::Mailer;
use relaymesh_protocol::ids::E164;
use relaymesh_publish::captcha::Captcha;
use relaymesh_publish::egress::{self, Client};
use relaymesh_publish::mastodon::Mastodon;
use relaymesh_seal::keyfile::{KeyFile, Keyring};
use relaymesh_sms::{HttpPort, Limits};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::core::first_mesh;
use super::error::ConfigError;
use super::multiaddr::{Use, check, tcp_of};
use super::parts::FILE_PORT;
use super::{Config, disk, interfaces};

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;
/// Longest name of a node or an instance, in bytes; records carry it.
const NAME_BYTES_MAX: usize = 64;
/// Longest contact, in bytes.
const CONTACT_BYTES_MAX: usize = 256;
/// Addresses that a node publishes; others keep no more of one node.
const EXTERNAL_MAX: usize = 8;
/// Longest time that a gateway client can be kept waiting: phones give up after about as long.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// A way out for SMS.
#[derive(Debug)]
pub enum SmsPort {
    /// Lines in this file.
    File(PathBuf),
    /// A provider, with its name.
    Http(String, Box<HttpPort>),
}

impl SmsPort {
    /// As `sms.reply_order` names it.
    pub fn name(&self) -> &str {
        match self {
            Self::File(_) => FILE_PORT,
            Self::Http(name, _) => name,
        }
    }
}

/// A configuration that a node can run with; nothing is bound or sent yet.
#[derive(Debug)]
pub struct Prepared {
    /// What the core must know.
    pub core: relaymesh_core::config::Config,
    /// The keyring's file, to save changes to it.
    pub key_file: KeyFile,
    /// The node's secrets.
    pub keyring: Keyring,
    /// For gateway clients.
    pub http: SocketAddr,
    /// For apps.
    pub grpc: SocketAddr,
    /// For other nodes.
    pub mesh: relaymesh_mesh::Config,
    /// The key-value store.
    pub store: relaymesh_store::Config,
    /// The Mastodon instance.
    pub mastodon: Option<Mastodon>,
    /// The captcha service.
    pub captcha: Option<Captcha>,
    /// The smart host.
    pub mailer: Option<Mailer>,
    /// SMS ports in the order they are tried.
    pub sms: Vec<(usize, SmsPort)>,
    /// What may leave by SMS in a day.
    pub budget: Limits,
    /// Apps come in without TLS over a network, behind a front.
    pub grpc_plain: bool,
    /// Whether anybody may hand in SMS.
    pub ingress_open: bool,
    /// What the operator should know: one line each, with what to do.
    pub warnings: Vec<String>,
}

/// The part of [`Prepared`] that the values of the configuration give by themselves.
#[derive(Debug)]
pub struct Values {
    http: SocketAddr,
    grpc: SocketAddr,
    mesh: relaymesh_mesh::Config,
    store: relaymesh_store::Config,
    budget: Limits,
}

impl Config {
    /// Checks everything that can be checked without a socket, and makes what needs no network.
    ///
    /// # Errors
    /// What is wrong first: values by themselves, then disks, then secrets; the keys come last.
    pub fn prepare(&self) -> Result<Prepared, ConfigError> {
        let Values { http, grpc, mesh, store, budget } = self.values()?;
        let grpc_plain = self.is_grpc_plain(grpc)?;
        disk::check_dir(&self.data_dir())?;
        // Without a keyring there is no node yet, which is said below.
        disk::check_store(&self.store_path(), self.new_store || !self.keyring_path().exists())?;
        let egress = Client::new(egress::Config { allow_private: self.net.allow_private })
            .map_err(|e| ConfigError::key("net", e, "install the system's root certificates (ca-certificates)"))?;
        let (mastodon, mailer, sms) = (self.mastodon(&egress)?, self.mailer()?, self.sms_ports(&egress)?);
        let captcha = self.captcha(&egress)?;
        // Last: a passphrase is only asked for, and only costs its half a second, where all else is right.
        let (key_file, keyring) = self.open_keyring()?;
        let mut prepared = Prepared {
            core: self.to_core(first_mesh(&keyring.node_id())),
            key_file,
            keyring,
            http,
            grpc,
            mesh,
            store,
            mastodon,
            captcha,
            mailer,
            sms,
            budget,
            grpc_plain,
            ingress_open: self.ingress.open.unwrap_or_else(|| http.ip().is_loopback()),
            warnings: Vec::new(),
        };
        prepared.warnings = self.warnings(&prepared);
        Ok(prepared)
    }

    /// What can be told without a look at disks, secrets and networks.
    ///
    /// # Errors
    /// What is wrong first.
    pub fn values(&self) -> Result<Values, ConfigError> {
        self.check_node()?;
        let http = address("listen.http", &self.listen.http)?;
        let grpc = address("listen.grpc", &self.listen.grpc)?;
        let mesh = self.mesh_config()?;
        check_ports(http, grpc, &mesh.listen)?;
        let (store, budget) = (self.store_config()?, self.budget()?);
        self.check_domain()?;
        self.check_rest()?;
        Ok(Values { http, grpc, mesh, store, budget })
    }

    fn check_node(&self) -> Result<(), ConfigError> {
        let node = &self.node;
        name("node.name", &node.name)?;
        name("node.instance", &node.instance)?;
        if node.contact.len() > CONTACT_BYTES_MAX || node.contact.chars().any(char::is_control) {
            return Err(ConfigError::key(
                "node.contact",
                "is too long or has control characters",
                "write one line, such as mailto:you@example.org",
            ));
        }
        if node.roles.is_empty() {
            return Err(ConfigError::key("node.roles", "is empty", "name at least one of gateway, vault, relay"));
        }
        if let Some(letters) = &node.country {
            country("node.country", letters)?;
        }
        if let Some(url) = &node.public_url
            && !is_base_url(url)
        {
            return Err(ConfigError::key(
                "node.public_url",
                "is no http or https address",
                "write https://HOST without a path",
            ));
        }
        Ok(())
    }

    fn mesh_config(&self) -> Result<relaymesh_mesh::Config, ConfigError> {
        for text in &self.listen.mesh {
            check(text, Use::Listen)
                .map_err(|why| ConfigError::key("listen.mesh", format!("{text:?} {why}"), "correct the address"))?;
        }
        for text in &self.mesh.external {
            check(text, Use::External)
                .map_err(|why| ConfigError::key("mesh.external", format!("{text:?} {why}"), "correct the address"))?;
        }
        if self.mesh.external.len() > EXTERNAL_MAX {
            return Err(ConfigError::key(
                "mesh.external",
                format!("has more than {EXTERNAL_MAX} addresses"),
                "keep the best",
            ));
        }
        let reachable = !self.mesh.external.is_empty();
        let serves = self.serves_relay();
        if serves && !reachable {
            return Err(ConfigError::key(
                "mesh.relay_server",
                "needs an address in mesh.external",
                "set mesh.external, or relay_server = false",
            ));
        }
        if self.mesh.max_connections == 0 {
            return Err(ConfigError::key("mesh.max_connections", "is 0", "leave it out for the default"));
        }
        let usual = relaymesh_mesh::Config::default();
        Ok(relaymesh_mesh::Config {
            listen: self.listen.mesh.clone(),
            external: self.mesh.external.clone(),
            lan: self.mesh.lan,
            relay_server: serves,
            relay_client: self.mesh.relay_client,
            max_connections: self.mesh.max_connections,
            max_inbound: usual.max_inbound.min(self.mesh.max_connections),
            max_outbound: usual.max_outbound.min(self.mesh.max_connections),
            metered: self.net.metered,
            ..usual
        })
    }

    fn store_config(&self) -> Result<relaymesh_store::Config, ConfigError> {
        if self.store.cache_mib == 0 {
            return Err(ConfigError::key("store.cache_mib", "is 0", "leave it out for the default"));
        }
        let mut config = relaymesh_store::Config::new(self.store_path());
        config.create = self.new_store;
        config.cache_bytes = u64::from(self.store.cache_mib) * MIB;
        Ok(config)
    }

    fn budget(&self) -> Result<Limits, ConfigError> {
        let budget = &self.sms.budget;
        for letters in budget.countries.iter().flatten() {
            country("sms.budget.countries", letters)?;
        }
        if budget.codes_percent > 100 {
            return Err(ConfigError::key("sms.budget.codes_percent", "is more than 100", "write 0 to 100"));
        }
        Ok(Limits {
            per_day: budget.per_day,
            per_country_per_day: budget.per_country_per_day,
            per_number_per_day: budget.per_number_per_day,
            codes_percent: budget.codes_percent,
            countries: budget.countries.clone(),
        })
    }

    fn check_domain(&self) -> Result<(), ConfigError> {
        match &self.bridge.domain {
            Some(domain) if domain.is_empty() || !domain.contains('.') || domain.contains(['@', ' ', '/']) => {
                Err(ConfigError::key("bridge.domain", "is no domain", "write the part of the aliases after the @"))
            }
            _ => Ok(()),
        }
    }

    fn check_rest(&self) -> Result<(), ConfigError> {
        for letters in &self.otp.countries {
            country("otp.countries", letters)?;
        }
        if self.otp.email == Some(true) && self.bridge.smtp.is_none() {
            return Err(ConfigError::key(
                "otp.email",
                "is on, but no mail can leave",
                "set [bridge.smtp], or email = false",
            ));
        }
        if self.ingress.wait.0 > WAIT_MAX {
            return Err(ConfigError::key(
                "ingress.wait",
                "is longer than a minute",
                "phones do not wait that long; write \"2s\"",
            ));
        }
        let serves_bridge = self.node.roles.contains(&super::Role::Bridge);
        if serves_bridge && (self.bridge.domain.is_none() || self.bridge.smtp.is_none()) {
            return Err(ConfigError::key(
                "node.roles",
                "the role bridge needs a domain and a smart host",
                "set [bridge] domain and [bridge.smtp]",
            ));
        }
        if is_log_level(&self.log.level) {
            return Ok(());
        }
        Err(ConfigError::key("log.level", "is no level", "write error, warn, info, debug or trace"))
    }

    fn warnings(&self, prepared: &Prepared) -> Vec<String> {
        let mut all = Vec::new();
        let data = self.data_dir();
        if disk::is_open_dir(&data) {
            all.push(format!("{0} can be entered by other users; run: chmod 700 {0}", data.display()));
        }
        if let Some(key) = self.key_file().filter(|key| disk::on_one_disk(key, &data)) {
            let (key, setting) = (key.display(), if self.keys.file.is_some() { "file" } else { "passphrase" });
            all.push(format!("{key} is on the same disk as the data: who takes that disk can read it; move it to another and set keys.{setting}"));
        }
        let mesh = self.listen.mesh.iter().filter_map(|text| Some(("listen.mesh", tcp_of(text)?)));
        let doors = [("listen.http", prepared.http), ("listen.grpc", prepared.grpc)];
        all.extend(doors.into_iter().chain(mesh).filter_map(|(key, at)| interfaces::warning(key, at)));
        if prepared.ingress_open && !prepared.http.ip().is_loopback() {
            all.push("ingress.open lets anybody on the network hand in SMS; set ingress.open = false and enrol with: relaymesh gateway add".to_owned());
        }
        if prepared.grpc_plain {
            let grpc = prepared.grpc;
            all.push(format!("listen.grpc_plain lets passwords and tokens come to {grpc} in clear; let nobody but the front that ends TLS reach it, or set listen.tls_cert and listen.tls_key"));
        }
        if prepared.sms.is_empty() && self.roles().vault {
            all.push(
                "no SMS can leave this node, so codes and answers wait; set [sms.file] or [sms.http.NAME]".to_owned(),
            );
        }
        if self.net.allow_private {
            all.push(
                "net.allow_private lets platforms be at private addresses; set it to false outside tests".to_owned(),
            );
        }
        all
    }
}

/// A level, or several as `tracing` writes them (`info,libp2p=warn`). A word that is no level would be taken for a part of the
/// program, and nothing else would be logged.
fn is_log_level(text: &str) -> bool {
    let is_one = |part: &str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
    text.split(',').all(is_one) && EnvFilter::try_new(text).is_ok()
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse()
        .map_err(|_| ConfigError::key(key, format!("{text:?} is no address and port"), "write it like 127.0.0.1:8080"))
}

/// No two listeners want the same port. Port 0 is any free one.
fn check_ports(http: SocketAddr, grpc: SocketAddr, mesh: &[String]) -> Result<(), ConfigError> {
    let mesh = mesh.iter().filter_map(|text| tcp_of(text)).map(|at| ("listen.mesh", at));
    let mut taken: Vec<(&str, SocketAddr)> = vec![("listen.http", http)];
    for (key, at) in [("listen.grpc", grpc)].into_iter().chain(mesh) {
        if let Some((other, _)) = taken.iter().find(|(_, other)| clash(*other, at)) {
            return Err(ConfigError::key(key, format!("{at} has the port of {other}"), "give each its own port"));
        }
        taken.push((key, at));
    }
    Ok(())
}

/// Whether only one of two addresses can be bound.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let overlap =
        a.ip() == b.ip() || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    overlap && a.port() == b.port() && a.port() != 0
}

fn name(key: &'static str, text: &str) -> Result<(), ConfigError> {
    let what: &dyn Display = match text {
        "" => &"is empty",
        long if long.len() > NAME_BYTES_MAX => &"is longer than 64 bytes",
        odd if odd.trim() != odd || odd.chars().any(char::is_control) => &"has control characters or spaces around it",
        _ => return Ok(()),
    };
    Err(ConfigError::key(key, what, "write something short, such as douala-1"))
}

fn country(key: &'static str, text: &str) -> Result<(), ConfigError> {
    if E164::is_region(&text.to_ascii_uppercase()) {
        return Ok(());
    }
    Err(ConfigError::key(key, format!("{text:?} is no country code"), "write two letters, such as \"CM\""))
}

fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.map(|rest| rest.trim_end_matches('/'));
    host.is_some_and(|host| {
        !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) && !host.chars().any(char::is_control)
    })
}
