//! With whom this node compares.
//!
//! A few members, chosen by chance and kept: few, so that the links to them are worth keeping and nothing is spent on making
//! new ones all the time; by chance, so that nobody can choose an id that makes it a partner; and replaced one after
//! another, so that no part of the mesh stays among itself. A member that did not answer is replaced at once and tried
//! again now and then, since a cut region comes back that way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::ids::{NodeId, Timestamp};

/// Members without an answer that are remembered.
const LOST_MAX: usize = 64;
/// In one of so many rounds one of them is tried.
const LOST_EVERY: u64 = 4;
/// The longest that a partner may ask to be left alone.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// How much this node spends on comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Between two rounds.
    pub every: Duration,
    /// Partners, and how many are asked in a round in which something differs. While nothing does it is one of them.
    pub partners: usize,
    /// Members asked in the first round: whoever holds something for a node that comes back offers it when they meet.
    pub first: usize,
    /// After this long without a change the oldest partner is replaced.
    pub rotate: Duration,
}

/// Where a byte costs nothing.
pub(super) const PACE: Pace =
    Pace { every: Duration::from_secs(60), partners: 3, first: 16, rotate: Duration::from_secs(2 * 3_600) };
/// Where bytes are dear.
pub(super) const PACE_METERED: Pace =
    Pace { every: Duration::from_secs(600), partners: 2, first: 4, rotate: Duration::from_secs(12 * 3_600) };

/// One partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partner {
    since: Timestamp,
    asked: Timestamp,
    rest_until: Timestamp,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Partners {
    kept: BTreeMap<NodeId, Partner>,
    lost: BTreeSet<NodeId>,
    settled: bool,
    rounds: u64,
}

/// What a round does: whom to ask, and who are partners from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    pub ask: Vec<NodeId>,
    kept: BTreeMap<NodeId, Partner>,
}

impl Partners {
    /// The partners as they are.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.kept.keys().copied()
    }

    /// The next round among `members`, those that are connected or can be dialled.
    pub fn round(
        &self,
        members: &BTreeSet<NodeId>,
        now: Timestamp,
        pace: &Pace,
        mut chance: impl FnMut() -> u64,
    ) -> Round {
        let mut kept = self.kept.clone();
        kept.retain(|id, _| members.contains(id));
        let newest = kept.values().map(|partner| partner.since).max();
        if kept.len() >= pace.partners && newest.is_some_and(|since| now.since(since) >= pace.rotate) {
            let oldest = kept.iter().min_by_key(|(id, partner)| (partner.since, **id)).map(|(id, _)| *id);
            oldest.map(|id| kept.remove(&id));
        }
        let unknown = |id: &&NodeId| !kept.contains_key(id) && !self.kept.contains_key(id);
        let mut pool: Vec<NodeId> = members.iter().filter(unknown).copied().collect();
        // Those without an answer come last, and the one that was just replaced not at all.
        pool.sort_by_key(|id| self.lost.contains(id));
        let mut fresh = pool.iter().filter(|id| !self.lost.contains(id)).count();
        let mut draw = |pool: &mut Vec<NodeId>| {
            let among = if fresh > 0 { fresh } else { pool.len() };
            fresh = fresh.saturating_sub(1);
            (among > 0).then(|| pool.remove(usize::try_from(chance() % among as u64).unwrap_or_default()))
        };
        while kept.len() < pace.partners
            && let Some(id) = draw(&mut pool)
        {
            kept.insert(id, Partner { since: now, asked: Timestamp(0), rest_until: Timestamp(0) });
        }
        // A clock that was set back must not make a rest longer.
        let rests = |partner: &Partner| partner.rest_until > now && partner.rest_until <= now.after(REST_MAX);
        let mut ask: Vec<NodeId> = kept.iter().filter(|(_, partner)| !rests(partner)).map(|(id, _)| *id).collect();
        ask.sort_by_key(|id| (kept.get(id).map(|partner| partner.asked), *id));
        ask.truncate(if self.settled { 1 } else { pace.partners });
        for id in &ask {
            kept.entry(*id).and_modify(|partner| partner.asked = now);
        }
        while self.rounds == 0
            && ask.len() < pace.first
            && let Some(id) = draw(&mut pool)
        {
            ask.push(id);
        }
        if self.rounds % LOST_EVERY == LOST_EVERY - 1 {
            let lost: Vec<NodeId> = self.lost.iter().filter(|id| members.contains(id)).copied().collect();
            let at = chance().checked_rem(lost.len() as u64).and_then(|at| usize::try_from(at).ok());
            ask.extend(at.and_then(|at| lost.get(at)).filter(|id| !ask.contains(id)).copied().as_slice());
        }
        Round { ask, kept }
    }

    /// A round was begun.
    pub fn began(&mut self, round: Round) {
        self.kept = round.kept;
        self.rounds += 1;
    }

    /// A member answered a digest: whether nothing differed, and how long it wants to be left alone.
    pub fn compared(&mut self, peer: NodeId, same: bool, rest_s: u16, now: Timestamp) {
        self.settled = same;
        let rest = Duration::from_secs(rest_s.into()).min(REST_MAX);
        self.kept.entry(peer).and_modify(|partner| partner.rest_until = now.after(rest));
    }

    /// Something is known to differ.
    pub fn unsettle(&mut self) {
        self.settled = false;
    }

    /// A member gave no answer.
    pub fn lost(&mut self, peer: NodeId) {
        // That somebody who is known to be gone is still gone is no news.
        if self.kept.remove(&peer).is_some() {
            self.settled = false;
        }
        if self.lost.len() >= LOST_MAX {
            self.lost.pop_first();
        }
        self.lost.insert(peer);
    }

    /// A link to it came up.
    pub fn found(&mut self, peer: &NodeId) {
        self.lost.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    fn members(count: u8) -> BTreeSet<NodeId> {
        (1..=count).map(node).collect()
    }

    /// Rounds with an answer to each question, a pace apart; tells whom each asked.
    fn rounds(partners: &mut Partners, members: &BTreeSet<NodeId>, from: u64, count: u64) -> Vec<Vec<NodeId>> {
        let mut dice = from;
        let each = |n| {
            let now = Timestamp(PACE.every.as_millis() as u64 * (from + n));
            let round = partners.round(members, now, &PACE, || {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                dice >> 33
            });
            partners.began(round.clone());
            for peer in &round.ask {
                partners.compared(*peer, true, 0, now);
            }
            round.ask
        };
        (0..count).map(each).collect()
    }

    #[test]
    fn a_node_that_starts_asks_many_and_a_settled_one_its_partners_in_turn() {
        let mut partners = Partners::default();
        let asked = rounds(&mut partners, &members(40), 1, 10);
        assert_eq!(asked[0].len(), PACE.first);
        let kept: BTreeSet<NodeId> = partners.ids().collect();
        assert_eq!(kept.len(), PACE.partners);
        for three in asked[1..].chunks_exact(PACE.partners) {
            assert_eq!(three.concat().into_iter().collect::<BTreeSet<_>>(), kept);
        }
    }

    #[test]
    fn where_something_differs_all_partners_are_asked() {
        let mut partners = Partners::default();
        rounds(&mut partners, &members(10), 1, 2);
        partners.unsettle();
        let asked = rounds(&mut partners, &members(10), 3, 2);
        assert_eq!((asked[0].len(), asked[1].len()), (PACE.partners, 1));
    }

    #[test]
    fn partners_are_replaced_one_by_one_and_in_the_end_everybody_was_one() {
        let mut partners = Partners::default();
        let everybody = members(9);
        let asked = rounds(&mut partners, &everybody, 1, 60 * 24 * 7);
        let changes = asked[1..].windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes > 0);
        let whole: BTreeSet<NodeId> = asked[1..].concat().into_iter().collect();
        assert_eq!(whole, everybody);
        let in_an_hour: BTreeSet<NodeId> = asked[1..60].concat().into_iter().collect();
        assert_eq!(in_an_hour.len(), PACE.partners, "links are worth keeping");
    }

    #[test]
    fn who_gives_no_answer_is_replaced_and_tried_again() {
        let mut partners = Partners::default();
        rounds(&mut partners, &members(8), 1, 1);
        let dead = partners.ids().next().unwrap();
        partners.lost(dead);
        let asked = rounds(&mut partners, &members(8), 2, 40);
        assert!(!asked[0].contains(&dead) && asked[0].len() == PACE.partners);
        let tried = asked.iter().filter(|ask| ask.contains(&dead)).count();
        assert!((9..=11).contains(&tried), "{tried}");
        partners.found(&dead);
        assert!(!rounds(&mut partners, &members(8), 42, 40).concat().contains(&dead));
    }

    #[test]
    fn even_the_lost_are_asked_where_there_is_nobody_else() {
        let mut partners = Partners::default();
        for n in 1..=2 {
            partners.lost(node(n));
        }
        assert_eq!(rounds(&mut partners, &members(2), 1, 1)[0].len(), 2);
    }

    #[test]
    fn a_partner_is_left_alone_as_long_as_it_asks_and_no_longer_than_an_hour() {
        let mut partners = Partners::default();
        let all = members(3);
        rounds(&mut partners, &all, 1, 1);
        let now = Timestamp(PACE.every.as_millis() as u64);
        partners.compared(node(1), true, 600, now);
        partners.compared(node(2), true, u16::MAX, now);
        let asked = rounds(&mut partners, &all, 2, 100);
        let first = |n| asked.iter().position(|ask| ask.contains(&node(n))).unwrap();
        assert_eq!((first(3), first(1), first(2)), (0, 9, 59));
    }
}
