//! All small signal logs that satisfy I1 and I2: every order of cuts that several writers may leave behind.

use std::sync::Arc;

use common::claim::{Claim, Kind};
use common::ids::Offset;
use common::plan::{Plan, PlanId};

use crate::load::Case;
use crate::records::{Mended, Record, Records, lacks_values, lineage, plans, seal};

/// Which logs.
#[derive(Debug, Clone, Copy)]
pub struct Logs {
    /// At most so many claims with a range.
    pub claims: usize,
    /// Every claim may be written by so many plans.
    pub plans: usize,
}

/// All logs of one partition whose claims reach the end of the records: each claim starts at a `next` that the log has before it, or
/// at the origin, and ends behind any record.
#[must_use]
pub fn logs(records: &Records, logs: Logs) -> Vec<Vec<Claim>> {
    let lineage = lineage(0, 0);
    let ids: Vec<PlanId> = plans().iter().take(logs.plans).map(Plan::id).collect();
    let genesis = Claim {
        partitions: Some(1),
        ..Claim::new(Kind::Genesis, &lineage, Offset(0), Offset(0))
    };
    let mut all = Vec::new();
    let mut open = vec![vec![genesis]];
    while let Some(log) = open.pop() {
        let reach = log.iter().map(|claim| claim.next).max().unwrap_or(Offset(0));
        // What follows the last visible record is for the next claim, and there is none.
        if records.visible(reach, records.end()).next().is_none() {
            all.push(log.clone());
        }
        if log.len() > logs.claims {
            continue;
        }
        let mut starts: Vec<Offset> = log.iter().map(|claim| claim.next).collect();
        starts.sort_unstable();
        starts.dedup();
        for start in starts {
            for next in records.cuts(start) {
                for plan in &ids {
                    let claim = seal(&lineage, records, start, next, plan, None);
                    open.push([&log[..], &[claim]].concat());
                }
            }
        }
    }
    all
}

fn case(records: &[Records], log: Vec<Claim>, damaged: bool) -> Case {
    // A truncate takes the values before it away.
    let lacking = |records: &Records| {
        let truncates = records
            .visible(Offset(0), records.end())
            .filter(|(_, record)| *record == Record::Truncate)
            .map(|(offset, _)| offset);
        let ends: Vec<Offset> = truncates.chain([records.end()]).collect();
        let starts = std::iter::once(Offset(0)).chain(ends.iter().copied());
        starts
            .zip(&ends)
            .any(|(start, end)| lacks_values(&records.rows((0, 0), start, *end).into_iter().collect()))
    };
    Case {
        records: vec![records.to_vec()],
        logs: vec![log.into_iter().map(Arc::new).collect()],
        damaged,
        lacking: records.iter().any(lacking),
        insists: insists(records),
    }
}

/// Whether some key of a bad record cannot be read, and no key is ever deleted: whoever insists on such a record takes it upon himself that
/// a delete of its key would not have been noticed.
fn insists(records: &[Records]) -> bool {
    let all = || records.iter().flat_map(|records| &records.0);
    let deletes = |record: &Record| {
        matches!(
            record,
            Record::Delete(_) | Record::Move(..) | Record::Truncate | Record::Bad(Mended::Delete(_), _)
        )
    };
    all().any(|record| matches!(record, Record::Bad(..))) && !all().any(deletes)
}

/// Whole logs.
#[must_use]
pub fn whole(records: &[Records], bounds: Logs) -> Vec<Case> {
    let of = |records: &Records| {
        let records = records.clone();
        logs(&records, bounds)
            .into_iter()
            .map(move |log| case(std::slice::from_ref(&records), log, false))
            .collect::<Vec<_>>()
    };
    records.iter().flat_map(of).collect()
}

/// Logs of which one claim is missing (not the genesis).
#[must_use]
pub fn damaged(records: &[Records], bounds: Logs) -> Vec<Case> {
    let mut all = Vec::new();
    for records in records {
        for log in logs(records, bounds) {
            for index in 1..log.len() {
                let mut log = log.clone();
                log.remove(index);
                all.push(case(std::slice::from_ref(records), log, true));
            }
        }
    }
    all
}

/// The same, mended: the missing claim is written again at the end, or at any place in between.
#[must_use]
pub fn mended(records: &Records, bounds: Logs) -> Vec<Case> {
    let mut all = Vec::new();
    for log in logs(records, bounds) {
        for index in 1..log.len() {
            for place in index + 1..log.len() {
                let mut log = log.clone();
                let missing = log.remove(index);
                log.insert(place, missing);
                all.push(case(std::slice::from_ref(records), log, false));
            }
        }
    }
    all
}

/// Logs with what changes nothing in them: a later genesis, a horizon, at every place.
#[must_use]
pub fn sprinkled(records: &Records, bounds: Logs) -> Vec<Case> {
    let mut all = Vec::new();
    for log in logs(records, bounds) {
        for index in 1..=log.len() {
            let reach = log[..index].iter().map(|claim| claim.next).max().unwrap_or(Offset(0));
            let genesis = Claim::new(Kind::Genesis, &lineage(0, 0), Offset(1), Offset(1));
            let horizon = Claim::new(Kind::Horizon, &lineage(0, 0), Offset(0), reach);
            let mut more = log.clone();
            more.insert(index, horizon);
            more.insert(index, genesis);
            all.push(case(std::slice::from_ref(records), more, false));
        }
    }
    all
}

/// Logs of two lives: claims of the first, a `reset` at every place behind its beginning, claims of the second, and what zombies of
/// the first still append behind it.
#[must_use]
pub fn two_lives(first: &Records, second: &Records, bounds: Logs) -> Vec<Case> {
    let second_life = |log: Vec<Claim>| -> Vec<Claim> {
        let reset = Claim::new(Kind::Reset, &lineage(1, 0), Offset(0), Offset(0));
        let again = |claim: &Claim| {
            let plan = claim.plan.clone().unwrap_or(PlanId(String::new()));
            seal(&lineage(1, 0), second, claim.start, claim.next, &plan, None)
        };
        std::iter::once(reset).chain(log[1..].iter().map(again)).collect()
    };
    let mut all = Vec::new();
    for before in logs(first, bounds) {
        for after in logs(second, bounds) {
            let after = second_life(after);
            for reset in 1..=before.len() {
                // The zombie's claims come right behind the reset, and at the very end.
                for late in [1, after.len()] {
                    let log = [&before[..reset], &after[..late], &before[reset..], &after[late..]].concat();
                    all.push(Case {
                        records: vec![vec![first.clone(), second.clone()]],
                        ..case(&[], log, false)
                    });
                }
            }
        }
    }
    all
}

/// Two partitions in one table, with keys of their own.
#[must_use]
pub fn two_partitions(one: &Records, other: &Records, bounds: Logs) -> Vec<Case> {
    let moved = |log: Vec<Claim>| -> Vec<Claim> {
        let place = lineage(0, 1);
        let again = |claim: &Claim| match &claim.plan {
            Some(plan) => seal(&place, other, claim.start, claim.next, plan, None),
            None => Claim {
                partitions: Some(2),
                ..Claim::new(claim.kind, &place, claim.start, claim.next)
            },
        };
        log.iter().map(again).collect()
    };
    let mut all = Vec::new();
    for mut log in logs(one, bounds) {
        log[0].partitions = Some(2);
        for second in logs(other, bounds) {
            let arcs = |log: Vec<Claim>| log.into_iter().map(Arc::new).collect();
            all.push(Case {
                records: vec![vec![one.clone()], vec![other.clone()]],
                logs: vec![arcs(log.clone()), arcs(moved(second))],
                damaged: false,
                lacking: false,
                insists: false,
            });
        }
    }
    all
}

/// Records by a word: `a` and further lower-case letters put that key, upper-case ones delete it, `>` moves the first key to the
/// second, `1` and further digits put the keys `a` and further and leave their value out, `.` makes no row, `!` truncates, `-` is a hole.
/// Behind `~` a letter or digit is a record that cannot become a row until it is mended, behind `^` one whose key cannot be read either.
#[must_use]
pub fn records(word: &str) -> Records {
    let key = |letter: char| u8::try_from(u32::from(letter) - u32::from('a')).unwrap_or(0);
    let number = |digit: char| u8::try_from(u32::from(digit) - u32::from('1')).unwrap_or(0);
    let mended = |letter: char| match letter {
        '1'..='9' => Mended::Unchanged(number(letter)),
        'A'..='Z' => Mended::Delete(key(letter.to_ascii_lowercase())),
        letter => Mended::Put(key(letter)),
    };
    let mut letters = word.chars();
    let mut all = Vec::new();
    while let Some(letter) = letters.next() {
        all.push(match letter {
            '-' => Record::Hole,
            '!' => Record::Truncate,
            '.' => Record::Bare,
            '>' => Record::Move(0, 1),
            '~' | '^' => Record::Bad(mended(letters.next().unwrap_or('a')), letter == '~'),
            letter => mended(letter).record(),
        });
    }
    Records(all)
}
