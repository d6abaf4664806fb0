//! Questions to other nodes: sending them, and what comes of the answers about numbers.

use std::time::Duration;

use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::NodeId;

use super::audit::random_number;
use super::oblivious::{self, BlindState, Point};
use super::search::{Wanted, flush_soon};
use super::shares::Class;
use super::{Asked, Change, NumberKind, audit, cache, fetch, holds, letters, sweep_later};
use crate::input::LinkError;
use crate::node::Node;
use crate::output::Output;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Numbers in one question.
pub(super) const BATCH_MAX: usize = 16;
/// Questions are filled up with audits to a multiple of this, so that their length tells nothing.
const BATCH_STEP: usize = 4;
/// A question without an answer is given up after this; links give up sooner.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// A node whose proof was wrong is not asked for so long.
const LIAR_WAIT: Duration = Duration::from_hours(24);
/// A node that refused is asked again after this; it may know our partnership by then.
const REFUSED_WAIT: Duration = Duration::from_secs(600);
/// What a busy node may ask us to wait at least and at most.
const BUSY_WAIT_MIN: Duration = Duration::from_secs(1);
const BUSY_WAIT_MAX: Duration = Duration::from_hours(1);
/// Bit 63 marks another conversation's questions.
const TOKEN_MASK: u64 = !(1 << 63);

/// One number to ask about; none is an audit's.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub wanted: Option<Wanted>,
    pub class: Class,
    pub client: Option<[u8; 16]>,
}

/// Blinded numbers for one node.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub to: NodeId,
    pub kind: NumberKind,
    pub key_id: u32,
    pub items: Vec<Option<Wanted>>,
    pub states: Vec<BlindState>,
    pub blinded: Vec<Point>,
}

/// Asks a node, and remembers what for.
pub(super) fn send(node: &Node, tx: &mut Tx<'_>, to: NodeId, request: Request, asked: Asked) {
    let token = (u64::from_be_bytes(tx.random()) & TOKEN_MASK).max(1);
    node.count(tx, "locator_asked");
    tx.then(Change::Asked(token, to, asked));
    tx.output(Output::Ask { to, token, request });
    let at = tx.now().after(ANSWER_WAIT);
    tx.wake(at, Timer::Question(token));
}

/// Blinds numbers for a node under its newest key, filled up with random ones.
pub(super) fn compose(node: &Node, tx: &mut Tx<'_>, to: NodeId, kind: NumberKind, items: &[Item]) -> Option<Batch> {
    let (key_id, _) = *node.membership.node(&to)?.oblivious.first()?;
    let mut wanted: Vec<Option<Wanted>> = items.iter().map(|item| item.wanted.clone()).collect();
    wanted.resize(wanted.len().next_multiple_of(BATCH_STEP), None);
    let mut numbers = Vec::with_capacity(wanted.len());
    for one in &wanted {
        numbers.push(one.as_ref().map_or_else(|| random_number(tx.rng()), |wanted| wanted.number.clone()));
    }
    let (states, blinded) = oblivious::blind(node, tx, &numbers).into_iter().unzip();
    Some(Batch { to, kind, key_id, items: wanted, states, blinded })
}

/// Asks a node about numbers.
pub(super) fn numbers(node: &Node, tx: &mut Tx<'_>, to: NodeId, kind: NumberKind, items: &[Item]) {
    let Some(batch) = compose(node, tx, to, kind, items) else { return };
    for at in 0..batch.items.len() {
        let (class, client) = items.get(at).map_or((Class::Audit, None), |item| (item.class, item.client));
        let now = tx.now();
        tx.then(Change::Spent(to, class, client, now));
    }
    let request = Request::Evaluate { key_id: batch.key_id, blinded: batch.blinded.clone() };
    send(node, tx, to, request, Asked::Numbers(batch));
}

/// An answer came, or none will.
pub(crate) fn on_answer(
    node: &Node,
    tx: &mut Tx<'_>,
    token: u64,
    from: NodeId,
    response: &Result<Response, LinkError>,
) -> Run {
    let Some((to, asked)) = node.locator.asked.get(&token) else { return Ok(()) };
    if *to != from {
        return Ok(());
    }
    tx.then(Change::Answered(token));
    tx.cancel(Timer::Question(token));
    match asked {
        Asked::Filter(part) => fetch::on_part(node, tx, from, part, response),
        Asked::Numbers(batch) => on_numbers(node, tx, batch, response),
        Asked::Holders(tags) => holds::on_answer(node, tx, from, tags, response),
    }
}

/// A question got no answer in time.
pub(super) fn on_timeout(node: &Node, tx: &mut Tx<'_>, token: u64) -> Run {
    let Some((to, _)) = node.locator.asked.get(&token) else { return Ok(()) };
    on_answer(node, tx, token, *to, &Err(LinkError::TimedOut))
}

fn on_numbers(node: &Node, tx: &mut Tx<'_>, batch: &Batch, response: &Result<Response, LinkError>) -> Run {
    match response {
        Ok(Response::Evaluated { evaluated, proof }) => finish(node, tx, batch, evaluated, proof)?,
        Ok(Response::Busy { retry_after_ms }) => {
            node.count(tx, "evaluation_busy");
            let wait = Duration::from_millis(u64::from(*retry_after_ms));
            quiet(tx, batch.to, wait.clamp(BUSY_WAIT_MIN, BUSY_WAIT_MAX));
        }
        Ok(_) => {
            node.count(tx, "evaluation_refused");
            quiet(tx, batch.to, REFUSED_WAIT);
        }
        Err(LinkError::Busy) => quiet(tx, batch.to, BUSY_WAIT_MIN),
        Err(_) => letters::write(node, tx, batch)?,
    }
    // An audit's answer lets no number go on.
    if batch.items.iter().any(Option::is_some) {
        flush_soon(node, tx);
    }
    Ok(())
}

/// A node is not asked about numbers for a while.
fn quiet(tx: &mut Tx<'_>, of: NodeId, wait: Duration) {
    let until = tx.now().after(wait);
    tx.then(Change::Quiet(of, until));
    sweep_later(tx);
}

/// Verified answers become tags, and tags that a filter knows wake the messages that wait for them.
pub(super) fn finish(node: &Node, tx: &mut Tx<'_>, batch: &Batch, evaluated: &[Point], proof: &[u8]) -> Run {
    let member = node.membership.node(&batch.to);
    let public = member.and_then(|member| member.oblivious.iter().find(|(id, _)| *id == batch.key_id));
    let Some((_, public)) = public else { return Ok(()) };
    let states: Vec<&BlindState> = batch.states.iter().collect();
    let Some(tags) = oblivious::finish(node, batch.kind.purpose(), &states, evaluated, proof, public) else {
        node.count(tx, "evaluation_unproven");
        quiet(tx, batch.to, LIAR_WAIT);
        return Ok(());
    };
    let mut samples = Vec::new();
    for (wanted, tag) in batch.items.iter().zip(tags) {
        let says = node.locator.book.says(&batch.to, &tag);
        let Some(Wanted { kind, number }) = wanted else {
            samples.push(says);
            continue;
        };
        cache::store(node, tx, *kind, number, &batch.to, batch.key_id, tag)?;
        if says {
            tx.then(Change::Hit(batch.to));
            let now = tx.now();
            for message in node.locator.searches.messages(&Wanted { kind: *kind, number: number.clone() }) {
                tx.wake(now, Timer::Route(*message));
            }
        }
    }
    audit::sampled(node, tx, batch.to, &samples)
}
