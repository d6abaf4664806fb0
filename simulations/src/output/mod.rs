//! What a study leaves on disk and prints: a folder that papers and planners can read, and one JSON document.

mod csv;
mod document;
mod folder;
mod manifest;
mod sweep;

pub use csv::{MESSAGE_COLUMNS, METRIC_COLUMNS, compress_rows};
pub use document::{Expected, document, expectations, flat_figures, flat_summary};
pub use folder::{Folder, Spool, merge};
pub use manifest::{FORMAT, Frame, Manifest, ModelError, Program, ScenarioNote, model_errors, utc};
pub use sweep::{Point, PointSample, Sweep};

use crate::outcome::System;

/// Names of systems in files and figures.
#[must_use]
pub fn system_name(system: System) -> &'static str {
    match system {
        System::Mesh => "mesh",
        System::Islands => "islands",
        System::Upstream => "upstream",
    }
}
