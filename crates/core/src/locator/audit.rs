//! Whether partners' number filters are honest: random numbers that nobody asked for are looked up in them. A filter that
//! says yes to more than one in a hundred claims people that its node does not have.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use relaymesh_protocol::ids::{E164, NodeId};

/// Samples before a filter is judged.
const SAMPLES_MIN: u32 = 200;
/// Of more samples than this, half are forgotten, so that a filter may mend.
const SAMPLES_MAX: u32 = 2_000;
/// A filter that says yes to more than one in so many is not believed.
const HONEST_ONE_IN: u32 = 100;
/// Mobile prefixes with the number of digits that follow: numbers that could be people's, in many regions.
const PREFIXES: [(&str, u32); 12] = [
    ("+23767", 7),
    ("+23480", 8),
    ("+25471", 7),
    ("+23324", 7),
    ("+22177", 7),
    ("+27823", 6),
    ("+989121", 6),
    ("+95925", 7),
    ("+919812", 6),
    ("+5511987", 6),
    ("+33612", 6),
    ("+49151", 8),
];

/// A random number that could be somebody's.
pub(super) fn random_number(rng: &mut ChaCha20Rng) -> E164 {
    let at = rng.next_u32() as usize % PREFIXES.len();
    let (prefix, digits) = PREFIXES.get(at).copied().unwrap_or(("+23767", 7));
    let rest = rng.next_u64() % 10_u64.pow(digits);
    let number = format!("{prefix}{rest:0width$}", width = digits as usize);
    number.parse().expect("prefix and digits make 11 to 13 digits after the plus")
}

#[derive(Clone, Copy, Debug, Default)]
struct Audit {
    samples: u32,
    hits: u32,
}

/// What the samples say.
#[derive(Debug, Default)]
pub(super) struct Audits(BTreeMap<NodeId, Audit>);

impl Audits {
    /// A random number was looked up.
    pub fn sample(&mut self, node: NodeId, hit: bool) {
        let audit = self.0.entry(node).or_default();
        audit.samples += 1;
        audit.hits += u32::from(hit);
        if audit.samples > SAMPLES_MAX {
            *audit = Audit { samples: audit.samples / 2, hits: audit.hits / 2 };
        }
    }

    /// Whether a node's filter is not believed about numbers.
    pub fn distrusts(&self, node: &NodeId) -> bool {
        self.0.get(node).is_some_and(|audit| audit.samples >= SAMPLES_MIN && audit.hits * HONEST_ONE_IN > audit.samples)
    }

    /// How many samples there are of a node: the least audited goes first.
    pub fn samples(&self, node: &NodeId) -> u32 {
        self.0.get(node).map_or(0, |audit| audit.samples)
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    const NODE: NodeId = NodeId([1; 32]);

    #[test]
    fn more_than_one_in_a_hundred_is_not_believed() {
        let mut audits = Audits::default();
        for n in 0..SAMPLES_MIN - 1 {
            audits.sample(NODE, n % 10 == 0);
        }
        assert!(!audits.distrusts(&NODE), "too few samples");
        audits.sample(NODE, false);
        assert!(audits.distrusts(&NODE));
        assert!(!audits.distrusts(&NodeId([2; 32])));
    }

    #[test]
    fn one_in_a_hundred_is_believed_and_a_filter_may_mend() {
        let mut audits = Audits::default();
        for n in 0..1_000 {
            audits.sample(NODE, n % 100 == 0);
        }
        assert!(!audits.distrusts(&NODE));
        for _ in 0..100 {
            audits.sample(NODE, true);
        }
        assert!(audits.distrusts(&NODE));
        for _ in 0..10_000 {
            audits.sample(NODE, false);
        }
        assert!(!audits.distrusts(&NODE));
        assert!(audits.samples(&NODE) <= SAMPLES_MAX);
    }

    #[test]
    fn random_numbers_are_numbers_and_differ() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let numbers: std::collections::BTreeSet<E164> = (0..1_000).map(|_| random_number(&mut rng)).collect();
        assert!(numbers.len() > 990);
    }
}
