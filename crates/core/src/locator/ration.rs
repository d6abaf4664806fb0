//! How often this node evaluates for others: per asking instance, per sponsor, and far more for its own.
//!
//! Evaluation is all that stands between a partner and trying every number there is, so a day's count survives a restart.

use std::collections::BTreeMap;

use relaymesh_protocol::ids::{InstanceId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::limit::Bucket;
use crate::record::{Scope, Stored};

/// Evaluations at once, per asking instance.
const BURST: u32 = 60;
/// Evaluations per second after that.
const PER_SECOND: u32 = 1;
/// Evaluations per day: 137 years for a plan of 10⁹ numbers.
pub(super) const PER_DAY: u32 = 20_000;
/// All instances under one sponsor together get so many rations.
const SPONSOR_FACTOR: u32 = 3;
/// The own instance's nodes ask for their own people.
const OWN_FACTOR: u32 = 100;
/// Day totals are written after so many evaluations: what a crash gives away.
const PERSIST_EVERY: u32 = 100;

/// Whose ration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Whose {
    Own,
    Instance(InstanceId),
    Sponsor(InstanceId),
}

impl Whose {
    fn factor(self) -> u32 {
        match self {
            Self::Own => OWN_FACTOR,
            Self::Instance(_) => 1,
            Self::Sponsor(_) => SPONSOR_FACTOR,
        }
    }
}

/// Day totals as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DayTotals {
    pub day: u64,
    pub used: Vec<(Whose, u32)>,
}

impl Stored for DayTotals {
    const SCOPE: Scope = Scope::Node;
}

#[derive(Clone, Copy, Debug)]
struct Ration {
    bucket: Bucket,
    used: u32,
}

/// What a granted batch takes; counts when applied.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    day: u64,
    taken: Vec<(Whose, Ration)>,
    count: u32,
}

/// All rations of a day. Bounded by the number of member instances.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rations {
    day: u64,
    by: BTreeMap<Whose, Ration>,
    unsaved: u32,
}

impl Rations {
    /// What `count` evaluations take from each of `whose`; `None` when one of them has not so many left.
    pub fn grant(&self, whose: &[Whose], count: u32, now: Timestamp) -> Option<Grant> {
        let day = self.day.max(now.day());
        let mut taken = Vec::with_capacity(whose.len());
        for one in whose {
            let fresh = || Ration { bucket: Bucket::new(BURST * one.factor(), PER_SECOND * one.factor()), used: 0 };
            let mut ration = self.by.get(one).copied().unwrap_or_else(fresh);
            if day > self.day {
                ration.used = 0;
            }
            ration.used = ration.used.saturating_add(count);
            if ration.used > PER_DAY * one.factor() || !(0..count).all(|_| ration.bucket.take(now)) {
                return None;
            }
            taken.push((*one, ration));
        }
        Some(Grant { day, taken, count })
    }

    /// Takes it.
    pub fn apply(&mut self, grant: Grant) {
        if grant.day > self.day {
            self.day = grant.day;
            self.by.values_mut().for_each(|ration| ration.used = 0);
        }
        self.by.extend(grant.taken);
        self.unsaved = self.unsaved.saturating_add(grant.count);
        if self.unsaved >= PERSIST_EVERY {
            self.unsaved = 0;
        }
    }

    /// The totals with `grant` taken, when that makes enough since they were last written.
    pub fn due(&self, grant: &Grant) -> Option<DayTotals> {
        if self.unsaved.saturating_add(grant.count) < PERSIST_EVERY {
            return None;
        }
        let mut after = self.clone();
        after.apply(grant.clone());
        Some(after.totals())
    }

    fn totals(&self) -> DayTotals {
        DayTotals { day: self.day, used: self.by.iter().map(|(whose, ration)| (*whose, ration.used)).collect() }
    }

    /// Goes on where the totals of before a restart ended; the burst begins empty, so that restarts give nothing.
    pub fn restore(&mut self, totals: &DayTotals, now: Timestamp) {
        self.day = now.day().max(totals.day);
        for (whose, used) in &totals.used {
            let mut bucket = Bucket::new(BURST * whose.factor(), PER_SECOND * whose.factor());
            while bucket.take(now) {}
            let used = if totals.day == self.day { *used } else { 0 };
            self.by.insert(*whose, Ration { bucket, used });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_700_000_000_000);

    fn id(n: u8) -> InstanceId {
        InstanceId([n; 32])
    }

    impl Rations {
        fn take(&mut self, whose: &[Whose], count: u32, now: Timestamp) -> bool {
            let grant = self.grant(whose, count, now);
            grant.map(|grant| self.apply(grant)).is_some()
        }
    }

    #[test]
    fn a_burst_then_one_a_second() {
        let mut rations = Rations::default();
        let who = [Whose::Instance(id(1))];
        assert!(rations.take(&who, 60, START));
        assert!(!rations.take(&who, 1, START));
        assert!(rations.take(&who, 3, Timestamp(START.0 + 3_000)));
        assert!(!rations.take(&who, 1, Timestamp(START.0 + 3_000)));
        assert!(rations.take(&[Whose::Instance(id(2))], 60, START), "another instance has its own");
    }

    #[test]
    fn a_refused_batch_takes_nothing() {
        let mut rations = Rations::default();
        let who = [Whose::Instance(id(1)), Whose::Sponsor(id(9))];
        assert!(!rations.take(&who, 61, START));
        assert!(rations.take(&who, 60, START));
    }

    #[test]
    fn a_day_ends_at_its_total_and_the_next_begins() {
        let mut rations = Rations::default();
        let who = [Whose::Instance(id(1))];
        let day = Timestamp(START.0 / 86_400_000 * 86_400_000);
        let asked = (0..28_000_u64).filter(|n| rations.take(&who, 1, Timestamp(day.0 + n * 3_000))).count();
        assert_eq!(asked, PER_DAY as usize);
        assert!(rations.take(&who, 1, Timestamp(day.0 + 86_400_000)));
    }

    #[test]
    fn all_instances_of_one_sponsor_share_three_rations() {
        let mut rations = Rations::default();
        let asked =
            (0..10).filter(|n| rations.take(&[Whose::Instance(id(*n)), Whose::Sponsor(id(99))], 60, START)).count();
        assert_eq!(asked, 3);
    }

    #[test]
    fn the_own_instance_has_a_hundred_rations() {
        let mut rations = Rations::default();
        assert_eq!((0..200).filter(|_| rations.take(&[Whose::Own], 60, START)).count(), 100);
    }

    #[test]
    fn a_restart_does_not_refill() {
        let mut rations = Rations::default();
        let who = [Whose::Instance(id(1))];
        let mut stored = None;
        for n in 0..150 {
            let grant = rations.grant(&who, 1, Timestamp(START.0 + n * 1_000)).unwrap();
            stored = rations.due(&grant).or(stored);
            rations.apply(grant);
        }
        let stored = stored.expect("a hundred evaluations are written");
        assert_eq!(stored.used, [(who[0], PERSIST_EVERY)]);
        let mut again = Rations::default();
        again.restore(&stored, START);
        assert!(!again.take(&who, 1, START));
        assert!(again.take(&who, 1, Timestamp(START.0 + 1_000)));
        assert_eq!(again.totals().used, [(who[0], PERSIST_EVERY + 1)]);
    }
}
