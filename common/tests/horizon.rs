//! A bucket, a signal log, targets that come, load, restart and leave, and collectors that overtake each other, stepped at random: no
//! object goes that a target still needs (I8), and no target begins where something is gone. With the mutants, that this would be seen.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::{BTreeMap, BTreeSet};

use common::chain::{Link, Position};
use common::claim::Kind;
use common::horizon::{self, Candidate, Survey, bound, may_delete};
use common::ids::{Incarnation, Offset, Partition};
use common::invariants::collected;
use common::progress::{Pin, Pinned, Progress, Registry, Statement};
use proptest::prelude::*;

const TOPIC: &str = "t";
const TARGETS: [&str; 3] = ["a", "b", "c"];

fn at(next: i64) -> Position {
    Position {
        incarnation: Incarnation(0),
        next: Offset(next),
    }
}

/// How far a target has got with beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Life {
    Away,
    Registered,
    Loading(Position),
    Halted,
}

/// How far a collector has got.
#[derive(Debug, Clone, Copy)]
enum Sweep {
    Idle,
    Computed(Position),
    Announced(Position),
    Deleting(Option<Position>),
}

#[derive(Debug)]
struct World {
    objects: BTreeSet<(i64, i64)>,
    /// All that were ever put: a late writer may claim what is gone.
    put: BTreeSet<(i64, i64)>,
    /// Objects that a claim names.
    named: BTreeSet<(i64, i64)>,
    end: i64,
    log: Vec<Link>,
    said: Vec<Statement>,
    lives: [Life; 3],
    sweeps: [Sweep; 2],
    violation: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A writer puts an object, and claims it or dies before.
    Write(i64, bool),
    /// Somebody claims an object that was put and not named.
    LateClaim,
    /// A target registers.
    Come(usize),
    Target(usize),
    Publish(usize),
    Collector(usize),
    /// The collector dies.
    Crash(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1i64..4, any::<bool>()).prop_map(|(length, named)| Step::Write(length, named)),
        1 => Just(Step::LateClaim),
        1 => (1usize..3).prop_map(Step::Come),
        6 => (0usize..3).prop_map(Step::Target),
        2 => (0usize..3).prop_map(Step::Publish),
        6 => (0usize..2).prop_map(Step::Collector),
        1 => (0usize..2).prop_map(Step::Crash),
    ];
    proptest::collection::vec(step, 1..120)
}

fn link(kind: Kind, start: i64, next: i64) -> Link {
    Link {
        kind,
        incarnation: Incarnation(0),
        start: Offset(start),
        next: Offset(next),
    }
}

impl World {
    fn new() -> World {
        World {
            objects: BTreeSet::new(),
            put: BTreeSet::new(),
            named: BTreeSet::new(),
            end: 0,
            log: vec![link(Kind::Genesis, 0, 0)],
            said: Vec::new(),
            lives: [Life::Loading(at(0)), Life::Away, Life::Away],
            sweeps: [Sweep::Idle; 2],
            violation: None,
        }
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        self.said.iter().cloned().for_each(|statement| registry.take(statement));
        registry
    }

    /// As the operator would have it: whoever is registered is expected.
    fn horizon(&self) -> Option<Position> {
        let registry = self.registry();
        let expected: BTreeSet<String> = registry.targets(TOPIC).map(|(target, _)| target.to_owned()).collect();
        horizon::of_lineage(&registry, "c", TOPIC, Partition(0), &expected)
            .ok()
            .and_then(|slowest| slowest.at)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(length, named) => {
                let object = (self.end, self.end + length);
                // What was put once is not put again: its key is taken, or was.
                if self.put.insert(object) {
                    self.objects.insert(object);
                }
                if named {
                    self.claim(object);
                }
            }
            Step::LateClaim => {
                let orphan = self.put.difference(&self.named).next().copied();
                if let Some(orphan) = orphan.filter(|orphan| orphan.0 <= self.end) {
                    self.claim(orphan);
                }
            }
            Step::Come(who) if self.lives[who] == Life::Away => {
                self.pin(who, None);
                self.lives[who] = Life::Registered;
            }
            Step::Come(_) => {}
            Step::Target(who) => self.target(who),
            Step::Publish(who) => {
                if let Life::Loading(position) = self.lives[who] {
                    self.said.push(Statement::Progress(Progress {
                        target: TARGETS[who].into(),
                        table: String::new(),
                        cluster: "c".into(),
                        topic: TOPIC.into(),
                        incarnation: position.incarnation,
                        partition: Partition(0),
                        next: position.next,
                        committed_at_ms: 0,
                        load: None,
                    }));
                }
            }
            Step::Collector(which) => self.collect(which),
            Step::Crash(which) => self.sweeps[which] = Sweep::Idle,
        }
    }

    fn claim(&mut self, object: (i64, i64)) {
        self.named.insert(object);
        self.log.push(link(Kind::Data, object.0, object.1));
        self.end = self.end.max(object.1);
    }

    fn target(&mut self, who: usize) {
        self.lives[who] = match self.lives[who] {
            Life::Registered => {
                let mut survey = Survey::default();
                self.log.iter().for_each(|link| survey.take(link));
                match survey.may_begin(None) {
                    Ok(()) => Life::Loading(survey.origin.unwrap()),
                    Err(_) => Life::Halted,
                }
            }
            Life::Loading(position) => Life::Loading(self.load(who, position)),
            still @ (Life::Away | Life::Halted) => still,
        };
    }

    fn pin(&mut self, who: usize, position: Option<Position>) {
        let pinned = |position: Position| Pinned {
            cluster: "c".into(),
            partition: Partition(0),
            incarnation: position.incarnation,
            next: position.next,
        };
        self.said.push(Statement::Pin(Pin {
            target: TARGETS[who].into(),
            table: String::new(),
            topic: TOPIC.into(),
            positions: position.into_iter().map(pinned).collect(),
            at_ms: 0,
        }));
    }

    /// Applies the next claim of the log that moves the checkpoint; its object must be there.
    fn load(&mut self, who: usize, position: Position) -> Position {
        let next = self
            .log
            .iter()
            .find(|link| link.kind == Kind::Data && link.start <= position.next && link.next > position.next);
        let Some(next) = next else { return position };
        if !self.objects.contains(&(next.start.0, next.next.0)) {
            let (start, end) = (next.start, next.next);
            let target = TARGETS[who];
            self.violation
                .get_or_insert(format!("target `{target}` at {position} misses `{start}..{end}`"));
            return position;
        }
        at(next.next.0)
    }

    fn collect(&mut self, which: usize) {
        self.sweeps[which] = match self.sweeps[which] {
            Sweep::Idle => self.horizon().map_or(Sweep::Idle, Sweep::Computed),
            Sweep::Computed(horizon) => {
                self.log.push(link(Kind::Horizon, horizon.next.0, horizon.next.0));
                Sweep::Announced(horizon)
            }
            Sweep::Announced(horizon) => Sweep::Deleting(bound(horizon, self.horizon())),
            Sweep::Deleting(horizon) => {
                let goes = |object: &(i64, i64)| {
                    let candidate = Candidate {
                        kind: Kind::Data,
                        end: at(object.1),
                        age_ms: 10,
                    };
                    may_delete(candidate, horizon, 10, || self.named.contains(object))
                };
                match self.objects.iter().copied().find(goes) {
                    Some(object) => {
                        self.objects.remove(&object);
                        self.judge(object);
                        Sweep::Deleting(horizon)
                    }
                    None => Sweep::Idle,
                }
            }
        };
    }

    /// I8, over all targets that loaded or may still load from the origin.
    fn judge(&mut self, object: (i64, i64)) {
        let checkpoints: BTreeMap<String, Offset> = self
            .lives
            .iter()
            .zip(TARGETS)
            .filter_map(|(life, target)| match life {
                Life::Loading(position) => Some((target.to_owned(), position.next)),
                _ => None,
            })
            .collect();
        if let Err(violation) = collected(Offset(object.1), &checkpoints) {
            self.violation.get_or_insert(violation.to_string());
        }
    }
}

fn run(steps: &[Step]) -> World {
    let mut world = World::new();
    world.pin(0, Some(at(0)));
    steps.iter().for_each(|step| world.step(*step));
    world
}

#[cfg(not(feature = "drills"))]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn nothing_goes_that_a_target_needs(steps in steps()) {
        let world = run(&steps);
        prop_assert_eq!(&world.violation, &None);
    }
}

/// The property, that collections do take place in it, and the mutants: one test, since a switch holds for the whole process.
#[cfg(feature = "drills")]
#[test]
fn nothing_goes_that_a_target_needs_unless_a_mutant_is_on() {
    use common::mutant::{Mutant, switch_on};
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let all: Vec<Vec<Step>> = (0..4_000)
        .map(|_| steps().new_tree(&mut runner).unwrap().current())
        .collect();
    let first = |mutants: &[Mutant]| {
        switch_on(mutants);
        let worlds = all.iter().map(|steps| run(steps));
        let found = worlds
            .enumerate()
            .find_map(|(index, world)| world.violation.map(|violation| (index, violation)));
        switch_on(&[]);
        found
    };
    assert_eq!(first(&[]), None);
    let halted = all
        .iter()
        .filter(|steps| run(steps).lives.contains(&Life::Halted))
        .count();
    let swept = all
        .iter()
        .filter(|steps| {
            let world = run(steps);
            world.objects.len() < world.named.len()
        })
        .count();
    assert!(
        halted > 100 && swept > 100,
        "{halted} runs refused a target, {swept} collected"
    );
    for mutant in [Mutant::CollectUnreferenced, Mutant::HorizonByTheFastest] {
        let (index, violation) = first(&[mutant]).unwrap_or_else(|| panic!("{mutant:?} was not noticed"));
        println!("{mutant:?}: noticed in run {index}: {violation}");
    }
}
