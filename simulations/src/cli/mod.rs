//! The command line: one file for each subcommand.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

pub mod bench;
pub mod fuzz;
pub mod replay;
pub mod shrink;
pub mod why;
