//! One run of one input: what it read, what it wants written, said and remembered. Nothing of it counts until the run
//! ends well, so a run can stop anywhere to ask for a record and begin again.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_protocol::ids::Timestamp;

use crate::batch::{ABSENT, Batch, Key, Write};
use crate::command::{Refusal, Reply};
use crate::input::{Follow, Input, ReplyTo};
use crate::node::Change;
use crate::output::Output;
use crate::record::key;
use crate::timer::Timer;

/// Records that only one pending batch at a time may touch: an entity's, or a single one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub Vec<u8>);

/// What a run lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// These records; absence is an answer.
    Keys(Vec<Key>),
    /// The first `limit` records below a prefix, after a key.
    Prefix {
        /// Table and leading key bytes.
        prefix: Key,
        /// How many at most.
        limit: usize,
    },
}

/// Why a run ended early. The first two change nothing and emit nothing.
#[derive(Clone, Debug)]
pub enum Halt {
    /// Records are missing from the view.
    Need(Fetch),
    /// A lane that the run touches has a batch pending.
    Wait(Lane),
    /// The caller is told no, and nothing is written.
    Refused(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a handler returns.
pub type Run<T = ()> = Result<T, Halt>;

/// Version and value of a record; none where there is no such record.
pub type Record = Option<(u64, Vec<u8>)>;

/// Where a run reads. An answer stays the same for the whole run; no answer means that it is not here yet, and ends the run
/// with [`Step::Need`](crate::Step::Need).
pub trait Records {
    /// Whether the answer for a key is here, after which [`Records::seen`] knows it.
    fn has(&self, key: &[u8]) -> bool;

    /// The record at a key; that there is none is an answer too.
    fn record(&self, key: &[u8]) -> Option<Record>;

    /// The version at a key that was asked for, [`ABSENT`] where there was no record; `None` if nobody asked.
    fn seen(&self, key: &[u8]) -> Option<u64>;

    /// The first `limit` rows below a prefix.
    fn below(&self, prefix: &[u8], limit: usize) -> Option<Vec<(Key, Vec<u8>)>>;
}

/// One snapshot of the records that a run asked for.
#[derive(Debug, Default)]
pub struct View {
    records: BTreeMap<Key, Record>,
    prefixes: BTreeMap<Key, (usize, Vec<Key>)>,
}

impl View {
    /// Adds a record or its absence.
    pub fn insert(&mut self, key: Key, record: Record) {
        self.records.insert(key, record);
    }

    /// Adds the rows below a prefix.
    pub fn insert_prefix(&mut self, prefix: Key, limit: usize, rows: Vec<(Key, u64, Vec<u8>)>) {
        let keys = rows.iter().map(|(key, ..)| key.clone()).collect();
        for (key, version, value) in rows {
            self.records.insert(key, Some((version, value)));
        }
        self.prefixes.insert(prefix, (limit, keys));
    }
}

impl Records for View {
    fn has(&self, key: &[u8]) -> bool {
        self.records.contains_key(key)
    }

    fn seen(&self, key: &[u8]) -> Option<u64> {
        self.records.get(key).map(|record| record.as_ref().map_or(ABSENT, |(version, _)| *version))
    }

    fn record(&self, key: &[u8]) -> Option<Record> {
        self.records.get(key).cloned()
    }

    fn below(&self, prefix: &[u8], limit: usize) -> Option<Vec<(Key, Vec<u8>)>> {
        let (_, keys) = self.prefixes.get(prefix).filter(|(seen, _)| *seen >= limit)?;
        let row = |key: &Key| Some((key.clone(), self.records.get(key)?.as_ref()?.1.clone()));
        Some(keys.iter().filter_map(row).collect())
    }
}

/// What a finished run leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub batch: Batch,
    /// Where in the batch each key is written.
    places: BTreeMap<Key, usize>,
    /// Keys that are taken to have no record, without a look.
    presumed: BTreeSet<Key>,
    /// Memory that changes at once.
    pub at_once: Vec<Change>,
    /// Memory that changes when the batch is durable.
    pub then: Vec<Change>,
    /// Outputs that rest on the batch.
    pub outputs: Vec<Output>,
    /// Outputs that do not.
    pub early: Vec<Output>,
    pub timers: Vec<Wake>,
}

/// A timer that a run sets.
#[derive(Debug)]
pub(crate) struct Wake {
    pub at: Timestamp,
    pub timer: Timer,
    /// Whether one that is set already is moved to a later moment.
    pub moves: bool,
}

/// One run of one input.
pub struct Tx<'a> {
    now: Timestamp,
    rng: ChaCha20Rng,
    records: &'a dyn Records,
    busy: &'a dyn Fn(&Lane) -> bool,
    reruns: u8,
    pub(crate) effects: Effects,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(
        now: Timestamp,
        seed: [u8; 32],
        records: &'a dyn Records,
        busy: &'a dyn Fn(&Lane) -> bool,
    ) -> Self {
        Self { now, rng: ChaCha20Rng::from_seed(seed), records, busy, reruns: 0, effects: Effects::default() }
    }

    /// A run of an input that met a conflict so often.
    pub(crate) fn again(self, reruns: u8) -> Self {
        Self { reruns, ..self }
    }

    /// Whether this input ran before, and its batch met a conflict.
    pub(crate) fn is_again(&self) -> bool {
        self.reruns > 0
    }

    /// The moment of this input.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// This input's chance; every round of a run draws the same.
    pub fn rng(&mut self) -> &mut ChaCha20Rng {
        &mut self.rng
    }

    /// A source of its own that follows from this input's chance: what draws from it may draw as much as it likes, and later
    /// draws here stay the same.
    pub fn fork(&mut self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(self.random())
    }

    /// Random bytes for an identifier, a nonce or a key.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        use rand_core::Rng;
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Reads several records in one round, so that the next `get`s find them.
    pub fn prefetch(&mut self, keys: impl IntoIterator<Item = Key>) -> Run {
        let mut missing = Vec::new();
        for key in keys {
            self.check_lane(&key)?;
            if self.written(&key).is_none() && !self.records.has(&key) {
                missing.push(key);
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Halt::Need(Fetch::Keys(missing))) }
    }

    /// Whether there is no record, as far as this run must know before it writes one: without a look, because there hardly ever
    /// is. Where there was one, the batch meets a conflict, and the run that follows looks.
    pub fn presume_absent(&mut self, key: &[u8]) -> Run<bool> {
        if self.is_again() || self.records.seen(key).is_some() || self.written(key).is_some() {
            return Ok(self.get(key)?.is_none());
        }
        self.check_lane(key)?;
        self.effects.presumed.insert(key.to_vec());
        Ok(true)
    }

    /// Reads a record: what this run has written, else what the store holds.
    pub fn get(&mut self, key: &[u8]) -> Run<Option<Vec<u8>>> {
        self.check_lane(key)?;
        if let Some(write) = self.written(key) {
            return Ok(match write {
                Write::Put { value, .. } => Some(value.clone()),
                Write::Delete { .. } => None,
            });
        }
        match self.records.record(key) {
            None => Err(Halt::Need(Fetch::Keys(vec![key.to_vec()]))),
            Some(record) => Ok(record.map(|(_, value)| value)),
        }
    }

    /// Reads up to `limit` rows below a prefix, as the store holds them.
    pub fn rows(&mut self, prefix: &[u8], limit: usize) -> Run<Vec<(Key, Vec<u8>)>> {
        let Some(rows) = self.records.below(prefix, limit) else {
            return Err(Halt::Need(Fetch::Prefix { prefix: prefix.to_vec(), limit }));
        };
        for (key, _) in &rows {
            self.check_lane(key)?;
        }
        Ok(rows)
    }

    /// Writes a record. Sealing is the caller's; see [`crate::record`].
    pub fn put(&mut self, key: Key, value: Vec<u8>) -> Run {
        self.write(Write::Put { key, value })
    }

    /// Removes a record.
    pub fn delete(&mut self, key: Key) -> Run {
        self.write(Write::Delete { key })
    }

    fn write(&mut self, write: Write) -> Run {
        self.check_lane(write.key())?;
        let Effects { batch, places, presumed, .. } = &mut self.effects;
        if let Some(slot) = places.get(write.key()).and_then(|place| batch.writes.get_mut(*place)) {
            *slot = write;
            return Ok(());
        }
        let presumed = || presumed.contains(write.key()).then_some(ABSENT);
        if let Some(version) = self.records.seen(write.key()).or_else(presumed) {
            batch.expects.push((write.key().clone(), version));
        }
        places.insert(write.key().clone(), batch.writes.len());
        batch.writes.push(write);
        Ok(())
    }

    fn written(&self, key: &[u8]) -> Option<&Write> {
        self.effects.places.get(key).and_then(|place| self.effects.batch.writes.get(*place))
    }

    fn check_lane(&self, key: &[u8]) -> Run {
        let lane = key::lane(key);
        if (self.busy)(&lane) { Err(Halt::Wait(lane)) } else { Ok(()) }
    }

    /// Changes memory as soon as the run ends (counters, limiters, what no record mirrors).
    pub(crate) fn change(&mut self, change: impl Into<Change>) {
        self.effects.at_once.push(change.into());
    }

    /// Changes memory when the batch is durable.
    pub(crate) fn then(&mut self, change: impl Into<Change>) {
        self.effects.then.push(change.into());
    }

    /// Says something that rests on the batch: it leaves when the batch is durable.
    pub fn output(&mut self, output: Output) {
        self.effects.outputs.push(output);
    }

    /// Says something that does not rest on the batch.
    pub fn output_early(&mut self, output: Output) {
        self.effects.early.push(output);
    }

    /// Answers a waiting caller when the batch is durable.
    pub fn reply(&mut self, to: ReplyTo, reply: Reply) {
        self.output(Output::Reply { to, reply });
    }

    /// Goes on with another input when the batch is durable, before anything new from outside.
    pub fn follow(&mut self, follow: Follow) {
        self.output(Output::Follow(Input::Follow(follow)));
    }

    /// Wakes the node at `at`; lost on restart unless a record brings it back.
    pub fn wake(&mut self, at: Timestamp, timer: Timer) {
        self.effects.timers.push(Wake { at, timer, moves: true });
    }

    /// As [`Tx::wake`], but a timer that is set to an earlier moment stays. For what gathers while a batch is pending: when
    /// this run's changes come into force, the timer that it saw may have fired, or a new one may have been set.
    pub fn wake_by(&mut self, at: Timestamp, timer: Timer) {
        self.effects.timers.push(Wake { at, timer, moves: false });
    }

    /// A timer is not needed any more, once this run's changes are in force.
    pub fn cancel(&mut self, timer: Timer) {
        self.then(Change::Cancel(timer));
    }

    /// The lanes that the written records belong to.
    pub(crate) fn lanes(&self) -> Vec<Lane> {
        let mut lanes: Vec<Lane> = self.effects.batch.writes.iter().map(|w| key::lane(w.key())).collect();
        lanes.sort();
        lanes.dedup();
        lanes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(view: &View, look: impl FnOnce(&mut Tx<'_>)) -> Batch {
        let idle = |_: &Lane| false;
        let mut tx = Tx::new(Timestamp(1), [1; 32], view, &idle);
        look(&mut tx);
        tx.effects.batch
    }

    #[test]
    fn a_key_is_written_once_as_last_said_and_expected_as_it_was_read() {
        let mut view = View::default();
        view.insert(vec![1], Some((7, vec![0])));
        view.insert(vec![2], None);
        let batch = run(&view, |tx| {
            for value in [1, 2] {
                tx.put(vec![1], vec![value]).unwrap();
                tx.put(vec![2], vec![value]).unwrap();
                tx.put(vec![3], vec![value]).unwrap();
            }
            tx.delete(vec![2]).unwrap();
            assert_eq!(tx.get(&[1]).unwrap(), Some(vec![2]));
            assert_eq!(tx.get(&[2]).unwrap(), None);
        });
        assert_eq!(batch.expects, [(vec![1], 7), (vec![2], ABSENT)]);
        let put = |key, value| Write::Put { key: vec![key], value: vec![value] };
        assert_eq!(batch.writes, [put(1, 2), Write::Delete { key: vec![2] }, put(3, 2)]);
    }

    #[test]
    fn a_presumed_absence_is_expected_without_a_look_and_looked_at_after_a_conflict() {
        let mut view = View::default();
        let batch = run(&view, |tx| {
            assert!(tx.presume_absent(&[1]).unwrap(), "nobody looked");
            tx.put(vec![1], vec![9]).unwrap();
            assert!(!tx.presume_absent(&[1]).unwrap(), "this run wrote it");
        });
        assert_eq!(batch.expects, [(vec![1], ABSENT)]);
        let idle = |_: &Lane| false;
        let mut tx = Tx::new(Timestamp(1), [1; 32], &view, &idle).again(1);
        assert!(matches!(tx.presume_absent(&[1]), Err(Halt::Need(Fetch::Keys(keys))) if keys == [vec![1]]));
        view.insert(vec![1], Some((7, vec![0])));
        let mut tx = Tx::new(Timestamp(1), [1; 32], &view, &idle);
        assert!(!tx.presume_absent(&[1]).unwrap(), "it was read and is there");
        let busy = |lane: &Lane| *lane == key::lane(&[1]);
        let nothing = View::default();
        let mut tx = Tx::new(Timestamp(1), [1; 32], &nothing, &busy);
        assert!(matches!(tx.presume_absent(&[1]), Err(Halt::Wait(_))), "a batch on its way may write it");
    }

    /// Comparing each write with all before it would take minutes here.
    #[test]
    fn a_batch_of_a_hundred_thousand_writes_is_no_long_work() {
        let batch = run(&View::default(), |tx| {
            for n in 0..100_000_u32 {
                let key = n.to_be_bytes().to_vec();
                tx.put(key.clone(), Vec::new()).unwrap();
                tx.get(&key).unwrap();
            }
        });
        assert_eq!(batch.writes.len(), 100_000);
    }
}
