//! What happens at midnight, and what must hold at the end.

use super::message::Message;
use super::{Event, World};
use crate::invariants::DISK_TAKES_ALL;
use crate::kernel::{Purpose, Span};
use crate::scenario::FaultKind;

impl World<'_> {
    pub(super) fn on_day(&mut self) {
        self.push(Span::DAY, Event::Day);
        for node in 0..u16::try_from(self.nodes.len()).expect("fewer than 65,536 nodes") {
            self.listen_to(node);
        }
        self.hunt_numbers();
        self.free_texts();
        self.check_midnight();
    }

    /// Gateway numbers that the censor has learnt are blocked.
    fn hunt_numbers(&mut self) {
        for (n, struck) in (0_u64..).zip(&self.faults) {
            let (FaultKind::NumberHunt, super::Target::Gateway(gateway)) = (struck.kind, struck.target) else {
                continue;
            };
            let own = &mut self.gateways[usize::from(gateway)];
            let Some(first) = own.first_used else { continue };
            let shortest = Span::from_secs_f64(struck.amount.unwrap_or(0.0) * 86_400.0);
            let longest = struck.until.unwrap_or(shortest);
            let delay = self.chance.draw(Purpose::NumberBlock, u64::from(gateway), n).span(shortest, longest);
            let begun = self.now.0 >= self.scenario.warmup.0 + struck.from.0;
            own.blocked |= begun && self.now.since(first) >= delay;
        }
    }

    /// Texts that nobody will send or post again.
    fn free_texts(&mut self) {
        for own in self.messages.iter_mut().filter(|own| own.text.is_some()) {
            if own.is_settled() && own.in_flight == 0 && own.at_gateways == 0 {
                own.text = None;
            }
        }
    }

    /// Whether somebody still has a message that is not on the platform.
    pub(super) fn is_safe(&self, own: &Message) -> bool {
        if own.dropped {
            return false;
        }
        let there = |node: &u16| !self.nodes[usize::from(*node)].gone;
        match own.consumed {
            Some(home) => there(&home),
            None => own.holders.iter().any(there),
        }
    }

    /// Rules of the whole run.
    pub(super) fn check_end(&mut self) {
        self.check_midnight();
        self.check_healed();
        for node in 0..self.nodes.len() {
            let Some(core) = self.nodes[node].core() else { continue };
            if core.counters().get("store_failed").is_some_and(|count| *count > 0) {
                self.violate(DISK_TAKES_ALL, format!("a batch of node {node} met another version"));
            }
        }
    }
}
