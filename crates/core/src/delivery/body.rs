//! What rides sealed in envelopes, and how it is encoded: a version byte, then postcard.

use relaymesh_protocol::ids::{DeviceId, E164, EnvelopeId, MessageId, NodeId, Tag, Timestamp};
use relaymesh_protocol::segment::assembly::Set;
use relaymesh_protocol::sms_text::Keyword;
use serde::{Deserialize, Serialize};

use crate::command::{MessageOutcome, Private};
use crate::output::SmsPurpose;

/// First byte of every body.
const BODY_VERSION: u8 = 1;

/// An envelope's body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// A person's message, for its home.
    Submission(Box<Submission>),
    /// Answers about messages, for their ingress.
    Receipts(Vec<Receipt>),
    /// An oblivious or a holding question without a link.
    Question(Question),
    /// The answer to it.
    Answer(Answer),
    /// Are you there?
    Ping {
        /// Random.
        nonce: u64,
    },
    /// Yes.
    Pong {
        /// The ping's.
        nonce: u64,
        /// Hand-overs that the ping had.
        hops: u8,
    },
    /// Please send an SMS for me.
    Sms(SmsRequest),
    /// What became of it.
    SmsAnswer {
        /// The request's.
        id: [u8; 16],
        /// How it ended.
        end: SmsEnd,
    },
}

impl Body {
    /// The bytes that are sealed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![BODY_VERSION]).expect("writing to memory cannot fail")
    }

    /// Reads what [`Body::encode`] wrote; anything else is `None`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if *version != BODY_VERSION {
            return None;
        }
        let (body, left) = postcard::take_from_bytes(rest).ok()?;
        left.is_empty().then_some(body)
    }
}

/// An envelope as its recipient opened it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Who signed it.
    pub sender: NodeId,
    /// What its bytes are known by.
    pub envelope: EnvelopeId,
    /// Hand-overs on the way.
    pub hops: u8,
    /// An operator carried it here by hand: there is nobody who would send it again.
    pub by_hand: bool,
    /// What it says.
    pub body: Body,
}

/// A payload as a gateway client handed it in, and what the home needs to find the entity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// The message.
    pub message: MessageId,
    /// Payload or segments.
    pub cargo: Cargo,
    /// Image session of segments; 0 for whole payloads.
    pub session: u8,
    /// How the home finds the entity.
    pub route: Route,
    /// When the ingress took it in.
    pub received: Timestamp,
    /// As the gateway client told, milliseconds.
    pub date: Option<i64>,
    /// As the gateway client told, milliseconds.
    pub date_sent: Option<i64>,
    /// The gateway client's number, for reliability tests only.
    pub gateway: Option<E164>,
    /// Whether the gateway client was authenticated: only then MAC failures count towards a notice.
    pub trusted: bool,
}

/// What is carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cargo {
    /// A complete payload.
    Whole {
        /// Its bytes.
        #[serde(with = "serde_bytes")]
        payload: Vec<u8>,
        /// Bytes of image before the content, if it came in segments.
        image: Option<u16>,
    },
    /// An incomplete set of segments: the home may have the rest. Every node declines it, whatever it did about it: that says
    /// that it came, and not whom the node knows.
    Parts(Box<Set>),
    /// What a person answered to one of our SMS. Every node declines it, whatever it did about it: that says that it came.
    Keyword(Keyword),
}

/// How the home finds the entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// The payload names it. The sender's number stays at the ingress.
    Device(DeviceId),
    /// By the sender's number, through the home's own oblivious key.
    Number {
        /// What the home's index knows the number by.
        tag: Tag,
        /// Under which of the home's keys.
        key_id: u32,
    },
    /// Bridge mail: the number is all there is. The home recomputes the tag.
    Bridge {
        /// The sender.
        number: E164,
    },
    /// An answer for a bridge identity, by the sender's number as [`Route::Number`] does it.
    Identity {
        /// What the home's index knows the bridge identity by.
        tag: Tag,
        /// Under which of the home's keys.
        key_id: u32,
    },
}

/// An answer about a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Receipt {
    /// Consumed and durable; proves itself.
    Accepted {
        /// The message.
        message: MessageId,
        /// MAC key of the message.
        auth_key: [u8; 32],
        /// Associated data it was made with.
        ad: [u8; 32],
    },
    /// Not mine, or not openable: nobody is told which.
    Declined {
        /// The message.
        message: MessageId,
    },
    /// How it ended; counts only from the node that proved its acceptance.
    Done {
        /// The message.
        message: MessageId,
        /// How.
        outcome: MessageOutcome,
        /// What to tell the sender by SMS, where the home knows no number.
        tell: Option<String>,
    },
}

impl Receipt {
    /// The message it is about.
    #[must_use]
    pub fn message(&self) -> MessageId {
        match self {
            Self::Accepted { message, .. } | Self::Declined { message } | Self::Done { message, .. } => *message,
        }
    }
}

/// A question to a vault node, sealed, for want of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Random; names it to the asker.
    pub id: u64,
    /// Which of the asked node's oblivious keys.
    pub key_id: u32,
    /// Compressed ristretto255 points.
    pub blinded: Vec<[u8; 32]>,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question's.
    pub id: u64,
    /// Points in order; empty when the ration is used up.
    pub evaluated: Vec<[u8; 32]>,
    /// Batched DLEQ proof.
    pub proof: Vec<u8>,
}

/// How an SMS ended that another node was asked to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SmsEnd {
    /// A port took it.
    Sent,
    /// Nothing was sent; later it may go.
    NotNow,
    /// Nothing was sent, and nothing will be.
    Refused,
    /// A port may have taken it.
    Unknown,
}

/// An SMS that another node shall send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsRequest {
    /// Random; the same request twice is one SMS.
    pub id: [u8; 16],
    /// To whom.
    pub to: E164,
    /// What.
    pub text: Private,
    /// Why, for the budget there.
    pub purpose: SmsPurpose,
}
