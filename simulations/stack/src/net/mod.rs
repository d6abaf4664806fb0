//! The Internet of a world, as the sockets of its nodes see it: connections that take round trips, bytes that are late, lost
//! and sent again, ways that close without a word, and hosts that are suddenly gone.
//!
//! What TCP does about a way that closes is modelled where swarms notice it: bytes wait and are sent again at growing pauses,
//! and a connection is given up after a quarter of an hour. Rates and congestion are not modelled, as in tier A.

mod flow;
mod network;
mod socket;
mod transport;

pub use network::{Life, Network, Tally};
pub use transport::Wires;
