//! Whether partners' number filters are honest: random numbers that nobody asked for are looked up in them. A filter that
//! says yes to more than one in a hundred claims people that its node does not have: it is not believed about numbers, and its
//! author's standing is gone. What was found is stored, as only own nodes and partners are asked: some bytes for each.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use relaymesh_protocol::ids::{E164, NodeId};
use serde::{Deserialize, Serialize};

use super::Change;
use crate::delivery;
use crate::node::Node;
use crate::record::{Scope, Stored, key, put_node, restore_row};
use crate::tx::{Run, Tx};

/// Samples before a filter is judged.
const SAMPLES_MIN: u32 = 200;
/// Of more samples than this, half are forgotten, so that a filter may mend.
const SAMPLES_MAX: u32 = 2_000;
/// A filter that says yes to more than one in so many is not believed.
const HONEST_ONE_IN: u32 = 100;
/// Samples without a hit are written down in steps of so many.
const SAVE_EVERY: u32 = 16;
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

/// Samples of one node's filter, and how many of them it knew.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Audit {
    samples: u32,
    hits: u32,
}

impl Stored for Audit {
    const SCOPE: Scope = Scope::Node;
}

impl Audit {
    fn sample(&mut self, hit: bool) {
        self.samples += 1;
        self.hits += u32::from(hit);
        if self.samples > SAMPLES_MAX {
            *self = Self { samples: self.samples / 2, hits: self.hits / 2 };
        }
    }

    fn is_bad(self) -> bool {
        self.samples >= SAMPLES_MIN && self.hits * HONEST_ONE_IN > self.samples
    }
}

/// What the samples say.
#[derive(Debug, Default)]
pub(super) struct Audits(BTreeMap<NodeId, Audit>);

impl Audits {
    /// A random number was looked up.
    pub fn sample(&mut self, node: NodeId, hit: bool) {
        self.0.entry(node).or_default().sample(hit);
    }

    /// As it was stored.
    fn put(&mut self, node: NodeId, audit: Audit) {
        self.0.insert(node, audit);
    }

    /// What these samples would make of a node.
    fn with(&self, node: &NodeId, hits: &[bool]) -> Audit {
        let mut audit = self.0.get(node).copied().unwrap_or_default();
        hits.iter().for_each(|hit| audit.sample(*hit));
        audit
    }

    /// Whether a node's filter is not believed about numbers.
    pub fn distrusts(&self, node: &NodeId) -> bool {
        self.0.get(node).is_some_and(|audit| audit.is_bad())
    }

    /// Whether there are enough samples of a node to believe its filter, or not to.
    pub fn has_judged(&self, node: &NodeId) -> bool {
        self.samples(node) >= SAMPLES_MIN
    }

    /// How many samples there are of a node: the least audited goes first.
    pub fn samples(&self, node: &NodeId) -> u32 {
        self.0.get(node).map_or(0, |audit| audit.samples)
    }
}

/// Random numbers were looked up in a node's filter.
pub(super) fn sampled(node: &Node, tx: &mut Tx<'_>, of: NodeId, hits: &[bool]) -> Run {
    let audits = &node.locator.audits;
    let (before, after) = (audits.samples(&of), audits.with(&of, hits));
    for hit in hits {
        tx.then(Change::Sampled(of, *hit));
        if *hit {
            node.count(tx, "audit_hit");
        }
    }
    let fell = after.is_bad() && !audits.distrusts(&of);
    if fell {
        node.count(tx, "filter_distrusted");
        tx.then(delivery::Change::Forfeited(of));
    }
    // Samples that say nothing new need not all be on disk.
    if fell || hits.contains(&true) || before / SAVE_EVERY != after.samples / SAVE_EVERY {
        put_node(node, tx, key::audit(&of), &after)?;
    }
    Ok(())
}

/// Reads what was found before a restart.
pub(super) fn restore(node: &mut Node, row_key: &[u8], row: &[u8]) {
    let of = row_key.get(1..).map(NodeId::try_from);
    let (Some(Ok(of)), Some(audit)) = (of, restore_row::<Audit>(node, row_key, row)) else { return };
    node.locator.audits.put(of, audit);
    if audit.is_bad() {
        node.delivery.apply(delivery::Change::Forfeited(of));
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
