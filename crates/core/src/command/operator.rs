//! What the operator's command line asks, and what it is answered.

use std::borrow::Cow;

use relaymesh_protocol::ids::{InstanceId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Private;

/// What the operator's command line asks. Travels as JSON over the node's socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorCommand {
    /// How the node is.
    Status,
    /// One message's timeline.
    Trace {
        /// Full or leading hex digits of a message id.
        message: String,
    },
    /// What is wrong, and what mends it.
    Doctor,
    /// The whole way there and back, as envelopes.
    Ping {
        /// Peer id, name or leading characters of one.
        node: String,
    },
    /// Enrol a gateway client.
    GatewayAdd {
        /// The operator's name for it.
        name: String,
        /// Its own number.
        msisdn: Private,
        /// ISO 3166 alpha-2; by default from the number.
        country: Option<String>,
        /// Carrier.
        operator: Option<String>,
    },
    /// Enrolled gateway clients.
    GatewayList,
    /// Its URL ends.
    GatewayRemove {
        /// Name.
        name: String,
    },
    /// Who this node is.
    NodeId,
    /// Who is in the mesh, as seen from here.
    NodeList,
    /// Make an invite code.
    Invite {
        /// For a further node of the own instance, which this one will endorse.
        own: bool,
    },
    /// Use an invite code.
    Join {
        /// The code.
        code: Private,
    },
    /// Be partners with an instance.
    Federate {
        /// Name, or leading characters of the id.
        instance: String,
    },
    /// Cut off a node or an instance.
    Block {
        /// Name, peer id, or leading characters.
        target: String,
    },
    /// Speak again with a node or an instance that was cut off.
    Unblock {
        /// Name, peer id, or leading characters.
        target: String,
    },
    /// Everything undelivered that others may carry.
    BundleExport,
    /// What somebody carried here.
    BundleImport {
        /// The bundle file.
        #[serde(with = "base64_bytes")]
        bytes: Vec<u8>,
    },
    /// Make static bridge keys.
    BridgeKeysGenerate {
        /// How many (1 to 255).
        count: u16,
    },
    /// Public halves.
    BridgeKeysList,
    /// Destroy a static bridge key: nobody can begin with it any more.
    BridgeKeysRetire {
        /// Its key id.
        kid: u8,
    },
}

/// Longest name of a gateway client, in bytes.
const GATEWAY_NAME_MAX: usize = 64;

/// Whether a text can be the name of a gateway client: 1 to 64 bytes, printable.
#[must_use]
pub fn is_gateway_name(text: &str) -> bool {
    (1..=GATEWAY_NAME_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Digits of a whole message id.
const MESSAGE_DIGITS: usize = 64;
/// Shortest beginning of a message id that [`OperatorCommand::Trace`] takes.
const MESSAGE_DIGITS_MIN: usize = 6;

/// The beginning of a message id as it is compared: lower case, without blanks around it.
///
/// # Errors
/// What is wrong with the text, which is not repeated.
pub fn message_prefix(text: &str) -> Result<String, String> {
    let text = text.trim().to_ascii_lowercase();
    let fits = (MESSAGE_DIGITS_MIN..=MESSAGE_DIGITS).contains(&text.len());
    if fits && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err(format!("a message is named by {MESSAGE_DIGITS_MIN} to {MESSAGE_DIGITS} hex digits of its id"))
}

mod base64_bytes {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// Answers to the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorReply {
    /// To [`OperatorCommand::Status`].
    Status(StatusReport),
    /// To [`OperatorCommand::Trace`].
    Trace(TraceReport),
    /// To [`OperatorCommand::Doctor`].
    Doctor(Vec<Finding>),
    /// To [`OperatorCommand::Ping`].
    Ping {
        /// Who answered.
        peer_id: String,
        /// There and back.
        millis: u64,
        /// Hand-overs on the way there.
        hops: u8,
    },
    /// To [`OperatorCommand::GatewayAdd`]; the token is shown once.
    GatewayAdded {
        /// The operator's name for it.
        name: String,
        /// Path of its URL: `/g/<token>/v3/publish`.
        path: Private,
    },
    /// To [`OperatorCommand::GatewayList`].
    Gateways(Vec<GatewayRow>),
    /// To [`OperatorCommand::NodeId`].
    Node(NodeRow),
    /// To [`OperatorCommand::NodeList`].
    Nodes(Vec<NodeRow>),
    /// To [`OperatorCommand::Invite`].
    Invite {
        /// The code.
        code: Private,
        /// Epoch milliseconds.
        expires: Timestamp,
        /// What keeps others from using it, with what to do.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// To [`OperatorCommand::BundleExport`].
    Bundle {
        /// The file.
        #[serde(with = "base64_bytes")]
        bytes: Vec<u8>,
        /// Envelopes in it.
        envelopes: u64,
        /// What did not fit.
        left: LeftBehind,
    },
    /// To [`OperatorCommand::BundleImport`].
    Imported {
        /// Envelopes that were new here.
        envelopes: u64,
        /// Facts and filters that were new here.
        facts: u64,
        /// What was refused.
        refused: u64,
    },
    /// To the bridge key commands: public halves.
    BridgeKeys(Vec<BridgeKeyRow>),
    /// Done.
    Done {
        /// What was done, and what to do next.
        message: String,
    },
}

/// What did not fit into a bundle; the next one begins with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftBehind {
    /// Messages held for a home.
    pub messages: u64,
    /// Envelopes held for others.
    pub envelopes: u64,
    /// Receipts, questions and other letters of this node.
    pub letters: u64,
    /// Facts about members.
    pub facts: u64,
    /// Filters.
    pub filters: u64,
}

/// `relaymesh status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatusReport {
    /// The node's name.
    pub name: String,
    /// The instance's name.
    pub instance: String,
    /// libp2p peer id.
    pub peer_id: String,
    /// Milliseconds since start.
    pub uptime_ms: u64,
    /// Members known, this node included.
    pub members: u64,
    /// Members connected.
    pub connected: u64,
    /// Accounts whose vault is here.
    pub entities: u64,
    /// Messages held for a home.
    pub held: u64,
    /// Envelopes held for others.
    pub custody: u64,
    /// Publications owed.
    pub jobs: u64,
    /// SMS waiting to leave.
    pub sms_queue: u64,
    /// Counters since start, by name.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// `relaymesh trace`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceReport {
    /// The whole message id.
    pub message: String,
    /// In order of time.
    pub events: Vec<TraceEvent>,
}

/// One line of a message's timeline: no content, numbers masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// Epoch milliseconds.
    pub at: Timestamp,
    /// `ingress`, `leg`, `receipt`, `vault`, `publish`, `sms`, `custody`.
    pub room: Cow<'static, str>,
    /// What happened.
    pub what: Cow<'static, str>,
}

/// One finding of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Dotted name of the check.
    pub check: String,
    /// `ok`, `warning`, `error`, or `unknown` where it could not be checked.
    pub level: String,
    /// What is the case.
    pub found: String,
    /// What should be.
    pub expected: String,
    /// The command or setting that mends it; empty when ok or unknown.
    pub fix: String,
}

impl Finding {
    /// A finding of a check, with what this check expects.
    #[must_use]
    pub fn new(check: &str, level: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        let expected = expected(check).to_owned();
        Self { check: check.to_owned(), level: level.to_owned(), found: found.into(), expected, fix: fix.into() }
    }
}

/// What is the case where a check of `doctor` finds nothing wrong.
fn expected(check: &str) -> &'static str {
    match check {
        "bridge.keys" => "a static key where the node is a bridge",
        "clock" => "a clock that is later than what was written here",
        "clock.own" => "an own record that is not dated ahead of the clock",
        "clock.peers" => "records of other members that are not dated ahead of the clock",
        "clock.sync" => "something that keeps the clock right",
        "config" => "a configuration that the next run takes",
        "disk.owner" => "one user who owns all files of the node",
        "disk.space" => "room for what the node will write",
        "disk.write" => "a data directory that can be written",
        "dns" => "names in the configuration that resolve",
        "gateways" => "an enrolled gateway client where the node is a gateway",
        "gateways.silent" => "gateway clients that brought something within a week",
        "keys" => "a keyring that opens",
        "mail" => "a mail server that takes connections",
        "mesh.connected" => "a connection to another member",
        "mesh.members" => "another member",
        "messages.waiting" => "no message that has waited for a home for long",
        "node" => "a node that runs and answers",
        "otp.captcha" => "a captcha service that answers",
        "platforms" => "a platform where the node is a vault",
        "privacy" => "no private SMS that are forwarded here",
        "sms.route" => "a way for SMS to people",
        "store" => "a store without failed writes",
        "store.records" => "records that open",
        "tls" => "a certificate that is valid here for a while",
        _ => "",
    }
}

/// One enrolled gateway client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatewayRow {
    /// The operator's name for it.
    pub name: String,
    /// Opaque id, used as label.
    pub id: String,
    /// Masked number.
    pub msisdn: String,
    /// ISO 3166 alpha-2.
    pub country: Option<String>,
    /// Payloads taken.
    pub accepted: u64,
    /// Private SMS dropped unread.
    pub ignored: u64,
    /// Epoch milliseconds; 0 = never.
    pub last_seen: Timestamp,
}

/// One node as this one sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeRow {
    /// The node's name.
    pub name: String,
    /// The instance's name.
    pub instance: String,
    /// libp2p peer id.
    pub peer_id: String,
    /// The instance's id.
    pub instance_id: String,
    /// `self`, `connected`, `known`, `expired` or `blocked`.
    pub state: String,
    /// `own`, `partner`, `offered`, `member`, or `none` while it is blocked.
    pub relation: String,
    /// `gateway`, `vault`, `relay`, `bridge`.
    pub roles: Vec<String>,
    /// Multiaddresses.
    pub addrs: Vec<String>,
}

/// One static bridge key, public half.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeKeyRow {
    /// Key id as payloads carry it.
    pub kid: u8,
    /// Base64, as the apps' asset has it.
    pub keypair: String,
    /// `active`.
    pub status: String,
    /// `v1`.
    pub version: String,
}

/// Helps those who print instances and nodes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node.
    Node(NodeId),
    /// An instance.
    Instance(InstanceId),
}
