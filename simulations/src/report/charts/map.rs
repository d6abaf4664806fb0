//! The mesh on a schematic map, with a slider over the days. Without scripts, and in print, it shows one day.

use serde_json::json;

use super::heat::{cells, key, share};
use crate::outcome::System;
use crate::report::svg::{escape, picture, ramp};
use crate::report::{Lang, Report, Section, Table, timeline};
use crate::stats::{Cell, counted_days};

const SIZE: (f64, f64) = (760.0, 560.0);
/// The map's own square, within the picture.
const MAP: (f64, f64, f64) = (40.0, 30.0, 500.0);

/// A region as the map shows it.
struct Spot<'r> {
    index: usize,
    name: &'r str,
    abroad: bool,
    at: (f64, f64),
    radius: f64,
    nodes: u32,
    gateways: u32,
    days: Vec<Cell>,
    cut: Vec<bool>,
}

/// Members of a group that stand in a region: they are dealt out in turn.
fn dealt(count: u32, regions: &[String], name: &str) -> u32 {
    let there = |n: &u32| regions.get(*n as usize % regions.len().max(1)).is_some_and(|region| region == name);
    (0..count).filter(there).count() as u32
}

fn spots<'r>(report: &Report<'r>) -> Vec<Spot<'r>> {
    let scenario = report.scenario;
    let cells = cells(report, System::Mesh);
    let days = counted_days(scenario);
    let people: f64 = scenario.region.iter().map(|region| region.population).sum();
    let spot = |(index, region): (usize, &'r crate::scenario::Region)| {
        let name = region.name.as_str();
        let nodes = scenario.nodes.iter().map(|group| dealt(group.count, &group.regions, name)).sum();
        let gateways = scenario.gateways.iter().map(|group| dealt(group.count, &group.regions, name)).sum();
        let own = cells.iter().find(|(other, _)| *other == index).map(|(_, days)| days.clone());
        Spot {
            index,
            name,
            abroad: region.abroad,
            at: (MAP.0 + region.at.0 / 100.0 * MAP.2, MAP.1 + region.at.1 / 100.0 * MAP.2),
            radius: 12.0 + 40.0 * libm::sqrt(region.population / people.max(1e-9)),
            nodes,
            gateways,
            days: own.unwrap_or_else(|| vec![Cell::default(); days]),
            cut: (0..days).map(|day| timeline::cut(scenario, name, day) >= 0.5).collect(),
        }
    };
    scenario.region.iter().enumerate().map(spot).collect()
}

/// Mean number of nodes that were seized by the end of each day.
fn seized(report: &Report<'_>, days: usize) -> Vec<f64> {
    let digests: Vec<_> = report.samples.iter().filter_map(|sample| sample.get(System::Mesh)).collect();
    let by = |day: usize| {
        let count = digests.iter().map(|digest| {
            let so_far = digest.seized.iter().take_while(|(when, _)| *when as usize <= day).last();
            f64::from(so_far.map_or(0, |(_, count)| *count))
        });
        count.sum::<f64>() / digests.len().max(1) as f64
    };
    (0..days).map(by).collect()
}

pub fn section(report: &Report<'_>, lang: Lang) -> Section {
    let days = counted_days(report.scenario);
    let spots = spots(report);
    let seized = seized(report, days);
    // The day to begin with: in the midst of the first cut, or of the run.
    let cut = |day: &usize| spots.iter().any(|spot| spot.cut.get(*day).copied().unwrap_or(false));
    let first = (0..days).find(cut);
    let last = first.map(|first| (first..days).take_while(cut).last().unwrap_or(first));
    let day = first.zip(last).map_or(days / 2, |(first, last)| (first + last) / 2);
    let mut body = String::new();
    for spot in spots.iter().filter(|spot| !spot.abroad) {
        body += &links(&spots, spot, day);
    }
    body += &spots.iter().map(|spot| draw(lang, spot, day)).collect::<String>();
    // Names lie over all circles.
    body += &spots.iter().map(names).collect::<String>();
    body += &key(lang, 620.0, 60.0);
    body += &format!(r#"<text x="620" y="48">{}</text>"#, lang.pick("within 72 h", "en 72 h"));
    body += &legend(lang);
    let title = lang.pick("The mesh on a schematic map", "Le maillage sur une carte schématique");
    Section {
        id: "map",
        title: title.to_owned(),
        lead: lang
            .pick(
                "Circles are regions, larger where more people live; their colour is the share of that day’s messages that arrived within 72 hours \
                 through the mesh. A dashed ring is a region whose Internet is cut: its line to the others is gone.",
                "Les cercles sont des régions, plus grands là où vivent plus de personnes ; leur couleur est la part des messages du jour arrivés en \
                 moins de 72 heures par le maillage. Un anneau pointillé : Internet y est coupé, le lien avec les autres disparaît.",
            )
            .to_owned(),
        picture: picture("map", SIZE, title, lang.pick("Regions with their nodes and gateway clients; the table has the same numbers for the day shown.", "Régions avec leurs nœuds et clients passerelles ; le tableau donne les mêmes nombres pour le jour montré."), &body),
        controls: controls(lang, &spots, &seized, day, days),
        table: table(lang, &spots, day),
        note: lang
            .pick("Where regions lie is schematic. ▢ computers of the mesh, △ gateway clients.", "La position des régions est schématique. ▢ ordinateurs du maillage, △ clients passerelles.")
            .to_owned(),
    }
}

/// Lines from a region of the country to those abroad.
fn links(spots: &[Spot<'_>], from: &Spot<'_>, day: usize) -> String {
    let hidden = if from.cut.get(day).copied().unwrap_or(false) { r#" visibility="hidden""# } else { "" };
    let line = |to: &Spot<'_>| {
        format!(
            r##"<line class="link-{}" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="#888" stroke-width="1.2"{hidden}/>"##,
            from.index, from.at.0, from.at.1, to.at.0, to.at.1
        )
    };
    spots.iter().filter(|spot| spot.abroad).map(line).collect()
}

fn fill(cell: Option<&Cell>) -> String {
    cell.copied().and_then(share).map_or_else(|| "#ffffff".to_owned(), ramp)
}

fn draw(lang: Lang, spot: &Spot<'_>, day: usize) -> String {
    let ((x, y), index, radius) = (spot.at, spot.index, spot.radius);
    if spot.abroad {
        let (left, top) = (x - 26.0, y - 14.0);
        return format!(
            r##"<rect x="{left:.1}" y="{top:.1}" width="52" height="28" rx="4" fill="#eee" stroke="#333"/>"##
        );
    }
    let name = escape(spot.name);
    let ring = if spot.cut.get(day).copied().unwrap_or(false) { "visible" } else { "hidden" };
    let share = spot.days.get(day).copied().and_then(share).map_or_else(|| "–".to_owned(), |share| lang.percent(share));
    format!(
        r##"<circle id="spot-{index}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="{}" stroke="#333"><title>{name}: {share}</title></circle><circle id="ring-{index}" cx="{x:.1}" cy="{y:.1}" r="{:.1}" fill="none" stroke="#D55E00" stroke-width="3" stroke-dasharray="5 4" visibility="{ring}"/>"##,
        fill(spot.days.get(day)),
        radius + 4.0,
    )
}

/// A region's name, and how many computers and gateway clients stand there.
fn names(spot: &Spot<'_>) -> String {
    let ((x, y), name) = (spot.at, escape(spot.name));
    let below = if spot.abroad { y + 28.0 } else { y + spot.radius + 15.0 };
    let counts = format!("{}▢ {}△", spot.nodes, spot.gateways);
    let halo = r##"paint-order="stroke" stroke="#fff" stroke-width="3""##;
    format!(
        r##"<text x="{x:.1}" y="{:.1}" text-anchor="middle" font-weight="600" {halo}>{name}</text><text x="{x:.1}" y="{below:.1}" text-anchor="middle" font-size="10.5" {halo}>{counts}</text>"##,
        y + 4.0,
    )
}

fn legend(lang: Lang) -> String {
    let words = [lang.pick("Internet is cut", "Internet coupé"), lang.pick("link to abroad", "lien vers l’étranger")];
    format!(
        r##"<circle cx="628" cy="216" r="9" fill="none" stroke="#D55E00" stroke-width="3" stroke-dasharray="5 4"/><text x="644" y="220" font-size="11">{}</text><line x1="616" y1="244" x2="640" y2="244" stroke="#888" stroke-width="1.5"/><text x="644" y="248" font-size="11">{}</text>"##,
        words[0], words[1]
    )
}

/// The slider and its data. Colours are worked out here, so that the script knows nothing of them.
fn controls(lang: Lang, spots: &[Spot<'_>], seized: &[f64], day: usize, days: usize) -> String {
    let region = |spot: &Spot<'_>| {
        let text = |cell: &Cell| share(*cell).map_or_else(|| "–".to_owned(), |share| lang.percent(share));
        json!({
            "i": spot.index,
            "n": spot.name,
            "f": spot.days.iter().map(|cell| fill(Some(cell))).collect::<Vec<_>>(),
            "p": spot.days.iter().map(text).collect::<Vec<_>>(),
            "c": spot.cut.iter().map(|cut| u8::from(*cut)).collect::<Vec<_>>(),
        })
    };
    let regions: Vec<_> = spots.iter().filter(|spot| !spot.abroad).map(region).collect();
    let gone: Vec<String> = seized.iter().map(|count| lang.number(*count, 1)).collect();
    let words = json!({ "day": lang.pick("day", "jour"), "cut": lang.pick("Internet cut in", "Internet coupé dans"),
        "gone": lang.pick("computers seized so far (mean)", "ordinateurs saisis jusque-là (moyenne)") });
    let data = json!({ "regions": regions, "seized": gone, "words": words }).to_string().replace('<', "\\u003c");
    let label = lang.pick("Day", "Jour");
    let most = days.saturating_sub(1);
    format!(
        r#"<div class="slider" hidden><label for="map-day">{label}</label><input id="map-day" type="range" min="0" max="{most}" value="{day}"><output id="map-said" for="map-day" aria-live="polite"></output></div><script type="application/json" id="map-data">{data}</script>"#
    )
}

fn table(lang: Lang, spots: &[Spot<'_>], day: usize) -> Table {
    let columns = [
        lang.pick("region", "région").to_owned(),
        lang.pick("computers", "ordinateurs").to_owned(),
        lang.pick("gateway clients", "clients passerelles").to_owned(),
        format!("{} {day}: {}", lang.pick("day", "jour"), lang.pick("within 72 h", "en 72 h")),
        lang.pick("Internet", "Internet").to_owned(),
    ];
    let row = |spot: &Spot<'_>| {
        let share = spot.days.get(day).copied().and_then(share);
        let cut = spot.cut.get(day).copied().unwrap_or(false);
        vec![
            spot.name.to_owned(),
            spot.nodes.to_string(),
            spot.gateways.to_string(),
            share.map_or_else(|| "–".to_owned(), |share| lang.percent(share)),
            if cut { lang.pick("cut", "coupé") } else { lang.pick("there", "présent") }.to_owned(),
        ]
    };
    Table { columns: columns.to_vec(), rows: spots.iter().map(row).collect() }
}
