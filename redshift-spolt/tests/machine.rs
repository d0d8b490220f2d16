//! The table machine against random logs, lost answers, crashes and rivals: each offset is applied exactly once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::sync::Arc;

use common::chain::Policy;
use common::claim::Kind;
use common::failure::Failure;
use common::ids::{Offset, Partition};
use proptest::prelude::*;
use redshift_spolt::load::machine::Outcome;
use redshift_spolt::load::state::State;
use redshift_spolt::load::{Action, Event, Machine};
use support::log::{Loader, Warehouse, cuts, expected, limits, log};
use support::{TOPIC, bare, data, narrow, wide};

/// What happens to a load: answered, answer lost after or before COMMIT, crash after or before it.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    LostAfter,
    LostBefore,
    CrashAfter,
    CrashBefore,
    Rival,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Answered),
        1 => Just(Fate::LostAfter),
        1 => Just(Fate::LostBefore),
        1 => Just(Fate::CrashAfter),
        1 => Just(Fate::CrashBefore),
        1 => Just(Fate::Rival),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_offset_is_applied_once_whatever_happens_to_the_loads(
        partitions in proptest::collection::vec((0i64..4, cuts()), 1..4),
        fates in proptest::collection::vec(fate(), 0..40),
        claims in 1u64..6,
    ) {
        let plans = [narrow().id(), wide().id()];
        let logs: Vec<_> = partitions
            .iter()
            .enumerate()
            .map(|(index, (origin, cuts))| log(i32::try_from(index).unwrap(), *origin, cuts, &plans))
            .collect();
        let count = i32::try_from(logs.len()).unwrap();
        let mut warehouse = Warehouse::default();
        let mut loaders = [Loader::new(count, limits(claims), Policy::default()), Loader::new(count, limits(claims), Policy::default())];
        let mut fates = fates.into_iter();
        for _ in 0..400 {
            let fate = fates.next().unwrap_or(Fate::Answered);
            if matches!(fate, Fate::Rival) {
                loaders.swap(0, 1);
            }
            let loader = &mut loaders[0];
            loader.settle(&logs, &warehouse);
            prop_assert_eq!(&loader.alarms, &Vec::<String>::new());
            let Some(load) = loader.in_flight.clone() else {
                if warehouse.applied == expected(&logs) { break }
                continue;
            };
            let before = warehouse.state.clone();
            let lost = || Outcome::Retry(Failure::retry("connection lost"));
            match fate {
                Fate::Answered | Fate::Rival => match warehouse.apply(&load, true) {
                    Some(row) => loader.end(Outcome::Committed { row }),
                    None => loader.end(Outcome::Replan),
                },
                Fate::LostAfter => { warehouse.apply(&load, true); loader.end(lost()); }
                Fate::LostBefore => loader.end(lost()),
                Fate::CrashAfter => { warehouse.apply(&load, true); loader.crash(); }
                Fate::CrashBefore => loader.crash(),
            }
            for (partition, checkpoint) in &before.lineages {
                prop_assert!(warehouse.state.lineages[partition].position >= checkpoint.position, "I5");
            }
            prop_assert!(warehouse.applied.values().all(|times| *times == 1), "I4: {:?}", warehouse.applied);
        }
        prop_assert_eq!(&warehouse.applied, &expected(&logs), "I9: all is applied at the end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A log that lost claims and got them back at its end: everything is applied once, whatever happens to the loader meanwhile.
    #[test]
    fn claims_that_come_back_are_applied_once_each(
        cuts in cuts(),
        lost in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
        fates in proptest::collection::vec(fate(), 0..30),
        claims in 1u64..4,
    ) {
        let plans = [narrow().id(), wide().id()];
        let whole = log(0, 0, &cuts, &plans);
        let mut damaged = whole.clone();
        let mut back = Vec::new();
        for index in lost {
            if damaged.len() > 1 {
                back.push(damaged.remove(1 + index.index(damaged.len() - 1)));
            }
        }
        let mut warehouse = Warehouse::default();
        let mut loader = Loader::new(1, limits(claims), Policy::default());
        let mut fates = fates.into_iter();
        let damaged_part = damaged.len();
        damaged.extend(back);
        // The loader first sees the damaged part alone, until nothing moves.
        for visible in [damaged_part, damaged.len()] {
            let logs = [damaged[..visible].to_vec()];
            if visible == damaged.len() {
                loader.hear(&logs, damaged_part);
            }
            for _ in 0..200 {
                loader.settle(&logs, &warehouse);
                let Some(load) = loader.in_flight.clone() else { break };
                match fates.next().unwrap_or(Fate::Answered) {
                    Fate::LostAfter => { warehouse.apply(&load, true); loader.end(Outcome::Retry(Failure::retry("lost"))); }
                    Fate::LostBefore => loader.end(Outcome::Retry(Failure::retry("lost"))),
                    Fate::CrashAfter => { warehouse.apply(&load, true); loader.crash(); }
                    Fate::CrashBefore => loader.crash(),
                    Fate::Answered | Fate::Rival => match warehouse.apply(&load, true) {
                        Some(row) => loader.end(Outcome::Committed { row }),
                        None => loader.end(Outcome::Replan),
                    },
                }
            }
            prop_assert!(warehouse.applied.values().all(|times| *times == 1), "I4: {:?}", warehouse.applied);
        }
        prop_assert_eq!(&warehouse.applied, &expected(&[whole]), "all is applied at the end");
        prop_assert!(loader.machine.view().lineages.values().all(|lineage| lineage.halted.is_none()));
    }
}

fn ready(limits: redshift_spolt::load::machine::Limits) -> (Machine, Vec<Action>) {
    let mut actions = Vec::new();
    let mut machine = Machine::new(TOPIC.into(), 2, limits, Policy::default(), &mut actions);
    assert_eq!(actions, [Action::ReadState]);
    actions.clear();
    machine.step(0, Event::State(State::default()), &mut actions);
    assert_eq!(actions.len(), 2, "{actions:?}");
    actions.clear();
    (machine, actions)
}

fn signal(partition: i32, offset: i64, claim: common::claim::Claim) -> Event {
    Event::Signal {
        partition: Partition(partition),
        offset: Offset(offset),
        claim: Arc::new(claim),
    }
}

#[test]
fn a_gap_halts_its_lineage_and_the_others_go_on() {
    let (mut machine, mut actions) = ready(limits(10));
    let plan = narrow().id();
    machine.step(0, signal(0, 0, bare(Kind::Genesis, 0, 0, 0)), &mut actions);
    machine.step(0, signal(0, 1, data(0, 0, 3, &plan)), &mut actions);
    machine.step(0, signal(0, 2, data(0, 5, 8, &plan)), &mut actions);
    machine.step(0, signal(1, 0, bare(Kind::Genesis, 1, 0, 0)), &mut actions);
    machine.step(0, signal(1, 1, data(1, 0, 4, &plan)), &mut actions);
    let alarm = actions.iter().find_map(|action| match action {
        Action::Alarm { partition, failure } => Some((*partition, failure.to_string())),
        _ => None,
    });
    let (partition, text) = alarm.unwrap();
    assert_eq!(partition, Some(Partition(0)));
    assert!(
        text.contains("gap in the signal log") && text.contains("offset `5`") && text.contains("hint: "),
        "{text}"
    );
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::StopSignals { .. })),
        "what is missing may still come"
    );
    actions.clear();
    machine.step(100, Event::Tick, &mut actions);
    let Some(Action::Load(load)) = actions.pop() else {
        panic!("no load: {actions:?}")
    };
    assert_eq!(load.rows(), 7, "what came before the gap is still good");
}

/// What a machine loads at once, and where the lineage then stands.
fn loaded(machine: &mut Machine, now: i64) -> Vec<(i64, i64)> {
    let mut actions = Vec::new();
    machine.step(now, Event::Tick, &mut actions);
    let load = actions.into_iter().find_map(|action| match action {
        Action::Load(load) => Some(load),
        _ => None,
    });
    let runs = load.into_iter().flat_map(|load| load.runs);
    runs.map(|run| (run.to.next.0, run.signal_next.0)).collect()
}

#[test]
fn a_gap_is_mended_by_the_missing_claims_or_by_a_gap_claim_that_come_later() {
    let plan = narrow().id();
    for mending in [data(0, 3, 5, &plan), bare(Kind::Gap, 0, 3, 5)] {
        let (mut machine, mut actions) = ready(limits(10));
        machine.step(0, signal(0, 0, bare(Kind::Genesis, 0, 0, 0)), &mut actions);
        machine.step(0, signal(0, 1, data(0, 0, 3, &plan)), &mut actions);
        machine.step(0, signal(0, 2, data(0, 5, 8, &plan)), &mut actions);
        assert!(machine.view().lineages[&Partition(0)].halted.is_some());
        machine.step(0, signal(0, 3, data(0, 9, 10, &plan)), &mut actions);
        machine.step(0, signal(0, 4, mending), &mut actions);
        // 8..9 is still missing: its claim is kept, and so is the place in the log to read it again from.
        assert!(machine.view().lineages[&Partition(0)].halted.is_some());
        assert_eq!(loaded(&mut machine, 100), [(8, 3)]);
        machine.step(101, signal(0, 5, data(0, 8, 9, &plan)), &mut actions);
        assert_eq!(machine.view().lineages[&Partition(0)].halted, None);
        assert_eq!(machine.view().lineages[&Partition(0)].claimed, Some(Offset(10)));
    }
}

#[test]
fn a_new_life_waits_for_what_is_missing_of_the_old_one() {
    let plan = narrow().id();
    let (mut machine, mut actions) = ready(limits(10));
    let reset = common::claim::Claim {
        incarnation: common::ids::Incarnation(1),
        ..bare(Kind::Reset, 0, 0, 0)
    };
    machine.step(0, signal(0, 0, bare(Kind::Genesis, 0, 0, 0)), &mut actions);
    machine.step(0, signal(0, 1, data(0, 3, 8, &plan)), &mut actions);
    machine.step(0, signal(0, 2, reset), &mut actions);
    assert_eq!(machine.view().lineages[&Partition(0)].incarnation, Some(0));
    machine.step(0, signal(0, 3, data(0, 0, 3, &plan)), &mut actions);
    let view = machine.view().lineages[&Partition(0)].clone();
    assert_eq!((view.claimed, view.halted, view.waiting), (Some(Offset(0)), None, 4));
    assert_eq!(
        loaded(&mut machine, 100),
        [(0, 3)],
        "all of the old life, then the new one"
    );
}

#[test]
fn a_log_that_lost_its_beginning_needs_the_operators_word() {
    let (mut machine, mut actions) = ready(limits(10));
    machine.step(
        0,
        Event::LogBegins {
            partition: Partition(0),
            low: Offset(4),
        },
        &mut actions,
    );
    assert!(actions.iter().any(|action| matches!(
        action,
        Action::Alarm {
            partition: Some(Partition(0)),
            ..
        }
    )));
    // The genesis that is left could be a later, void one.
    actions.clear();
    machine.step(0, signal(0, 4, bare(Kind::Genesis, 0, 9, 9)), &mut actions);
    machine.step(100, Event::Tick, &mut actions);
    assert!(
        !actions.iter().any(|action| matches!(action, Action::Load(_))),
        "{actions:?}"
    );
}

#[test]
fn loads_start_by_age_or_by_amount_and_wait_after_failures() {
    let (mut machine, mut actions) = ready(limits(3));
    let plan = narrow().id();
    machine.step(0, signal(0, 0, bare(Kind::Genesis, 0, 0, 0)), &mut actions);
    machine.step(0, signal(0, 1, data(0, 0, 3, &plan)), &mut actions);
    assert!(
        actions.iter().all(|action| *action == Action::WakeAt(10)),
        "{actions:?}"
    );
    actions.clear();
    machine.step(1, signal(0, 2, data(0, 3, 5, &plan)), &mut actions);
    assert!(
        matches!(actions.as_slice(), [Action::Load(_)]),
        "three claims are as many as a load takes: {actions:?}"
    );
    actions.clear();
    machine.step(2, Event::Loaded(Outcome::Retry(Failure::retry("1023"))), &mut actions);
    assert_eq!(actions, [Action::WakeAt(502)]);
    actions.clear();
    machine.step(300, Event::Tick, &mut actions);
    assert_eq!(actions, [Action::WakeAt(502)], "an early tick must not be the last");
    actions.clear();
    machine.step(502, Event::Tick, &mut actions);
    assert_eq!(actions, [Action::ReadState], "never from memory");
}

#[test]
fn a_failure_that_could_be_anybodys_is_separated_by_lineage() {
    let (mut machine, mut actions) = ready(limits(10));
    let plan = narrow().id();
    for partition in 0..2 {
        machine.step(
            0,
            signal(partition, 0, bare(Kind::Genesis, partition, 0, 0)),
            &mut actions,
        );
        machine.step(0, signal(partition, 1, data(partition, 0, 3, &plan)), &mut actions);
    }
    let halt = || Outcome::Halt {
        failure: Failure::halt("count"),
        partition: None,
        separable: true,
    };
    let load = |machine: &mut Machine, now: i64, event: Event| {
        let mut actions = Vec::new();
        machine.step(now, event, &mut actions);
        let load = actions.iter().find_map(|action| match action {
            Action::Load(load) => Some(load.runs.iter().map(|run| run.partition).collect::<Vec<_>>()),
            _ => None,
        });
        (load.unwrap_or_default(), actions)
    };
    assert_eq!(load(&mut machine, 20, Event::Tick).0, [Partition(0), Partition(1)]);
    assert_eq!(
        load(&mut machine, 21, Event::Loaded(halt())).0,
        [Partition(0)],
        "one alone"
    );
    let (next, actions) = load(&mut machine, 22, Event::Loaded(halt()));
    assert!(
        actions.iter().any(|action| matches!(
            action,
            Action::Alarm {
                partition: Some(Partition(0)),
                ..
            }
        )),
        "{actions:?}"
    );
    assert_eq!(next, [Partition(1)], "the other goes on");
}

#[test]
fn an_added_partition_goes_on_by_itself_when_its_increase_is_in_force() {
    use redshift_spolt::load::growth;
    use redshift_spolt::load::state::TableRow;
    let (mut machine, mut actions) = ready(limits(10));
    let row = |partitions, grown| {
        Some(TableRow {
            serial: 1,
            generation: "g".into(),
            plan: None,
            partitions: Some(partitions),
            grown,
            order: None,
            refreshing: false,
        })
    };
    let table = row(1, vec![]).unwrap();
    machine.step(0, signal(1, 0, bare(Kind::Genesis, 1, 0, 0)), &mut actions);
    machine.step(50, Event::Tick, &mut actions);
    actions.clear();
    let replanned = Outcome::Replan;
    machine.step(51, Event::Loaded(replanned), &mut actions);
    let state = |table| State {
        table,
        ..State::default()
    };
    machine.step(52, Event::State(state(Some(table))), &mut actions);
    machine.step(99, Event::Tick, &mut actions);
    actions.clear();
    let halt = Outcome::Halt {
        failure: growth::waiting(TOPIC, Partition(1), 1),
        partition: Some(Partition(1)),
        separable: true,
    };
    machine.step(100, Event::Loaded(halt), &mut actions);
    assert!(actions.contains(&Action::WakeAt(30_100)), "{actions:?}");
    actions.clear();
    machine.step(30_100, Event::Tick, &mut actions);
    assert_eq!(actions, [Action::ReadState]);
    // Accepted, but an old partition has not passed its barrier yet.
    machine.step(30_101, Event::State(state(row(1, vec![]))), &mut actions);
    assert!(machine.view().lineages[&Partition(1)].halted.is_some());
    actions.clear();
    machine.step(60_200, Event::Tick, &mut actions);
    machine.step(60_201, Event::State(state(row(2, vec![1]))), &mut actions);
    assert_eq!(machine.view().lineages[&Partition(1)].halted, None);
    let again = Action::ReadSignals {
        partition: Partition(1),
        from: None,
    };
    assert!(actions.contains(&again), "{actions:?}");
}

#[test]
fn a_refresh_that_is_given_up_is_noticed_without_another_claim() {
    use common::chain::Position;
    use common::ids::Incarnation;
    use redshift_spolt::load::state::{Checkpoint, TableRow};
    let mut actions = Vec::new();
    let mut machine = Machine::new(TOPIC.into(), 2, limits(10), Policy::default(), &mut actions);
    let state = |next, signal_next, refreshing| {
        let checkpoint = Checkpoint {
            cluster: "c1".into(),
            topic: TOPIC.into(),
            position: Position {
                incarnation: Incarnation(0),
                next: Offset(next),
            },
            signal_next: Offset(signal_next),
        };
        State {
            table: Some(TableRow {
                serial: next,
                generation: "g".into(),
                plan: None,
                partitions: Some(2),
                grown: vec![],
                order: None,
                refreshing,
            }),
            lineages: [(Partition(0), checkpoint)].into(),
            ..State::default()
        }
    };
    machine.step(0, Event::State(state(9, 7, true)), &mut actions);
    assert!(actions.contains(&Action::WakeAt(30_000)), "{actions:?}");
    actions.clear();
    machine.step(30_000, Event::Tick, &mut actions);
    assert_eq!(actions, [Action::ReadState]);
    machine.step(30_001, Event::State(state(4, 3, false)), &mut actions);
    let again = Action::ReadSignals {
        partition: Partition(0),
        from: Some(Offset(3)),
    };
    assert!(actions.contains(&again), "{actions:?}");
    assert!(!actions.contains(&Action::WakeAt(60_001)), "{actions:?}");
}
