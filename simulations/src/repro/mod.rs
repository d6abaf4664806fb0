//! Worlds in which a rule broke: found by chance, written down, made small, and repeated exactly.
//!
//! A reproduction file is JSON and holds all that a world follows from: the whole scenario, the seed, the system, every
//! single strike of its faults, the invariant that broke, the mistake that was planted if any, and the version of the code.

mod draw;
mod file;
mod fuzz;
mod shrink;

pub use draw::draw;
pub use file::{Repeated, Repro, VERSION};
pub use fuzz::{Found, fuzz};
pub use shrink::{Shrunk, shrink};
