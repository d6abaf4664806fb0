//! The pictures, one file each: every one with its words and its table.

mod arrival;
mod exposure;
mod fates;
mod heat;
mod map;
mod severity;
mod tornado;

pub use arrival::section as arrival;
pub use exposure::section as exposure;
pub use fates::section as fates;
pub use heat::section as heat;
pub use map::section as map;
pub use severity::section as severity;
pub use tornado::section as tornado;

use super::svg::{Plot, SYSTEMS, Style, escape, text_width, ticks};
use super::{Lang, Report, timeline};
use crate::outcome::System;

/// Stretches whose edges are drawn as well.
const EDGES_MAX: usize = 12;

/// How a system's line looks.
pub(super) fn style(system: System) -> Style {
    SYSTEMS[system as usize]
}

/// Ticks of shares in percent.
pub(super) fn percent_ticks(lang: Lang, range: (f64, f64)) -> Vec<(f64, String)> {
    ticks(range, 5).into_iter().map(|share| (share, format!("{}\u{a0}%", lang.number(share * 100.0, 0)))).collect()
}

/// Ticks of days.
pub(super) fn day_ticks(lang: Lang, days: usize) -> Vec<(f64, String)> {
    ticks((0.0, days as f64), days.clamp(1, 8)).into_iter().map(|day| (day, lang.number(day, 0))).collect()
}

/// Marks when things go wrong: a bar above what lasts and, with `veil`, a grey veil over it; a dashed line at what is sudden;
/// the name of each kind where it first happens.
pub(super) fn mark_faults(plot: &mut Plot, report: &Report<'_>, lang: Lang, days: usize, veil: bool) {
    let (_, top, right, bottom) = plot.area();
    let mut names = Vec::new();
    let mut note = |at: f64, kind| {
        if !names.iter().any(|(_, known)| *known == kind) {
            names.push((at, kind));
        }
    };
    let end = days as f64;
    let stretches: Vec<_> = timeline::stretches(report.scenario).into_iter().filter(|one| one.from < end).collect();
    // The edges of a daily curfew would hide what they mark.
    let edges = veil && stretches.len() <= EDGES_MAX;
    for stretch in stretches {
        let (a, b) = (plot.px(stretch.from), plot.px(stretch.to.min(end)));
        let (width, height) = ((b - a).max(1.0), bottom - top);
        let over = if veil { 0.22 } else { 0.0 };
        plot.raw(&format!(
            r##"<rect x="{a:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}" fill="#555" fill-opacity="{over}"/><rect x="{a:.1}" y="{:.1}" width="{width:.1}" height="5" fill="#555"/>"##,
            top - 6.0
        ));
        for x in [a, b].into_iter().filter(|_| edges) {
            plot.raw(&format!(r##"<line x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}" stroke="#fff" stroke-width="3"/><line x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}" stroke="#555" stroke-width="1.2"/>"##));
        }
        note(stretch.from, stretch.kind);
    }
    for (at, kind) in timeline::moments(report.scenario).into_iter().filter(|(at, _)| *at < end) {
        let x = plot.px(at);
        plot.raw(&format!(
            r##"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{bottom:.1}" stroke="#000" stroke-width="1.5" stroke-dasharray="3 3"/>"##,
            top - 6.0
        ));
        note(at, kind);
    }
    for (n, (at, kind)) in names.into_iter().enumerate() {
        let name = timeline::name(kind, lang);
        let x = plot.px(at);
        let (x, anchor) = if x + text_width(name) > right { (right, "end") } else { (x, "start") };
        let y = top - 10.0 - 14.0 * (n % 2) as f64;
        plot.raw(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-style="italic">{}</text>"#,
            escape(name)
        ));
    }
}
