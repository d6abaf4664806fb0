//! What lies on disk for this conversation, and how memory is rebuilt from it.

use relaymesh_protocol::ids::{InstanceId, MeshId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::State;
use super::fact::Held;
use super::invite::Invite;
use crate::batch::Key;
use crate::command::Target;
use crate::node::Node;
use crate::record::{Scope, Stored, UNREADABLE, key, open_row, restore_row};

/// Policy kind of an invite this node made; subject = its id.
pub(super) const INVITE: u8 = b'i';
/// Policy kind of a blocked node; subject = its id.
pub(super) const BLOCKED_NODE: u8 = b'n';
/// Policy kind of a blocked instance; subject = its id.
pub(super) const BLOCKED_INSTANCE: u8 = b'b';
/// Policy kind of an instance that the operator wants as partner; subject = its id.
pub(super) const WISH: u8 = b'w';
/// Name of the [`MeshRow`].
pub(super) const MESH: &str = "mesh";

/// Name of the [`HeardRow`].
pub(super) const HEARD: &str = "heard";

/// When this node last heard of another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HeardRow {
    pub at: Timestamp,
}

impl Stored for HeardRow {
    const SCOPE: Scope = Scope::Node;
}

/// A fact as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FactRow(pub ByteBuf);

impl Stored for FactRow {
    const SCOPE: Scope = Scope::Public;
}

/// Which mesh this node is in, and whose it became by joining.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MeshRow {
    pub mesh: MeshId,
    /// None while the node belongs to the instance whose key it holds.
    pub adopted: Option<InstanceId>,
}

impl Stored for MeshRow {
    const SCOPE: Scope = Scope::Node;
}

/// The operator decided this on that day.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PolicyRow {
    pub since: Timestamp,
}

impl Stored for PolicyRow {
    const SCOPE: Scope = Scope::Node;
}

/// Reads which mesh this is.
pub(crate) fn restore_meta(node: &mut Node, rows: &[(Key, Vec<u8>)], _: Timestamp) {
    let find = |name| {
        let place = key::meta(name);
        rows.iter().find(|(key, _)| *key == place)
    };
    let foreign = |(key, row): &&(Key, Vec<u8>)| open_row::<MeshRow>(node, key, row).is_none();
    let is_foreign = find(MESH).as_ref().is_some_and(foreign);
    let row = find(MESH).and_then(|(key, row)| restore_row::<MeshRow>(node, key, row));
    let heard = find(HEARD).and_then(|(key, row)| restore_row::<HeardRow>(node, key, row));
    let held = node.crypto().instance_id(node.keys());
    let (me, configured) = (node.id(), node.config().mesh);
    let state = &mut node.membership;
    state.me = Some(me);
    state.heard = heard.map_or_else(Timestamp::default, |row| row.at);
    state.noted = state.heard;
    state.is_foreign = is_foreign;
    state.mesh_stored = row.is_some();
    state.mesh = Some(row.as_ref().map_or(configured, |row| row.mesh));
    state.relations.take();
    state.instance = Some(row.and_then(|row| row.adopted).unwrap_or(held));
}

/// Whether a stored fact still holds.
pub(crate) fn is_sound(node: &Node, key: &[u8], row: &[u8]) -> bool {
    let fact = open_row::<FactRow>(node, key, row);
    fact.is_some_and(|fact| Held::restored(node.crypto(), &node.membership.mesh(), &fact.0).is_some())
}

/// Reads facts or policy.
pub(crate) fn restore(node: &mut Node, table: u8, rows: &[(Key, Vec<u8>)], _: Timestamp) {
    if table == key::FACT {
        let mesh = node.membership.mesh();
        let facts = rows.iter().filter_map(|(key, row)| {
            let row = open_row::<FactRow>(node, key, row)?;
            Held::restored(node.crypto(), &mesh, &row.0)
        });
        let facts: Vec<Held> = facts.collect();
        // Gossip brings what is missing, but somebody should look at the disk.
        (facts.len()..rows.len()).for_each(|_| node.bump(UNREADABLE));
        node.membership.facts.put(facts);
        node.membership.relations.take();
        return;
    }
    for (key, row) in rows {
        restore_policy(node, key, row);
    }
}

/// Has the facts from a killed node's memory instead.
pub(crate) fn inherit(node: &mut Node, killed: State) {
    node.membership.facts = killed.facts;
    node.membership.relations.take();
}

fn restore_policy(node: &mut Node, key: &[u8], row: &[u8]) {
    let [_, kind, subject @ ..] = key else { return };
    if *kind == INVITE {
        let invite = restore_row::<Invite>(node, key, row);
        if let (Some(invite), Ok(id)) = (invite, subject.try_into()) {
            node.membership.invites.insert(id, invite);
        }
        return;
    }
    if restore_row::<PolicyRow>(node, key, row).is_none() {
        return;
    }
    let state = &mut node.membership;
    match *kind {
        BLOCKED_NODE => NodeId::try_from(subject).ok().into_iter().for_each(|id| state.block(Target::Node(id))),
        BLOCKED_INSTANCE => {
            InstanceId::try_from(subject).ok().into_iter().for_each(|id| state.block(Target::Instance(id)))
        }
        WISH => state.wishes.extend(InstanceId::try_from(subject)),
        _ => {}
    }
}
