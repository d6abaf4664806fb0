//! What terminals see.

use crate::outcome::System;
use crate::report::{Lang, Report, Table};

/// Columns of a table under each other.
pub fn aligned(table: &Table) -> String {
    let rows: Vec<&Vec<String>> = std::iter::once(&table.columns).chain(&table.rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..table.columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The answer and the figures of a study.
pub fn study(report: &Report<'_>, lang: Lang) -> String {
    let mut parts = report.answer(lang);
    parts.push(aligned(&figures(report, lang)));
    let expected = report.expected(lang);
    if !expected.rows.is_empty() {
        parts.push(aligned(&expected));
    }
    parts.extend(report.broken());
    parts.push(report.error_of_model(lang));
    parts.join("\n\n")
}

fn figures(report: &Report<'_>, lang: Lang) -> Table {
    let systems = report.systems();
    let mut columns = vec![lang.pick("figure", "grandeur").to_owned()];
    columns.extend(systems.iter().map(|system| report.name_of(*system, lang).to_owned()));
    let mut names: Vec<String> = report.names_of_figures();
    names.retain(|name| !name.starts_with("count."));
    let row = |name: &String| {
        let mut row = vec![name.clone()];
        row.extend(systems.iter().map(|system: &System| report.shown(*system, name, lang)));
        row
    };
    Table { columns, rows: names.iter().map(row).collect() }
}
