//! With whom this node compares.
//!
//! A few members, chosen by chance and kept: few, so that the links to them are worth keeping and nothing is spent on making
//! new ones all the time; by chance, so that nobody can choose an id that makes it a partner; and replaced one after
//! another, so that no part of the mesh stays among itself. A member that did not answer is replaced at once and tried
//! again now and then, since a cut region comes back that way.
//!
//! While nothing differs a node compares less and less often, down to the pace that its settings call quiet; a
//! difference brings it one step back, and news or a lost partner the whole way. What must be known at once does not
//! wait for a comparison anyway ([`super::news`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::ids::{NodeId, Timestamp};

use crate::config::{self, Config};

/// Members without an answer that are remembered.
const LOST_MAX: usize = 64;
/// After so many rounds at full pace some of them are tried.
const LOST_EVERY: u32 = 4;
/// So many at once.
const LOST_AT_ONCE: usize = 3;
/// While none of them answers, the pause until the next are tried doubles, so often at most.
const MISSES_MAX: u32 = 4;
/// After so many rounds in which nobody answered a node takes itself for cut off.
const ALONE_AFTER: u32 = 3;
/// The pause doubles from then on, so often at most.
const ALONE_MAX: u32 = 4;
/// No pace is so quiet that more doublings would be needed.
const CALM_MAX: u32 = 20;
/// The longest that a partner may ask to be left alone.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// How much this node spends on comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Between two rounds while something differs.
    pub every: Duration,
    /// The longest between two rounds while nothing does.
    pub quiet: Duration,
    /// Partners, and how many are asked in a round in which something differs. While nothing does it is one of them.
    pub partners: usize,
    /// Members asked in the first round: whoever holds something for a node that comes back offers it when they meet.
    pub first: usize,
    /// After this long without a change the oldest partner is replaced.
    pub rotate: Duration,
}

/// A link that carries nothing for longer is closed.
const KEEPS_LINK: Duration = Duration::from_mins(30);
/// Where bytes are dear, everything is so much slower.
const METERED: u32 = 10;

impl Pace {
    /// The pace that a node's settings ask for.
    pub fn of(config: &Config) -> Self {
        let config::Pace { compare: every, quiet } = config.pace;
        // Whom nobody can dial keeps a link that others can use.
        let quiet = if config.published().is_empty() { quiet.min(KEEPS_LINK) } else { quiet };
        let quiet = quiet.max(every);
        if config.metered {
            let every = every * METERED;
            return Self { every, quiet: quiet.max(every), partners: 2, first: 4, rotate: 12 * HOUR };
        }
        Self { every, quiet, partners: 3, first: 16, rotate: 2 * HOUR }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

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
    /// Comparisons in a row that found nothing, a difference counted against one of them.
    calm: u32,
    rounds: u64,
    /// When some of the lost are tried next.
    seek_at: Timestamp,
    /// How often in a row none of them answered.
    misses: u32,
    /// Members in a row that gave no answer, whoever they are.
    unanswered: u32,
}

/// What a round does: whom to ask, and who are partners from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Round {
    pub ask: Vec<NodeId>,
    kept: BTreeMap<NodeId, Partner>,
    seeks: Option<Timestamp>,
}

impl Partners {
    /// The partners as they are.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.kept.keys().copied()
    }

    /// How long until the next round.
    pub fn pause(&self, pace: &Pace) -> Duration {
        if let Some(doublings) = self.is_alone(pace) {
            return pace.every.saturating_mul(1 << doublings).min(pace.quiet.max(pace.every));
        }
        let doubled = pace.every.saturating_mul(1 << self.calm.min(CALM_MAX));
        let pause = doubled.min(pace.quiet);
        if self.lost.is_empty() { pause } else { pause.min(self.seek_pause(pace)) }
    }

    /// Nobody answers, whoever is asked: it is this node that is cut off, and looks for others ever more seldom. How often the
    /// pause has doubled by that.
    pub fn is_alone(&self, pace: &Pace) -> Option<u32> {
        let rounds = self.unanswered / u32::try_from(pace.partners).unwrap_or(u32::MAX).max(1);
        (rounds >= ALONE_AFTER).then(|| (rounds - ALONE_AFTER).min(ALONE_MAX))
    }

    fn seek_pause(&self, pace: &Pace) -> Duration {
        pace.every.saturating_mul(LOST_EVERY << self.misses.min(MISSES_MAX))
    }

    /// The next round among members that are connected or can be dialled: `reachable` tells of one, `all` names them.
    pub fn round(
        &self,
        reachable: impl Fn(&NodeId) -> bool,
        all: impl Fn() -> Vec<NodeId>,
        now: Timestamp,
        pace: &Pace,
        mut chance: impl FnMut() -> u64,
    ) -> Round {
        let mut kept = self.kept.clone();
        kept.retain(|id, _| reachable(id));
        let newest = kept.values().map(|partner| partner.since).max();
        if kept.len() >= pace.partners && newest.is_some_and(|since| now.since(since) >= pace.rotate) {
            let oldest = kept.iter().min_by_key(|(id, partner)| (partner.since, **id)).map(|(id, _)| *id);
            oldest.map(|id| kept.remove(&id));
        }
        let mut pool = if kept.len() < pace.partners || self.rounds == 0 { all() } else { Vec::new() };
        pool.retain(|id| !kept.contains_key(id) && !self.kept.contains_key(id));
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
        ask.truncate(if self.calm > 0 { 1 } else { pace.partners });
        for id in &ask {
            kept.entry(*id).and_modify(|partner| partner.asked = now);
        }
        while self.rounds == 0
            && ask.len() < pace.first
            && let Some(id) = draw(&mut pool)
        {
            ask.push(id);
        }
        let mut seeks = None;
        if !self.lost.is_empty() && self.seek_at <= now {
            let mut lost: Vec<NodeId> =
                self.lost.iter().filter(|id| reachable(id) && !ask.contains(id)).copied().collect();
            for _ in 0..LOST_AT_ONCE.min(lost.len()) {
                let at = usize::try_from(chance() % lost.len() as u64).unwrap_or_default();
                ask.push(lost.swap_remove(at));
            }
            seeks = Some(now.after(pace.every.saturating_mul(LOST_EVERY << (self.misses + 1).min(MISSES_MAX))));
        }
        Round { ask, kept, seeks }
    }

    /// A round was begun.
    pub fn began(&mut self, round: Round) {
        self.kept = round.kept;
        self.rounds += 1;
        if let Some(next) = round.seeks {
            self.seek_at = next;
            self.misses = (self.misses + 1).min(MISSES_MAX);
        }
    }

    /// A member answered a digest: whether nothing differed, and how long it wants to be left alone.
    pub fn compared(&mut self, peer: NodeId, same: bool, rest_s: u16, now: Timestamp) {
        self.unanswered = 0;
        self.calm = if same { (self.calm + 1).min(CALM_MAX) } else { self.calm.saturating_sub(1) };
        let rest = Duration::from_secs(rest_s.into()).min(REST_MAX);
        self.kept.entry(peer).and_modify(|partner| partner.rest_until = now.after(rest));
    }

    /// Something is known to differ.
    pub fn unsettle(&mut self) {
        self.calm = 0;
    }

    /// Whether it is one of the partners.
    pub fn has(&self, peer: &NodeId) -> bool {
        self.kept.contains_key(peer)
    }

    /// A member gave no answer at `now`.
    pub fn lost(&mut self, peer: NodeId, now: Timestamp, pace: &Pace) {
        self.unanswered = self.unanswered.saturating_add(1);
        // That somebody who is known to be gone is still gone is no news.
        if self.kept.remove(&peer).is_some() {
            self.calm = 0;
        }
        if !self.lost.contains(&peer) {
            self.misses = 0;
            self.seek_at = now.after(self.seek_pause(pace));
        }
        if self.lost.len() >= LOST_MAX {
            self.lost.pop_first();
        }
        self.lost.insert(peer);
    }

    /// A link to it came up.
    pub fn found(&mut self, peer: &NodeId) {
        self.unanswered = 0;
        if self.lost.remove(peer) {
            self.misses = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    const PACE: Pace = Pace {
        every: Duration::from_secs(60),
        quiet: Duration::from_secs(60),
        partners: 3,
        first: 16,
        rotate: Duration::from_secs(2 * 3_600),
    };

    fn members(count: u8) -> BTreeSet<NodeId> {
        (1..=count).map(node).collect()
    }

    /// Rounds with an answer to each question, a pace apart; tells whom each asked.
    fn rounds(partners: &mut Partners, members: &BTreeSet<NodeId>, from: u64, count: u64) -> Vec<Vec<NodeId>> {
        let mut dice = from;
        let each = |n| {
            let now = Timestamp(PACE.every.as_millis() as u64 * (from + n));
            let all = || members.iter().copied().collect();
            let round = partners.round(
                |id| members.contains(id),
                all,
                now,
                &PACE,
                || {
                    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    dice >> 33
                },
            );
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
        partners.lost(dead, Timestamp(60_000), &PACE);
        let asked = rounds(&mut partners, &members(8), 2, 40);
        assert!(!asked[0].contains(&dead) && asked[0].len() == PACE.partners);
        let tried: Vec<usize> = (2..).zip(&asked).filter(|(_, ask)| ask.contains(&dead)).map(|(n, _)| n).collect();
        assert_eq!(tried, [5, 13, 29], "the pause doubles while it stays silent");
        partners.found(&dead);
        assert!(!rounds(&mut partners, &members(8), 42, 40).concat().contains(&dead));
    }

    #[test]
    fn a_node_that_finds_nothing_compares_ever_more_seldom() {
        let pace = Pace { quiet: Duration::from_secs(1_000), ..PACE };
        let mut partners = Partners::default();
        let pause = |partners: &Partners| partners.pause(&pace).as_secs();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            partners.compared(node(1), true, 0, Timestamp(0));
            pauses.push(pause(&partners));
        }
        assert_eq!(pauses, [120, 240, 480, 960, 1_000, 1_000]);
        partners.compared(node(1), false, 0, Timestamp(0));
        partners.compared(node(1), false, 0, Timestamp(0));
        assert_eq!(pause(&partners), 960, "a difference is one step back");
        partners.unsettle();
        assert_eq!(pause(&partners), 60);
        for _ in 0..100 {
            partners.compared(node(1), true, 0, Timestamp(0));
        }
        assert_eq!(pause(&partners), 1_000);
        partners.lost(node(2), Timestamp(0), &pace);
        assert_eq!(pause(&partners), 240, "somebody is looked for");
    }

    #[test]
    fn a_node_that_nobody_answers_looks_for_others_ever_more_seldom() {
        let pace = Pace { quiet: Duration::from_secs(1_800), ..PACE };
        let mut partners = Partners::default();
        let mut pauses = Vec::new();
        for n in 0..8 * PACE.partners as u8 {
            partners.lost(node(n), Timestamp(0), &pace);
            if (n + 1) % PACE.partners as u8 == 0 {
                pauses.push(partners.pause(&pace).as_secs() / 60);
            }
        }
        assert_eq!(pauses, [1, 1, 1, 2, 4, 8, 16, 16]);
        partners.found(&node(1));
        assert_eq!(partners.pause(&pace).as_secs(), 60, "a link came up");
    }

    #[test]
    fn even_the_lost_are_asked_where_there_is_nobody_else() {
        let mut partners = Partners::default();
        for n in 1..=2 {
            partners.lost(node(n), Timestamp(0), &PACE);
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
