//! What can happen to a node.

use relaymesh_protocol::frame::{Carried, Request, Response, Taken};
use relaymesh_protocol::ids::{E164, EnvelopeId, MessageId, NodeId};

use crate::batch::Key;
use crate::command::Command;
use crate::delivery::{Opened, Receipt, Submission};
use crate::output::{WorkDone, WorkId};
use crate::timer::Timer;

/// Who waits for an answer: a number of the driver's, opaque here. Zero means nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyTo(pub u64);

impl ReplyTo {
    /// Nobody waits.
    pub const NOBODY: Self = Self(0);
}

/// Why a request to a peer got no answer. Whether it was processed is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// No connection could be made.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The connection went away.
    Closed,
    /// Too much in flight to that peer.
    Busy,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Rows of the store, handed over table by table before [`Input::Started`].
    Restore {
        /// The table byte of these rows; see [`crate::record::key`].
        table: u8,
        /// Key and stored value.
        rows: Vec<(Key, Vec<u8>)>,
    },
    /// All rows are restored; the node begins to act.
    Started,
    /// Somebody asks.
    Command {
        /// Who gets the [`crate::Output::Reply`].
        reply: ReplyTo,
        /// What.
        command: Command,
    },
    /// An envelope came, over a link or out of a bundle.
    Envelope {
        /// Who gets the [`crate::Output::Taken`].
        reply: ReplyTo,
        /// The connected peer; `None` for a bundle.
        from: Option<NodeId>,
        /// It.
        carried: Carried,
    },
    /// A connected peer asks something else than taking envelopes.
    Asked {
        /// Who gets the [`crate::Output::Respond`].
        reply: ReplyTo,
        /// The connected peer.
        from: NodeId,
        /// What.
        request: Request,
    },
    /// What became of an envelope that left as [`crate::Output::Carry`].
    Carried {
        /// The peer it was offered to.
        to: NodeId,
        /// Which.
        envelope: EnvelopeId,
        /// What became of it.
        taken: Result<Taken, LinkError>,
    },
    /// The answer to an [`crate::Output::Ask`].
    Answered {
        /// The asking output's token.
        token: u64,
        /// The peer that was asked.
        from: NodeId,
        /// Its answer.
        response: Result<Response, LinkError>,
    },
    /// A link to a peer came up.
    Connected(NodeId),
    /// The last link to a peer went down.
    Disconnected(NodeId),
    /// Slow or outside work ended.
    Worked {
        /// The work output's id.
        id: WorkId,
        /// How.
        done: WorkDone,
    },
    /// A timer that [`crate::Pump`] took because it was due.
    Timer(Timer),
    /// The node goes on by itself.
    Follow(Follow),
}

/// How the node goes on by itself after a durable batch.
#[derive(Clone, Debug)]
pub enum Follow {
    /// Find candidates for a held message, and offer it.
    Route(MessageId),
    /// An opened envelope goes to the conversation that its body is for.
    Body(Box<Opened>),
    /// A submission whose home may be this very node.
    Local(MessageId),
    /// Segments from several nodes made a whole at the home.
    Assembled {
        /// The ingress that brought the last of them.
        from: NodeId,
        /// As if it had come whole.
        submission: Box<Submission>,
        /// The sender, where the home knows it.
        number: Option<E164>,
    },
    /// A receipt of this node to itself, or one of several in an envelope.
    Receipt {
        /// Who says so.
        from: NodeId,
        /// What.
        receipt: Receipt,
    },
    /// An ingress may lack a message's receipt: it is said again.
    Remind {
        /// The ingress.
        to: NodeId,
        /// The message.
        message: MessageId,
    },
    /// Run a job's next part.
    RunJob(MessageId),
    /// Send the next SMS of the queue.
    RunSms([u8; 16]),
}
