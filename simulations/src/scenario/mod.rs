//! Scenarios: what a world is made of, what happens to it, what is expected. Read from TOML, checked before anything runs.

mod types;
mod units;

pub use types::*;
pub use units::{Rate, Share};
