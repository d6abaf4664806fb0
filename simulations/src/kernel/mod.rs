//! The engine: virtual time, one queue of events in total order, counted chance and a running hash of what happened.
//!
//! Nothing here knows of messages or nodes. Two runs with the same seed see the same times, the same order and the same
//! luck on every machine.

mod chance;
mod queue;
mod time;
mod trace;

pub use chance::{Chance, Draw, Purpose};
pub use queue::{Queue, Slab};
pub use time::{Span, Time};
pub use trace::{CHECKPOINT_EVERY, Checkpoints, Difference, Trace, TraceHash, difference};
