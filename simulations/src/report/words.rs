//! The report's sentences. They say what was found in words of everyday life, and nothing softer than the figures.

use super::{Lang, Report, Table};
use crate::outcome::{Exposure, Route, System};
use crate::scenario::Scenario;
use crate::stats::{Difference, Estimate, Judgement, route_name};

/// A share with its interval: `96.1 % (95.4–96.8)`.
pub fn with_interval(lang: Lang, value: Estimate, worlds: usize) -> String {
    if worlds < 2 {
        return format!(
            "{} ({})",
            lang.percent(value.estimate),
            lang.pick("one world: no interval", "un seul monde : pas d’intervalle")
        );
    }
    format!("{} ({}–{})", lang.percent(value.estimate), lang.percent_number(value.low), lang.percent_number(value.high))
}

/// A system in a sentence.
pub fn system(lang: Lang, system: System) -> &'static str {
    match system {
        System::Mesh => lang.pick("the mesh", "le maillage"),
        System::Islands => lang.pick("the same computers without a mesh", "les mêmes ordinateurs sans maillage"),
        System::Upstream => lang.pick("the central service", "le service central"),
    }
}

/// A system at the end of a line or in a legend.
pub fn short(lang: Lang, system: System) -> &'static str {
    match system {
        System::Mesh => lang.pick("mesh", "maillage"),
        System::Islands => lang.pick("no mesh", "sans maillage"),
        System::Upstream => lang.pick("central service", "service central"),
    }
}

/// Worlds from which on "in none of them" says that something is rare: by the rule of three in fewer than one of ten.
const RARE_FROM: usize = 30;

/// What this is about, for someone who has never seen the project.
pub fn background(report: &Report<'_>, lang: Lang) -> String {
    let summary = lang.pick(&report.scenario.summary, &report.scenario.summary_fr);
    let text = lang.pick(
        "People whose Internet has been cut off write to the outside by SMS: volunteers’ phones (“gateway clients”) take the SMS, \
         and computers that independent people run publish the message where it was meant to go. When these computers pass \
         messages on among each other, they are a “mesh”. The case here:",
        "Des personnes dont l’accès à Internet est coupé écrivent au monde par SMS : des téléphones de bénévoles (« clients \
         passerelles ») reçoivent les SMS, et des ordinateurs tenus par des personnes indépendantes publient le message là où il \
         devait aller. Quand ces ordinateurs se transmettent les messages entre eux, ils forment un « maillage ». Le cas \
         étudié :",
    );
    format!("{text} {summary} {}", size(report.scenario, lang))
}

/// How large the simulated world is, so that a small one is not taken for the case itself.
fn size(scenario: &Scenario, lang: Lang) -> String {
    let people = lang.count(scenario.people.count.into());
    let nodes = lang.count(scenario.nodes.iter().map(|group| u64::from(group.count)).sum());
    let gateways = lang.count(scenario.gateways.iter().map(|group| u64::from(group.count)).sum());
    let days = lang.duration(scenario.duration.as_secs_f64());
    let text = lang.pick(
        format!("Simulated are {people} people, {nodes} computers and {gateways} gateway clients for {days}."),
        format!("On simule {people} personnes, {nodes} ordinateurs et {gateways} clients passerelles pendant {days}."),
    );
    let small = lang.pick(
        " This is the small size in which the case is tested, with shorter faults: its figures say nothing about the case itself.",
        " C’est la petite taille dans laquelle le cas est testé, avec des pannes plus courtes : ses chiffres ne disent rien du cas lui-même.",
    );
    if scenario.at_ci_size { text + small } else { text }
}

/// The answer, one sentence after the other; the first one holds the share that arrived, its interval and both baselines.
pub fn answer(report: &Report<'_>, lang: Lang) -> Vec<String> {
    let worlds = report.samples.len();
    let mut sentences = vec![headline(report, lang, worlds)];
    sentences.extend(missing(report, lang, worlds));
    sentences.extend(routes(report, lang, worlds));
    sentences.extend(pace(report, lang));
    sentences.extend(kept_promises(report, lang, worlds));
    sentences.extend(exposure(report, lang, worlds));
    sentences.iter().map(|sentence| lang.typeset(sentence)).collect()
}

fn headline(report: &Report<'_>, lang: Lang, worlds: usize) -> String {
    let share = |system| report.figure(system, "delivered.72h").map(|value| with_interval(lang, value, worlds));
    let Some(mesh) = share(System::Mesh) else {
        return lang.pick("No world was run.", "Aucun monde n’a été simulé.").to_owned();
    };
    let count = lang.count(worlds as u64);
    let mut text = match lang {
        Lang::En => {
            let world = if worlds == 1 { "world" } else { "worlds" };
            format!("In {count} simulated {world}, {mesh} of messages arrived within 72\u{a0}hours.")
        }
        Lang::Fr => {
            let world = if worlds == 1 { "monde simulé" } else { "mondes simulés" };
            format!("Dans {count} {world}, {mesh} des messages sont arrivés en moins de 72\u{a0}heures.")
        }
    };
    if let Some(upstream) = share(System::Upstream) {
        text += &lang.pick(
            format!(" The central service, as it is today, would have delivered {upstream} of the same messages in that time"),
            format!(" Le service central, tel qu’il est aujourd’hui, aurait livré {upstream} des mêmes messages dans ce délai"),
        );
        text += &share(System::Islands).map_or_else(
            || ".".to_owned(),
            |islands| {
                lang.pick(
                    format!("; the volunteers’ computers without a mesh between them, {islands}."),
                    format!(" ; les ordinateurs des bénévoles sans maillage entre eux, {islands}."),
                )
            },
        );
    } else if let Some(islands) = share(System::Islands) {
        text += &lang.pick(
            format!(" The volunteers’ computers without a mesh between them would have delivered {islands}."),
            format!(" Les ordinateurs des bénévoles sans maillage entre eux auraient livré {islands}."),
        );
    }
    text
}

fn missing(report: &Report<'_>, lang: Lang, worlds: usize) -> Option<String> {
    let ever = report.figure(System::Mesh, "delivered.ever")?;
    let never = Estimate { estimate: 1.0 - ever.estimate, low: 1.0 - ever.high, high: 1.0 - ever.low };
    let share = with_interval(lang, never, worlds);
    Some(lang.pick(
        format!("{share} had not arrived when the simulated time ended."),
        format!("{share} n’étaient pas arrivés à la fin du temps simulé."),
    ))
}

/// Which messages it is that do not arrive: by what it takes to bring them to their home.
fn routes(report: &Report<'_>, lang: Lang, worlds: usize) -> Option<String> {
    let parts: Vec<String> = Route::ALL.iter().filter_map(|route| route_words(report, lang, worlds, *route)).collect();
    // Where all are of one kind, the headline has said it.
    let (last, others) = parts.split_last().filter(|(_, others)| !others.is_empty())?;
    let others = others.join("; ");
    Some(lang.pick(
        format!("Taken apart, arrived within 72\u{a0}hours: {others}; and {last}."),
        format!("En détail, sont arrivés en moins de 72\u{a0}heures : {others} ; et {last}."),
    ))
}

fn route_words(report: &Report<'_>, lang: Lang, worlds: usize, route: Route) -> Option<String> {
    let name = route_name(route);
    let of = report.figure(System::Mesh, &format!("share.{name}"))?.estimate;
    let share = |system| {
        let figure = report.figure(system, &format!("delivered.72h.{name}"))?;
        Some(with_interval(lang, figure, worlds))
    };
    let (mesh, of) = (share(System::Mesh)?, lang.percent(of));
    let central = share(System::Upstream).map_or_else(String::new, |central| {
        lang.pick(format!(", central service {central}"), format!(", service central {central}"))
    });
    Some(match (lang, route) {
        (Lang::En, Route::Device) => {
            format!(
                "of the messages with a device ID, by which every computer finds their home ({of} of all), {mesh}{central}"
            )
        }
        (Lang::En, Route::Number) => {
            format!("of those without one, whose home only its operators’ partners find ({of}), {mesh}{central}")
        }
        (Lang::En, Route::HomeAway) => format!(
            "of those whose home, the one computer that can publish them, was itself cut off or gone when they were sent ({of}), {mesh}{central}"
        ),
        (Lang::Fr, Route::Device) => format!(
            "parmi les messages avec un identifiant d’appareil, par lequel chaque ordinateur trouve leur foyer ({of} de tous), {mesh}{central}"
        ),
        (Lang::Fr, Route::Number) => format!(
            "parmi ceux qui n’en ont pas, et dont seuls les partenaires de ses opérateurs trouvent le foyer ({of}), {mesh}{central}"
        ),
        (Lang::Fr, Route::HomeAway) => format!(
            "parmi ceux dont le foyer, le seul ordinateur qui puisse les publier, était lui-même coupé ou disparu à l’envoi ({of}), {mesh}{central}"
        ),
    })
}

fn pace(report: &Report<'_>, lang: Lang) -> Option<String> {
    let half = report.figure(System::Mesh, "delay.p50")?;
    let half = lang.duration(half.estimate);
    let most = report.figure(System::Mesh, "delay.p90").map(|value| lang.duration(value.estimate));
    Some(match (lang, most) {
        (Lang::En, Some(most)) => format!("Half of all messages arrived within {half}, nine in ten within {most}."),
        (Lang::En, None) => {
            format!("Half of all messages arrived within {half}; in some worlds nine in ten never did.")
        }
        (Lang::Fr, Some(most)) => {
            format!("La moitié de tous les messages est arrivée en {half}, neuf sur dix en {most}.")
        }
        (Lang::Fr, None) => {
            format!(
                "La moitié de tous les messages est arrivée en {half} ; dans certains mondes, neuf sur dix ne l’ont jamais été."
            )
        }
    })
}

fn kept_promises(report: &Report<'_>, lang: Lang, worlds: usize) -> Option<String> {
    let lost = report.figure(System::Mesh, "accepted_but_lost")?;
    if lost.estimate <= 0.0 {
        let few = lang
            .pick(" (so few worlds cannot show that it is rare)", " (si peu de mondes ne montrent pas que c’est rare)");
        let none = lang.pick(
            "Of the messages that a computer of the mesh had confirmed as safe, none was lost",
            "Parmi les messages qu’un ordinateur du maillage avait confirmés comme sûrs, aucun n’a été perdu",
        );
        return Some(format!("{none}{}.", if worlds < RARE_FROM { few } else { "" }));
    }
    let share = with_interval(lang, lost, worlds);
    Some(lang.pick(
        format!("Of the messages that a computer of the mesh had confirmed as safe, {share} were lost all the same."),
        format!("Parmi les messages qu’un ordinateur du maillage avait confirmés comme sûrs, {share} ont tout de même été perdus."),
    ))
}

/// Who was exposed, when computers were seized or somebody was exposed at all.
fn exposure(report: &Report<'_>, lang: Lang, worlds: usize) -> Option<String> {
    let digests = || report.samples.iter().filter_map(|sample| sample.get(System::Mesh));
    let seized: u32 = digests().filter_map(|digest| digest.seized.last()).map(|(_, count)| *count).sum();
    let known = digests().any(|digest| !digest.exposure.is_empty());
    if !known {
        return (seized > 0).then(|| {
            lang.pick(
                "Computers were seized; this run shows nobody exposed: every disk stayed locked, or no ledger was kept.",
                "Des ordinateurs ont été saisis ; cette simulation ne montre personne d’exposé : chaque disque est resté fermé, ou aucun registre n’a été tenu.",
            )
            .to_owned()
        });
    }
    let texts = with_interval(lang, report.figure(System::Mesh, "exposed.plaintext")?, worlds);
    let tokens = with_interval(lang, report.figure(System::Mesh, "exposed.token")?, worlds);
    Some(lang.pick(
        format!("Of all people, {texts} had texts that an adversary can read at the end, and {tokens} at least a key to an account of theirs."),
        format!("Parmi toutes les personnes, {texts} avaient à la fin des textes qu’un adversaire peut lire, et {tokens} au moins une clé d’un de leurs comptes."),
    ))
}

/// What brackets mean.
pub fn brackets(lang: Lang) -> &'static str {
    lang.pick(
        "In brackets: where the mean over all such worlds lies with 95 % confidence, if the model is right. Each world draws its own \
         luck; all three systems of a world share it.",
        "Entre parenthèses : là où se trouve la moyenne de tous ces mondes avec 95 % de confiance, si le modèle est juste. Chaque \
         monde tire son propre hasard ; les trois systèmes d’un monde le partagent.",
    )
}

/// How far to trust the model.
pub fn model_error(report: &Report<'_>, lang: Lang) -> String {
    let Some(error) = &report.manifest.model_error else {
        return lang
            .pick(
                "Model error: not measured. No cross-check against the real network code is stored; the figures are the model’s alone.",
                "Erreur du modèle : non mesurée. Aucune vérification croisée avec le vrai code réseau n’est enregistrée ; les chiffres \
                 sont ceux du modèle seul.",
            )
            .to_owned();
    };
    let (points, ks) = (lang.number(error.delivery_pp, 2), lang.number(error.ks, 3));
    let (scenario, seeds, version) = (&error.scenario, error.seeds, &error.version);
    lang.pick(
        format!(
            "Model error: {points} percentage points of delivery, and a distance of {ks} (Kolmogorov–Smirnov) in the time to deliver, \
             between this model and the real network code ({scenario}, {seeds} worlds, version {version})."
        ),
        format!(
            "Erreur du modèle : {points} points de pourcentage de livraison, et une distance de {ks} (Kolmogorov–Smirnov) pour le \
             temps de livraison, entre ce modèle et le vrai code réseau ({scenario}, {seeds} mondes, version {version})."
        ),
    )
}

/// A figure's name as people read it.
pub fn figure(lang: Lang, name: &str) -> String {
    let window = |window: &str| match window {
        "10m" => lang.pick("10 minutes", "10 minutes"),
        "1h" => lang.pick("1 hour", "1 heure"),
        "24h" => lang.pick("24 hours", "24 heures"),
        _ => lang.pick("72 hours", "72 heures"),
    };
    let route = |route: &str| match route {
        "device" => lang.pick("with a device ID", "avec identifiant d’appareil"),
        "number" => lang.pick("without device ID", "sans identifiant d’appareil"),
        _ => lang.pick("whose home was cut off or gone", "dont le foyer était coupé ou disparu"),
    };
    if let Some(name) = name.strip_prefix("delivered.72h.") {
        return format!("{}, {}", lang.pick("arrived within 72 hours", "arrivés en moins de 72 heures"), route(name));
    }
    if let Some(name) = name.strip_prefix("share.") {
        return format!("messages {}", route(name));
    }
    if let Some(share) = name.strip_prefix("delivered.") {
        return if share == "ever" {
            lang.pick("arrived at all", "arrivés un jour").to_owned()
        } else {
            format!("{} {}", lang.pick("arrived within", "arrivés en moins de"), window(share))
        };
    }
    if let Some(percent) = name.strip_prefix("delay.p") {
        return lang.pick(format!("time until {percent} % arrived"), format!("temps jusqu’à l’arrivée de {percent} %"));
    }
    let known = match name {
        "accepted_but_lost" => ("confirmed as safe, yet lost", "confirmés sûrs, pourtant perdus"),
        "told_wrong" => ("told “not published” of a published message", "annoncés « non publiés » mais publiés"),
        "told" => ("told what became of it", "informés du sort du message"),
        "published_twice" => ("published twice", "publiés deux fois"),
        "segments_per_delivered" => ("SMS segments per message that arrived", "segments SMS par message arrivé"),
        "price_per_delivered" => ("price of SMS per message that arrived", "prix des SMS par message arrivé"),
        "sends_per_message" => ("times a message was sent", "envois par message"),
        "violations" => ("broken rules", "règles enfreintes"),
        "fate.published" => ("published in the end", "publiés à la fin"),
        "fate.waiting" => ("safe at a computer, on its way", "en sûreté sur un ordinateur, en route"),
        "fate.at_gateway" => ("waiting at a gateway client", "en attente chez un client passerelle"),
        "fate.uncertain" => ("uncertain, and told so", "incertains, et annoncés comme tels"),
        "fate.refused" => ("refused, and told so", "refusés, et annoncés comme tels"),
        "fate.expired" => ("expired", "expirés"),
        "fate.lost_node" => ("lost with a computer", "perdus avec un ordinateur"),
        "fate.lost_gateway" => ("lost at a gateway client", "perdus chez un client passerelle"),
        "fate.lost_sms" => ("lost in the SMS network", "perdus dans le réseau SMS"),
        "exposed.metadata" => ("people whose use is known", "personnes dont l’usage est connu"),
        "exposed.token" => ("people with an account’s key exposed", "personnes dont la clé d’un compte est exposée"),
        "exposed.plaintext" => ("people with texts exposed", "personnes dont les textes sont exposés"),
        other => return other.to_owned(),
    };
    lang.pick(known.0, known.1).to_owned()
}

/// A figure's value as people read it.
pub fn value(lang: Lang, name: &str, value: f64) -> String {
    if !value.is_finite() {
        return lang.pick("unknown", "inconnu").to_owned();
    }
    if crate::stats::is_share(name) {
        lang.percent(value)
    } else if name.starts_with("delay.") {
        lang.duration(value)
    } else {
        lang.number(value, 2)
    }
}

/// A difference of a figure as people read it.
fn step(lang: Lang, name: &str, value: f64) -> String {
    if !value.is_finite() {
        lang.pick("unknown", "inconnu").to_owned()
    } else if crate::stats::is_share(name) {
        lang.points(value)
    } else if name.starts_with("delay.") {
        let sign = if value > 0.0 {
            "+"
        } else if value < 0.0 {
            "−"
        } else {
            ""
        };
        format!("{sign}{}", lang.duration(value.abs()))
    } else {
        lang.signed(value, 2)
    }
}

/// A verdict.
pub fn judgement(lang: Lang, judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Better => lang.pick("better", "mieux"),
        Judgement::Worse => lang.pick("worse", "pire"),
        Judgement::Undecided => lang.pick("undecided", "indécis"),
        Judgement::Equal => lang.pick("equal", "égal"),
        Judgement::More => lang.pick("more", "plus"),
        Judgement::Less => lang.pick("less", "moins"),
    }
}

/// The forest table of paired differences; counts of events are left to the CSV.
pub fn forest(lang: Lang, differences: &[Difference], a: &str, b: &str) -> Table {
    let rows = differences.iter().filter(|one| !one.figure.starts_with("count.") && one.figure != "messages");
    let columns = [
        lang.pick("figure", "grandeur"),
        a,
        b,
        lang.pick("difference", "différence"),
        lang.pick("95 % interval", "intervalle à 95 %"),
        lang.pick("verdict", "verdict"),
    ];
    let row = |one: &Difference| {
        let name = &one.figure;
        let lacking = (one.lacking > 0).then(|| {
            let (worlds, all) = (one.worlds, one.worlds + one.lacking);
            lang.pick(
                format!(" (reached by both in {worlds} of {all} worlds)"),
                format!(" (atteint des deux côtés dans {worlds} mondes sur {all})"),
            )
        });
        vec![
            figure(lang, name),
            value(lang, name, one.a),
            value(lang, name, one.b),
            step(lang, name, one.difference.estimate),
            format!("{} … {}", step(lang, name, one.difference.low), step(lang, name, one.difference.high)),
            format!("{}{}", judgement(lang, one.judgement), lacking.unwrap_or_default()),
        ]
    };
    Table { columns: columns.map(str::to_owned).to_vec(), rows: rows.map(row).collect() }
}

/// Names every figure in which the mesh is not shown to be better than a baseline: its paired interval touches zero, or
/// lies on the other side.
pub fn no_gains(report: &Report<'_>, lang: Lang) -> Vec<String> {
    let sentences = report.gains.iter().map(|(baseline, differences)| {
        let named = |wanted: &[Judgement]| {
            let names = differences.iter().filter(|one| one.is_no_gain() && wanted.contains(&one.judgement));
            names.map(|one| figure(lang, &one.figure)).collect::<Vec<_>>()
        };
        let list = |names: Vec<String>| if names.is_empty() { lang.pick("none", "aucune").to_owned() } else { names.join("; ") };
        let (worse, open, equal) =
            (named(&[Judgement::Worse]), named(&[Judgement::Undecided]), named(&[Judgement::Equal]));
        let (worse, open, equal) = (list(worse), list(open), list(equal));
        let other = system(lang, *baseline);
        lang.pick(
            format!(
                "Against {other}, paired over the same luck, the mesh is worse in: {worse}. Undecided (the interval touches or crosses \
                 zero): {open}. Equal in every world: {equal}."
            ),
            format!(
                "Comparé avec {other}, à hasard égal, le maillage est pire pour : {worse}. Indécis (l’intervalle touche ou croise \
                 zéro) : {open}. Égal dans chaque monde : {equal}."
            ),
        )
    });
    sentences.collect()
}

/// What an adversary knows of somebody.
pub fn exposed(lang: Lang, exposure: Exposure) -> &'static str {
    match exposure {
        Exposure::None => lang.pick("nothing", "rien"),
        Exposure::Metadata => lang.pick("use and times", "usage et heures"),
        Exposure::Token => lang.pick("an account’s key", "la clé d’un compte"),
        Exposure::Plaintext => lang.pick("texts", "textes"),
    }
}
