//! Which segment sets are open, at an ingress or at a home, and which goes when there are too many: anybody can send segments
//! in anybody's name, so what one sender and one kind of door can keep open has a cap.

use std::collections::{BTreeMap, BTreeSet};

use relaymesh_protocol::ids::Timestamp;
use relaymesh_protocol::segment::assembly::SESSIONS_PER_SENDER_MAX;

/// Most sets of one node, up to 60 KiB of disk each.
const SETS_MAX: usize = 10_000;
/// And of these, sets that no enrolled gateway client brought a segment of.
const STRANGERS_MAX: usize = 1_000;

/// How much a set is worth: the first go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    /// No enrolled gateway client brought any of it, and it is kept for late copies only.
    StrangerDone,
    /// No enrolled gateway client brought any of it.
    Stranger,
    /// It is kept for late copies only.
    Done,
    /// A person's image on its way.
    Open,
}

impl Worth {
    /// Of a set that an enrolled gateway client brought some of, or not, and that is complete, or not.
    pub fn of(enrolled: bool, complete: bool) -> Self {
        match (enrolled, complete) {
            (false, true) => Self::StrangerDone,
            (false, false) => Self::Stranger,
            (true, true) => Self::Done,
            (true, false) => Self::Open,
        }
    }

    fn is_stranger(self) -> bool {
        self <= Self::Stranger
    }
}

/// A set that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// Who its sender is: a keyed hash of the number at an ingress, the entity at a home.
    pub sender: [u8; 16],
    pub since: Timestamp,
    pub worth: Worth,
}

impl Open {
    fn rank(&self, place: &[u8; 16]) -> Rank {
        (self.worth, self.since, *place)
    }
}

/// Of two sets the one of less worth goes first, then the older one.
type Rank = (Worth, Timestamp, [u8; 16]);

/// The sets that are kept.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    open: BTreeMap<[u8; 16], Open>,
    ranked: BTreeSet<Rank>,
    by_sender: BTreeMap<[u8; 16], BTreeSet<Rank>>,
    strangers: usize,
}

/// What becomes of a new set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room.
    Free,
    /// There is, once this one is gone.
    Instead([u8; 16]),
    /// There is none.
    None,
}

impl Sets {
    /// Adds a set, or says what has become of it.
    pub fn add(&mut self, place: [u8; 16], open: Open) {
        self.remove(&place);
        self.strangers += usize::from(open.worth.is_stranger());
        self.ranked.insert(open.rank(&place));
        self.by_sender.entry(open.sender).or_default().insert(open.rank(&place));
        self.open.insert(place, open);
    }

    pub fn remove(&mut self, place: &[u8; 16]) {
        let Some(open) = self.open.remove(place) else { return };
        let rank = open.rank(place);
        self.strangers -= usize::from(open.worth.is_stranger());
        self.ranked.remove(&rank);
        if let Some(ranks) = self.by_sender.get_mut(&open.sender) {
            ranks.remove(&rank);
            if ranks.is_empty() {
                self.by_sender.remove(&open.sender);
            }
        }
    }

    /// Whether one more set of a sender may be opened. A stranger's takes only strangers' places.
    pub fn room(&self, sender: &[u8; 16], worth: Worth) -> Room {
        let own = self.by_sender.get(sender);
        let first = if own.is_some_and(|ranks| ranks.len() >= SESSIONS_PER_SENDER_MAX) {
            own.and_then(BTreeSet::first)
        } else if self.open.len() >= SETS_MAX || (worth.is_stranger() && self.strangers >= STRANGERS_MAX) {
            self.ranked.first()
        } else {
            return Room::Free;
        };
        match first {
            Some((least, _, place)) if least.is_stranger() || !worth.is_stranger() => Room::Instead(*place),
            _ => Room::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(n: usize) -> [u8; 16] {
        (n as u128).to_be_bytes()
    }

    fn open(sender: u8, since: usize, worth: Worth) -> Open {
        Open { sender: [sender; 16], since: Timestamp(since as u64), worth }
    }

    #[test]
    fn a_sender_keeps_twenty_and_the_oldest_of_least_worth_goes() {
        let mut sets = Sets::default();
        for n in 0..SESSIONS_PER_SENDER_MAX {
            assert_eq!(sets.room(&[1; 16], Worth::Open), Room::Free);
            let worth = if n == 7 || n == 9 { Worth::Done } else { Worth::Open };
            sets.add(place(n), open(1, n, worth));
        }
        assert_eq!(sets.room(&[2; 16], Worth::Stranger), Room::Free, "others are not concerned");
        assert_eq!(sets.room(&[1; 16], Worth::Stranger), Room::None, "a stranger takes nobody's place");
        assert_eq!(sets.room(&[1; 16], Worth::Open), Room::Instead(place(7)));
        sets.add(place(9), open(1, 9, Worth::Stranger));
        assert_eq!(sets.room(&[1; 16], Worth::Open), Room::Instead(place(9)), "what it is now counts");
        assert_eq!(sets.room(&[1; 16], Worth::Stranger), Room::Instead(place(9)));
        sets.remove(&place(9));
        assert_eq!(sets.room(&[1; 16], Worth::Stranger), Room::Free);
    }

    #[test]
    fn strangers_have_a_cap_of_their_own() {
        let mut sets = Sets::default();
        for n in 0..STRANGERS_MAX {
            let sender = u8::try_from(n / SESSIONS_PER_SENDER_MAX).unwrap();
            assert_eq!(sets.room(&[sender; 16], Worth::Stranger), Room::Free);
            sets.add(place(n), open(sender, n, Worth::Stranger));
        }
        assert_eq!(sets.room(&[255; 16], Worth::Stranger), Room::Instead(place(0)));
        assert_eq!(sets.room(&[255; 16], Worth::Open), Room::Free);
        for n in STRANGERS_MAX..SETS_MAX {
            let sender = u128::try_from(n / SESSIONS_PER_SENDER_MAX).unwrap() + (1 << 100);
            sets.add(place(n), Open { sender: sender.to_be_bytes(), ..open(0, n, Worth::Open) });
        }
        assert_eq!(sets.room(&[255; 16], Worth::Open), Room::Instead(place(0)));
        (0..STRANGERS_MAX).for_each(|n| sets.remove(&place(n)));
        assert_eq!(sets.room(&[255; 16], Worth::Open), Room::Free);
        assert_eq!(sets.strangers, 0);
    }
}
