//! What the operator decided, parsed and checked. `relaymesh` reads it from TOML; the simulator builds it.

use std::time::Duration;

use relaymesh_protocol::ids::MeshId;
use serde::{Deserialize, Serialize};

/// Settings of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name, for people.
    pub name: String,
    /// The instance's name, for people.
    pub instance: String,
    /// Operator contact, published in the instance record.
    pub contact: String,
    /// The mesh.
    pub mesh: MeshId,
    /// What the node does.
    pub roles: Roles,
    /// ISO 3166 alpha-2 of where the node's numbers are, if told; orders the asking of vault nodes.
    pub country: Option<String>,
    /// Multiaddresses to publish, as the operator configured them: others reach the node there.
    pub addresses: Vec<String>,
    /// Where the node listens on its own machine; published when nothing is configured, good for one LAN or machine.
    pub local_addresses: Vec<String>,
    /// Who may become a member through this node.
    pub accept: Accept,
    /// How long a gateway client may wait for an outcome.
    pub ingress_wait: Duration,
    /// Whether a code is sent by SMS / by e-mail.
    pub otp: Otp,
    /// Platforms that are configured, by name.
    pub platforms: Vec<Platform>,
    /// Domain of bridge aliases, when a smart host is configured.
    pub bridge_domain: Option<String>,
    /// SMS can leave this node by a port of its own.
    pub sms: bool,
    /// Which ways SMS take, and whose SMS this node sends.
    pub egress: Egress,
    /// Countries that get a code by SMS; empty = all.
    pub otp_countries: Vec<String>,
    /// A captcha service is configured.
    pub captcha: bool,
    /// Fewer background bytes.
    pub metered: bool,
    /// How often it compares what it knows with others.
    pub pace: Pace,
    /// Messages whose timeline is kept in memory for the operator ([`TIMELINES`]); 0 = none.
    pub timelines: usize,
    /// What a study leaves out.
    pub without: Without,
}

/// Parts of the design that a study leaves out, to see what each is worth. The simulator alone sets them; no configuration file
/// can, and a node among others that have them all would only be a worse one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Without {
    /// Holds no envelopes for others, and gives others none to hold. It keeps its own letters.
    pub custody: bool,
    /// Publishes no filters and takes in none: it asks who holds a device, and offers a number's message to all that it asked about it.
    pub filters: bool,
}

/// Messages whose timeline a node keeps.
pub const TIMELINES: usize = 20_000;

/// How often a node compares what it knows of the mesh with others; on a metered line each takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two rounds while something differs.
    pub compare: Duration,
    /// The longest between two rounds while nothing does. As long as [`Pace::compare`] or shorter = never less often.
    pub quiet: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { compare: Duration::from_secs(60), quiet: Duration::from_hours(2) }
    }
}

impl Config {
    /// A gateway and vault with a name and nothing around it: no address, platform, port for SMS or mail, and nobody waits.
    /// Where nodes are made without a file (simulated worlds, benches, tests), this is what they begin with.
    #[must_use]
    pub fn bare(name: &str, mesh: MeshId) -> Self {
        Self {
            name: name.to_owned(),
            instance: name.to_owned(),
            contact: String::new(),
            mesh,
            roles: Roles { gateway: true, vault: true, relay: false, bridge: false },
            country: None,
            addresses: Vec::new(),
            local_addresses: Vec::new(),
            accept: Accept::Invite,
            ingress_wait: Duration::ZERO,
            otp: Otp { sms: false, email: false },
            platforms: Vec::new(),
            bridge_domain: None,
            sms: false,
            egress: Egress::default(),
            otp_countries: Vec::new(),
            captcha: false,
            metered: false,
            pace: Pace::default(),
            timelines: TIMELINES,
            without: Without::default(),
        }
    }

    /// The addresses that the node's record carries.
    #[must_use]
    pub fn published(&self) -> &[String] {
        if self.addresses.is_empty() { &self.local_addresses } else { &self.addresses }
    }
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Takes SMS in.
    pub gateway: bool,
    /// Holds vaults.
    pub vault: bool,
    /// Relays for members behind NAT, holds custody copies.
    pub relay: bool,
    /// Serves bridge e-mail.
    pub bridge: bool,
}

impl Roles {
    /// Their names in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        [("gateway", self.gateway), ("vault", self.vault), ("relay", self.relay), ("bridge", self.bridge)]
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| name.to_owned())
            .collect()
    }
}

/// Who may become a member through this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// Whoever holds an invite code of this node.
    Invite,
    /// Anybody.
    Open,
    /// Only instances that are federated by hand.
    List,
}

/// Ways out for SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// In the order in which they are tried; each next one only if nothing was sent by those before. Codes leave by own
    /// ports only: who waits for one cannot wait for another node.
    pub order: Vec<SmsWay>,
    /// Countries that own ports send to, as ISO 3166 letters; empty = all. Published in the node's record.
    pub countries: Vec<String>,
    /// Partner instances, by name or id, for which this node sends. For its own instance it always does.
    pub partners: Vec<String>,
    /// SMS a day for each partner instance.
    pub per_partner_per_day: u32,
}

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmsWay {
    /// A group of own ports that follow each other in the order, by number.
    Ports(usize),
    /// Nodes of the own instance.
    Own,
    /// Nodes of a partner instance, by its name or id.
    Partner(String),
}

impl Default for Egress {
    fn default() -> Self {
        let order = vec![SmsWay::Ports(0), SmsWay::Own];
        Self { order, countries: Vec::new(), partners: Vec::new(), per_partner_per_day: 100 }
    }
}

/// One-time codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Otp {
    /// By SMS.
    pub sms: bool,
    /// By e-mail.
    pub email: bool,
}

/// A platform that the operator configured; what the core must know to offer it.
#[derive(Clone, Debug)]
pub struct Platform {
    /// `mastodon`.
    pub name: String,
    /// Where the browser goes, e.g. `https://mastodon.example/oauth/authorize`.
    pub authorize_url: String,
    /// The OAuth client.
    pub client_id: String,
    /// Space-separated.
    pub scope: String,
    /// Where the browser may be sent back to, compared to the letter.
    pub redirect_urls: Vec<String>,
    /// Longest text of one part, in characters.
    pub text_max: usize,
    /// How long after the first attempt a part may be repeated under its idempotency key; zero = never.
    pub resend_within: Duration,
}

impl Platform {
    /// A Mastodon instance that is nowhere, for nodes whose platform is played by what drives them.
    #[must_use]
    pub fn stand_in() -> Self {
        Self {
            name: "mastodon".to_owned(),
            authorize_url: "https://mastodon.test/oauth/authorize".to_owned(),
            client_id: "client".to_owned(),
            scope: "profile write:statuses write:media".to_owned(),
            redirect_urls: Vec::new(),
            text_max: 500,
            resend_within: Duration::from_secs(45 * 60),
        }
    }
}
