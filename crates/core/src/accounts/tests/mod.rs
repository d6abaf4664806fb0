//! Whole conversations over a pump and a disk in memory, with the driver's work done by hand.

mod codes;
mod flows;
mod limits;
mod order;
mod tokens;
pub(crate) mod world;
