//! What seizures expose in worlds over the real core agrees with the closed form for one home.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::Path;

use relaymesh_simulations::kernel::Chance;
use relaymesh_simulations::ledger::closed::{Hypergeometric, one_home};
use relaymesh_simulations::outcome::{Exposure, Outcome, System};
use relaymesh_simulations::scenario::{Disk, Scenario, load};
use relaymesh_simulations::world::{Bootstrap, Options, Target, World, materialise};

/// Nodes, of which the first are vaults.
const NODES: u32 = 8;
const VAULTS: u32 = 4;
const PEOPLE: u32 = 20;
const WORLDS: u64 = 40;

/// A country in which nobody writes, and `seized` of the nodes are taken at once.
fn country(seized: u32, disk: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.toml");
    let set = |key: &str, text: &str| {
        let value = toml::from_str::<toml::Table>(&format!("v = {text}")).unwrap().remove("v").unwrap();
        (key.to_owned(), value)
    };
    let share = f64::from(seized) / f64::from(NODES);
    let fault = format!("[{{ kind = \"seize\", start = \"1m\", disk = \"{disk}\", pick = {share} }}]");
    let sets = [
        set("duration", "\"4m\""),
        set("warmup", "\"1m\""),
        set("drain", "\"1m\""),
        set("people.count", &PEOPLE.to_string()),
        set("people.daily_online", "0.0"),
        set("people.daily_offline", "0.0"),
        set("people.home_abroad", "1.0"),
        set("nodes.0.count", &VAULTS.to_string()),
        set("nodes.1.count", &(NODES - VAULTS).to_string()),
        set("nodes.1.mtbf", "\"9999d\""),
        set("fault", &fault),
    ];
    load(&path, &sets).unwrap()
}

fn run(scenario: &Scenario, bootstrap: &Bootstrap, seed: u64) -> Outcome {
    let outcome = World::new(scenario, bootstrap, seed, System::Mesh, Options::default()).unwrap().run().0;
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    outcome
}

fn exposed(outcome: &Outcome, least: Exposure) -> u32 {
    outcome.exposure.iter().filter(|(what, ..)| *what >= least).map(|(.., persons)| persons).sum()
}

/// Comparisons that the intervals below are for.
const COMPARISONS: u32 = 25;
/// The quantile of 99 % for so many together: each has 1 - 0.01/25, two-sided.
const Z: f64 = 3.540;

/// Whether a mean that was seen lies within the interval around what is expected.
fn agrees(mean: f64, expected: f64, variance: f64) -> bool {
    (mean - expected).abs() <= Z * variance.sqrt() + 1e-12
}

/// The same for a share of so many independent ones (a score interval).
fn share_agrees(seen: u32, of: u32, expected: f64) -> bool {
    agrees(f64::from(seen) / f64::from(of), expected, expected * (1.0 - expected) / f64::from(of))
}

#[test]
fn seizures_expose_as_many_people_as_the_closed_form_says() {
    let mut comparisons = 0;
    for seized in [2_u32, 4, 6] {
        let scenario = country(seized, "unlocked");
        let bootstrap = Bootstrap::new(&scenario).unwrap();
        // By seized vaults: worlds, and persons exposed in them.
        let mut seen = vec![(0_u32, 0_u32); VAULTS as usize + 1];
        for seed in 0..WORLDS {
            let strikes = materialise(&scenario, &Chance::new(seed), &bootstrap).unwrap();
            let vaults =
                strikes.iter().filter(|s| matches!(s.target, Target::Node(n) if u32::from(n) < VAULTS)).count();
            let persons = exposed(&run(&scenario, &bootstrap, seed), Exposure::Token);
            seen[vaults].0 += 1;
            seen[vaults].1 += persons;
        }
        let among = Hypergeometric { nodes: NODES, marked: VAULTS, seized };
        let worlds_all = u32::try_from(WORLDS).unwrap();
        for (vaults, (worlds, persons)) in (0_u32..).zip(&seen) {
            if among.exactly(vaults) >= 0.05 {
                comparisons += 1;
                assert!(share_agrees(*worlds, worlds_all, among.exactly(vaults)), "{worlds} with {vaults} of {seized}");
            }
            // Given the seized vaults, people are independent: each has chosen a home by itself.
            let share = f64::from(vaults) / f64::from(VAULTS);
            if *worlds > 0 && vaults > 0 && vaults < VAULTS {
                comparisons += 1;
                assert!(share_agrees(*persons, worlds * PEOPLE, share), "{persons} persons behind {vaults} vaults");
            }
        }
        // All together: the share of nodes that were seized. People of a world share its seizure.
        let persons: u32 = seen.iter().map(|(_, persons)| persons).sum();
        let (n, v, s) = (f64::from(NODES), f64::from(VAULTS), f64::from(seized));
        let between = s * (v / n) * (1.0 - v / n) * (n - s) / (n - 1.0) / (v * v);
        let expected = one_home(NODES, seized);
        let within = expected * (1.0 - expected) - between;
        let variance = between / f64::from(worlds_all) + within / f64::from(worlds_all * PEOPLE);
        comparisons += 1;
        assert!(agrees(f64::from(persons) / f64::from(worlds_all * PEOPLE), expected, variance), "{persons} persons");
    }
    assert!((18..=COMPARISONS).contains(&comparisons), "{comparisons} comparisons");
}

#[test]
fn disks_without_their_key_expose_nobody_and_running_nodes_expose_as_disks_do() {
    let exposed_by = |disk| {
        let scenario = country(4, disk);
        let outcome = run(&scenario, &Bootstrap::new(&scenario).unwrap(), 3);
        assert_eq!(outcome.seized.last(), Some(&(0, 4)));
        exposed(&outcome, Exposure::Metadata)
    };
    assert_eq!(exposed_by("locked"), 0);
    assert!(exposed_by("unlocked") > 0);
    assert_eq!(exposed_by("live"), exposed_by("unlocked"));
}

#[test]
fn who_writes_after_a_seizure_is_read_and_who_passes_a_coerced_door_is_seen() {
    let mut scenario = country(3, "unlocked");
    let day = relaymesh_simulations::kernel::Span::hours(10);
    scenario.duration = day;
    scenario.people.daily_online = 8.0;
    let mut coercion = scenario.clone();
    coercion.fault[0].kind = relaymesh_simulations::scenario::FaultKind::Coerce;
    coercion.fault[0].disk = Some(Disk::Live);
    let mut only_seen = 0;
    for seed in 5..8 {
        let seized = run(&scenario, &Bootstrap::new(&scenario).unwrap(), seed);
        let plain = exposed(&seized, Exposure::Plaintext);
        assert!(plain < PEOPLE, "{plain}");
        let coerced = run(&coercion, &Bootstrap::new(&coercion).unwrap(), seed);
        let read = exposed(&coerced, Exposure::Plaintext);
        assert!(read > 0 && read >= plain, "the same people, and their homes still publish: {read} and {plain}");
        only_seen += exposed(&coerced, Exposure::Metadata) - read;
        assert!(coerced.seized.is_empty());
    }
    assert!(only_seen > 0, "who passes a coerced door is seen");
}
