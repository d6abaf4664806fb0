//! A world whose nodes' frames travel outside of it: the stack tier hands them to real swarms. Everything else of a world
//! (people, SMS, gateway clients, platforms, faults, disks, cores) is the same in both tiers.

use std::collections::VecDeque;

use relaymesh_core::{Input, Output};

use super::World;
use super::places::{Internet, Spot};
use crate::kernel::{Checkpoints, Time};
use crate::outcome::{Outcome, System};

/// Kind byte of what came from outside, in the trace.
const OUTSIDE: u8 = 64;

/// What the world wants of whoever carries its frames, in order.
#[derive(Debug)]
pub enum Wish {
    /// A node starts: its swarm too.
    Start(u16),
    /// kill -9 of a node: its swarm is gone, without a word.
    Kill(u16),
    /// An output of a node's core that concerns other nodes.
    Frame(u16, Box<Output>),
    /// Ways opened or closed, or became slower: [`World::ways`] tells.
    Ways,
}

/// What a node's swarm is started with.
pub struct Endpoint {
    /// The node's seed: its public half is the node's id.
    pub seed: [u8; 32],
    /// Where others reach it; nowhere if it only dials.
    pub addresses: Vec<String>,
    /// Relays for others.
    pub relay: bool,
    /// Its line is paid by the byte.
    pub metered: bool,
}

/// The wishes of a world with an outside.
#[derive(Default)]
pub(super) struct Outside(VecDeque<Wish>);

impl World<'_> {
    /// Notes a wish, if there is an outside. Whether there is.
    pub(super) fn wish(&mut self, wish: Wish) -> bool {
        let Some(Outside(wishes)) = &mut self.outside else { return false };
        wishes.push_back(wish);
        true
    }

    /// Lets an output that concerns other nodes out; gives the others back, and all where nothing is outside.
    pub(super) fn let_out(&mut self, node: u16, output: Output) -> Option<Output> {
        let meshed = self.scenario.switches.mesh && self.system == System::Mesh;
        let leaves = matches!(
            output,
            Output::Taken { .. }
                | Output::Respond { .. }
                | Output::Carry { .. }
                | Output::Ask { .. }
                | Output::Members { .. }
                | Output::Dial { .. }
        );
        let Some(Outside(wishes)) = self.outside.as_mut().filter(|_| leaves && meshed) else { return Some(output) };
        wishes.push_back(Wish::Frame(node, Box::new(output)));
        None
    }

    /// The next wish.
    pub fn next_wish(&mut self) -> Option<Wish> {
        self.outside.as_mut()?.0.pop_front()
    }

    /// When something happens next in here.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        self.queue.next()
    }

    /// When it ends.
    #[must_use]
    pub fn end(&self) -> Time {
        self.end
    }

    /// Lets everything happen that is due by then.
    pub fn advance(&mut self, to: Time) {
        let to = to.min(self.end);
        while self.queue.next().is_some_and(|at| at <= to) {
            let Some((time, event)) = self.queue.pop() else { return };
            self.happen_at(time, event);
        }
        self.now = self.now.max(to);
    }

    /// Something came from outside at this moment, or two numbers that tell what happened there; `text` tells people.
    pub fn mark(&mut self, a: u64, b: u64, text: impl FnOnce() -> String) {
        self.trace.event(self.now, OUTSIDE, a, b, text);
    }

    /// A node hears of the outside.
    pub fn hear(&mut self, node: u16, input: Input) {
        self.feed(node, input);
    }

    /// How many nodes there are, running or not.
    #[must_use]
    pub fn node_count(&self) -> u16 {
        u16::try_from(self.nodes.len()).expect("fewer than 65,536 nodes")
    }

    /// What a node's swarm is started with.
    #[must_use]
    pub fn endpoint(&self, node: u16) -> Endpoint {
        let node = &self.nodes[usize::from(node)];
        Endpoint {
            seed: *node.keyring.node.danger_to_seed(),
            addresses: node.config.addresses.clone(),
            relay: node.config.roles.relay && !node.config.addresses.is_empty(),
            metered: node.config.metered,
        }
    }

    /// The Internet as it is now, and where each node stands.
    #[must_use]
    pub fn ways(&self) -> (Internet, Vec<Spot>) {
        (self.internet.clone(), self.nodes.iter().map(|node| node.spot.clone()).collect())
    }

    /// Something outside broke a rule that must hold.
    pub fn break_rule(&mut self, invariant: &str, what: String) {
        self.violate(invariant, what);
    }

    /// The end, as [`World::run`] gives it.
    #[must_use]
    pub fn close(mut self) -> (Outcome, Checkpoints, Vec<String>) {
        self.now = self.end;
        self.finish()
    }
}
