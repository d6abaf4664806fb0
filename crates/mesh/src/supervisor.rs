//! Starts the task, and starts it again when it panics. libp2p has had remotely triggered panics and will have more; one
//! must cost the connections and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use futures::FutureExt;
use relaymesh_protocol::ids::NodeId;
use tokio::sync::{mpsc, watch};

use crate::api::{Event, Handle};
use crate::book::Book;
use crate::config::{COMMANDS_MAX, Config, EVENTS_MAX, StartError};
use crate::peer::{keypair, node_of};
use crate::task::{Blueprint, Ended, Io, Live};
use crate::transport::Transport;

/// Pause before the first restart; doubles with each panic that follows soon.
const RESTART_FIRST: Duration = Duration::from_millis(50);
/// Longest pause before a restart: a node promises to be back within a second.
const RESTART_MAX: Duration = Duration::from_millis(800);
/// A swarm that ran this long was healthy: the pauses begin anew.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How long the last events wait for a reader at shutdown.
const LAST_EVENTS_WITHIN: Duration = Duration::from_secs(1);

/// The task that owns the swarm.
pub struct Mesh;

impl Mesh {
    /// Starts the task on the current tokio runtime. `seed` is the node's Ed25519 seed: its public half is the node id.
    ///
    /// # Errors
    /// When a configured address does not parse, or the transport cannot be built. An address that cannot be listened on
    /// is not an error here: it is logged and tried again.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        config: Config,
        seed: [u8; 32],
        transport: Transport,
    ) -> Result<(Handle, mpsc::Receiver<Event>), StartError> {
        let identity = keypair(seed);
        let node = node_of(&identity.public().to_peer_id()).expect("an Ed25519 identity is a node");
        let blueprint = Blueprint { addresses: config.parse()?, config, identity, transport };
        let mut book = Book::default();
        let live =
            Live::build(&blueprint, &mut book).map_err(|source| StartError::Build { part: "transport", source })?;
        let (commands, commands_out) = mpsc::channel(COMMANDS_MAX);
        let (events, events_out) = mpsc::channel(EVENTS_MAX);
        let (stop, stop_out) = watch::channel(false);
        let (ended, ended_out) = watch::channel(false);
        let io = Io { commands: commands_out, events, stop: stop_out };
        tokio::spawn(supervise(blueprint, book, live, io, ended));
        Ok((Handle { node, commands, stop, ended: ended_out }, events_out))
    }
}

async fn supervise(blueprint: Blueprint, mut book: Book, first: Live, mut io: Io, ended: watch::Sender<bool>) {
    let node = node_of(&blueprint.identity.public().to_peer_id());
    let mut next = Some(first);
    let mut pause = RESTART_FIRST;
    loop {
        let started = Instant::now();
        if run_once(&blueprint, &mut book, next.take(), &mut io).await {
            break;
        }
        tracing::error!(node = node.as_ref().map(NodeId::peer_id), "the swarm panicked and is started again");
        book.panicked();
        if started.elapsed() >= HEALTHY_AFTER {
            pause = RESTART_FIRST;
        }
        tokio::select! {
            _ = io.stop.changed() => break,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(RESTART_MAX);
    }
    book.swarm_ended();
    // nobody reads, or not in time: then nobody wants to know
    let _ = tokio::time::timeout(LAST_EVENTS_WITHIN, hand_over_rest(&mut book, &io)).await;
    ended.send_replace(true);
}

/// Runs a swarm until it ends (true) or something in it panics (false). The swarm lives outside the caught future and is dropped under
/// a catch of its own: a second panic in a destructor while unwinding would abort the process.
async fn run_once(blueprint: &Blueprint, book: &mut Book, built: Option<Live>, io: &mut Io) -> bool {
    let build = || built.map_or_else(|| Live::build(blueprint, book), Ok);
    let mut live = match catch_unwind(AssertUnwindSafe(build)) {
        Ok(Ok(live)) => live,
        Ok(Err(error)) => {
            tracing::error!(%error, "the swarm cannot be built");
            return false;
        }
        Err(_) => return false,
    };
    let end = AssertUnwindSafe(live.run(book, io)).catch_unwind().await;
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(live)));
    if dropped.is_err() {
        tracing::error!("the swarm panicked while it was taken down");
    }
    matches!(end, Ok(Ended::Stopped))
}

async fn hand_over_rest(book: &mut Book, io: &Io) {
    while let Some(event) = book.outbox.pop_front() {
        if io.events.send(event).await.is_err() {
            return;
        }
    }
}
