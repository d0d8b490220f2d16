//! Replacing what a table holds by a refresh: from an operator's word on, rows are loaded into a table beside it, while the table stays as it
//! is; when everything has come again, the rows of the one take the place of the other's by DELETE and INSERT in one transaction, so that
//! views and grants stay. What the source no longer has is gone then, which an upsert alone would never notice.
//!
//! That a refresh is under way, and from where, stands in the state (rows of kind `refresh`: the checkpoints at its begin), under the lock
//! like every checkpoint; each step raises the table's serial, so that a load that was planned before it is planned anew. To give a refresh
//! up is to put the checkpoints back: the claims since then are applied again, to the table. To that end no progress is published
//! meanwhile, so that nothing is collected which that would need.

use std::collections::BTreeMap;

use common::failure::Failure;
use common::ids::Partition;
use common::mutant::Mutant;

use super::evolve::{self, Evolution, Present, Wanted};
use super::mode::Mode;
use super::names::TableName;
use super::sql::{identifier, literal};
use super::state::{Checkpoint, State, StateTables, TableRow};
use super::statements::Target;

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Load beside the table from now on.
    Begin,
    /// Let what was loaded take the table's place.
    Finish,
    /// Forget it, and go on where the refresh began.
    GiveUp,
}

/// Whether a table may be refreshed.
///
/// # Errors
/// When it cannot, with the reason.
pub fn may_begin(target: &Target, mode: Mode, row: &TableRow) -> Result<(), Failure> {
    let refused = |why: &str| Err(Failure::stop(why).table(target.own().to_string()));
    if mode == Mode::History {
        return refused("a history keeps what was, so that nothing can take its place");
    }
    if row.order.is_some() {
        return refused(
            "rows are ordered by a column, and the deletes that are remembered are of the rows that a refresh replaces",
        );
    }
    if row.plan.is_none() {
        return refused("nothing was loaded yet, so there is nothing to replace");
    }
    if row.refreshing {
        return refused("a refresh is under way; finish it or give it up");
    }
    Ok(())
}

/// Whether a refresh is under way.
///
/// # Errors
/// When there is none.
pub fn is_under_way(target: &Target, state: &State) -> Result<(), Failure> {
    if state.refresh.is_empty() {
        let failure = Failure::stop("no refresh is under way").table(target.own().to_string());
        return Err(failure.hint("`redshift-spolt refresh begin TOPIC` begins one"));
    }
    Ok(())
}

/// Makes the table beside, empty, and remembers where it begins. All within one transaction, under the lock.
///
/// # Errors
/// When a name cannot be written as a literal.
pub fn begin(target: &Target, tables: &StateTables, state: &State) -> Result<Vec<String>, Failure> {
    let (own, beside) = (target.own().sql(), target.own().refresh().sql());
    let rows = state.lineages.iter().map(|(partition, at)| row(*partition, at));
    let rows = rows.collect::<Result<Vec<String>, Failure>>()?;
    Ok(vec![
        format!("DROP TABLE IF EXISTS {beside}"),
        format!("CREATE TABLE {beside} (LIKE {own})"),
        format!(
            "INSERT INTO {} (\"kind\", \"cluster\", \"topic\", \"incarnation\", \"partition\", \"next_offset\", \"signal_offset\")\nVALUES\n    {}",
            tables.state,
            rows.join(",\n    ")
        ),
        raise_serial(tables),
    ])
}

fn row(partition: Partition, at: &Checkpoint) -> Result<String, Failure> {
    Ok(format!(
        "('refresh', {}, {}, {}, {partition}, {}, {})",
        literal(&at.cluster)?,
        literal(&at.topic)?,
        at.position.incarnation,
        at.position.next,
        at.signal_next
    ))
}

/// Loads that were planned by the state before are planned anew.
fn raise_serial(tables: &StateTables) -> String {
    format!(
        "UPDATE {} SET \"serial\" = \"serial\" + 1 WHERE \"kind\" = 'table'",
        tables.state
    )
}

fn forget(tables: &StateTables) -> String {
    format!("DELETE FROM {} WHERE \"kind\" = 'refresh'", tables.state)
}

/// What the table lacks of the columns that the one beside has got meanwhile.
///
/// # Errors
/// When a column cannot be followed.
pub fn lacks(own: &[Present], beside: &[Present], rebuild: bool) -> Result<Evolution, Failure> {
    let gone = || Failure::halt("the table, or the one beside it that a refresh is loaded into, is gone");
    if own.is_empty() || beside.is_empty() {
        return Err(gone().hint("restore it, or give the refresh up: `redshift-spolt refresh give-up TOPIC`"));
    }
    let strange = |column: &Present| {
        let failure = Failure::halt(format!(
            "the column is of type `{}`, which redshift-spolt does not make",
            column.ty
        ));
        failure.column(&column.name)
    };
    let wanted = beside
        .iter()
        .map(|column| column.wanted().ok_or_else(|| strange(column)));
    evolve::compare_all(own, &wanted.collect::<Result<Vec<Wanted>, Failure>>()?, rebuild)
}

/// The rows beside take the place of the table's, which has all their columns by now. The second statement must touch as many rows as
/// [`counts`] says are beside.
#[must_use]
pub fn finish(target: &Target, tables: &StateTables, beside: &[Present]) -> [String; 5] {
    let (own, refreshed) = (target.own().sql(), target.own().refresh().sql());
    let names: Vec<String> = beside.iter().map(|column| identifier(&column.name)).collect();
    let names = names.join(", ");
    [
        format!("DELETE FROM {own}"),
        format!("INSERT INTO {own} ({names})\nSELECT {names}\nFROM {refreshed}"),
        format!("DROP TABLE {refreshed}"),
        forget(tables),
        raise_serial(tables),
    ]
}

/// Puts the checkpoints back to where the refresh began. What was set aside since then will be set aside again, so it goes; lineages that
/// began since then begin anew.
///
/// # Errors
/// When a name cannot be written as a literal.
pub fn give_up(target: &Target, tables: &StateTables, state: &State, has_aside: bool) -> Result<Vec<String>, Failure> {
    let beside = target.own().refresh().sql();
    let mut statements = Vec::new();
    let begun: &BTreeMap<Partition, Checkpoint> = &state.refresh;
    let forward = Mutant::GiveUpForward.is_on();
    for partition in state.lineages.keys().filter(|_| !forward) {
        let lineage = format!("\"partition\" = {partition}");
        let since = match begun.get(partition) {
            Some(at) => {
                statements.push(format!(
                    "UPDATE {} SET \"incarnation\" = {}, \"next_offset\" = {}, \"signal_offset\" = {} WHERE \"kind\" = 'lineage' AND {lineage}",
                    tables.state, at.position.incarnation, at.position.next, at.signal_next
                ));
                let (life, next) = (at.position.incarnation, at.position.next);
                (
                    format!("(\"incarnation\" > {life} OR \"incarnation\" = {life} AND \"next_offset\" > {next})"),
                    format!(
                        "(\"_kafka_incarnation\" > {life} OR \"_kafka_incarnation\" = {life} AND \"_kafka_offset\" >= {next})"
                    ),
                )
            }
            None => {
                statements.push(format!(
                    "DELETE FROM {} WHERE \"kind\" = 'lineage' AND {lineage}",
                    tables.state
                ));
                ("TRUE".to_owned(), "TRUE".to_owned())
            }
        };
        statements.push(format!("DELETE FROM {} WHERE {lineage} AND {}", tables.ledger, since.0));
        if has_aside && !Mutant::GiveUpKeepsAside.is_on() {
            let aside = target.own().set_aside(&target.state_schema).sql();
            statements.push(format!(
                "DELETE FROM {aside} WHERE \"_kafka_partition\" = {partition} AND {}",
                since.1
            ));
        }
    }
    statements.push(format!("DROP TABLE {beside}"));
    statements.push(forget(tables));
    statements.push(raise_serial(tables));
    Ok(statements)
}

/// How many rows the table has, and the one beside it.
#[must_use]
pub fn counts(target: &Target) -> [String; 2] {
    let count = |table: &TableName| format!("SELECT COUNT(*) FROM {}", table.sql());
    [count(target.own()), count(&target.own().refresh())]
}
