//! Each known way of getting the protocol wrong is noticed by the machine's own tests (protocol.md section 8). One test, since a switch
//! holds for the whole process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![cfg(feature = "drills")]

mod support;

use common::chain::Policy;
use common::mutant::{Mutant, switch_on};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use redshift_spolt::load::machine::Outcome;
use support::log::{Loader, Warehouse, cuts, expected, limits, log};
use support::{narrow, wide};

/// Runs random logs, the `lost`th claim removed where asked, and tells what went wrong first.
fn first_violation(rivals: bool, damage: bool) -> Option<String> {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let plans = [narrow().id(), wide().id()];
    for _ in 0..400 {
        let cuts = cuts().new_tree(&mut runner).ok()?.current();
        let whole = log(0, 0, &cuts, &plans);
        let mut damaged = whole.clone();
        if damage && damaged.len() > 2 {
            damaged.remove(damaged.len() / 2);
        }
        let logs = vec![damaged];
        let mut warehouse = Warehouse::default();
        let mut loaders = [
            Loader::new(1, limits(5), Policy::default()),
            Loader::new(1, limits(5), Policy::default()),
        ];
        let guarded = !Mutant::NoLockNoCompareAndSet.is_on();
        for round in 0..60 {
            if rivals && round % 2 == 0 {
                // Both planned from the same checkpoint, and both apply.
                loaders.iter_mut().for_each(|loader| loader.settle(&logs, &warehouse));
            }
            loaders.swap(0, 1);
            let loader = &mut loaders[0];
            loader.settle(&logs, &warehouse);
            let Some(load) = loader.in_flight.clone() else { continue };
            match warehouse.apply(&load, guarded) {
                Some(row) => loader.end(Outcome::Committed { row }),
                None => loader.end(Outcome::Replan),
            }
        }
        if let Some((row, times)) = warehouse.applied.iter().find(|(_, times)| **times != 1) {
            return Some(format!("{row:?} applied {times} times"));
        }
        let halted = loaders.iter().any(|loader| !loader.alarms.is_empty());
        let end = warehouse
            .state
            .lineages
            .values()
            .map(|checkpoint| checkpoint.position.next.0)
            .max()
            .unwrap_or(0);
        if let Some((row, _)) = expected(std::slice::from_ref(&whole))
            .iter()
            .find(|(row, _)| row.1 < end && !warehouse.applied.contains_key(row))
        {
            return Some(format!("{row:?} lost"));
        }
        if !damage && (halted || warehouse.applied != expected(&logs)) {
            return Some("stuck".into());
        }
    }
    None
}

#[test]
fn every_mutant_of_the_loader_is_caught() {
    for (rivals, damage) in [(false, false), (true, false), (false, true)] {
        switch_on(&[]);
        assert_eq!(first_violation(rivals, damage), None, "the protocol itself holds");
    }
    let cases = [
        (Mutant::NoContinuityNoTrim, false, false),
        (Mutant::PipelinedSignalsNoContinuity, false, true),
        (Mutant::GroupBySchema, false, false),
        (Mutant::NoLockNoCompareAndSet, true, false),
        (Mutant::StartMustEqualCheckpoint, false, false),
        (Mutant::NoDeduplication, false, false),
        (Mutant::NoContinuity, false, true),
    ];
    for (mutant, rivals, damage) in cases {
        switch_on(&[mutant]);
        let found = first_violation(rivals, damage);
        switch_on(&[]);
        println!("{mutant:?}: {found:?}");
        assert!(found.is_some(), "{mutant:?} went unnoticed");
    }
}
