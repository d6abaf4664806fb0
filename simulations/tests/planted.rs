//! Known mistakes in every node are caught by a rule, made small, and repeated to the bit.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

use relaymesh_simulations::adversary::Planted;
use relaymesh_simulations::invariants::{CONSUMED_REMEMBERED, CUSTODY_KEPT, LIE_FREES_NO_COPY};
use relaymesh_simulations::repro::{Repro, fuzz, shrink};

/// A mistake is found within so many seeds. Each test begins at a seed near which one breaks early and in a small world, so
/// that it takes seconds; `simulate fuzz --plant` begins at 1, and finds them at 10, 2 and 22.
const SEEDS: u64 = 1_000;
/// And needs no more faults than this.
const FAULTS_MAX: usize = 10;

fn is_caught(planted: Planted, from: u64, invariant: &str) {
    let found =
        fuzz(from, SEEDS - from, Some(planted), |_, _| {}).unwrap().repro.expect("a planted mistake breaks a rule");
    assert_eq!(found.invariant, invariant, "{}", found.what);
    let large = found.faults.len();

    let small = shrink(found, 150, &|_, _| {}).unwrap().repro;
    assert!(small.faults.len() <= FAULTS_MAX.min(large), "{} faults", small.faults.len());
    assert_eq!(small.invariant, invariant);

    let folder = tempfile::tempdir().unwrap();
    let path = small.write_into(folder.path()).unwrap();
    let read = Repro::read(&path).unwrap();
    assert_eq!(read, small);
    read.check_version().unwrap();
    let (first, second) = (read.repeat(false).unwrap(), read.repeat(true).unwrap());
    assert_eq!((first.events, first.trace), (small.events, small.trace), "the file tells the same course");
    assert_eq!((second.events, second.trace), (small.events, small.trace));
    assert_eq!(second.lines.len() as u64, second.events);
    assert_eq!(first.violation.unwrap().what, small.what);

    let honest = Repro { planted: None, ..small };
    assert_eq!(honest.repeat(false).unwrap().violation, None, "without the mistake nothing breaks");
}

#[test]
fn a_custodian_that_says_yes_before_its_copy_is_durable_is_caught() {
    is_caught(Planted::CustodyBeforeDurable, 25, CUSTODY_KEPT);
}

#[test]
fn a_home_that_forgets_consumed_blocks_at_a_restart_is_caught() {
    is_caught(Planted::ForgetsConsumed, 1, CONSUMED_REMEMBERED);
}

#[test]
fn an_ingress_that_believes_an_unproven_acceptance_is_caught() {
    is_caught(Planted::BelievesUnproven, 35, LIE_FREES_NO_COPY);
}
