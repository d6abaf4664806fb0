//! The report: the answer in plain words, then pictures, each with its table. One self-contained page, and the same as
//! Markdown. It is made of what a folder keeps and of nothing else: no clock, no machine.

mod charts;
mod html;
mod lang;
mod markdown;
mod svg;
mod timeline;
mod words;

use std::collections::BTreeMap;

pub use lang::Lang;

use crate::outcome::System;
use crate::output::{Expected, Manifest, Sweep, expectations, flat_summary};
use crate::scenario::Scenario;
use crate::stats::{Difference, Estimate, Sample, gains};

/// What reports are made of.
#[derive(Debug)]
pub struct Report<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) scenario: &'a Scenario,
    pub(crate) samples: &'a [Sample],
    pub(crate) sweep: Option<&'a Sweep>,
    pub(crate) summary: BTreeMap<String, Estimate>,
    /// The mesh against each baseline.
    pub(crate) gains: Vec<(System, Vec<Difference>)>,
    pub(crate) expectations: Vec<Expected>,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<String>>,
}

/// A part of the report: words, perhaps a picture, and the table that says the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Anchor.
    pub id: &'static str,
    /// Title.
    pub title: String,
    /// What one sees, in words.
    pub lead: String,
    /// The picture; empty = none.
    pub picture: String,
    /// What belongs to the picture and works only in a browser.
    pub controls: String,
    /// The numbers.
    pub table: Table,
    /// Small print.
    pub note: String,
}

impl<'a> Report<'a> {
    /// Of a folder's study.
    #[must_use]
    pub fn new(manifest: &'a Manifest, scenario: &'a Scenario, sweep: Option<&'a Sweep>) -> Self {
        let samples = &manifest.samples;
        let summary = flat_summary(samples);
        let gains = [System::Upstream, System::Islands].map(|system| (system, gains(samples, system)));
        Self {
            manifest,
            scenario,
            samples,
            sweep,
            gains: gains.into_iter().filter(|(_, found)| !found.is_empty()).collect(),
            expectations: expectations(scenario, &summary),
            summary,
        }
    }

    /// A figure of a system over all worlds.
    pub(crate) fn figure(&self, system: System, name: &str) -> Option<Estimate> {
        let name = match system {
            System::Mesh => name.to_owned(),
            other => format!("{}.{name}", crate::output::system_name(other)),
        };
        self.summary.get(&name).copied()
    }

    /// Systems that ran, in the order of reports.
    #[must_use]
    pub fn systems(&self) -> Vec<System> {
        let ran = |system: &System| self.samples.iter().any(|sample| sample.get(*system).is_some());
        System::ALL.into_iter().filter(ran).collect()
    }

    /// All parts with a picture.
    pub(crate) fn sections(&self, lang: Lang) -> Vec<Section> {
        vec![
            charts::severity(self, lang),
            charts::arrival(self, lang),
            charts::fates(self, lang),
            charts::heat(self, lang),
            charts::exposure(self, lang),
            charts::tornado(self, lang),
            charts::map(self, lang),
        ]
    }

    /// The page.
    #[must_use]
    pub fn html(&self, lang: Lang) -> String {
        html::page(self, lang)
    }

    /// The same as Markdown, without pictures.
    #[must_use]
    pub fn markdown(&self, lang: Lang) -> String {
        markdown::page(self, lang)
    }

    /// The answer in plain words, one sentence after the other.
    #[must_use]
    pub fn answer(&self, lang: Lang) -> Vec<String> {
        words::answer(self, lang)
    }

    /// How far to trust the model.
    #[must_use]
    pub fn error_of_model(&self, lang: Lang) -> String {
        words::model_error(self, lang)
    }

    /// Expectations and what came of them.
    #[must_use]
    pub fn expected(&self, lang: Lang) -> Table {
        markdown::expectation_table(self, lang)
    }

    /// Broken invariants, one line each.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        markdown::violations(self)
    }

    /// Whether an expectation does not hold.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.expectations.iter().any(|one| !one.holds)
    }

    /// The tables of a sweep.
    #[must_use]
    pub fn sweep_tables(&self, lang: Lang) -> Vec<Table> {
        let sections = [charts::severity(self, lang), charts::tornado(self, lang)];
        sections.into_iter().map(|section| section.table).filter(|table| !table.rows.is_empty()).collect()
    }

    /// Names of the figures that some system has in some world.
    #[must_use]
    pub fn names_of_figures(&self) -> Vec<String> {
        let systems = self.samples.iter().flat_map(|sample| &sample.systems);
        let names: std::collections::BTreeSet<&String> = systems.flat_map(|digest| digest.figures.keys()).collect();
        names.into_iter().cloned().collect()
    }

    /// A figure with its interval, as people read it.
    #[must_use]
    pub fn shown(&self, system: System, name: &str, lang: Lang) -> String {
        let Some(value) = self.figure(system, name) else { return "–".to_owned() };
        let show = |edge: f64| words::value(lang, name, edge);
        if self.samples.len() < 2 {
            return show(value.estimate);
        }
        format!("{} ({} … {})", show(value.estimate), show(value.low), show(value.high))
    }

    /// A system's name in tables.
    #[must_use]
    pub fn name_of(&self, system: System, lang: Lang) -> &'static str {
        words::short(lang, system)
    }
}

/// The table of paired differences, as people read it.
#[must_use]
pub fn forest(lang: Lang, differences: &[Difference], a: &str, b: &str) -> Table {
    words::forest(lang, differences, a, b)
}
