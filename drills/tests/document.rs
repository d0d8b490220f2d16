//! The published matrix is what the code does; and every mutant has a drill that must catch it.
#![cfg(feature = "drills")]
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

use std::collections::BTreeSet;

use drills::drill::{Deed, Drill};
use drills::mutants::CASES;

#[test]
fn the_published_tables_are_those_of_the_code() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/drills.md");
    let text = std::fs::read_to_string(file).unwrap();
    let published = |begin: &str, end: &str| {
        let begin = text.find(begin).expect("the table begins") + begin.len();
        let end = text.find(end).expect("the table ends");
        text[begin..end].trim().to_owned()
    };
    let hint = "put what `devstack drill --matrix` prints into docs/drills.md";
    let matrix = published(
        "<!-- printed by `devstack drill --matrix`; a test compares -->",
        "<!-- end of the matrix -->",
    );
    assert_eq!(matrix, drills::crash::matrix::markdown().trim(), "{hint}");
    let environment = published("<!-- and of the environment -->", "<!-- end of the environment -->");
    assert_eq!(environment, drills::environment::markdown().trim(), "{hint}");
    let mutants = published(
        "<!-- printed by `devstack drill --matrix`, too -->",
        "<!-- end of the mutants -->",
    );
    assert_eq!(mutants, drills::mutants::markdown().trim(), "{hint}");
}

#[test]
fn every_cell_that_applies_has_a_drill_and_each_point_is_in_quick() {
    let all = drills::all();
    let names: BTreeSet<String> = all.iter().map(Drill::name).collect();
    assert_eq!(names.len(), all.len(), "two drills have one name");
    for point in drills::crash::POINTS {
        let applies = |deed| !matches!(point.cell(deed), drills::crash::Cell::No(_));
        for deed in Deed::ALL {
            assert_eq!(
                names.contains(&format!("{}-{deed}", point.id)),
                applies(deed),
                "{}-{deed}",
                point.id
            );
        }
        let quick = all.iter().any(|drill| drill.point == point.id && drill.quick);
        assert_eq!(quick, Deed::ALL.into_iter().any(applies), "{} in --quick", point.id);
    }
}

#[test]
fn every_case_names_a_mutant_that_exists_and_a_drill_that_exists() {
    let all = drills::all();
    for case in CASES {
        assert!(common::mutant::Mutant::named(case.mutant).is_some(), "{}", case.mutant);
        assert!(case.find(&all).is_some(), "{}", case.drill);
    }
}
