//! A refresh of a table over the ports: its begin, its end, and giving it up. What decides is `load::refresh`.

use common::failure::Failure;
use common::mutant::Mutant;
use runtime::port::{Answer, Session};

use super::load::{asking, catalog, has_set_aside, look, read_attached};
use super::table::Table;
use crate::load::attached;
use crate::load::ddl::{Stamp, fit, widened};
use crate::load::evolve::Present;
use crate::load::mode::Mode;
use crate::load::refresh::{self, Step};
use crate::load::state::{State, StateTables};

/// How often a step is tried anew because a load changed a table meanwhile.
const TRIES: usize = 5;

/// What both tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// Rows of the table.
    pub own: u64,
    /// Rows of the one beside it; none where no refresh is under way.
    pub beside: u64,
}

/// Judges whether a step is possible by what the state says now.
///
/// # Errors
/// When it is not.
pub async fn judge(session: &mut dyn Session, table: &Table, step: Step) -> Result<State, Failure> {
    let state = look(session, &table.target).await?;
    possible(session, table, &state, step).await?;
    Ok(state)
}

async fn possible(session: &mut dyn Session, table: &Table, state: &State, step: Step) -> Result<(), Failure> {
    let target = &table.target;
    if step != Step::Begin {
        return refresh::is_under_way(target, state);
    }
    let Some(row) = &state.table else {
        return Err(
            Failure::stop("nothing was loaded yet, so there is nothing to replace").table(target.own().to_string())
        );
    };
    let mode = Mode::shown_by(&catalog(session, target.own()).await?);
    refresh::may_begin(target, mode, row)
}

/// How many rows there are.
///
/// # Errors
/// When the warehouse does not answer.
pub async fn rows(session: &mut dyn Session, table: &Table, state: &State) -> Result<Rows, Failure> {
    let [own, beside] = refresh::counts(&table.target);
    let under_way = !state.refresh.is_empty();
    Ok(Rows {
        own: count(session, &own).await?,
        beside: if under_way { count(session, &beside).await? } else { 0 },
    })
}

async fn count(session: &mut dyn Session, sql: &str) -> Result<u64, Failure> {
    let answer = run(session, sql).await?;
    let text = answer.rows.first().and_then(|row| row.first().cloned().flatten());
    let count = text.and_then(|text| text.trim().parse().ok());
    count.ok_or_else(|| Failure::retry("the warehouse does not say how many rows there are"))
}

async fn run(session: &mut dyn Session, sql: &str) -> Result<Answer, Failure> {
    let answer = session.run(sql).await;
    answer.map_err(|failure| asking("refresh the table", &failure))
}

/// Takes a step, in one transaction under the lock. `load_id` names it in the table of changes.
///
/// # Errors
/// When it is not possible, or the warehouse does not answer: then nothing was done.
pub async fn take(
    session: &mut dyn Session,
    table: &Table,
    step: Step,
    (load_id, now_ms): (&str, i64),
) -> Result<(), Failure> {
    for _ in 0..TRIES {
        let done = match step {
            Step::Begin | Step::GiveUp => simple(session, table, step).await.map(|()| true),
            Step::Finish => finish(session, table, (load_id, now_ms)).await,
        };
        match done {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(failure) => {
                // What failed may have been within the transaction; where it was not, this does nothing.
                let _ = session.run("ROLLBACK").await;
                return Err(failure);
            }
        }
    }
    Err(Failure::retry("loads changed the tables again and again meanwhile").table(table.target.own().to_string()))
}

/// Opens the transaction and reads the state under its lock.
async fn locked(session: &mut dyn Session, table: &Table, step: Step) -> Result<(StateTables, State), Failure> {
    let tables = StateTables::of(table.target.own(), &table.target.state_schema);
    run(session, "BEGIN").await?;
    run(session, &tables.lock()).await?;
    let state = State::parse(&run(session, &tables.read()).await?)?;
    possible(session, table, &state, step).await?;
    Ok((tables, state))
}

async fn simple(session: &mut dyn Session, table: &Table, step: Step) -> Result<(), Failure> {
    let (tables, state) = locked(session, table, step).await?;
    let statements = if step == Step::Begin {
        refresh::begin(&table.target, &tables, &state)?
    } else {
        let has_aside = has_set_aside(session, &table.target).await?.is_some();
        refresh::give_up(&table.target, &tables, &state, has_aside)?
    };
    for sql in &statements {
        run(session, sql).await?;
    }
    run(session, "COMMIT").await.map(drop)
}

/// Whether it was done: not if a load changed one of the tables between the widening and the lock.
async fn finish(session: &mut dyn Session, table: &Table, (load_id, now_ms): (&str, i64)) -> Result<bool, Failure> {
    let target = &table.target;
    let (own, beside) = both(session, table).await?;
    let lacks = refresh::lacks(&own, &beside, target.made.rebuild)?;
    let attached = if lacks.convert.is_empty() {
        attached::NOTHING.clone()
    } else {
        read_attached(session, target).await?
    };
    let stamp = Stamp {
        load_id,
        plan: None,
        now_ms,
    };
    let (before, within) = fit(target, (&lacks, String::new(), None), &attached, stamp)?;
    for statement in &before {
        run(session, &statement.sql).await?;
    }
    let (tables, _) = locked(session, table, Step::Finish).await?;
    if both(session, table).await? != (widened(&own, &lacks), beside.clone()) {
        run(session, "ROLLBACK").await?;
        return Ok(false);
    }
    for statement in &within {
        run(session, &statement.sql).await?;
    }
    let expected = count(session, &refresh::counts(target)[1]).await?;
    for (at, sql) in refresh::finish(target, &tables, &beside).iter().enumerate() {
        let answer = run(session, sql).await?;
        if at == 0 && Mutant::FinishInTwo.is_on() {
            for sql in ["COMMIT", "BEGIN", &tables.lock()] {
                run(session, sql).await?;
            }
        }
        if at == 1 && answer.affected != expected {
            let message = format!("`{}` of `{expected}` rows came over", answer.affected);
            return Err(Failure::retry(message).table(target.own().to_string()));
        }
    }
    run(session, "COMMIT").await?;
    Ok(true)
}

async fn both(session: &mut dyn Session, table: &Table) -> Result<(Vec<Present>, Vec<Present>), Failure> {
    let own = catalog(session, table.target.own()).await?;
    let beside = catalog(session, &table.target.own().refresh()).await?;
    Ok((own, beside))
}
