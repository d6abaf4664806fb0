//! The books, and how they are closed under what can be opened.

use std::collections::{BTreeMap, BTreeSet};

use crate::outcome::Exposure;
use crate::scenario::Disk;

/// What one node has of people.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// People whose home it is: number, token and session.
    people: BTreeSet<u32>,
    /// Texts that it still has sealed, by person: how many.
    texts: BTreeMap<u32, u32>,
    /// Numbers and device IDs of who wrote through it, by person: how many rows.
    senders: BTreeMap<u32, u32>,
    /// Its operator lets somebody read along.
    coerced: bool,
}

/// In which form an adversary gets a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// A disk whose key it lacks.
    Locked,
    /// A disk with its key.
    Unlocked,
    /// A running node.
    Live,
}

impl Opened {
    /// What a fault says of a disk. Where it says nothing, the worst is taken for true.
    #[must_use]
    pub fn of(disk: Option<Disk>) -> Self {
        match disk {
            Some(Disk::Locked) => Self::Locked,
            Some(Disk::Live) => Self::Live,
            Some(Disk::Unlocked | Disk::Kept | Disk::Lost) | None => Self::Unlocked,
        }
    }
}

/// What is known of one person.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    exposure: Exposure,
    day: u32,
    /// Somebody has the session: later texts are open too.
    session: bool,
    /// Messages that were written and are not consumed.
    unread: u32,
}

/// All books of a world.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    nodes: Vec<Holdings>,
    people: Vec<Known>,
}

fn less(counts: &mut BTreeMap<u32, u32>, person: u32) {
    if let Some(count) = counts.get_mut(&person) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&person);
        }
    }
}

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new(people: usize, nodes: usize) -> Self {
        Self { nodes: vec![Holdings::default(); nodes], people: vec![Known::default(); people] }
    }

    fn raise(&mut self, person: u32, to: Exposure, day: u32) {
        let known = &mut self.people[person as usize];
        if known.exposure < to {
            known.exposure = to;
            known.day = day;
        }
    }

    /// A person has a home.
    pub fn settle(&mut self, person: u32, home: u16) {
        self.nodes[usize::from(home)].people.insert(person);
    }

    /// Whether a node is a person's home.
    #[must_use]
    pub fn is_home(&self, node: u16, person: u32) -> bool {
        self.nodes[usize::from(node)].people.contains(&person)
    }

    /// A person has written.
    pub fn wrote(&mut self, person: u32, day: u32) {
        let known = &mut self.people[person as usize];
        known.unread += 1;
        if known.session {
            self.raise(person, Exposure::Plaintext, day);
        }
    }

    /// An ingress has stored a message of a person.
    pub fn entered(&mut self, node: u16, person: u32, day: u32) {
        let holdings = &mut self.nodes[usize::from(node)];
        *holdings.senders.entry(person).or_default() += 1;
        if holdings.coerced {
            self.raise(person, Exposure::Metadata, day);
        }
    }

    /// An ingress has removed its row.
    pub fn forgotten(&mut self, node: u16, person: u32) {
        less(&mut self.nodes[usize::from(node)].senders, person);
    }

    /// A home has consumed a message and has its text.
    pub fn consumed(&mut self, node: u16, person: u32, day: u32) {
        let known = &mut self.people[person as usize];
        known.unread = known.unread.saturating_sub(1);
        if self.nodes[usize::from(node)].coerced {
            self.raise(person, Exposure::Plaintext, day);
        }
    }

    /// A home owes a publication: the text is on its disk.
    pub fn owes(&mut self, node: u16, person: u32) {
        *self.nodes[usize::from(node)].texts.entry(person).or_default() += 1;
    }

    /// The text is gone from its disk.
    pub fn published(&mut self, node: u16, person: u32) {
        less(&mut self.nodes[usize::from(node)].texts, person);
    }

    /// A node falls into an adversary's hands: everything that opens is open.
    pub fn seize(&mut self, node: u16, how: Opened, day: u32) {
        if how == Opened::Locked {
            return;
        }
        let holdings = self.nodes[usize::from(node)].clone();
        for person in holdings.senders.keys() {
            self.raise(*person, Exposure::Metadata, day);
        }
        for person in &holdings.people {
            self.raise(*person, Exposure::Token, day);
            let known = &mut self.people[*person as usize];
            known.session = true;
            if known.unread > 0 {
                self.raise(*person, Exposure::Plaintext, day);
            }
        }
        for person in holdings.texts.keys() {
            self.raise(*person, Exposure::Plaintext, day);
        }
    }

    /// An operator is made to let somebody read along, or no longer is.
    pub fn coerce(&mut self, node: u16, begins: bool, day: u32) {
        self.nodes[usize::from(node)].coerced = begins;
        if begins {
            self.seize(node, Opened::Live, day);
        }
    }

    /// A node's disk is gone: nobody finds anything on it any more.
    pub fn lost(&mut self, node: u16) {
        self.nodes[usize::from(node)] = Holdings::default();
    }

    /// People by what is known of them and the day it came to that; who is not exposed is left out.
    #[must_use]
    pub fn exposure(&self) -> Vec<(Exposure, u32, u32)> {
        let mut counts: BTreeMap<(Exposure, u32), u32> = BTreeMap::new();
        for known in self.people.iter().filter(|known| known.exposure > Exposure::None) {
            *counts.entry((known.exposure, known.day)).or_default() += 1;
        }
        counts.into_iter().map(|((exposure, day), persons)| (exposure, day, persons)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books() -> Ledger {
        let mut ledger = Ledger::new(4, 3);
        ledger.settle(0, 0);
        ledger.settle(1, 0);
        ledger.settle(2, 1);
        ledger
    }

    #[test]
    fn a_disk_without_its_key_opens_nothing() {
        let mut ledger = books();
        ledger.entered(0, 2, 1);
        ledger.seize(0, Opened::Locked, 5);
        assert!(ledger.exposure().is_empty());
    }

    #[test]
    fn a_disk_with_its_key_opens_tokens_of_its_people_and_numbers_of_who_passed() {
        let mut ledger = books();
        ledger.entered(0, 2, 1);
        ledger.entered(0, 3, 1);
        ledger.forgotten(0, 3);
        ledger.seize(0, Opened::Unlocked, 5);
        assert_eq!(ledger.exposure(), [(Exposure::Metadata, 5, 1), (Exposure::Token, 5, 2)]);
    }

    #[test]
    fn a_session_opens_what_was_not_consumed_and_what_comes_later() {
        let mut ledger = books();
        ledger.wrote(0, 1);
        ledger.consumed(0, 0, 1);
        ledger.wrote(1, 1);
        ledger.seize(0, Opened::Unlocked, 5);
        assert_eq!(ledger.exposure(), [(Exposure::Token, 5, 1), (Exposure::Plaintext, 5, 1)]);
        ledger.wrote(0, 9);
        assert_eq!(ledger.exposure(), [(Exposure::Plaintext, 5, 1), (Exposure::Plaintext, 9, 1)]);
    }

    #[test]
    fn a_text_is_open_only_while_its_publication_is_owed() {
        for (done, expected) in [(false, Exposure::Plaintext), (true, Exposure::Token)] {
            let mut ledger = books();
            ledger.wrote(2, 1);
            ledger.consumed(1, 2, 1);
            ledger.owes(1, 2);
            if done {
                ledger.published(1, 2);
            }
            ledger.seize(1, Opened::Unlocked, 3);
            assert_eq!(ledger.exposure(), [(expected, 3, 1)]);
        }
    }

    #[test]
    fn who_reads_along_reads_what_passes() {
        let mut ledger = books();
        ledger.coerce(1, true, 2);
        ledger.entered(1, 0, 3);
        ledger.wrote(2, 4);
        assert_eq!(ledger.exposure(), [(Exposure::Metadata, 3, 1), (Exposure::Plaintext, 4, 1)]);
        ledger.coerce(1, false, 5);
        ledger.entered(1, 1, 6);
        assert_eq!(ledger.exposure().len(), 2, "nobody reads along any more");
    }
}
