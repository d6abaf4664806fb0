//! The command line: one file for each subcommand.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

pub mod bench;
pub mod calibrate;
pub mod check;
pub mod compare;
pub mod crosscheck;
pub mod fuzz;
pub mod golden;
pub mod list;
pub mod replay;
pub mod report;
pub mod run;
pub mod shrink;
pub mod sweep;
pub mod why;

mod options;
mod text;
mod worlds;

pub use options::{Quantity, ScenarioArgs, Shard, value_of};
pub use worlds::{Wanted, Worlds};

use std::process::ExitCode;

/// An expectation failed.
pub const FAILED: u8 = 1;
/// An invariant broke.
pub const BROKEN: u8 = 2;
/// The scenario cannot be read or built.
pub const BAD_SCENARIO: u8 = 3;

/// The code of a study: a broken invariant outweighs a failed expectation.
#[must_use]
pub fn exit_code(broken: bool, failed: bool) -> ExitCode {
    match (broken, failed) {
        (true, _) => ExitCode::from(BROKEN),
        (false, true) => ExitCode::from(FAILED),
        (false, false) => ExitCode::SUCCESS,
    }
}
