//! A thousand seeds hold, and a seed gives the same run again.
#![cfg(feature = "drills")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::Instant;

use simulator::many::Plan;
use simulator::run::run;
use simulator::schedule::Schedule;

#[test]
fn a_thousand_seeds_hold() {
    let since = Instant::now();
    let plan = Plan {
        seeds: 0..1_000,
        threads: 2,
        stop_at_first: false,
    };
    let sum = plan.run(Schedule::of, |_| {}).unwrap();
    println!("{}", sum.shown(since.elapsed()));
    assert!(sum.broken.is_empty(), "{:#?}", sum.broken);
    assert_eq!(sum.seeds, 1_000);
    // A world in which nothing moves would hold as well.
    assert!(
        sum.commits > 10_000 && sum.faults.len() > 20,
        "{}",
        sum.shown(since.elapsed())
    );
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..60 {
        let schedule = Schedule::of(seed);
        let (first, second) = (run(&schedule).unwrap(), run(&schedule).unwrap());
        assert!(first.log.len() > 20);
        assert_eq!(first.log, second.log, "seed {seed}");
    }
}
