//! Counterexamples of part A in words: one line per step.

use super::{Ask, Errand, Spolting, State, Step};
use crate::records;

impl Spolting {
    pub(super) fn beginning_words(&self, state: &State) -> Vec<String> {
        let lives = &self.bounds.upstream[usize::from(state.pattern)];
        let lives = lives.iter().enumerate();
        lives
            .map(|(life, records)| format!("life {life} of the topic: {}", records.words()))
            .collect()
    }

    pub(super) fn step_words(&self, before: &State, step: &Step, after: &State) -> String {
        let phase = |number: u8| {
            let process = self.processes.get(after.spolts[usize::from(number)]);
            let at = process.machine.pos().map_or(String::new(), |pos| format!(" at {pos}"));
            format!("it is {}{at}", process.machine.phase_name())
        };
        let op = |index: u8| {
            let op = self.flights.get(before.flight)[usize::from(index)];
            let claim = self.claims.get(op.claim);
            let what = if op.errand == Errand::Put { "PUT" } else { "signal" };
            let whose = op
                .owner
                .map_or("nobody".to_owned(), |(owner, _)| format!("spolt {owner}"));
            let key = claim.object.as_ref().filter(|_| op.errand == Errand::Put);
            let key = key
                .and_then(|object| object.key.rsplit('/').next())
                .map_or(String::new(), |key| format!(" as {key}"));
            format!(
                "the {what} of {}{key}, for which {whose} waits,",
                records::words(&claim, &[])
            )
        };
        let log = || {
            let log = self.logs.get(after.log);
            let words: Vec<String> = log
                .iter()
                .map(|claim| records::words(&self.claims.get(*claim), &[]))
                .collect();
            format!("log: {}", words.join(" | "))
        };
        match step {
            Step::Own(number) => format!("spolt {number} is given the partition"),
            Step::Revoke(number) => format!("spolt {number} loses the partition"),
            Step::Crash(number) => format!("spolt {number} dies and starts again"),
            Step::Wake(number) => format!("spolt {number} wakes up; {}", phase(*number)),
            Step::Answer(number) => {
                let asked = self.processes.get(before.spolts[usize::from(*number)]);
                let asked = match &asked.asks {
                    Some(Ask::ReadBack(u64::MAX)) => "reads the whole signal log".to_owned(),
                    Some(Ask::ReadBack(count)) => format!("reads the last {count} signals"),
                    Some(Ask::Facts) => "asks for the topic's bounds".to_owned(),
                    Some(Ask::Fingerprint(offset)) => format!("looks at the record at {offset}"),
                    Some(Ask::Bare(_)) => "puts its genesis on S3".to_owned(),
                    Some(Ask::Cut) | None => "has nothing open".to_owned(),
                };
                format!("spolt {number} {asked}; {}", phase(*number))
            }
            Step::Seal(number, _) => {
                let process = self.processes.get(after.spolts[usize::from(*number)]);
                let sealed = process
                    .sealed
                    .last()
                    .map(|claim| records::words(&self.claims.get(*claim), &[]));
                format!("spolt {number} seals {}", sealed.unwrap_or_default())
            }
            Step::FetchFails(number) => format!("spolt {number} fetches what is no longer there; {}", phase(*number)),
            Step::Land(index) => format!("{} lands; {}", op(*index), log()),
            Step::Acknowledge(index) => format!("{} is acknowledged", op(*index)),
            Step::Fail(index) => format!("{} is not answered", op(*index)),
            Step::Double(index) => format!("{} will land once more", op(*index)),
            Step::Apply(number) => {
                let target = &after.targets[usize::from(*number)];
                let halted = target
                    .halted
                    .map_or(String::new(), |halted| format!("; it halts: {halted:?}"));
                format!(
                    "loader {number} takes the next signal: {}{halted}",
                    crate::warehouse::place(target.at)
                )
            }
            Step::Reread(number) => format!("loader {number} reads from the beginning again"),
            Step::Truncate => format!("the signal log loses its end; {}", log()),
            Step::Recreate => "the topic is created anew".to_owned(),
            Step::Expire => format!("the topic now begins at {}", after.log_start),
            Step::Operate => {
                let claim = self.decided(before).map(|claim| records::words(&claim, &[]));
                format!("an operator sends {}", claim.unwrap_or_default())
            }
            Step::Announce => format!("the collector announces its horizon; {}", log()),
            Step::Look => "the collector reads the positions again".to_owned(),
            Step::Delete(key) => format!("{} is deleted", key.rsplit('/').next().unwrap_or(key)),
            Step::Leave => "the collection ends".to_owned(),
        }
    }
}
