//! The subcommands, one file each.

pub mod fuzz;
pub mod replay;
pub mod shrink;
