//! Heads in parts, so that two nodes that differ find out where without telling each other all they have.

use std::sync::PoisonError;

use relaymesh_protocol::frame::{DIGEST_LEN, FactHead, FilterHead, PARTS_MAX, SUM_LEN};
use sha2::{Digest, Sha256};

use crate::locator;
use crate::node::Node;

/// Heads that a part should hold: the sums of all parts, and the heads of one that differs, are then about as long.
const HEADS_PER_PART: usize = 8;

/// How many parts what this node knows is divided into; a power of two.
pub(super) fn count(node: &Node) -> u16 {
    let heads = node.membership.facts.len() + locator::filter_count(node);
    let parts = (heads / HEADS_PER_PART).next_power_of_two().min(PARTS_MAX);
    u16::try_from(parts).unwrap_or(1)
}

/// Whether heads can be divided into so many parts.
pub(super) fn is_count(of: usize) -> bool {
    of.is_power_of_two() && of <= PARTS_MAX
}

/// The part of a fact: by the hash in its name, behind the kind.
pub(super) fn of_fact(head: &FactHead, of: u16) -> u16 {
    of_bytes(head.subject.get(1..).unwrap_or_default(), of)
}

/// The part of a filter: by its node's key, which looks as random.
pub(super) fn of_filter(head: &FilterHead, of: u16) -> u16 {
    of_bytes(head.node.as_bytes(), of)
}

fn of_bytes(bytes: &[u8], of: u16) -> u16 {
    let number = bytes.first_chunk().map_or(0, |first| u16::from_be_bytes(*first));
    number.checked_rem(of).unwrap_or_default()
}

/// Hashes over what is in each part, and of what they were made: how many parts, changes of the facts, changes of the filters.
#[derive(Debug)]
pub(super) struct Remembered {
    of: u16,
    facts: u64,
    filters: u64,
    parts: Vec<Known>,
}

/// Which state of a part's facts, and the hash.
type Known = (u64, [u8; 32]);

/// A digest of each part, [`SUM_LEN`] bytes each.
pub(super) fn sums(node: &Node, of: u16) -> Vec<u8> {
    hashes(node, of, |parts| parts.iter().flat_map(|(_, hash)| hash.iter().copied().take(SUM_LEN)).collect())
}

/// A hash over the mesh and the heads of all facts and all filters. Nodes that hold the same divide it alike.
pub(super) fn digest(node: &Node) -> [u8; DIGEST_LEN] {
    let mut hash = Sha256::new();
    hash.update(node.membership.mesh().as_bytes());
    hashes(node, count(node), |parts| parts.iter().for_each(|(_, part)| hash.update(part)));
    let mut digest = [0; DIGEST_LEN];
    digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    digest
}

/// Shows a hash over what is in each part. After a change only parts that have changed are hashed again.
fn hashes<T>(node: &Node, of: u16, look: impl FnOnce(&[Known]) -> T) -> T {
    let state = &node.membership;
    let (facts, filters) = (state.facts.generation(), locator::filter_generation(node));
    let mut remembered = state.sums.lock().unwrap_or_else(PoisonError::into_inner);
    let before = remembered.take();
    let now = match before {
        Some(now) if (now.of, now.facts, now.filters) == (of, facts, filters) => now,
        before => {
            let same = before.filter(|before| (before.of, before.filters) == (of, filters));
            let known = same.map(|before| before.parts).unwrap_or_default();
            Remembered { of, facts, filters, parts: compute(node, of, &known) }
        }
    };
    let seen = look(&now.parts);
    *remembered = Some(now);
    seen
}

fn compute(node: &Node, of: u16, known: &[Known]) -> Vec<Known> {
    let is_known = |part: usize, change| known.get(part).is_some_and(|(then, _)| *then == change);
    let mut hashes = node.membership.facts.part_hashes(of, is_known);
    for head in sorted_filters(node) {
        if let Some((_, Some(hash))) = hashes.get_mut(usize::from(of_filter(head, of))) {
            add_filter(hash, head);
        }
    }
    let done = |(part, (change, hash)): (usize, (u64, Option<Sha256>))| match hash {
        Some(hash) => (change, hash.finalize().into()),
        None => (change, known.get(part).map_or([0; 32], |(_, hash)| *hash)),
    };
    hashes.into_iter().enumerate().map(done).collect()
}

/// Parts whose digests differ.
pub(super) fn differing(ours: &[u8], theirs: &[u8]) -> Vec<u16> {
    let pairs = ours.chunks_exact(SUM_LEN).zip(theirs.chunks_exact(SUM_LEN));
    (0..).zip(pairs).filter(|(_, (ours, theirs))| ours != theirs).map(|(part, _)| part).collect()
}

/// The heads of all filters, in an order that all nodes share: by node, the base before the recent one.
pub(super) fn sorted_filters(node: &Node) -> &[FilterHead] {
    let filters = locator::filter_heads(node);
    debug_assert!(filters.is_sorted());
    filters
}

/// The heads of the filters in some of so many parts.
pub(super) fn filters_in(node: &Node, of: u16, parts: &[u16]) -> Vec<FilterHead> {
    sorted_filters(node).iter().filter(|head| parts.contains(&of_filter(head, of))).copied().collect()
}

/// Adds a filter's head to a hash.
fn add_filter(hash: &mut Sha256, head: &FilterHead) {
    let FilterHead { node, layer, version, bytes } = head;
    hash.update(node.as_bytes());
    hash.update([*layer as u8]);
    hash.update(version.to_be_bytes());
    hash.update(bytes.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_differ_are_named() {
        let (mut ours, theirs) = (vec![0; 4 * SUM_LEN], vec![0; 4 * SUM_LEN]);
        assert!(differing(&ours, &theirs).is_empty());
        ours[SUM_LEN] = 1;
        ours[4 * SUM_LEN - 1] = 1;
        assert_eq!(differing(&ours, &theirs), [1, 3]);
    }

    #[test]
    fn heads_fall_into_parts_whatever_they_hold() {
        assert_eq!(of_fact(&FactHead { subject: vec![9, 0x01, 0x05, 7], seq: 1 }, 4), 1);
        assert_eq!(of_fact(&FactHead { subject: Vec::new(), seq: 1 }, 4), 0);
        assert_eq!(of_fact(&FactHead { subject: vec![0; 30], seq: 1 }, 0), 0);
        assert!(is_count(1) && is_count(1024) && !is_count(0) && !is_count(3) && !is_count(2048));
    }
}
