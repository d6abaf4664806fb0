//! How filters travel: heads come with the gossip, the filters themselves in parts on request, and in bundles whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::frame::{FilterHead, FilterLayer, REQUEST_BYTES_MAX, Request, Response};
use relaymesh_protocol::ids::{NodeId, Tag, Timestamp};
use relaymesh_seal::tags::filter_key;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::filter::{Filter, bytes_max};
use super::{Asked, Change, ask, search};
use crate::batch::Key;
use crate::delivery;
use crate::input::LinkError;
use crate::membership;
use crate::node::Node;
use crate::record::{Scope, Stored, UNREADABLE, key, open_row, put_node};
use crate::tx::{Run, Tx};

/// Bytes of a filter in one answer: half of what a frame may hold, so that the rest of it always fits.
const PART_BYTES: usize = REQUEST_BYTES_MAX / 2;
/// Filters under way at once, all together.
const UNDER_WAY_MAX: usize = 16;
/// Filters under way from one peer: a slow one must not hold up all others.
const PER_PEER_MAX: usize = 4;
/// Filters that wait to be fetched: two of each node of the largest mesh.
const WANTED_MAX: usize = 10_000;
/// Versions are milliseconds since the epoch. Heads that claim a much later one of our own filters are lies: believed, they
/// would leave us no version to publish under.
const OWN_AHEAD_MAX: Duration = Duration::from_hours(24);
/// Bytes of all filters together; the oldest make room.
const BYTES_MAX: usize = 512 * 1024 * 1024;

/// A filter as stored. It is signed and tells nobody anything without the tags; it is sealed for when it came, which decides
/// who of this node's people a later filter must still name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    at: Timestamp,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Stored for Row {
    const SCOPE: Scope = Scope::Node;
}

/// A filter on its way here.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub head: FilterHead,
    pub got: Vec<u8>,
}

/// Later filters that others have.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<(NodeId, FilterLayer), (FilterHead, NodeId)>);

impl Wanted {
    pub fn add(&mut self, head: FilterHead, from: NodeId) {
        let place = (head.node, head.layer);
        let later = self.0.get(&place).is_none_or(|(old, _)| old.version < head.version);
        if later && (self.0.len() < WANTED_MAX || self.0.contains_key(&place)) {
            self.0.insert(place, (head, from));
        }
    }

    pub fn remove(&mut self, place: &(NodeId, FilterLayer)) {
        self.0.remove(place);
    }
}

/// Filters of which somebody is a member, or this node's own.
fn is_welcome(node: &Node, head: &FilterHead) -> bool {
    !node.config().without.filters
        && node.membership.is_member(&head.node)
        && head.bytes as usize <= bytes_max(head.layer)
        && head.version > node.locator.book.version(&head.node, head.layer)
}

/// What a peer has: later filters of members are fetched.
pub(crate) fn on_heads(node: &Node, tx: &mut Tx<'_>, from: NodeId, heads: &[FilterHead]) -> Run {
    let mut later = Vec::new();
    for head in heads {
        if head.node == node.id() {
            if head.version <= tx.now().after(OWN_AHEAD_MAX).0 {
                tx.change(Change::OwnSeen(head.version));
            }
        } else if is_welcome(node, head) {
            later.push(*head);
        }
    }
    if later.is_empty() {
        return Ok(());
    }
    let begun = begin(node, tx, later.iter().map(|head| (*head, from)), None);
    later.retain(|head| !begun.contains(head));
    tx.change(Change::Wanted(later, from));
    Ok(())
}

/// Filters under way: which, and from whom.
fn under_way(node: &Node) -> impl Iterator<Item = (&FilterHead, NodeId)> {
    node.locator.asked.values().filter_map(|(from, asked)| match asked {
        Asked::Filter(part) => Some((&part.head, *from)),
        _ => None,
    })
}

/// Asks for those of `heads` that are not under way, as far as there is room. `ended` is the fetch that this very run
/// brings to an end. Tells which it asked for.
fn begin(
    node: &Node,
    tx: &mut Tx<'_>,
    heads: impl Iterator<Item = (FilterHead, NodeId)>,
    ended: Option<&FilterHead>,
) -> BTreeSet<FilterHead> {
    let mut busy = BTreeSet::new();
    let mut per_peer: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (head, from) in under_way(node).filter(|(head, _)| Some(*head) != ended) {
        busy.insert((head.node, head.layer));
        *per_peer.entry(from).or_default() += 1;
    }
    let mut begun = BTreeSet::new();
    for (head, from) in heads {
        let count = per_peer.entry(from).or_default();
        if busy.len() >= UNDER_WAY_MAX {
            break;
        }
        if *count < PER_PEER_MAX && busy.insert((head.node, head.layer)) {
            *count += 1;
            begun.insert(head);
            request(node, tx, from, head, Vec::new());
        }
    }
    begun
}

fn request(node: &Node, tx: &mut Tx<'_>, from: NodeId, head: FilterHead, got: Vec<u8>) {
    let offset = u32::try_from(got.len()).unwrap_or(u32::MAX);
    ask::send(node, tx, from, Request::WantFilter { head, offset }, Asked::Filter(Part { head, got }));
}

/// Fetches what waited for room.
fn next(node: &Node, tx: &mut Tx<'_>, ended: &FilterHead) {
    let place = (ended.node, ended.layer);
    let waiting = node.locator.wanted.0.values().copied();
    let heads: Vec<(FilterHead, NodeId)> =
        waiting.filter(|(head, _)| (head.node, head.layer) != place && is_welcome(node, head)).collect();
    for head in begin(node, tx, heads.into_iter(), Some(ended)) {
        tx.change(Change::Unwanted(head.node, head.layer));
    }
}

/// Part of a filter, for a peer. A later version than asked for is told by its head and first part.
pub(super) fn part(node: &Node, head: &FilterHead, offset: u32) -> Response {
    let Some(kept) = node.locator.book.get(&head.node, head.layer) else { return Response::Refused };
    let current = kept.filter.head();
    let offset = if current == *head { offset } else { 0 };
    let bytes = kept.filter.encode();
    let start = offset as usize;
    let end = start.saturating_add(PART_BYTES).min(bytes.len());
    match bytes.get(start..end) {
        Some(part) if !part.is_empty() && current.version >= head.version => {
            Response::Filter { head: current, offset, bytes: part.to_vec() }
        }
        _ => Response::Refused,
    }
}

/// A part came, or none will.
pub(super) fn on_part(
    node: &Node,
    tx: &mut Tx<'_>,
    from: NodeId,
    part: &Part,
    response: &Result<Response, LinkError>,
) -> Run {
    let Ok(Response::Filter { head, offset, bytes }) = response else {
        next(node, tx, &part.head);
        return Ok(());
    };
    let continues = *head == part.head && *offset as usize == part.got.len();
    let begins = head.node == part.head.node && head.layer == part.head.layer && *offset == 0 && is_welcome(node, head);
    let mut got = if continues { part.got.clone() } else { Vec::new() };
    if bytes.is_empty() || !(continues || begins) || got.len() + bytes.len() > head.bytes as usize {
        node.count(tx, "filter_part_wrong");
        next(node, tx, &part.head);
        return Ok(());
    }
    got.extend_from_slice(bytes);
    if got.len() < head.bytes as usize {
        request(node, tx, from, *head, got);
        return Ok(());
    }
    if let Some(filter) = checked(node, tx, &got) {
        let head = filter.head();
        // A new base filter has nobody in it who was not found before, unless it is the first.
        let urgent =
            head.layer == FilterLayer::Recent || node.locator.book.get(&head.node, FilterLayer::Base).is_none();
        delivery::route_all(node, tx, |held| names(node, &filter, held.tag.as_ref()));
        accept(node, tx, filter)?;
        if urgent {
            membership::tell_filter(node, tx, head, Some(from));
        }
    }
    next(node, tx, &part.head);
    Ok(())
}

/// A filter that is sound, later than ours, of a member, and signed: a signature over megabytes is looked at last.
fn checked(node: &Node, tx: &mut Tx<'_>, bytes: &[u8]) -> Option<Filter> {
    let read = match Filter::decode(bytes) {
        Ok(filter) if !is_welcome(node, &filter.head()) => return None,
        Ok(filter) => filter.signed(node.crypto(), &node.membership.mesh(), bytes),
        Err(error) => Err(error),
    };
    read.map_err(|error| node.count(tx, error.counter())).ok()
}

/// Whether the filters that are known of a node may name it as the home of a message that waits. Numbers are looked up in
/// filters of own nodes and of partners only.
pub(crate) fn may_name(node: &Node, of: &NodeId, device: Option<&Tag>) -> bool {
    device.map_or_else(|| search::evaluates(node, of), |tag| node.locator.book.says(of, tag))
}

/// As [`may_name`], of a filter that has just come.
fn names(node: &Node, filter: &Filter, device: Option<&Tag>) -> bool {
    let of = &filter.node;
    device.map_or_else(|| search::evaluates(node, of), |tag| filter.contains(filter_key(tag, of)))
}

/// Stores a filter. Waiting messages are tried again by the caller, once for all that it takes in.
fn accept(node: &Node, tx: &mut Tx<'_>, filter: Filter) -> Run {
    for (of, layer) in node.locator.book.evict(filter.len(), BYTES_MAX, &node.id()) {
        tx.delete(key::filter(&of, layer))?;
        tx.then(Change::NoFilter(of, layer));
        node.count(tx, "filter_evicted");
    }
    store(node, tx, filter)?;
    node.count(tx, "filter_stored");
    Ok(())
}

/// Writes a filter; lookups find it once it is durable.
pub(super) fn store(node: &Node, tx: &mut Tx<'_>, filter: Filter) -> Run {
    let at = tx.now();
    let row = Row { at, bytes: filter.encode() };
    put_node(node, tx, key::filter(&filter.node, filter.layer), &row)?;
    tx.then(Change::Filter(Box::new(filter), at));
    Ok(())
}

/// One filter as it travels, for a bundle.
pub(crate) fn filter_bytes(node: &Node, of: &NodeId, layer: FilterLayer) -> Option<ByteBuf> {
    node.locator.book.get(of, layer).map(|kept| ByteBuf::from(kept.filter.encode()))
}

/// All filters' heads, in order of node and layer: for the gossip, and for bundles.
pub(crate) fn filter_heads(node: &Node) -> &[FilterHead] {
    node.locator.book.heads()
}

/// How many filters there are.
pub(crate) fn filter_count(node: &Node) -> usize {
    node.locator.book.len()
}

/// Changes of the filters so far.
pub(crate) fn filter_generation(node: &Node) -> u64 {
    node.locator.book.generation()
}

/// Takes in the filters of a bundle; tells how many were new.
pub(crate) fn import(node: &Node, tx: &mut Tx<'_>, filters: &[ByteBuf]) -> Run<u64> {
    let mut newest: BTreeMap<(NodeId, FilterLayer), Filter> = BTreeMap::new();
    for bytes in filters {
        let Some(filter) = checked(node, tx, bytes) else { continue };
        let place = (filter.node, filter.layer);
        if newest.get(&place).is_none_or(|old| old.version < filter.version) {
            newest.insert(place, filter);
        }
    }
    let count = newest.len() as u64;
    delivery::route_all(node, tx, |held| newest.values().any(|filter| names(node, filter, held.tag.as_ref())));
    for filter in newest.into_values() {
        accept(node, tx, filter)?;
    }
    Ok(count)
}

/// Reads a stored filter. It was verified before it was written, and is again: with a flipped bit it would hide people.
pub(super) fn restore(node: &mut Node, row_key: &Key, row: &[u8]) {
    let mesh = node.membership.mesh();
    let sound = open_row::<Row>(node, row_key, row).and_then(|Row { at, bytes }| {
        let filter = Filter::verify(node.crypto(), &mesh, &bytes).ok()?;
        (key::filter(&filter.node, filter.layer) == *row_key).then_some((filter, at))
    });
    match sound {
        Some((filter, at)) => {
            if filter.node == node.id() && filter.layer == FilterLayer::Base {
                node.locator.own.mesh = Some(mesh);
            }
            node.locator.book.put(filter, at);
        }
        None => node.bump(UNREADABLE),
    }
}
