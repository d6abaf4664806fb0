//! Scenarios: what a world is made of, what happens to it, what is expected. Read from TOML, checked before anything runs.

pub mod csv;
pub mod imports;
mod labels;
mod load;
mod types;
mod units;

pub use labels::{Filter, FilterError, LABELS, Labelled};
pub use load::load;
pub use types::*;
pub use units::span;
pub use units::{Rate, Share, parse_rate, parse_share, parse_span};
