//! Scenarios: what a world is made of, what happens to it, what is expected. Read from TOML, checked before anything runs.

mod catalog;
pub mod csv;
mod expect;
pub mod imports;
mod labels;
mod load;
mod schema;
mod types;
mod units;
mod validate;

pub use catalog::{Place, find, names};
pub use expect::{Comparison, Expectation, parse_quantity};
pub use labels::{Filter, FilterError, LABELS, Labelled};
pub use load::{ScenarioError, load, load_from};
pub use schema::schema;
pub use types::*;
pub use units::span;
pub use units::{BitRate, Rate, Share, parse_bit_rate, parse_rate, parse_share, parse_span};
pub use validate::{Problem, validate};
