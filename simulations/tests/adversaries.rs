//! Every way of lying happens, and breaks no rule at honest nodes.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::Path;

use relaymesh_simulations::outcome::{Outcome, System};
use relaymesh_simulations::scenario::{Behaviour, Byzantine, Scenario, Share, load};
use relaymesh_simulations::world::{Bootstrap, Options, World};

/// The small country, in which the nodes of group `pi` fail now and then.
fn small(more: &[(&str, &str)]) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.toml");
    let sets = [("duration", "\"9h\""), ("people.count", "10"), ("people.device_id", "\"100%\"")];
    let set = |(key, text): &(&str, &str)| {
        let value = toml::from_str::<toml::Table>(&format!("v = {text}")).unwrap().remove("v").unwrap();
        ((*key).to_owned(), value)
    };
    let sets: Vec<_> = sets.iter().chain(more).map(set).collect();
    load(&path, &sets).unwrap()
}

fn liar(behaviour: Behaviour, group: &str, share: f64, start: &str) -> Byzantine {
    let text = format!("behaviour = \"drop\"\nshare = {share}\nstart = \"{start}\"\nwhere = 'group == \"{group}\"'");
    Byzantine { behaviour, ..toml::from_str(&text).unwrap() }
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    run_with(scenario, seed, Options { deep: true, ..Options::default() })
}

fn run_with(scenario: &Scenario, seed: u64, options: Options) -> Outcome {
    let bootstrap = Bootstrap::new(scenario).unwrap();
    World::new(scenario, &bootstrap, seed, System::Mesh, options).unwrap().run().0
}

/// Runs the small country with these liars; tells how often they did it, and everything else.
fn lie(members: Vec<Byzantine>, counter: &str) -> (f64, Outcome) {
    lie_in(small(&[]), members, counter)
}

fn lie_in(scenario: Scenario, members: Vec<Byzantine>, counter: &str) -> (f64, Outcome) {
    let scenario = Scenario { byzantine: members, ..scenario };
    judge(run(&scenario, 11), counter)
}

fn judge(outcome: Outcome, counter: &str) -> (f64, Outcome) {
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    assert!(!outcome.messages.is_empty());
    (outcome.metrics.get(&format!("count.lie_{counter}")).copied().unwrap_or_default(), outcome)
}

fn one(behaviour: Behaviour) -> Vec<Byzantine> {
    vec![liar(behaviour, "vps", 0.34, "0s")]
}

fn delivered(outcome: &Outcome) -> usize {
    outcome.messages.iter().filter(|row| row.published.is_some()).count()
}

#[test]
fn custodians_that_drop_delay_or_repeat_break_nothing() {
    for (behaviour, counter) in
        [(Behaviour::Drop, "dropped"), (Behaviour::Delay, "delayed"), (Behaviour::Duplicate, "duplicated")]
    {
        // Homes are away often, so that much goes to custodians.
        let country = small(&[("duration", "\"15h\""), ("nodes.1.mtbf", "\"90m\"")]);
        let (times, _) = lie_in(country, one(behaviour), counter);
        assert!(times > 0.0, "{behaviour:?} never happened");
    }
}

#[test]
fn filters_that_claim_everybody_and_copies_of_filters_break_nothing() {
    let (times, _) = lie(one(Behaviour::StuffedFilter), "claimed");
    assert!(times > 0.0);
    let (times, copied) = lie(one(Behaviour::CopiedFilter), "copied");
    assert!(times > 0.0);
    let honest = run(&small(&[]), 11);
    assert!(delivered(&copied) * 10 >= delivered(&honest) * 9, "a copied filter names nobody");
}

#[test]
fn an_acceptance_that_proves_nothing_frees_nothing() {
    let members =
        vec![liar(Behaviour::StuffedFilter, "vps", 1.0, "0s"), liar(Behaviour::FalseAccept, "vps", 1.0, "0s")];
    let (times, outcome) = lie(members, "accepted");
    assert!(times > 5.0, "{times}");
    // Homes abroad lie too: their people's messages stay with the ingress and are told as nothing else.
    assert!(outcome.messages.iter().any(|row| row.published.is_some()));
}

#[test]
fn floods_are_taken_up_to_a_cap() {
    // Rubbish for a node that is away stays with custodians.
    let away = "[{ kind = \"crash\", where = 'group == \"vps\"', pick = 0.34, start = \"0s\", for = \"2h\" }]";
    let sets = [
        ("duration", "\"90m\""),
        ("warmup", "\"0s\""),
        ("drain", "\"20m\""),
        ("people.daily_online", "60.0"),
        ("fault", away),
    ];
    let honest = run(&small(&sets), 11);
    let mut flooder = liar(Behaviour::Flood, "pi", 0.34, "0s");
    flooder.rate = Share(0.3);
    let (times, outcome) = lie_in(small(&sets), vec![flooder], "flooded");
    let full = outcome.metrics["fullest.custody_of_one_peer"];
    assert!((full - 1.0).abs() < 1e-9, "{times} letters of rubbish fill the cap and no more: {full}");
    assert!(delivered(&outcome) * 10 >= delivered(&honest) * 9, "{} of {}", delivered(&outcome), delivered(&honest));
}

#[test]
fn sybils_that_join_later_claim_everybody_and_get_nobody() {
    let members = vec![liar(Behaviour::Sybil, "vps", 0.67, "2h")];
    let (times, outcome) = lie(members, "sybil");
    assert!(times > 0.0);
    assert!(outcome.metrics["count.lie_claimed"] >= 2.0);
}

#[test]
fn who_claims_to_hold_everybody_is_asked_and_gets_nobody() {
    // Nobody asks where filters answer: the mesh is young, and the country apart from its homes abroad before it has their
    // filters.
    let apart = "[{ kind = \"partition\", where = 'region == \"abroad\"', start = \"0s\", for = \"2h\" }]";
    let sets = [("duration", "\"10h\""), ("warmup", "\"0s\""), ("people.daily_online", "40.0"), ("fault", apart)];
    let scenario = Scenario { byzantine: vec![liar(Behaviour::Eclipse, "pi", 0.34, "0s")], ..small(&sets) };
    let options = Options { deep: true, young: true, ..Options::default() };
    let (times, outcome) = judge(run_with(&scenario, 11, options), "held");
    assert!(times > 0.0);
    let early = outcome.messages.iter().filter(|row| row.sent.0 < 3_600_000_000 && row.accepted.is_some());
    let (got, all) = early.fold((0, 0), |(got, all), row| (got + usize::from(row.published.is_some()), all + 1));
    assert!(all > 3 && got * 10 >= all * 8, "{got} of {all}: the lie kept messages from their homes");
}

#[test]
fn who_is_silent_about_some_serves_the_others() {
    let mut members = vec![liar(Behaviour::Silence, "vps", 1.0, "0s")];
    members[0].rate = Share(0.5);
    let (times, outcome) = lie(members, "silent");
    assert!(times > 0.0);
    assert!(outcome.messages.iter().any(|row| row.published.is_some()));
    assert!(outcome.messages.iter().any(|row| row.published.is_none() && row.accepted.is_some()));
}
