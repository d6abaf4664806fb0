//! Fate of messages over the days on which they were sent, as stacked areas, with what went wrong shaded.

use super::{day_ticks, mark_faults, percent_ticks};
use crate::outcome::System;
use crate::report::svg::{Plot, Scale, escape, text_width};
use crate::report::words::short;
use crate::report::{Lang, Report, Section, Table};
use crate::stats::{Stage, counted_days};

const STAGES: usize = Stage::ALL.len();

/// Colour and pattern of each stage, in the order of [`Stage::ALL`].
const LOOKS: [(&str, Pattern); STAGES] = [
    ("#0072B2", Pattern::Plain),
    ("#56B4E9", Pattern::Plain),
    ("#009E73", Pattern::Plain),
    ("#F0E442", Pattern::Dots),
    ("#CC79A7", Pattern::Plain),
    ("#D55E00", Pattern::Rising),
    ("#E69F00", Pattern::Falling),
    ("#000000", Pattern::Plain),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Plain,
    Dots,
    Rising,
    Falling,
}

pub(super) fn stage_name(lang: Lang, stage: Stage) -> &'static str {
    match stage {
        Stage::WithinHour => lang.pick("arrived within 1 h", "arrivé en moins de 1 h"),
        Stage::Within72h => lang.pick("arrived within 72 h", "arrivé en moins de 72 h"),
        Stage::Later => lang.pick("arrived later", "arrivé plus tard"),
        Stage::OnItsWay => lang.pick("still on its way", "encore en route"),
        Stage::Told => lang.pick("given up, sender told", "abandonné, expéditeur informé"),
        Stage::LostNode => lang.pick("lost with a computer", "perdu avec un ordinateur"),
        Stage::LostGateway => lang.pick("lost at a gateway client", "perdu chez un client passerelle"),
        Stage::LostSms => lang.pick("lost in the SMS network", "perdu dans le réseau SMS"),
    }
}

/// Share of each stage by day: all messages of a day over all worlds together.
fn shares(report: &Report<'_>, system: System) -> Vec<Option<[f64; STAGES]>> {
    let mut days = vec![[0_u64; STAGES]; counted_days(report.scenario)];
    for digest in report.samples.iter().filter_map(|sample| sample.get(system)) {
        for (sum, day) in days.iter_mut().zip(&digest.days) {
            for (sum, count) in sum.iter_mut().zip(day) {
                *sum += u64::from(*count);
            }
        }
    }
    let share = |counts: &[u64; STAGES]| {
        let all: u64 = counts.iter().sum();
        (all > 0).then(|| counts.map(|count| count as f64 / all as f64))
    };
    days.iter().map(share).collect()
}

pub fn section(report: &Report<'_>, lang: Lang) -> Section {
    let systems = report.systems();
    let ids = ["fates-mesh", "fates-islands", "fates-upstream"];
    let pictures = systems.iter().map(|system| picture(report, lang, *system, ids[*system as usize]));
    let mut columns = vec![lang.pick("system", "système").to_owned(), lang.pick("day", "jour").to_owned()];
    columns.extend(Stage::ALL.map(|stage| stage_name(lang, stage).to_owned()));
    let rows = systems.iter().flat_map(|system| {
        shares(report, *system).into_iter().enumerate().filter_map(|(day, shares)| {
            let mut row = vec![short(lang, *system).to_owned(), day.to_string()];
            row.extend(shares?.map(|share| lang.percent(share)));
            Some(row)
        })
    });
    Section {
        id: "fates",
        title: lang.pick("What became of messages, by day", "Le sort des messages, jour par jour").to_owned(),
        lead: lang
            .pick(
                "For each day, what became of the messages that were sent on it. Grey stretches and dashed lines are when things went wrong.",
                "Pour chaque jour, le sort des messages envoyés ce jour-là. Les plages grises et les traits marquent les incidents.",
            )
            .to_owned(),
        picture: pictures.collect::<Vec<_>>().concat() + &legend(lang),
        table: Table { columns, rows: rows.collect() },
        note: lang.pick("Messages of all worlds together.", "Messages de tous les mondes ensemble.").to_owned(),
        controls: String::new(),
    }
}

fn picture(report: &Report<'_>, lang: Lang, system: System, id: &'static str) -> String {
    let shares = shares(report, system);
    let days = shares.len();
    let margins = (70.0, 46.0, 24.0, 58.0);
    let mut plot = Plot::new(id, (760.0, 300.0), margins, Scale::linear((0.0, days as f64)), Scale::linear((0.0, 1.0)));
    plot.raw(&patterns(id));
    plot.y_axis(&percent_ticks(lang, (0.0, 1.0)), short(lang, system));
    for (day, shares) in shares.iter().enumerate() {
        let Some(shares) = shares else { continue };
        let mut below = 0.0;
        for ((stage, share), (color, pattern)) in Stage::ALL.iter().zip(shares).zip(LOOKS) {
            if *share <= 0.0 {
                continue;
            }
            let title =
                format!("{} {day}: {} {}", lang.pick("day", "jour"), stage_name(lang, *stage), lang.percent(*share));
            let (x, y) = ((day as f64, day as f64 + 1.0), (below, below + share));
            plot.cell(x, y, color, &title);
            if pattern != Pattern::Plain {
                plot.cell(x, y, &format!("url(#{id}-{})", pattern_name(pattern)), &title);
            }
            below += share;
        }
    }
    mark_faults(&mut plot, report, lang, days, true);
    plot.x_axis(&day_ticks(lang, days), lang.pick("day after the warm-up", "jour après la mise en train"));
    plot.finish(
        &format!("{}: {}", lang.pick("Fate of messages by day", "Sort des messages par jour"), short(lang, system)),
        lang.pick(
            "Stacked shares for each day; the table below has the same numbers.",
            "Parts empilées pour chaque jour ; le tableau ci-dessous donne les mêmes nombres.",
        ),
    )
}

fn pattern_name(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Plain => "plain",
        Pattern::Dots => "dots",
        Pattern::Rising => "rising",
        Pattern::Falling => "falling",
    }
}

fn patterns(id: &str) -> String {
    let tile = |name: &str, body: &str| {
        format!(r#"<pattern id="{id}-{name}" width="7" height="7" patternUnits="userSpaceOnUse">{body}</pattern>"#)
    };
    format!(
        "<defs>{}{}{}</defs>",
        tile("dots", r##"<circle cx="3" cy="3" r="1.1" fill="#333"/>"##),
        tile("rising", r##"<path d="M0 7L7 0" stroke="#fff" stroke-width="1.4"/>"##),
        tile("falling", r##"<path d="M0 0L7 7" stroke="#333" stroke-width="1.2"/>"##)
    )
}

fn legend(lang: Lang) -> String {
    let mut body = patterns("fates-legend");
    let (mut x, mut y) = (8.0, 14.0);
    for (stage, (color, pattern)) in Stage::ALL.iter().zip(LOOKS) {
        let name = stage_name(lang, *stage);
        let width = 36.0 + text_width(name);
        if x + width > 760.0 {
            (x, y) = (8.0, y + 22.0);
        }
        let fills = [color.to_owned(), format!("url(#fates-legend-{})", pattern_name(pattern))];
        for fill in fills.iter().take(1 + usize::from(pattern != Pattern::Plain)) {
            body += &format!(
                r##"<rect x="{x:.1}" y="{:.1}" width="20" height="14" fill="{fill}" stroke="#333" stroke-width="0.5"/>"##,
                y - 11.0
            );
        }
        body += &format!(r#"<text x="{:.1}" y="{y:.1}">{}</text>"#, x + 26.0, escape(name));
        x += width + 10.0;
    }
    let title = lang.pick("Legend", "Légende");
    crate::report::svg::picture("fates-legend-all", (760.0, y + 10.0), title, title, &body)
}
