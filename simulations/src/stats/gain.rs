//! Two systems, or two scenarios, over the same luck: paired differences, and whether more is better.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Estimate, Sample, estimate};
use crate::outcome::System;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More of it.
    More,
    /// Less of it.
    Less,
}

/// Which way a figure is better; `None` = neither, or it depends.
#[must_use]
pub fn better(figure: &str) -> Option<Better> {
    const LESS: [&str; 8] = [
        "accepted_but_lost",
        "told_wrong",
        "published_twice",
        "segments_per_delivered",
        "price_per_delivered",
        "sends_per_message",
        "violations",
        "fate.expired",
    ];
    if figure.starts_with("delivered.") || figure == "fate.published" || figure == "told" {
        Some(Better::More)
    } else if ["delay.", "exposed.", "fate.lost"].iter().any(|prefix| figure.starts_with(prefix))
        || LESS.contains(&figure)
    {
        Some(Better::Less)
    } else {
        None
    }
}

/// What a paired difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Its interval lies on the good side of zero.
    Better,
    /// On the bad side.
    Worse,
    /// The interval holds zero: the worlds that were run do not decide.
    Undecided,
    /// Equal in every world.
    Equal,
    /// More, of something that is neither good nor bad.
    More,
    /// Less of it.
    Less,
}

/// A figure of two sides over the worlds that both have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The figure.
    pub figure: String,
    /// Mean of the first side over those worlds.
    pub a: f64,
    /// Mean of the second.
    pub b: f64,
    /// `b - a` and where it lies.
    pub difference: Estimate,
    /// What it says of the second side.
    pub judgement: Judgement,
    /// Worlds in which both sides have the figure.
    pub worlds: usize,
    /// Worlds in which one lacks it (a percentile that was not reached): the difference is over the others, and proves little.
    pub lacking: usize,
}

impl Difference {
    /// Whether the second side is not shown to be better: its interval touches or crosses zero, or lies on the bad side.
    #[must_use]
    pub fn is_no_gain(&self) -> bool {
        better(&self.figure).is_some() && self.judgement != Judgement::Better
    }
}

/// Figures of one side by seed.
pub type Side<'s> = BTreeMap<u64, &'s BTreeMap<String, f64>>;

/// One system's figures by seed.
#[must_use]
pub fn side(samples: &[Sample], system: System) -> Side<'_> {
    let own = samples.iter().filter_map(|sample| Some((sample.seed, &sample.get(system)?.figures)));
    own.collect()
}

/// The mesh against a baseline over the same luck. What the model of the central service does not have (what an adversary
/// knows) is not compared: nothing is not the same as not modelled.
#[must_use]
pub fn gains(samples: &[Sample], baseline: System) -> Vec<Difference> {
    let mut found = differences(&side(samples, baseline), &side(samples, System::Mesh));
    found.retain(|one| baseline != System::Upstream || !one.figure.starts_with("exposed."));
    found
}

/// All figures that both sides have in at least two common worlds. A count that a world does not have is zero there.
#[must_use]
pub fn differences(a: &Side<'_>, b: &Side<'_>) -> Vec<Difference> {
    let pairs: Vec<_> = a.iter().filter_map(|(seed, a)| Some((*a, *b.get(seed)?))).collect();
    let mut names: Vec<&String> = pairs.iter().flat_map(|(a, b)| a.keys().chain(b.keys())).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter_map(|name| difference(&pairs, name)).collect()
}

/// The figures of both sides in one world.
type Pair<'s> = (&'s BTreeMap<String, f64>, &'s BTreeMap<String, f64>);

fn difference(pairs: &[Pair<'_>], name: &str) -> Option<Difference> {
    let value =
        |side: &BTreeMap<String, f64>| side.get(name).copied().or_else(|| name.starts_with("count.").then_some(0.0));
    let both: Vec<(f64, f64)> = pairs.iter().filter_map(|(a, b)| Some((value(a)?, value(b)?))).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| both.iter().map(of).sum::<f64>() / both.len() as f64;
    let differences: Vec<f64> = both.iter().map(|(a, b)| b - a).collect();
    let (difference, lacking) = (estimate(&differences, false)?, pairs.len() - both.len());
    let equal = differences.iter().all(|difference| difference.abs() < 1e-12);
    let judgement = match (better(name), difference.low, difference.high) {
        _ if equal && lacking == 0 => Judgement::Equal,
        _ if lacking > 0 => Judgement::Undecided,
        (Some(Better::More), low, _) if low > 0.0 => Judgement::Better,
        (Some(Better::More), _, high) if high < 0.0 => Judgement::Worse,
        (Some(Better::Less), low, _) if low > 0.0 => Judgement::Worse,
        (Some(Better::Less), _, high) if high < 0.0 => Judgement::Better,
        (None, low, _) if low > 0.0 => Judgement::More,
        (None, _, high) if high < 0.0 => Judgement::Less,
        _ => Judgement::Undecided,
    };
    let (a, b, worlds) = (mean(|pair| pair.0), mean(|pair| pair.1), both.len());
    Some(Difference { figure: name.to_owned(), a, b, difference, judgement, worlds, lacking })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side_of(values: &[(u64, &[(&str, f64)])]) -> BTreeMap<u64, BTreeMap<String, f64>> {
        let own = |figures: &[(&str, f64)]| figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        values.iter().map(|(seed, figures)| (*seed, own(figures))).collect()
    }

    fn compare(a: &[(u64, &[(&str, f64)])], b: &[(u64, &[(&str, f64)])]) -> Vec<Difference> {
        let (a, b) = (side_of(a), side_of(b));
        differences(
            &a.iter().map(|(seed, own)| (*seed, own)).collect(),
            &b.iter().map(|(seed, own)| (*seed, own)).collect(),
        )
    }

    #[test]
    fn pairs_are_of_one_seed_and_less_delay_is_better() {
        let a: &[(u64, &[(&str, f64)])] =
            &[(1, &[("delivered.72h", 0.1), ("delay.p50", 9.0)]), (2, &[("delivered.72h", 0.8), ("delay.p50", 90.0)])];
        let b: &[(u64, &[(&str, f64)])] = &[
            (2, &[("delivered.72h", 0.9), ("delay.p50", 80.0)]),
            (1, &[("delivered.72h", 0.21), ("delay.p50", -1.0)]),
            (3, &[("delivered.72h", 0.0)]),
        ];
        let found = compare(a, b);
        let get = |name: &str| found.iter().find(|one| one.figure == name).unwrap();
        assert_eq!(get("delivered.72h").judgement, Judgement::Better, "{found:?}");
        assert_eq!((get("delivered.72h").worlds, get("delivered.72h").lacking), (2, 0));
        assert_eq!(get("delay.p50").judgement, Judgement::Better);
        assert!(compare(b, a).iter().all(|one| one.judgement == Judgement::Worse && one.is_no_gain()));
    }

    #[test]
    fn what_some_worlds_lack_decides_nothing() {
        let a: &[(u64, &[(&str, f64)])] = &[(1, &[("delay.p90", 9.0)]), (2, &[("delay.p90", 8.0)]), (3, &[])];
        let b: &[(u64, &[(&str, f64)])] =
            &[(1, &[("delay.p90", 1.0)]), (2, &[("delay.p90", 0.5)]), (3, &[("delay.p90", 1.0)])];
        let found = compare(a, b);
        assert_eq!((found[0].judgement, found[0].worlds, found[0].lacking), (Judgement::Undecided, 2, 1));
        let same = compare(b, b);
        assert!(same[0].judgement == Judgement::Equal && same[0].is_no_gain());
    }
}
