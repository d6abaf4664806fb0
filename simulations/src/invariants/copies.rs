//! What one node has said yes to and must still have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use relaymesh_core::batch::Key;
use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId};

use crate::kernel::Time;

/// Consumed blocks of one node that are looked after a restart: the latest ones.
const CONSUMED_WATCHED: usize = 1_024;

/// A custody copy that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Custody {
    /// When its time is over, by the envelope's own word.
    pub expires: Time,
    /// Its recipient has answered for it.
    pub handed: bool,
}

/// What one node has.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// Messages whose copy it keeps as ingress, and since when.
    pub held: BTreeMap<u32, (MessageId, Time)>,
    /// Messages whose publication it owes as home.
    pub owed: BTreeMap<u32, MessageId>,
    /// Messages of which it has a row as ingress: they stay for a while after the copy is gone.
    pub rows: BTreeSet<u32>,
    /// Messages of which it has a job's row as home: what is uncertain stays for a while.
    pub jobs: BTreeSet<u32>,
    /// Envelopes that it acknowledged as custodian.
    pub custody: BTreeMap<(NodeId, EnvelopeId), Custody>,
    /// Record keys of blocks that it consumed, oldest first.
    consumed: VecDeque<(u32, Key)>,
}

impl Copies {
    /// It consumed a block: its record of that must stay.
    pub fn consume(&mut self, message: u32, key: Key) {
        if self.consumed.len() >= CONSUMED_WATCHED {
            self.consumed.pop_front();
        }
        self.consumed.push_back((message, key));
    }

    /// Blocks that it consumed and must remember.
    pub fn consumed(&self) -> impl Iterator<Item = (u32, &Key)> {
        self.consumed.iter().map(|(message, key)| (*message, key))
    }

    /// A message's row as ingress, or as job, is there or gone.
    pub(super) fn row(rows: &mut BTreeSet<u32>, message: u32, there: bool) {
        if there {
            rows.insert(message);
        } else {
            rows.remove(&message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_consumed_blocks_are_watched() {
        let mut copies = Copies::default();
        for n in 0..=u32::try_from(CONSUMED_WATCHED).unwrap() {
            copies.consume(n, vec![1]);
        }
        assert_eq!(copies.consumed().count(), CONSUMED_WATCHED);
        assert_eq!(copies.consumed().next().unwrap().0, 1);
    }
}
