//! Candidates that could not be reached. Whether one is back is tried by one message at a time, at the pace of retries; all
//! others that wait for it sleep until then. A thousand messages for a node that is cut off would otherwise cost a thousand
//! attempts at each pause, for months.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_core::Rng;
use relaymesh_protocol::ids::{NodeId, Timestamp};

use super::custody::spread_targets;
use super::legs::{DELAY_MAX, Held, Leg, next_delay};
use super::{Change, route};
use crate::input::Follow;
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// So many candidates are tried within a pause. Where more are away it is this node that is cut off, and any of them tells
/// when it no longer is: then all are tried.
const TRIED_AT_ONCE: usize = 8;

/// How one candidate is tried.
#[derive(Clone, Copy, Debug)]
struct Away {
    /// The last pause, for decorrelated jitter.
    pause: Duration,
    /// Nothing is offered to it until the pause is over.
    out: bool,
}

/// Candidates that could not be reached when they were last offered something. There are no more than members.
#[derive(Debug, Default)]
pub(super) struct Absent(BTreeMap<NodeId, Away>);

impl Absent {
    /// Nobody could reach it; this pause follows.
    pub fn missed(&mut self, node: NodeId, pause: Duration) {
        self.0.insert(node, Away { pause, out: true });
    }

    /// The pause is over: what is offered next shows whether it is back.
    pub fn try_again(&mut self, node: &NodeId) {
        if let Some(away) = self.0.get_mut(node) {
            away.out = false;
        }
    }

    /// It is there.
    pub fn found(&mut self, node: &NodeId) {
        self.0.remove(node);
    }

    fn is_out(&self, node: &NodeId) -> bool {
        self.0.get(node).is_some_and(|away| away.out)
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
    let known = node.delivery.absent.0.get(&candidate).copied();
    if known.is_some_and(|away| away.out) {
        return;
    }
    let pause = next_delay(known.map_or(Duration::ZERO, |away| away.pause), DELAY_MAX, tx.rng());
    tx.change(Change::Missed(candidate, pause));
    let crowd = u32::try_from(node.delivery.absent.0.len() / TRIED_AT_ONCE).unwrap_or(u32::MAX);
    let at = tx.now().after(pause.saturating_mul(crowd.max(1)));
    tx.wake(at, Timer::Reach(candidate));
}

/// A candidate was reached: all that waited for it go.
pub(super) fn found(node: &Node, tx: &mut Tx<'_>, candidate: NodeId) {
    let absent = &node.delivery.absent.0;
    if absent.contains_key(&candidate) {
        tx.change(Change::Found(candidate));
        route::route_all(node, tx, |held| held.legs.get(&candidate) == Some(&Leg::Unreachable));
        // This node was cut off, and is no longer: there may be ways to all.
        if absent.len() > TRIED_AT_ONCE {
            rouse(node, tx, usize::MAX);
        }
    }
}

/// A pause is over: one of the messages that wait for the candidate tries. Which one is left to chance, and the timer runs on:
/// the one that tries may have found a home elsewhere, and offer nothing.
pub(crate) fn on_reach(node: &Node, tx: &mut Tx<'_>, candidate: NodeId) -> Run {
    let all = &node.delivery.held;
    let waits = all
        .iter()
        .filter(|(message, held)| held.legs.get(&candidate) == Some(&Leg::Unreachable) && all.has_turn(message, held));
    let waits: Vec<_> = waits.map(|(message, _)| *message).collect();
    let chosen = usize::try_from(tx.rng().next_u64() % waits.len().max(1) as u64).unwrap_or_default();
    match waits.get(chosen) {
        Some(message) => {
            tx.change(Change::TryAgain(candidate));
            tx.follow(Follow::Route(*message));
            let at = tx.now().after(DELAY_MAX);
            tx.wake(at, Timer::Reach(candidate));
        }
        None => tx.change(Change::Found(candidate)),
    }
    Ok(())
}

/// A link came up, so there may be ways to others too: some of those that are away are tried now. To one that was away
/// itself: all of them.
pub(super) fn on_connected(node: &Node, tx: &mut Tx<'_>, peer: NodeId) {
    let was_away = node.delivery.absent.0.contains_key(&peer);
    rouse(node, tx, if was_away { usize::MAX } else { TRIED_AT_ONCE });
    tx.change(Change::Found(peer));
}

/// Has so many that are away tried now, whose pause has been the longest.
fn rouse(node: &Node, tx: &mut Tx<'_>, most: usize) {
    let (now, mut out) = (tx.now(), Vec::new());
    out.extend(node.delivery.absent.0.iter().filter(|(_, away)| away.out));
    out.sort_unstable_by_key(|(id, away)| (std::cmp::Reverse(away.pause), **id));
    for (candidate, _) in out.into_iter().take(most) {
        tx.wake_by(now, Timer::Reach(*candidate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_away_is_out_until_the_pause_is_over() {
        let (mut absent, home) = (Absent::default(), NodeId([1; 32]));
        assert!(!absent.is_out(&home));
        absent.missed(home, Duration::from_secs(2));
        assert!(absent.is_out(&home));
        absent.try_again(&home);
        assert!(!absent.is_out(&home) && absent.0[&home].pause == Duration::from_secs(2), "the pause is remembered");
        absent.found(&home);
        assert!(absent.0.is_empty());
    }
}
