//! The command line: one file for each subcommand.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

pub mod bench;
pub mod why;
