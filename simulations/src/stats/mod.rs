//! From rows to figures with intervals. The seed is the sample: messages of one world share its luck, so an interval is
//! over worlds, never over messages.

mod interval;
mod measure;
mod survival;

pub use interval::{Estimate, Verdict, estimate, paired};
pub use measure::{Summary, fate_name, figures, samples, summarise};
pub use survival::Survival;
