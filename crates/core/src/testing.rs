//! What tests of single conversations drive nodes with: a disk in memory, and the rounds of several pumps whose outputs a
//! test carries about by hand.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use relaymesh_protocol::ids::Timestamp;

use crate::batch::{ABSENT, BATCH_BYTES_MAX, Batch, Key, Outcome, Write};
use crate::input::Input;
use crate::output::Output;
use crate::pump::{Load, Loaded, Pump, Unavailable};

/// Inputs after which a mesh has come to rest, or never will.
const ROUNDS_MAX: usize = 1_000_000;

/// Rows with versions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub rows: BTreeMap<Key, (u64, Vec<u8>)>,
    versions: u64,
    /// Nothing can be written.
    pub full: bool,
    /// And no record can be read.
    pub down: bool,
}

impl Disk {
    /// Writes a batch, if it fits.
    pub fn write(&mut self, batch: &Batch) -> Outcome {
        let sizes = batch.writes.iter().map(|write| match write {
            Write::Put { key, value } => key.len() + value.len(),
            Write::Delete { key } => key.len(),
        });
        assert!(sizes.sum::<usize>() <= BATCH_BYTES_MAX);
        if self.full || self.down {
            return Outcome::Failed;
        }
        let version = |key: &Key| self.rows.get(key).map_or(ABSENT, |(version, _)| *version);
        if batch.expects.iter().any(|(key, expected)| version(key) != *expected) {
            return Outcome::Conflict;
        }
        for write in &batch.writes {
            self.versions += 1;
            match write {
                Write::Put { key, value } => drop(self.rows.insert(key.clone(), (self.versions, value.clone()))),
                Write::Delete { key } => drop(self.rows.remove(key)),
            }
        }
        Outcome::Ok
    }

    /// What a node reads of a table at its start.
    pub fn table(&self, table: u8) -> Vec<(Key, Vec<u8>)> {
        let rows = self.rows.iter().filter(|(key, _)| key.first() == Some(&table));
        rows.map(|(key, (_, value))| (key.clone(), value.clone())).collect()
    }
}

impl Load for Disk {
    fn get(&mut self, key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable> {
        if self.down { Err(Unavailable) } else { Ok(self.rows.get(key).cloned()) }
    }

    fn rows(&mut self, prefix: &[u8], limit: usize) -> Result<Loaded, Unavailable> {
        let below = self.rows.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(below.take(limit).map(|(key, (version, value))| (key.clone(), *version, value.clone())).collect())
    }
}

/// Several pumps, their disks, one clock, and what is on its way to them.
pub(crate) trait Router {
    /// How many nodes there are.
    fn count(&self) -> usize;

    /// One of them.
    fn machine(&mut self, at: usize) -> (&mut Pump, &mut Disk);

    fn clock(&mut self) -> &mut Timestamp;

    fn inbox(&mut self) -> &mut VecDeque<(usize, Input)>;

    /// Does what a node wants done.
    fn act(&mut self, at: usize, output: Output);

    /// Makes a batch durable, or not.
    fn persist(&mut self, at: usize, token: u64, batch: &Batch) {
        let now = *self.clock();
        let (pump, disk) = self.machine(at);
        let outcome = disk.write(batch);
        pump.persisted(token, outcome, now, disk);
    }

    /// Runs until nobody has anything to do at this moment.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let acted = self.perform();
            if let Some((at, input)) = self.inbox().pop_front() {
                let now = *self.clock();
                let (pump, disk) = self.machine(at);
                pump.feed(input, now, disk);
            } else if !acted {
                return;
            }
        }
        panic!("the mesh does not come to rest");
    }

    /// Does all that is wanted now; whether there was something.
    fn perform(&mut self) -> bool {
        let mut acted = false;
        for at in 0..self.count() {
            while let Some(output) = self.machine(at).0.poll_output() {
                acted = true;
                self.act(at, output);
            }
        }
        acted
    }

    /// Lets time pass, timers included.
    fn pass(&mut self, span: Duration) {
        let end = self.clock().after(span);
        loop {
            let next = (0..self.count()).filter_map(|at| self.machine(at).0.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            let now = next.max(*self.clock());
            *self.clock() = now;
            for at in 0..self.count() {
                let (pump, disk) = self.machine(at);
                pump.tick(now, disk);
            }
            self.settle();
        }
        *self.clock() = end;
    }
}
