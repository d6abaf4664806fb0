//! What callers ask of a node, and what they are answered. `relaymesh-api` and the command line make commands from
//! bytes; nobody else interprets them.

use std::fmt;

use relaymesh_protocol::ids::{GatewayId, InstanceId, MessageId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// Text that no log may show: a payload, a password, a code, a token, a number as typed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Private(pub String);

impl Private {
    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("••••")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl From<String> for Private {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Private {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A request to the node.
#[derive(Clone, Debug)]
pub enum Command {
    /// A gateway client hands in one SMS.
    Submit(Submit),
    /// `vault.v1.Entity`.
    Account(AccountCommand),
    /// `publisher.v1.Publisher`.
    Publisher(PublisherCommand),
    /// `GET/POST /v3/clients…`.
    Clients(ClientsCommand),
    /// The operator's command line.
    Operator(OperatorCommand),
}

/// Through which door an SMS comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `POST /v3/publish` or `/sms/platform/…`, by anyone who reaches it.
    Open,
    /// A gateway client's own URL.
    Gateway(GatewayId),
    /// `publisher.v1.PublishContent`: platform payloads only, by a command-line client.
    Content,
}

/// One SMS as a gateway client handed it in.
#[derive(Clone, Debug)]
pub struct Submit {
    /// The door.
    pub door: Door,
    /// The SMS text: base64 of a payload, or somebody's private SMS.
    pub text: Private,
    /// The sender as the modem reports it; empty where metadata lacks it ([`Door::Content`]).
    pub sender: Private,
    /// When the gateway client received it, as told: milliseconds since the epoch.
    pub date: Option<i64>,
    /// When the SMS was sent, as told: milliseconds since the epoch.
    pub date_sent: Option<i64>,
}

/// What a gateway client is told of an SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// Safe here. What is known of the outcome within the wait.
    Accepted {
        /// The message.
        message: MessageId,
        /// Known outcome, only if it stands behind a proven acceptance.
        outcome: Option<MessageOutcome>,
    },
    /// A segment was stored.
    Segment {
        /// Segments that are here.
        received: u8,
        /// Segments of the set; 0 while segment 0 is missing.
        total: u8,
        /// The set's session.
        session: u8,
    },
    /// Not a RelaySMS payload; dropped unread.
    Ignored,
}

/// How a message ended, or stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageOutcome {
    /// The home holds it durably; publication is owed.
    Pending,
    /// On the platform.
    Published,
    /// Not on the platform, finally.
    Failed(FailureClass),
    /// Nobody can tell.
    Uncertain,
}

/// Why a message was not published. Coarse: it travels in receipts and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FailureClass {
    /// The platform refused it.
    Platform,
    /// The stored account was revoked or is gone.
    Account,
    /// The content does not fit the platform.
    Content,
    /// Time ran out.
    Expired,
}

impl FailureClass {
    /// A short text for answers.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Platform => "the platform refused the message",
            Self::Account => "the platform account is no longer connected",
            Self::Content => "the content does not fit the platform",
            Self::Expired => "the message could not be published in time",
        }
    }
}

/// Who an account is: e-mail wins over number, as the apps have it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// As typed.
    pub phone_number: Private,
    /// As typed.
    pub email_address: Private,
}

/// The two public keys that each call brings, in base64 as sent.
#[derive(Clone, Debug)]
pub struct ClientKeys {
    /// X25519, for the ratchet.
    pub publish: Private,
    /// X25519, for device ID and long-lived token.
    pub device_id: Private,
}

/// `vault.v1.Entity`, one variant per call; empty strings are missing fields (proto3).
#[derive(Clone, Debug)]
pub enum AccountCommand {
    /// Sign-up, both phases.
    Create {
        /// Who.
        identity: Identity,
        /// ISO 3166 alpha-2 as typed.
        country_code: String,
        /// Plain.
        password: Private,
        /// Fresh keys.
        keys: ClientKeys,
        /// The OTP, in phase 2.
        proof: Private,
        /// Forwarded when a captcha service is configured.
        captcha: Private,
    },
    /// Login, both phases.
    Authenticate {
        /// Who.
        identity: Identity,
        /// Plain.
        password: Private,
        /// Fresh keys.
        keys: ClientKeys,
        /// The OTP, in phase 2.
        proof: Private,
        /// Forwarded when a captcha service is configured.
        captcha: Private,
    },
    /// Forgotten password, both phases.
    ResetPassword {
        /// Who.
        identity: Identity,
        /// Plain.
        new_password: Private,
        /// Fresh keys.
        keys: ClientKeys,
        /// The OTP, in phase 2.
        proof: Private,
        /// Forwarded when a captcha service is configured.
        captcha: Private,
    },
    /// Change of password.
    UpdatePassword {
        /// `eid:jwt`.
        llt: Private,
        /// Plain.
        current: Private,
        /// Plain.
        new: Private,
    },
    /// Delete the account.
    Delete {
        /// `eid:jwt`.
        llt: Private,
    },
    /// List connected platforms.
    ListTokens {
        /// `eid:jwt`.
        llt: Private,
        /// Hand the tokens over to the phone.
        migrate_to_device: bool,
    },
}

/// `publisher.v1.Publisher`, one variant per call.
#[derive(Clone, Debug)]
pub enum PublisherCommand {
    /// Where to send the browser.
    AuthorizationUrl {
        /// Platform name.
        platform: String,
        /// As the app sent it; echoed.
        state: String,
        /// As the app sent it.
        code_verifier: Private,
        /// Make one.
        autogenerate_code_verifier: bool,
        /// Where the platform returns to.
        redirect_url: String,
        /// Binds URL and exchange.
        request_identifier: String,
    },
    /// Code for tokens, stored in the vault.
    Exchange {
        /// `eid:jwt`.
        llt: Private,
        /// Platform name.
        platform: String,
        /// From the redirect.
        code: Private,
        /// From [`PublisherReply::AuthorizationUrl`].
        code_verifier: Private,
        /// The same as before.
        redirect_url: String,
        /// Hand tokens to the phone instead of keeping them.
        store_on_device: bool,
        /// Binds URL and exchange.
        request_identifier: String,
    },
    /// Forget a connected account.
    Revoke {
        /// `eid:jwt`.
        llt: Private,
        /// Platform name.
        platform: String,
        /// Account identifier.
        account: Private,
    },
}

/// `GET/POST /v3/clients…`.
#[derive(Clone, Debug)]
pub enum ClientsCommand {
    /// Gateway clients.
    List {
        /// Exact, any case.
        country: Option<String>,
        /// Contains, any case.
        operator: Option<String>,
        /// Contains, any case.
        protocols: Option<String>,
        /// Day (UTC) of the last publication, `YYYY-MM-DD`, as days since the epoch.
        last_published_day: Option<u64>,
        /// From 1.
        page: u32,
        /// Rows.
        per_page: u32,
    },
    /// Countries that have one.
    Countries,
    /// Operators of a country.
    Operators {
        /// Any case.
        country: String,
    },
    /// Reliability tests of one.
    Tests {
        /// Its number.
        msisdn: Private,
        /// From 1.
        page: u32,
        /// Rows.
        per_page: u32,
        /// Only this status.
        status: Option<String>,
        /// Started not before (seconds).
        from: Option<u64>,
        /// Started not after (seconds).
        to: Option<u64>,
    },
    /// Start a reliability test.
    StartTest {
        /// Its number.
        msisdn: Private,
    },
}

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

/// The answer to a [`Command`].
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Command::Submit`].
    Submitted(Submitted),
    /// To [`Command::Account`].
    Account(AccountReply),
    /// To [`Command::Publisher`].
    Publisher(PublisherReply),
    /// To [`Command::Clients`].
    Clients(ClientsReply),
    /// To [`Command::Operator`].
    Operator(OperatorReply),
    /// No, and why; to any command.
    Refused(Refusal),
}

/// A refusal: what kind, and what to tell the caller. Holds no number, key, token or content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Mapped to HTTP and gRPC codes in one place, `relaymesh-api`.
    pub code: Code,
    /// Shown to people.
    pub text: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The store or another needed part is down.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(Code::Unavailable, "The service is temporarily unavailable. Please try again later.")
    }
}

/// Kinds of refusal, after gRPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named as the gRPC codes are")]
pub enum Code {
    InvalidArgument,
    NotFound,
    AlreadyExists,
    Unauthenticated,
    PermissionDenied,
    FailedPrecondition,
    ResourceExhausted,
    Unimplemented,
    Unavailable,
    Internal,
}

/// Answers of `vault.v1.Entity`.
#[derive(Clone, Debug)]
pub enum AccountReply {
    /// Phase 1: a code is on its way.
    ProofRequired {
        /// Shown to the person.
        message: String,
        /// When another code may be asked for, epoch seconds.
        next_attempt: u64,
    },
    /// Login of an account without a password.
    PasswordResetRequired {
        /// Shown to the person.
        message: String,
    },
    /// Signed up, logged in or reset.
    Session {
        /// Shown to the person.
        message: String,
        /// Base64 of the Fernet text.
        llt: Private,
        /// Base64.
        server_publish: String,
        /// Base64.
        server_device_id: String,
    },
    /// Done.
    Done {
        /// Shown to the person.
        message: String,
    },
    /// Connected platforms.
    Tokens {
        /// In order of platform and account.
        tokens: Vec<StoredToken>,
        /// Shown to the person.
        message: String,
    },
}

/// One connected platform account.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// Platform name.
    pub platform: String,
    /// Account identifier.
    pub account: Private,
    /// Only when migrated to the device.
    pub tokens: Vec<(String, Private)>,
    /// The vault keeps neither access nor refresh token.
    pub on_device: bool,
}

/// Answers of `publisher.v1.Publisher`.
#[derive(Clone, Debug)]
pub enum PublisherReply {
    /// Where to send the browser.
    AuthorizationUrl {
        /// The URL.
        url: String,
        /// As sent or made.
        state: String,
        /// As sent or made.
        code_verifier: Private,
        /// Comma-separated.
        scope: String,
        /// The OAuth client.
        client_id: String,
        /// As sent.
        redirect_url: String,
        /// Shown to the person.
        message: String,
    },
    /// Stored.
    Exchanged {
        /// Shown to the person.
        message: String,
        /// When stored on the device.
        tokens: Vec<(String, Private)>,
    },
    /// Forgotten.
    Revoked {
        /// Shown to the person.
        message: String,
    },
}

/// Answers of `/v3/clients…`.
#[derive(Clone, Debug)]
pub enum ClientsReply {
    /// A page of gateway clients.
    List {
        /// The page.
        rows: Vec<ClientRow>,
        /// All that match.
        total: u64,
    },
    /// Names in order.
    Names(Vec<String>),
    /// A page of tests.
    Tests {
        /// The page.
        rows: Vec<TestRow>,
        /// All that match.
        total: u64,
        /// Of them, arrived within 300 s.
        success: u64,
        /// Of them, failed or timed out.
        failed: u64,
    },
    /// A test was started.
    Started {
        /// Its id.
        test_id: u64,
        /// Epoch seconds.
        started: u64,
    },
    /// No such gateway client (HTTP 200, as the apps expect).
    Unknown,
}

/// A gateway client as the apps list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// Public by its nature: people send SMS to it.
    pub msisdn: String,
    /// Country name or code.
    pub country: String,
    /// Carrier.
    pub operator: String,
    /// Carrier's code.
    pub operator_code: String,
    /// What it forwards by.
    pub protocols: Vec<String>,
    /// Whole percent.
    pub reliability: u8,
    /// Epoch seconds; 0 = never.
    pub last_published: u64,
}

/// One reliability test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRow {
    /// Its id.
    pub id: u64,
    /// The gateway client's number.
    pub msisdn: String,
    /// Epoch seconds.
    pub started: u64,
    /// Epoch seconds.
    pub sms_sent: Option<u64>,
    /// Epoch seconds.
    pub sms_received: Option<u64>,
    /// Epoch seconds.
    pub sms_routed: Option<u64>,
    /// `pending`, `success` or `timedout`.
    pub status: &'static str,
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
    },
    /// To [`OperatorCommand::BundleExport`].
    Bundle {
        /// The file.
        #[serde(with = "base64_bytes")]
        bytes: Vec<u8>,
        /// Envelopes in it.
        envelopes: u64,
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
    pub room: String,
    /// What happened.
    pub what: String,
}

/// One finding of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Dotted name of the check.
    pub check: String,
    /// `ok`, `warning` or `error`.
    pub level: String,
    /// What is the case.
    pub found: String,
    /// The command or setting that mends it; empty when ok.
    pub fix: String,
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
    /// `own`, `partner`, `offered` or `member`.
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

/// Plain bytes that are wiped when dropped.
pub type SecretBytes = Zeroizing<Vec<u8>>;

/// Helps those who print instances and nodes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node.
    Node(NodeId),
    /// An instance.
    Instance(InstanceId),
}
