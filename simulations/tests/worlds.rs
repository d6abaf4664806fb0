//! Small worlds over the real core: what is sent arrives once, runs repeat to the bit, and systems share their luck.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::Path;

use relaymesh_simulations::outcome::{Fate, Outcome, Route, System};
use relaymesh_simulations::run::{check_determinism, world};
use relaymesh_simulations::scenario::{Scenario, load};
use relaymesh_simulations::stats::{figures, route_name};
use relaymesh_simulations::world::Bootstrap;

fn small(sets: &[(&str, &str)]) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.toml");
    let value = |text: &str| toml::from_str::<toml::Table>(&format!("v = {text}")).unwrap().remove("v").unwrap();
    let sets: Vec<_> = sets.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect();
    load(&path, &sets).unwrap()
}

fn outcomes(scenario: &Scenario, seed: u64, systems: &[System]) -> Vec<Outcome> {
    world(scenario, &Bootstrap::new(scenario).unwrap(), seed, systems).unwrap().outcomes
}

#[test]
fn messages_arrive_once_and_the_mesh_delivers_what_its_parts_alone_do_not() {
    let scenario = small(&[]);
    let all = outcomes(&scenario, 1, &System::ALL);
    let sent = |outcome: &Outcome| outcome.messages.iter().map(|row| (row.id, row.sent)).collect::<Vec<_>>();
    assert!(all[0].messages.len() > 60, "{}", all[0].messages.len());
    for outcome in &all {
        assert_eq!(sent(outcome), sent(&all[0]), "all systems see the same people send the same messages");
        assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
        assert!(outcome.messages.iter().all(|row| row.posts <= 1));
    }
    let share = |outcome: &Outcome| figures(&scenario, outcome)["delivered.24h"];
    let (mesh, islands) = (share(&all[0]), share(&all[1]));
    assert!(mesh > 0.97, "{mesh}");
    assert!(islands < mesh - 0.1, "islands {islands}, mesh {mesh}");
    let lost = all[0].messages.iter().filter(|row| row.accepted.is_some() && row.fate == Fate::LostNode).count();
    assert_eq!(lost, 0, "accepted means safe");
}

#[test]
fn a_world_repeats_to_the_bit_and_another_seed_is_another_world() {
    let scenario = small(&[("duration", "\"9h\""), ("people.count", "8")]);
    assert_eq!(check_determinism(&scenario, 3, System::Mesh).unwrap(), None);
    let traces = [3, 4].map(|seed| outcomes(&scenario, seed, &[System::Mesh])[0].trace);
    assert_ne!(traces[0], traces[1]);
}

#[test]
fn what_a_gateway_client_posts_has_the_same_luck_in_every_system() {
    let sets = [("links.loss", "\"30%\""), ("people.resend_times", "0"), ("gateways.0.when_unreachable", "\"once\"")];
    let all = outcomes(&small(&sets), 7, &[System::Mesh, System::Islands]);
    let accepted = |outcome: &Outcome| outcome.messages.iter().map(|row| row.accepted.is_some()).collect::<Vec<_>>();
    let mesh = accepted(&all[0]);
    assert_eq!(mesh, accepted(&all[1]), "a mesh behind its first node changes nothing before it");
    assert!(mesh.contains(&true) && mesh.contains(&false));
}

#[test]
fn records_that_were_renewed_in_the_last_hours_count_as_known() {
    // All records of the beginning are made anew when seven of their days are left.
    let world = small(&[("duration", "\"7d\""), ("people.count", "4")]);
    let outcome = outcomes(&world, 1, &[System::Mesh]).remove(0);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
}

#[test]
fn stand_in_cryptography_decides_as_the_real_one_does() {
    let sets = [("duration", "\"8h\""), ("people.count", "8")];
    let null = outcomes(&small(&sets), 5, &[System::Mesh]).remove(0);
    let real = outcomes(&small(&[&sets[..], &[("crypto", "\"real\"")]].concat()), 5, &[System::Mesh]).remove(0);
    assert_eq!(null.events, real.events);
    assert_eq!(null.messages, real.messages);
    assert_eq!(null.trace, real.trace, "the same events at the same moments");
}

#[test]
fn every_scenario_of_the_tree_reads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = load(&path, &[]).unwrap();
        assert_eq!(Some(scenario.name.as_str()), path.file_stem().and_then(|name| name.to_str()));
    }
}

#[test]
fn each_message_has_a_route_and_their_shares_make_up_the_whole() {
    let cut = [
        ("people.device_id", "\"50%\""),
        ("fault", "[{ kind = \"internet_cut\", where = 'region == \"south\"', start = \"12h\" }]"),
    ];
    let scenario = small(&cut);
    let all = outcomes(&scenario, 1, &System::ALL);
    let routes = |outcome: &Outcome| outcome.messages.iter().map(|row| row.route).collect::<Vec<_>>();
    for outcome in &all {
        assert_eq!(routes(outcome), routes(&all[0]), "the route is the message's and not the system's");
        let figures = figures(&scenario, outcome);
        let parts = Route::ALL.map(route_name).map(|name| {
            let share = figures[&format!("share.{name}")];
            assert!(share > 0.0, "{name}");
            share * figures[&format!("delivered.72h.{name}")]
        });
        let whole: f64 = parts.iter().sum();
        assert!((whole - figures["delivered.72h"]).abs() < 1e-9, "{parts:?}");
    }
}
