//! The resilience simulator: the node's own code in virtual time, in a world of people, phones, carriers, gateway clients,
//! links, platforms and adversaries, from a seed.
//!
//! It writes nothing of the protocol a second time. The world is here; every decision of the mesh is in `relaymesh-core`.
#![forbid(unsafe_code)]

pub mod adversary;
pub mod cli;
pub mod cost;
pub mod crypto;
pub mod invariants;
pub mod kernel;
pub mod ledger;
pub mod outcome;
pub mod output;
pub mod report;
pub mod repro;
pub mod run;
pub mod scenario;
pub mod stats;
pub mod tier_b;
pub mod world;
