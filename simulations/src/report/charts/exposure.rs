//! Exposure against seizures, with closed forms: that of the node's one home, and of schemes that the node does not have.

use super::percent_ticks;
use crate::ledger::closed::Scheme;
use crate::outcome::{Exposure, System};
use crate::report::svg::{Marker, OTHERS, Plot, Scale, Style, ticks};
use crate::report::words::exposed;
use crate::report::{Lang, Report, Section, Table};
use crate::scenario::Role;
use crate::stats::estimate;

/// How the simulated points look.
const SIMULATED: [(Exposure, Style); 2] = [
    (Exposure::Plaintext, Style { color: "#0072B2", dash: "", marker: Marker::Circle }),
    (Exposure::Token, Style { color: "#CC79A7", dash: "5 3", marker: Marker::Diamond }),
];

/// Nodes in all, and those of them that hold accounts.
fn counts(report: &Report<'_>) -> (u32, u32) {
    let groups = &report.scenario.nodes;
    let all = groups.iter().map(|group| group.count).sum();
    let homes = groups.iter().filter(|group| group.roles.contains(&Role::Vault)).map(|group| group.count).sum();
    (all, homes)
}

/// Name of a scheme; those that are not in the node say so.
fn name(lang: Lang, scheme: Scheme) -> String {
    let not = lang.pick(" (not in the node)", " (absent du nœud)");
    match scheme {
        Scheme::OneHome => lang.pick("one home, closed form", "un foyer, forme close").to_owned(),
        Scheme::Standby => format!(
            "{}{not}",
            lang.pick("home and a standby that cannot open", "foyer et un remplaçant qui ne peut pas ouvrir")
        ),
        Scheme::Copies(n) => format!("{n} {}{not}", lang.pick("full copies", "copies complètes")),
        Scheme::Threshold { k, n } => {
            format!("{k} {} {n} {}{not}", lang.pick("of", "sur"), lang.pick("shares", "parts"))
        }
        Scheme::Guardians { k, n } => format!(
            "{} {k} {} {n} {}{not}",
            lang.pick("a home that", "un foyer ouvert par"),
            lang.pick("of", "sur"),
            lang.pick("guardians open", "gardiens")
        ),
    }
}

/// What was seen at one number of seized nodes.
struct Found {
    seized: u32,
    share: f64,
    /// None of a single world.
    interval: Option<(f64, f64)>,
    worlds: usize,
}

/// Mean share of exposed people by number of seized nodes: over the worlds that had so many at some day's end.
fn simulated(report: &Report<'_>, least: Exposure) -> Vec<Found> {
    let people = f64::from(report.scenario.people.count.max(1));
    let mut by_count: std::collections::BTreeMap<u32, Vec<f64>> = std::collections::BTreeMap::new();
    for digest in report.samples.iter().filter_map(|sample| sample.get(System::Mesh)) {
        let last_of_day = digest
            .seized
            .iter()
            .enumerate()
            .filter(|(n, (day, _))| digest.seized.get(n + 1).is_none_or(|(next, _)| next != day));
        for (_, (day, count)) in last_of_day {
            let known = digest.exposure.iter().filter(|(what, since, _)| *what >= least && since <= day);
            let exposed: u32 = known.map(|(.., persons)| *persons).sum();
            by_count.entry(*count).or_default().push(f64::from(exposed) / people);
        }
    }
    let point = |(seized, values): (u32, Vec<f64>)| {
        let value = estimate(&values, true)?;
        let interval = (values.len() > 1).then_some((value.low, value.high));
        Some(Found { seized, share: value.estimate, interval, worlds: values.len() })
    };
    by_count.into_iter().filter_map(point).collect()
}

pub fn section(report: &Report<'_>, lang: Lang) -> Section {
    let (all, homes) = counts(report);
    let recorded =
        report.samples.iter().filter_map(|sample| sample.get(System::Mesh)).any(|digest| !digest.exposure.is_empty());
    let margins = (70.0, 96.0, 24.0, 58.0);
    let mut plot = Plot::new("exposure", (760.0, 460.0), margins, Scale::linear((0.0, 1.0)), Scale::linear((0.0, 1.0)));
    plot.y_axis(&percent_ticks(lang, (0.0, 1.0)), lang.pick("people exposed", "personnes exposées"));
    plot.x_axis(&percent_ticks(lang, (0.0, 1.0)), lang.pick("nodes seized", "nœuds saisis"));
    let mut legend = Vec::new();
    for (scheme, style) in Scheme::DRAWN.into_iter().zip(OTHERS) {
        let line = (0..=50).map(|n| {
            let seized = (f64::from(n) / 50.0 * f64::from(homes)).round() as u32;
            (f64::from(seized) / f64::from(homes.max(1)), scheme.exposed(homes, seized))
        });
        plot.line(&line.collect::<Vec<_>>(), style, 0, false);
        legend.push((name(lang, scheme), style));
    }
    let mut rows = closed_rows(lang, homes);
    for (least, style) in SIMULATED.into_iter().filter(|_| recorded) {
        for Found { seized, share: y, interval, worlds } in simulated(report, least) {
            let x = f64::from(seized) / f64::from(all.max(1));
            let (px, py) = (plot.px(x), plot.py(y));
            if let Some((low, high)) = interval {
                let (top, bottom) = (plot.py(high), plot.py(low));
                plot.raw(&format!(r#"<line x1="{px:.1}" y1="{top:.1}" x2="{px:.1}" y2="{bottom:.1}" stroke="{}" stroke-width="1.5"/>"#, style.color));
            }
            plot.raw(&crate::report::svg::mark(style, px, py));
            rows.push(vec![
                format!("{}: {}", lang.pick("simulated", "simulé"), exposed(lang, least)),
                lang.percent(x),
                lang.percent(y),
                lang.pick(format!("{worlds} worlds"), format!("{worlds} mondes")),
            ]);
        }
        legend.push((format!("{}: {}", lang.pick("simulated", "simulé"), exposed(lang, least)), style));
    }
    plot.legend(&legend);
    let columns = [
        lang.pick("what", "quoi"),
        lang.pick("seized", "saisis"),
        lang.pick("exposed", "exposés"),
        lang.pick("lost for good / worlds", "perdus / mondes"),
    ];
    Section {
        id: "exposure",
        title: lang.pick("What seizures expose", "Ce que les saisies exposent").to_owned(),
        lead: lead(lang, recorded),
        picture: plot.finish(
            lang.pick("Exposure against seizures", "Exposition selon les saisies"),
            lang.pick("Closed forms as lines, simulated worlds as marks; the table below has the same numbers.", "Formes closes en courbes, mondes simulés en marques ; le tableau ci-dessous donne les mêmes nombres."),
        ),
        table: Table { columns: columns.map(str::to_owned).to_vec(), rows },
        note: lang.pick(
            format!("Closed forms: {homes} nodes that hold accounts, seized evenly, every disk opened. The node has one home per person; standbys and guardians are not in the node and are drawn for comparison only."),
            format!("Formes closes : {homes} nœuds qui tiennent des comptes, saisis uniformément, tous les disques ouverts. Le nœud a un foyer par personne ; remplaçants et gardiens n’existent pas dans le nœud et ne sont tracés que pour comparaison."),
        ),
        controls: String::new(),
    }
}

fn lead(lang: Lang, recorded: bool) -> String {
    if recorded {
        lang.pick(
            "Share of people whose texts, or keys to an account, somebody can read who seized so many nodes. Marks are simulated worlds; \
             they lie below the line of one home where disks stayed locked.",
            "Part des personnes dont les textes, ou les clés d’un compte, sont lisibles par qui a saisi autant de nœuds. Les marques sont \
             les mondes simulés ; elles sont sous la courbe d’un foyer quand des disques sont restés fermés.",
        )
        .to_owned()
    } else {
        lang.pick(
            "This run recorded no exposure (nobody seized a node, or the run kept no ledger). The lines are closed forms alone: what \
             seizures would expose, if every seized disk were opened.",
            "Cette simulation n’a relevé aucune exposition (aucun nœud saisi, ou pas de registre tenu). Les courbes ne sont que des formes \
             closes : ce que des saisies exposeraient si chaque disque saisi était ouvert.",
        )
        .to_owned()
    }
}

fn closed_rows(lang: Lang, homes: u32) -> Vec<Vec<String>> {
    let steps = ticks((0.0, 1.0), 10);
    let rows = Scheme::DRAWN.into_iter().flat_map(|scheme| {
        steps.iter().map(move |share| {
            let seized = (share * f64::from(homes)).round() as u32;
            vec![
                name(lang, scheme),
                lang.percent(*share),
                lang.percent(scheme.exposed(homes, seized)),
                lang.percent(scheme.lost(homes, seized)),
            ]
        })
    });
    rows.collect()
}
