//! The central service as it is today, as far as it decides what becomes of a message: one gateway server and one vault at
//! one place abroad. A gateway client posts once; whatever cannot be published in that moment is lost, and no one hears of
//! it. Source: the notes on upstream's behaviour (interop, message loss and correctness).

use super::World;
use super::places::{Labels, Spot};
use crate::kernel::Purpose;
use crate::outcome::Told;

impl World<'_> {
    /// A gateway client's one post.
    pub(super) fn post_upstream(&mut self, gateway: u16, message: u32) {
        let own = &mut self.messages[message as usize];
        own.at_gateways = own.at_gateways.saturating_sub(1);
        let server = Spot::new(u16::MAX, true, u32::MAX, Labels::default());
        let there = &self.gateways[usize::from(gateway)].spot;
        let latency = self.internet.latency(there, &server, &self.chance, self.luck_of_post(gateway, message, 0));
        if latency.is_none() || !self.internet.open(there, &server) {
            self.messages[message as usize].gateway_lost = true;
            return;
        }
        // No queue and no memory: published in this moment or never, and a second copy fails its MAC.
        let now = self.now;
        let (entity, n) = self.luck_of_attempt(Some(message));
        let busy = self.chance.draw(Purpose::PlatformFault, entity, n).happens(self.scenario.platform.busy.0);
        let down = self.platform.down > 0;
        let own = &mut self.messages[message as usize];
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
