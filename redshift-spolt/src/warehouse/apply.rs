//! Runs a compiled load statement by statement, and turns the end into an outcome. It decides nothing: what an answer must be stands in
//! the script, what an error means in `load::outcome`.

use std::collections::BTreeMap;

use runtime::failpoint;
use runtime::port::{Answer, Session, SqlFailure, World};

use crate::load::conflict;
use crate::load::evolve;
use crate::load::machine::Outcome;
use crate::load::outcome::{Meaning, meaning};
use crate::load::run::LoadPlan;
use crate::load::state::{State, TableRow};
use crate::load::statements::{AUTHORIZATION, Expect, Purpose, Script, Statement};
use crate::load::unchanged;
use crate::warehouse::diagnose;
use common::failure::Failure;
use common::ids::{Offset, Partition};

/// Seconds per phase of a load.
pub type Phases = BTreeMap<&'static str, f64>;

/// How a script ended.
pub struct Ended {
    /// What follows for the table.
    pub outcome: Outcome,
    /// The session is outside a transaction and can be used again.
    pub clean: bool,
    /// Where the time went.
    pub phases: Phases,
}

/// Runs a script. `row` is the table's state row that the plan was made from.
pub async fn apply(
    session: &mut dyn Session,
    script: &Script,
    load: &LoadPlan,
    row: Option<&TableRow>,
    authorization: &str,
    world: &dyn World,
) -> Ended {
    let mut phases = Phases::new();
    let ran = run(session, script, load, row, authorization, world, &mut phases).await;
    let Err(stopped) = ran else {
        return Ended {
            outcome: Outcome::Committed {
                row: script.row.clone(),
            },
            clean: true,
            phases,
        };
    };
    // After an error of the connection there is nobody to roll back with; the server does it when it sees the client gone.
    let clean = session.run("ROLLBACK").await.is_ok();
    let outcome = match stopped {
        Stopped::Outcome(outcome) => outcome,
        Stopped::Failed(Meaning::Retry(failure)) => Outcome::Retry(failure),
        Stopped::Failed(Meaning::Halt(failure)) => Outcome::Halt {
            failure,
            partition: None,
            separable: false,
        },
        Stopped::Failed(Meaning::Untrue(failure)) => Outcome::Halt {
            failure,
            partition: None,
            separable: true,
        },
        Stopped::Failed(Meaning::BadData(failure)) => {
            let found = if clean {
                diagnose::find(session, load, world.now_ms()).await
            } else {
                None
            };
            match found {
                Some(error) => Outcome::Halt {
                    failure: diagnose::failure(&error),
                    partition: diagnose::partition(load, &error),
                    separable: true,
                },
                None => Outcome::Halt {
                    failure,
                    partition: None,
                    separable: true,
                },
            }
        }
    };
    Ended { outcome, clean, phases }
}

enum Stopped {
    Failed(Meaning),
    Outcome(Outcome),
}

async fn run(
    session: &mut dyn Session,
    script: &Script,
    load: &LoadPlan,
    row: Option<&TableRow>,
    authorization: &str,
    world: &dyn World,
    phases: &mut Phases,
) -> Result<(), Stopped> {
    let topic = load.runs.first().map_or("", |run| run.topic.as_str());
    for statement in script.before.iter().chain(&script.transaction) {
        hit_before(statement.purpose, topic).await.map_err(drilled)?;
        let started = world.now_ms();
        let answer = send(session, statement, authorization).await;
        #[allow(clippy::cast_precision_loss)]
        let seconds = (world.now_ms() - started) as f64 / 1000.0;
        *phases.entry(statement.purpose.phase()).or_default() += seconds;
        let answer = answer.or_else(|failure| forgiven(statement.purpose, failure))?;
        check(statement, &answer, load, row)?;
        hit_after(statement.purpose, topic).await.map_err(drilled)?;
    }
    Ok(())
}

async fn send(session: &mut dyn Session, statement: &Statement, authorization: &str) -> Result<Answer, SqlFailure> {
    if statement.purpose == Purpose::Copy {
        return session.run(&statement.sql.replace(AUTHORIZATION, authorization)).await;
    }
    session.run(&statement.sql).await
}

/// Widening is idempotent: Redshift refuses a width that the column has already (redshift.md 3.2).
fn forgiven(purpose: Purpose, failure: SqlFailure) -> Result<Answer, Stopped> {
    let same =
        failure.code.as_deref() == Some("0A000") && failure.message.contains("target column size should be different");
    if purpose == Purpose::Widen && same {
        return Ok(Answer::default());
    }
    Err(Stopped::Failed(meaning(Some(purpose), &failure)))
}

fn check(statement: &Statement, answer: &Answer, load: &LoadPlan, row: Option<&TableRow>) -> Result<(), Stopped> {
    let stop = |outcome| Err(Stopped::Outcome(outcome));
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
        Expect::NoConflict => conflict::found(answer, load).map_or(Ok(()), stop),
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
    if common::mutant::Mutant::NoLockNoCompareAndSet.is_on() {
        return true;
    }
    state.table.as_ref() == row
        && load.runs.iter().all(|run| {
            let stored = state.lineages.get(&run.partition);
            stored.map(|checkpoint| checkpoint.position) == run.stored
                && stored.is_none_or(|checkpoint| checkpoint.cluster == run.cluster && checkpoint.topic == run.topic)
        })
}

fn drilled(failure: Failure) -> Stopped {
    Stopped::Outcome(Outcome::Retry(failure))
}

/// Crash points of protocol.md section 7 that lie before a statement.
async fn hit_before(purpose: Purpose, topic: &str) -> Result<(), Failure> {
    match purpose {
        Purpose::Copy => failpoint::hit_for("C22", topic).await,
        Purpose::InsertTarget => failpoint::hit_for("C24", topic).await,
        Purpose::Checkpoint => failpoint::hit_for("C25", topic).await,
        Purpose::Commit => failpoint::hit_for("C26", topic).await,
        _ => Ok(()),
    }
}

/// Crash points that lie after a statement.
async fn hit_after(purpose: Purpose, topic: &str) -> Result<(), Failure> {
    match purpose {
        // Before the snapshot: one that is taken earlier lets the database answer 1023, and hides a missing lock.
        Purpose::Begin => failpoint::hit_for("C19", topic).await,
        Purpose::Lock => failpoint::hit_for("C20", topic).await,
        Purpose::CreateTarget | Purpose::AddColumn => failpoint::hit_for("C21", topic).await,
        Purpose::CountRows => failpoint::hit_for("C23", topic).await,
        Purpose::Commit => failpoint::hit_for("C27", topic).await,
        _ => Ok(()),
    }
}
