//! Random signal logs as several writers may leave them, and the abstract effect of a load on an append table.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use common::chain::Policy;
use common::claim::{Claim, Kind};
use common::ids::{Offset, Partition};
use common::plan::PlanId;
use proptest::prelude::*;
use redshift_spolt::load::machine::{Limits, Outcome};
use redshift_spolt::load::run::{Caps, LoadPlan};
use redshift_spolt::load::state::{Checkpoint, State, TableRow};
use redshift_spolt::load::{Action, Event, Machine};

use super::{TOPIC, bare, data};

/// One step of a writer: which known `next` it starts from, how many offsets it covers, what it writes, and by which plan.
pub type Cut = (prop::sample::Index, i64, u8, bool);

pub fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    proptest::collection::vec((any::<prop::sample::Index>(), 1i64..6, 0u8..10, any::<bool>()), 0..14)
}

/// The log of one partition: every claim starts at a `next` that is in the log before it (rule 3 of the chain).
pub fn log(partition: i32, origin: i64, cuts: &[Cut], plans: &[PlanId; 2]) -> Vec<Claim> {
    let mut log = vec![bare(Kind::Genesis, partition, origin, origin)];
    let mut seen = vec![origin];
    for (chosen, length, what, wide) in cuts {
        let start = *chosen.get(&seen);
        let next = start + length;
        log.push(match what {
            0 => bare(Kind::Genesis, partition, next, next),
            1 => chosen.get(&log).clone(),
            2 => bare(Kind::Horizon, partition, start, start),
            _ => data(partition, start, next, &plans[usize::from(*wide)]),
        });
        if *what > 2 {
            seen.push(next);
        }
    }
    log
}

/// An append table and its state: how often each (partition, offset) was applied.
#[derive(Debug, Clone, Default)]
pub struct Warehouse {
    pub applied: BTreeMap<(i32, i64), u32>,
    pub state: State,
}

impl Warehouse {
    /// Rule 17 on offsets instead of rows. `true` when the compare-and-set held.
    pub fn apply(&mut self, load: &LoadPlan, guarded: bool) -> Option<TableRow> {
        let stored = |run: &redshift_spolt::load::run::Run| self.state.lineages.get(&run.partition).map(|c| c.position);
        if guarded && load.runs.iter().any(|run| stored(run) != run.stored) {
            return None;
        }
        let mut staged: Vec<(i32, i64)> = Vec::new();
        for group in &load.groups {
            let before = staged.len();
            for claim in &group.claims {
                staged.extend((claim.start.0..claim.next.0).map(|offset| (claim.partition.0, offset)));
            }
            assert_eq!(u64::try_from(staged.len() - before).unwrap(), group.rows, "COPY count");
        }
        for run in &load.runs {
            if let Some(below) = run.trim {
                staged.retain(|(partition, offset)| *partition != run.partition.0 || *offset >= below.0);
            }
        }
        if load.dedupe {
            staged.sort_unstable();
            staged.dedup();
        }
        for row in staged {
            *self.applied.entry(row).or_default() += 1;
        }
        for run in &load.runs {
            let checkpoint = Checkpoint {
                cluster: run.cluster.clone(),
                topic: run.topic.clone(),
                position: run.to,
                signal_next: run.signal_next,
            };
            self.state.lineages.insert(run.partition, checkpoint);
        }
        let serial = self.state.table.as_ref().map_or(0, |row| row.serial) + 1;
        let row = TableRow {
            serial,
            generation: "g".into(),
            plan: None,
            partitions: None,
            grown: Vec::new(),
            order: None,
            refreshing: false,
        };
        self.state.table = Some(row.clone());
        Some(row)
    }
}

/// One loader over given logs: carries out what its machine asks for.
pub struct Loader {
    pub machine: Machine,
    actions: Vec<Action>,
    now: i64,
    pub in_flight: Option<LoadPlan>,
    pub alarms: Vec<String>,
    policy: Policy,
    limits: Limits,
    partitions: i32,
}

pub fn limits(claims: u64) -> Limits {
    Limits {
        age_ms: 10,
        rows: 1_000,
        bytes: 1 << 30,
        caps: Caps {
            claims,
            rows: 40,
            bytes: 1 << 30,
        },
        queue_claims: 8,
    }
}

impl Loader {
    pub fn new(partitions: i32, limits: Limits, policy: Policy) -> Loader {
        let mut actions = Vec::new();
        let machine = Machine::new(TOPIC.into(), partitions, limits, policy, &mut actions);
        Loader {
            machine,
            actions,
            now: 0,
            in_flight: None,
            alarms: Vec::new(),
            policy,
            limits,
            partitions,
        }
    }

    /// As after kill -9.
    pub fn crash(&mut self) {
        *self = Loader {
            now: self.now,
            ..Loader::new(self.partitions, self.limits, self.policy)
        };
    }

    /// Carries out everything but loads, which wait in `in_flight`.
    pub fn settle(&mut self, logs: &[Vec<Claim>], warehouse: &Warehouse) {
        for _ in 0..200 {
            if self.actions.is_empty() {
                self.now += 100_000;
                let now = self.now;
                self.machine.step(now, Event::Tick, &mut self.actions);
                if self.actions.iter().all(|action| matches!(action, Action::WakeAt(_))) {
                    self.actions.clear();
                    return;
                }
            }
            for action in std::mem::take(&mut self.actions) {
                self.carry_out(action, logs, warehouse);
            }
            if self.in_flight.is_some() {
                return;
            }
        }
        panic!("the machine never settles: {:?}", self.machine.view());
    }

    fn carry_out(&mut self, action: Action, logs: &[Vec<Claim>], warehouse: &Warehouse) {
        match action {
            Action::ReadState => {
                self.machine
                    .step(self.now, Event::State(warehouse.state.clone()), &mut self.actions);
            }
            Action::ReadSignals { partition, from } => {
                self.machine.step(
                    self.now,
                    Event::LogBegins {
                        partition,
                        low: Offset(0),
                    },
                    &mut self.actions,
                );
                let skip = usize::try_from(from.map_or(0, |from| from.0)).unwrap();
                for (index, claim) in logs[usize::try_from(partition.0).unwrap()]
                    .iter()
                    .enumerate()
                    .skip(skip)
                {
                    let offset = Offset(i64::try_from(index).unwrap());
                    let event = Event::Signal {
                        partition,
                        offset,
                        claim: Arc::new(claim.clone()),
                    };
                    self.machine.step(self.now, event, &mut self.actions);
                    if self.reads_elsewhere() {
                        return;
                    }
                }
            }
            Action::Load(load) => self.in_flight = Some(*load),
            Action::Alarm { failure, .. } => self.alarms.push(failure.to_string()),
            Action::StopSignals { .. } | Action::Pause | Action::Resume | Action::Publish(_) | Action::WakeAt(_) => {}
        }
    }

    /// Signals of partition 0 that arrived while the loader was listening, from this one on.
    pub fn hear(&mut self, logs: &[Vec<Claim>], from: usize) {
        for (index, claim) in logs[0].iter().enumerate().skip(from) {
            let event = Event::Signal {
                partition: Partition(0),
                offset: Offset(i64::try_from(index).unwrap()),
                claim: Arc::new(claim.clone()),
            };
            self.machine.step(self.now, event, &mut self.actions);
            if self.reads_elsewhere() {
                return;
            }
        }
    }

    /// Whether the machine has asked for another place of the log: the driver ignores what an earlier reading still delivers.
    fn reads_elsewhere(&self) -> bool {
        let elsewhere = |action: &Action| matches!(action, Action::ReadSignals { .. });
        self.actions.iter().any(elsewhere)
    }

    /// Ends the load in flight.
    pub fn end(&mut self, outcome: Outcome) {
        self.in_flight = None;
        self.machine.step(self.now, Event::Loaded(outcome), &mut self.actions);
    }
}

/// Offsets that some claim with rows covers, from the origin on.
pub fn expected(logs: &[Vec<Claim>]) -> BTreeMap<(i32, i64), u32> {
    let mut expected = BTreeMap::new();
    for log in logs {
        for claim in log.iter().filter(|claim| claim.kind == Kind::Data) {
            expected.extend((claim.start.0..claim.next.0).map(|offset| ((claim.partition.0, offset), 1)));
        }
    }
    expected
}

pub fn partition(number: i32) -> Partition {
    Partition(number)
}
