//! The central service as it is today, as far as it decides what becomes of a message: one gateway server and one vault at
//! one place abroad. A gateway client posts once; whatever cannot be published in that moment is lost, and no one hears of
//! it. Source: the notes on upstream's behaviour (interop, message loss and correctness).

use super::frames::Frame;
use super::places::{Labels, Spot};
use super::{Target, World};
use crate::kernel::Purpose;
use crate::outcome::Told;

impl World<'_> {
    /// A gateway client's one post.
    pub(super) fn post_upstream(&mut self, gateway: u16, message: u32) {
        let server = Spot::new(u16::MAX, true, u32::MAX, Labels::default());
        let there = &self.gateways[usize::from(gateway)].spot;
        let latency = self.internet.latency(there, &server, &self.chance, self.luck_of_post(gateway, message, 0));
        if !self.internet.open(there, &server) {
            return self.lost_upstream(message);
        }
        if self.has_line(Target::Gateway(gateway)) {
            return self.send_frame(Frame::Central { gateway, message }, latency, false);
        }
        match latency {
            Some(_) => self.on_central(message),
            None => self.lost_upstream(message),
        }
    }

    /// A post that nobody got, and that is not made again.
    pub(super) fn lost_upstream(&mut self, message: u32) {
        let own = &mut self.messages[message as usize];
        own.at_gateways = own.at_gateways.saturating_sub(1);
        own.gateway_lost = true;
    }

    /// The post is there.
    pub(super) fn on_central(&mut self, message: u32) {
        // No queue and no memory: published in this moment or never, and a second copy fails its MAC.
        let now = self.now;
        let (entity, n) = self.luck_of_attempt(Some(message));
        let busy = self.chance.draw(Purpose::PlatformFault, entity, n).happens(self.scenario.platform.busy.0);
        let down = self.platform.down > 0;
        let own = &mut self.messages[message as usize];
        own.at_gateways = own.at_gateways.saturating_sub(1);
        own.accepted.get_or_insert(now);
        if own.consumed.is_some() {
            return;
        }
        own.consumed = Some(0);
        if busy || down {
            own.dropped = true;
            return;
        }
        self.posted(message);
        // Its delivery SMS leaves through a provider abroad.
        let own = &mut self.messages[message as usize];
        own.told = Told::Published;
    }
}
