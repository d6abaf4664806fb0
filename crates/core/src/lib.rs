//! The sans-IO node: every decision of the mesh, the vault and the delivery, as a pure state machine.
//!
//! [`Node`] takes an [`Input`], the records it asks for and a [`Timestamp`](relaymesh_protocol::ids::Timestamp), changes
//! itself and queues [`Output`]s. It reads no clock, draws no chance but from the seed it is given, and never waits: what
//! its [`Records`] cannot answer yet leaves as [`Step::Need`], a record that another input is just writing as
//! [`Step::Wait`]. [`Pump`] is the loop around it that the real node and the simulator share.
#![forbid(unsafe_code)]

mod accounts;
pub mod batch;
#[doc(hidden)]
pub mod bench;
mod clients;
pub mod command;
pub mod config;
pub mod crypto;
pub mod delivery;
mod egress;
#[doc(hidden)]
pub mod fuzz;
mod home;
mod ingress;
mod input;
mod keys;
mod limit;
mod locator;
pub mod membership;
mod node;
mod operator;
mod output;
mod publisher;
mod pump;
pub mod record;
mod sets;
#[cfg(test)]
mod testing;
mod timer;
mod tx;
mod watch;

pub use input::{Follow, Input, LinkError, ReplyTo};
pub use node::{Node, Step};
pub use output::{
    Exchanged, Note, Output, Private64, PublishContent, PublishRequest, SendError, SmsPurpose, Work, WorkDone,
    WorkError, WorkId,
};
pub use pump::{Load, Loaded, Pump, Unavailable};
pub use timer::Timer;
pub use tx::{Fetch, Lane, Record, Records, View};
pub use watch::Gauge;

pub use ingress::gateway_id;
