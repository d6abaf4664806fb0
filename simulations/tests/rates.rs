//! Lines with a rate in whole worlds: who is slow, who is not, and that systems stay comparable.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::Path;

use relaymesh_simulations::kernel::Span;
use relaymesh_simulations::outcome::{Outcome, System};
use relaymesh_simulations::run::{check_determinism, world};
use relaymesh_simulations::scenario::{Fault, Scenario, Share, load};
use relaymesh_simulations::stats::figures;
use relaymesh_simulations::world::Bootstrap;

/// A small country in which everybody's Internet is throttled from the warm-up on, to this rate if there is one. Nothing else
/// goes wrong, and nobody sends twice.
fn throttled(rate: Option<&str>) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.toml");
    let mut scenario = load(&path, &[]).unwrap();
    scenario.duration = Span::hours(18);
    (scenario.links.loss, scenario.people.resend_times) = (Share(0.0), 0);
    (scenario.sms.loss, scenario.sms.bad_loss, scenario.sms.duplicate) = (Share(0.0), Share(0.0), Share(0.0));
    let rate = rate.map(|rate| format!("rate = \"{rate}\"")).unwrap_or_default();
    let fault: Fault = toml::from_str(&format!("kind = \"throttle\"\nstart = \"0s\"\n{rate}")).unwrap();
    scenario.fault.push(fault);
    scenario
}

fn outcomes(scenario: &Scenario, systems: &[System]) -> Vec<Outcome> {
    world(scenario, &Bootstrap::new(scenario).unwrap(), 1, systems).unwrap().outcomes
}

fn delivered(scenario: &Scenario) -> Vec<f64> {
    let all = outcomes(scenario, &System::ALL);
    for outcome in &all {
        assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    }
    all.iter().map(|outcome| figures(scenario, outcome)["delivered.10m"]).collect()
}

#[test]
fn a_line_too_slow_for_a_single_post_lets_nothing_through_in_any_system() {
    // 6,000 bytes take 24 seconds, and the timeout is ten.
    assert_eq!(delivered(&throttled(Some("2kbit/s"))), [0.0, 0.0, 0.0]);
}

#[test]
fn a_fast_line_is_as_good_as_none_and_a_slow_one_is_worse() {
    let [none, fast, slow] = [None, Some("1Gbit/s"), Some("10kbit/s")].map(|rate| delivered(&throttled(rate)));
    for ((none, fast), slow) in none.iter().zip(&fast).zip(&slow) {
        assert!((none - fast).abs() < 0.03, "without a rate {none}, with a high one {fast}");
        assert!(slow <= none, "at 10 kbit/s {slow}, without a rate {none}");
    }
    // A post takes nearly five seconds on either line: whatever else is on them makes it too late.
    assert!(slow[0] < none[0] - 0.03, "the mesh at 10 kbit/s {}, without a rate {}", slow[0], none[0]);
}

#[test]
fn a_home_publishes_over_its_line_too() {
    let mut scenario = throttled(Some("4kbit/s"));
    // All homes are abroad, and slow; gateway clients and the nodes that they post to are not.
    scenario.people.home_abroad = Share(1.0);
    scenario.gateways[0].nodes = vec!["pi".to_owned()];
    scenario.fault[0].filter = Some("group == \"vps\"".to_owned());
    scenario.duration = Span::hours(10);
    let mesh = outcomes(&scenario, &[System::Mesh]).remove(0);
    let accepted = mesh.messages.iter().filter(|row| row.accepted.is_some()).count();
    assert!(accepted * 10 > mesh.messages.len() * 8, "{accepted} of {}", mesh.messages.len());
    // An envelope takes two seconds there, a post to the platform twelve.
    assert!(mesh.messages.iter().all(|row| row.published.is_none()));
}

#[test]
fn a_world_of_slow_lines_repeats_to_the_bit() {
    let mut scenario = throttled(Some("20kbit/s"));
    scenario.duration = Span::hours(9);
    assert_eq!(check_determinism(&scenario, 3, System::Mesh).unwrap(), None);
}
