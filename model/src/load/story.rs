//! Counterexamples of part B in words: one line per step.

use common::ids::Partition;
use redshift_spolt::load::run::LoadPlan;

use super::{Begun, Loading, Operator, State, Step};
use crate::records;
use crate::warehouse::{Warehouse, place};

impl Loading {
    pub(super) fn beginning_words(&self, state: &State) -> Vec<String> {
        let case = &self.cases[state.case as usize];
        let mut lines = Vec::new();
        for (partition, (lives, log)) in case.records.iter().zip(&case.logs).enumerate() {
            for (life, records) in lives.iter().enumerate() {
                lines.push(format!("partition {partition}, life {life}: {}", records.words()));
            }
            let claims: Vec<String> = log.iter().map(|claim| records::words(claim, &self.plan_ids)).collect();
            lines.push(format!("signal log {partition}: {}", claims.join(" | ")));
        }
        lines
    }

    /// Records set aside, and what became of them.
    fn statuses(&self, state: &State) -> String {
        let warehouse = self.warehouses.get(state.warehouses[0]);
        let Some(sheet) = warehouse.sheet() else {
            return String::new();
        };
        let one = sheet.aside.lines().map(|line| {
            let of = |name: &str| line.text(name).unwrap_or_default();
            format!("{} {}", of("_kafka_offset"), of("_kafka_status"))
        });
        one.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn step_words(&self, before: &State, step: &Step, after: &State) -> String {
        let case = &self.cases[before.case as usize];
        let stands = |home: usize| {
            let warehouse = self.warehouses.get(after.warehouses[home]);
            let at = (0..case.logs.len())
                .map(|index| place(warehouse.position(Partition(i32::try_from(index).unwrap_or(0)))));
            at.collect::<Vec<_>>().join(", ")
        };
        let plan = |loader: u8| {
            let now = self.loaders.get(after.loaders[usize::from(loader)]);
            match &now.load {
                Some(Begun::Not(load, _)) => format!("; plans {}", plan_words(load)),
                _ if now.alarm => "; it stands still with an alarm".to_owned(),
                _ => String::new(),
            }
        };
        match *step {
            Step::Deliver(loader, partition) => {
                let at = self.loaders.get(before.loaders[usize::from(loader)]).cursors[usize::from(partition)];
                let claim = &case.logs[usize::from(partition)][usize::from(at.unwrap_or(0))];
                format!(
                    "loader {loader} reads {}{}",
                    records::words(claim, &self.plan_ids),
                    plan(loader)
                )
            }
            Step::ReadState(loader) => {
                format!(
                    "loader {loader} reads the state: {}{}",
                    stands(self.home(loader)),
                    plan(loader)
                )
            }
            Step::Tick(loader) => format!("loader {loader} wakes up{}", plan(loader)),
            Step::Begin(loader) => format!("loader {loader} compiles its load and says BEGIN{}", plan(loader)),
            Step::Open(loader) => {
                let warehouse = self.warehouses.get(after.warehouses[self.home(loader)]);
                let on = if warehouse.session_of(loader).is_some() {
                    "goes on"
                } else {
                    "rolls back"
                };
                format!("loader {loader} takes its snapshot and {on}{}", plan(loader))
            }
            Step::Commit(loader) => {
                let here = |state: &State| Warehouse {
                    sessions: Vec::new(),
                    ..Warehouse::clone(&self.warehouses.get(state.warehouses[self.home(loader)]))
                };
                let what = if here(before) == here(after) {
                    "is rolled back"
                } else {
                    "commits"
                };
                format!("loader {loader} {what}: {}{}", stands(self.home(loader)), plan(loader))
            }
            Step::Lose(loader) => format!("loader {loader} loses its connection{}", plan(loader)),
            Step::Crash(loader) => format!("loader {loader} dies and starts again"),
            Step::Restart(loader) => format!("loader {loader} is restarted"),
            Step::Land(home, _) => {
                format!(
                    "the transaction that nobody waits for commits: {}",
                    stands(usize::from(home))
                )
            }
            Step::Abort(..) => "the transaction that nobody waits for is rolled back".to_owned(),
            Step::Backup => format!("a backup is taken: {}", stands(0)),
            Step::Restore => format!("the warehouse is restored from the backup: {}", stands(0)),
            Step::Collect => format!("objects up to {} are collected", after.collected),
            Step::Look(chosen) => format!("an operator wants to replay {}", chosen.words()),
            Step::Prepare => "his command reads the state, and makes rows".to_owned(),
            Step::BeginReplay => format!("his command says BEGIN{}", gives_up(after)),
            Step::OpenReplay => format!("his command takes its snapshot{}", gives_up(after)),
            Step::CommitReplay => {
                let statuses = |state: &State| self.statuses(state);
                let what = if statuses(before) == statuses(after) {
                    "is rolled back"
                } else {
                    "commits"
                };
                format!("his command {what}; set aside: {}", statuses(after))
            }
            Step::OperatorDies => "his command dies".to_owned(),
            Step::Discard(_, offset) => format!("an operator gives {offset} up; set aside: {}", self.statuses(after)),
        }
    }
}

fn gives_up(after: &State) -> &'static str {
    match after.operator {
        Operator::Idle => ", and begins anew",
        _ => "",
    }
}

fn plan_words(load: &LoadPlan) -> String {
    let runs = load.runs.iter().map(|run| {
        let trim = run
            .trim
            .map_or(String::new(), |below| format!(", trimmed below {below}"));
        format!("{} -> {}{trim}", run.from.next, run.to.next)
    });
    let groups = load.groups.iter().map(|group| {
        let claims = group
            .claims
            .iter()
            .map(|claim| format!("{}..{}", claim.start, claim.next));
        format!("[{}]", claims.collect::<Vec<_>>().join(" "))
    });
    let dedupe = if load.dedupe { ", deduplicated" } else { "" };
    format!(
        "{} from {}{dedupe}",
        runs.collect::<Vec<_>>().join(" and "),
        groups.collect::<Vec<_>>().join(" "),
    )
}
