//! Many seeds, each a history of its own.

use std::collections::BTreeMap;

use upbeat::testing::{Fault, seeds};
use upbeat_tests::simulation::storms;

/// Histories in each of the tests below, which run side by side.
const EACH: u64 = 500;

#[track_caller]
fn all_hold(from: u64) {
    let wrong: Vec<String> =
        seeds(EACH).map(|seed| seed + from).filter_map(|seed| storms::run(seed).err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {EACH} histories broke a promise, the first one:\n{}",
        wrong.len(),
        wrong[0]
    );
}

#[test]
fn nothing_is_lost_or_done_unrecorded_in_the_first_five_hundred_storms() {
    all_hold(0);
}

#[test]
fn nothing_is_lost_or_done_unrecorded_in_the_second_five_hundred_storms() {
    all_hold(EACH);
}

#[test]
fn nothing_is_lost_or_done_unrecorded_in_the_third_five_hundred_storms() {
    all_hold(2 * EACH);
}

#[test]
fn nothing_is_lost_or_done_unrecorded_in_the_fourth_five_hundred_storms() {
    all_hold(3 * EACH);
}

#[test]
fn one_seed_gives_one_history_to_the_letter() {
    for seed in seeds(40) {
        let [one, other] = [(); 2].map(|()| storms::run(seed).unwrap_or_else(|wrong| panic!("{wrong}")));
        let calls = one.calls().iter().zip(other.calls());
        let differ = calls.clone().position(|(one, other)| one != other);
        let from = differ.unwrap_or(0).saturating_sub(5);
        let around: Vec<_> = calls.skip(from).take(10).collect();
        assert!(
            differ.is_none(),
            "seed {seed}: from call {differ:?} on there are two histories: {around:#?}"
        );
        assert_eq!(one.history(), other.history(), "seed {seed}");
    }
}

#[test]
fn every_kind_of_fault_happens() {
    let mut struck: BTreeMap<Fault, u64> = BTreeMap::new();
    for seed in 0..60 {
        let simulated = storms::run(seed).unwrap_or_else(|wrong| panic!("{wrong}"));
        for (fault, count) in simulated.faults() {
            *struck.entry(fault).or_default() += count;
        }
    }
    let missing: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| !struck.contains_key(fault)).collect();
    assert!(missing.is_empty(), "these never happened: {missing:?}; {struck:?}");
}
