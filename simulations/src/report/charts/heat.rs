//! Where it arrives: region by day, as a heat map.

use super::{day_ticks, mark_faults};
use crate::outcome::System;
use crate::report::svg::{Plot, Scale, ramp};
use crate::report::{Lang, Report, Section, Table};
use crate::stats::{Cell, counted_days};

/// Regions that somebody wrote from, with messages of all worlds by day.
pub(super) fn cells(report: &Report<'_>, system: System) -> Vec<(usize, Vec<Cell>)> {
    let days = counted_days(report.scenario);
    let mut regions = vec![vec![Cell::default(); days]; report.scenario.region.len()];
    for digest in report.samples.iter().filter_map(|sample| sample.get(system)) {
        for (sums, days) in regions.iter_mut().zip(&digest.regions) {
            for (sum, cell) in sums.iter_mut().zip(days) {
                sum.sent += cell.sent;
                sum.in_time += cell.in_time;
            }
        }
    }
    let with_people = |(_, days): &(usize, Vec<Cell>)| days.iter().any(|cell| cell.sent > 0);
    regions.into_iter().enumerate().filter(with_people).collect()
}

pub(super) fn share(cell: Cell) -> Option<f64> {
    (cell.sent > 0).then(|| f64::from(cell.in_time) / f64::from(cell.sent))
}

pub fn section(report: &Report<'_>, lang: Lang) -> Section {
    let regions = cells(report, System::Mesh);
    let days = counted_days(report.scenario);
    let rows = regions.len() as f64;
    let height = 46.0 + 58.0 + 24.0 * rows.max(1.0);
    let margins = (70.0, 46.0, 110.0, 58.0);
    let (x, y) = (Scale::linear((0.0, days as f64)), Scale::linear((0.0, rows.max(1.0))));
    let mut plot = Plot::new("heat", (760.0, height), margins, x, y);
    let (left, ..) = plot.area();
    for (row, (region, cells)) in regions.iter().enumerate() {
        // The first region on top.
        let y = (rows - row as f64 - 1.0, rows - row as f64);
        let name = &report.scenario.region[*region].name;
        plot.text(left - 8.0, (plot.py(y.0) + plot.py(y.1)) / 2.0 + 4.0, "end", name);
        for (day, cell) in cells.iter().enumerate() {
            let text = share(*cell).map_or_else(|| "–".to_owned(), |share| lang.percent(share));
            let title = format!("{name}, {} {day}: {text}", lang.pick("day", "jour"));
            let fill = share(*cell).map_or_else(|| "#ffffff".to_owned(), ramp);
            plot.cell((day as f64, day as f64 + 1.0), y, &fill, &title);
        }
        let edge = plot.py(y.0);
        plot.raw(&format!(r##"<line x1="{left}" y1="{edge:.1}" x2="650" y2="{edge:.1}" stroke="#fff"/>"##));
    }
    mark_faults(&mut plot, report, lang, days, false);
    plot.x_axis(&day_ticks(lang, days), lang.pick("day after the warm-up", "jour après la mise en train"));
    plot.raw(&key(lang, 664.0, 46.0));
    Section {
        id: "heat",
        title: lang.pick("Where and when messages arrive", "Où et quand les messages arrivent").to_owned(),
        lead: lang
            .pick(
                "For each region and day of sending, the share that arrived within 72 hours through the mesh. Dark is all, yellow is nothing.",
                "Pour chaque région et jour d’envoi, la part arrivée en moins de 72 heures par le maillage. Foncé : tout ; jaune : rien.",
            )
            .to_owned(),
        picture: plot.finish(
            lang.pick("Delivery by region and day", "Livraison par région et par jour"),
            lang.pick("A heat map; the table below has the same numbers.", "Carte de chaleur ; le tableau ci-dessous donne les mêmes nombres."),
        ),
        table: table(report, lang, &regions),
        note: lang.pick("White: nobody wrote there that day.", "Blanc : personne n’y a écrit ce jour-là.").to_owned(),
        controls: String::new(),
    }
}

/// The colours and what they mean.
pub(super) fn key(lang: Lang, x: f64, y: f64) -> String {
    let step = |n: u32| {
        let share = f64::from(n) / 5.0;
        let top = y + 20.0 * f64::from(5 - n);
        format!(
            r##"<rect x="{x}" y="{top}" width="20" height="20" fill="{}"/><text x="{}" y="{}">{}</text>"##,
            ramp(share),
            x + 26.0,
            top + 14.0,
            lang.percent(share)
        )
    };
    (0..=5).map(step).collect()
}

fn table(report: &Report<'_>, lang: Lang, regions: &[(usize, Vec<Cell>)]) -> Table {
    let mut columns = vec![lang.pick("day", "jour").to_owned()];
    columns.extend(regions.iter().map(|(region, _)| report.scenario.region[*region].name.clone()));
    let rows = (0..counted_days(report.scenario)).map(|day| {
        let mut row = vec![day.to_string()];
        row.extend(regions.iter().map(|(_, cells)| {
            cells.get(day).copied().and_then(share).map_or_else(|| "–".to_owned(), |share| lang.percent(share))
        }));
        row
    });
    Table { columns, rows: rows.collect() }
}
