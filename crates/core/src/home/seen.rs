//! Which consumed blocks of a bridge identity are remembered with their result: whoever sends from its number can add some, so
//! the oldest make room. A block that is forgotten here is still never mailed again (see `spent`).

use std::time::Duration;

use relaymesh_protocol::ids::Timestamp;
use serde::{Deserialize, Serialize};

use crate::node::Node;
use crate::record::vault::SEEN;
use crate::record::{Entity, Stored};
use crate::tx::{Run, Tx};

/// Results of one bridge identity that are kept: what its allowance of mails can make in their life.
const SEEN_MAX: u64 = 3_000;
/// How long a result is kept for copies.
const SEEN_LIFE: Duration = Duration::from_hours(150 * 24);
/// Results that one message may push out: more than it adds, so that a long list shrinks.
const PUSHED_OUT: usize = 2;
/// Table byte of [`Span`]; one record, key empty.
const SPAN: u8 = 14;
/// Table byte of [`Entry`]; key = its place in the order, big-endian.
const ENTRY: u8 = 15;

/// Entries from the oldest to the one after the newest.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Span {
    first: u64,
    next: u64,
}

/// A result, and since when it is there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    seen: [u8; 16],
    at: Timestamp,
}

impl Stored for Span {}
impl Stored for Entry {}

impl Span {
    fn is_over(&self, oldest: Timestamp, now: Timestamp) -> bool {
        self.next - self.first > SEEN_MAX || now.since(oldest) >= SEEN_LIFE
    }
}

/// A block was consumed, and its result is in the batch.
pub(super) fn note(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, seen: &[u8; 16]) -> Run {
    let mut span = entity.get::<Span>(node, tx, SPAN, b"")?.unwrap_or_default();
    let now = tx.now();
    entity.put(node, tx, ENTRY, &span.next.to_be_bytes(), &Entry { seen: *seen, at: now })?;
    span.next += 1;
    for _ in 0..PUSHED_OUT {
        let place = span.first.to_be_bytes();
        match entity.get::<Entry>(node, tx, ENTRY, &place)? {
            Some(oldest) if !span.is_over(oldest.at, now) => break,
            Some(oldest) => {
                entity.delete(node, tx, SEEN, &oldest.seen)?;
                entity.delete(node, tx, ENTRY, &place)?;
            }
            None if span.first + 1 >= span.next => break,
            None => {}
        }
        span.first += 1;
    }
    entity.put(node, tx, SPAN, b"", &span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_there_are_too_many_or_its_time_is_over() {
        let (start, later) = (Timestamp(1_000), |span: Duration| Timestamp(1_000).after(span));
        let span = Span { first: 7, next: 7 + SEEN_MAX };
        assert!(!span.is_over(start, later(SEEN_LIFE - Duration::from_millis(1))));
        assert!(span.is_over(start, later(SEEN_LIFE)));
        assert!(Span { first: 7, next: 8 + SEEN_MAX }.is_over(start, start));
    }
}
