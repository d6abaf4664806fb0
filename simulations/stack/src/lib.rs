//! Tier B: a scenario's world, with every node's real mesh task and libp2p swarm, in virtual time, from a seed.
//!
//! People, SMS, gateway clients, platforms, faults, disks and cores are those of `relaymesh-simulations`; here are the wires
//! ([`net`]) that the swarms speak over, what makes them repeat to the bit ([`overrides`]), and the loop that joins the two
//! clocks ([`run`]).

pub mod measure;
pub mod net;
pub mod node;
pub mod overrides;
pub mod run;
