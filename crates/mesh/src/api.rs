//! What the node says to the mesh and hears from it.

use std::fmt;

use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::NodeId;
use tokio::sync::{mpsc, watch};

/// What the task shall do. Addresses are multiaddresses as text; those that do not parse, or name another peer, are
/// left out.
pub enum Command {
    /// Sends a request, connecting first if need be. Answered by exactly one [`Event::Answered`] or
    /// [`Event::Unanswered`].
    Send {
        /// Whom to.
        to: NodeId,
        /// The caller's name for this request; the event repeats it.
        id: u64,
        /// The request.
        frame: Request,
    },
    /// Answers an [`Event::Asked`]. Does nothing if the asker is gone.
    Respond {
        /// The channel of that event.
        channel: u64,
        /// The answer.
        frame: Response,
    },
    /// Who may connect from now on; replaces the list before. Others are disconnected.
    Members {
        /// Members and where they may be reached.
        allow: Vec<(NodeId, Vec<String>)>,
        /// Strangers may connect too, but only to send [`Request::Join`]; anything else is answered
        /// [`Response::NotMember`] here.
        open: bool,
    },
    /// Connects to a node that may not be a member yet, and lets it connect. Where there is only a relayed connection, a
    /// direct one is tried.
    Dial {
        /// Which node.
        node: NodeId,
        /// Where it may be reached.
        addrs: Vec<String>,
    },
    /// Disconnects a node and refuses it, member or not.
    Block(NodeId),
    /// Takes [`Command::Block`] back.
    Unblock(NodeId),
    /// Keeps a reservation at a relay, and makes a new one whenever it is lost.
    Reserve {
        /// The relay.
        relay: NodeId,
        /// Where it is reached, by this node and by others.
        addrs: Vec<String>,
    },
    /// Closes all connections to a node, and gives up a reservation or dial there.
    Disconnect(NodeId),
}

/// What the task reports.
#[derive(Clone, PartialEq, Eq)]
pub enum Event {
    /// Listens on this address (a `p2p-circuit` address: through a relay).
    Listening {
        /// Multiaddress.
        addr: String,
    },
    /// The first connection to a node stands.
    Connected {
        /// The node.
        node: NodeId,
    },
    /// The last connection to a node is gone.
    Disconnected {
        /// The node.
        node: NodeId,
    },
    /// A node asks; to be answered with [`Command::Respond`] within the request timeout.
    Asked {
        /// The node, as proved by its connection.
        from: NodeId,
        /// Names the question.
        channel: u64,
        /// The question.
        frame: Request,
    },
    /// The answer to a [`Command::Send`].
    Answered {
        /// The caller's name for the request.
        id: u64,
        /// Who was asked.
        from: NodeId,
        /// The answer.
        frame: Response,
    },
    /// There is no answer to a [`Command::Send`], and there will be none. Except for
    /// [`Unanswered::Unreachable`] and [`Unanswered::Busy`] the request may have been processed.
    Unanswered {
        /// The caller's name for the request.
        id: u64,
        /// Who was asked.
        to: NodeId,
        /// What went wrong.
        why: Unanswered,
    },
    /// A node says (identify) or was heard to say (mDNS) that it can be reached here. Unproven: a hint for dialling.
    Seen {
        /// The node.
        node: NodeId,
        /// Multiaddresses, at most eight.
        addrs: Vec<String>,
    },
    /// Others reach this node here: configured, or reserved at a relay.
    AddressConfirmed {
        /// Multiaddress.
        addr: String,
    },
    /// The swarm panicked and runs again. All connections were lost; unanswered requests have been reported.
    Restarted {
        /// Panics since the start.
        panics: u64,
    },
}

/// Why a request stays without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unanswered {
    /// No connection: no address, nobody there, or not allowed.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The connection went away.
    Closed,
    /// Too many requests wait for that node, or in all.
    Busy,
    /// The request is too large to be sent, or the answer cannot be read.
    Malformed,
}

impl fmt::Debug for Event {
    /// Prints what happened, never what a frame holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { addr } => write!(f, "Listening({addr})"),
            Self::Connected { node } => write!(f, "Connected({node:?})"),
            Self::Disconnected { node } => write!(f, "Disconnected({node:?})"),
            Self::Asked { from, channel, .. } => write!(f, "Asked({channel} from {from:?})"),
            Self::Answered { id, from, .. } => write!(f, "Answered({id} from {from:?})"),
            Self::Unanswered { id, to, why } => write!(f, "Unanswered({id} to {to:?}: {why:?})"),
            Self::Seen { node, addrs } => write!(f, "Seen({node:?} at {addrs:?})"),
            Self::AddressConfirmed { addr } => write!(f, "AddressConfirmed({addr})"),
            Self::Restarted { panics } => write!(f, "Restarted({panics})"),
        }
    }
}

/// Why a command was not taken; gives it back.
#[derive(thiserror::Error)]
pub enum TrySendError {
    /// 256 commands wait already. Try again when an event has arrived.
    #[error("the mesh task has a full queue")]
    Full(Command),
    /// The task has ended.
    #[error("the mesh task has ended")]
    Ended(Command),
}

impl fmt::Debug for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Commands the task. Clones command the same task; it ends when all are dropped, when the receiver of events is
/// dropped, or on [`Handle::shutdown`].
#[derive(Clone)]
pub struct Handle {
    pub(crate) node: NodeId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) ended: watch::Receiver<bool>,
}

impl Handle {
    /// Who this node is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Hands a command over without waiting.
    ///
    /// # Errors
    /// When the queue is full or the task has ended; the command comes back.
    pub fn try_send(&self, command: Command) -> Result<(), TrySendError> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(command) => TrySendError::Full(command),
            mpsc::error::TrySendError::Closed(command) => TrySendError::Ended(command),
        })
    }

    /// Ends the task and waits for that. Outstanding requests become [`Event::Unanswered`], as far as the receiver takes
    /// them within a second. Dropping the future leaves the shutdown under way.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        // an error means that the task is gone already
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}
