//! What each switch and the size of the circles change in a small world, and that the luck of people and SMS stays as it was.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::Path;

use relaymesh_simulations::outcome::{Outcome, System};
use relaymesh_simulations::run::world;
use relaymesh_simulations::scenario::{Scenario, load};
use relaymesh_simulations::stats::figures;
use relaymesh_simulations::world::Bootstrap;

fn scenario(file: &str, sets: &[(&str, &str)]) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let value = |text: &str| toml::from_str::<toml::Table>(&format!("v = {text}")).unwrap().remove("v").unwrap();
    let sets: Vec<_> = sets.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect();
    load(&path, &sets).unwrap()
}

/// The mesh in one world.
fn mesh(scenario: &Scenario) -> Outcome {
    let outcome = world(scenario, &Bootstrap::new(scenario).unwrap(), 1, &[System::Mesh]).unwrap().outcomes.remove(0);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    outcome
}

/// What people did and their phones drew: nothing of it is the mesh's.
fn luck(outcome: &Outcome) -> Vec<(u32, u16, u64)> {
    outcome.messages.iter().map(|row| (row.id, row.region, row.sent.0)).collect()
}

fn count(outcome: &Outcome, name: &str) -> f64 {
    outcome.metrics.get(&format!("count.{name}")).copied().unwrap_or(0.0)
}

#[test]
fn custody_saves_what_ingress_and_home_alone_cannot_as_they_are_never_up_together() {
    let with = mesh(&scenario("relay.toml", &[]));
    let without = mesh(&scenario("relay.toml", &[("switches.custody", "false")]));
    assert_eq!(luck(&with), luck(&without));
    let accepted = |outcome: &Outcome| outcome.messages.iter().map(|row| row.accepted.is_some()).collect::<Vec<_>>();
    assert_eq!(accepted(&with), accepted(&without), "SMS and gateway clients had the same luck");
    let delivered = |outcome: &Outcome| outcome.messages.iter().filter(|row| row.published.is_some()).count();
    let taken = with.messages.iter().filter(|row| row.accepted.is_some()).count();
    assert!(taken > 20, "{taken}");
    assert!(delivered(&with) * 10 > taken * 9, "{} of {taken}", delivered(&with));
    assert_eq!(delivered(&without), 0);
}

#[test]
fn without_filters_homes_are_found_by_more_questions() {
    let sets = [("duration", "\"16h\""), ("drain", "\"2h\"")];
    let base = scenario("small.toml", &sets);
    let with = mesh(&base);
    let without = mesh(&scenario("small.toml", &[&sets[..], &[("switches.filters", "false")]].concat()));
    assert_eq!(luck(&with), luck(&without));
    assert_eq!(count(&without, "asked_filters"), 0.0, "there are none to ask for");
    assert_eq!(count(&with, "asked_holders"), 0.0, "filters know every device");
    assert!(count(&without, "asked_holders") > 20.0, "{}", count(&without, "asked_holders"));
    let figure = |outcome: &Outcome, name: &str| figures(&base, outcome)[name];
    assert!(figure(&without, "delivered.ever") > 0.9, "{}", figure(&without, "delivered.ever"));
}

#[test]
fn a_message_without_device_id_is_found_in_the_circle_of_its_home_only() {
    let sets = [("duration", "\"16h\""), ("drain", "\"2h\""), ("people.device_id", "\"0%\"")];
    let delivered = |circle: &str| {
        let scenario = scenario("small.toml", &[&sets[..], &[("mesh.circle", circle)]].concat());
        let outcome = mesh(&scenario);
        (luck(&outcome), figures(&scenario, &outcome)["delivered.ever"])
    };
    let [alone, threes, all] = ["1", "3", "6"].map(delivered);
    assert!(alone.0 == threes.0 && threes.0 == all.0);
    assert!(all.1 > 0.95, "{}", all.1);
    assert!(alone.1 < threes.1 && threes.1 + 0.3 < all.1, "{} {} {}", alone.1, threes.1, all.1);
    // As many as there are, or more, is everybody.
    assert_eq!(delivered("200"), all);
}
