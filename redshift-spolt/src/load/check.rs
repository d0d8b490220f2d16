//! Whether a load may go on after what the warehouse answered (rules 17, 18): the checkpoints are still those of the plan, COPY loaded
//! what the claims state, and the compare-and-set moved exactly one row per lineage.

use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::mutant::Mutant;
use runtime::port::Answer;

use super::conflict;
use super::evolve;
use super::machine::Outcome;
use super::order;
use super::run::LoadPlan;
use super::state::{State, TableRow};
use super::statements::{Expect, Purpose, Statement};
use super::unchanged;

/// Judges the answer to one statement of a load. `row` is the table's state row that the plan was made from.
///
/// # Errors
/// With what the load comes to, when it cannot go on.
pub fn check(statement: &Statement, answer: &Answer, load: &LoadPlan, row: Option<&TableRow>) -> Result<(), Outcome> {
    let stop = Err;
    match &statement.expect {
        Expect::Done => Ok(()),
        Expect::State => match State::parse(answer) {
            Ok(state) if bears_out(&state, load, row) => Ok(()),
            Ok(_) => stop(Outcome::Replan),
            Err(failure) => stop(Outcome::Halt {
                failure,
                partition: None,
                separable: false,
            }),
        },
        Expect::Catalog(expected) if evolve::parse(answer) == *expected => Ok(()),
        Expect::Catalog(_) => stop(Outcome::Retry(Failure::retry(
            "the table's columns were changed by somebody else meanwhile",
        ))),
        Expect::CopyCount(expected) => {
            let loaded = answer.rows.first().and_then(|row| row.first().cloned().flatten());
            if loaded.as_deref().and_then(|text| text.trim().parse().ok()) == Some(*expected) {
                return Ok(());
            }
            let failure = Failure::halt(format!(
                "the claims state `{expected}` rows, but COPY loaded `{}`: a claim is untrue",
                loaded.unwrap_or_else(|| "nothing".into())
            ))
            .hint(
                "an object was changed or replaced on S3; nothing was loaded. keep the objects as evidence, and compare their SHA-256 \
                 with their claims",
            );
            let mut objects = load.groups.iter().flat_map(|group| group.entries());
            let failure = match (objects.next(), objects.next()) {
                (Some(only), None) => failure.key(only.key),
                _ => failure,
            };
            stop(Outcome::Halt {
                failure,
                partition: None,
                separable: true,
            })
        }
        Expect::NoneClosed if answer.rows.is_empty() => Ok(()),
        Expect::NoneClosed => stop(Outcome::Replan),
        Expect::NoConflict => conflict::found(answer, load).map_or(Ok(()), stop),
        Expect::AllPlaced => order::unplaced(answer, load).map_or(Ok(()), stop),
        Expect::NoneLeft => left_out(answer, load).map_or(Ok(()), stop),
        Expect::Affected(expected) if answer.affected == *expected => Ok(()),
        Expect::Affected(_) if matches!(statement.purpose, Purpose::Checkpoint | Purpose::TableRow) => {
            stop(Outcome::Replan)
        }
        Expect::Affected(expected) => stop(Outcome::Retry(Failure::retry(format!(
            "{}: `{}` rows were touched, `{expected}` expected",
            statement.purpose.phase(),
            answer.affected
        )))),
    }
}

/// Rule 25: a row whose left-out value is nowhere to be had, if there is one.
fn left_out(answer: &Answer, load: &LoadPlan) -> Option<Outcome> {
    let number = |index: usize| {
        let row = answer.rows.first()?;
        row.get(index)?.as_deref()?.trim().parse::<i64>().ok()
    };
    let rows = number(0).filter(|rows| *rows > 0)?;
    let partition = number(1)
        .and_then(|partition| i32::try_from(partition).ok())
        .map(Partition);
    let columns: Vec<&str> = unchanged::marked(load).into_iter().collect();
    let failure = Failure::halt(format!(
        "the source left out unchanged values of `{}` in `{rows}` rows, and neither earlier changes nor the table have them",
        columns.join("`, `")
    ))
    .hint("take a new snapshot of the source table, or set it to REPLICA IDENTITY FULL so that updates carry every column");
    let failure = number(2).map_or(failure.clone(), |offset| failure.offset(Offset(offset)));
    Some(Outcome::Halt {
        failure: partition.map_or(failure.clone(), |partition| failure.partition(partition)),
        partition,
        separable: true,
    })
}

/// Whether the checkpoints are still those that the load was planned from.
fn bears_out(state: &State, load: &LoadPlan, row: Option<&TableRow>) -> bool {
    if Mutant::NoLockNoCompareAndSet.is_on() {
        return true;
    }
    state.table.as_ref() == row
        && load.runs.iter().all(|run| {
            let stored = state.lineages.get(&run.partition);
            stored.map(|checkpoint| checkpoint.position) == run.stored
                && stored.is_none_or(|checkpoint| checkpoint.cluster == run.cluster && checkpoint.topic == run.topic)
        })
}
