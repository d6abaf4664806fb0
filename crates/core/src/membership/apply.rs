//! How this conversation's memory changes.

use std::sync::PoisonError;

use relaymesh_protocol::ids::{InstanceId, MeshId, NodeId, Timestamp};

use super::State;
use super::fact::{Held, Subject};
use super::gossip::{self, Ask, Met};
use super::invite::Invite;
use super::join::Joining;
use super::own::Mark;
use super::partners::{Pace, Round};
use super::set::FactSet;
use super::ways::Ways;
use crate::command::Target;
use crate::crypto::Publics;
use crate::limit::Bucket;

/// Peers whose requests are metered at once; strangers come and go.
const LIMITS_MAX: usize = 8_192;

/// One change.
#[derive(Debug)]
pub(crate) enum Change {
    Self_ {
        me: NodeId,
        mesh: MeshId,
        instance: InstanceId,
    },
    MeshStored,
    Adopt {
        mesh: MeshId,
        instance: InstanceId,
    },
    /// Whether somebody who was not there before may connect now, or is elsewhere, or the other way round.
    Facts {
        facts: Vec<Held>,
        matters: bool,
    },
    Forget(Vec<Subject>),
    Connected(NodeId),
    Disconnected(NodeId),
    Asked(u64, Ask),
    Answered(u64),
    Spent {
        peer: NodeId,
        at: Timestamp,
        join: bool,
    },
    Invite([u8; 8], Invite),
    InviteGone([u8; 8]),
    Block(Target),
    Unblock(Target),
    Wish(InstanceId),
    Joining(Option<Joining>),
    Announced(u64),
    /// Somebody was heard of, or for the first time after long.
    Heard {
        at: Timestamp,
        is_back: bool,
    },
    /// When somebody was last heard of is on the disk.
    Noted(Timestamp),
    RenewAt(Timestamp),
    Round(Round),
    Compared {
        peer: NodeId,
        same: bool,
        rest_s: u16,
        at: Timestamp,
    },
    Met(NodeId, Met),
    Unsettled,
    Lost {
        peer: NodeId,
        at: Timestamp,
        pace: Pace,
    },
    Publics(Mark, Publics),
    WaysTaken(Timestamp),
}

impl State {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Self_ { me, mesh, instance } => {
                (self.me, self.mesh, self.instance) = (Some(me), Some(mesh), Some(instance));
                self.relations.take();
                self.version += 1;
            }
            Change::MeshStored => self.mesh_stored = true,
            Change::Adopt { mesh, instance } => {
                (self.mesh, self.instance) = (Some(mesh), Some(instance));
                self.facts = FactSet::default();
                self.relations.take();
                *self.digest.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
                self.version += 1;
            }
            Change::Facts { facts, matters } => {
                self.learn(facts);
                self.version += u64::from(matters);
            }
            Change::Forget(subjects) => {
                self.facts.remove(&subjects);
                self.relations.take();
                let members = self.facts.members();
                self.met.retain(|peer, _| members.contains_key(peer));
                self.version += 1;
            }
            Change::Connected(peer) => {
                self.connected.insert(peer);
                self.partners.found(&peer);
            }
            Change::Disconnected(peer) => {
                self.connected.remove(&peer);
                self.asks.retain(|_, ask| ask.peer != peer);
            }
            Change::Asked(token, ask) => self.remember(token, ask),
            Change::Answered(token) => {
                self.asks.remove(&token);
            }
            Change::Spent { peer, at, join } => self.spend(peer, at, join),
            Change::Invite(id, invite) => {
                self.invites.insert(id, invite);
            }
            Change::InviteGone(id) => {
                self.invites.remove(&id);
            }
            Change::Block(target) => self.block(target),
            Change::Unblock(target) => self.unblock(target),
            Change::Wish(instance) => {
                self.wishes.insert(instance);
            }
            Change::Joining(joining) => self.joining = joining,
            Change::Announced(version) => self.announced = Some(version),
            Change::Heard { at, is_back } => {
                self.heard = at;
                self.is_back |= is_back;
            }
            Change::Noted(at) => self.noted = at,
            Change::RenewAt(at) => {
                self.renew_at = at;
                self.is_back = false;
            }
            Change::Round(round) => self.partners.began(round),
            Change::Compared { peer, same, rest_s, at } => {
                self.heard = at;
                self.partners.compared(peer, same, rest_s, at);
            }
            Change::Met(peer, met) => {
                self.met.insert(peer, met);
            }
            Change::Unsettled => self.partners.unsettle(),
            Change::Lost { peer, at, pace } => self.partners.lost(peer, at, &pace),
            Change::Publics(mark, publics) => self.publics = Some((mark, publics)),
            Change::WaysTaken(at) => self.ways = Ways::taken(at),
        }
    }

    fn remember(&mut self, token: u64, ask: Ask) {
        while self.asks.len() >= gossip::ASKS_MAX {
            let Some((oldest, _)) = self.asks.iter().min_by_key(|(token, ask)| (ask.at, **token)) else { break };
            let oldest = *oldest;
            self.asks.remove(&oldest);
        }
        self.asks.insert(token, ask);
    }

    pub(super) fn block(&mut self, target: Target) {
        match target {
            Target::Node(node) => {
                self.blocked_nodes.insert(node);
            }
            Target::Instance(instance) => {
                self.blocked_instances.insert(instance);
            }
        }
        self.version += 1;
    }

    fn unblock(&mut self, target: Target) {
        match target {
            Target::Node(node) => self.blocked_nodes.remove(&node),
            Target::Instance(instance) => self.blocked_instances.remove(&instance),
        };
        self.version += 1;
    }

    fn spend(&mut self, peer: NodeId, at: Timestamp, join: bool) {
        if join {
            self.joins.get_or_insert_with(gossip::join_bucket).take(at);
        }
        if self.limits.len() >= LIMITS_MAX && !self.limits.contains_key(&peer) {
            let connected = &self.connected;
            self.limits.retain(|known, _| connected.contains(known));
        }
        self.limits.entry(peer).or_insert_with(|| Bucket::new(gossip::PEER_BURST, gossip::PEER_PER_SECOND)).take(at);
    }
}
