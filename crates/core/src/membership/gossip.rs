//! Anti-entropy: two members compare digests, then heads, then hand each other what the other lacks.
//!
//! Own news are pushed to connected members at once; news of others spread by comparing, so that a flood of facts costs each
//! link once.

use std::time::Duration;

use relaymesh_protocol::frame::{FactHead, FilterHead, Request, Response};
use relaymesh_protocol::ids::{NodeId, Timestamp};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use super::fact::{Held, Subject};
use super::{Change, TOKEN_BIT, join, take};
use crate::input::{Input, LinkError, ReplyTo};
use crate::keys;
use crate::limit::Bucket;
use crate::locator;
use crate::node::Node;
use crate::output::Output;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Between two rounds of comparing.
const EVERY: Duration = Duration::from_secs(60);
/// The same, where bytes are dear.
const EVERY_METERED: Duration = Duration::from_secs(600);
/// Peers asked in a round.
const PEERS: usize = 4;
/// The same, where bytes are dear.
const PEERS_METERED: usize = 2;
/// The longest that a join or a heartbeat waits to look at the clock again.
const JOIN_TICK: Duration = Duration::from_secs(5);
/// Facts in one frame.
pub(super) const FACTS_PER_FRAME: usize = 64;
/// Bytes of facts in one frame.
const FACTS_BYTES_MAX: usize = 256 * 1024;
/// Heads that a peer may claim: all facts of the largest mesh, twice.
const HEADS_MAX: usize = 40_000;
/// Frames of one comparison in each direction, so that a hostile peer cannot keep it going for ever.
const FRAMES_MAX: usize = HEADS_MAX / FACTS_PER_FRAME;
/// Connected members that get own news at once.
pub(super) const PUSH_PEERS_MAX: usize = 64;
/// Questions under way; the oldest is forgotten first.
pub(super) const ASKS_MAX: usize = 512;
/// Requests that a peer may make at once: two whole comparisons of a grown mesh in a row.
pub(super) const PEER_BURST: u32 = 400;
/// And each second from then on.
pub(super) const PEER_PER_SECOND: u32 = 5;
/// Attempts to join, by all strangers together.
const JOIN_BURST: u32 = 20;
/// How long a peer over its limit is asked to wait, in milliseconds.
const RETRY_AFTER_MS: u32 = 5_000;

/// All strangers' attempts to join: each costs signature checks.
pub(super) fn join_bucket() -> Bucket {
    Bucket::new(JOIN_BURST, 1)
}

/// A question to a peer.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub peer: NodeId,
    pub at: Timestamp,
    pub what: What,
}

/// What was asked, and what comes after the answer.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Digest,
    Heads,
    /// Facts; then these.
    Want {
        rest: Vec<FactHead>,
        frames: usize,
    },
    /// Facts were handed over; then these.
    Push {
        rest: Vec<Subject>,
    },
    Join,
}

/// Asks a peer, and remembers what for.
pub(super) fn ask(tx: &mut Tx<'_>, peer: NodeId, what: What, request: Request) {
    let token = u64::from_be_bytes(tx.random()) | TOKEN_BIT;
    let at = tx.now();
    tx.change(Change::Asked(token, Ask { peer, at, what }));
    tx.output(Output::Ask { to: peer, token, request });
}

/// Compares with a peer, unless that is under way.
pub(super) fn compare(node: &Node, tx: &mut Tx<'_>, peer: NodeId) {
    if node.membership.asks.values().any(|ask| ask.peer == peer && !matches!(ask.what, What::Push { .. })) {
        return;
    }
    let request = Request::Digest { mesh: node.membership.mesh(), digest: digest(node) };
    ask(tx, peer, What::Digest, request);
}

/// Who asks has news or lacks some: look at what it has at once instead of at the next heartbeat. Asking for heads makes
/// nobody look back in turn, so two nodes that refuse each other's filters for ever do not keep each other busy.
fn look_back(node: &Node, tx: &mut Tx<'_>, peer: NodeId) {
    let heads = |ask: &Ask| ask.peer == peer && matches!(ask.what, What::Heads | What::Want { .. });
    if !node.membership.asks.values().any(heads) {
        ask(tx, peer, What::Heads, Request::Heads { mesh: node.membership.mesh() });
    }
}

/// Hash over the heads of all facts and all filters.
fn digest(node: &Node) -> [u8; 32] {
    let mut filters = locator::filter_heads(node);
    filters.sort();
    let mut hash = Sha256::new();
    hash.update(node.membership.facts.digest());
    for FilterHead { node, layer, version, bytes } in filters {
        hash.update(node.0);
        hash.update([layer as u8]);
        hash.update(version.to_be_bytes());
        hash.update(bytes.to_be_bytes());
    }
    hash.finalize().into()
}

/// A round of comparing with a few random peers, and a look at what is due. Writes nothing itself, so that a store that
/// fails cannot stop the heart.
pub(super) fn on_heartbeat(node: &Node, tx: &mut Tx<'_>) -> Run {
    let state = &node.membership;
    let metered = node.config().metered;
    let (every, count) = if metered { (EVERY_METERED, PEERS_METERED) } else { (EVERY, PEERS) };
    let waits = join::on_heartbeat(node, tx);
    if state.renew_at <= tx.now() {
        super::see_to_records(tx);
    }
    if keys::is_overdue(node, tx.now()) {
        tx.output(Output::Follow(Input::Timer(Timer::Daily)));
    }
    if !waits {
        for peer in some_peers(node, tx, count) {
            compare(node, tx, peer);
        }
    }
    tx.wake(tx.now().after(if waits { JOIN_TICK } else { every }), Timer::Gossip);
    Ok(())
}

/// Random members that are connected or can be dialled.
fn some_peers(node: &Node, tx: &mut Tx<'_>, count: usize) -> Vec<NodeId> {
    let state = &node.membership;
    let reachable = |id: &NodeId| state.connected.contains(id);
    let mut peers: Vec<NodeId> = state
        .members()
        .filter(|member| reachable(&member.id) || !member.addrs.is_empty() || member.relay.is_some())
        .map(|member| member.id)
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < count && !peers.is_empty() {
        let at = u64::from_be_bytes(tx.random()) % peers.len() as u64;
        chosen.push(peers.swap_remove(usize::try_from(at).unwrap_or_default()));
    }
    chosen
}

/// A peer asks.
pub(crate) fn on_request(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, from: NodeId, request: &Request) -> Run {
    let response = answer(node, tx, from, request)?;
    tx.output(Output::Respond { to: reply, response });
    Ok(())
}

fn answer(node: &Node, tx: &mut Tx<'_>, from: NodeId, request: &Request) -> Run<Response> {
    let state = &node.membership;
    let joins = matches!(request, Request::Join { .. });
    let within = state.limits.get(&from).is_none_or(|bucket| bucket.allows(tx.now()));
    let within_joins = !joins || state.joins.is_none_or(|bucket| bucket.allows(tx.now()));
    tx.change(Change::Spent { peer: from, at: tx.now(), join: joins });
    if !within || !within_joins {
        return Ok(Response::Busy { retry_after_ms: RETRY_AFTER_MS });
    }
    if let Request::Join { proof, facts } = request {
        return join::on_request(node, tx, from, proof, facts);
    }
    if !state.is_member(&from) {
        return Ok(Response::NotMember);
    }
    Ok(match request {
        Request::Digest { mesh, .. } | Request::Heads { mesh } if *mesh != state.mesh() => Response::NotMember,
        Request::Digest { digest: theirs, .. } => {
            let same = *theirs == digest(node);
            if !same {
                look_back(node, tx, from);
            }
            Response::Same(same)
        }
        Request::Heads { .. } => Response::Heads { facts: state.facts.heads(), filters: locator::filter_heads(node) },
        Request::WantFacts(heads) if heads.len() > FACTS_PER_FRAME => Response::Refused,
        Request::WantFacts(heads) => Response::Facts(frame(heads.iter().filter_map(|head| state.facts.by_head(head)))),
        Request::Facts(facts) if too_much(facts) => Response::Refused,
        Request::Facts(facts) => {
            take(node, tx, facts.iter().map(|bytes| bytes.as_slice()))?;
            Response::Noted
        }
        _ => Response::Refused,
    })
}

fn too_much(facts: &[ByteBuf]) -> bool {
    facts.len() > FACTS_PER_FRAME || facts.iter().map(|fact| fact.len()).sum::<usize>() > FACTS_BYTES_MAX
}

/// As many facts as one frame holds.
pub(super) fn frame<'f>(facts: impl Iterator<Item = &'f Held>) -> Vec<ByteBuf> {
    let mut room = FACTS_BYTES_MAX;
    let fits = |held: &&Held| {
        let fits = held.bytes.len() <= room;
        room = room.saturating_sub(held.bytes.len());
        fits
    };
    facts.take(FACTS_PER_FRAME).take_while(fits).map(|held| ByteBuf::from(held.bytes.clone())).collect()
}

/// A peer answered.
pub(super) fn on_answer(
    node: &Node,
    tx: &mut Tx<'_>,
    from: NodeId,
    what: &What,
    response: &Result<Response, LinkError>,
) -> Run {
    match (what, response) {
        (What::Digest, Ok(Response::Same(false))) => {
            ask(tx, from, What::Heads, Request::Heads { mesh: node.membership.mesh() });
            Ok(())
        }
        (What::Heads, Ok(Response::Heads { facts, filters })) => on_heads(node, tx, from, facts, filters),
        (What::Want { rest, frames }, Ok(Response::Facts(facts))) => on_facts(node, tx, from, rest, *frames, facts),
        (What::Push { rest }, Ok(Response::Noted)) => {
            hand_over(node, tx, from, rest);
            Ok(())
        }
        (_, Ok(Response::NotMember)) => {
            node.count(tx, "peer_knows_us_not");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn on_heads(node: &Node, tx: &mut Tx<'_>, from: NodeId, facts: &[FactHead], filters: &[FilterHead]) -> Run {
    if facts.len() > HEADS_MAX || filters.len() > HEADS_MAX {
        node.count(tx, "heads_refused");
        return Ok(());
    }
    let set = &node.membership.facts;
    want(tx, from, set.lacks(facts), 0);
    hand_over(node, tx, from, &set.surplus(facts));
    locator::on_heads(node, tx, from, filters)
}

fn want(tx: &mut Tx<'_>, from: NodeId, mut heads: Vec<FactHead>, frames: usize) {
    if heads.is_empty() || frames >= FRAMES_MAX {
        return;
    }
    let rest = heads.split_off(heads.len().min(FACTS_PER_FRAME));
    ask(tx, from, What::Want { rest, frames: frames + 1 }, Request::WantFacts(heads));
}

fn hand_over(node: &Node, tx: &mut Tx<'_>, to: NodeId, subjects: &[Subject]) {
    let facts = frame(subjects.iter().filter_map(|subject| node.membership.facts.get(subject)));
    if facts.is_empty() {
        return;
    }
    let rest = subjects.get(facts.len()..).unwrap_or_default().to_vec();
    ask(tx, to, What::Push { rest }, Request::Facts(facts));
}

fn on_facts(node: &Node, tx: &mut Tx<'_>, from: NodeId, rest: &[FactHead], frames: usize, facts: &[ByteBuf]) -> Run {
    if too_much(facts) || facts.is_empty() {
        return Ok(());
    }
    let taken = take(node, tx, facts.iter().map(|bytes| bytes.as_slice()))?;
    let mut heads = rest.to_vec();
    if taken.new > 0 && !rest.is_empty() {
        // What these rest on may be in a later frame.
        heads.extend(taken.missing.iter().map(super::set::head));
    }
    want(tx, from, heads, frames);
    Ok(())
}
