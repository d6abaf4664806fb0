//! What became of the messages: counted where it matters, at the platform.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// The outcome of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Composed messages that are on the platform.
    pub published: usize,
    /// Posts beyond the first of each composed message, and posts that nobody composed.
    pub duplicates: usize,
    /// Messages that a node promised to keep and that are not on the platform.
    pub lost: usize,
}

impl Tally {
    /// Compares what was composed and what was accepted (both by text, each text composed once) with the platform's posts.
    pub fn count(composed: &BTreeSet<String>, accepted: &BTreeSet<String>, posts: &[String]) -> Self {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for post in posts {
            *times.entry(post).or_default() += 1;
        }
        let published = composed.iter().filter(|text| times.contains_key(text.as_str())).count();
        let lost = accepted.iter().filter(|text| !times.contains_key(text.as_str())).count();
        Self { published, duplicates: posts.len() - published, lost }
    }

    /// Whether everything that was composed arrived, once.
    pub fn is_clean(&self, composed: usize) -> bool {
        *self == Self { published: composed, duplicates: 0, lost: 0 }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, duplicates, lost } = self;
        write!(f, "published {published}, duplicates {duplicates}, lost {lost}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn tally(composed: &[&str], accepted: &[&str], posts: &[&str]) -> (usize, usize, usize) {
        let posts: Vec<String> = posts.iter().map(|text| (*text).to_owned()).collect();
        let Tally { published, duplicates, lost } = Tally::count(&set(composed), &set(accepted), &posts);
        (published, duplicates, lost)
    }

    #[test]
    fn posts_are_counted_against_what_was_composed() {
        assert_eq!(tally(&[], &[], &[]), (0, 0, 0));
        assert_eq!(tally(&["a", "b"], &["a", "b"], &["b", "a"]), (2, 0, 0));
        assert_eq!(tally(&["a", "b"], &["a", "b"], &["a", "a", "a"]), (1, 2, 1));
        assert_eq!(tally(&["a"], &["a"], &["a", "never composed"]), (1, 1, 0));
        // Never accepted: nobody promised anything.
        assert_eq!(tally(&["a", "b"], &["a"], &["a"]), (1, 0, 0));
    }

    #[test]
    fn only_everything_once_is_clean() {
        let tally = Tally { published: 3, duplicates: 0, lost: 0 };
        assert!(tally.is_clean(3));
        assert!(!tally.is_clean(4));
        assert!(!Tally { duplicates: 1, ..tally }.is_clean(3));
        assert!(!Tally { lost: 1, ..tally }.is_clean(3));
        assert_eq!(tally.to_string(), "published 3, duplicates 0, lost 0");
    }
}
