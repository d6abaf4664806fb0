//! People who carry bundles by hand: out of a region that is cut, to a node that is not.

use relaymesh_core::Input;
use relaymesh_core::ReplyTo;
use relaymesh_core::command::{Command, OperatorCommand, OperatorReply, Reply};

use super::frames::Waiter;
use super::{Event, World};
use crate::kernel::{Purpose, Span};

impl World<'_> {
    /// The next trip, out of whatever region is cut then.
    pub(super) fn start_couriers(&mut self) {
        if self.scenario.switches.bundles && self.scenario.couriers.daily > 0.0 {
            self.next_courier(0);
        }
    }

    fn next_courier(&mut self, n: u32) {
        let mean = 86_400.0 / self.scenario.couriers.daily;
        let wait = self.chance.draw(Purpose::Courier, 0, u64::from(n)).exponential(mean);
        self.push(Span::from_secs_f64(wait), Event::Courier { n });
    }

    /// Sets out at every node that is cut off and holds something, for a node that is not.
    pub(super) fn on_courier(&mut self, n: u32) {
        self.next_courier(n + 1);
        let cut = |node: &super::SimNode| node.spot.cut > 0;
        let outside: Vec<u16> = self.indices(|node| node.alive() && !cut(node));
        let inside: Vec<u16> = self.indices(|node| node.alive() && cut(node));
        for from in inside {
            let draw = self.chance.draw(Purpose::Courier, u64::from(from) + 1, u64::from(n));
            let Some(to) = outside.get(draw.below(outside.len())).copied() else { continue };
            let reply = self.wait(from, Waiter::Courier { to });
            self.feed(from, Input::Command { reply, command: Command::Operator(OperatorCommand::BundleExport) });
        }
    }

    pub(super) fn indices(&self, wanted: impl Fn(&super::SimNode) -> bool) -> Vec<u16> {
        (0_u16..).zip(&self.nodes).filter(|(_, node)| wanted(node)).map(|(index, _)| index).collect()
    }

    /// The bundle is on the stick.
    pub(super) fn on_bundle(&mut self, _from: u16, to: u16, reply: Reply) {
        let Reply::Operator(OperatorReply::Bundle { bytes, envelopes, .. }) = reply else { return };
        if envelopes == 0 {
            return;
        }
        self.count("bundles_carried");
        let command = Command::Operator(OperatorCommand::BundleImport { bytes });
        let input = Input::Command { reply: ReplyTo::NOBODY, command };
        self.feed_later(self.scenario.couriers.travel, to, input);
    }
}
