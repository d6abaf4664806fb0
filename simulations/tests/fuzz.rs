//! Random small worlds, and mistakes that are planted in them.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use relaymesh_simulations::repro::fuzz;

/// Worlds of one run: more in the nightly job.
fn worlds() -> u64 {
    std::env::var("RELAYMESH_FUZZ_WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8)
}

#[test]
fn nothing_breaks_in_random_worlds() {
    let found = fuzz(1, worlds(), None, |seed, outcome| {
        println!(
            "seed {seed}: {} messages, {} events, {:?}",
            outcome.messages.len(),
            outcome.events,
            outcome.violations
        );
        println!("   {:?}", outcome.metrics);
    })
    .unwrap();
    assert!(found.repro.is_none(), "{:?}", found.repro.map(|repro| (repro.seed, repro.invariant, repro.what)));
}
