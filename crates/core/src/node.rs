//! The node: its memory, and which conversation an input belongs to. Decides nothing itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use relaymesh_protocol::frame::{Request, Response, Taken};
use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;

use crate::batch::{Key, Outcome};
use crate::command::{Command, OperatorCommand, Refusal, Reply, TraceEvent};
use crate::config::Config;
use crate::crypto::Crypto;
use crate::input::{Follow, Input, ReplyTo};
use crate::output::{Output, WorkDone, WorkId};
use crate::record::key;
use crate::timer::{Timer, Timers};
use crate::tx::{Effects, Fetch, Halt, Lane, Records, Run, Tx, Wake};
use crate::{accounts, clients, delivery, egress, home, ingress, keys, locator, membership, operator, publisher};

/// How long a caller or peer is asked to wait when the store is down or a lane is full, in milliseconds.
const RETRY_AFTER_MS: u32 = 5_000;
/// A batch that met another version of a record is run again so often.
const RERUNS_MAX: u8 = 3;

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

/// What memory changes when a run ends or its batch is durable: one variant per conversation.
#[derive(Debug)]
pub(crate) enum Change {
    Count(&'static str),
    /// A timer is not needed any more.
    Cancel(Timer),
    /// The end of a piece of work is dealt with.
    Settled(WorkId),
    Accounts(accounts::Change),
    Clients(clients::Change),
    Delivery(delivery::Change),
    Egress(egress::Change),
    Home(home::Change),
    Ingress(ingress::Change),
    Keys(keys::Change),
    Locator(locator::Change),
    Membership(membership::Change),
    Operator(operator::Change),
    Publisher(publisher::Change),
}

macro_rules! changes {
    ($($variant:ident($module:ident)),* $(,)?) => {$(
        impl From<$module::Change> for Change {
            fn from(change: $module::Change) -> Self {
                Self::$variant(change)
            }
        }
    )*};
}

changes!(
    Accounts(accounts),
    Clients(clients),
    Delivery(delivery),
    Egress(egress),
    Home(home),
    Ingress(ingress),
    Keys(keys),
    Locator(locator),
    Membership(membership),
    Operator(operator),
    Publisher(publisher),
);

/// A batch on its way to the disk, and what waits for it.
#[derive(Debug)]
struct Pending {
    lanes: Vec<Lane>,
    then: Vec<Change>,
    outputs: Vec<Output>,
    timers: Vec<Wake>,
    input: Input,
    reruns: u8,
}

/// What [`Node::persisted`] gives back to the loop around the node.
#[derive(Debug, Default)]
pub struct Freed {
    /// Lanes that the batch held.
    pub lanes: Vec<Lane>,
    /// An input to run again, and how often it was run again before.
    pub rerun: Option<(Input, u8)>,
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
        self.busy.insert(key::lane(row));
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

    fn commit(&mut self, input: &Input, effects: Effects, lanes: Vec<Lane>, reruns: u8) {
        self.apply_all(effects.at_once);
        self.outputs.extend(effects.early);
        if effects.batch.writes.is_empty() {
            self.finish(effects.then, effects.outputs, effects.timers);
            return;
        }
        let token = self.next_token;
        self.next_token += 1;
        self.busy.extend(lanes.iter().cloned());
        self.pending.insert(
            token,
            Pending {
                lanes,
                then: effects.then,
                outputs: effects.outputs,
                timers: effects.timers,
                input: input.clone(),
                reruns,
            },
        );
        self.outputs.push_back(Output::Persist { token, batch: effects.batch });
    }

    fn finish(&mut self, then: Vec<Change>, outputs: Vec<Output>, timers: Vec<Wake>) {
        self.apply_all(then);
        for wake in timers {
            self.wake(wake);
        }
        self.outputs.extend(outputs);
    }

    /// How a batch ended. Tokens end in the order they were made; an unknown token changes nothing.
    pub fn persisted(&mut self, token: u64, outcome: Outcome) -> Freed {
        let Some(pending) = self.pending.remove(&token) else { return Freed::default() };
        for lane in &pending.lanes {
            self.busy.remove(lane);
        }
        let mut freed = Freed { lanes: pending.lanes, rerun: None };
        match outcome {
            Outcome::Ok => self.finish(pending.then, pending.outputs, pending.timers),
            Outcome::Conflict if pending.reruns < RERUNS_MAX => {
                freed.rerun = Some((pending.input, pending.reruns + 1));
            }
            Outcome::Conflict | Outcome::Failed => {
                self.bump("store_failed");
                let soonest = self.retry_at();
                for wake in pending.timers {
                    self.wake(Wake { at: wake.at.max(soonest), ..wake });
                }
                let mut told = false;
                for output in pending.outputs {
                    told |= self.unsay(output);
                }
                if !told {
                    self.refuse(&pending.input, Refusal::unavailable());
                }
            }
        }
        freed
    }

    /// What rested on a failed batch is not said; whoever waits hears that it did not work. Whether somebody did.
    fn unsay(&mut self, output: Output) -> bool {
        let retry_after_ms = RETRY_AFTER_MS;
        let instead = match output {
            Output::Reply { to, .. } => Output::Reply { to, reply: Reply::Refused(Refusal::unavailable()) },
            Output::Taken { to, .. } => Output::Taken { to, taken: Taken::Busy { retry_after_ms } },
            Output::Respond { to, .. } => Output::Respond { to, response: Response::Busy { retry_after_ms } },
            _ => return false,
        };
        self.outputs.push_back(instead);
        true
    }

    /// Tells whoever waits for an input that it was refused; nothing else happens.
    pub fn refuse(&mut self, input: &Input, refusal: Refusal) {
        let retry_after_ms = RETRY_AFTER_MS;
        let output = match input {
            Input::Command { reply, .. } => Output::Reply { to: *reply, reply: Reply::Refused(refusal) },
            Input::Envelope { reply, .. } => Output::Taken { to: *reply, taken: Taken::Busy { retry_after_ms } },
            Input::Asked { reply, .. } => Output::Respond { to: *reply, response: Response::Busy { retry_after_ms } },
            Input::Worked { id, .. } if self.caller_of(*id).is_some() => {
                let to = self.caller_of(*id).unwrap_or(ReplyTo::NOBODY);
                Output::Reply { to, reply: Reply::Refused(refusal) }
            }
            _ => {
                self.bump("input_refused");
                self.retry_later(input);
                return;
            }
        };
        self.outputs.push_back(output);
    }

    /// When something that the store refused may be tried again.
    fn retry_at(&self) -> Timestamp {
        Timestamp(self.seen.0.saturating_add(u64::from(RETRY_AFTER_MS)))
    }

    /// Who waits for the end of a piece of work.
    fn caller_of(&self, id: crate::WorkId) -> Option<ReplyTo> {
        let account = self.accounts.waiting.get(id).map(|waiter| waiter.reply);
        account.or_else(|| self.publisher.waiting.get(id).map(|waiter| waiter.reply))
    }

    /// Whether a conversation goes on with the end of this piece of work.
    fn awaits(&self, id: WorkId) -> bool {
        self.home.awaits(id) || self.egress.awaits(id) || self.keys.awaits(id)
    }

    /// Work that nobody waits for must not be forgotten because the store was down for a moment.
    fn retry_later(&mut self, input: &Input) {
        let at = self.retry_at();
        let timer = match input {
            Input::Timer(timer) => timer.clone(),
            Input::Started => Timer::Start,
            Input::Follow(Follow::Route(message) | Follow::Local(message)) => Timer::Route(*message),
            Input::Follow(Follow::RunJob(message)) => Timer::Job(*message),
            Input::Follow(Follow::RunSms(id)) => Timer::Sms(*id),
            // What happened outside happened: a post that is out, a token that was changed for another.
            Input::Worked { id, done } if self.awaits(*id) => {
                self.unsettled.insert(*id, done.clone());
                Timer::Worked(*id)
            }
            _ => return,
        };
        self.timers.set(at, timer);
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

    fn run(&self, input: &Input, tx: &mut Tx<'_>) -> Run {
        match input {
            Input::Restore { .. } => Ok(()),
            Input::Started => self.start(tx),
            Input::Command { reply, command } => self.run_command(tx, *reply, command),
            Input::Envelope { reply, from, carried } => delivery::on_envelope(self, tx, *reply, *from, carried),
            Input::Asked { reply, from, request } => self.run_request(tx, *reply, *from, request),
            Input::Carried { to, envelope, taken } => delivery::on_carried(self, tx, *to, *envelope, *taken),
            Input::Answered { token, from, response } => self.run_answer(tx, *token, *from, response),
            Input::Connected(peer) => {
                membership::on_connected(self, tx, *peer)?;
                locator::on_connected(self, tx, *peer);
                home::on_connected(self, tx, *peer);
                delivery::on_connected(self, tx, *peer)
            }
            Input::Disconnected(peer) => membership::on_disconnected(self, tx, *peer),
            Input::Worked { id, done } => self.run_worked(tx, *id, done),
            Input::Timer(timer) => self.run_timer(tx, timer),
            Input::Follow(follow) => self.run_follow(tx, follow),
        }
    }

    fn start(&self, tx: &mut Tx<'_>) -> Run {
        keys::start(self, tx)?;
        membership::start(self, tx)?;
        locator::start(self, tx)?;
        ingress::start(self, tx)?;
        delivery::start(self, tx)?;
        home::start(self, tx)?;
        egress::start(self, tx)
    }

    fn run_command(&self, tx: &mut Tx<'_>, reply: ReplyTo, command: &Command) -> Run {
        match command {
            Command::Submit(submit) => ingress::on_submit(self, tx, reply, submit),
            Command::Account(command) => accounts::on_command(self, tx, reply, command),
            Command::Publisher(command) => publisher::on_command(self, tx, reply, command),
            Command::Clients(command) => clients::on_command(self, tx, reply, command),
            Command::Operator(command) => self.run_operator(tx, reply, command),
        }
    }

    fn run_operator(&self, tx: &mut Tx<'_>, reply: ReplyTo, command: &OperatorCommand) -> Run {
        use OperatorCommand as C;
        match command {
            C::Status | C::Trace { .. } | C::Doctor | C::Ping { .. } => operator::on_command(self, tx, reply, command),
            C::GatewayAdd { .. } | C::GatewayList | C::GatewayRemove { .. } => {
                ingress::on_operator(self, tx, reply, command)
            }
            C::NodeId | C::NodeList | C::Invite { .. } | C::Join { .. } | C::Federate { .. } | C::Block { .. } => {
                membership::on_operator(self, tx, reply, command)
            }
            C::BundleExport | C::BundleImport { .. } => delivery::on_operator(self, tx, reply, command),
            C::BridgeKeysGenerate { .. } | C::BridgeKeysList | C::BridgeKeysRetire { .. } => {
                keys::on_operator(self, tx, reply, command)
            }
        }
    }

    fn run_request(&self, tx: &mut Tx<'_>, reply: ReplyTo, from: NodeId, request: &Request) -> Run {
        match request {
            Request::Envelopes(_) => {
                tx.output(Output::Respond { to: reply, response: Response::Refused });
                Ok(())
            }
            Request::Digest(_)
            | Request::Heads(_)
            | Request::WantFacts(_)
            | Request::Facts(_)
            | Request::Join { .. } => membership::on_request(self, tx, reply, from, request),
            Request::WantFilter { .. } | Request::Evaluate { .. } | Request::WhoHolds { .. } => {
                locator::on_request(self, tx, reply, from, request)
            }
        }
    }

    fn run_answer(
        &self,
        tx: &mut Tx<'_>,
        token: u64,
        from: NodeId,
        response: &Result<Response, crate::LinkError>,
    ) -> Run {
        if self.membership.asked(token) {
            membership::on_answer(self, tx, token, from, response)
        } else {
            locator::on_answer(self, tx, token, from, response)
        }
    }

    fn run_worked(&self, tx: &mut Tx<'_>, id: WorkId, done: &WorkDone) -> Run {
        use WorkDone as D;
        match done {
            D::Hashed(_) | D::Verified(_) | D::Captcha(_) => accounts::on_worked(self, tx, &id, done),
            D::Sent(_) if self.accounts.waits_for(&id) => accounts::on_worked(self, tx, &id, done),
            D::Sent(_) => egress::on_worked(self, tx, id, done),
            D::Published(_) | D::Refreshed(_) => home::on_worked(self, tx, id, done),
            D::Exchanged(_) | D::Revoked => publisher::on_worked(self, tx, &id, done),
            D::KeysSaved(_) => keys::on_worked(self, tx, id, done),
        }
    }

    fn run_timer(&self, tx: &mut Tx<'_>, timer: &Timer) -> Run {
        match timer {
            Timer::ReplyWait(id) => ingress::on_reply_wait(self, tx, *id),
            Timer::GatewayUse => ingress::on_save(self, tx),
            Timer::Segments(set) => ingress::on_segments(self, tx, set),
            Timer::Route(message) => delivery::on_route(self, tx, *message),
            Timer::Window(line) => delivery::on_window(self, tx, *line),
            Timer::Reach(candidate) => delivery::on_reach(self, tx, *candidate),
            Timer::LegSilent(message, node) => delivery::on_leg_silent(self, tx, *message, *node),
            Timer::Custody(node) => delivery::on_custody(self, tx, *node),
            Timer::Receipts(node) => delivery::on_flush(self, tx, *node),
            Timer::Declines(node) => delivery::on_declines(self, tx, *node),
            Timer::Outcome(message) => delivery::on_forget(self, tx, *message),
            Timer::Remind(ingress) => home::on_remind(self, tx, *ingress),
            Timer::HomeSet(set) => home::on_home_set(self, tx, set),
            Timer::Job(message) => home::on_job(self, tx, *message),
            Timer::Kept(message) => home::on_kept(self, tx, *message),
            Timer::Refusal(entity, message) => home::on_refusal(self, tx, *entity, *message),
            Timer::Sweep => home::on_sweep(self, tx),
            Timer::Sms(id) => egress::on_sms(self, tx, id),
            Timer::Ways => membership::on_ways(self, tx),
            Timer::Gossip | Timer::RenewRecord => membership::on_timer(self, tx, timer),
            Timer::FilterRecent | Timer::FilterSoon | Timer::Audit | Timer::Question(_) => {
                locator::on_timer(self, tx, timer)
            }
            Timer::Ping(nonce) => operator::on_ping_lost(self, tx, *nonce),
            Timer::Daily => self.daily(tx),
            Timer::Start => self.start(tx),
            Timer::Import => delivery::on_import(self, tx),
            Timer::Worked(id) => {
                let Some(done) = self.unsettled.get(id) else { return Ok(()) };
                self.run_worked(tx, *id, done)?;
                tx.then(Change::Settled(*id));
                Ok(())
            }
        }
    }

    fn daily(&self, tx: &mut Tx<'_>) -> Run {
        keys::daily(self, tx)?;
        locator::daily(self, tx)?;
        delivery::daily(self, tx)
    }

    fn run_follow(&self, tx: &mut Tx<'_>, follow: &Follow) -> Run {
        match follow {
            Follow::Route(message) => delivery::on_route(self, tx, *message),
            Follow::Body(opened) => self.run_body(tx, opened),
            Follow::Local(message) => home::on_local(self, tx, *message),
            Follow::Assembled { from, submission, number } => {
                home::on_assembled(self, tx, *from, submission, number.as_ref())
            }
            Follow::Receipt { from, receipt } => delivery::on_receipt(self, tx, *from, receipt),
            Follow::Remind { to, message } => home::on_remind_of(self, tx, *to, *message),
            Follow::RunJob(message) => home::on_job(self, tx, *message),
            Follow::RunSms(id) => egress::on_sms(self, tx, id),
        }
    }

    /// An opened body goes to the conversation that it is for.
    pub(crate) fn run_body(&self, tx: &mut Tx<'_>, opened: &delivery::Opened) -> Run {
        use delivery::Body;
        match &opened.body {
            Body::Submission(submission) => home::on_submission(self, tx, opened.sender, submission),
            Body::Receipts(receipts) => delivery::on_receipts(self, tx, opened.sender, receipts),
            Body::Question(question) => locator::on_question(self, tx, opened.sender, question),
            Body::Answer(answer) => locator::on_answer_letter(self, tx, opened.sender, answer),
            Body::Ping { nonce } => operator::on_ping(self, tx, opened, *nonce),
            Body::Pong { nonce, hops } => operator::on_pong(self, tx, opened.sender, *nonce, *hops),
            Body::Sms(request) => egress::on_request(self, tx, opened.sender, request),
            Body::SmsAnswer { id, end } => egress::on_answer(self, tx, opened.sender, id, *end),
        }
    }

    fn restore(&mut self, table: u8, rows: &[(Key, Vec<u8>)], now: Timestamp) {
        match table {
            key::META => {
                membership::restore_meta(self, rows, now);
                keys::restore_meta(self, rows, now);
            }
            key::FACT | key::POLICY => membership::restore(self, table, rows, now),
            key::FILTER | key::AUDIT | key::TAG | key::TAG_CACHE => locator::restore(self, table, rows, now),
            key::GATEWAY => ingress::restore(self, rows, now),
            key::OUTBOX | key::CUSTODY => delivery::restore(self, table, rows, now),
            key::JOB | key::RECEIPT | key::HOME_SET => home::restore(self, table, rows),
            key::SMS => egress::restore(self, rows, now),
            key::TEST => clients::restore(self, rows),
            key::SEGMENTS => ingress::restore_segments(self, rows),
            _ => {}
        }
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

    pub(crate) fn apply_all(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Count(name) => self.bump(name),
                Change::Cancel(timer) => self.timers.cancel(&timer),
                Change::Settled(id) => {
                    self.unsettled.remove(&id);
                }
                Change::Accounts(change) => self.accounts.apply(change),
                Change::Clients(change) => self.clients.apply(change),
                Change::Delivery(change) => self.delivery.apply(change),
                Change::Egress(change) => self.egress.apply(change),
                Change::Home(change) => self.home.apply(change),
                Change::Ingress(change) => self.ingress.apply(change),
                Change::Keys(change) => self.keys.apply(change),
                Change::Locator(change) => self.locator.apply(change),
                Change::Membership(change) => self.membership.apply(change),
                Change::Operator(change) => self.operator.apply(change),
                Change::Publisher(change) => self.publisher.apply(change),
            }
        }
    }
}
