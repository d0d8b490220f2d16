//! Every mutant is caught within its number of seeds. A process of its own: the switch of the mutants is one per process.
#![cfg(feature = "drills")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use common::mutant::{Mutant, switch_on};
use simulator::many::Plan;
use simulator::schedule::Schedule;

/// Within how many seeds each mutant must be caught: some three times what it took when this was written.
const WITHIN: [(&str, u64); 21] = [
    ("M1", 40),
    ("M1b", 40),
    ("M2", 40),
    ("M3", 40),
    ("M3b", 40),
    ("M4", 40),
    ("M5", 40),
    ("M5b", 60),
    ("M6", 80),
    ("M7", 40),
    ("M8", 40),
    ("M9", 200),
    ("G2", 60),
    ("R1", 20),
    ("R2", 20),
    ("R3", 20),
    ("R4", 60),
    ("F1", 20),
    ("F2", 40),
    ("F3", 20),
    ("F4", 120),
];

#[test]
fn every_mutant_is_caught() {
    for (_, name) in Mutant::ALL.into_iter().chain(Mutant::BEYOND) {
        assert!(
            WITHIN.iter().any(|(known, _)| *known == name),
            "`{name}` is not looked for"
        );
    }
    let mut missed = Vec::new();
    for (name, within) in WITHIN {
        let mutant = Mutant::named(name).unwrap();
        switch_on(&[mutant]);
        let plan = Plan {
            seeds: 0..within,
            threads: 2,
            stop_at_first: true,
        };
        let sum = plan.run(|seed| Schedule::for_mutant(seed, mutant), |_| {}).unwrap();
        match sum.broken.iter().next() {
            Some((seed, violations)) => {
                println!(
                    "{name:<4} caught by seed {seed} of at most {within}: {}",
                    violations.join("; ")
                );
            }
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
