//! The story of a message: complete, in order, and without any effect on its world.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::path::Path;

use relaymesh_simulations::cli::why::story;
use relaymesh_simulations::outcome::{Fate, System};
use relaymesh_simulations::run::world;
use relaymesh_simulations::scenario::{Scenario, load};
use relaymesh_simulations::world::{Bootstrap, Options, World};
use toml::Value;

fn small() -> Scenario {
    let text = |text: &str| Value::String(text.to_owned());
    let sets = [
        ("duration".to_owned(), text("9h")),
        ("people.count".to_owned(), Value::Integer(8)),
        ("switches.bundles".to_owned(), Value::Boolean(false)),
        (
            "fault".to_owned(),
            toml::from_str::<toml::Table>("f = [{ kind = \"platform_down\", start = \"1h\" }]").unwrap()["f"].clone(),
        ),
    ];
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.toml"), &sets).unwrap()
}

#[test]
fn a_message_is_followed_from_the_thumb_to_the_platform_and_listening_changes_nothing() {
    let scenario = small();
    let bootstrap = Bootstrap::new(&scenario).unwrap();
    let outcome = world(&scenario, &bootstrap, 2, &[System::Mesh]).unwrap().outcomes.remove(0);
    let published = outcome.messages.iter().find(|row| row.fate == Fate::Published).unwrap();
    let told = story(&scenario, 2, System::Mesh, published.id).unwrap();
    assert_eq!(told.fate, Some(Fate::Published));
    assert!(told.held_by.is_empty());
    let whats: Vec<String> = told.lines().map(|line| format!("{}: {}", line.place, line.what)).collect();
    let at = |wanted: &str| {
        whats.iter().position(|what| what.contains(wanted)).unwrap_or_else(|| panic!("{wanted}: {whats:#?}"))
    };
    assert!(at("person: sends it") < at("the SMS arrived"));
    assert!(at("the SMS arrived") < at("ingress: stored"));
    assert!(at("ingress: stored") < at("vault: decrypted"));
    assert!(at("vault: decrypted") < at("platform: it stands there"));
    assert!(told.lines().zip(told.lines().skip(1)).all(|(a, b)| a.at <= b.at));

    let options = Options { story: Some(published.id), ..Options::default() };
    let listened = World::new(&scenario, &bootstrap, 2, System::Mesh, options).unwrap().run().0;
    assert_eq!(listened.trace, outcome.trace);
}

#[test]
fn what_is_not_delivered_is_told_with_what_holds_it() {
    let scenario = small();
    let outcome = world(&scenario, &Bootstrap::new(&scenario).unwrap(), 2, &[System::Mesh]).unwrap().outcomes.remove(0);
    let waiting = outcome.messages.iter().find(|row| row.fate == Fate::Waiting).unwrap();
    let told = story(&scenario, 2, System::Mesh, waiting.id).unwrap();
    assert_eq!(told.fate, Some(Fate::Waiting));
    assert!(told.held_by.iter().any(|held| held == "the platform does not answer"), "{:?}", told.held_by);
    assert!(told.held_by.iter().any(|held| held.contains("its home")), "{:?}", told.held_by);
    assert_eq!(story(&scenario, 2, System::Mesh, 1_000_000).unwrap().fate, None, "no such message");
}
