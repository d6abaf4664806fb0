//! Joining: one node shows that it was invited, the other vouches for it.
//!
//! The joiner presents its own facts, already signed for the mesh of the code. The inviter checks the proof, marks the
//! invite as used, signs the newcomer's sponsorship (or, for a node of its own instance, its endorsement), stores and
//! spreads all of it, and answers with what it knows of the mesh.

use std::time::Duration;

use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::{InstanceId, MeshId, NodeId, Timestamp};
use serde_bytes::ByteBuf;

use super::entry::Entry;
use super::fact::{Fact, Held, Subject};
use super::gossip::{self, What};
use super::invite::{self, Invite, Proof};
use super::news::push;
use super::own::{self, Ground};
use super::restore::INVITE;
use super::set::FactSet;
use super::{Change, State, done, no, put_facts, see_to_records};
use crate::command::{Code, Refusal, Reply};
use crate::config::Accept;
use crate::input::{LinkError, ReplyTo};
use crate::locator;
use crate::node::Node;
use crate::output::Output;
use crate::record::{key, put_node};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// How long an operator waits for the inviter's answer.
const WAIT: Duration = Duration::from_secs(20);
/// Facts that a joiner presents: its instance, its endorsement, its node, and one spare.
const PRESENTED_MAX: usize = 4;
/// Facts in the answer to a joiner; the rest comes by comparing.
const ANSWERED_MAX: usize = 512;

/// A join that waits for the inviter's answer.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    reply: ReplyTo,
    inviter: NodeId,
    addrs: Vec<String>,
    mesh: MeshId,
    instance: InstanceId,
    own: bool,
    presented: Vec<Held>,
    until: Timestamp,
}

/// `node join CODE`.
pub(super) fn on_operator(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, code: &str) -> Run {
    let code = invite::Code::parse(code).map_err(|error| Refusal::new(Code::InvalidArgument, error.to_string()))?;
    let Some((inviter, addrs)) = code.bootstraps.first().cloned() else {
        return no(Code::InvalidArgument, "empty code");
    };
    may_join(node, tx.now(), &code, inviter)?;
    let instance = if code.own { code.instance } else { node.crypto().instance_id(node.keys()) };
    let sponsor = (!code.own).then_some(code.instance);
    let ground = Ground { mesh: code.mesh, instance, sponsor };
    let presented = own::presented(node, ground, tx.now());
    let facts = presented.iter().map(|held| ByteBuf::from(held.bytes.clone())).collect();
    let proof = Proof::new(&code.secret, &node.id(), &inviter).encode();
    for (bootstrap, addrs) in &code.bootstraps {
        tx.output(Output::Dial { node: *bootstrap, addrs: addrs.clone() });
    }
    gossip::ask(tx, inviter, What::Join, Request::Join { proof, facts });
    let until = tx.now().after(WAIT);
    let joining = Joining { reply, inviter, addrs, mesh: code.mesh, instance, own: code.own, presented, until };
    tx.change(Change::Joining(Some(joining)));
    tx.wake(until, Timer::Gossip);
    Ok(())
}

fn may_join(node: &Node, now: Timestamp, code: &invite::Code, inviter: NodeId) -> Run {
    let state = &node.membership;
    if state.joining.is_some() {
        return no(Code::FailedPrecondition, "a join is under way already; wait for its answer");
    }
    if inviter == node.id() {
        return no(Code::InvalidArgument, "this invite code was made by this very node; use it on another one");
    }
    if code.expires <= now {
        return no(Code::InvalidArgument, "the invite code has expired; ask for a new one (`relaymesh node invite`)");
    }
    if code.mesh == state.mesh() && state.is_member(&inviter) && !(code.own && state.own_instance() != code.instance) {
        return no(Code::AlreadyExists, "this node is in that mesh already; `relaymesh node list` shows it");
    }
    let others = state.members().count();
    if others > 0 && code.mesh != state.mesh() {
        let text = format!(
            "this node is in a mesh with {others} other nodes and cannot be in two; make a fresh node with `relaymesh init`"
        );
        return no(Code::FailedPrecondition, text);
    }
    if others > 0 && code.own {
        let text = "this node's instance is known in the mesh already; make a fresh node with `relaymesh init` to become one of another instance";
        return no(Code::FailedPrecondition, text);
    }
    Ok(())
}

/// A stranger wants to join.
pub(super) fn on_request(node: &Node, tx: &mut Tx<'_>, from: NodeId, proof: &[u8], facts: &[ByteBuf]) -> Run<Response> {
    let state = &node.membership;
    if state.blocked_nodes.contains(&from) || facts.len() > PRESENTED_MAX || !own::speaks_for_instance(node) {
        return Ok(Response::Refused);
    }
    let invite = invited(node, tx.now(), &from, proof);
    let verify = |bytes: &ByteBuf| Held::verify(node.crypto(), &state.mesh(), bytes, tx.now()).ok();
    let Some(presented) = facts.iter().map(verify).collect::<Option<Vec<Held>>>() else { return Ok(Response::Refused) };
    let Some(newcomer) = instance_of(&presented, &from) else { return Ok(Response::Refused) };
    let own = newcomer == state.own_instance();
    let may = match (&invite, node.config().accept) {
        (Some((_, invite)), _) if own => invite.own,
        (None, _) if own => false,
        (_, Accept::Open) => true,
        (_, Accept::List) => state.wishes.contains(&newcomer),
        (invite, Accept::Invite) => invite.is_some(),
    };
    if !may || state.blocked_instances.contains(&newcomer) {
        node.count(tx, "join_refused");
        return Ok(Response::Refused);
    }
    let now = tx.now();
    let voucher = if own {
        let before = state.facts.endorsement(newcomer, from).map(|endorsement| endorsement.seq);
        own::endorse(node, Ground::now(node), from, before, now)
    } else {
        own::sponsor(node, newcomer, now)
    };
    let mut entry = state.entry(now);
    let offered = presented.into_iter().chain([voucher]).collect();
    let (_, missing) = entry.take_all(offered);
    let entered = entry.finish();
    let known = |subject: Subject| {
        state.facts.get(&subject).is_some() || entered.iter().any(|held| held.fact.subject() == subject)
    };
    if !missing.is_empty() || !known(Subject::Node(from)) || !known(Subject::Instance(newcomer)) {
        node.count(tx, "join_refused");
        return Ok(Response::Refused);
    }
    if let Some((id, mut used)) = invite {
        used.used_by = Some(from);
        put_node(node, tx, key::policy(INVITE, &id), &used)?;
        tx.then(Change::Invite(id, used));
    }
    push(node, tx, &entered, Some(from));
    let answer = answer(&state.facts, &entered);
    put_facts(node, tx, entered)?;
    node.count(tx, "joined_by_us");
    Ok(Response::Joined(answer))
}

/// The invite that a proof is good for.
fn invited(node: &Node, now: Timestamp, from: &NodeId, proof: &[u8]) -> Option<([u8; 8], Invite)> {
    let proof = Proof::parse(proof)?;
    let invite = node.membership.invites.get(&proof.id)?;
    invite.admits(&proof, from, &node.id(), now).then(|| (proof.id, invite.clone()))
}

/// Whose node the presenter says it is; none if what it presents is about anybody else.
fn instance_of(presented: &[Held], from: &NodeId) -> Option<InstanceId> {
    let record =
        presented.iter().find_map(|held| if let Fact::Node(record) = &held.fact { Some(record) } else { None })?;
    let about_itself = |held: &Held| match &held.fact {
        Fact::Instance(f) => f.id == record.instance,
        Fact::Endorsement(f) => f.instance == record.instance && f.node == *from,
        Fact::Node(f) => f.node == *from,
        _ => false,
    };
    presented.iter().all(about_itself).then_some(record.instance)
}

/// What a newcomer is told: first all that concerns it and the instances, then nodes, as far as one frame goes.
fn answer(known: &FactSet, entered: &[Held]) -> Vec<ByteBuf> {
    let mut room = relaymesh_protocol::frame::REQUEST_BYTES_MAX;
    let new = |held: &&Held| !entered.iter().any(|other| other.fact.subject() == held.fact.subject());
    let all = entered.iter().chain(known.iter().filter(new));
    let fits = |held: &&Held| {
        let fits = held.bytes.len() <= room;
        room = room.saturating_sub(held.bytes.len());
        fits
    };
    all.take(ANSWERED_MAX).take_while(fits).map(|held| ByteBuf::from(held.bytes.clone())).collect()
}

/// The inviter answered, or cannot be reached.
pub(super) fn on_answer(node: &Node, tx: &mut Tx<'_>, from: NodeId, response: &Result<Response, LinkError>) -> Run {
    let Some(joining) = node.membership.joining.as_ref().filter(|joining| joining.inviter == from) else {
        return Ok(());
    };
    tx.change(Change::Joining(None));
    match response {
        Ok(Response::Joined(facts)) => adopt(node, tx, joining, facts),
        Ok(Response::Busy { .. }) => {
            refuse(tx, joining, Code::Unavailable, "the inviting node is busy; try again in a minute")
        }
        Ok(_) => {
            let text = "the inviting node refused the code: it was used already, has expired, or was made for another mesh; ask for a new one (`relaymesh node invite`)";
            refuse(tx, joining, Code::PermissionDenied, text)
        }
        Err(_) => unreachable(tx, joining),
    }
}

fn refuse(tx: &mut Tx<'_>, joining: &Joining, code: Code, text: impl Into<String>) -> Run {
    tx.reply(joining.reply, Reply::Refused(Refusal::new(code, text)));
    Ok(())
}

fn unreachable(tx: &mut Tx<'_>, joining: &Joining) -> Run {
    let at = if joining.addrs.is_empty() { "no address in the code".to_owned() } else { joining.addrs.join(", ") };
    let text = format!(
        "the inviting node does not answer ({at}); check that it runs and can be reached from here, then try again"
    );
    refuse(tx, joining, Code::Unavailable, text)
}

/// Gives a join up that waits too long; tells whether one still waits.
pub(super) fn on_heartbeat(node: &Node, tx: &mut Tx<'_>) -> bool {
    let Some(joining) = &node.membership.joining else { return false };
    if tx.now() < joining.until {
        return true;
    }
    tx.change(Change::Joining(None));
    // What is said here writes nothing, and so cannot fail.
    let _ = unreachable(tx, joining);
    false
}

/// Becomes a member: the mesh of the code, the facts that were presented and those that were answered.
fn adopt(node: &Node, tx: &mut Tx<'_>, joining: &Joining, facts: &[ByteBuf]) -> Run {
    let state = &node.membership;
    if facts.len() > ANSWERED_MAX {
        return refuse(tx, joining, Code::Internal, "the inviting node's answer is malformed; update both nodes");
    }
    let fresh = FactSet::default();
    let again = joining.mesh == state.mesh() && !joining.own;
    let base = if again { &state.facts } else { &fresh };
    let mut offered: Vec<Held> =
        facts.iter().filter_map(|bytes| Held::verify(node.crypto(), &joining.mesh, bytes, tx.now()).ok()).collect();
    offered.extend(joining.presented.iter().cloned());
    let mut entry = Entry::new(base, node.id(), joining.instance, tx.now());
    entry.take_all(offered);
    let entered = entry.finish();
    let entered_of = |subject: Subject| entered.iter().any(|held| held.fact.subject() == subject);
    let inviter = entered_of(Subject::Node(joining.inviter)) || (again && state.is_member(&joining.inviter));
    let endorsed = entered_of(Subject::Endorsement { instance: joining.instance, node: node.id() });
    if !inviter || !endorsed {
        return refuse(
            tx,
            joining,
            Code::Internal,
            "the inviting node's answer lacks its own record; update both nodes",
        );
    }
    if !again {
        leave(state, tx, &entered)?;
        locator::look_soon(tx);
        tx.then(Change::Adopt { mesh: joining.mesh, instance: joining.instance });
    }
    own::store_mesh(node, tx, joining.mesh, joining.instance)?;
    let nodes = entered.iter().filter(|held| matches!(held.fact, Fact::Node(_))).count();
    put_facts(node, tx, entered)?;
    see_to_records(tx);
    tx.wake(tx.now(), Timer::Gossip);
    tx.wake(tx.now(), Timer::FilterSoon);
    done(tx, joining.reply, format!("joined: {nodes} nodes are known so far; `relaymesh node list` shows them"));
    Ok(())
}

/// Forgets the facts of the time alone: they are signed for another mesh, or name another instance.
fn leave(state: &State, tx: &mut Tx<'_>, entered: &[Held]) -> Run {
    for held in state.facts.iter() {
        let subject = held.fact.subject();
        if !entered.iter().any(|other| other.fact.subject() == subject) {
            tx.delete(key::fact(&subject.key()))?;
        }
    }
    Ok(())
}
