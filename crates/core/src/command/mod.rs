//! What callers ask of a node, and what they are answered. `relaymesh-api` and the command line make commands from
//! bytes; nobody else interprets them.

mod account;
mod clients;
mod operator;
mod private;
mod publisher;

use relaymesh_protocol::ids::{GatewayId, MessageId};
use serde::{Deserialize, Serialize};

pub use account::{AccountCommand, AccountReply, ClientKeys, Identity, StoredToken};
pub use clients::{ClientRow, ClientsCommand, ClientsReply, TestRow};
pub use operator::{
    BridgeKeyRow, Finding, GatewayRow, LeftBehind, NodeRow, OperatorCommand, OperatorReply, StatusReport, Target,
    TraceEvent, TraceReport, is_gateway_name, message_prefix,
};
pub use private::Private;
pub use publisher::{PublisherCommand, PublisherReply};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// It was the SMS of a reliability test.
    Test {
        /// Which.
        id: u64,
        /// What became of the test by it.
        end: TestEnd,
    },
}

/// What an SMS meant to a reliability test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TestEnd {
    /// The test succeeded.
    Updated,
    /// There is no such test.
    Unknown,
    /// It had succeeded before.
    AlreadySuccess,
    /// It came too late.
    AlreadyTimedout,
}

impl TestEnd {
    /// What whoever handed the SMS in is told; the existing servers' words.
    ///
    /// # Errors
    /// The text of the refusal.
    pub fn text(self, id: u64) -> Result<String, String> {
        match self {
            Self::Updated => Ok(format!("Test ID {id} updated successfully.")),
            Self::Unknown => Err(format!("Test ID {id} not found in the database.")),
            Self::AlreadySuccess => Err(format!("Test ID {id} is already marked as 'success'.")),
            Self::AlreadyTimedout => Err(format!("Test ID {id} is already marked as 'timedout'.")),
        }
    }
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
