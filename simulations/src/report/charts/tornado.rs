//! What matters most: keys that were moved alone, by how far they move the answer.

use std::collections::BTreeMap;

use crate::outcome::System;
use crate::output::Point;
use crate::report::svg::{Plot, Scale, escape, ticks};
use crate::report::words::with_interval;
use crate::report::{Lang, Report, Section, Table};
use crate::stats::{Estimate, estimate};

/// A key and what each of its values does.
struct Bar<'s> {
    key: &'s str,
    /// Value and the paired difference to the scenario itself.
    ends: Vec<(&'s Point, Estimate)>,
}

fn bars<'s>(report: &Report<'s>) -> Vec<Bar<'s>> {
    let Some(sweep) = report.sweep else { return Vec::new() };
    let base = report
        .samples
        .iter()
        .filter_map(|sample| Some((sample.seed, *sample.get(System::Mesh)?.figures.get("delivered.72h")?)));
    let base: BTreeMap<u64, f64> = base.collect();
    let mut bars: Vec<Bar<'s>> = Vec::new();
    for point in &sweep.alone {
        let Some((key, _)) = point.settings.first() else { continue };
        let moved = point.by_seed(System::Mesh, "delivered.72h");
        let paired: Vec<f64> = moved.iter().filter_map(|(seed, value)| Some(value - base.get(seed)?)).collect();
        let Some(difference) = estimate(&paired, false) else { continue };
        match bars.iter_mut().find(|bar| bar.key == key) {
            Some(bar) => bar.ends.push((point, difference)),
            None => bars.push(Bar { key, ends: vec![(point, difference)] }),
        }
    }
    bars.sort_by(|a, b| reach(b).total_cmp(&reach(a)).then_with(|| a.key.cmp(b.key)));
    bars
}

fn reach(bar: &Bar<'_>) -> f64 {
    bar.ends.iter().map(|(_, difference)| difference.estimate.abs()).fold(0.0, f64::max)
}

pub fn section(report: &Report<'_>, lang: Lang) -> Section {
    let title = lang.pick("What matters most", "Ce qui compte le plus").to_owned();
    let bars = bars(report);
    if bars.is_empty() {
        let name = &report.scenario.name;
        let lead = lang.pick(
            format!("No key was moved alone. `simulate sweep {name} --tornado --out DIR` does it, and `simulate report` lays it into this page."),
            format!("Aucune clé n’a été changée seule. `simulate sweep {name} --tornado --out DOSSIER` le fait, et `simulate report` le met dans cette page."),
        );
        return Section { id: "tornado", title, lead, ..Section::default() };
    }
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let ends = || bars.iter().flat_map(|bar| &bar.ends);
    let edge = ends()
        .flat_map(|(_, one)| [Some(one.estimate), finite(one.low), finite(one.high)])
        .flatten()
        .fold(0.002, |edge: f64, value| edge.max(value.abs()));
    let height = 60.0 + 58.0 + 44.0 * bars.len() as f64;
    let margins = (190.0, 20.0, 90.0, 58.0);
    let (x, y) = (Scale::linear((-edge, edge)), Scale::linear((0.0, bars.len() as f64)));
    let mut plot = Plot::new("tornado", (760.0, height), margins, x, y);
    let axis = ticks((-edge, edge), 6).into_iter().map(|value| (value, lang.signed(value * 100.0, 1)));
    plot.x_axis(
        &axis.collect::<Vec<_>>(),
        lang.pick(
            "change of delivery within 72 h, percentage points",
            "changement de la livraison en 72 h, points de pourcentage",
        ),
    );
    let (_, top, _, bottom) = plot.area();
    for (row, bar) in bars.iter().enumerate() {
        draw(&mut plot, lang, bar, bars.len() - row - 1);
    }
    let zero = plot.px(0.0);
    plot.raw(&format!(r##"<line x1="{zero:.1}" y1="{top:.1}" x2="{zero:.1}" y2="{bottom:.1}" stroke="#000"/>"##));
    let worlds = report.samples.len();
    let rows = bars.iter().flat_map(|bar| {
        bar.ends.iter().map(|(point, one)| {
            let value = point.settings.first().map(|(_, value)| value.clone()).unwrap_or_default();
            let share = point.estimate(System::Mesh, "delivered.72h");
            let share = share.map_or_else(|| "–".to_owned(), |share| with_interval(lang, share, point.samples.len()));
            let interval = format!("{} … {}", lang.points(one.low), lang.points(one.high));
            vec![
                bar.key.to_owned(),
                value,
                share,
                lang.points(one.estimate),
                if worlds < 2 { "–".to_owned() } else { interval },
            ]
        })
    });
    let columns = [
        lang.pick("key", "clé"),
        lang.pick("value", "valeur"),
        lang.pick("arrived within 72 h", "arrivés en 72 h"),
        lang.pick("change", "changement"),
        lang.pick("95 % interval", "intervalle à 95 %"),
    ];
    Section {
        id: "tornado",
        title,
        lead: lang
            .pick(
                "Each key was moved alone, all else and all luck kept; the longest bars are what the answer rests on most.",
                "Chaque clé a été changée seule, tout le reste et tout le hasard gardés ; les barres les plus longues sont ce dont la réponse dépend le plus.",
            )
            .to_owned(),
        table: Table { columns: columns.map(str::to_owned).to_vec(), rows: rows.collect() },
        picture: plot.finish(
            lang.pick("Tornado", "Tornade"),
            lang.pick("Bars with 95 % intervals; the table below has the same numbers.", "Barres avec intervalles à 95 % ; le tableau ci-dessous donne les mêmes nombres."),
        ),
        ..Section::default()
    }
}

fn draw(plot: &mut Plot, lang: Lang, bar: &Bar<'_>, row: usize) {
    let (left, ..) = plot.area();
    let middle = (plot.py(row as f64) + plot.py(row as f64 + 1.0)) / 2.0;
    plot.text(left - 8.0, middle + 4.0, "end", bar.key);
    for (n, (point, one)) in bar.ends.iter().enumerate() {
        let color = ["#56B4E9", "#E69F00", "#009E73", "#CC79A7"][n % 4];
        let height = 36.0 / bar.ends.len() as f64;
        let y = middle - 18.0 + height * n as f64;
        let (zero, end) = (plot.px(0.0), plot.px(one.estimate));
        let (x, width) = (zero.min(end), (end - zero).abs().max(1.0));
        plot.raw(&format!(
            r##"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{:.1}" fill="{color}" stroke="#333" stroke-width="0.5"/>"##,
            height - 2.0
        ));
        let (low, high, line) = (plot.px(one.low), plot.px(one.high), y + height / 2.0 - 1.0);
        plot.raw(&format!(r##"<line x1="{low:.1}" y1="{line:.1}" x2="{high:.1}" y2="{line:.1}" stroke="#000"/>"##));
        let value = point.settings.first().map_or("", |(_, value)| value.as_str());
        let beside = high.max(x + width) + 5.0;
        plot.raw(&format!(
            r#"<text x="{beside:.1}" y="{:.1}" font-size="11">{}</text>"#,
            line + 4.0,
            escape(&format!("{value}: {}", lang.signed(one.estimate * 100.0, 1)))
        ));
    }
}
