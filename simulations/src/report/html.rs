//! The page: one file, nothing from elsewhere.

use super::svg::escape;
use super::{Lang, Report, Section, Table, words};
use crate::outcome::System;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("map.js");

/// A sentence, `code` in it set as code.
fn prose(lang: Lang, text: &str) -> String {
    let mut html = String::new();
    for (n, part) in escape(&lang.typeset(text)).split('`').enumerate() {
        html += &if n % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() };
    }
    html
}

/// The whole page.
pub fn page(report: &Report<'_>, lang: Lang) -> String {
    let title =
        format!("{}: {}", report.scenario.name, lang.pick("what happens to messages", "que deviennent les messages"));
    let title = escape(&title);
    let sections = report.sections(lang);
    let links: String = sections
        .iter()
        .map(|section| format!(r##"<a href="#{}">{}</a>"##, section.id, escape(&section.title)))
        .collect();
    let mut main = format!("<h1>{title}</h1><p>{}</p>", prose(lang, &words::background(report, lang)));
    main += &answer(report, lang);
    main += &alarms(report, lang);
    main += &format!("<nav aria-label=\"{}\">{links}</nav>", lang.pick("Contents", "Sommaire"));
    main += &comparison(report, lang);
    main += &sections.iter().map(|section| html_section(section, lang)).collect::<String>();
    main += &expectations(report, lang);
    main += &trust(report, lang);
    let code = lang.code();
    // Nothing may be loaded: the page says so itself.
    format!(
        "<!doctype html>\n<html lang=\"{code}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>{main}</main><script>{SCRIPT}</script></body></html>\n"
    )
}

fn answer(report: &Report<'_>, lang: Lang) -> String {
    let paragraphs: String =
        report.answer(lang).iter().map(|sentence| format!("<p>{}</p>", prose(lang, sentence))).collect();
    format!(
        "<section class=\"answer\" aria-label=\"{}\">{paragraphs}</section><p class=\"soft\">{} {}</p>",
        lang.pick("The answer", "La réponse"),
        prose(lang, words::brackets(lang)),
        prose(lang, &words::model_error(report, lang))
    )
}

/// Broken rules and missed expectations stand before everything that is drawn.
fn alarms(report: &Report<'_>, lang: Lang) -> String {
    let mut text = String::new();
    let broken = super::markdown::violations(report);
    if !broken.is_empty() {
        let items: String = broken.iter().map(|line| format!("<li>{}</li>", escape(line))).collect();
        text +=
            &format!("<div class=\"alarm\" role=\"alert\"><p>{}</p><ul>{items}</ul></div>", escape(broken_words(lang)));
    }
    let missed = report.expectations.iter().filter(|one| !one.holds).count();
    if missed > 0 {
        let words = lang.pick(
            format!("{missed} of the scenario’s expectations do not hold; they are listed below."),
            format!("{missed} attentes du scénario ne sont pas remplies ; elles sont listées plus bas."),
        );
        text += &format!("<div class=\"alarm\"><p>{}</p></div>", escape(&words));
    }
    text
}

pub(super) fn broken_words(lang: Lang) -> &'static str {
    lang.pick(
        "A rule that must always hold was broken. These are bugs, in the mesh or in the simulator; do not use the figures.",
        "Une règle qui doit toujours tenir a été enfreinte. Ce sont des défauts, du maillage ou du simulateur ; n’utilisez pas les chiffres.",
    )
}

/// The mesh against the baselines.
fn comparison(report: &Report<'_>, lang: Lang) -> String {
    if report.gains.is_empty() {
        return String::new();
    }
    let mut text =
        format!("<h2 id=\"gains\">{}</h2>", lang.pick("Is the mesh better?", "Le maillage est-il meilleur ?"));
    for sentence in words::no_gains(report, lang) {
        text += &format!("<p>{}</p>", prose(lang, &sentence));
    }
    for (baseline, differences) in &report.gains {
        let (other, mesh) = (words::short(lang, *baseline), words::short(lang, System::Mesh));
        let table = words::forest(lang, differences, other, mesh);
        let summary = lang.pick(
            format!("Every difference: {mesh} minus {other}"),
            format!("Chaque différence : {mesh} moins {other}"),
        );
        text += &details(&summary, &table);
    }
    text
}

fn html_section(section: &Section, lang: Lang) -> String {
    let Section { id, title, lead, picture, controls, table, note } = section;
    let mut text = format!("<h2 id=\"{id}\">{}</h2><p>{}</p>", escape(title), prose(lang, lead));
    if !picture.is_empty() {
        text += &format!("<figure>{picture}</figure>{controls}");
    }
    if !note.is_empty() {
        text += &format!("<p class=\"note\">{}</p>", prose(lang, note));
    }
    if !table.rows.is_empty() {
        text += &details(lang.pick("The same as a table", "La même chose en tableau"), table);
    }
    text
}

fn details(summary: &str, table: &Table) -> String {
    format!(
        "<details><summary>{}</summary><div class=\"scroll\" tabindex=\"0\">{}</div></details>",
        escape(summary),
        html_table(table)
    )
}

fn html_table(table: &Table) -> String {
    let heads: String = table.columns.iter().map(|head| format!("<th scope=\"col\">{}</th>", escape(head))).collect();
    let rows: String = table
        .rows
        .iter()
        .map(|row| {
            let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            format!("<tr>{cells}</tr>")
        })
        .collect();
    format!("<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")
}

fn expectations(report: &Report<'_>, lang: Lang) -> String {
    let table = super::markdown::expectation_table(report, lang);
    if table.rows.is_empty() {
        return String::new();
    }
    let title = lang.pick("What was expected", "Ce qui était attendu");
    format!("<h2 id=\"expectations\">{title}</h2><div class=\"scroll\" tabindex=\"0\">{}</div>", html_table(&table))
}

/// How it was made, and what to read before quoting it.
fn trust(report: &Report<'_>, lang: Lang) -> String {
    let mut text =
        format!("<h2 id=\"trust\">{}</h2>", lang.pick("How far to trust this", "Quelle confiance y accorder"));
    for line in super::markdown::trust(report, lang) {
        text += &format!("<p>{}</p>", prose(lang, &line));
    }
    text += &details(
        lang.pick("Where the numbers of the scenario are from", "D’où viennent les nombres du scénario"),
        &super::markdown::sources(report, lang),
    );
    text += &details(
        lang.pick("Seeds and trace hashes", "Graines et empreintes des traces"),
        &super::markdown::hashes(report, lang),
    );
    let toml = escape(&report.manifest.scenario.toml);
    let summary = lang.pick("The whole scenario", "Le scénario entier");
    text + &format!(
        "<details><summary>{summary}</summary><div class=\"scroll\" tabindex=\"0\"><pre><code>{toml}</code></pre></div></details>"
    )
}
