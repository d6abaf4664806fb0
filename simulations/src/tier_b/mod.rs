//! Tier B: the same worlds over the nodes' real libp2p swarms in virtual time. They run in a program of their own
//! (`simulations/stack`, which says why), one process for each seed; here it is found or built, fed and read, and the two
//! tiers are compared.

mod calibration;
mod crosscheck;
mod program;

pub use calibration::{Calibration, Measured, Sample, fit, stale};
pub use crosscheck::{Crosscheck, DELIVERY_POINTS_MAX, KS_MAX, ModelError, compare, remember};
pub use program::Stack;

/// How frames travel between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Tier {
    /// Over a model.
    #[default]
    A,
    /// Over the nodes' real swarms.
    B,
}

impl Tier {
    /// Its letter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}
