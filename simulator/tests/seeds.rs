//! A thousand seeds hold, and a seed gives the same run again.
#![cfg(feature = "drills")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::time::Instant;

use simulator::many::Plan;
use simulator::run::run;
use simulator::schedule::{Fault, Role, Schedule, Step};

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
    let status = |name: &str| sum.set_aside.get(name).copied().unwrap_or(0);
    assert!(status("replayed") > 3_000 && status("superseded") > 1_000 && status("discarded") > 30);
    let refreshes = |what: &str| sum.refreshed.get(what).copied().unwrap_or(0);
    assert!(refreshes("finished") > 60 && refreshes("given up") > 40);
    assert!(
        sum.commits > 10_000 && sum.collected > 5_000 && sum.faults.len() > 25,
        "{}",
        sum.shown(since.elapsed())
    );
}

/// The loader's memory is of another moment than the catalog that it reads.
#[test]
fn a_warehouse_restored_to_before_its_tables_existed_is_loaded_again_by_the_running_loader() {
    let at = |at_ms, fault| Step { at_ms, fault };
    let mut halted = 0;
    for seed in 0..40 {
        // Sometimes only the state tables exist, sometimes the targets too.
        let restored = 600 + seed * 150;
        let schedule = Schedule {
            steps: vec![
                at(10, Fault::Backup(Role::Loader)),
                at(restored, Fault::Restore(Role::Loader, true)),
            ],
            span_ms: 8_000,
            expects_second: true,
            bad: None,
            ..Schedule::of(seed)
        };
        let outcome = run(&schedule).unwrap();
        assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed}");
        assert_eq!(
            outcome.collected, 0,
            "a target that has not registered holds everything back"
        );
        halted += outcome.halted;
    }
    assert_eq!(halted, 0, "nothing is missing, so nothing stands still");
}

/// Keys move to a partition that was added to a topic which was made anew before: it lives its first life while the others live their second.
#[test]
fn what_is_set_aside_in_an_added_partition_is_replayed_behind_later_lives_of_the_others() {
    let outcome = run(&Schedule::of(5197)).unwrap();
    assert_eq!(outcome.violations, Vec::<String>::new());
    assert!(outcome.set_aside["replayed"] > 5);
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
