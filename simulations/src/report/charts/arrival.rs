//! Time to deliver (Kaplan and Meier): the share that had arrived by then, of all messages that were sent.

use super::{percent_ticks, style};
use crate::outcome::System;
use crate::report::svg::{Plot, Scale};
use crate::report::words::{short, with_interval};
use crate::report::{Lang, Report, Section, Table};
use crate::stats::{Estimate, estimate, grid};

/// Times that the table and the axis name.
const NAMED: [(f64, &str, &str); 9] = [
    (1.0, "1 s", "1 s"),
    (10.0, "10 s", "10 s"),
    (60.0, "1 min", "1 min"),
    (600.0, "10 min", "10 min"),
    (3_600.0, "1 h", "1 h"),
    (21_600.0, "6 h", "6 h"),
    (86_400.0, "1 d", "1 j"),
    (604_800.0, "7 d", "7 j"),
    (2_592_000.0, "30 d", "30 j"),
];

/// The curve of a system over all worlds, at the times of the grid.
fn curve(report: &Report<'_>, system: System) -> Vec<(f64, Estimate)> {
    let curves: Vec<&Vec<f64>> =
        report.samples.iter().filter_map(|sample| Some(&sample.get(system)?.arrived)).collect();
    let at = |n: usize| {
        let values: Vec<f64> = curves.iter().filter_map(|curve| curve.get(n).copied()).collect();
        estimate(&values, true)
    };
    grid().into_iter().enumerate().filter_map(|(n, seconds)| Some((seconds, at(n)?))).collect()
}

pub fn section(report: &Report<'_>, lang: Lang) -> Section {
    let size = (760.0, 400.0);
    let watched = report.scenario.duration.as_secs_f64() - report.scenario.warmup.as_secs_f64();
    let end = watched.clamp(3_600.0, 7e6);
    let mut plot =
        Plot::new("arrival", size, (70.0, 40.0, 24.0, 58.0), Scale::log((1.0, end)), Scale::linear((0.0, 1.0)));
    plot.y_axis(&percent_ticks(lang, (0.0, 1.0)), lang.pick("had arrived", "étaient arrivés"));
    let axis = NAMED.iter().filter(|(seconds, ..)| *seconds <= end);
    let axis: Vec<_> = axis.map(|(seconds, en, fr)| (*seconds, lang.pick(*en, *fr).to_owned())).collect();
    plot.x_axis(
        &axis,
        lang.pick(
            "time since the message was first sent (logarithmic)",
            "temps depuis le premier envoi (logarithmique)",
        ),
    );
    let systems = report.systems();
    let curves: Vec<_> = systems.iter().map(|system| (*system, curve(report, *system))).collect();
    for (system, curve) in &curves {
        let shown: Vec<_> = curve.iter().filter(|(seconds, _)| *seconds <= end).collect();
        // Where no message of any world had arrived yet, the rule of three would fill the picture; the table has it.
        let begun = shown.iter().filter(|(_, value)| value.estimate > 0.0);
        let band: Vec<_> = begun.map(|(seconds, value)| (*seconds, value.low, value.high)).collect();
        let line: Vec<_> = shown.iter().map(|(seconds, value)| (*seconds, value.estimate)).collect();
        plot.band(&band, style(*system).color);
        plot.line(&line, style(*system), 5, true);
    }
    let legend: Vec<_> = systems.iter().map(|system| (short(lang, *system).to_owned(), style(*system))).collect();
    plot.legend(&legend);
    let worlds = report.samples.len();
    let nearest = |curve: &[(f64, Estimate)], wanted: f64| {
        curve.iter().take_while(|(seconds, _)| *seconds <= wanted).last().map(|(_, value)| *value)
    };
    let rows = [1.0, 10.0, 50.0, 500.0, 3_000.0, 20_000.0, 70_000.0, 500_000.0, 2_000_000.0];
    let rows = rows.into_iter().filter(|seconds| *seconds <= end).map(|seconds| {
        let mut row = vec![lang.duration(seconds)];
        row.extend(curves.iter().map(|(_, curve)| {
            nearest(curve, seconds).map_or_else(|| "–".to_owned(), |value| with_interval(lang, value, worlds))
        }));
        row
    });
    let mut columns = vec![lang.pick("within", "en moins de").to_owned()];
    columns.extend(systems.iter().map(|system| short(lang, *system).to_owned()));
    let table = Table { columns, rows: rows.collect() };
    Section {
        id: "arrival",
        title: lang.pick("How long messages take", "Combien de temps prennent les messages").to_owned(),
        lead: lang
            .pick(
                "Of all messages that were sent, the share that had arrived after this time. A line that ends below 100 % says that the \
                 others had not arrived while they were watched: nobody is left out.",
                "Parmi tous les messages envoyés, la part arrivée après ce temps. Une courbe qui finit sous 100 % dit que les autres \
                 n’étaient pas arrivés pendant l’observation : personne n’est oublié.",
            )
            .to_owned(),
        picture: plot.finish(
            lang.pick("Time to deliver", "Temps de livraison"),
            lang.pick("Kaplan–Meier curves with 95 % bands; the table below has the same numbers.", "Courbes de Kaplan–Meier avec bandes à 95 % ; le tableau ci-dessous donne les mêmes nombres."),
        ),
        table,
        note: lang
            .pick("Kaplan–Meier: messages that had not arrived are censored at the end of the run.", "Kaplan–Meier : les messages non arrivés sont censurés à la fin de la simulation.")
            .to_owned(),
        controls: String::new(),
    }
}
