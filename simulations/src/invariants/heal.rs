//! After the last fault the mesh must come together again: what anybody knew some hours ago, everybody knows.

use std::collections::BTreeMap;

use relaymesh_core::Node;
use relaymesh_protocol::frame::{FilterHead, FilterLayer};
use relaymesh_protocol::ids::NodeId;

use crate::kernel::Span;

/// Within this time after the last fault. Partners compare each minute, rest at most an hour, and a round of three of them
/// reaches everybody in a few steps: hours are generous.
pub const HEAL: Span = Span::hours(6);

/// What is known of the mesh: newest versions of facts and filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    facts: BTreeMap<Vec<u8>, u64>,
    filters: BTreeMap<(NodeId, FilterLayer), u64>,
}

impl Knowledge {
    /// Takes in what a node knows.
    pub fn add(&mut self, node: &Node) {
        let (facts, filters) = node.knowledge();
        self.merge(facts, filters);
    }

    fn merge(&mut self, facts: Vec<(Vec<u8>, u64)>, filters: Vec<FilterHead>) {
        for (subject, number) in facts {
            let seq = self.facts.entry(subject).or_default();
            *seq = number.max(*seq);
        }
        for head in filters {
            let version = self.filters.entry((head.node, head.layer)).or_default();
            *version = head.version.max(*version);
        }
    }

    /// Facts and filters of this that are missing in `other`, or older there: what they are called in a violation.
    #[must_use]
    pub fn missing_in(&self, other: &Self) -> Vec<String> {
        let short = |bytes: &[u8]| bytes.iter().take(5).map(|byte| format!("{byte:02x}")).collect::<String>();
        let facts = self.facts.iter().filter(|(subject, seq)| other.facts.get(*subject).is_none_or(|o| o < *seq));
        let facts = facts.map(|(subject, seq)| format!("fact {}… of {seq}", short(subject)));
        let filters = self.filters.iter().filter(|(of, version)| other.filters.get(of).is_none_or(|o| o < *version));
        let filters =
            filters.map(|((of, layer), version)| format!("{layer:?} filter {version} of {}…", short(of.as_bytes())));
        facts.chain(filters).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_missing() {
        let fact = |seq| (vec![1], seq);
        let filter = |version| FilterHead { node: NodeId([1; 32]), layer: FilterLayer::Base, version, bytes: 1 };
        let (mut ours, mut theirs) = (Knowledge::default(), Knowledge::default());
        ours.merge(vec![fact(2)], vec![filter(5)]);
        theirs.merge(vec![fact(2)], vec![filter(4)]);
        assert_eq!(ours.missing_in(&theirs), ["Base filter 5 of 0101010101…"]);
        assert_eq!(theirs.missing_in(&ours).len(), 0);
        theirs.merge(Vec::new(), vec![filter(5), filter(3)]);
        assert_eq!(ours.missing_in(&theirs).len(), 0);
    }
}
