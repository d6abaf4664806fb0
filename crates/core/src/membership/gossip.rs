//! Anti-entropy: two members compare digests, find out in which parts they differ, and hand each other what the other
//! lacks there.
//!
//! Comparing is what makes everything arrive in the end; that news arrive at once is the business of [`super::news`].

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use relaymesh_protocol::frame::{
    DIGEST_LEN, FactHead, FilterHead, Holdings, PARTS_PER_REQUEST_MAX, Request, Response, SUM_LEN,
};
use relaymesh_protocol::ids::{MeshId, NodeId, Timestamp};
use serde_bytes::ByteBuf;

use super::fact::Held;
use super::partners::Pace;
use super::{Change, Member, TOKEN_BIT, join, news, own, parts, take};
use crate::input::{Input, LinkError, ReplyTo};
use crate::keys;
use crate::limit::Bucket;
use crate::locator;
use crate::node::Node;
use crate::output::Output;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Whoever was compared with so lately is compared with in the round in which it is next.
const MET_LATELY: Duration = Duration::from_hours(2);
/// The longest that a join or a heartbeat waits to look at the clock again.
const JOIN_TICK: Duration = Duration::from_secs(5);
/// Facts in one frame.
pub(super) const FACTS_PER_FRAME: usize = 64;
/// Bytes of facts in one frame.
const FACTS_BYTES_MAX: usize = 256 * 1024;
/// Heads that a peer may claim in one frame: several times what is in the parts asked about at once in the largest mesh.
const HEADS_MAX: usize = 8_000;
/// Frames of one comparison in each direction, so that a hostile peer cannot keep it going for ever.
const FRAMES_MAX: usize = HEADS_MAX / FACTS_PER_FRAME;
/// Chains of questions for facts under way with one peer.
const WANTS_PER_PEER_MAX: usize = 4;
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
    /// Whether it holds the same as this node, which held this.
    Digest([u8; DIGEST_LEN]),
    /// What is newer in some of so many parts; then in these.
    Heads {
        of: u16,
        rest: Vec<u16>,
    },
    /// Facts; then these.
    Want {
        rest: Vec<FactHead>,
        frames: usize,
    },
    /// Nothing: it was told something.
    Told,
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
    let compares = |what: &What| matches!(what, What::Digest(_) | What::Heads { .. } | What::Want { .. });
    if node.membership.asks.values().any(|ask| ask.peer == peer && compares(&ask.what)) {
        return;
    }
    let ours = digest(node);
    ask(tx, peer, What::Digest(ours), Request::Digest(ours));
}

/// Whether a peer and this node have just compared, or this node holds what it held when both last held the same: then
/// a link that comes up, as links do, is no reason to compare.
pub(super) fn agreed(node: &Node, peer: &NodeId, now: Timestamp) -> bool {
    let met = node.membership.met.get(peer);
    met.is_some_and(|met| now.since(met.at) < MET_LATELY || met.same == Some(digest(node)))
}

/// When a peer and this node last compared, and what both held if it was the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    pub at: Timestamp,
    pub same: Option<[u8; DIGEST_LEN]>,
}

/// A digest, and of what: mesh, changes of the facts, changes of the filters.
pub(super) type Remembered = (MeshId, u64, u64, [u8; DIGEST_LEN]);

/// What this node holds, as others compare it; computed once for each change.
fn digest(node: &Node) -> [u8; DIGEST_LEN] {
    let state = &node.membership;
    let (mesh, facts, filters) = (state.mesh(), state.facts.generation(), locator::filter_generation(node));
    let mut remembered = state.digest.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((.., digest)) = remembered.filter(|(of, f, g, _)| (*of, *f, *g) == (mesh, facts, filters)) {
        return digest;
    }
    let digest = parts::digest(node);
    *remembered = Some((mesh, facts, filters, digest));
    digest
}

/// A round of comparing with partners, and a look at what is due. Writes nothing itself, so that a store that fails cannot
/// stop the heart.
pub(super) fn on_heartbeat(node: &Node, tx: &mut Tx<'_>) -> Run {
    let (state, pace) = (&node.membership, Pace::of(node.config()));
    let waits = join::on_heartbeat(node, tx);
    if state.renew_at <= tx.now() {
        super::see_to_records(tx);
    }
    own::note_soon(node, tx, state.heard);
    if keys::is_overdue(node, tx.now()) {
        tx.output(Output::Follow(Input::Timer(Timer::Daily)));
    }
    if !waits {
        let reachable = |member: &Member| is_reachable(node, member);
        let one = |id: &NodeId| state.node(id).is_some_and(reachable);
        let all = || state.members().filter(|member| reachable(member)).map(|member| member.id).collect();
        let round = state.partners.round(one, all, tx.now(), &pace, || u64::from_be_bytes(tx.random()));
        for peer in &round.ask {
            compare(node, tx, *peer);
        }
        tx.change(Change::Round(round));
    }
    let pause = if waits { JOIN_TICK } else { state.partners.pause(&pace) };
    tx.wake(tx.now().after(pause), Timer::Gossip);
    Ok(())
}

/// Whether a member is connected or can be dialled.
fn is_reachable(node: &Node, member: &Member) -> bool {
    !member.addrs.is_empty() || member.relay.is_some() || node.membership.connected.contains(&member.id)
}

/// Whether nobody answers this node.
pub(super) fn is_alone(node: &Node) -> bool {
    node.membership.partners.is_alone(&Pace::of(node.config())).is_some()
}

/// Something differs, or a partner is gone: the next round comes at full pace.
pub(super) fn hurry(node: &Node, tx: &mut Tx<'_>) {
    tx.change(Change::Unsettled);
    tx.wake_by(tx.now().after(Pace::of(node.config()).every), Timer::Gossip);
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
        Request::Digest(theirs) => compared(node, tx, from, theirs),
        Request::Heads(theirs) if theirs.mesh != state.mesh() => Response::NotMember,
        Request::Heads(theirs) if !is_sound(theirs) => Response::Refused,
        Request::Heads(theirs) => {
            let answer = newer(node, theirs);
            learn(node, tx, from, &theirs.facts, &theirs.filters)?;
            answer
        }
        Request::WantFacts(heads) if heads.len() > FACTS_PER_FRAME => Response::Refused,
        Request::WantFacts(heads) => Response::Facts(frame(heads.iter().filter_map(|head| state.facts.by_head(head)))),
        Request::Facts(facts) if too_much(facts) => Response::Refused,
        Request::Facts(facts) => {
            let taken = take(node, tx, facts.iter().map(|bytes| bytes.as_slice()))?;
            news::pass_on(node, tx, &taken.urgent, from);
            Response::Noted
        }
        _ => Response::Refused,
    })
}

/// Whether two nodes know the same, and if not, where to look.
fn compared(node: &Node, tx: &mut Tx<'_>, from: NodeId, theirs: &[u8; DIGEST_LEN]) -> Response {
    let every = Pace::of(node.config()).every;
    let rest_s = if node.config().metered { u16::try_from(every.as_secs()).unwrap_or(u16::MAX) } else { 0 };
    let same = (*theirs == digest(node)).then_some(*theirs);
    tx.change(Change::Met(from, Met { at: tx.now(), same }));
    if same.is_some() {
        return Response::Same { rest_s };
    }
    Response::Differs { rest_s, sums: parts::sums(node, parts::count(node)) }
}

fn is_sound(theirs: &Holdings) -> bool {
    let divided = theirs.parts.is_empty() || parts::is_count(theirs.of.into());
    divided && theirs.parts.len() <= PARTS_PER_REQUEST_MAX && are_few(&theirs.facts, &theirs.filters)
}

fn are_few(facts: &[FactHead], filters: &[FilterHead]) -> bool {
    facts.len() <= HEADS_MAX && filters.len() <= HEADS_MAX
}

/// What a peer lacks, or has in an older version, in the parts that it names.
fn newer(node: &Node, theirs: &Holdings) -> Response {
    let Holdings { of, parts, .. } = theirs;
    if parts.is_empty() {
        return Response::Heads { facts: Vec::new(), filters: Vec::new() };
    }
    let known: BTreeMap<_, u64> = theirs.filters.iter().map(|head| ((head.node, head.layer), head.version)).collect();
    let lacks = |head: &FilterHead| known.get(&(head.node, head.layer)).is_none_or(|version| *version < head.version);
    let mut filters = parts::filters_in(node, *of, parts);
    filters.retain(lacks);
    Response::Heads { facts: node.membership.facts.surplus(&theirs.facts, *of, parts), filters }
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
        (What::Digest(ours), Ok(Response::Same { rest_s })) => {
            tx.change(Change::Met(from, Met { at: tx.now(), same: Some(*ours) }));
            tx.change(Change::Compared { peer: from, same: true, rest_s: *rest_s, at: tx.now() });
            Ok(())
        }
        (What::Digest(_), Ok(Response::Differs { rest_s, sums })) => {
            tx.change(Change::Met(from, Met { at: tx.now(), same: None }));
            tx.change(Change::Compared { peer: from, same: false, rest_s: *rest_s, at: tx.now() });
            let pause = node.membership.partners.pause(&Pace::of(node.config())) / 2;
            tx.wake_by(tx.now().after(pause), Timer::Gossip);
            on_differs(node, tx, from, sums)
        }
        (What::Digest(_), Ok(Response::Busy { .. })) => Ok(()),
        (What::Digest(_), answer) => {
            if matches!(answer, Ok(Response::NotMember)) {
                node.count(tx, "peer_knows_us_not");
            }
            if node.membership.partners.has(&from) && !is_alone(node) {
                hurry(node, tx);
            }
            tx.change(Change::Lost { peer: from, at: tx.now(), pace: Pace::of(node.config()) });
            Ok(())
        }
        (What::Heads { of, rest }, Ok(Response::Heads { facts, filters })) => {
            if !are_few(facts, filters) {
                node.count(tx, "heads_refused");
                return Ok(());
            }
            learn(node, tx, from, facts, filters)?;
            ask_parts(node, tx, from, *of, rest.clone());
            Ok(())
        }
        (What::Want { rest, frames }, Ok(Response::Facts(facts))) => on_facts(node, tx, from, rest, *frames, facts),
        _ => Ok(()),
    }
}

/// Finds the parts that differ and asks about them.
fn on_differs(node: &Node, tx: &mut Tx<'_>, from: NodeId, sums: &[u8]) -> Run {
    let of = sums.len() / SUM_LEN;
    if !parts::is_count(of) || sums.len() != of * SUM_LEN {
        node.count(tx, "heads_refused");
        return Ok(());
    }
    let of = u16::try_from(of).unwrap_or(u16::MAX);
    ask_parts(node, tx, from, of, parts::differing(&parts::sums(node, of), sums));
    Ok(())
}

/// Tells a peer what this node has in some parts, and asks what it has there that is newer.
fn ask_parts(node: &Node, tx: &mut Tx<'_>, peer: NodeId, of: u16, mut parts: Vec<u16>) {
    if parts.is_empty() {
        return;
    }
    let rest = parts.split_off(parts.len().min(PARTS_PER_REQUEST_MAX));
    let facts = node.membership.facts.heads_in(of, &parts);
    let filters = parts::filters_in(node, of, &parts);
    let mesh = node.membership.mesh();
    ask(tx, peer, What::Heads { of, rest }, Request::Heads(Box::new(Holdings { mesh, of, parts, facts, filters })));
}

/// Fetches what a peer's heads show this node to lack.
fn learn(node: &Node, tx: &mut Tx<'_>, from: NodeId, facts: &[FactHead], filters: &[FilterHead]) -> Run {
    let state = &node.membership;
    let wants = |ask: &&Ask| ask.peer == from && matches!(ask.what, What::Want { .. });
    if state.asks.values().filter(wants).count() < WANTS_PER_PEER_MAX {
        want(tx, from, state.facts.lacks(facts), 0);
    }
    locator::on_heads(node, tx, from, filters)
}

fn want(tx: &mut Tx<'_>, from: NodeId, mut heads: Vec<FactHead>, frames: usize) {
    if heads.is_empty() || frames >= FRAMES_MAX {
        return;
    }
    let rest = heads.split_off(heads.len().min(FACTS_PER_FRAME));
    ask(tx, from, What::Want { rest, frames: frames + 1 }, Request::WantFacts(heads));
}

fn on_facts(node: &Node, tx: &mut Tx<'_>, from: NodeId, rest: &[FactHead], frames: usize, facts: &[ByteBuf]) -> Run {
    if too_much(facts) || facts.is_empty() {
        return Ok(());
    }
    let taken = take(node, tx, facts.iter().map(|bytes| bytes.as_slice()))?;
    news::pass_on(node, tx, &taken.urgent, from);
    let mut heads = rest.to_vec();
    if !taken.new.is_empty() && !rest.is_empty() {
        // What these rest on may be in a later frame.
        heads.extend(taken.missing.iter().map(super::set::head));
    }
    want(tx, from, heads, frames);
    Ok(())
}
