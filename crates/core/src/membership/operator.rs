//! `relaymesh node …`.

use std::net::IpAddr;

use relaymesh_protocol::ids::{InstanceId, NodeId, Timestamp};

use super::invite::{self, Invite};
use super::news::push;
use super::own;
use super::restore::{BLOCKED_INSTANCE, BLOCKED_NODE, INVITE, PolicyRow, WISH};
use super::set::Member;
use super::{Change, Relation, State, done, join, no, peers, put_facts, see_to_records};
use crate::batch::Key;
use crate::command::{Code, NodeRow, OperatorCommand, OperatorReply, Refusal, Reply, Target};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::record::{delete_row, key, put_node};
use crate::tx::{Run, Tx};

/// The relation to somebody who is blocked.
const UNRELATED: &str = "none";

/// Runs one command.
pub(crate) fn on_operator(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &OperatorCommand) -> Run {
    match command {
        OperatorCommand::NodeId => {
            tx.reply(reply, Reply::Operator(OperatorReply::Node(own_row(node))));
            Ok(())
        }
        OperatorCommand::NodeList => {
            tx.reply(reply, Reply::Operator(OperatorReply::Nodes(rows(node, tx.now()))));
            Ok(())
        }
        OperatorCommand::Invite { own } => invite(node, tx, reply, *own),
        OperatorCommand::Join { code } => join::on_operator(node, tx, reply, code.reveal()),
        OperatorCommand::Federate { instance } => federate(node, tx, reply, instance),
        OperatorCommand::Block { target } => block(node, tx, reply, target),
        OperatorCommand::Unblock { target } => unblock(node, tx, reply, target),
        _ => no(Code::Unimplemented, "this is no command about nodes"),
    }
}

fn own_row(node: &Node) -> NodeRow {
    let (config, state) = (node.config(), &node.membership);
    let instance = state.own_instance();
    NodeRow {
        name: config.name.clone(),
        instance: state
            .facts
            .instance(&instance)
            .map_or_else(|| config.instance.clone(), |instance| instance.name.clone()),
        peer_id: node.id().peer_id(),
        instance_id: instance.to_string(),
        state: "self".to_owned(),
        relation: Relation::Own.name().to_owned(),
        roles: config.roles.names(),
        addrs: config.published().to_vec(),
    }
}

fn rows(node: &Node, now: Timestamp) -> Vec<NodeRow> {
    let state = &node.membership;
    let others = state.facts.members().values().filter(|member| member.id != node.id());
    std::iter::once(own_row(node)).chain(others.map(|member| row(state, member, now))).collect()
}

fn row(state: &State, member: &Member, now: Timestamp) -> NodeRow {
    let is_blocked = state.is_blocked(member);
    // What both were to each other counts for nothing while one of them is cut off.
    let relation = if is_blocked { UNRELATED } else { state.relation_of(member.instance).name() };
    let seen = match () {
        () if is_blocked => "blocked",
        () if state.connected.contains(&member.id) => "connected",
        () if member.expires <= now => "expired",
        () => "known",
    };
    NodeRow {
        name: member.name.clone(),
        instance: member.instance_name.clone(),
        peer_id: member.id.peer_id(),
        instance_id: member.instance.to_string(),
        state: seen.to_owned(),
        relation: relation.to_owned(),
        roles: member.roles.names(),
        addrs: member.addrs.clone(),
    }
}

impl State {
    /// When a node made its newest record, by its own clock.
    pub(crate) fn issued(&self, id: &NodeId) -> Option<Timestamp> {
        self.facts.record(id).map(|record| record.issued)
    }
}

fn needs_instance_key(node: &Node) -> Run {
    if own::speaks_for_instance(node) {
        return Ok(());
    }
    no(
        Code::FailedPrecondition,
        "only the node that holds the instance's key can do this; run it on the node that invited this one",
    )
}

fn invite(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, own: bool) -> Run {
    needs_instance_key(node)?;
    let state = &node.membership;
    let over: Vec<[u8; 8]> =
        state.invites.iter().filter(|(_, invite)| invite.expires <= tx.now()).map(|(id, _)| *id).collect();
    if state.invites.len() - over.len() >= invite::INVITES_MAX {
        return no(Code::ResourceExhausted, "too many invites wait to be used; the oldest expire within a week");
    }
    for id in over {
        tx.delete(key::policy(INVITE, &id))?;
        tx.then(Change::InviteGone(id));
    }
    let addrs = dialable(node);
    if addrs.is_empty() {
        let text = "nobody can reach this node: set `mesh.external`, or join a mesh that has a relay first";
        return no(Code::FailedPrecondition, text);
    }
    let warnings = unreachable_from_outside(&addrs).into_iter().collect();
    let (secret, expires) = (tx.random(), tx.now().after(invite::LIFE));
    let (id, invite) = Invite::of(&secret, expires, own);
    let code = invite::Code {
        mesh: state.mesh(),
        bootstraps: vec![(node.id(), addrs)],
        instance: state.own_instance(),
        secret,
        expires,
        own,
    };
    put_node(node, tx, key::policy(INVITE, &id), &invite)?;
    tx.then(Change::Invite(id, invite));
    tx.reply(reply, Reply::Operator(OperatorReply::Invite { code: code.encode().into(), expires, warnings }));
    Ok(())
}

/// Where a newcomer reaches this node: its own addresses, else through its relays.
fn dialable(node: &Node) -> Vec<String> {
    let state = &node.membership;
    let own = node.config().published().iter().take(invite::BOOTSTRAPS_MAX).cloned();
    let relayed = state.relays(node).into_iter().filter_map(|relay| {
        let at = state.node(&relay)?.addrs.first()?;
        let at = at.split("/p2p/").next().unwrap_or(at);
        Some(format!("{at}{}", peers::circuit(&relay)))
    });
    own.chain(relayed).take(invite::BOOTSTRAPS_MAX).collect()
}

/// That a newcomer on another machine cannot come in, where it is so.
fn unreachable_from_outside(addrs: &[String]) -> Option<String> {
    let only_here = addrs.iter().all(|addr| is_of_this_machine(addr));
    only_here.then(|| {
        "no other machine can reach this node: the code names loopback addresses only; set `mesh.external` to an address that \
         others reach, or `listen.mesh` to one of the network, start the node again and make a new code"
            .to_owned()
    })
}

/// Whether a multiaddress means the machine that reads it.
fn is_of_this_machine(addr: &str) -> bool {
    let mut parts = addr.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("ip4" | "ip6"), Some(ip)) => ip.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback()),
        (Some("dns" | "dns4" | "dns6"), Some(name)) => name.eq_ignore_ascii_case("localhost"),
        _ => false,
    }
}

fn federate(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, text: &str) -> Run {
    needs_instance_key(node)?;
    let state = &node.membership;
    // A whole id may name an instance that has yet to come.
    let instance: InstanceId = match text.trim().parse() {
        Ok(id) => id,
        Err(_) => state.find_instance(text).or_else(|refusal| of_node(state, text, refusal))?,
    };
    if instance == state.own_instance() {
        return no(Code::InvalidArgument, "this is the node's own instance; name another one");
    }
    put_node(node, tx, key::policy(WISH, &instance.0), &PolicyRow { since: tx.now() })?;
    tx.then(Change::Wish(instance));
    let Some(known) = state.facts.instance(&instance) else {
        done(tx, reply, "noted; it takes effect when that instance joins the mesh");
        see_to_records(tx);
        return Ok(());
    };
    if !state.facts.federates(state.own_instance(), instance) {
        let fact = own::federate(node, instance, true, tx.now());
        push(node, tx, std::slice::from_ref(&fact), None);
        put_facts(node, tx, vec![fact])?;
    }
    let message = if state.facts.federates(instance, state.own_instance()) {
        format!("{} is a partner now", known.name)
    } else {
        format!("offered to {}; it becomes a partner when its operator runs `relaymesh node federate` too", known.name)
    };
    done(tx, reply, message);
    Ok(())
}

/// People know nodes; a node's name means its instance here. Where that names nobody either, `unknown` is the answer.
fn of_node(state: &State, text: &str, unknown: Refusal) -> Result<InstanceId, Refusal> {
    if unknown.code != Code::NotFound {
        return Err(unknown);
    }
    let id = state.find_node(text).map_err(|refusal| match refusal.code {
        Code::NotFound => unknown.clone(),
        _ => refusal,
    })?;
    state.facts.record(&id).map(|record| record.instance).ok_or(unknown)
}

fn block(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, text: &str) -> Run {
    let state = &node.membership;
    let target = target(state, text)?;
    match target {
        Target::Node(id) if id == node.id() => return no(Code::InvalidArgument, "this is the node itself"),
        Target::Instance(id) if id == state.own_instance() => {
            return no(Code::InvalidArgument, "this is the node's own instance; block single nodes of it");
        }
        Target::Node(_) | Target::Instance(_) => {}
    }
    put_node(node, tx, place(target), &PolicyRow { since: tx.now() })?;
    tx.then(Change::Block(target));
    see_to_records(tx);
    let message = blocked(node, tx, target)?;
    done(tx, reply, message);
    Ok(())
}

/// Whom an operator means; a whole id may name one that is not known here.
fn target(state: &State, text: &str) -> Result<Target, Refusal> {
    match (text.trim().parse::<InstanceId>(), NodeId::from_peer_id(text.trim())) {
        (Ok(instance), _) => Ok(Target::Instance(instance)),
        (_, Ok(id)) => Ok(Target::Node(id)),
        _ => state.find(text),
    }
}

/// Where it is written that somebody is blocked.
fn place(target: Target) -> Key {
    match target {
        Target::Node(id) => key::policy(BLOCKED_NODE, &id.0),
        Target::Instance(id) => key::policy(BLOCKED_INSTANCE, &id.0),
    }
}

/// A blocked node or instance may speak with this node again. What blocking told the mesh stays said: a revoked node stays
/// revoked, and who was a partner has to become one anew.
fn unblock(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, text: &str) -> Run {
    let state = &node.membership;
    let target = blocked_target(state, text)?;
    delete_row(tx, place(target))?;
    tx.then(Change::Unblock(target));
    see_to_records(tx);
    let own = state.own_instance();
    let message = match target {
        Target::Node(id) if state.facts.revoked(own, Some(id)) => {
            "unblocked here, but it stays revoked as a node of this instance; invite it anew under a new key"
        }
        Target::Node(id)
            if state.facts.record(&id).is_some_and(|of| state.blocked_instances.contains(&of.instance)) =>
        {
            "unblocked, but its instance is blocked still; unblock that too"
        }
        Target::Node(_) => "unblocked: this node speaks with it again",
        Target::Instance(_) => {
            "unblocked: this node speaks with it again; it is a partner only after `relaymesh node federate`"
        }
    };
    done(tx, reply, message);
    Ok(())
}

/// Which blocked node or instance is meant. A name that both have means the one that is blocked.
fn blocked_target(state: &State, text: &str) -> Result<Target, Refusal> {
    let is_blocked = |target: &Target| match target {
        Target::Node(id) => state.blocked_nodes.contains(id),
        Target::Instance(id) => state.blocked_instances.contains(id),
    };
    let named = [state.find_node(text).map(Target::Node), state.find_instance(text).map(Target::Instance)];
    if let Some(found) = named.into_iter().flatten().find(is_blocked) {
        return Ok(found);
    }
    let target = target(state, text)?;
    if is_blocked(&target) {
        return Ok(target);
    }
    Err(Refusal::new(Code::NotFound, "this one is not blocked; `relaymesh node list` shows who is"))
}

/// A node of the own instance is revoked for everybody; a partner's trust ends.
fn blocked(node: &Node, tx: &mut Tx<'_>, target: Target) -> Run<String> {
    let state = &node.membership;
    let speaks = own::speaks_for_instance(node);
    let own = state.own_instance();
    let fact = match target {
        Target::Node(id) if speaks && state.facts.endorsement(own, id).is_some() => {
            Some(own::revoke(node, id, tx.now()))
        }
        Target::Instance(id) if speaks && state.facts.federates(own, id) => {
            Some(own::federate(node, id, false, tx.now()))
        }
        _ => None,
    };
    let Some(fact) = fact else { return Ok("blocked: this node no longer speaks with it".to_owned()) };
    push(node, tx, std::slice::from_ref(&fact), None);
    put_facts(node, tx, vec![fact])?;
    Ok(match target {
        Target::Node(_) => "blocked, and revoked as a node of this instance for the whole mesh".to_owned(),
        Target::Instance(_) => "blocked, and no longer a partner".to_owned(),
    })
}
