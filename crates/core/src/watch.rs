//! What somebody who watches over many nodes may ask of one: nothing here changes it. The simulator checks its rules by
//! these answers instead of keeping books of its own about what a node believes.

use relaymesh_protocol::frame::FilterHead;
use relaymesh_protocol::ids::MessageId;

use crate::node::Node;
use crate::{delivery, egress, home, locator};

/// Something that others can make a node hold, and the most that it lets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// What.
    pub name: &'static str,
    /// How much of it there is.
    pub value: usize,
    /// Its cap.
    pub cap: usize,
}

impl Gauge {
    /// Whether the cap is kept.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.value <= self.cap
    }
}

impl Node {
    /// Whether this node, as ingress, keeps its copy of a message: no home has proven that it has it.
    #[must_use]
    pub fn holds(&self, message: &MessageId) -> bool {
        self.delivery.holds(message)
    }

    /// Whether this node, as home, owes a message's publication.
    #[must_use]
    pub fn owes(&self, message: &MessageId) -> bool {
        self.home.owes(message)
    }

    /// Every fact that this node knows, by what it is about and its number, and every filter.
    #[must_use]
    pub fn knowledge(&self) -> (Vec<(Vec<u8>, u64)>, Vec<FilterHead>) {
        (self.membership.fact_versions(), locator::filter_heads(self).to_vec())
    }

    /// How full everything is that others can fill.
    #[must_use]
    pub fn gauges(&self) -> Vec<Gauge> {
        let mut gauges = delivery::gauges(self);
        gauges.extend(egress::gauges(self));
        gauges.extend(home::gauges(self));
        gauges.extend(self.membership.gauges());
        gauges
    }
}
