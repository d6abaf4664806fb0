//! Delivery against severity: the points of a sweep, with confidence bands and both baselines.

use super::{percent_ticks, style};
use crate::outcome::System;
use crate::output::{Point, Sweep};
use crate::report::svg::{Plot, Scale};
use crate::report::words::{short, with_interval};
use crate::report::{Lang, Report, Section, Table};
use crate::scenario::parse_quantity;

/// Small pictures at most; the table has all points.
const PANELS_MAX: usize = 6;

pub fn section(report: &Report<'_>, lang: Lang) -> Section {
    let title = lang.pick("Delivery against severity", "Livraison selon la gravité").to_owned();
    let sweep = report.sweep.filter(|sweep| !sweep.points.is_empty());
    let Some(sweep) = sweep else {
        let name = &report.scenario.name;
        let lead = lang.pick(
            format!("This study has one severity only. `simulate sweep {name} --grid KEY=V1,V2,… --out DIR` runs several, and `simulate report` lays them into this page."),
            format!("Cette étude n’a qu’une seule gravité. `simulate sweep {name} --grid CLÉ=V1,V2,… --out DOSSIER` en simule plusieurs, et `simulate report` les met dans cette page."),
        );
        return Section { id: "severity", title, lead, ..Section::default() };
    };
    let panels = panels(sweep);
    let pictures: Vec<String> =
        panels.iter().take(PANELS_MAX).enumerate().map(|(n, panel)| picture(report, lang, sweep, panel, n)).collect();
    let lead = lang.pick(
        format!("Share of messages that arrived within 72 hours, for each value of `{}`. Bands are 95 % intervals over worlds.", sweep.keys[0]),
        format!("Part des messages arrivés en moins de 72 heures, pour chaque valeur de `{}`. Les bandes sont des intervalles à 95 % sur les mondes.", sweep.keys[0]),
    );
    let more = panels.len().saturating_sub(PANELS_MAX);
    let note = if more == 0 {
        String::new()
    } else {
        lang.pick(
            format!("{more} further combinations are in the table."),
            format!("{more} autres combinaisons sont dans le tableau."),
        )
    };
    Section {
        id: "severity",
        title,
        lead,
        picture: pictures.concat(),
        table: table(report, lang, sweep),
        note,
        ..Section::default()
    }
}

/// Points that differ in the first key only.
struct Panel<'s> {
    rest: String,
    points: Vec<&'s Point>,
}

fn panels(sweep: &Sweep) -> Vec<Panel<'_>> {
    let mut panels: Vec<Panel<'_>> = Vec::new();
    for point in &sweep.points {
        let rest: Vec<String> = point.settings.iter().skip(1).map(|(key, value)| format!("{key}={value}")).collect();
        let rest = rest.join(", ");
        match panels.iter_mut().find(|panel| panel.rest == rest) {
            Some(panel) => panel.points.push(point),
            None => panels.push(Panel { rest, points: vec![point] }),
        }
    }
    panels
}

fn first_value(point: &Point) -> &str {
    point.settings.first().map_or("", |(_, value)| value.as_str())
}

/// Names of pictures on a page must differ.
const IDS: [&str; PANELS_MAX] = ["severity-0", "severity-1", "severity-2", "severity-3", "severity-4", "severity-5"];

fn picture(report: &Report<'_>, lang: Lang, sweep: &Sweep, panel: &Panel<'_>, n: usize) -> String {
    let text = |point: &Point| first_value(point).trim_matches('"').to_owned();
    let numbers: Option<Vec<f64>> = panel.points.iter().map(|point| parse_quantity(&text(point)).ok()).collect();
    // Values that are no numbers stand side by side, as given.
    let places = numbers.unwrap_or_else(|| (0..panel.points.len()).map(|n| n as f64).collect());
    let range = places.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)));
    let size = (760.0, 380.0);
    let mut plot = Plot::new(IDS[n], size, (70.0, 40.0, 24.0, 58.0), Scale::linear(range), Scale::linear((0.0, 1.0)));
    plot.y_axis(&percent_ticks(lang, (0.0, 1.0)), lang.pick("arrived within 72 h", "arrivés en moins de 72 h"));
    let axis: Vec<(f64, String)> = places.iter().zip(&panel.points).map(|(x, point)| (*x, text(point))).collect();
    let name =
        if panel.rest.is_empty() { sweep.keys[0].clone() } else { format!("{} ({})", sweep.keys[0], panel.rest) };
    plot.x_axis(&axis, &name);
    let systems = report.systems();
    for system in &systems {
        let found = panel.points.iter().zip(&places);
        let mut found: Vec<_> =
            found.filter_map(|(point, x)| Some((*x, point.estimate(*system, "delivered.72h")?))).collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let band: Vec<_> = found.iter().map(|(x, value)| (*x, value.low, value.high)).collect();
        let line: Vec<_> = found.iter().map(|(x, value)| (*x, value.estimate)).collect();
        plot.band(&band, style(*system).color);
        plot.line(&line, style(*system), 1, false);
    }
    let legend: Vec<_> = systems.iter().map(|system| (short(lang, *system).to_owned(), style(*system))).collect();
    plot.legend(&legend);
    plot.finish(
        lang.pick("Delivery against severity", "Livraison selon la gravité"),
        lang.pick(
            "Lines with bands; the table below has the same numbers.",
            "Courbes avec bandes ; le tableau ci-dessous donne les mêmes nombres.",
        ),
    )
}

fn table(report: &Report<'_>, lang: Lang, sweep: &Sweep) -> Table {
    let systems = report.systems();
    let mut columns = sweep.keys.clone();
    columns.extend(systems.iter().map(|system| short(lang, *system).to_owned()));
    let row = |point: &Point| {
        let mut row: Vec<String> = point.settings.iter().map(|(_, value)| value.clone()).collect();
        let worlds = point.samples.len();
        let share = |system: &System| {
            point
                .estimate(*system, "delivered.72h")
                .map_or_else(|| "–".to_owned(), |value| with_interval(lang, value, worlds))
        };
        row.extend(systems.iter().map(share));
        row
    };
    Table { columns, rows: sweep.points.iter().map(row).collect() }
}
