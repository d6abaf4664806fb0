//! Which nodes may be the home of a message's person: from local filters and caches, and what is asked when they do not
//! tell.

use relaymesh_protocol::ids::{DeviceId, E164, MessageId, NodeId, Tag, Timestamp};
use relaymesh_seal::tags::{device_tag, filter_key};
use serde::{Deserialize, Serialize};

use super::search::{Wanted, evaluators_of, want};
use super::{NumberKind, cache, holds, oblivious};
use crate::delivery::{self, Outbox};
use crate::membership::Relation;
use crate::node::Node;
use crate::tx::Tx;

/// What a payload is routed by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Lookup {
    /// The payload names it.
    Device(DeviceId),
    /// The sender's number, as an account's.
    Number(E164),
    /// The sender's number, as a bridge identity's.
    Bridge {
        /// The sender.
        number: E164,
        /// The static key that a first contact was made with.
        kid: Option<u8>,
    },
    /// The sender's number, as a bridge identity's that is there already; told to nobody.
    Identity(E164),
}

impl Lookup {
    /// What filters know a device ID by.
    pub(crate) fn device_tag(&self) -> Option<Tag> {
        match self {
            Self::Device(device) => Some(device_tag(device)),
            Self::Number(_) | Self::Bridge { .. } | Self::Identity(_) => None,
        }
    }
}

/// A node that may be the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub node: NodeId,
    /// For numbers: key id and tag under that node's own oblivious key.
    pub tag: Option<(u32, Tag)>,
}

/// Candidates for a message, best guesses first. What is unknown is asked for, within bounds; an answer that adds a
/// candidate wakes the message.
pub(crate) fn locate(node: &Node, tx: &mut Tx<'_>, message: MessageId, outbox: &Outbox) -> Vec<Candidate> {
    let mut by_number = |kind, number| by_number(node, tx, message, outbox, Wanted { kind, number });
    match outbox.lookup.clone() {
        Lookup::Device(device) => by_device(node, tx, message, &device),
        Lookup::Number(number) => by_number(NumberKind::Phone, number),
        Lookup::Identity(number) => by_number(NumberKind::Bridge, number),
        Lookup::Bridge { number, kid } => {
            let mut found = by_number(NumberKind::Bridge, number.clone());
            let others = match kid {
                // Who writes to several bridges is known at one and may begin at another: only the holder of the key can open it.
                Some(kid) => first_contact(node, kid),
                // Without a key exchange it may be an app that is logged in: its session is its account's.
                None => by_number(NumberKind::Phone, number),
            };
            let new: Vec<Candidate> = others.into_iter().filter(|other| !has(&found, other)).collect();
            found.extend(new);
            found
        }
    }
}

fn has(found: &[Candidate], one: &Candidate) -> bool {
    found.iter().any(|other| other.node == one.node)
}

pub(crate) fn by_device(node: &Node, tx: &mut Tx<'_>, message: MessageId, device: &DeviceId) -> Vec<Candidate> {
    let tag = device_tag(device);
    let mut nodes = Vec::new();
    if node.locator.own.holds(filter_key(&tag, &node.id())) {
        nodes.push(node.id());
    }
    let said = node.locator.hunts.holders(&tag, tx.now()).copied();
    let changes = node.locator.book.generation();
    let named = match delivery::named(node, &message, changes) {
        Some(named) => named.to_vec(),
        None => {
            let named = node.locator.book.holders(&tag);
            delivery::name(tx, message, changes, named.clone());
            named
        }
    };
    for id in named.into_iter().chain(said) {
        if node.membership.is_member(&id) && !nodes.contains(&id) {
            nodes.push(id);
        }
    }
    if nodes.is_empty() {
        holds::want(node, tx, message, tag);
    }
    nodes.into_iter().map(|node| Candidate { node, tag: None }).collect()
}

fn by_number(node: &Node, tx: &mut Tx<'_>, message: MessageId, outbox: &Outbox, wanted: Wanted) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = at_home(node, wanted.kind, &wanted.number).into_iter().collect();
    found.extend(elsewhere(node, &wanted, tx.now()));
    want(node, tx, message, outbox, wanted, !found.is_empty());
    found
}

/// This node itself, if the number is one of its people's.
fn at_home(node: &Node, kind: NumberKind, number: &E164) -> Option<Candidate> {
    if node.locator.own.len() == 0 {
        return None;
    }
    let tags = oblivious::own_tags(node, number, kind.purpose());
    let tag = tags.into_iter().find(|(_, tag)| node.locator.own.holds_number(filter_key(tag, &node.id())))?;
    Some(Candidate { node: node.id(), tag: Some(tag) })
}

/// Key id and tag of a number under this node's own key, if the number is one of its people's.
pub(crate) fn own_tag(node: &Node, kind: NumberKind, number: &E164) -> Option<(u32, Tag)> {
    at_home(node, kind, number)?.tag
}

/// Whether a tag is this number's under this node's own key.
pub(crate) fn is_tag_of(node: &Node, kind: NumberKind, number: &E164, tag: (u32, Tag)) -> bool {
    oblivious::own_tags(node, number, kind.purpose()).contains(&tag)
}

/// Whether a number may be one of a node's people: its filter says so. Where a study leaves filters out nobody says no, and
/// an offer is the question.
pub(super) fn may_hold(node: &Node, of: &NodeId, tag: &Tag) -> bool {
    node.config().without.filters || node.locator.book.says(of, tag)
}

/// Nodes whose filter knows the number's tag, as far as the tag is known.
fn elsewhere(node: &Node, wanted: &Wanted, now: Timestamp) -> Vec<Candidate> {
    evaluators_of(node, wanted.kind)
        .filter_map(|(member, _)| {
            let (key_id, tag) = cache::find(node, wanted.kind, &wanted.number, member, now)?;
            may_hold(node, &member.id, &tag).then_some(Candidate { node: member.id, tag: Some((key_id, tag)) })
        })
        .collect()
}

/// Where a bridge user may begin: bridges of the own and of partners' instances that announce the static key, own first.
fn first_contact(node: &Node, kid: u8) -> Vec<Candidate> {
    let mut found = Vec::new();
    if node.config().roles.bridge && oblivious::has_static(node, kid) {
        found.push((Relation::Own, node.id()));
    }
    for member in node.membership.members() {
        let relation = node.membership.relation_of(member.instance);
        let announces = member.roles.bridge && member.statics.iter().any(|(id, _)| *id == kid);
        if announces && matches!(relation, Relation::Own | Relation::Partner) {
            found.push((relation, member.id));
        }
    }
    found.sort_by_key(|(relation, id)| (*relation != Relation::Own, *id != node.id(), *id));
    found.into_iter().map(|(_, node)| Candidate { node, tag: None }).collect()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_lookup_shows_no_number() {
        let number: E164 = "+237650123456".parse().unwrap();
        for lookup in [Lookup::Number(number.clone()), Lookup::Bridge { number, kid: Some(3) }] {
            let shown = format!("{lookup:?}");
            assert!(!shown.contains("650123456") && shown.contains("3456"), "{shown}");
            let bytes = postcard::to_allocvec(&lookup).unwrap();
            assert_eq!(postcard::from_bytes::<Lookup>(&bytes), Ok(lookup));
        }
    }
}
