//! Finding the home: set filters of all vault nodes, looked up locally; oblivious questions about numbers; bounded
//! questions about device IDs that no filter knows.
//!
//! **Invariant:** nobody learns whom this node looks up. A device tag stays here, or goes keyed for one node to that node;
//! a number leaves only blinded.

mod ask;
mod audit;
mod book;
mod cache;
mod evaluate;
mod fetch;
mod filter;
mod holds;
mod letters;
mod locate;
mod oblivious;
mod own;
mod ration;
mod search;
mod shares;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use rand_core::Rng;
use relaymesh_protocol::frame::{FilterHead, FilterLayer};
use relaymesh_protocol::ids::{EntityId, MeshId, MessageId, NodeId, Tag, Timestamp};
use relaymesh_seal::oblivious::Purpose;
use serde::{Deserialize, Serialize};

pub(crate) use ask::on_answer;
pub(crate) use evaluate::on_request;
pub(crate) use fetch::{filter_bytes, filter_count, filter_generation, filter_heads, import, may_name, on_heads};
pub(crate) use letters::{on_answer_letter, on_question, questions};
pub use locate::{Candidate, Lookup};
pub(crate) use locate::{by_device, is_tag_of, locate, own_tag};
pub use own::Routing;
pub(crate) use own::{add_entity, remove_entity};
pub(crate) use search::proven;

use crate::batch::Key;
use crate::limit::Bucket;
use crate::node::Node;
use crate::record::index::Kind;
use crate::record::{self, key};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

use ask::{Batch, Item};
use audit::Audits;
use book::Book;
use cache::{Cache, Place};
use fetch::{Part, Wanted as WantedFilters};
use filter::Filter;
use holds::Hunts;
use letters::{Letter, Letters};
use own::{Mine, Own};
use ration::{DayTotals, Grant, Rations};
use search::{FLUSH, Searches, Touch, Wanted};
use shares::{Class, Shares};

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [record::Reader; 7] = [
    record::Reader::of::<ration::DayTotals>(),
    record::Reader::of::<cache::Row>(),
    record::Reader::of::<letters::Letter>(),
    record::Reader::of::<audit::Audit>(),
    record::Reader::of::<own::Row>(),
    record::Reader::of::<own::BridgeNumber>(),
    record::Reader::of::<fetch::Row>(),
];

/// How often the recent filter is built, if somebody is new.
const RECENT_EVERY: Duration = Duration::from_secs(60);
/// How often memory is swept, if something is in it.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// How often the node looks whether there is something to do, if nothing is known of.
const LOOK_EVERY: Duration = Duration::from_secs(6 * 3_600);
/// How often spare ration is spent on audits while there is somebody whose filter was not judged yet, and how often
/// when all were, or on a metered line.
const AUDIT_EVERY: Duration = Duration::from_secs(600);
const AUDIT_SELDOM: Duration = Duration::from_hours(6);

/// As what a number is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum NumberKind {
    /// An account's.
    Phone,
    /// A bridge identity's.
    Bridge,
}

impl NumberKind {
    fn purpose(self) -> Purpose {
        match self {
            Self::Phone => Purpose::Phone,
            Self::Bridge => Purpose::Bridge,
        }
    }

    /// What its tags are indexed as.
    pub(crate) fn index(self) -> Kind {
        match self {
            Self::Phone => Kind::NumberTag,
            Self::Bridge => Kind::BridgeTag,
        }
    }
}

/// A question to a connected node, under way.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Filter(Part),
    Numbers(Batch),
    Holders(Vec<Tag>),
}

/// What the locator remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    book: Book,
    own: Own,
    cache: Cache,
    wanted: WantedFilters,
    asked: BTreeMap<u64, (NodeId, Asked)>,
    searches: Searches,
    letters: Letters,
    hunts: Hunts,
    rations: Rations,
    shares: Shares,
    audits: Audits,
    /// Nodes that are not asked about numbers until then.
    quiet: BTreeMap<NodeId, Timestamp>,
    /// How often a node's filter knew a number.
    hits: BTreeMap<NodeId, u32>,
}

/// How the locator's memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Filter(Box<Filter>, Timestamp),
    NoFilter(NodeId, FilterLayer),
    Built(FilterLayer, Vec<u64>, u64),
    BuiltFor(MeshId),
    OwnSeen(u64),
    Own(EntityId, Vec<Mine>),
    OwnOutlived,
    Wanted(Vec<FilterHead>, NodeId),
    Unwanted(NodeId, FilterLayer),
    Asked(u64, NodeId, Asked),
    Answered(u64),
    Cached(Place, Tag, Timestamp),
    Uncached(Place),
    Touch(Touch),
    LookedAt(Wanted),
    FlushAt(Option<Timestamp>),
    Proven([u8; 16], Timestamp),
    Spent(NodeId, Class, Option<[u8; 16]>, Timestamp),
    Quiet(NodeId, Timestamp),
    Hit(NodeId),
    Sampled(NodeId, bool),
    Letter(u64, Box<Letter>),
    NoLetter(u64),
    Hunt(Tag, MessageId, Timestamp),
    Hunted(Tag),
    Holder(Tag, NodeId),
    HoldsLimit(NodeId, Bucket),
    Granted(Grant),
    Rations(DayTotals, Timestamp),
    Swept(Timestamp),
    Daily,
}

impl State {
    fn is_quiet(&self, node: &NodeId, now: Timestamp) -> bool {
        self.quiet.get(node).is_some_and(|until| now < *until)
    }

    /// People of this node.
    pub(crate) fn entities(&self) -> usize {
        self.own.len()
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Filter(filter, at) => {
                self.wanted.remove(&(filter.node, filter.layer));
                self.book.put(*filter, at);
            }
            Change::NoFilter(node, layer) => self.book.remove(&node, layer),
            Change::Built(layer, keys, changes) => self.own.built(layer, &keys, changes),
            Change::BuiltFor(mesh) => self.own.mesh = Some(mesh),
            Change::OwnSeen(version) => self.own.saw(version),
            Change::Own(entity, tags) => self.own.set(entity, tags),
            Change::OwnOutlived => self.own.outlived(),
            Change::Wanted(heads, from) => heads.into_iter().for_each(|head| self.wanted.add(head, from)),
            Change::Unwanted(node, layer) => self.wanted.remove(&(node, layer)),
            Change::Asked(token, to, asked) => self.ask(token, to, asked),
            Change::Answered(token) => self.answered(token),
            Change::Cached(place, tag, at) => self.cache.put(place, tag, at),
            Change::Uncached(place) => self.cache.remove(&place),
            Change::Touch(touch) => self.searches.touch(touch),
            Change::LookedAt(wanted) => self.searches.looked_at(&wanted),
            Change::FlushAt(at) => self.searches.flush_at(at),
            Change::Proven(name, at) => self.searches.proven(name, at),
            Change::Spent(node, class, client, at) => self.shares.spend(node, class, client, at),
            Change::Quiet(node, until) => {
                self.quiet.insert(node, until);
            }
            Change::Hit(node) => *self.hits.entry(node).or_default() += 1,
            Change::Sampled(node, hit) => self.audits.sample(node, hit),
            Change::Letter(id, letter) => self.letters.put(id, *letter),
            Change::NoLetter(id) => self.letters.remove(id),
            Change::Hunt(tag, message, at) => self.hunts.want(tag, message, at),
            Change::Hunted(tag) => self.hunts.looked_at(&tag),
            Change::Holder(tag, node) => self.hunts.found(&tag, node),
            Change::HoldsLimit(node, bucket) => self.hunts.limit(node, bucket),
            Change::Granted(grant) => self.rations.apply(grant),
            Change::Rations(totals, now) => self.rations.restore(&totals, now),
            Change::Swept(now) => self.sweep(now),
            Change::Daily => {
                self.hunts.daily();
                self.wanted = WantedFilters::default();
                self.hits.values_mut().for_each(|hits| *hits /= 2);
            }
        }
    }

    fn ask(&mut self, token: u64, to: NodeId, asked: Asked) {
        match &asked {
            Asked::Filter(_) => {}
            Asked::Numbers(batch) => batch.items.iter().flatten().for_each(|wanted| self.searches.opened(wanted, to)),
            Asked::Holders(tags) => tags.iter().for_each(|tag| self.hunts.opened(tag, to)),
        }
        self.asked.insert(token, (to, asked));
    }

    fn answered(&mut self, token: u64) {
        match self.asked.remove(&token) {
            Some((to, Asked::Numbers(batch))) => {
                batch.items.iter().flatten().for_each(|wanted| self.searches.closed(wanted, &to));
            }
            Some((_, Asked::Holders(tags))) => tags.iter().for_each(|tag| self.hunts.closed(tag)),
            Some((_, Asked::Filter(_))) | None => {}
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        self.searches.sweep(now);
        self.quiet.retain(|_, until| *until > now);
    }
}

/// Begins, when the records are read.
pub(crate) fn start(node: &Node, tx: &mut Tx<'_>) -> Run {
    evaluate::start(node, tx)?;
    letters::start(node, tx)?;
    tx.wake(tx.now(), Timer::FilterRecent);
    Ok(())
}

/// Between half and the whole of the interval, so that nodes do not ask together.
fn audit_pause(node: &Node, tx: &mut Tx<'_>, judged: bool) -> Duration {
    let every = if judged || node.config().metered { AUDIT_SELDOM } else { AUDIT_EVERY };
    every / 2 + Duration::from_millis(tx.rng().next_u64() % (every.as_millis() as u64 / 2))
}

/// Reads one table at start.
pub(crate) fn restore(node: &mut Node, table: u8, rows: &[(Key, Vec<u8>)], _now: Timestamp) {
    for (row_key, row) in rows {
        match table {
            key::FILTER => fetch::restore(node, row_key, row),
            key::TAG => own::restore(node, row_key, row),
            key::AUDIT => audit::restore(node, row_key, row),
            _ => cache::restore(node, row_key, row),
        }
    }
}

/// Has the filters from a killed node's memory instead of from the disk.
pub(crate) fn inherit(node: &mut Node, killed: State) {
    node.locator.book = killed.book;
    if node.locator.book.get(&node.id(), FilterLayer::Base).is_some() {
        node.locator.own.mesh = Some(node.membership.mesh());
    }
}

/// A timer of this conversation.
pub(crate) fn on_timer(node: &Node, tx: &mut Tx<'_>, timer: &Timer) -> Run {
    match timer {
        Timer::FilterRecent => every_minute(node, tx),
        Timer::FilterSoon => own::publish(node, tx),
        Timer::Audit => audit(node, tx),
        Timer::Question(FLUSH) => {
            holds::flush(node, tx);
            search::flush(node, tx)
        }
        Timer::Question(token) => ask::on_timeout(node, tx, *token),
        _ => Ok(()),
    }
}

fn every_minute(node: &Node, tx: &mut Tx<'_>) -> Run {
    let now = tx.now();
    let renewed = own::renew(node, tx)?;
    own::publish(node, tx)?;
    let swept = cache::sweep(node, tx)?;
    letters::sweep(node, tx)?;
    tx.change(Change::Swept(now));
    let State { searches, quiet, .. } = &node.locator;
    let settled = renewed + swept == 0 && own::is_published(node);
    let pause = match (settled, searches.is_empty() && quiet.is_empty()) {
        (true, true) => LOOK_EVERY,
        (true, false) => SWEEP_EVERY,
        (false, _) => RECENT_EVERY,
    };
    tx.wake(now.after(pause), Timer::FilterRecent);
    Ok(())
}

/// Something is to be published: the minute's work goes on.
pub(crate) fn look_soon(tx: &mut Tx<'_>) {
    let at = tx.now().after(RECENT_EVERY);
    tx.wake_by(at, Timer::FilterRecent);
}

/// Something is in memory that must be swept, but not soon.
fn sweep_later(tx: &mut Tx<'_>) {
    let at = tx.now().after(SWEEP_EVERY);
    tx.wake_by(at, Timer::FilterRecent);
}

/// A link came up: somebody may be there to be audited.
pub(crate) fn on_connected(node: &Node, tx: &mut Tx<'_>, peer: NodeId) {
    if !node.config().without.filters && search::evaluates(node, &peer) {
        let judged = node.locator.audits.has_judged(&peer);
        let pause = audit_pause(node, tx, judged);
        tx.wake_by(tx.now().after(pause), Timer::Audit);
    }
}

/// Somebody became a partner, maybe over a link that is up already.
pub(crate) fn on_partner(node: &Node, tx: &mut Tx<'_>) {
    let judged = |peer: &NodeId| node.locator.audits.has_judged(peer);
    let least = search::connected_evaluators(node).map(|(member, _)| member.id).min_by_key(judged);
    if let Some(peer) = least {
        on_connected(node, tx, peer);
    }
}

/// Spends spare ration on the partner that was audited least.
fn audit(node: &Node, tx: &mut Tx<'_>) -> Run {
    let now = tx.now();
    let connected: Vec<_> = search::connected_evaluators(node).collect();
    if connected.is_empty() {
        // The next link to one sets the timer again.
        return Ok(());
    }
    let judged = connected.iter().all(|(member, _)| node.locator.audits.has_judged(&member.id));
    let pause = audit_pause(node, tx, judged);
    tx.wake(now.after(pause), Timer::Audit);
    let spare = connected.into_iter().filter(|(member, relation)| {
        let per_day = search::per_day(*relation);
        !node.locator.is_quiet(&member.id, now) && node.locator.shares.allows(&member.id, Class::Audit, per_day, 0, now)
    });
    let least = spare.min_by_key(|(member, _)| (node.locator.audits.samples(&member.id), member.id));
    let Some((member, _)) = least else { return Ok(()) };
    let item = Item { wanted: None, class: Class::Audit, client: None };
    ask::numbers(node, tx, member.id, NumberKind::Phone, &[item]);
    Ok(())
}

/// Once a day: the base filter if somebody came or went, and filters of nodes that are no members any more.
pub(crate) fn daily(node: &Node, tx: &mut Tx<'_>) -> Run {
    own::publish_base(node, tx)?;
    let strangers = node.locator.book.iter().map(|filter| (filter.node, filter.layer));
    for (of, layer) in strangers.filter(|(of, _)| *of != node.id() && !node.membership.is_member(of)) {
        tx.delete(key::filter(&of, layer))?;
        tx.then(Change::NoFilter(of, layer));
    }
    tx.change(Change::Daily);
    Ok(())
}

/// Whether bytes are one sound filter, its signature aside.
pub(crate) fn read_filter(bytes: &[u8]) -> bool {
    filter::Filter::decode(bytes).is_ok()
}
