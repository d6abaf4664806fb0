//! The queue of events: a four-ary heap over `(time, sequence)`, so that no two events are ever equal and order never
//! depends on the heap; and a slab for what is too large to lie in it.

use super::Time;

/// Children of a node of the heap: shallower than a binary heap, and a node's children share cache lines.
const WIDTH: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Entry<E> {
    time: Time,
    seq: u64,
    event: E,
}

impl<E> Entry<E> {
    fn before(&self, other: &Self) -> bool {
        (self.time, self.seq) < (other.time, other.seq)
    }
}

/// Events in total order: by time, then by when they were pushed.
#[derive(Clone, Debug)]
pub struct Queue<E> {
    heap: Vec<Entry<E>>,
    pushed: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { heap: Vec::new(), pushed: 0 }
    }
}

impl<E: Copy> Queue<E> {
    /// Adds an event.
    pub fn push(&mut self, time: Time, event: E) {
        let entry = Entry { time, seq: self.pushed, event };
        self.pushed += 1;
        self.heap.push(entry);
        let mut hole = self.heap.len() - 1;
        while hole > 0 {
            let parent = (hole - 1) / WIDTH;
            if !entry.before(&self.heap[parent]) {
                break;
            }
            self.heap[hole] = self.heap[parent];
            hole = parent;
        }
        self.heap[hole] = entry;
    }

    /// The earliest event.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let last = self.heap.pop()?;
        let Some(first) = self.heap.first().copied() else { return Some((last.time, last.event)) };
        let len = self.heap.len();
        let mut hole = 0;
        loop {
            let from = hole * WIDTH + 1;
            if from >= len {
                break;
            }
            let mut least = from;
            for child in from + 1..(from + WIDTH).min(len) {
                if self.heap[child].before(&self.heap[least]) {
                    least = child;
                }
            }
            if !self.heap[least].before(&last) {
                break;
            }
            self.heap[hole] = self.heap[least];
            hole = least;
        }
        self.heap[hole] = last;
        Some((first.time, first.event))
    }

    /// When the earliest event is.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.heap.first().map(|entry| entry.time)
    }

    /// Events that wait, in no certain order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.heap.iter().map(|entry| &entry.event)
    }

    /// Events that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

/// Values by small number; a freed number is used again, last freed first.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Keeps a value and returns its number.
    pub fn insert(&mut self, value: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.values[slot as usize] = Some(value);
            return slot;
        }
        self.values.push(Some(value));
        u32::try_from(self.values.len() - 1).expect("fewer than 2^32 values wait at once")
    }

    /// Takes a value out.
    pub fn take(&mut self, slot: u32) -> Option<T> {
        let value = self.values.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    /// Looks at a value.
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.values.get(slot as usize)?.as_ref()
    }

    /// All that is kept, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.values).filter_map(|(slot, value)| Some((slot, value.as_ref()?)))
    }

    /// Values that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_come_by_time_then_by_order_of_pushing(times in prop::collection::vec(0_u64..50, 0..400), pops in prop::collection::vec(any::<bool>(), 0..400)) {
            let mut queue = Queue::default();
            let mut waiting: Vec<(u64, usize)> = Vec::new();
            let mut pops = pops.into_iter();
            for (n, time) in times.into_iter().enumerate() {
                queue.push(Time(time), n);
                waiting.push((time, n));
                if pops.next() == Some(true) {
                    waiting.sort_unstable();
                    let first = waiting.remove(0);
                    prop_assert_eq!(queue.pop(), Some((Time(first.0), first.1)));
                }
            }
            waiting.sort_unstable();
            for (time, n) in waiting {
                prop_assert_eq!(queue.next(), Some(Time(time)));
                prop_assert_eq!(queue.pop(), Some((Time(time), n)));
            }
            prop_assert!(queue.pop().is_none());
        }
    }

    #[test]
    fn a_slab_reuses_numbers() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert("a"), slab.insert("b"));
        assert_eq!(slab.take(a), Some("a"));
        assert_eq!(slab.take(a), None);
        assert_eq!(slab.insert("c"), a);
        assert_eq!((slab.get(b), slab.len()), (Some(&"b"), 2));
    }
}
