//! What the ledger hears of this world, and who may know what.

use super::World;
use super::faults::Target;
use crate::invariants::Mark;
use crate::ledger::Opened;
use crate::outcome::System;
use crate::scenario::Disk;

impl World<'_> {
    /// A batch of a node changes what it has of people. Texts belong at homes, senders at nodes that take SMS in.
    pub(super) fn note_holdings(&mut self, node: u16, marks: &[Mark]) {
        let day = self.day();
        for mark in marks {
            let (Mark::Outbox { message, .. } | Mark::Seen { message, .. } | Mark::Job { message, .. }) = mark else {
                continue;
            };
            let message = *message;
            let Some(person) = self.messages.get(message as usize).map(|own| own.person) else { continue };
            let consumed = self.watch.is_consumed(message);
            match mark {
                Mark::Outbox { there, .. } => {
                    if !self.nodes[usize::from(node)].config.roles.gateway {
                        self.overstep(format!("node {node} takes no SMS in and has the sender of message {message}"));
                    }
                    if !there {
                        self.ledger.forgotten(node, person);
                    } else if !self.watch.copies(node).rows.contains(&message) {
                        self.ledger.entered(node, person, day);
                    }
                }
                Mark::Seen { .. } if !consumed => self.ledger.consumed(node, person, day),
                Mark::Job { there, .. } => {
                    if !self.ledger.is_home(node, person) {
                        self.overstep(format!("node {node} has the text of message {message}, whose home it is not"));
                    }
                    if !there {
                        self.ledger.published(node, person);
                    } else if !self.watch.copies(node).jobs.contains(&message) {
                        self.ledger.owes(node, person);
                    }
                }
                _ => {}
            }
        }
    }

    /// A node is seized.
    pub(super) fn expose_seized(&mut self, node: u16, disk: Option<Disk>) {
        // The central service is none of these nodes: what they had in the mesh does not exist there.
        if self.system == System::Upstream {
            return;
        }
        let day = self.day();
        self.ledger.seize(node, Opened::of(disk), day);
    }

    /// An operator is made to let somebody read along, or no longer is.
    pub(super) fn on_coercion(&mut self, target: Target, begins: bool) {
        let Target::Node(node) = target else { return };
        if self.nodes[usize::from(node)].gone || self.system == System::Upstream {
            return;
        }
        if begins {
            self.count("coerced");
        }
        let day = self.day();
        self.ledger.coerce(node, begins, day);
    }
}
