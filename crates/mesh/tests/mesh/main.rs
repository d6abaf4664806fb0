//! Several tasks on one machine, over real sockets or in memory, in real time (libp2p's timers know no other).

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

mod exchange;
mod gate;
mod hostile;
mod lan;
mod node;
mod paths;
mod silence;
mod supervision;
