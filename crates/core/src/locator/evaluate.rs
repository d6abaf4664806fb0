//! Answering others' questions about numbers. Nothing here looks at people: the answer is the same work and the same
//! length whether or not anybody is registered.

use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::NodeId;

use super::ask::BATCH_MAX;
use super::oblivious::{self, Point};
use super::ration::{DayTotals, Whose};
use super::{Change, fetch, holds};
use crate::input::ReplyTo;
use crate::membership::Relation;
use crate::node::Node;
use crate::output::Output;
use crate::record::{get_node, key, put_node};
use crate::tx::{Run, Tx};

/// Who is over its ration is asked to come back after this, in milliseconds: a batch's worth of tokens.
const BUSY_MS: u32 = 16_000;
/// Where the day totals lie.
const NAME: &str = "rations";

/// What becomes of a question.
pub(super) enum Verdict {
    Evaluated(Vec<Point>, Vec<u8>),
    Busy,
    Refused,
}

/// Evaluates for a node of the own or a partner's instance, within its ration.
pub(super) fn evaluate(node: &Node, tx: &mut Tx<'_>, from: NodeId, key_id: u32, blinded: &[Point]) -> Run<Verdict> {
    let Some(whose) = whose(node, &from) else {
        node.count(tx, "evaluation_stranger");
        return Ok(Verdict::Refused);
    };
    if blinded.is_empty() || blinded.len() > BATCH_MAX {
        return Ok(Verdict::Refused);
    }
    let count = u32::try_from(blinded.len()).unwrap_or(u32::MAX);
    let Some(grant) = node.locator.rations.grant(&whose, count, tx.now()) else {
        node.count(tx, "evaluation_over_ration");
        return Ok(Verdict::Busy);
    };
    if let Some(totals) = node.locator.rations.due(&grant) {
        put_node(node, tx, key::meta(NAME), &totals)?;
    }
    tx.change(Change::Granted(grant));
    node.count(tx, "evaluations");
    Ok(match oblivious::evaluate(node, tx, key_id, blinded) {
        Some((evaluated, proof)) => Verdict::Evaluated(evaluated, proof),
        None => Verdict::Refused,
    })
}

/// The rations that a node's questions are taken from; none for those that are neither own nor partners.
fn whose(node: &Node, from: &NodeId) -> Option<Vec<Whose>> {
    let instance = node.membership.instance_of(from)?;
    match node.membership.relation_of(instance) {
        Relation::Own => Some(vec![Whose::Own]),
        Relation::Partner => {
            let sponsor = node.membership.sponsor_of(&instance).unwrap_or(instance);
            Some(vec![Whose::Instance(instance), Whose::Sponsor(sponsor)])
        }
        Relation::Offered | Relation::Member => None,
    }
}

/// A connected peer asks.
pub(crate) fn on_request(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, from: NodeId, request: &Request) -> Run {
    let response = match request {
        _ if !node.membership.is_member(&from) => Response::NotMember,
        Request::WantFilter { head, offset } => fetch::part(node, head, *offset),
        Request::Evaluate { key_id, blinded } => match evaluate(node, tx, from, *key_id, blinded)? {
            Verdict::Evaluated(evaluated, proof) => Response::Evaluated { evaluated, proof },
            Verdict::Busy => Response::Busy { retry_after_ms: BUSY_MS },
            Verdict::Refused => Response::Refused,
        },
        Request::WhoHolds { keys } => holds::answer(node, tx, from, keys),
        _ => Response::Refused,
    };
    tx.output(Output::Respond { to: reply, response });
    Ok(())
}

/// Goes on with the rations of before a restart.
pub(super) fn start(node: &Node, tx: &mut Tx<'_>) -> Run {
    if let Some(totals) = get_node::<DayTotals>(node, tx, &key::meta(NAME))? {
        let now = tx.now();
        tx.change(Change::Rations(totals, now));
    }
    Ok(())
}
