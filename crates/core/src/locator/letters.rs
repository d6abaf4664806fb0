//! Questions about numbers that travel as letters, for want of a link. They outlive a restart, since their answers may
//! take days and are worth nothing without the blinds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use relaymesh_protocol::ids::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::ask::{self, BATCH_MAX, Batch, Item};
use super::evaluate::{self, Verdict};
use super::oblivious::{BlindState, Point};
use super::search::{Wanted, askable, flush_soon};
use super::shares::Class;
use super::{Change, NumberKind, cache};
use crate::batch::Key;
use crate::delivery::{self, Answer, Body, Question};
use crate::node::Node;
use crate::record::{Stored, key, open_row, put_node};
use crate::tx::{Run, Tx};

/// Letters without an answer; further ones wait.
const LETTERS_MAX: usize = 10_000;
/// An answer may take two envelopes' lives.
const LIFE: Duration = Duration::from_hours(28 * 24);
/// The same question leaves again at most once in this time, each time after twice as long as before.
const AGAIN_MIN: Duration = Duration::from_hours(1);
/// Doublings of that pause: up to 16 hours.
const DOUBLINGS_MAX: u32 = 4;
/// Questions that one bundle carries.
const BUNDLE_MAX: usize = 1_024;
/// Letters that one run forgets.
const FORGET_MAX: usize = 64;
/// Where they lie among the node's single values.
const NAME: &str = "question/";

/// A letter as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    to: NodeId,
    kind: NumberKind,
    key_id: u32,
    items: Vec<Option<Wanted>>,
    states: Vec<BlindState>,
    blinded: Vec<Point>,
    sent: Timestamp,
    times: u32,
    since: Timestamp,
}

impl Stored for Letter {}

impl Letter {
    fn question(&self, id: u64) -> Question {
        Question { id, key_id: self.key_id, blinded: self.blinded.clone() }
    }

    fn batch(&self) -> Batch {
        let Self { to, kind, key_id, items, states, blinded, .. } = self.clone();
        Batch { to, kind, key_id, items, states, blinded }
    }

    fn waits(&self, now: Timestamp) -> bool {
        now.since(self.sent) < AGAIN_MIN * 2_u32.pow(self.times.min(DOUBLINGS_MAX))
    }
}

/// All letters without an answer.
#[derive(Debug, Default)]
pub(super) struct Letters {
    by: BTreeMap<u64, Letter>,
    about: BTreeMap<(NodeId, Wanted), u64>,
}

impl Letters {
    pub fn put(&mut self, id: u64, letter: Letter) {
        for wanted in letter.items.iter().flatten() {
            self.about.insert((letter.to, wanted.clone()), id);
        }
        self.by.insert(id, letter);
    }

    pub fn remove(&mut self, id: u64) {
        let Some(letter) = self.by.remove(&id) else { return };
        for wanted in letter.items.into_iter().flatten() {
            let place = (letter.to, wanted);
            if self.about.get(&place) == Some(&id) {
                self.about.remove(&place);
            }
        }
    }

    /// Whether a letter about this number went to this node lately.
    pub fn waits(&self, to: &NodeId, wanted: &Wanted, now: Timestamp) -> bool {
        self.find(to, wanted).and_then(|id| self.by.get(&id)).is_some_and(|letter| letter.waits(now))
    }

    fn find(&self, to: &NodeId, wanted: &Wanted) -> Option<u64> {
        self.about.get(&(*to, wanted.clone())).copied()
    }
}

fn place(id: u64) -> Key {
    key::meta(&format!("{NAME}{id:016x}"))
}

/// A question found no link: it goes as a letter, the same one again where there is one.
pub(super) fn write(node: &Node, tx: &mut Tx<'_>, batch: &Batch) -> Run {
    let now = tx.now();
    let mut again = BTreeSet::new();
    let mut new = Vec::new();
    for wanted in batch.items.iter().flatten() {
        match node.locator.letters.find(&batch.to, wanted) {
            Some(id) => {
                again.insert(id);
            }
            None => new.push(Item { wanted: Some(wanted.clone()), class: Class::Audit, client: None }),
        }
    }
    for id in again {
        let Some(letter) = node.locator.letters.by.get(&id).filter(|letter| !letter.waits(now)) else { continue };
        let letter = Letter { sent: now, times: letter.times.saturating_add(1), ..letter.clone() };
        let question = letter.question(id);
        keep(node, tx, id, letter)?;
        delivery::send(node, tx, batch.to, Body::Question(question))?;
    }
    if !new.is_empty()
        && let Some((id, letter)) = begin(node, tx, batch.to, batch.kind, &new)
    {
        let question = letter.question(id);
        keep(node, tx, id, letter)?;
        delivery::send(node, tx, batch.to, Body::Question(question))?;
        node.count(tx, "question_letter");
    }
    Ok(())
}

fn begin(node: &Node, tx: &mut Tx<'_>, to: NodeId, kind: NumberKind, items: &[Item]) -> Option<(u64, Letter)> {
    if node.locator.letters.by.len() >= LETTERS_MAX {
        node.count(tx, "questions_full");
        return None;
    }
    let Batch { to, kind, key_id, items, states, blinded } = ask::compose(node, tx, to, kind, items)?;
    let now = tx.now();
    let letter = Letter { to, kind, key_id, items, states, blinded, sent: now, times: 0, since: now };
    Some((u64::from_be_bytes(tx.random()), letter))
}

fn keep(node: &Node, tx: &mut Tx<'_>, id: u64, letter: Letter) -> Run {
    put_node(node, tx, place(id), &letter)?;
    tx.then(Change::Letter(id, Box::new(letter)));
    Ok(())
}

/// Blinded questions of waiting messages, for a bundle: those under way as letters, and new ones.
pub(crate) fn questions(node: &Node, tx: &mut Tx<'_>) -> Vec<(NodeId, Question)> {
    let letters = node.locator.letters.by.iter().take(BUNDLE_MAX);
    let mut all: Vec<(NodeId, Question)> = letters.map(|(id, letter)| (letter.to, letter.question(*id))).collect();
    let mut groups: BTreeMap<(NodeId, NumberKind), Vec<Item>> = BTreeMap::new();
    for wanted in node.locator.searches.all() {
        for (member, _) in askable(node, wanted) {
            let known = cache::find(node, wanted.kind, &wanted.number, member, tx.now()).is_some();
            if !known && node.locator.letters.find(&member.id, wanted).is_none() {
                let item = Item { wanted: Some(wanted.clone()), class: Class::Audit, client: None };
                groups.entry((member.id, wanted.kind)).or_default().push(item);
            }
        }
    }
    for ((to, kind), items) in groups {
        for items in items.chunks(BATCH_MAX) {
            if all.len() >= BUNDLE_MAX {
                return all;
            }
            let Some((id, letter)) = begin(node, tx, to, kind, items) else { continue };
            let question = letter.question(id);
            if keep(node, tx, id, letter).is_ok() {
                all.push((to, question));
            }
        }
    }
    all
}

/// A question came as a letter; so does its answer, empty when the ration is used up.
pub(crate) fn on_question(node: &Node, tx: &mut Tx<'_>, sender: NodeId, question: &Question) -> Run {
    let (evaluated, proof) = match evaluate::evaluate(node, tx, sender, question.key_id, &question.blinded)? {
        Verdict::Evaluated(evaluated, proof) => (evaluated, proof),
        Verdict::Busy => (Vec::new(), Vec::new()),
        Verdict::Refused => return Ok(()),
    };
    delivery::send(node, tx, sender, Body::Answer(Answer { id: question.id, evaluated, proof }))
}

/// The answer to a letter.
pub(crate) fn on_answer_letter(node: &Node, tx: &mut Tx<'_>, sender: NodeId, answer: &Answer) -> Run {
    let Some(letter) = node.locator.letters.by.get(&answer.id).filter(|letter| letter.to == sender) else {
        node.count(tx, "answer_unasked");
        return Ok(());
    };
    if answer.evaluated.is_empty() {
        node.count(tx, "evaluation_busy");
        return Ok(());
    }
    ask::finish(node, tx, &letter.batch(), &answer.evaluated, &answer.proof)?;
    forget(tx, answer.id)?;
    flush_soon(node, tx);
    Ok(())
}

fn forget(tx: &mut Tx<'_>, id: u64) -> Run {
    tx.delete(place(id))?;
    tx.then(Change::NoLetter(id));
    Ok(())
}

/// Forgets letters that no answer can come to any more.
pub(super) fn sweep(node: &Node, tx: &mut Tx<'_>) -> Run {
    let now = tx.now();
    let old = node.locator.letters.by.iter().filter(|(_, letter)| now.since(letter.since) >= LIFE);
    for id in old.map(|(id, _)| *id).take(FORGET_MAX).collect::<Vec<_>>() {
        forget(tx, id)?;
    }
    Ok(())
}

/// Reads letters back at the start.
pub(super) fn start(node: &Node, tx: &mut Tx<'_>) -> Run {
    let prefix = key::meta(NAME);
    for (row_key, row) in tx.rows(&prefix, LETTERS_MAX)? {
        let id = row_key.get(prefix.len()..).and_then(|hex| std::str::from_utf8(hex).ok());
        let id = id.and_then(|hex| u64::from_str_radix(hex, 16).ok());
        match (id, open_row::<Letter>(node, &row_key, &row)) {
            (Some(id), Some(letter)) => tx.change(Change::Letter(id, Box::new(letter))),
            _ => node.count(tx, "record_unreadable"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(sent: u64, times: u32) -> Letter {
        let wanted = Wanted { kind: NumberKind::Phone, number: "+237650123456".parse().unwrap() };
        Letter {
            to: NodeId([1; 32]),
            kind: NumberKind::Phone,
            key_id: 1,
            items: vec![Some(wanted), None],
            states: Vec::new(),
            blinded: Vec::new(),
            sent: Timestamp(sent),
            times,
            since: Timestamp(sent),
        }
    }

    #[test]
    fn the_same_question_waits_longer_each_time() {
        let hour = 3_600_000;
        assert!(letter(0, 0).waits(Timestamp(hour - 1)) && !letter(0, 0).waits(Timestamp(hour)));
        assert!(letter(0, 2).waits(Timestamp(4 * hour - 1)) && !letter(0, 2).waits(Timestamp(4 * hour)));
        assert!(!letter(0, 99).waits(Timestamp(16 * hour)));
    }

    #[test]
    fn a_letter_is_found_by_what_it_is_about_until_it_is_removed() {
        let mut letters = Letters::default();
        letters.put(5, letter(1_000, 0));
        let wanted = letter(0, 0).items[0].clone().unwrap();
        assert!(letters.waits(&NodeId([1; 32]), &wanted, Timestamp(2_000)));
        assert!(!letters.waits(&NodeId([2; 32]), &wanted, Timestamp(2_000)));
        letters.put(6, letter(3_000, 0));
        letters.remove(5);
        assert_eq!(letters.find(&NodeId([1; 32]), &wanted), Some(6));
        letters.remove(6);
        assert!(letters.about.is_empty());
    }
}
