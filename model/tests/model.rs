//! Everything holds within the quick bounds, nobody is ever stuck, and every mutant is found. One test, since a mutant holds for the
//! whole process.

use std::collections::BTreeSet;

use common::mutant::Mutant;
use model::explore::{Findings, Manner};
use model::runs::{Depth, HUNTS, RUNS};
use model::slips::SLIPS;

/// The least that the runs must see together: a scenario that lost its choices would still hold.
const STATES_MIN: usize = 1_000_000;

#[test]
fn the_protocol_holds_and_every_mutant_is_found() {
    let manner = Manner {
        threads: 2,
        until: None,
        progress: true,
    };
    let mut sum = Findings::default();
    let mut wrong = Vec::new();
    for run in &RUNS {
        let found = (run.explore)(Depth::Quick, manner);
        println!(
            "{}: {} states, depth {}, {:.1} s, {} finished after every fault",
            run.name, found.states, found.depth, found.seconds, found.recovered
        );
        let told = found.counterexamples.iter();
        wrong.extend(told.map(|example| format!("{}:\n{example}", run.name)));
        if found.finished == 0 {
            wrong.push(format!("{}: nothing is ever finished", run.name));
        }
        if found.idle > 0 {
            wrong.push(format!(
                "{}: in some part nothing is ever finished after every fault",
                run.name
            ));
        }
        sum.add(found);
    }
    assert!(sum.states > STATES_MIN, "only {} states", sum.states);
    for hunt in &HUNTS {
        let (findings, found) = hunt.run();
        println!("{}: {} states, {:.1} s", hunt.name(), findings.states, findings.seconds);
        if found.is_none() {
            wrong.push(format!("{} went unnoticed in {} states", hunt.name(), findings.states));
        }
    }
    for slip in &SLIPS {
        let (findings, found) = slip.run();
        if found.is_none() {
            wrong.push(format!("`{}` went unnoticed in {} states", slip.words, findings.states));
        }
        if let Some(example) = found {
            println!("| {} | {}: {} |", slip.words, example.law, example.evidence);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let hunted: BTreeSet<&str> = HUNTS.iter().map(model::runs::Hunt::name).collect();
    let known: BTreeSet<&str> = Mutant::ALL.iter().map(|(_, name)| *name).collect();
    assert_eq!(hunted, known, "every mutant is hunted");
}
