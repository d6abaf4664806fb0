//! Random small worlds break no rule, and rules do break where the world is made to break them.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use std::sync::Mutex;

use relaymesh_simulations::invariants::{HEAL_CONVERGES, NOTHING_HELD_FOR_REACHABLE};
use relaymesh_simulations::outcome::System;
use relaymesh_simulations::repro::{draw, fuzz};
use relaymesh_simulations::scenario::Share;
use relaymesh_simulations::world::{Bootstrap, Options, World};

/// Worlds of one run: more in the nightly job.
fn worlds() -> u64 {
    std::env::var("RELAYMESH_FUZZ_WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

#[test]
fn nothing_breaks_in_random_worlds() {
    let seen = Mutex::new((0, 0, 0));
    let found = fuzz(1, worlds(), None, |_, outcome| {
        let mut seen = seen.lock().unwrap();
        seen.0 += outcome.messages.iter().filter(|row| row.published.is_some()).count();
        seen.1 += outcome.messages.iter().filter(|row| row.accepted.is_some()).count();
        seen.2 += u64::from(outcome.metrics.contains_key("count.heal_checked"));
    });
    let found = found.unwrap();
    assert!(found.repro.is_none(), "{:?}", found.repro.map(|repro| (repro.seed, repro.invariant, repro.what)));
    let (published, accepted, healed) = seen.into_inner().unwrap();
    assert!(published > 10 && accepted > published / 2, "{published} of {accepted}: worlds in which nothing happens");
    assert!(healed * 2 >= worlds(), "only {healed} worlds came to rest and were looked at");
}

/// Links are open and lose everything: by the world's own word everybody can reach everybody, and nothing arrives.
#[test]
fn a_mesh_that_does_not_heal_is_seen() {
    let mut scenario = draw(1).unwrap();
    scenario.fault.clear();
    scenario.byzantine.clear();
    scenario.switches.bundles = false;
    scenario.links.loss = Share(1.0);
    for gateway in &mut scenario.gateways {
        // Else nobody's message gets to a node either.
        gateway.beside_node = true;
    }
    let bootstrap = Bootstrap::new(&scenario).unwrap();
    // Else everybody knew everything before the first frame was lost.
    let options = Options { young: true, ..Options::default() };
    let outcome = World::new(&scenario, &bootstrap, 1, System::Mesh, options).unwrap().run().0;
    let broken = |invariant: &str| outcome.violations.iter().any(|violation| violation.invariant == invariant);
    assert!(broken(HEAL_CONVERGES), "{:?}", outcome.violations);
    assert!(broken(NOTHING_HELD_FOR_REACHABLE), "{:?}", outcome.violations);
}
