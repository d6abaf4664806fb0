//! The home of a message: one message, one transaction, then one publication owed.

mod allowance;
mod bridge;
mod claim;
mod consume;
mod ending;
mod find;
mod images;
mod job;
mod kept;
mod keywords;
mod parts;
mod receipts;
mod refusals;
mod run;
mod seen;
mod sessions;
mod spent;
mod sweep;
mod tokens;
mod unheard;

use std::collections::{BTreeMap, BTreeSet};

use relaymesh_protocol::ids::{EntityId, MessageId, NodeId, Timestamp};

use crate::WorkId;
use crate::batch::Key;
use crate::node::Node;
use crate::record::{self, key};
use crate::sets::{Open, Sets};
use crate::timer::Timer;
use crate::tx::{Run, Tx};
use crate::watch::Gauge;

use tokens::Renewed;
use unheard::Unheard;

pub(crate) use consume::{on_assembled, on_local, on_submission};
pub(crate) use ending::give_up;
pub(crate) use images::{has_image, on_home_set};
pub(crate) use kept::on_kept;
pub(crate) use receipts::{heard, lost, on_connected, on_news, on_remind, on_remind_of};
pub(crate) use refusals::on_refusal;
pub(crate) use run::{on_job, on_worked};
pub(crate) use sweep::{on_sweep, soon as sweep_soon, sweep_spent};
pub(crate) use unheard::Word;

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [record::Reader; 11] = [
    record::Reader::of::<allowance::Allowance>(),
    record::Reader::of::<sessions::Order>(),
    record::Reader::of::<kept::Told>(),
    record::Reader::of::<job::Job>(),
    record::Reader::of::<images::Row>(),
    record::Reader::of::<refusals::Notices>(),
    record::Reader::of::<receipts::Row>(),
    record::Reader::of::<bridge::BridgeIdentity>(),
    record::Reader::of::<keywords::Freeze>(),
    record::Reader::of::<seen::Span>(),
    record::Reader::of::<seen::Entry>(),
];

/// A job that is owed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    /// Whose it is.
    entity: EntityId,
    /// It was read at start and not looked at since.
    restored: bool,
}

/// What the home remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Work under way, and whose job it is for.
    working: BTreeMap<WorkId, MessageId>,
    /// The other way round: a job has one piece of work at a time.
    busy: BTreeMap<MessageId, WorkId>,
    /// Tokens that are being refreshed: whose, and the token's record key.
    refreshing: BTreeMap<WorkId, (EntityId, Vec<u8>)>,
    /// What the tokens of phones became: a message that was written before its phone was told goes out under them.
    renewed: BTreeMap<(EntityId, Vec<u8>), Renewed>,
    /// Jobs owed.
    owed: BTreeMap<MessageId, Owed>,
    /// What ingresses may not have heard.
    unheard: Unheard,
    /// Images whose segments came through several nodes.
    sets: Sets,
    /// What is swept next.
    sweep: sweep::Pass,
    /// Messages in a row, per entity, that authenticated gateway clients brought and no session opened. An ingress offers
    /// such a message again and again, so messages are counted and not failures.
    failures: BTreeMap<EntityId, BTreeSet<MessageId>>,
    /// Bridge mails of this day.
    tally: allowance::Tally,
}

/// How the home's memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Owed(MessageId, EntityId),
    Sweep(sweep::Step),
    Set([u8; 16], Open),
    SetGone([u8; 16]),
    Settled(MessageId),
    Working(WorkId, MessageId),
    Worked(WorkId),
    Refreshing(WorkId, (EntityId, Vec<u8>)),
    Renewed((EntityId, Vec<u8>), Renewed),
    MacFailed(EntityId, MessageId),
    MacGood(EntityId),
    Mailed(allowance::Via, bool, Timestamp),
    Said(NodeId, MessageId, Word, Option<Timestamp>),
    Heard(NodeId, MessageId, Word),
    /// Letters with this did not arrive, then; nothing is said again until so late.
    Lost(NodeId, Vec<MessageId>, Timestamp, Timestamp),
    Kept(NodeId, MessageId, Word),
    Linked(NodeId),
    Other([u8; 16], NodeId, MessageId),
    OthersTold([u8; 16]),
}

/// How full everything is that others can fill.
pub(crate) fn gauges(node: &Node) -> Vec<Gauge> {
    let state = &node.home;
    let mut gauges = vec![
        Gauge { name: "entities_failing", value: state.failures.len(), cap: FAILURES_MAX },
        Gauge { name: "tokens_renewed", value: state.renewed.len(), cap: tokens::RENEWED_MAX },
    ];
    gauges.extend(unheard::gauges(&state.unheard));
    gauges
}

/// Entities whose MAC failures are counted at once; the rest are forgotten.
const FAILURES_MAX: usize = 10_000;

impl State {
    /// Whether this publication is owed.
    pub(crate) fn owes(&self, message: &MessageId) -> bool {
        self.owed.contains_key(message)
    }

    /// Publications owed.
    pub(crate) fn jobs(&self) -> usize {
        self.owed.len()
    }

    /// Whether this work is a job's.
    pub(crate) fn awaits(&self, id: WorkId) -> bool {
        self.working.contains_key(&id)
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Owed(message, entity) => {
                self.owed.insert(message, Owed { entity, restored: false });
            }
            Change::Set(place, open) => self.sets.add(place, open),
            Change::SetGone(place) => self.sets.remove(&place),
            Change::Sweep(step) => self.sweep.apply(step),
            Change::Settled(message) => {
                self.owed.remove(&message);
            }
            Change::Working(id, message) => {
                self.working.insert(id, message);
                self.busy.insert(message, id);
            }
            Change::Refreshing(id, token) => {
                self.refreshing.insert(id, token);
            }
            Change::Renewed(of, renewed) => tokens::remember(&mut self.renewed, of, renewed),
            Change::Worked(id) => {
                self.refreshing.remove(&id);
                if let Some(message) = self.working.remove(&id) {
                    self.busy.remove(&message);
                }
            }
            Change::Mailed(via, new, at) => self.tally.count(via, new, at),
            Change::MacFailed(entity, message) => {
                if self.failures.len() >= FAILURES_MAX {
                    self.failures.pop_first();
                }
                let failed = self.failures.entry(entity).or_default();
                if failed.len() < refusals::FAILURES_BEFORE_NOTICE {
                    failed.insert(message);
                }
            }
            Change::MacGood(entity) => {
                self.failures.remove(&entity);
            }
            Change::Said(to, message, word, at) => self.unheard.said(to, message, word, at),
            Change::Heard(by, message, word) => self.unheard.heard(&by, &message, word),
            Change::Lost(to, messages, now, rest) => self.unheard.lost(&to, &messages, now, rest),
            Change::Kept(to, message, word) => self.unheard.kept(&to, &message, word),
            Change::Linked(ingress) => self.unheard.linked(&ingress),
            Change::Other(block, ingress, message) => self.unheard.other(block, ingress, message),
            Change::OthersTold(block) => self.unheard.others_told(&block),
        }
    }
}

/// Jobs read at start are gone through at once: a part found in `sending` decides by its platform what is harmless.
pub(crate) fn start(node: &Node, tx: &mut Tx<'_>) -> Run {
    for message in node.home.owed.keys() {
        tx.wake(tx.now(), Timer::Job(*message));
    }
    receipts::start(node, tx);
    sweep::start(tx);
    Ok(())
}

/// Rows of one table.
type Rows = [(Key, Vec<u8>)];

/// Reads which jobs are owed, which ingresses may lack a receipt, and which images are incomplete.
pub(crate) fn restore(node: &mut Node, table: u8, rows: &Rows) {
    match table {
        key::RECEIPT => return receipts::restore(node, rows),
        key::HOME_SET => return images::restore(node, rows),
        _ => {}
    }
    for (row_key, row) in rows {
        if row_key.first() == Some(&key::JOB)
            && let Some(Ok(message)) = row_key.get(1..).map(MessageId::try_from)
            && let Some(entity) = job::owner(row)
        {
            node.home.owed.insert(message, Owed { entity, restored: true });
        }
    }
}
