//! How many SMS may leave in a day: in all, per country and per number. Shares are kept for what is more important: of the
//! day for one-time codes and refreshed tokens, of a number for what failed or is uncertain. Pure: time is passed in, and the
//! state is a record to be stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A budget day is a UTC day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One in so many of a number's SMS is kept from news of success.
const KEPT_FOR_NOTICES: u32 = 4;

/// The operator's limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// SMS per day in all.
    pub per_day: u32,
    /// SMS per day to one country.
    pub per_country_per_day: u32,
    /// Notices per day to one number, of which news of success may not use the last quarter; as many refreshed tokens beside
    /// them. Codes have limits of their own, and must not be used up by notices.
    pub per_number_per_day: u32,
    /// Hundredths of the two limits above it that are kept for one-time codes and refreshed tokens; at most 100.
    pub codes_percent: u32,
    /// Countries that may be sent to, as ISO 3166 letters ("CM"); absent means all.
    #[serde(default)]
    pub countries: Option<BTreeSet<String>>,
}

/// Why an SMS is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A one-time code: somebody cannot get in without it.
    Code,
    /// A refreshed token that only the phone keeps: without it an account is lost.
    Token,
    /// Everything else.
    Notice,
    /// A message was published: what its person expects anyway.
    Published,
}

impl Purpose {
    /// Whether it may use the share of the day that is kept for codes and tokens.
    fn is_vital(self) -> bool {
        matches!(self, Self::Code | Self::Token)
    }
}

/// To whom an SMS goes, as the budget sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<'a> {
    /// ISO 3166 letters.
    pub country: &'a str,
    /// A name of the number that says nothing without a key, since the record is stored in clear.
    pub number: u64,
    /// Why.
    pub purpose: Purpose,
}

/// SMS of a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Count {
    all: u32,
    notices: u32,
}

/// What was spent on one day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    day: u64,
    total: Count,
    by_country: BTreeMap<String, Count>,
    /// Notices; each number here has had one, so there are no more than the day's limit.
    by_number: BTreeMap<u64, u32>,
    /// Refreshed tokens, likewise.
    #[serde(default)]
    tokens_by_number: BTreeMap<u64, u32>,
}

impl Spent {
    /// For a day of which nobody knows what was spent: all that notices may have is taken as spent, and what is kept for
    /// one-time codes and refreshed tokens is there. So a lost record costs at most that share once more, and nobody is
    /// locked out by it unless nothing is kept.
    #[must_use]
    pub fn unknown(limits: &Limits, now_ms: u64) -> Self {
        let notices = limits.per_day - kept(limits.per_day, limits.codes_percent);
        Self { day: now_ms / DAY_MS, total: Count { all: notices, notices }, ..Self::default() }
    }

    /// What counts against a number, if anything does.
    fn of_numbers(&mut self, purpose: Purpose) -> Option<&mut BTreeMap<u64, u32>> {
        match purpose {
            Purpose::Code => None,
            Purpose::Token => Some(&mut self.tokens_by_number),
            Purpose::Notice | Purpose::Published => Some(&mut self.by_number),
        }
    }
}

/// Why an SMS must not be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// The operator does not send there.
    #[error("no sms is sent to this country")]
    Country,
    /// The country's share of today is used up.
    #[error("today's sms budget for this country is used up")]
    CountryDay,
    /// The number's share of today is used up.
    #[error("today's sms budget for this number is used up")]
    NumberDay,
    /// Today's budget is used up.
    #[error("today's sms budget is used up")]
    Day,
}

/// Limits and what was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    limits: Limits,
    spent: Spent,
}

impl Count {
    /// Whether one more fits `limit`, of which notices may not use the share that is kept.
    fn allows(self, purpose: Purpose, limit: u32, codes_percent: u32) -> bool {
        let notices = limit - kept(limit, codes_percent);
        self.all < limit && (purpose.is_vital() || self.notices < notices)
    }

    fn add(&mut self, purpose: Purpose) {
        self.all += 1;
        self.notices += u32::from(!purpose.is_vital());
    }

    fn take(&mut self, purpose: Purpose) {
        self.all = self.all.saturating_sub(1);
        self.notices = self.notices.saturating_sub(u32::from(!purpose.is_vital()));
    }
}

/// How much of a limit is kept for one-time codes and refreshed tokens; not more than the limit.
fn kept(limit: u32, codes_percent: u32) -> u32 {
    let share = u64::from(limit) * u64::from(codes_percent.min(100)) / 100;
    u32::try_from(share).unwrap_or(limit)
}

/// How much of a number's day is there for a purpose: news of success leave the last quarter, and at least one, to what
/// failed or is uncertain.
fn of_number(per_day: u32, purpose: Purpose) -> u32 {
    match purpose {
        Purpose::Published => per_day - per_day.div_ceil(KEPT_FOR_NOTICES),
        Purpose::Code | Purpose::Token | Purpose::Notice => per_day,
    }
}

impl Budget {
    /// Goes on from a stored record; [`Spent::default`] for the first time.
    pub fn new(limits: Limits, spent: Spent) -> Self {
        Self { limits, spent }
    }

    /// Takes one SMS out of the budget or changes nothing. A clock that goes back does not open a
    /// day anew: the latest day seen goes on.
    pub fn spend(&mut self, now_ms: u64, ask: &Ask<'_>) -> Result<(), Exceeded> {
        let Limits { per_day, per_country_per_day, per_number_per_day, codes_percent, .. } = self.limits;
        let country = ask.country.to_ascii_uppercase();
        let allowed = self.limits.countries.as_ref();
        if allowed.is_some_and(|list| !list.iter().any(|c| c.eq_ignore_ascii_case(&country))) {
            return Err(Exceeded::Country);
        }
        let day = now_ms / DAY_MS;
        if day > self.spent.day {
            self.spent = Spent { day, ..Spent::default() };
        }
        if !self.spent.total.allows(ask.purpose, per_day, codes_percent) {
            return Err(Exceeded::Day);
        }
        let there = self.spent.by_country.get(&country).copied().unwrap_or_default();
        if !there.allows(ask.purpose, per_country_per_day, codes_percent) {
            return Err(Exceeded::CountryDay);
        }
        if let Some(numbers) = self.spent.of_numbers(ask.purpose) {
            let had = numbers.get(&ask.number).copied().unwrap_or_default();
            if had >= of_number(per_number_per_day, ask.purpose) {
                return Err(Exceeded::NumberDay);
            }
            numbers.insert(ask.number, had + 1);
        }
        self.spent.total.add(ask.purpose);
        self.spent.by_country.entry(country).or_default().add(ask.purpose);
        Ok(())
    }

    /// Puts one SMS back that was taken out at `spent_ms` and did not leave.
    pub fn refund(&mut self, spent_ms: u64, ask: &Ask<'_>) {
        if spent_ms / DAY_MS < self.spent.day {
            return;
        }
        self.spent.total.take(ask.purpose);
        if let Some(count) = self.spent.by_country.get_mut(&ask.country.to_ascii_uppercase()) {
            count.take(ask.purpose);
        }
        if let Some(numbers) = self.spent.of_numbers(ask.purpose)
            && let Some(had) = numbers.remove(&ask.number).filter(|had| *had > 1)
        {
            numbers.insert(ask.number, had - 1);
        }
    }

    /// The record to store.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_day: u32, per_country_per_day: u32) -> Limits {
        Limits { per_day, per_country_per_day, per_number_per_day: 1_000, codes_percent: 0, countries: None }
    }

    fn budget(per_day: u32, per_country_per_day: u32, countries: Option<&[&str]>) -> Budget {
        let countries = countries.map(|list| list.iter().map(ToString::to_string).collect());
        Budget::new(Limits { countries, ..limits(per_day, per_country_per_day) }, Spent::default())
    }

    fn notice(country: &str) -> Ask<'_> {
        Ask { country, number: 1, purpose: Purpose::Notice }
    }

    fn code(country: &str) -> Ask<'_> {
        Ask { purpose: Purpose::Code, ..notice(country) }
    }

    #[test]
    fn both_limits_hold_and_a_new_day_opens_them() {
        let mut budget = budget(3, 2, None);
        let now = 5 * DAY_MS;
        assert_eq!(budget.spend(now, &notice("CM")), Ok(()));
        assert_eq!(budget.spend(now, &notice("cm")), Ok(()));
        assert_eq!(budget.spend(now, &notice("CM")), Err(Exceeded::CountryDay));
        assert_eq!(budget.spend(now, &notice("NG")), Ok(()));
        assert_eq!(budget.spend(now + DAY_MS - 1, &notice("NG")), Err(Exceeded::Day));
        assert_eq!(budget.spend(now + DAY_MS, &notice("CM")), Ok(()));
        assert_eq!(budget.spend(now, &notice("CM")), Ok(()), "counted on the later day");
        assert_eq!(budget.spend(now, &notice("CM")), Err(Exceeded::CountryDay));
    }

    #[test]
    fn only_listed_countries_are_sent_to_and_a_refusal_costs_nothing() {
        let mut budget = budget(10, 10, Some(&["CM", "ng"]));
        assert_eq!(budget.spend(DAY_MS, &notice("FR")), Err(Exceeded::Country));
        assert_eq!(budget.spend(DAY_MS, &code("")), Err(Exceeded::Country));
        assert_eq!(budget.spent(), &Spent::default());
        assert_eq!(budget.spend(DAY_MS, &notice("NG")), Ok(()));
        let mut none = self::budget(10, 10, Some(&[]));
        assert_eq!(none.spend(DAY_MS, &notice("CM")), Err(Exceeded::Country));
    }

    #[test]
    fn a_number_has_its_share_of_a_day_and_codes_do_not_come_out_of_it() {
        let mut budget = Budget::new(Limits { per_number_per_day: 2, ..limits(100, 100) }, Spent::default());
        let other = Ask { number: 2, ..notice("CM") };
        for _ in 0..2 {
            assert_eq!(budget.spend(DAY_MS, &notice("CM")), Ok(()));
        }
        let before = budget.clone();
        assert_eq!(budget.spend(DAY_MS, &notice("CM")), Err(Exceeded::NumberDay));
        assert_eq!(budget, before, "a refusal costs nothing");
        assert_eq!(budget.spend(DAY_MS, &code("CM")), Ok(()));
        assert_eq!(budget.spend(DAY_MS, &other), Ok(()));
        assert_eq!(budget.spend(2 * DAY_MS, &notice("CM")), Ok(()));
    }

    #[test]
    fn news_of_success_leave_the_last_of_a_number_to_what_failed() {
        for (per_number, published) in [(0, 0), (1, 0), (2, 1), (4, 3), (20, 15)] {
            let mut budget =
                Budget::new(Limits { per_number_per_day: per_number, ..limits(100, 100) }, Spent::default());
            let news = Ask { purpose: Purpose::Published, ..notice("CM") };
            for n in 0..=published {
                let spent = budget.spend(DAY_MS, &news);
                assert_eq!(spent.is_ok(), n < published, "{per_number}: {spent:?}");
            }
            for _ in published..per_number {
                assert_eq!(budget.spend(DAY_MS, &notice("CM")), Ok(()), "{per_number}");
            }
            assert_eq!(budget.spend(DAY_MS, &notice("CM")), Err(Exceeded::NumberDay));
            budget.refund(DAY_MS, &notice("CM"));
            assert_eq!(budget.spend(DAY_MS, &news), Err(Exceeded::NumberDay), "{per_number}");
        }
    }

    #[test]
    fn tokens_leave_though_notices_are_used_up_and_one_number_gets_so_many() {
        let limits = Limits { per_number_per_day: 2, codes_percent: 50, ..limits(10, 10) };
        let mut budget = Budget::new(limits, Spent::default());
        let token = Ask { purpose: Purpose::Token, ..notice("CM") };
        for n in 0..5 {
            budget.spend(DAY_MS, &Ask { number: 10 + n / 2, ..notice("CM") }).unwrap();
        }
        assert_eq!(budget.spend(DAY_MS, &notice("CM")), Err(Exceeded::Day));
        for _ in 0..2 {
            assert_eq!(budget.spend(DAY_MS, &token), Ok(()));
        }
        assert_eq!(budget.spend(DAY_MS, &token), Err(Exceeded::NumberDay), "codes of others are left");
        budget.refund(DAY_MS, &token);
        assert_eq!(budget.spend(DAY_MS, &token), Ok(()));
        assert_eq!(budget.spend(DAY_MS, &code("CM")), Ok(()));
    }

    #[test]
    fn a_record_from_before_tokens_were_counted_is_read() {
        let before = r#"{"day":1,"total":{"all":1,"notices":1},"by_country":{},"by_number":{"1":1}}"#;
        let mut budget =
            Budget::new(Limits { per_number_per_day: 1, ..limits(9, 9) }, serde_json::from_str(before).unwrap());
        assert_eq!(budget.spend(DAY_MS, &notice("CM")), Err(Exceeded::NumberDay));
    }

    #[test]
    fn notices_leave_the_share_of_codes_alone() {
        let mut budget = Budget::new(Limits { codes_percent: 20, ..limits(10, 5) }, Spent::default());
        let mut spend = |ask: &Ask<'_>| budget.spend(DAY_MS, ask);
        for _ in 0..4 {
            assert_eq!(spend(&notice("CM")), Ok(()));
        }
        assert_eq!(spend(&notice("CM")), Err(Exceeded::CountryDay));
        assert_eq!(spend(&code("CM")), Ok(()));
        assert_eq!(spend(&code("CM")), Err(Exceeded::CountryDay), "the limit holds for codes too");
        for _ in 0..4 {
            assert_eq!(spend(&notice("NG")), Ok(()));
        }
        assert_eq!(spend(&notice("FR")), Err(Exceeded::Day));
        assert_eq!(spend(&code("FR")), Ok(()));
        assert_eq!(spend(&code("FR")), Err(Exceeded::Day));
    }

    #[test]
    fn what_did_not_leave_is_put_back() {
        let mut budget = Budget::new(Limits { per_number_per_day: 1, ..limits(2, 2) }, Spent::default());
        for ask in [notice("CM"), code("cm")] {
            let before = budget.clone();
            for _ in 0..5 {
                budget.spend(DAY_MS, &ask).unwrap();
                budget.refund(DAY_MS, &ask);
            }
            budget.spend(DAY_MS, &ask).unwrap();
            assert_ne!(budget, before);
        }
        assert_eq!(budget.spend(DAY_MS, &code("CM")), Err(Exceeded::Day));
        budget.spend(2 * DAY_MS, &notice("CM")).unwrap();
        budget.refund(DAY_MS, &notice("CM"));
        assert_eq!(budget.spend(2 * DAY_MS, &notice("CM")), Err(Exceeded::NumberDay), "of another day");
    }

    #[test]
    fn a_day_of_which_nothing_is_known_has_the_share_of_codes_left_and_no_more() {
        for (percent, codes) in [(0, 0), (20, 2), (100, 10)] {
            let limits = Limits { codes_percent: percent, ..limits(10, 10) };
            let mut budget = Budget::new(limits.clone(), Spent::unknown(&limits, 5 * DAY_MS + 7));
            assert_eq!(budget.spend(5 * DAY_MS + 8, &notice("CM")), Err(Exceeded::Day), "{percent}");
            for n in 0..=codes {
                assert_eq!(budget.spend(5 * DAY_MS + 9, &code("CM")).is_ok(), n < codes, "{percent}");
            }
            assert_eq!(budget.spend(6 * DAY_MS, &code("CM")), Ok(()), "the next day is whole");
        }
    }

    #[test]
    fn the_record_survives_a_restart() {
        let mut before = budget(2, 2, None);
        before.spend(DAY_MS, &notice("CM")).unwrap();
        let stored = serde_json::to_string(before.spent()).unwrap();
        let mut after = Budget::new(before.limits.clone(), serde_json::from_str(&stored).unwrap());
        assert_eq!(after, before);
        after.spend(DAY_MS, &code("CM")).unwrap();
        assert_eq!(after.spend(DAY_MS, &code("CM")), Err(Exceeded::Day));
    }
}
