//! Somebody who looks at what stands still from time to time, and runs the command that its alarm asks for.

use std::collections::BTreeMap;

use common::ids::Partition;

use crate::dice::Dice;
use crate::group::Unit;
use crate::judge::Halted;
use crate::schedule::{Command, Damage};
use crate::workload::{APPENDED, KEYED};
use crate::world::State;

/// How long a command has to take effect before it is run again, milliseconds: a halted lineage looks at the log every half minute.
const PATIENCE_MS: u64 = 40_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Attendant {
    /// When each command may be run next.
    next: BTreeMap<Command, u64>,
}

impl Attendant {
    /// The commands to be run now; what was seen first is left alone for a while, and sometimes two people run the same.
    pub fn turn(&mut self, state: &State, halted: &[Halted], now: u64, dice: &mut Dice) -> Vec<Command> {
        let mut commands = Vec::new();
        for command in halted.iter().filter_map(|one| remedy(state, halted, one)) {
            let first = now + dice.between(100, 4_000);
            let next = self.next.entry(command).or_insert(first);
            if *next <= now {
                *next = now + PATIENCE_MS;
                commands.push(command);
                if dice.chance(15) {
                    commands.push(command);
                }
            }
        }
        commands
    }
}

/// The command that mends one of the things that stand still, if there is one.
#[must_use]
pub fn remedy(state: &State, all: &[Halted], halted: &Halted) -> Option<Command> {
    let topic = if halted.topic == APPENDED { APPENDED } else { KEYED };
    if let Some(target) = halted.target {
        // Rule 20: accepted is when every producer uses all partitions and no transaction from before is open; and the old partitions
        // must be able to catch up.
        let waits = |halted: &Halted| halted.reason.contains("the partition was added");
        let stuck =
            |other: &Halted| other.topic == halted.topic && other.target.is_none_or(|of| of == target) && !waits(other);
        let mends = waits(halted) && state.open_transaction.is_none() && !all.iter().any(stuck);
        return mends.then_some(Command::Accept(target));
    }
    let unit: Unit = (topic, halted.partition?);
    let reason = &halted.reason;
    if is_one_too_many(reason) {
        return Some(Command::RaiseLimit);
    }
    match state.watch.damaged.get(&unit) {
        Some(Damage::Recreated) if reason.contains("the topic was recreated") => Some(Command::Reset(topic, None)),
        Some(Damage::UpstreamTruncated(_)) => Some(Command::Reset(topic, Some(unit.1))),
        Some(Damage::Poison) => poison(state, unit).map(|_| Command::Gap(topic, unit.1)),
        _ if reason.contains("records were deleted before they were read") => Some(Command::Gap(topic, unit.1)),
        _ => None,
    }
}

/// Whether more records cannot become rows than a partition may set aside.
#[must_use]
pub fn is_one_too_many(reason: &str) -> bool {
    reason.contains("others of this partition were set aside within the hour")
}

/// Where the record lies that cannot be read.
#[must_use]
pub fn poison(state: &State, unit: (&str, Partition)) -> Option<common::ids::Offset> {
    let log = state.upstream.log(unit.0, unit.1)?;
    let record = log
        .visible()
        .find(|record| record.change == crate::workload::Change::Poison)?;
    Some(record.offset)
}
