//! The loop around the core: one input, its outputs to the end, then the next input. Finished local work goes first, new
//! work from outside last, and nothing new is taken in while the store has no free slot.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relaymesh_core::command::{Command, Refusal, Reply};
use relaymesh_core::{Input, Output, Pump, ReplyTo, WorkDone, WorkId};
use relaymesh_link::Links;
use relaymesh_mesh::{Event, Handle as MeshHandle};
use relaymesh_protocol::ids::Timestamp;
use relaymesh_store::{Completion, Store};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::persist::{self, Loader};
use super::works::Works;

/// Commands that wait for the loop; further callers hear that the node is busy.
pub const COMMANDS_MAX: usize = 1_024;
/// Finished work that waits for the loop: as much as can be under way.
pub const WORKS_MAX: usize = 4_096;
/// Batches on their way to the disk; nothing new is taken in beyond.
const PERSISTS_MAX: usize = 896;
/// Inputs handled in one go before the loop looks at its other queues.
const BURST: usize = 64;
/// Without a timer the loop still looks at its clock this often.
const IDLE: Duration = Duration::from_secs(60);

/// A command and who waits for its reply.
pub type Asked = (Command, oneshot::Sender<Reply>);

/// Speaks to the loop.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Asked>,
}

impl Handle {
    /// Asks and waits for the reply. A full queue or an ended loop answers that the node is unavailable.
    pub async fn ask(&self, command: Command) -> Reply {
        let (reply, answer) = oneshot::channel();
        if self.commands.try_send((command, reply)).is_err() {
            return Reply::Refused(Refusal::unavailable());
        }
        answer.await.unwrap_or_else(|_| Reply::Refused(Refusal::unavailable()))
    }
}

impl relaymesh_api::Ask for Handle {
    async fn ask(&self, command: Command) -> Reply {
        Handle::ask(self, command).await
    }
}

/// What the loop hears.
pub struct Ears {
    pub commands: mpsc::Receiver<Asked>,
    pub completions: mpsc::Receiver<Vec<Completion>>,
    pub works: mpsc::Receiver<(WorkId, WorkDone)>,
    pub mesh: mpsc::Receiver<Event>,
}

/// A handle and the receiver of its commands.
pub fn handle() -> (Handle, mpsc::Receiver<Asked>) {
    let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
    (Handle { commands }, receiver)
}

/// The loop's own state.
pub struct Hub {
    pump: Pump,
    store: Store,
    loader: Loader,
    links: Links,
    works: Works,
    waiting: BTreeMap<ReplyTo, oneshot::Sender<Reply>>,
    next_reply: u64,
    persisting: usize,
    /// Batches that the store did not take: they end as failed, in their turn.
    refused: Vec<Completion>,
}

/// Now, by the machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Hub {
    pub fn new(pump: Pump, store: Store, mesh: MeshHandle, works: Works) -> Self {
        Self {
            pump,
            loader: Loader::new(store.clone()),
            store,
            links: Links::new(mesh),
            works,
            waiting: BTreeMap::new(),
            next_reply: 1,
            persisting: 0,
            refused: Vec::new(),
        }
    }

    /// Reads all records that live in memory, then lets the node begin.
    pub fn restore(&mut self) -> Result<(), persist::RestoreError> {
        persist::restore(&mut self.pump, &mut self.loader)?;
        self.feed(Input::Started);
        Ok(())
    }

    /// Runs until `stop`; then what is on its way to the disk still gets there.
    pub async fn run(mut self, mut ears: Ears, stop: CancellationToken) {
        self.perform();
        loop {
            let timeout = self.until_timer();
            let room = self.persisting < PERSISTS_MAX;
            tokio::select! {
                biased;
                Some(done) = ears.completions.recv() => self.on_completions(done),
                () = stop.cancelled() => break,
                Some((id, done)) = ears.works.recv() => self.feed(Input::Worked { id, done }),
                () = tokio::time::sleep(timeout), if room => self.on_timer(),
                Some(event) = ears.mesh.recv(), if room => self.on_mesh(event),
                Some(asked) = ears.commands.recv(), if room => self.on_commands(asked, &mut ears.commands),
            }
            self.perform();
        }
        self.drain(&mut ears).await;
    }

    async fn drain(&mut self, ears: &mut Ears) {
        while self.persisting > 0 {
            let Ok(Some(done)) = tokio::time::timeout(Duration::from_secs(5), ears.completions.recv()).await else {
                return;
            };
            self.on_completions(done);
            self.perform();
        }
    }

    fn until_timer(&self) -> Duration {
        if !self.refused.is_empty() {
            return Duration::ZERO;
        }
        self.pump.poll_timeout().map_or(IDLE, |at| at.since(now()).min(IDLE))
    }

    fn feed(&mut self, input: Input) {
        self.pump.feed(input, now(), &mut self.loader);
    }

    fn on_timer(&mut self) {
        for Completion { token, outcome } in std::mem::take(&mut self.refused) {
            self.pump.persisted(token, persist::outcome(outcome), now(), &mut self.loader);
        }
        self.pump.tick(now(), &mut self.loader);
    }

    fn on_completions(&mut self, done: Vec<Completion>) {
        for Completion { token, outcome } in done {
            self.persisting = self.persisting.saturating_sub(1);
            self.pump.persisted(token, persist::outcome(outcome), now(), &mut self.loader);
            self.perform();
        }
    }

    fn on_commands(&mut self, first: Asked, more: &mut mpsc::Receiver<Asked>) {
        self.on_command(first);
        for _ in 1..BURST {
            if self.persisting >= PERSISTS_MAX {
                return;
            }
            let Ok(asked) = more.try_recv() else { return };
            self.on_command(asked);
        }
    }

    fn on_command(&mut self, (command, waiter): Asked) {
        let reply = self.reply_to();
        self.waiting.insert(reply, waiter);
        self.feed(Input::Command { reply, command });
        self.perform();
    }

    fn reply_to(&mut self) -> ReplyTo {
        let reply = ReplyTo(self.next_reply);
        self.next_reply += 1;
        reply
    }

    fn on_mesh(&mut self, event: Event) {
        for input in self.links.on_event(event, &mut self.next_reply) {
            self.feed(input);
            self.perform();
        }
    }

    /// Performs outputs until there are none; what goes to one peer leaves together.
    fn perform(&mut self) {
        while let Some(output) = self.pump.poll_output() {
            self.on_output(output);
        }
        for input in self.links.flush() {
            self.feed(input);
        }
    }

    fn on_output(&mut self, output: Output) {
        match output {
            Output::Persist { token, batch } => self.persist(token, batch),
            Output::Reply { to, reply } => {
                if let Some(waiter) = self.waiting.remove(&to) {
                    // A caller that went away needs no answer.
                    let _ = waiter.send(reply);
                }
            }
            Output::Work { id, work } => self.works.start(id, work),
            Output::SaveKeys { id, keyring } => self.works.save_keys(id, *keyring),
            Output::Note(_) => {}
            Output::Follow(input) => self.feed(input),
            link => self.links.on_output(link),
        }
    }

    fn persist(&mut self, token: u64, batch: relaymesh_core::batch::Batch) {
        match self.store.submit(token, persist::batch(batch)) {
            Ok(()) => self.persisting += 1,
            Err(error) => {
                tracing::warn!(%error, "the store does not take a batch");
                self.refused.push(Completion { token, outcome: relaymesh_store::Outcome::Failed });
            }
        }
    }
}
