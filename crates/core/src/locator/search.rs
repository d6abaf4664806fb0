//! Numbers that messages wait for: which nodes are asked about them next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::ids::{E164, MessageId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::ask::{BATCH_MAX, Item};
use super::shares::{Class, OWN_PER_DAY};
use super::{Change, NumberKind, ask, cache, ration, sweep_later};
use crate::delivery::Outbox;
use crate::membership::{Member, Relation};
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Nodes that are asked about one number at a time.
const AT_A_TIME: usize = 16;
/// Questions under way, all together.
const OPEN_MAX: usize = 10_000;
/// Numbers that messages wait for; the oldest make room.
const SEARCHES_MAX: usize = 10_000;
/// Messages that wait for one number and are woken by an answer; the others come with their own attempts.
const MESSAGES_MAX: usize = 64;
/// A search that no message has asked for so long is over: the longest pause between attempts is shorter.
const IDLE: Duration = Duration::from_hours(6 * 24);
/// Where a candidate is known, others are asked only when it has not proven itself after this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Searches that one flush looks at.
const PER_FLUSH: usize = 256;
/// Numbers that come within this time are asked about together.
pub(super) const GATHER: Duration = Duration::from_millis(20);
/// A flush that is so late was lost.
const FLUSH_LOST: Duration = Duration::from_secs(5);
/// The timer value of the flush; no token is zero.
pub(super) const FLUSH: u64 = 0;
/// Kind byte of the keyed hash that names a number or a gateway client in memory.
const KIND_NAME: u8 = 0xA0;
/// Numbers with a proven acceptance that are remembered.
const PROVEN_MAX: usize = 100_000;

/// A number, as an account's or as a bridge identity's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub kind: NumberKind,
    pub number: E164,
}

/// A number that messages wait for.
#[derive(Clone, Debug)]
struct Search {
    class: Class,
    client: Option<[u8; 16]>,
    since: Timestamp,
    touched: Timestamp,
    messages: BTreeSet<MessageId>,
}

/// Somebody waits for a number.
#[derive(Clone, Debug)]
pub(crate) struct Touch {
    pub wanted: Wanted,
    pub class: Class,
    pub client: Option<[u8; 16]>,
    pub message: MessageId,
    pub at: Timestamp,
    pub due: bool,
}

/// All searches.
#[derive(Debug, Default)]
pub(super) struct Searches {
    by: BTreeMap<Wanted, Search>,
    due: BTreeSet<Wanted>,
    /// Nodes that are being asked right now.
    open: BTreeMap<Wanted, BTreeSet<NodeId>>,
    open_count: usize,
    flush_at: Option<Timestamp>,
    proven: BTreeMap<[u8; 16], Timestamp>,
}

impl Searches {
    pub fn touch(&mut self, touch: Touch) {
        if !self.by.contains_key(&touch.wanted) && self.by.len() >= SEARCHES_MAX {
            let oldest = self.by.iter().min_by_key(|(_, search)| search.touched).map(|(wanted, _)| wanted.clone());
            oldest.into_iter().for_each(|oldest| self.forget(&oldest));
        }
        let Touch { wanted, class, client, message, at, due } = touch;
        let fresh = || Search { class, client, since: at, touched: at, messages: BTreeSet::new() };
        let search = self.by.entry(wanted.clone()).or_insert_with(fresh);
        search.class = search.class.min(class);
        search.touched = at;
        if search.messages.len() < MESSAGES_MAX {
            search.messages.insert(message);
        }
        if due {
            self.due.insert(wanted);
        }
    }

    fn forget(&mut self, wanted: &Wanted) {
        self.by.remove(wanted);
        self.due.remove(wanted);
    }

    /// Forgets searches that nobody waits for any more.
    pub fn sweep(&mut self, now: Timestamp) {
        let idle: Vec<Wanted> =
            self.by.iter().filter(|(_, s)| now.since(s.touched) >= IDLE).map(|(wanted, _)| wanted.clone()).collect();
        idle.iter().for_each(|wanted| self.forget(wanted));
    }

    pub fn opened(&mut self, wanted: &Wanted, node: NodeId) {
        self.open_count += usize::from(self.open.entry(wanted.clone()).or_default().insert(node));
    }

    /// An answer came, or none will; the next nodes may be asked.
    pub fn closed(&mut self, wanted: &Wanted, node: &NodeId) {
        let Some(open) = self.open.get_mut(wanted) else { return };
        self.open_count = self.open_count.saturating_sub(usize::from(open.remove(node)));
        if open.is_empty() {
            self.open.remove(wanted);
        }
        if self.by.contains_key(wanted) {
            self.due.insert(wanted.clone());
        }
    }

    pub fn looked_at(&mut self, wanted: &Wanted) {
        self.due.remove(wanted);
    }

    pub fn flush_at(&mut self, at: Option<Timestamp>) {
        self.flush_at = at;
    }

    pub fn proven(&mut self, name: [u8; 16], at: Timestamp) {
        if self.proven.len() >= PROVEN_MAX
            && !self.proven.contains_key(&name)
            && let Some(oldest) = self.proven.iter().min_by_key(|(_, at)| **at).map(|(name, _)| *name)
        {
            self.proven.remove(&oldest);
        }
        self.proven.insert(name, at);
    }

    /// Messages that wait for a number.
    pub fn messages(&self, wanted: &Wanted) -> impl Iterator<Item = &MessageId> {
        self.by.get(wanted).into_iter().flat_map(|search| &search.messages)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }

    /// All numbers that messages wait for.
    pub fn all(&self) -> impl Iterator<Item = &Wanted> {
        self.by.keys()
    }
}

fn name(node: &Node, value: &str) -> [u8; 16] {
    node.crypto().index(node.keys(), KIND_NAME, value.as_bytes())
}

/// An acceptance for this number has proven itself: it goes first from now on.
pub(crate) fn proven(node: &Node, tx: &mut Tx<'_>, number: &E164) {
    let at = tx.now();
    tx.then(Change::Proven(name(node, number.reveal()), at));
}

/// A message waits for a number; `found` tells whether a candidate is known already.
pub(super) fn want(node: &Node, tx: &mut Tx<'_>, message: MessageId, outbox: &Outbox, wanted: Wanted, found: bool) {
    let at = tx.now();
    let known = node.locator.searches.by.get(&wanted);
    let due = !found || known.is_some_and(|search| at.since(search.since) >= PATIENCE);
    let number = name(node, wanted.number.reveal());
    let class = match outbox.trusted {
        _ if node.locator.searches.proven.contains_key(&number) => Class::Proven,
        true => Class::Trusted,
        false => Class::Open,
    };
    let client = outbox.gateway.as_ref().map(|gateway| name(node, gateway.reveal()));
    tx.then(Change::Touch(Touch { wanted, class, client, message, at, due }));
    sweep_later(tx);
    if due {
        flush_soon(node, tx);
    }
}

/// Sets the flush, unless it is set.
pub(super) fn flush_soon(node: &Node, tx: &mut Tx<'_>) {
    let now = tx.now();
    if node.locator.searches.flush_at.is_none_or(|at| now.since(at) > FLUSH_LOST) {
        let at = now.after(GATHER);
        tx.then(Change::FlushAt(Some(at)));
        tx.wake(at, Timer::Question(FLUSH));
    }
}

/// Nodes that may be asked about a number, in order: own, of the number's country, past success, the rest.
pub(super) fn askable<'a>(node: &'a Node, wanted: &Wanted) -> Vec<(&'a Member, Relation)> {
    let country = wanted.number.country();
    let mut nodes: Vec<(&Member, Relation)> = evaluators_of(node, wanted.kind).collect();
    nodes.sort_by_key(|(member, relation)| {
        let abroad = country.is_none() || member.country != country;
        let hits = node.locator.hits.get(&member.id).copied().unwrap_or_default();
        (*relation != Relation::Own, abroad, std::cmp::Reverse(hits), member.id)
    });
    nodes
}

/// Those of them that are not distrusted, in no order that matters.
pub(super) fn evaluators_of(node: &Node, kind: NumberKind) -> impl Iterator<Item = (&Member, Relation)> {
    let able = move |member: &Member| match kind {
        NumberKind::Phone => member.roles.vault,
        NumberKind::Bridge => member.roles.bridge,
    };
    let all = evaluators(node).filter(move |(member, _)| able(member));
    all.filter(|(member, _)| !node.locator.audits.distrusts(&member.id))
}

/// Members of the own instance and of partners that evaluate.
pub(super) fn evaluators(node: &Node) -> impl Iterator<Item = (&Member, Relation)> {
    let near = node.membership.near().iter().filter_map(|id| node.membership.node(id));
    near.filter_map(|member| as_evaluator(node, member))
}

/// Those of them that are connected.
pub(super) fn connected_evaluators(node: &Node) -> impl Iterator<Item = (&Member, Relation)> {
    let connected = node.membership.connected().iter().filter_map(|id| node.membership.node(id));
    connected.filter_map(|member| as_evaluator(node, member))
}

/// Whether a node is one of them.
pub(super) fn evaluates(node: &Node, id: &NodeId) -> bool {
    node.membership.node(id).and_then(|member| as_evaluator(node, member)).is_some()
}

fn as_evaluator<'a>(node: &Node, member: &'a Member) -> Option<(&'a Member, Relation)> {
    if member.oblivious.is_empty() || !(member.roles.vault || member.roles.bridge) {
        return None;
    }
    let relation = node.membership.relation_of(member.instance);
    matches!(relation, Relation::Own | Relation::Partner).then_some((member, relation))
}

/// What a node of this relation gives us in a day.
pub(super) fn per_day(relation: Relation) -> u32 {
    if relation == Relation::Own { OWN_PER_DAY } else { ration::PER_DAY }
}

/// Asks about the numbers that are due, the most deserving first, all of one node's in as few questions as possible.
pub(super) fn flush(node: &Node, tx: &mut Tx<'_>) -> Run {
    let searches = &node.locator.searches;
    let mut due: Vec<(&Wanted, &Search)> = searches.due.iter().filter_map(|w| searches.by.get_key_value(w)).collect();
    due.sort_by_key(|(_, search)| {
        let used = search.client.map_or(0, |client| node.locator.shares.used(&client));
        (search.class, used, search.since)
    });
    let more = due.len() > PER_FLUSH;
    let mut groups: BTreeMap<(NodeId, NumberKind), Vec<Item>> = BTreeMap::new();
    let mut planned = searches.open_count;
    for (wanted, search) in due.into_iter().take(PER_FLUSH) {
        tx.change(Change::LookedAt(wanted.clone()));
        for member in pick(node, tx.now(), wanted, search, &groups) {
            if planned >= OPEN_MAX {
                node.count(tx, "questions_full");
                break;
            }
            planned += 1;
            let item = Item { wanted: Some(wanted.clone()), class: search.class, client: search.client };
            groups.entry((member, wanted.kind)).or_default().push(item);
        }
    }
    for ((to, kind), items) in groups {
        for batch in items.chunks(BATCH_MAX) {
            node.count(tx, "numbers_asked");
            ask::numbers(node, tx, to, kind, batch);
        }
    }
    tx.change(Change::FlushAt(None));
    if more {
        let at = tx.now().after(GATHER);
        tx.change(Change::FlushAt(Some(at)));
        tx.wake(at, Timer::Question(FLUSH));
    }
    Ok(())
}

/// The nodes to ask about one number now.
fn pick(
    node: &Node,
    now: Timestamp,
    wanted: &Wanted,
    search: &Search,
    groups: &BTreeMap<(NodeId, NumberKind), Vec<Item>>,
) -> Vec<NodeId> {
    let open = node.locator.searches.open.get(wanted);
    let mut room = AT_A_TIME.saturating_sub(open.map_or(0, BTreeSet::len));
    let mut picked = Vec::new();
    for (member, relation) in askable(node, wanted) {
        if room == 0 {
            break;
        }
        let asked =
            open.is_some_and(|open| open.contains(&member.id)) || node.locator.letters.waits(&member.id, wanted, now);
        let planned = groups.get(&(member.id, wanted.kind)).map_or(0, Vec::len);
        let planned = u32::try_from(planned).unwrap_or(u32::MAX);
        if asked
            || node.locator.is_quiet(&member.id, now)
            || cache::find(node, wanted.kind, &wanted.number, member, now).is_some()
            || !node.locator.shares.allows(&member.id, search.class, per_day(relation), planned, now)
        {
            continue;
        }
        room -= 1;
        picked.push(member.id);
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(n: u32) -> Wanted {
        Wanted { kind: NumberKind::Phone, number: format!("+2376{n:08}").parse().unwrap() }
    }

    fn touch(n: u32, at: u64, class: Class) -> Touch {
        let message = MessageId([1; 32]);
        Touch { wanted: wanted(n), class, client: None, message, at: Timestamp(at), due: true }
    }

    #[test]
    fn the_number_least_lately_wanted_makes_room() {
        let mut searches = Searches::default();
        for n in 0..SEARCHES_MAX as u32 + 5 {
            searches.touch(touch(n, u64::from(n), Class::Open));
        }
        assert_eq!((searches.by.len(), searches.due.len()), (SEARCHES_MAX, SEARCHES_MAX));
        assert!(!searches.by.contains_key(&wanted(4)) && searches.by.contains_key(&wanted(5)));
    }

    #[test]
    fn a_search_keeps_its_best_class_and_ends_when_idle() {
        let mut searches = Searches::default();
        searches.touch(touch(1, 1_000, Class::Open));
        searches.touch(touch(1, 2_000, Class::Proven));
        searches.touch(touch(1, 3_000, Class::Trusted));
        assert_eq!(searches.by[&wanted(1)].class, Class::Proven);
        assert_eq!(searches.messages(&wanted(1)).count(), 1);
        searches.sweep(Timestamp(3_000).after(IDLE).before(Duration::from_millis(1)));
        assert_eq!(searches.by.len(), 1);
        searches.sweep(Timestamp(3_000).after(IDLE));
        assert_eq!((searches.by.len(), searches.due.len()), (0, 0));
    }

    #[test]
    fn open_questions_are_counted_once() {
        let mut searches = Searches::default();
        searches.touch(touch(1, 1, Class::Open));
        searches.looked_at(&wanted(1));
        searches.opened(&wanted(1), NodeId([1; 32]));
        searches.opened(&wanted(1), NodeId([1; 32]));
        searches.opened(&wanted(1), NodeId([2; 32]));
        assert_eq!(searches.open_count, 2);
        searches.closed(&wanted(1), &NodeId([1; 32]));
        searches.closed(&wanted(1), &NodeId([1; 32]));
        assert_eq!(searches.open_count, 1);
        assert!(searches.due.contains(&wanted(1)), "the next nodes may be asked");
    }
}
