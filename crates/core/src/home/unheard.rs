//! What is remembered of ingresses that may not have heard something.

use std::collections::BTreeMap;

use relaymesh_protocol::ids::{MessageId, NodeId, Timestamp};

use crate::watch::Gauge;

/// Receipts that are said again until they are heard, all together; what comes on top is said once, and again when the
/// ingress asks by offering its message again.
const LACKS_MAX: usize = 100_000;
/// The same for one ingress.
const PER_INGRESS_MAX: usize = 20_000;
/// Other ingresses of one block that hear when its publication ends.
const OTHERS_PER_BLOCK_MAX: usize = 4;
/// Blocks with such ingresses.
const OTHERS_MAX: usize = 10_000;

/// How much an ingress is told of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    /// That it is consumed and durable.
    Accepted,
    /// How it ended, the acceptance before it.
    Done,
}

/// One message whose ingress may lack a receipt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lack {
    pub word: Word,
    /// A letter with it is under way since.
    pub said: Option<Timestamp>,
    /// A letter with so much of it lies in custody.
    pub kept: Option<Word>,
}

/// One ingress.
#[derive(Debug, Default)]
pub(super) struct Ingress {
    pub lacks: BTreeMap<MessageId, Lack>,
    /// How often in a row letters did not arrive.
    pub lost: u32,
    /// Nothing is said again until then.
    pub rest: Timestamp,
}

/// Which ingresses may lack what.
#[derive(Debug, Default)]
pub(crate) struct Unheard {
    pub(super) by: BTreeMap<NodeId, Ingress>,
    count: usize,
    /// Ingresses that offered a block while its publication was owed to another one: told when it ends. They keep their
    /// copies until then, so memory is enough.
    pub(super) others: BTreeMap<[u8; 16], Vec<(NodeId, MessageId)>>,
}

impl Unheard {
    pub(super) fn lack(&self, ingress: &NodeId, message: &MessageId) -> Option<&Lack> {
        self.by.get(ingress)?.lacks.get(message)
    }

    pub(super) fn has_room(&self, ingress: &NodeId) -> bool {
        self.count < LACKS_MAX && self.by.get(ingress).is_none_or(|one| one.lacks.len() < PER_INGRESS_MAX)
    }

    pub fn said(&mut self, ingress: NodeId, message: MessageId, word: Word, at: Option<Timestamp>) {
        let lacks = &mut self.by.entry(ingress).or_default().lacks;
        let before = lacks.len();
        let lack = lacks.entry(message).or_insert(Lack { word, said: at, kept: None });
        lack.word = lack.word.max(word);
        lack.said = at;
        self.count += lacks.len() - before;
    }

    pub fn heard(&mut self, ingress: &NodeId, message: &MessageId, word: Word) {
        let Some(one) = self.by.get_mut(ingress) else { return };
        (one.lost, one.rest) = (0, Timestamp::default());
        if one.lacks.get(message).is_some_and(|lack| lack.word <= word) {
            one.lacks.remove(message);
            self.count = self.count.saturating_sub(1);
        }
        if one.lacks.is_empty() {
            self.by.remove(ingress);
        }
    }

    /// A letter did not arrive; others that left with it count no more than it.
    pub fn lost(&mut self, ingress: &NodeId, messages: &[MessageId], now: Timestamp, rest: Timestamp) {
        let Some(one) = self.by.get_mut(ingress) else { return };
        if one.rest <= now || one.rest > rest {
            (one.lost, one.rest) = (one.lost.saturating_add(1), rest);
        }
        for message in messages {
            if let Some(lack) = one.lacks.get_mut(message) {
                lack.said = None;
            }
        }
    }

    pub fn kept(&mut self, ingress: &NodeId, message: &MessageId, word: Word) {
        if let Some(lack) = self.by.get_mut(ingress).and_then(|one| one.lacks.get_mut(message)) {
            lack.kept = lack.kept.max(Some(word));
        }
    }

    pub fn linked(&mut self, ingress: &NodeId) {
        if let Some(one) = self.by.get_mut(ingress) {
            (one.lost, one.rest) = (0, Timestamp::default());
        }
    }

    pub fn other(&mut self, block: [u8; 16], ingress: NodeId, message: MessageId) {
        if self.others.len() >= OTHERS_MAX && !self.others.contains_key(&block) {
            return;
        }
        let others = self.others.entry(block).or_default();
        if others.len() < OTHERS_PER_BLOCK_MAX && !others.contains(&(ingress, message)) {
            others.push((ingress, message));
        }
    }

    pub fn others_told(&mut self, block: &[u8; 16]) {
        self.others.remove(block);
    }
}

/// What ingresses may lack: all together, most of one, and blocks that several brought.
pub(super) fn gauges(unheard: &Unheard) -> [Gauge; 3] {
    let most = unheard.by.values().map(|one| one.lacks.len()).max().unwrap_or_default();
    [
        Gauge { name: "receipts_unheard", value: unheard.count, cap: LACKS_MAX },
        Gauge { name: "receipts_unheard_of_one", value: most, cap: PER_INGRESS_MAX },
        Gauge { name: "blocks_of_others", value: unheard.others.len(), cap: OTHERS_MAX },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const INGRESS: NodeId = NodeId([1; 32]);
    const MESSAGE: MessageId = MessageId([2; 32]);

    #[test]
    fn an_acceptance_that_was_heard_does_not_settle_the_end() {
        let mut unheard = Unheard::default();
        unheard.said(INGRESS, MESSAGE, Word::Accepted, Some(Timestamp(1)));
        unheard.said(INGRESS, MESSAGE, Word::Done, Some(Timestamp(2)));
        unheard.heard(&INGRESS, &MESSAGE, Word::Accepted);
        assert!(unheard.lack(&INGRESS, &MESSAGE).is_some());
        unheard.heard(&INGRESS, &MESSAGE, Word::Done);
        assert!(unheard.by.is_empty() && unheard.count == 0);
    }

    #[test]
    fn what_an_ingress_can_make_a_home_hold_is_bounded() {
        let mut unheard = Unheard::default();
        let message = |n: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            MessageId(id)
        };
        for n in 0..PER_INGRESS_MAX {
            assert!(unheard.has_room(&INGRESS));
            unheard.said(INGRESS, message(n), Word::Done, None);
        }
        assert!(!unheard.has_room(&INGRESS) && unheard.has_room(&NodeId([9; 32])));
        for n in 0..2 * OTHERS_PER_BLOCK_MAX {
            unheard.other([7; 16], INGRESS, message(n));
        }
        assert_eq!(unheard.others[&[7; 16]].len(), OTHERS_PER_BLOCK_MAX);
    }
}
