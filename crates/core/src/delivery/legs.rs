//! A held message in memory: its legs, and when it is tried again.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use relaymesh_protocol::ids::{NodeId, Tag, Timestamp};

use super::window::Line;

/// Most candidates of one attempt.
pub(super) const CANDIDATES_MAX: usize = 4;
/// First pause between attempts.
const DELAY_MIN: Duration = Duration::from_secs(2);
/// Longest pause between attempts.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// The same while nobody is known who could be offered the message: whatever names somebody wakes it.
const SEARCH_LONG: Duration = Duration::from_hours(24);
/// And when it has waited for long a part of that time, up to this.
const SEARCH_MAX: Duration = Duration::from_hours(4 * 24);
const SEARCH_PART: u32 = 8;
/// An offer without receipt counts as silent after this.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(30);
/// Whoever declined is asked again after four times the pause before, at most this: what it lacked, an older message say,
/// may have come, but the same damaged payload is as damaged as before.
const DECLINED_MAX: Duration = Duration::from_hours(6);
/// Where no custodian took any, others are asked after this at least, or after so large a part of the time that the message had
/// waited: where a cut is long, custodians are full.
const SPRAY_RETRY: Duration = DELAY_MAX;
const SPRAY_RETRY_PART: u32 = 64;
/// Custodians get copies of a message again when the first ones are about to end, which live two weeks. One round is four copies:
/// more would fill custodians with the same, and brought nothing in any scenario of the simulator.
const SPRAY_EVERY: Duration = Duration::from_hours(13 * 24);
/// A message of which no custodian has a copy looks for one so often; a link that comes up wakes it.
const SPRAY_LOOK: Duration = Duration::from_hours(24);
/// So many offers to each candidate that met silence let others pass: whatever it is, this message does not get through.
const SILENT_TRIES: u32 = 3;

/// A message that no home has accepted.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// When it came in: a backlog is offered in this order.
    pub received: Timestamp,
    /// The last pause, for decorrelated jitter.
    pub delay: Duration,
    /// What became of the candidates.
    pub legs: BTreeMap<NodeId, Leg>,
    /// Whose messages it keeps its place among; a set of segments keeps none.
    pub line: Option<Line>,
    /// What filters are asked for, if it is routed by device ID.
    pub tag: Option<Tag>,
    /// Whom the filters named when there had been so many changes of them.
    pub named: Option<(u64, Vec<NodeId>)>,
    /// Its turn has come, and an attempt was made since.
    pub started: bool,
    /// How often each was offered the message.
    tries: BTreeMap<NodeId, u32>,
    /// How often each declined it, and when it had been offered the last time.
    declines: BTreeMap<NodeId, (u32, Timestamp)>,
    /// When custodians last took copies for each.
    sprays: BTreeMap<NodeId, Timestamp>,
    /// When custodians were last asked to.
    spray_tried: Timestamp,
}

impl Held {
    pub fn new(received: Timestamp, line: Option<Line>) -> Self {
        Self {
            received,
            delay: DELAY_MIN,
            legs: BTreeMap::new(),
            line,
            tag: None,
            named: None,
            started: false,
            tries: BTreeMap::new(),
            declines: BTreeMap::new(),
            sprays: BTreeMap::new(),
            spray_tried: Timestamp::default(),
        }
    }

    /// A custodian took a copy for a candidate.
    pub fn sprayed(&mut self, candidate: NodeId, at: Timestamp) {
        self.sprays.insert(candidate, at);
    }

    /// Custodians are asked to take copies.
    pub fn sprays(&mut self, at: Timestamp) {
        self.spray_tried = at;
    }

    /// Whether further copies may go to custodians: each attempt's for months would fill them.
    pub fn may_spray(&self, candidate: &NodeId, now: Timestamp) -> bool {
        match self.sprays.get(candidate) {
            Some(last) => now.since(*last) >= SPRAY_EVERY,
            None => self.retries_from() <= now,
        }
    }

    /// When it is worth looking whether they may get some again. If they may now, all that lacks is somebody to give them to:
    /// a link that comes up wakes the message.
    pub fn spray_at(&self, candidate: &NodeId, now: Timestamp) -> Timestamp {
        let again = self.sprays.get(candidate).map(|last| last.after(SPRAY_EVERY));
        self.looks_at(again.unwrap_or(now), now)
    }

    /// The same, when a custodian has just taken a copy.
    pub fn sprayed_until(&self, now: Timestamp) -> Timestamp {
        self.looks_at(now.after(SPRAY_EVERY), now)
    }

    /// When a message looks again that has something to do at `again`. What is found by number looks daily all the same: others
    /// may have to be asked for it, and no filter tells that they know it.
    fn looks_at(&self, again: Timestamp, now: Timestamp) -> Timestamp {
        if self.tag.is_some() && again > now { again } else { now.after(SPRAY_LOOK) }
    }

    /// From when on a link to somebody who may carry copies is of use to it; none while no candidate is away.
    pub fn spreads_from(&self) -> Option<Timestamp> {
        let away = self.legs.iter().filter(|(_, leg)| **leg == Leg::Unreachable);
        let from = away.map(|(candidate, _)| match self.sprays.get(candidate) {
            Some(last) => last.after(SPRAY_EVERY),
            None => self.retries_from(),
        });
        from.min()
    }

    /// When custodians may be asked again, none of whom took a copy.
    fn retries_from(&self) -> Timestamp {
        let waited = self.spray_tried.since(self.received);
        self.spray_tried.after(SPRAY_RETRY.max(waited / SPRAY_RETRY_PART))
    }

    /// Whether it no longer holds up the messages behind it: a candidate has declined it, or none says anything to it, and
    /// none is about to be asked. It is tried again all the same.
    pub fn gives_way(&self) -> bool {
        let asked = self.legs.values().any(|leg| matches!(leg, Leg::Due | Leg::Offered { .. }));
        let declined = self.legs.values().any(|leg| *leg == Leg::Declined);
        let mute = |candidate: &NodeId| self.tries.get(candidate).is_some_and(|tries| *tries >= SILENT_TRIES);
        let silent = self.legs.iter().all(|(candidate, leg)| *leg == Leg::Silent && mute(candidate));
        !asked && (declined || (silent && !self.legs.is_empty()))
    }

    /// Whether an attempt may bring something now that this node can be written to: it is a candidate, or becomes one if
    /// its filter `names` the person.
    pub fn gains(&self, node: &NodeId, names: impl FnOnce() -> bool) -> bool {
        self.legs.get(node).map_or_else(names, |leg| *leg != Leg::Declined)
    }

    /// Notes what became of a candidate.
    pub fn set(&mut self, candidate: NodeId, leg: Leg) {
        match leg {
            Leg::Offered { .. } => *self.tries.entry(candidate).or_default() += 1,
            Leg::Declined => {
                let (times, last) = self.declines.entry(candidate).or_default();
                if let Some(Leg::Offered { at }) = self.legs.get(&candidate) {
                    *last = *at;
                }
                *times = times.saturating_add(1);
            }
            Leg::Due | Leg::Silent | Leg::Unreachable => {}
        }
        self.legs.insert(candidate, leg);
    }

    /// Until when a candidate that declined is left alone.
    pub fn rests_until(&self, candidate: &NodeId) -> Option<Timestamp> {
        self.legs.get(candidate).filter(|leg| **leg == Leg::Declined)?;
        let (times, last) = self.declines.get(candidate)?;
        Some(last.after(DELAY_MIN.saturating_mul(1 << (2 * times).min(16)).min(DECLINED_MAX)))
    }

    /// Lower is tried first: who was tried least, so that no number of liars keeps a message from its home, then by how it
    /// answered.
    pub fn order(&self, candidate: &NodeId) -> (u32, u8) {
        let tries = self.tries.get(candidate).copied().unwrap_or(0);
        (tries, self.legs.get(candidate).map_or(0, |leg| leg.rank()))
    }
}

/// One candidate's share of a message's delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// It has just become a candidate, or a link to it has come up: it is asked when it is the message's turn.
    Due,
    /// An envelope is on its way, or taken.
    Offered {
        /// Since when.
        at: Timestamp,
    },
    /// It says it is not the home, or cannot open it. Asked again after a rest, after the others.
    Declined,
    /// It promised nothing in time, or broke its promise.
    Silent,
    /// No way to it was found.
    Unreachable,
}

impl Leg {
    /// Whether an attempt at `now` should leave this leg alone.
    pub fn waits(self, now: Timestamp) -> bool {
        matches!(self, Self::Offered { at } if now.since(at) < SILENT_AFTER)
    }

    /// Lower is tried first.
    fn rank(self) -> u8 {
        match self {
            Self::Due | Self::Offered { .. } => 0,
            Self::Unreachable => 1,
            Self::Silent => 2,
            Self::Declined => 3,
        }
    }
}

/// The pause after `previous` while nobody is known who could be offered a message that has waited for so long: four to five times
/// as long. Pauses that only grow by chance would make a hundred attempts of what these do in nine.
pub(crate) fn next_search(previous: Duration, waited: Duration, rng: &mut ChaCha20Rng) -> Duration {
    let longest = (waited / SEARCH_PART).clamp(SEARCH_LONG, SEARCH_MAX);
    let previous = previous.max(DELAY_MIN).as_millis() as u64;
    Duration::from_millis(4 * previous + rng.next_u64() % previous).min(longest)
}

/// The pause after `previous`: uniform between the shortest and three times the last, capped ("decorrelated jitter").
pub(crate) fn next_delay(previous: Duration, longest: Duration, rng: &mut ChaCha20Rng) -> Duration {
    let low = DELAY_MIN.as_millis() as u64;
    let high = (previous.as_millis() as u64).saturating_mul(3).clamp(low + 1, longest.as_millis() as u64);
    Duration::from_millis(low + rng.next_u64() % (high - low))
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn who_was_tried_least_is_tried_first() {
        let (liar, home) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut held = Held::new(Timestamp(0), None);
        for node in [liar, home] {
            held.set(node, Leg::Offered { at: Timestamp(0) });
        }
        held.set(liar, Leg::Unreachable);
        held.set(home, Leg::Silent);
        assert!(held.order(&liar) < held.order(&home));
        held.set(liar, Leg::Offered { at: Timestamp(1) });
        held.set(liar, Leg::Unreachable);
        assert!(held.order(&home) < held.order(&liar));
    }

    #[test]
    fn a_message_gives_way_when_nobody_who_can_be_asked_is_left() {
        let (home, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut held = Held::new(Timestamp(0), None);
        assert!(!held.gives_way(), "nobody was asked");
        held.set(home, Leg::Offered { at: Timestamp(0) });
        held.set(other, Leg::Declined);
        assert!(!held.gives_way(), "the home has not answered");
        held.set(home, Leg::Unreachable);
        assert!(held.gives_way());
        held.set(home, Leg::Due);
        assert!(!held.gives_way(), "the home is back");
        held.set(home, Leg::Declined);
        assert!(held.gives_way());
    }

    #[test]
    fn a_way_helps_messages_of_its_node_and_those_that_its_filter_names() {
        let home = NodeId([1; 32]);
        let mut held = Held::new(Timestamp(0), None);
        assert!(held.gains(&home, || true) && !held.gains(&home, || false));
        held.set(home, Leg::Unreachable);
        assert!(held.gains(&home, || false));
        held.set(home, Leg::Declined);
        assert!(!held.gains(&home, || true));
    }

    #[test]
    fn custodians_get_further_copies_when_the_first_are_about_to_end() {
        let home = NodeId([1; 32]);
        let hours = |n: u64| Timestamp(n * 3_600_000 + 86_400_000);
        let mut held = Held::new(Timestamp(0), None);
        let sprayed: Vec<u64> = (0..14 * 24)
            .filter(|n| {
                let may = held.may_spray(&home, hours(*n));
                if may {
                    held.sprayed(home, hours(*n));
                    held.sprayed(home, hours(*n));
                }
                may
            })
            .collect();
        assert_eq!(sprayed.iter().map(|hours| hours / 24).collect::<Vec<_>>(), [0, 13]);
    }

    #[test]
    fn whoever_declines_is_asked_ever_more_seldom() {
        let home = NodeId([1; 32]);
        let seconds = |n: u64| Timestamp(1_000 * n);
        let mut held = Held::new(Timestamp(0), None);
        let (mut now, mut rests) = (seconds(1_000_000), Vec::new());
        assert_eq!(held.rests_until(&home), None);
        for _ in 0..9 {
            held.set(home, Leg::Offered { at: now });
            assert_eq!(held.rests_until(&home), None, "it may say yes");
            held.set(home, Leg::Declined);
            let until = held.rests_until(&home).unwrap();
            rests.push(until.since(now).as_secs());
            now = until;
        }
        assert_eq!(rests, [8, 32, 128, 512, 2_048, 8_192, 21_600, 21_600, 21_600]);
    }

    #[test]
    fn silence_lets_others_pass_after_three_offers() {
        let home = NodeId([1; 32]);
        let mut held = Held::new(Timestamp(0), None);
        for n in 1..=3 {
            held.set(home, Leg::Offered { at: Timestamp(n) });
            held.set(home, Leg::Silent);
            assert_eq!(held.gives_way(), n == 3, "offer {n}");
        }
        held.set(home, Leg::Unreachable);
        assert!(!held.gives_way(), "a home that is away holds its person's messages up");
    }

    #[test]
    fn a_search_takes_nine_attempts_to_its_longest_pause() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut delay = DELAY_MIN;
        for attempt in 1..=9 {
            let next = next_search(delay, Duration::ZERO, &mut rng);
            assert!(next >= (delay * 4).min(SEARCH_LONG) && next <= SEARCH_LONG, "attempt {attempt}");
            delay = next;
        }
        assert_eq!(delay, SEARCH_LONG);
        assert_eq!(
            next_search(delay, SEARCH_LONG * 16, &mut rng),
            SEARCH_LONG * 2,
            "an eighth of the time it has waited"
        );
        assert_eq!(next_search(delay, SEARCH_MAX * 20, &mut rng), SEARCH_MAX);
    }

    #[test]
    fn a_message_whose_copies_lack_only_a_carrier_sleeps_until_one_comes() {
        let home = NodeId([1; 32]);
        let mut held = Held::new(Timestamp(0), None);
        held.tag = Some(Tag([1; 16]));
        assert_eq!(held.spreads_from(), None, "nobody is away");
        held.set(home, Leg::Unreachable);
        let now = Timestamp(86_400_000);
        assert_eq!(held.spreads_from(), Some(Timestamp(0).after(SPRAY_RETRY)));
        assert_eq!(held.spray_at(&home, now), now.after(SPRAY_LOOK));
        held.sprayed(home, now);
        assert_eq!(
            (held.spreads_from(), held.spray_at(&home, now)),
            (Some(now.after(SPRAY_EVERY)), now.after(SPRAY_EVERY))
        );
        let later = now.after(SPRAY_EVERY);
        assert!(held.may_spray(&home, later) && held.spray_at(&home, later) == later.after(SPRAY_LOOK));
        held.tag = None;
        assert_eq!(held.spray_at(&home, now), now.after(SPRAY_LOOK), "what is found by number looks daily");
    }

    #[test]
    fn pauses_stay_within_bounds_and_grow() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut delay = DELAY_MIN;
        let mut longest = delay;
        for _ in 0..200 {
            delay = next_delay(delay, DELAY_MAX, &mut rng);
            assert!(delay >= DELAY_MIN && delay <= DELAY_MAX);
            longest = longest.max(delay);
        }
        assert!(longest > Duration::from_secs(300));
    }
}
