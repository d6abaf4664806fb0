//! In which order one person's messages are offered: as they came in, and only so many at once. A ratchet opens messages
//! that are up to 100 out of their order and keeps 400 skipped keys, so a backlog offered in any order would lose its
//! oldest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};
use sha2::{Digest, Sha256};

use super::legs::{Held, Leg};
use crate::input::Follow;
use crate::locator::Lookup;
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Messages of one person that are untried or under way at once. With what phones and SMS networks shuffle it stays below
/// the 100 that a ratchet bears.
const WINDOW: usize = 32;

/// Names whose messages keep an order: all that are routed by the same device ID or number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line([u8; 16]);

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    /// The line of what a message is routed by.
    pub(super) fn of(lookup: &Lookup) -> Self {
        let bytes = postcard::to_allocvec(lookup).expect("writing to memory cannot fail");
        let mut short = [0; 16];
        short.copy_from_slice(&Sha256::digest(bytes)[..16]);
        Self(short)
    }
}

/// Messages that no home has accepted, and the lines they stand in.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    messages: BTreeMap<MessageId, Held>,
    /// By arrival; a message that gives way is in none.
    lines: BTreeMap<Line, BTreeSet<(Timestamp, MessageId)>>,
    /// By candidate: all that have a leg to it. What one node may help must be found without a look at all others.
    legs: BTreeMap<NodeId, BTreeSet<MessageId>>,
    /// Those with a device tag and without any leg.
    nowhere: BTreeSet<MessageId>,
    /// Those whose copies may go to custodians, from then on.
    spreading: BTreeSet<(Timestamp, MessageId)>,
}

impl Waiting {
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn get(&self, message: &MessageId) -> Option<&Held> {
        self.messages.get(message)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&MessageId, &Held)> {
        self.messages.iter()
    }

    /// Whether a message may be offered now: fewer than [`WINDOW`] stand before it, or it stands in no line.
    pub fn has_turn(&self, message: &MessageId, held: &Held) -> bool {
        let Some(line) = held.line.filter(|_| !held.gives_way()).and_then(|line| self.lines.get(&line)) else {
            return true;
        };
        line.range(..(held.received, *message)).take(WINDOW).count() < WINDOW
    }

    /// Messages whose turn has come since they were last looked at.
    fn next(&self, line: &Line) -> impl Iterator<Item = MessageId> {
        let first = self.lines.get(line).into_iter().flatten().take(WINDOW).map(|(_, message)| *message);
        first.filter(|message| self.messages.get(message).is_some_and(|held| !held.started))
    }

    /// Whether somebody in the line waits for others to go.
    fn is_long(&self, line: &Line) -> bool {
        self.lines.get(line).is_some_and(|line| line.len() > WINDOW)
    }

    /// Messages that have a leg to this candidate.
    pub fn with_leg(&self, candidate: &NodeId) -> impl Iterator<Item = (&MessageId, &Held, Leg)> {
        let messages = self.legs.get(candidate).into_iter().flatten();
        messages.filter_map(|message| self.leg_of(message, candidate))
    }

    /// One of the messages that wait for this candidate and have their turn: the first at or after a random name.
    pub fn any_waiting_for(&self, candidate: &NodeId, from: MessageId) -> Option<MessageId> {
        let messages = self.legs.get(candidate)?;
        let round = messages.range(from..).chain(messages.range(..from));
        let waits = round.filter_map(|message| self.leg_of(message, candidate));
        let mut waits = waits.filter(|(_, _, leg)| *leg == Leg::Unreachable);
        waits.find(|(message, held, _)| self.has_turn(message, held)).map(|(message, ..)| *message)
    }

    fn leg_of<'a>(&'a self, message: &'a MessageId, candidate: &NodeId) -> Option<(&'a MessageId, &'a Held, Leg)> {
        let held = self.messages.get(message)?;
        Some((message, held, *held.legs.get(candidate)?))
    }

    /// Messages with a device tag that nobody was found for yet.
    pub fn nowhere(&self) -> impl Iterator<Item = &MessageId> {
        self.nowhere.iter()
    }

    /// Messages of which custodians may get copies at `now`.
    pub fn spreading(&self, now: Timestamp) -> impl Iterator<Item = (&MessageId, &Held)> {
        let due = self.spreading.range(..=(now, MessageId([0xff; 32])));
        due.filter_map(|(_, message)| self.messages.get_key_value(message))
    }

    pub fn hold(&mut self, message: MessageId, held: Held) {
        self.release(&message);
        self.enter(message, &held);
        self.index(message, &held);
        self.messages.insert(message, held);
    }

    pub fn release(&mut self, message: &MessageId) {
        if let Some(held) = self.messages.remove(message) {
            self.leave(*message, &held);
            self.unindex(message, &held);
        }
    }

    /// Notes what became of a candidate; by that a message may give way, or take its place again.
    pub fn leg(&mut self, message: MessageId, candidate: NodeId, leg: Leg) {
        let Some(mut held) = self.messages.remove(&message) else { return };
        let before = held.gives_way();
        self.spreads(&message, &held, false);
        if held.legs.is_empty() {
            self.nowhere.remove(&message);
        }
        held.set(candidate, leg);
        self.legs.entry(candidate).or_default().insert(message);
        self.spreads(&message, &held, true);
        match (before, held.gives_way()) {
            (false, true) => self.leave(message, &held),
            (true, false) => {
                held.started = false;
                self.enter(message, &held);
            }
            _ => {}
        }
        self.messages.insert(message, held);
    }

    /// An attempt was made, and this pause follows.
    pub fn attempted(&mut self, message: &MessageId, delay: Duration) {
        if let Some(held) = self.messages.get_mut(message) {
            held.delay = delay;
            held.started = true;
        }
    }

    /// Remembers whom the filters name.
    pub fn named(&mut self, message: &MessageId, changes: u64, nodes: Vec<NodeId>) {
        if let Some(held) = self.messages.get_mut(message) {
            held.named = Some((changes, nodes));
        }
    }

    /// Custodians are asked to take copies.
    pub fn sprays(&mut self, message: &MessageId, at: Timestamp) {
        self.respread(message, |held| held.sprays(at));
    }

    /// A custodian took a copy for a candidate.
    pub fn sprayed(&mut self, message: &MessageId, candidate: NodeId, at: Timestamp) {
        self.respread(message, |held| held.sprayed(candidate, at));
    }

    /// It was woken before its turn.
    pub fn park(&mut self, message: &MessageId) {
        if let Some(held) = self.messages.get_mut(message) {
            held.started = false;
        }
    }

    fn respread(&mut self, message: &MessageId, change: impl FnOnce(&mut Held)) {
        let Some(held) = self.messages.get_mut(message) else { return };
        let before = held.spreads_from();
        change(held);
        let after = held.spreads_from();
        if before != after {
            before.map(|from| self.spreading.remove(&(from, *message)));
            after.map(|from| self.spreading.insert((from, *message)));
        }
    }

    fn spreads(&mut self, message: &MessageId, held: &Held, does: bool) {
        let Some(from) = held.spreads_from() else { return };
        if does {
            self.spreading.insert((from, *message))
        } else {
            self.spreading.remove(&(from, *message))
        };
    }

    fn index(&mut self, message: MessageId, held: &Held) {
        for candidate in held.legs.keys() {
            self.legs.entry(*candidate).or_default().insert(message);
        }
        if held.legs.is_empty() && held.tag.is_some() {
            self.nowhere.insert(message);
        }
        self.spreads(&message, held, true);
    }

    fn unindex(&mut self, message: &MessageId, held: &Held) {
        for candidate in held.legs.keys() {
            if let Some(messages) = self.legs.get_mut(candidate) {
                messages.remove(message);
                if messages.is_empty() {
                    self.legs.remove(candidate);
                }
            }
        }
        self.nowhere.remove(message);
        self.spreads(message, held, false);
    }

    fn enter(&mut self, message: MessageId, held: &Held) {
        if let Some(line) = held.line.filter(|_| !held.gives_way()) {
            self.lines.entry(line).or_default().insert((held.received, message));
        }
    }

    fn leave(&mut self, message: MessageId, held: &Held) {
        let Some(line) = held.line else { return };
        let Some(places) = self.lines.get_mut(&line) else { return };
        places.remove(&(held.received, message));
        if places.is_empty() {
            self.lines.remove(&line);
        }
    }
}

/// A message leaves its place, or may have: who waits behind it is looked at.
pub(super) fn moved(node: &Node, tx: &mut Tx<'_>, held: &Held) {
    if let Some(line) = held.line.filter(|line| node.delivery.held.is_long(line)) {
        let now = tx.now();
        tx.wake(now, Timer::Window(line));
    }
}

/// As [`moved`], by the message's name.
pub(super) fn moved_by(node: &Node, tx: &mut Tx<'_>, message: MessageId) {
    if let Some(held) = node.delivery.held.get(&message) {
        moved(node, tx, held);
    }
}

/// Those whose turn has come are tried, in the order in which they came in.
pub(crate) fn on_window(node: &Node, tx: &mut Tx<'_>, line: Line) -> Run {
    for message in node.delivery.held.next(&line) {
        tx.follow(Follow::Route(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use relaymesh_protocol::ids::Tag;

    use super::*;

    const HOME: NodeId = NodeId([9; 32]);

    fn message(n: u8) -> MessageId {
        // Names in another order than that of arrival.
        MessageId([255 - n; 32])
    }

    fn line() -> Line {
        Line([1; 16])
    }

    fn waiting(count: u8) -> Waiting {
        let mut waiting = Waiting::default();
        for n in 0..count {
            let mut held = Held::new(Timestamp(u64::from(n)), Some(line()));
            held.tag = Some(Tag([n; 16]));
            waiting.hold(message(n), held);
        }
        waiting
    }

    fn with_turn(waiting: &Waiting, count: u8) -> Vec<u8> {
        let turn = |n: &u8| waiting.get(&message(*n)).is_some_and(|held| waiting.has_turn(&message(*n), held));
        (0..count).filter(turn).collect()
    }

    #[test]
    fn the_first_in_line_have_their_turn_and_the_next_follow() {
        let mut waiting = waiting(40);
        assert_eq!(with_turn(&waiting, 40), (0..32).collect::<Vec<_>>());
        assert!(waiting.is_long(&line()));
        assert_eq!(waiting.next(&line()).count(), WINDOW);
        for n in 0..32 {
            waiting.attempted(&message(n), Duration::from_secs(2));
        }
        waiting.release(&message(3));
        assert_eq!(waiting.next(&line()).collect::<Vec<_>>(), [message(32)]);
    }

    #[test]
    fn a_declined_message_gives_way_and_is_in_line_again_when_somebody_else_may_hold_it() {
        let mut waiting = waiting(34);
        waiting.leg(message(0), HOME, Leg::Declined);
        assert_eq!(with_turn(&waiting, 34), (0..33).collect::<Vec<_>>(), "it may still be tried");
        waiting.leg(message(0), NodeId([8; 32]), Leg::Due);
        assert_eq!(with_turn(&waiting, 34), (0..32).collect::<Vec<_>>());
        assert_eq!(waiting.next(&line()).next(), Some(message(0)));
    }

    #[test]
    fn a_line_holds_up_nobody_in_another_and_sets_of_segments_stand_in_none() {
        let mut waiting = waiting(40);
        let alone = [MessageId([7; 32]), MessageId([8; 32])];
        waiting.hold(alone[0], Held::new(Timestamp(99), Some(Line([2; 16]))));
        waiting.hold(alone[1], Held::new(Timestamp(99), None));
        for one in alone {
            assert!(waiting.has_turn(&one, waiting.get(&one).unwrap()));
        }
        for n in 0..40 {
            waiting.release(&message(n));
        }
        waiting.release(&alone[0]);
        assert!(waiting.lines.is_empty() && waiting.len() == 1);
    }

    #[test]
    fn what_a_node_may_help_is_found_without_a_look_at_the_rest() {
        let mut waiting = waiting(4);
        let (now, other) = (Timestamp(86_400_000), NodeId([8; 32]));
        let names = |waiting: &Waiting| waiting.nowhere().copied().collect::<Vec<_>>();
        assert_eq!(names(&waiting), [3, 2, 1, 0].map(message));
        waiting.leg(message(1), HOME, Leg::Unreachable);
        waiting.leg(message(2), HOME, Leg::Silent);
        waiting.leg(message(2), other, Leg::Unreachable);
        assert_eq!(names(&waiting), [3, 0].map(message));
        let legs: Vec<_> = waiting.with_leg(&HOME).map(|(message, _, leg)| (*message, leg)).collect();
        assert_eq!(legs, [(message(2), Leg::Silent), (message(1), Leg::Unreachable)]);
        for from in [0, 255] {
            assert_eq!(waiting.any_waiting_for(&HOME, MessageId([from; 32])), Some(message(1)));
        }
        let spreading = |waiting: &Waiting| waiting.spreading(now).map(|(message, _)| *message).collect::<Vec<_>>();
        assert_eq!(spreading(&waiting), [2, 1].map(message));
        waiting.sprays(&message(1), now);
        assert_eq!(spreading(&waiting), [message(2)]);
        waiting.sprayed(&message(2), other, now);
        assert!(spreading(&waiting).is_empty() && waiting.spreading.len() == 2);
        waiting.leg(message(1), HOME, Leg::Due);
        assert_eq!(waiting.spreading.len(), 1);
        for n in 0..4 {
            waiting.release(&message(n));
        }
        assert!(waiting.legs.is_empty() && waiting.nowhere.is_empty() && waiting.spreading.is_empty());
    }
}
