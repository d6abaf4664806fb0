//! Candidates that could not be reached. Whether one is back is tried by one message at a time, at the pace of retries; all
//! others that wait for it sleep until then. A thousand messages for a node that is cut off would otherwise cost a thousand
//! attempts at each pause, for months.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_core::Rng;
use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};

use super::custody::{self, spread_targets};
use super::legs::{DELAY_MAX, Held, Leg, next_delay};
use super::{Change, route};
use crate::input::Follow;
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// So many candidates are tried within a pause. Where more are away it is this node that is cut off, and any of them tells
/// when it no longer is: then all are tried.
const TRIED_AT_ONCE: usize = 8;
/// But no more seldom than one of them in this time.
const ONE_IN: Duration = Duration::from_secs(5 * 60);
/// Who has been away for long is tried after so large a part of that time, up to the longest. What brings somebody back for
/// whom many wait is a link that it makes, one to somebody else who was away, or its newer record, which it makes when it is
/// back: each wakes all.
const PART: u32 = 16;
/// So long is long: then that part is more than the longest pause of retries.
pub(super) const LONG: Duration = Duration::from_hours(4);
const LONGEST: Duration = Duration::from_hours(12);
/// Without any link for so long, this node itself may have been cut off: more than two of the longest pauses between comparisons.
const ALONE: Duration = Duration::from_hours(5);

/// How one candidate is tried.
#[derive(Clone, Copy, Debug)]
struct Away {
    /// The last pause, for decorrelated jitter.
    pause: Duration,
    /// Nothing is offered to it until the pause is over.
    out: bool,
    /// When it was first found away.
    since: Timestamp,
}

/// Candidates that could not be reached when they were last offered something. There are no more than members.
#[derive(Debug, Default)]
pub(super) struct Absent {
    by: BTreeMap<NodeId, Away>,
    /// When a link last came up.
    linked: Timestamp,
}

impl Absent {
    /// A link to it came up.
    pub fn linked(&mut self, node: &NodeId, now: Timestamp) {
        self.found(node);
        self.linked = now;
    }

    /// Nobody could reach it at `now`; this pause follows.
    pub fn missed(&mut self, node: NodeId, pause: Duration, now: Timestamp) {
        let since = self.by.get(&node).map_or(now, |away| away.since);
        self.by.insert(node, Away { pause, out: true, since });
    }

    /// The pause is over: what is offered next shows whether it is back.
    pub fn try_again(&mut self, node: &NodeId) {
        if let Some(away) = self.by.get_mut(node) {
            away.out = false;
        }
    }

    /// It is there.
    pub fn found(&mut self, node: &NodeId) {
        self.by.remove(node);
    }

    /// When it was first found away.
    pub fn since(&self, node: &NodeId) -> Option<Timestamp> {
        self.by.get(node).map(|away| away.since)
    }

    /// Whether nothing is offered to it until a pause is over: somebody tries then whether it is back.
    pub fn is_out(&self, node: &NodeId) -> bool {
        self.by.get(node).is_some_and(|away| away.out)
    }
}

/// Whether a message has nothing to offer to this candidate now: it found it away, so has everybody since, and custodians
/// have their copies, or there are none.
pub(super) fn waits_for(node: &Node, held: &Held, candidate: &NodeId, now: Timestamp) -> bool {
    let missed = held.legs.get(candidate) == Some(&Leg::Unreachable);
    let spreads = || held.may_spray(candidate, now) && !spread_targets(node, candidate, &[], 1).is_empty();
    missed && node.delivery.absent.is_out(candidate) && !spreads()
}

/// An offer did not get through to a candidate.
pub(super) fn missed(node: &Node, tx: &mut Tx<'_>, candidate: NodeId) {
    let known = node.delivery.absent.by.get(&candidate).copied();
    if known.is_some_and(|away| away.out) {
        return;
    }
    let now = tx.now();
    let pause = next_delay(known.map_or(Duration::ZERO, |away| away.pause), DELAY_MAX, tx.rng());
    tx.change(Change::Missed(candidate, pause, now));
    let pause = pause.max(long_pause(known.map_or(Duration::ZERO, |away| now.since(away.since)), tx.rng()));
    let at = now.after(among_many(pause, node.delivery.absent.by.len()));
    tx.wake(at, Timer::Reach(candidate));
}

/// The least pause after somebody was away for so long; half of it is left to chance.
pub(super) fn long_pause(away: Duration, rng: &mut impl Rng) -> Duration {
    let most = (away / PART).min(LONGEST);
    if most <= DELAY_MAX {
        return Duration::ZERO;
    }
    let half = most.as_millis() as u64 / 2;
    Duration::from_millis(half + rng.next_u64() % half)
}

/// A pause where so many are away.
pub(super) fn among_many(pause: Duration, away: usize) -> Duration {
    let away = u32::try_from(away).unwrap_or(u32::MAX);
    let crowd = away / TRIED_AT_ONCE as u32;
    if crowd < 2 { pause } else { pause.saturating_mul(crowd).min(pause.max(ONE_IN.saturating_mul(away))) }
}

/// An offer did not get through, and all others that were asked are away too: whoever of them comes back wakes the message,
/// and until then it only has copies for custodians, when it is time for them.
pub(super) fn rest(node: &Node, tx: &mut Tx<'_>, message: MessageId, missed: NodeId) {
    let Some(held) = node.delivery.held.get(&message) else { return };
    let now = tx.now();
    if held.legs.iter().all(|(id, leg)| *leg == Leg::Unreachable || *id == missed) {
        let next = held.legs.keys().map(|candidate| held.spray_at(candidate, now)).min();
        tx.wake(next.unwrap_or(now.after(DELAY_MAX)), Timer::Route(message));
    }
}

/// A custodian took a copy of a message that rests: until it is time for more it has nothing to do.
pub(super) fn rest_sprayed(node: &Node, tx: &mut Tx<'_>, message: MessageId, candidate: NodeId) {
    let Some(held) = node.delivery.held.get(&message) else { return };
    // Somebody who is there and refused, or to whom too much is under way, is asked again soon.
    let away = |(id, leg): (&NodeId, &Leg)| *leg == Leg::Unreachable && node.delivery.absent.is_out(id);
    if held.legs.iter().all(away) {
        let now = tx.now();
        let others = held.legs.keys().filter(|other| **other != candidate).map(|other| held.spray_at(other, now));
        let next = others.chain([held.sprayed_until(now)]).min().unwrap_or(now);
        tx.wake(next, Timer::Route(message));
    }
}

/// A candidate was reached: all that waited for it go.
pub(super) fn found(node: &Node, tx: &mut Tx<'_>, candidate: NodeId) {
    let absent = &node.delivery.absent.by;
    if absent.contains_key(&candidate) {
        tx.change(Change::Found(candidate));
        custody::on_found(node, tx, candidate);
        route::route_missed(node, tx, &candidate);
        // This node was cut off, and is no longer: there may be ways to all.
        if absent.len() > TRIED_AT_ONCE {
            rouse(node, tx, usize::MAX);
        }
    }
}

/// A pause is over: one of the messages that wait for the candidate tries. Which one is left to chance, and the timer runs on:
/// the one that tries may have found a home elsewhere, and offer nothing.
pub(crate) fn on_reach(node: &Node, tx: &mut Tx<'_>, candidate: NodeId) -> Run {
    let from = MessageId(tx.random());
    match node.delivery.held.any_waiting_for(&candidate, from) {
        Some(message) => {
            tx.change(Change::TryAgain(candidate));
            tx.follow(Follow::Route(message));
            let at = tx.now().after(DELAY_MAX);
            tx.wake(at, Timer::Reach(candidate));
        }
        None => {
            tx.change(Change::Found(candidate));
            custody::on_found(node, tx, candidate);
        }
    }
    Ok(())
}

/// A link came up, so there may be ways to others too. To one that was away itself: all are tried now. The first for hours:
/// some of them.
pub(super) fn on_connected(node: &Node, tx: &mut Tx<'_>, peer: NodeId) {
    let (absent, now) = (&node.delivery.absent, tx.now());
    let was_away = absent.by.contains_key(&peer);
    // Where links come and go one more says nothing; after hours without, this node may have been cut off.
    let was_alone = now.since(absent.linked) >= ALONE;
    let most = if was_away { usize::MAX } else { TRIED_AT_ONCE };
    if was_away || was_alone {
        rouse(node, tx, most);
    }
    tx.change(Change::Linked(peer, now));
}

/// A member says something new of itself: it may be back, or elsewhere. If it was away, one message tries it for all.
pub(crate) fn on_news(node: &Node, tx: &mut Tx<'_>, most: usize, member: &NodeId) {
    if node.delivery.absent.by.contains_key(member) {
        tx.wake_by(tx.now(), Timer::Reach(*member));
    } else {
        route::route_to(node, tx, most, member);
    }
    custody::on_news(node, tx, member);
}

/// Has so many that are away tried now, whose pause has been the longest.
fn rouse(node: &Node, tx: &mut Tx<'_>, most: usize) {
    let (now, mut out) = (tx.now(), Vec::new());
    out.extend(node.delivery.absent.by.iter().filter(|(_, away)| away.out));
    out.sort_unstable_by_key(|(id, away)| (std::cmp::Reverse(away.pause), **id));
    for (candidate, _) in out.into_iter().take(most) {
        tx.wake_by(now, Timer::Reach(*candidate));
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn who_is_away_is_out_until_the_pause_is_over() {
        let (mut absent, home) = (Absent::default(), NodeId([1; 32]));
        assert!(!absent.is_out(&home));
        absent.missed(home, Duration::from_secs(2), Timestamp(1));
        assert!(absent.is_out(&home));
        absent.try_again(&home);
        assert!(!absent.is_out(&home) && absent.by[&home].pause == Duration::from_secs(2), "the pause is remembered");
        absent.missed(home, Duration::from_secs(4), Timestamp(9));
        assert_eq!(absent.by[&home].since, Timestamp(1));
        absent.found(&home);
        assert!(absent.by.is_empty());
    }

    #[test]
    fn who_is_away_for_long_is_tried_more_seldom() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let hours = Duration::from_hours;
        assert_eq!(
            long_pause(hours(4), &mut rng),
            Duration::ZERO,
            "an outage of hours is tried at the pace of retries"
        );
        for (away, most) in [(16, 1), (32, 2), (192, 12), (2_000, 12)] {
            let pause = long_pause(hours(away), &mut rng);
            assert!(pause >= hours(most) / 2 && pause < hours(most), "{away} h: {pause:?}");
        }
    }

    #[test]
    fn where_many_are_away_a_few_are_tried_for_all() {
        let minutes = Duration::from_mins;
        assert_eq!(among_many(minutes(10), 15), minutes(10));
        assert_eq!(among_many(minutes(10), 80), minutes(100));
        assert_eq!(among_many(minutes(100), 80), minutes(400), "one of them in five minutes at least");
        assert_eq!(among_many(minutes(100), 16), minutes(100));
    }
}
