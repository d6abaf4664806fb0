//! The report for terminals and pull requests.

use std::fmt::Write as _;

use super::{Lang, Report, Table, words};
use crate::outcome::System;
use crate::output::system_name;

/// Longer tables are in the page and in the CSV.
const ROWS_MAX: usize = 40;

/// The whole report.
pub fn page(report: &Report<'_>, lang: Lang) -> String {
    let mut text = format!("# {}\n\n", report.scenario.name);
    let mut paragraph = |line: &str| write!(text, "{line}\n\n").expect("a string takes all");
    paragraph(&words::background(report, lang));
    for sentence in report.answer(lang) {
        paragraph(&format!("**{sentence}**"));
    }
    paragraph(words::brackets(lang));
    paragraph(&words::model_error(report, lang));
    let broken = violations(report);
    if !broken.is_empty() {
        paragraph(&format!("> {}", super::html::broken_words(lang)));
        for line in broken {
            paragraph(&format!("> * {line}"));
        }
    }
    let expected = expectation_table(report, lang);
    if !expected.rows.is_empty() {
        paragraph(&format!("## {}", lang.pick("What was expected", "Ce qui était attendu")));
        paragraph(&markdown_table(&expected));
    }
    for sentence in words::no_gains(report, lang) {
        paragraph(&sentence);
    }
    for (baseline, differences) in &report.gains {
        let (other, mesh) = (words::short(lang, *baseline), words::short(lang, System::Mesh));
        paragraph(&format!("## {mesh} − {other}"));
        paragraph(&markdown_table(&words::forest(lang, differences, other, mesh)));
    }
    for section in report.sections(lang) {
        paragraph(&format!("## {}", section.title));
        paragraph(&section.lead);
        if section.table.rows.len() > ROWS_MAX {
            let rows = section.table.rows.len();
            paragraph(lang.pick(
                &format!("({rows} rows: see `report.html` and `metrics.csv`.)"),
                &format!("({rows} lignes : voir `report.html` et `metrics.csv`.)"),
            ));
        } else if !section.table.rows.is_empty() {
            paragraph(&markdown_table(&section.table));
        }
        if !section.note.is_empty() {
            paragraph(&section.note);
        }
    }
    paragraph(&format!("## {}", lang.pick("How far to trust this", "Quelle confiance y accorder")));
    for line in trust(report, lang) {
        paragraph(&line);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A table as Markdown.
pub fn markdown_table(table: &Table) -> String {
    let line = |cells: &[String]| {
        format!("| {} |", cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
    };
    let mut lines = vec![line(&table.columns), format!("|{}", "---|".repeat(table.columns.len()))];
    lines.extend(table.rows.iter().map(|row| line(row)));
    lines.join("\n")
}

/// Broken invariants, one line each.
pub fn violations(report: &Report<'_>) -> Vec<String> {
    let all = report.samples.iter().flat_map(|sample| {
        sample.systems.iter().flat_map(move |digest| {
            digest.violations.iter().map(move |broken| {
                let (seed, system) = (sample.seed, system_name(digest.system));
                format!("seed {seed}, {system}: {} at {}: {}", broken.invariant, broken.at, broken.what)
            })
        })
    });
    all.collect()
}

/// Expectations and what came of them.
pub fn expectation_table(report: &Report<'_>, lang: Lang) -> Table {
    let columns = [
        lang.pick("figure", "grandeur"),
        lang.pick("expected", "attendu"),
        lang.pick("found", "trouvé"),
        lang.pick("verdict", "verdict"),
    ];
    let rows = report.expectations.iter().map(|one| {
        let show = |value: Option<f64>| {
            value.map_or_else(|| "?".to_owned(), |value| words::value(lang, plain(&one.metric), value))
        };
        let found = match one.estimate {
            None => lang.pick("not reached in every world", "pas atteint dans chaque monde").to_owned(),
            Some(_) => format!("{} ({} … {})", show(one.estimate), show(one.low), show(one.high)),
        };
        let verdict = match (one.holds, one.sure) {
            (true, true) => lang.pick("holds", "rempli"),
            (true, false) => {
                lang.pick("holds, more worlds could change it", "rempli, plus de mondes pourraient le changer")
            }
            (false, true) => lang.pick("FAILS", "NON REMPLI"),
            (false, false) => {
                lang.pick("FAILS, more worlds could change it", "NON REMPLI, plus de mondes pourraient le changer")
            }
        };
        vec![one.metric.clone(), one.expected.clone(), found, verdict.to_owned()]
    });
    Table { columns: columns.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// A figure's name without the system before it.
fn plain(metric: &str) -> &str {
    let metric = metric.strip_prefix("gain.").unwrap_or(metric);
    ["upstream.", "islands."].iter().find_map(|system| metric.strip_prefix(system)).unwrap_or(metric)
}

/// Where the scenario's numbers are from.
pub fn sources(report: &Report<'_>, lang: Lang) -> Table {
    let columns = [lang.pick("number", "nombre"), lang.pick("source", "source")];
    let rows = report.scenario.sources.iter().map(|(key, source)| vec![key.clone(), source.clone()]);
    Table { columns: columns.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// Seeds and hashes.
pub fn hashes(report: &Report<'_>, lang: Lang) -> Table {
    let columns = [
        lang.pick("seed", "graine"),
        lang.pick("system", "système"),
        lang.pick("events", "événements"),
        lang.pick("trace", "trace"),
    ];
    let rows = report.samples.iter().flat_map(|sample| {
        sample.systems.iter().map(|digest| {
            vec![
                sample.seed.to_string(),
                system_name(digest.system).to_owned(),
                digest.events.to_string(),
                digest.trace.to_string(),
            ]
        })
    });
    Table { columns: columns.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// What to know before quoting it.
pub fn trust(report: &Report<'_>, lang: Lang) -> Vec<String> {
    let sources = &report.scenario.sources;
    let assumed = sources.values().filter(|source| source.starts_with("assumed")).count();
    let assumptions = if sources.is_empty() {
        lang.pick(
            "The scenario names no sources: take every number in it as assumed.".to_owned(),
            "Le scénario ne nomme aucune source : tenez chacun de ses nombres pour une hypothèse.".to_owned(),
        )
    } else {
        let named = sources.len() - assumed;
        lang.pick(
            format!("Of the numbers that the scenario gives sources for, {named} are from somewhere and {assumed} are assumed; the table says which."),
            format!("Parmi les nombres dont le scénario indique l’origine, {named} ont une source et {assumed} sont des hypothèses ; le tableau dit lesquels."),
        )
    };
    let note = &report.manifest.scenario;
    let program = &report.manifest.program;
    let seeds = report.samples.len();
    vec![
        lang.pick(
            "Every decision of the mesh was made by the node’s own code. People, phones, SMS, networks, failures and the central service are \
             models; read docs/simulator/validity.md before you quote a figure, and docs/simulator/report.md on how to read this page.",
            "Chaque décision du maillage a été prise par le code du nœud lui-même. Les personnes, les téléphones, les SMS, les réseaux, les pannes \
             et le service central sont des modèles ; lisez docs/simulator/validity.md avant de citer un chiffre, et \
             docs/simulator/report.fr.md pour lire cette page.",
        )
        .to_owned(),
        words::model_error(report, lang),
        assumptions,
        lang.pick(
            format!("Made by relaymesh-simulations {} from scenario {} (SHA-256 {}) with {seeds} seeds, tier {}.", program.version, note.name, note.sha256, report.manifest.tier),
            format!("Produit par relaymesh-simulations {} à partir du scénario {} (SHA-256 {}) avec {seeds} graines, niveau {}.", program.version, note.name, note.sha256, report.manifest.tier),
        ),
    ]
}
