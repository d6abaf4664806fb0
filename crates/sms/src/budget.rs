//! How many SMS may leave in a day, in all and per country. Pure: time is passed in, and the
//! state is a record to be stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A budget day is a UTC day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The operator's limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// SMS per day in all.
    pub per_day: u32,
    /// SMS per day to one country.
    pub per_country_per_day: u32,
    /// Countries that may be sent to, as ISO 3166 letters ("CM"); absent means all.
    #[serde(default)]
    pub countries: Option<BTreeSet<String>>,
}

/// What was spent on one day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    day: u64,
    total: u32,
    by_country: BTreeMap<String, u32>,
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

impl Budget {
    /// Goes on from a stored record; [`Spent::default`] for the first time.
    pub fn new(limits: Limits, spent: Spent) -> Self {
        Self { limits, spent }
    }

    /// Takes one SMS out of the budget or changes nothing. A clock that goes back does not open a
    /// day anew: the latest day seen goes on.
    pub fn spend(&mut self, now_ms: u64, country: &str) -> Result<(), Exceeded> {
        let country = country.to_ascii_uppercase();
        let allowed = self.limits.countries.as_ref();
        if allowed.is_some_and(|list| !list.iter().any(|c| c.eq_ignore_ascii_case(&country))) {
            return Err(Exceeded::Country);
        }
        let day = now_ms / DAY_MS;
        if day > self.spent.day {
            self.spent = Spent { day, ..Spent::default() };
        }
        if self.spent.total >= self.limits.per_day {
            return Err(Exceeded::Day);
        }
        let used = self.spent.by_country.get(&country).copied().unwrap_or_default();
        if used >= self.limits.per_country_per_day {
            return Err(Exceeded::CountryDay);
        }
        self.spent.total += 1;
        self.spent.by_country.insert(country, used + 1);
        Ok(())
    }

    /// The record to store.
    pub fn spent(&self) -> &Spent {
        &self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(per_day: u32, per_country_per_day: u32, countries: Option<&[&str]>) -> Budget {
        let countries = countries.map(|list| list.iter().map(ToString::to_string).collect());
        Budget::new(Limits { per_day, per_country_per_day, countries }, Spent::default())
    }

    #[test]
    fn both_limits_hold_and_a_new_day_opens_them() {
        let mut budget = budget(3, 2, None);
        let now = 5 * DAY_MS;
        assert_eq!(budget.spend(now, "CM"), Ok(()));
        assert_eq!(budget.spend(now, "cm"), Ok(()));
        assert_eq!(budget.spend(now, "CM"), Err(Exceeded::CountryDay));
        assert_eq!(budget.spend(now, "NG"), Ok(()));
        assert_eq!(budget.spend(now + DAY_MS - 1, "NG"), Err(Exceeded::Day));
        assert_eq!(budget.spend(now + DAY_MS, "CM"), Ok(()));
        assert_eq!(budget.spend(now, "CM"), Ok(()), "counted on the later day");
        assert_eq!(budget.spend(now, "CM"), Err(Exceeded::CountryDay));
    }

    #[test]
    fn only_listed_countries_are_sent_to_and_a_refusal_costs_nothing() {
        let mut budget = budget(10, 10, Some(&["CM", "ng"]));
        assert_eq!(budget.spend(DAY_MS, "FR"), Err(Exceeded::Country));
        assert_eq!(budget.spend(DAY_MS, ""), Err(Exceeded::Country));
        assert_eq!(budget.spent(), &Spent::default());
        assert_eq!(budget.spend(DAY_MS, "NG"), Ok(()));
        let mut none = self::budget(10, 10, Some(&[]));
        assert_eq!(none.spend(DAY_MS, "CM"), Err(Exceeded::Country));
    }

    #[test]
    fn the_record_survives_a_restart() {
        let mut before = budget(2, 2, None);
        before.spend(DAY_MS, "CM").unwrap();
        let stored = serde_json::to_string(before.spent()).unwrap();
        let mut after = Budget::new(before.limits.clone(), serde_json::from_str(&stored).unwrap());
        assert_eq!(after, before);
        after.spend(DAY_MS, "CM").unwrap();
        assert_eq!(after.spend(DAY_MS, "CM"), Err(Exceeded::Day));
    }
}
