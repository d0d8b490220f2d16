//! Runs a compiled load statement by statement, and turns the end into an outcome. It decides nothing: what an answer must be stands in
//! the script and is judged in `load::check`, what an error means in `load::outcome`.

use std::collections::BTreeMap;

use runtime::failpoint;
use runtime::port::{Answer, Session, SqlFailure, World};

use crate::load::check::check;
use crate::load::machine::Outcome;
use crate::load::outcome::{Meaning, meaning};
use crate::load::run::LoadPlan;
use crate::load::state::TableRow;
use crate::load::statements::{AUTHORIZATION, Purpose, Script, Statement};
use crate::warehouse::diagnose;
use common::failure::Failure;

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
        Stopped::Failed(Meaning::BadData(failure)) if clean => {
            match diagnose::find(session, load, world.now_ms()).await {
                Some(error) => Outcome::Halt {
                    failure: diagnose::failure(&error),
                    partition: diagnose::partition(load, &error),
                    separable: true,
                },
                None => Meaning::BadData(failure).outcome(),
            }
        }
        Stopped::Failed(meaning) => meaning.outcome(),
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
        let started = world.steady_ms();
        let answer = send(session, statement, authorization).await;
        #[allow(clippy::cast_precision_loss)]
        let seconds = (world.steady_ms() - started) as f64 / 1000.0;
        *phases.entry(statement.purpose.phase()).or_default() += seconds;
        let answer = answer.or_else(|failure| forgiven(statement.purpose, failure))?;
        check(statement, &answer, load, row).map_err(Stopped::Outcome)?;
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
