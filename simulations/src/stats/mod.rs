//! From rows to figures with intervals. The seed is the sample: messages of one world share its luck, so an interval is
//! over worlds, never over messages.

mod digest;
mod gain;
mod interval;
mod measure;
mod survival;

pub use digest::{Cell, Digest, Sample, Stage, counted_days, grid};
pub use gain::{Better, Difference, Judgement, Side, better, differences, gains, side};
pub use interval::{Estimate, Verdict, estimate, paired};
pub use measure::{Summary, fate_name, figures, is_share, route_name, samples, summarise, summarise_samples};
pub use survival::Survival;
