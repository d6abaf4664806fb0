#![forbid(unsafe_code)]
//! The libp2p swarm and the task that owns it: frames in, frames out.
//!
//! This crate connects to nodes, keeps strangers out and carries [`Request`](relaymesh_protocol::frame::Request) and
//! [`Response`](relaymesh_protocol::frame::Response). It decides nothing about a message, keeps nothing on disk and
//! gives no retry: whoever sent a frame hears exactly once what became of it and decides.
//!
//! Inside, what must outlive a panic of the swarm (`book`) is kept apart from what may die with it (`task`).

mod address;
mod api;
mod asks;
mod behaviour;
mod book;
mod codec;
mod config;
mod dial;
mod gate;
mod gathered;
mod inbox;
mod links;
mod peer;
mod reserve;
mod supervisor;
mod swarm_events;
mod tally;
mod task;
mod transport;

pub use api::{Command, Event, Handle, TrySendError, Unanswered};
pub use config::{Config, IDLE_TIMEOUT, StartError};
pub use supervisor::Mesh;
pub use tally::Tally;
pub use transport::{BoxedTransport, Transport, counting_transport, memory_transport, real_transport, secured};
