//! What a node wants done.

use relaymesh_protocol::frame::{Carried, Request, Response, Taken};
use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::command::{Private, Reply};
use crate::input::{Input, ReplyTo};

/// Names a piece of work between [`Output::Work`] and [`Input::Worked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(pub u64);

/// Something to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Write durably; [`crate::Pump::persisted`] tells how it ended.
    Persist {
        /// Grows by one.
        token: u64,
        /// All or nothing.
        batch: Batch,
    },
    /// Answer a command.
    Reply {
        /// Who waits.
        to: ReplyTo,
        /// The answer.
        reply: Reply,
    },
    /// Say what became of a carried envelope.
    Taken {
        /// Who waits.
        to: ReplyTo,
        /// What became of it.
        taken: Taken,
    },
    /// Answer a connected peer.
    Respond {
        /// Who waits.
        to: ReplyTo,
        /// The answer.
        response: Response,
    },
    /// Offer an envelope to a peer; the driver groups what goes to one peer. Comes back as [`Input::Carried`].
    Carry {
        /// The next hop.
        to: NodeId,
        /// What it is known by, so that nobody needs to parse.
        envelope: EnvelopeId,
        /// It.
        carried: Carried,
    },
    /// Ask a peer; comes back as [`Input::Answered`].
    Ask {
        /// Whom.
        to: NodeId,
        /// Chosen by the core.
        token: u64,
        /// What.
        request: Request,
    },
    /// Work outside; comes back as [`Input::Worked`].
    Work {
        /// Chosen by the core.
        id: WorkId,
        /// What.
        work: Work,
    },
    /// Who may connect, and where they may be reached; replaces what was said before.
    Members {
        /// Node and its addresses.
        allow: Vec<(NodeId, Vec<String>)>,
        /// Nodes that are cut off.
        blocked: Vec<NodeId>,
        /// Relays to keep a reservation at.
        relays: Vec<NodeId>,
        /// Strangers may connect (to join).
        open: bool,
    },
    /// Reach a node that is no member yet (to join).
    Dial {
        /// Whom.
        node: NodeId,
        /// Multiaddresses.
        addrs: Vec<String>,
    },
    /// Save the key file before anything that rests on it; comes back as [`WorkDone::KeysSaved`].
    SaveKeys {
        /// Chosen by the core.
        id: WorkId,
        /// The whole new keyring.
        keyring: Box<relaymesh_seal::keyfile::Keyring>,
    },
    /// The node goes on by itself.
    Follow(Input),
    /// Something happened that counters and logs may show.
    Note(Note),
}

/// Why an SMS is sent, the most important first: what the budget lets go last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SmsPurpose {
    /// A one-time code: somebody cannot get in without it.
    Code,
    /// A refreshed token that only the phone keeps: without it the account has to be connected again.
    Token,
    /// Everything else: something failed, is uncertain, or asks for an answer.
    Notice,
    /// A message was published, as its person expects.
    Published,
}

/// Work that is slow, or outside, or both.
#[derive(Clone, Debug)]
pub enum Work {
    /// Argon2id of a password.
    HashPassword {
        /// Plain.
        password: Private,
        /// Random.
        salt: [u8; 16],
    },
    /// Argon2id against a stored hash.
    VerifyPassword {
        /// Plain.
        password: Private,
        /// Encoded hash; of a dummy for unknown users.
        hash: String,
    },
    /// Ask the captcha service about a token.
    Captcha {
        /// As sent.
        token: Private,
    },
    /// Send an SMS through the ports in order.
    Sms {
        /// E.164 in clear.
        to: Private,
        /// What.
        text: Private,
        /// For ports that take an id.
        id: [u8; 16],
        /// Why: the budget keeps a share for what is more important.
        purpose: SmsPurpose,
        /// Through which group of ports, as the order of ways numbers them; through all in their order by default.
        ports: Option<usize>,
    },
    /// Send a one-time code by e-mail.
    OtpMail {
        /// Address.
        to: Private,
        /// The code.
        code: Private,
    },
    /// Publish one part of a job.
    Publish {
        /// Whose job.
        message: MessageId,
        /// Which part, from 0.
        part: u16,
        /// What.
        request: Box<PublishRequest>,
    },
    /// Refresh an expired platform token.
    Refresh {
        /// Platform name.
        platform: String,
        /// As stored.
        token: Private,
    },
    /// Exchange an authorization code and ask who it is.
    Exchange {
        /// Platform name.
        platform: String,
        /// From the redirect.
        code: Private,
        /// PKCE.
        code_verifier: Private,
        /// The same as in the URL.
        redirect_url: String,
    },
    /// Revoke a token at the platform; best effort.
    Revoke {
        /// Platform name.
        platform: String,
        /// As stored.
        token: Private,
    },
}

/// One part of a publication.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// Platform name, or `email_bridge`.
    pub platform: String,
    /// Account identifier; the alias for bridge mail.
    pub account: Private,
    /// Stored token JSON, phone's tokens laid over.
    pub token: Private,
    /// Equal for every attempt of this part.
    pub idempotency_key: String,
    /// What to publish.
    pub content: PublishContent,
    /// Remote id of the part before.
    pub in_reply_to: Option<String>,
}

/// Content of one part.
#[derive(Clone, Debug)]
pub enum PublishContent {
    /// A post.
    Text {
        /// One part of the thread.
        text: Private,
        /// Image bytes, with the first part.
        image: Option<Private64>,
    },
    /// A mail.
    Email {
        /// Comma-separated addresses.
        to: Private,
        /// Comma-separated addresses.
        cc: Private,
        /// Comma-separated addresses.
        bcc: Private,
        /// Line.
        subject: Private,
        /// Text.
        body: Private,
        /// Attached.
        image: Option<Private64>,
    },
    /// A direct message.
    Message {
        /// Recipient at the platform.
        to: Private,
        /// Text.
        text: Private,
    },
}

/// Binary content that no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Private64(pub Vec<u8>);

impl std::fmt::Debug for Private64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// How work ended.
#[derive(Clone, Debug)]
pub enum WorkDone {
    /// Encoded hash.
    Hashed(Result<String, WorkError>),
    /// Whether the password fits.
    Verified(Result<bool, WorkError>),
    /// Whether the captcha service agrees; an error when it cannot be asked.
    Captcha(Result<bool, WorkError>),
    /// To [`Work::Sms`] and [`Work::OtpMail`].
    Sent(Result<(), SendError>),
    /// To [`Work::Publish`]: the remote id.
    Published(Result<String, SendError>),
    /// To [`Work::Refresh`]: new token JSON.
    Refreshed(Result<Private, SendError>),
    /// To [`Work::Exchange`].
    Exchanged(Result<Exchanged, SendError>),
    /// To [`Work::Revoke`].
    Revoked,
    /// To [`Output::SaveKeys`].
    KeysSaved(Result<(), WorkError>),
}

/// A connected account.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// Token JSON.
    pub token: Private,
    /// Account identifier, distinct per platform.
    pub account: Private,
}

/// Work could not be done; nothing follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkError {
    /// The pool is full: try later.
    Busy,
    /// It failed.
    Failed,
}

/// How a send failed; the distinction decides whether it may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Nothing was sent, or the other side said to come back: repeat.
    Retry {
        /// Wish of the other side.
        after_ms: Option<u64>,
    },
    /// It may have been done: repeat only where that is proven harmless.
    Unknown,
    /// The token is not good (any more).
    Unauthorized,
    /// Final.
    Refused {
        /// Shown to the person.
        text: String,
    },
}

/// An event without secrets, for counters, logs and traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A counter grows by one.
    Count(&'static str),
    /// A line of a message's timeline.
    Trace {
        /// Which.
        message: MessageId,
        /// `ingress`, `leg`, `receipt`, `vault`, `publish`, `sms`, `custody`.
        room: &'static str,
        /// What, masked.
        what: String,
    },
}
