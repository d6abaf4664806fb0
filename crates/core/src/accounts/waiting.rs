//! Callers that wait for work outside (a hash, a code on its way, a platform). Lost on restart, as their calls are.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use relaymesh_protocol::ids::Timestamp;

use crate::input::ReplyTo;
use crate::output::WorkId;

/// Most callers that wait at one time: each holds some hundred bytes, and far fewer fit the driver's pools.
pub(crate) const WAITING_MAX: usize = 4_096;
/// Work that has not come back after so long never will; longer than any deadline of the driver's.
const WAITING_LIFE: Duration = Duration::from_mins(5);

/// One caller, and what is to be done when its work is.
pub(crate) struct Waiter<T> {
    /// Who waits.
    pub reply: ReplyTo,
    /// Since when.
    pub since: Timestamp,
    /// How it goes on.
    pub step: T,
}

impl<T> fmt::Debug for Waiter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}

/// The callers that wait, by the work they wait for.
#[derive(Debug)]
pub(crate) struct Waiting<T>(BTreeMap<WorkId, Waiter<T>>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Waiting<T> {
    /// Who waits for this work.
    pub fn get(&self, id: WorkId) -> Option<&Waiter<T>> {
        self.0.get(&id)
    }

    /// Whether nobody waits.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one more caller may wait: newcomers are refused, nobody who waits is thrown out.
    pub fn has_room(&self, now: Timestamp) -> bool {
        self.0.len() < WAITING_MAX || self.0.values().any(|waiter| waiter.is_lost(now))
    }

    /// Adds a caller, and forgets those whose work was lost if there is no room.
    pub fn add(&mut self, id: WorkId, waiter: Waiter<T>) {
        if self.0.len() >= WAITING_MAX {
            let now = waiter.since;
            self.0.retain(|_, waiting| !waiting.is_lost(now));
        }
        self.0.insert(id, waiter);
    }

    /// The work is dealt with.
    pub fn remove(&mut self, id: WorkId) {
        self.0.remove(&id);
    }
}

impl<T> Waiter<T> {
    fn is_lost(&self, now: Timestamp) -> bool {
        now >= self.since.after(WAITING_LIFE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(since: u64) -> Waiter<()> {
        Waiter { reply: ReplyTo(1), since: Timestamp(since), step: () }
    }

    #[test]
    fn a_full_table_refuses_newcomers_until_work_is_lost() {
        let mut waiting = Waiting::default();
        for id in 0..WAITING_MAX as u64 {
            waiting.add(WorkId(id), waiter(id));
        }
        let lost = Timestamp(0).after(WAITING_LIFE);
        assert!(!waiting.has_room(Timestamp(1)));
        assert!(waiting.has_room(lost));
        waiting.add(WorkId(u64::MAX), waiter(lost.0));
        assert!(waiting.get(WorkId(0)).is_none());
        assert!(waiting.get(WorkId(1)).is_some());
    }
}
