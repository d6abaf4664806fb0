//! The node: its memory, and how one input changes it.

mod change;
mod dispatch;
mod pending;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;

use crate::command::TraceEvent;
use crate::config::Config;
use crate::crypto::Crypto;
use crate::input::Input;
use crate::output::{Output, WorkDone, WorkId};
use crate::timer::{Timer, Timers};
use crate::tx::{Fetch, Halt, Lane, Records, Tx, Wake};
use crate::{accounts, clients, delivery, egress, home, ingress, keys, locator, membership, operator, publisher};

pub(crate) use change::Change;

use pending::Pending;

/// How a run ended.
#[derive(Debug)]
pub enum Step {
    /// The input is dealt with; outputs wait.
    Done,
    /// Nothing happened: these records are missing from the view.
    Need(Fetch),
    /// Nothing happened: this lane has a batch pending.
    Wait(Lane),
}

/// One node of the mesh.
#[derive(Debug)]
pub struct Node {
    config: Config,
    id: NodeId,
    crypto: Arc<dyn Crypto>,
    started: Timestamp,
    /// The newest moment that an input brought.
    seen: Timestamp,
    counters: BTreeMap<&'static str, u64>,
    timers: Timers,
    busy: BTreeSet<Lane>,
    pending: BTreeMap<u64, Pending>,
    next_token: u64,
    outputs: VecDeque<Output>,
    /// Ends of work that met a failing store. Each is of work that a conversation still waits for, so there are no more of
    /// them than jobs under way, SMS on their way and one keyring.
    unsettled: BTreeMap<WorkId, WorkDone>,
    pub(crate) keys: keys::State,
    pub(crate) accounts: accounts::State,
    pub(crate) clients: clients::State,
    pub(crate) delivery: delivery::State,
    pub(crate) egress: egress::State,
    pub(crate) home: home::State,
    pub(crate) ingress: ingress::State,
    pub(crate) locator: locator::State,
    pub(crate) membership: membership::State,
    pub(crate) operator: operator::State,
    pub(crate) publisher: publisher::State,
}

impl Node {
    /// A node that has not read its records yet: [`Input::Restore`] and [`Input::Started`] come first.
    #[must_use]
    pub fn new(config: Config, keyring: Keyring, crypto: Arc<dyn Crypto>, now: Timestamp) -> Self {
        let id = crypto.node_id(&keyring);
        let timelines = config.timelines;
        Self {
            config,
            id,
            crypto,
            started: now,
            seen: now,
            counters: BTreeMap::new(),
            timers: Timers::default(),
            busy: BTreeSet::new(),
            pending: BTreeMap::new(),
            next_token: 1,
            outputs: VecDeque::new(),
            unsettled: BTreeMap::new(),
            keys: keys::State::new(keyring),
            accounts: accounts::State::default(),
            clients: clients::State::default(),
            delivery: delivery::State::default(),
            egress: egress::State::default(),
            home: home::State::default(),
            ingress: ingress::State::default(),
            locator: locator::State::default(),
            membership: membership::State::default(),
            operator: operator::State::keeping(timelines),
            publisher: publisher::State::default(),
        }
    }

    /// This node's identity.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The operator's settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// When the node was made.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Whether the records that were restored are sealed under the keys of another node. It must not be started: people would be
    /// told that they have no account.
    #[must_use]
    pub fn has_foreign_records(&self) -> bool {
        self.membership.is_foreign()
    }

    /// Counters since start, by name.
    #[must_use]
    pub fn counters(&self) -> &BTreeMap<&'static str, u64> {
        &self.counters
    }

    pub(crate) fn crypto(&self) -> &dyn Crypto {
        self.crypto.as_ref()
    }

    pub(crate) fn keys(&self) -> &Keyring {
        self.keys.ring()
    }

    /// Rows of a table that are on their way to the disk: memory does not know of them yet, and a cap must.
    pub(crate) fn pending_rows(&self, table: u8) -> usize {
        let rows = self.busy.range(Lane(vec![table])..);
        rows.take_while(|lane| lane.0.first() == Some(&table)).count()
    }

    /// As if a batch with this row were on its way to the disk.
    #[cfg(test)]
    pub(crate) fn make_busy(&mut self, row: &[u8]) {
        self.busy.insert(crate::record::key::lane(row));
    }

    /// Counts an event, whatever becomes of the run's batch.
    pub(crate) fn count(&self, tx: &mut Tx<'_>, name: &'static str) {
        tx.change(Change::Count(name));
    }

    /// As [`Node::count`], for what has happened only when the run's batch is durable.
    pub(crate) fn count_then(&self, tx: &mut Tx<'_>, name: &'static str) {
        tx.then(Change::Count(name));
    }

    /// Adds a line to a message's timeline, when the run's batch is durable. `what` holds no content and no number; it is
    /// called only if timelines are kept.
    pub(crate) fn trace<W: Into<Cow<'static, str>>>(
        &self,
        tx: &mut Tx<'_>,
        message: MessageId,
        room: &'static str,
        what: impl FnOnce() -> W,
    ) {
        if self.config.timelines > 0 {
            let at = tx.now();
            tx.then(operator::Change::Trace { message, at, room, what: what().into() });
        }
    }

    /// The timeline of a message, as far as memory has it.
    #[must_use]
    pub fn timeline(&self, message: &MessageId) -> &[TraceEvent] {
        self.operator.timeline(message)
    }

    /// Takes over facts and filters from a node that was killed, instead of reading them from the disk that both have: they
    /// are in memory as they are on the disk, no more and no less, so the result is the same. For worlds that kill nodes ten
    /// thousand times; the other tables are restored as ever.
    pub fn inherit(&mut self, killed: Self) {
        membership::inherit(self, killed.membership);
        locator::inherit(self, killed.locator);
    }

    /// Runs one input over the records that it asks for.
    pub fn handle(&mut self, input: &Input, records: &dyn Records, now: Timestamp, seed: [u8; 32]) -> Step {
        self.handle_again(input, records, now, seed, 0)
    }

    /// As [`Node::handle`], for an input that met a conflict `reruns` times.
    pub fn handle_again(
        &mut self,
        input: &Input,
        records: &dyn Records,
        now: Timestamp,
        seed: [u8; 32],
        reruns: u8,
    ) -> Step {
        self.seen = self.seen.max(now);
        if let Input::Restore { table, rows } = input {
            self.restore(*table, rows, now);
            return Step::Done;
        }
        let busy = |lane: &Lane| self.busy.contains(lane);
        let mut tx = Tx::new(now, seed, records, &busy).again(reruns);
        let ended = self.run(input, &mut tx);
        let lanes = tx.lanes();
        let effects = tx.effects;
        match ended {
            Ok(()) => self.commit(input, effects, lanes, reruns),
            Err(Halt::Need(fetch)) => return Step::Need(fetch),
            Err(Halt::Wait(lane)) => return Step::Wait(lane),
            Err(Halt::Refused(refusal)) => {
                self.apply_all(effects.at_once);
                self.refuse(input, refusal);
            }
        }
        Step::Done
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the node wants to be woken.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Takes one timer that is due; the loop runs it as [`Input::Timer`].
    pub fn take_due(&mut self, now: Timestamp) -> Option<Timer> {
        self.timers.take_due(now)
    }

    fn wake(&mut self, Wake { at, timer, moves }: Wake) {
        if moves { self.timers.set(at, timer) } else { self.timers.set_by(at, timer) }
    }

    pub(crate) fn set_timer(&mut self, at: Timestamp, timer: Timer) {
        self.timers.set(at, timer);
    }

    pub(crate) fn bump(&mut self, name: &'static str) {
        *self.counters.entry(name).or_default() += 1;
    }
}
