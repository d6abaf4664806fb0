//! Everything the node can be woken for, and when.

use std::collections::BTreeMap;

use relaymesh_protocol::ids::{EntityId, MessageId, NodeId, Timestamp};

use crate::delivery::Line;
use crate::output::WorkId;

/// One reason to wake up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A caller has waited long enough for a message's outcome.
    ReplyWait(u64),
    /// Try to route and offer this message again.
    Route(MessageId),
    /// Somebody in a line of messages gave way: the next have their turn.
    Window(Line),
    /// Whether a candidate that could not be reached is back is tried.
    Reach(NodeId),
    /// A member that connected again within a minute sets in motion what waits for it.
    Link(NodeId),
    /// An unanswered leg counts as silent.
    LegSilent(MessageId, NodeId),
    /// An incomplete segment set is sent on, then given up.
    Segments([u8; 16]),
    /// What a segment set at its home makes is tried, or it ends.
    HomeSet([u8; 16]),
    /// A job's next attempt.
    Job(MessageId),
    /// The content of an uncertain job is destroyed.
    Kept(MessageId),
    /// The SMS queue's next attempt.
    Sms([u8; 16]),
    /// A custody copy's next offer, or its end.
    Custody(NodeId),
    /// Receipts that were gathered for a node leave in one envelope.
    Receipts(NodeId),
    /// Declines that were gathered for a node leave.
    Declines(NodeId),
    /// An ingress may lack receipts: they are said again.
    Remind(NodeId),
    /// The outcome of a message is forgotten.
    Outcome(MessageId),
    /// What gateway clients brought is written down.
    GatewayUse,
    /// Anti-entropy with a few random peers.
    Gossip,
    /// Rebuild the recent filter.
    FilterRecent,
    /// Somebody new has come: the recent filter need not wait for its minute.
    FilterSoon,
    /// Daily work: base filter, key rotation, expiry of records.
    Daily,
    /// Messages that wait may have found a way: members, keys or partners are new.
    Ways,
    /// That others are heard of is noted, so that it is known after a start.
    Heard,
    /// The node record is renewed before it expires.
    RenewRecord,
    /// A question without an answer is given up.
    Question(u64),
    /// A ping without an answer is given up.
    Ping(u64),
    /// Spare ration is spent on audits of partners' filters.
    Audit,
    /// An unconsumed refusal may now be told to the sender.
    Refusal(EntityId, MessageId),
    /// The next page of old rows is swept.
    Sweep,
    /// The node begins again to act: the store was down when it first did.
    Start,
    /// The next part of a bundle is taken in.
    Import,
    /// The end of a piece of work that met a failing store is dealt with again.
    Worked(WorkId),
}

/// The timers in order. Same moment: first set, first fired.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeMap<(Timestamp, u64), Timer>,
    at: BTreeMap<Timer, (Timestamp, u64)>,
    next: u64,
}

impl Timers {
    /// Sets or moves a timer: one entry per timer value.
    pub fn set(&mut self, at: Timestamp, timer: Timer) {
        if let Some(old) = self.at.remove(&timer) {
            self.queue.remove(&old);
        }
        let slot = (at, self.next);
        self.next += 1;
        self.at.insert(timer.clone(), slot);
        self.queue.insert(slot, timer);
    }

    /// Sets a timer, unless it is set to an earlier moment.
    pub fn set_by(&mut self, at: Timestamp, timer: Timer) {
        if self.at.get(&timer).is_none_or(|(set, _)| *set > at) {
            self.set(at, timer);
        }
    }

    /// A timer is not needed any more.
    pub fn cancel(&mut self, timer: &Timer) {
        if let Some(slot) = self.at.remove(timer) {
            self.queue.remove(&slot);
        }
    }

    /// When the next timer is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next timer that is due.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Timer> {
        let (slot, _) = self.queue.first_key_value()?;
        if slot.0 > now {
            return None;
        }
        let (_, timer) = self.queue.pop_first()?;
        self.at.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_set_twice_fires_once_at_the_later_setting() {
        let mut timers = Timers::default();
        timers.set(Timestamp(5), Timer::Gossip);
        timers.set(Timestamp(9), Timer::Gossip);
        timers.set(Timestamp(7), Timer::Daily);
        assert_eq!(timers.next(), Some(Timestamp(7)));
        assert_eq!(timers.take_due(Timestamp(6)), None);
        assert_eq!(timers.take_due(Timestamp(10)), Some(Timer::Daily));
        assert_eq!(timers.take_due(Timestamp(10)), Some(Timer::Gossip));
        assert_eq!(timers.take_due(Timestamp(10)), None);
    }

    #[test]
    fn a_cancelled_timer_does_not_fire_and_can_be_set_again() {
        let mut timers = Timers::default();
        timers.set(Timestamp(5), Timer::Gossip);
        timers.cancel(&Timer::Gossip);
        timers.cancel(&Timer::Daily);
        assert_eq!(timers.next(), None);
        timers.set(Timestamp(7), Timer::Gossip);
        assert_eq!(timers.take_due(Timestamp(7)), Some(Timer::Gossip));
    }

    #[test]
    fn a_timer_set_by_a_moment_keeps_the_earlier_one() {
        let mut timers = Timers::default();
        for at in [7, 9, 5, 6] {
            timers.set_by(Timestamp(at), Timer::Gossip);
        }
        assert_eq!(timers.take_due(Timestamp(5)), Some(Timer::Gossip));
        assert_eq!(timers.next(), None);
    }
}
