//! The report of made-up worlds: what it must say, whatever the worlds were.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::collections::BTreeMap;

use relaymesh_simulations::kernel::{Time, TraceHash};
use relaymesh_simulations::outcome::{Exposure, System, Violation};
use relaymesh_simulations::output::{
    FORMAT, Manifest, ModelError, Point, PointSample, Program, ScenarioNote, Sweep, document, flat_summary,
};
use relaymesh_simulations::report::{Lang, Report};
use relaymesh_simulations::scenario::{Place, Scenario, load_from};
use relaymesh_simulations::stats::{Cell, Digest, Sample, Stage, counted_days, grid};

fn scenario() -> Scenario {
    let sets = [
        ("expect", "{ \"delivered.72h\" = \">= 95%\", \"upstream.delivered.72h\" = \"<= 50%\" }"),
        ("drain", "\"3d\""),
    ];
    let value = |text: &str| toml::from_str::<toml::Table>(&format!("v = {text}")).unwrap().remove("v").unwrap();
    let sets: Vec<_> = sets.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect();
    load_from(&Place::BuiltIn("cameroon-2017".to_owned()), &sets, false).unwrap()
}

/// A world in which a system delivers this share, in its second region half of it.
fn digest(scenario: &Scenario, system: System, share: f64, late: f64) -> Digest {
    let days = counted_days(scenario);
    let mut day = [0; Stage::ALL.len()];
    day[Stage::WithinHour as usize] = (share * 80.0) as u32;
    day[Stage::LostSms as usize] = 100 - day[Stage::WithinHour as usize];
    let cell = |region: usize| Cell { sent: 10, in_time: if region == 1 { 5 } else { (share * 10.0) as u32 } };
    let figures = [
        ("delivered.72h", share),
        ("delivered.ever", share),
        ("accepted_but_lost", 0.0),
        ("delay.p50", late),
        ("exposed.plaintext", 0.1),
        ("exposed.token", 0.15),
        ("price_per_delivered", 20.0),
        ("share.device", 0.7),
        ("share.number", 0.2),
        ("share.home_away", 0.1),
        ("delivered.72h.device", share),
        ("delivered.72h.number", share / 2.0),
        ("delivered.72h.home_away", share / 4.0),
    ];
    Digest {
        system,
        figures: figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        arrived: grid().iter().map(|seconds| share * (seconds / (seconds + late))).collect(),
        days: vec![day; days],
        regions: (0..scenario.region.len()).map(|region| vec![cell(region); days]).collect(),
        exposure: Vec::new(),
        seized: Vec::new(),
        violations: Vec::new(),
        events: 5,
        trace: TraceHash(7),
    }
}

fn samples(scenario: &Scenario) -> Vec<Sample> {
    let worlds = [(1, 0.96, 0.40, 0.97), (2, 0.98, 0.44, 0.96), (3, 0.97, 0.42, 0.99)];
    let world = |(seed, mesh, upstream, islands)| Sample {
        seed,
        systems: vec![
            digest(scenario, System::Mesh, mesh, 60.0),
            digest(scenario, System::Islands, islands, 30.0),
            digest(scenario, System::Upstream, upstream, 10.0 * seed as f64),
        ],
    };
    worlds.into_iter().map(world).collect()
}

fn manifest(scenario: &Scenario, samples: Vec<Sample>) -> Manifest {
    Manifest {
        format: FORMAT,
        program: Program { version: "0".to_owned(), ..Program::default() },
        started: "2026-01-01T00:00:00Z".to_owned(),
        seconds: 1.0,
        scenario: ScenarioNote::of(scenario).unwrap(),
        tier: "a".to_owned(),
        shard: None,
        frames: Vec::new(),
        model_error: None,
        samples,
    }
}

#[test]
fn the_first_paragraph_is_the_summary_in_words() {
    let scenario = scenario();
    let manifest = manifest(&scenario, samples(&scenario));
    let report = Report::new(&manifest, &scenario, None);
    let summary = flat_summary(&manifest.samples);
    for lang in Lang::ALL {
        let (first, page) = (report.answer(lang)[0].clone(), report.html(lang));
        for figure in ["delivered.72h", "upstream.delivered.72h", "islands.delivered.72h"] {
            let value = summary[figure];
            let (share, low, high) =
                (lang.percent(value.estimate), lang.percent_number(value.low), lang.percent_number(value.high));
            assert!(first.contains(&format!("{share} ({low}–{high})")), "{figure}: {first}");
        }
        assert!(page.contains(&first), "the page has the same");
        assert!(page.find(&first) < page.find("<svg"), "before every picture");
    }
    assert!(report.answer(Lang::En)[0].starts_with("In 3 simulated worlds, 97.0\u{a0}% ("));
    assert!(report.answer(Lang::Fr)[0].starts_with("Dans 3 mondes simulés, 97,0\u{a0}% ("));
}

#[test]
fn which_messages_did_not_arrive_is_told_beside_the_central_service() {
    let scenario = scenario();
    let mut all = samples(&scenario);
    let page =
        |all: &[Sample], lang| Report::new(&manifest(&scenario, all.to_vec()), &scenario, None).answer(lang).join(" ");
    let english = page(&all, Lang::En);
    assert!(
        english.contains("by which every computer finds their home (70.0\u{a0}% of all), 97.0\u{a0}% ("),
        "{english}"
    );
    assert!(english.contains("partners find (20.0\u{a0}%), 48.5\u{a0}% ("), "{english}");
    assert!(
        english.contains("when they were sent (10.0\u{a0}%), 24.3\u{a0}% (")
            && english.contains("central service 10.5"),
        "{english}"
    );
    assert!(page(&all, Lang::Fr).contains("disparu à l’envoi (10,0\u{a0}%), 24,3\u{a0}% ("));
    // Where all are of one kind, the first sentence has said it.
    for digest in all.iter_mut().flat_map(|sample| &mut sample.systems) {
        digest.figures.retain(|name, _| !name.ends_with(".number") && !name.ends_with(".home_away"));
    }
    assert!(!page(&all, Lang::En).contains("Taken apart"));
}

#[test]
fn a_small_world_and_few_worlds_are_not_taken_for_more() {
    let mut scenario = scenario();
    let page = |scenario: &Scenario, worlds| {
        Report::new(&manifest(scenario, worlds), scenario, None).markdown(Lang::En).replace('\n', " ")
    };
    let few = page(&scenario, samples(&scenario));
    assert!(few.contains("10,000 people, 200 computers and 120 gateway clients for 110\u{a0}days."), "{few}");
    assert!(few.contains("none was lost (so few worlds cannot show that it is rare)."), "{few}");
    assert!(!few.contains("size in which the case is tested"));
    scenario.at_ci_size = true;
    let many: Vec<Sample> = (0..10).flat_map(|_| samples(&scenario)).collect();
    let many = page(&scenario, many);
    assert!(many.contains("none was lost.") && many.contains("the small size in which the case is tested"), "{many}");
}

#[test]
fn what_is_no_gain_is_named() {
    let scenario = scenario();
    let manifest = manifest(&scenario, samples(&scenario));
    let page = Report::new(&manifest, &scenario, None).markdown(Lang::En);
    let sentence = |start: &str| page.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let (upstream, islands) = (sentence("Against the central service"), sentence("Against the same computers"));
    let part = |line: &str, from: &str, to: &str| line.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
    let worse = |line: &str| part(line, "worse in: ", " Undecided");
    let undecided = |line: &str| part(line, "zero): ", " Equal");
    let equal = |line: &str| part(line, "every world: ", "\n");
    assert!(worse(&upstream).contains("time until 50 % arrived"), "{upstream}");
    assert!(!worse(&upstream).contains("72 hours") && !undecided(&upstream).contains("72 hours"), "{upstream}");
    assert!(undecided(&islands).contains("arrived within 72 hours"), "{islands}");
    assert!(equal(&upstream).contains("price of SMS"), "{upstream}");
    assert!(worse(&islands).contains("time until 50 % arrived"), "{islands}");
    assert!(
        !upstream.contains("exposed") && islands.contains("exposed"),
        "what is not modelled is not equal: {upstream}"
    );
}

#[test]
fn expectations_rules_and_the_model_error_are_not_passed_over() {
    let scenario = scenario();
    let mut worlds = samples(&scenario);
    worlds[1].systems[0].violations.push(Violation {
        invariant: "published_once".to_owned(),
        at: Time(5),
        what: "twice <b>".to_owned(),
    });
    worlds[2].systems[0].figures.insert("delivered.72h".to_owned(), 0.1);
    let mut manifest = manifest(&scenario, worlds);
    let report = Report::new(&manifest, &scenario, None);
    assert!(report.is_missed());
    let page = report.html(Lang::En);
    assert!(page.contains("do not use the figures") && page.contains("published_once") && !page.contains("twice <b>"));
    assert!(page.contains("FAILS") && page.contains("1 of the scenario’s expectations do not hold"), "one of the two");
    assert!(page.contains("Model error: not measured"));
    let error =
        ModelError { scenario: "calm".to_owned(), delivery_pp: 0.4, ks: 0.031, seeds: 3, version: "0".to_owned() };
    manifest.model_error = Some(error);
    let page = Report::new(&manifest, &scenario, None).html(Lang::Fr);
    assert!(page.contains("0,40 points de pourcentage") && page.contains("0,031"), "measured");
}

#[test]
fn pages_stand_alone_and_every_picture_has_its_table() {
    let scenario = scenario();
    let mut worlds = samples(&scenario);
    for (n, world) in worlds.iter_mut().enumerate() {
        world.systems[0].seized = vec![(3, 1), (3, 40), (5, 60 + n as u32)];
        world.systems[0].exposure =
            vec![(Exposure::Plaintext, 3, 1_000), (Exposure::Token, 5, 500), (Exposure::None, 0, 8_500)];
    }
    let point = |value: &str, share: f64, key: &str| Point {
        settings: vec![(key.to_owned(), value.to_owned())],
        samples: (1..=3)
            .map(|seed| {
                let figures = |share: f64| BTreeMap::from([("delivered.72h".to_owned(), share + 0.001 * seed as f64)]);
                PointSample {
                    seed,
                    systems: BTreeMap::from([(System::Mesh, figures(share)), (System::Upstream, figures(share / 2.0))]),
                }
            })
            .collect(),
    };
    let sweep = Sweep {
        keys: vec!["sms.loss".to_owned()],
        points: vec![point("5%", 0.9, "sms.loss"), point("10%", 0.8, "sms.loss"), point("30%", 0.5, "sms.loss")],
        alone: vec![point("0", 0.7, "couriers.daily"), point("40%", 0.99, "people.home_abroad")],
    };
    let manifest = manifest(&scenario, worlds);
    let report = Report::new(&manifest, &scenario, Some(&sweep));
    if let Some(path) = std::env::var_os("SIMULATE_REPORT_TO") {
        std::fs::write(path, report.html(Lang::En)).unwrap();
    }
    for lang in Lang::ALL {
        let page = report.html(lang);
        for outside in ["src=", "url(http", "@import", "<link", "href=\"http"] {
            assert!(!page.contains(outside), "{outside}");
        }
        for id in ["severity", "arrival", "fates", "heat", "exposure", "tornado", "map"] {
            let part = page.split(&format!("<h2 id=\"{id}\">")).nth(1).unwrap().split("<h2 ").next().unwrap();
            assert!(part.contains("<svg ") && part.contains("<details>") && part.contains("<tbody><tr>"), "{id}");
            assert_eq!(part.matches("<svg ").count(), part.matches("</svg>").count(), "{id}");
            let broken = ["NaN", "\"inf", "Linf", "Vinf", " inf "];
            assert!(!broken.iter().any(|what| part.contains(what)), "{id}");
        }
        let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(ids.len(), distinct.len(), "each id once");
        assert!(page.contains(lang.pick("(not in the node)", "(absent du nœud)")));
    }
    let page = report.html(Lang::En);
    assert!(page.contains("10.0\u{a0}% (10.0–10.0) had texts"), "exposure in words");
    // The tornado's longest bar stands first.
    let tornado = page.split("<h2 id=\"tornado\">").nth(1).unwrap();
    assert!(tornado.find("couriers.daily") < tornado.find("people.home_abroad"));
}

#[test]
fn the_document_has_the_shape_that_was_promised() {
    let scenario = scenario();
    let document = document(&scenario, "a", &samples(&scenario), None);
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["expectations", "model_error", "scenario", "seeds", "summary", "tier"]);
    let seed = document["seeds"][0].as_object().unwrap();
    assert_eq!(seed.keys().collect::<Vec<_>>(), ["metrics", "seed", "trace"]);
    assert_eq!(seed["trace"], "00000000000000000000000000000007");
    assert!(document["seeds"][0]["metrics"]["upstream.delivered.72h"].is_number());
    let gain = document["summary"]["gain.upstream.delivered.72h"].as_object().unwrap();
    assert_eq!(gain.keys().collect::<Vec<_>>(), ["estimate", "high", "low"]);
    assert!((gain["estimate"].as_f64().unwrap() - 0.55).abs() < 1e-9);
    assert_eq!(document["expectations"].as_array().unwrap().len(), 2);
    assert_eq!(document["expectations"][0]["holds"], true);
    assert!(document["model_error"].is_null());
}
