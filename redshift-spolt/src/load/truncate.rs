//! A truncate at the source (rule 26): a claim without rows, applied alone and in its place.
//!
//! What it does to the rows that are there is the mode's: they go (upsert), they are marked (soft delete), or what holds of them ends
//! (history), always by DELETE or UPDATE, since TRUNCATE would commit the transaction. A changelog keeps what it has and gets a row of
//! operation `t`: without it nobody could tell from the changelog what the source table holds.

use common::claim::Kind;
use common::failure::Failure;

use super::mode::{DELETED, IS_CURRENT, Mode, VALID_TO};
use super::order;
use super::run::{LoadPlan, Run};
use super::sql::{identifier, timestamp};
use super::statements::Purpose;

/// Operation of the row that a truncate leaves in a changelog.
pub const OP: &str = "t";

/// What the load's truncates, of which `run` has the first, do to a target that exists.
#[must_use]
pub fn statement(load: &LoadPlan, run: &Run, mode: Mode, table: &str) -> (Purpose, String) {
    let sql = match mode {
        Mode::Upsert => format!("DELETE FROM {table}"),
        Mode::SoftDelete => mark(run, table),
        Mode::History => format!(
            "UPDATE {table}\nSET {} = {}, {} = FALSE\nWHERE {} = TRUE",
            identifier(VALID_TO),
            time(run),
            identifier(IS_CURRENT),
            identifier(IS_CURRENT)
        ),
        Mode::Append => return (Purpose::RecordTruncate, record(load, table)),
    };
    (Purpose::EmptyTarget, sql)
}

/// A truncate lies in one partition, and what the others hold has no order against it. The same holds of an order by a column, in which it
/// has no place.
///
/// # Errors
/// With the reason.
pub fn refuse(run: &Run, mode: Mode, partitions: Option<u32>, order: Option<&str>) -> Result<(), Failure> {
    if !mode.is_keyed() {
        return Ok(());
    }
    if let Some(by) = order {
        return Err(order::truncated(run, by));
    }
    if partitions == Some(1) {
        return Ok(());
    }
    let count = partitions.map_or("an unknown number of".to_owned(), |count| count.to_string());
    Err(Failure::halt(format!(
        "the source truncated the table, whose changes lie in `{count}` partitions: which of their rows came before is not known"
    ))
    .topic(&run.topic)
    .partition(run.partition)
    .offset(run.from.next)
    .hint("give topics of tables that are truncated one partition, or keep every change with mode = \"append\""))
}

/// The truncate is the last writer of every row that it deletes.
fn mark(run: &Run, table: &str) -> String {
    format!(
        "UPDATE {table}\nSET {deleted} = TRUE, \"_kafka_incarnation\" = {}, \"_kafka_partition\" = {}, \"_kafka_offset\" = {}, \"_kafka_seq\" = 0\n\
         WHERE COALESCE({deleted}, FALSE) = FALSE",
        run.to.incarnation,
        run.partition,
        run.to.next.0 - 1,
        deleted = identifier(DELETED)
    )
}

/// The record's time.
fn time(run: &Run) -> String {
    let claim = run.claims.iter().find(|claim| claim.kind == Kind::Truncate);
    claim
        .and_then(|claim| claim.max_time_ms)
        .map_or("NULL".to_owned(), timestamp)
}

/// One row for each truncate: several partitions may have one each in a load.
fn record(load: &LoadPlan, table: &str) -> String {
    let truncates = |run: &&Run| run.claims.iter().any(|claim| claim.kind == Kind::Truncate);
    let rows: Vec<String> = load
        .runs
        .iter()
        .filter(truncates)
        .map(|run| {
            format!(
                "('{OP}', {}, {}, {}, 0, {})",
                run.to.incarnation,
                run.partition,
                run.to.next.0 - 1,
                time(run)
            )
        })
        .collect();
    format!(
        "INSERT INTO {table} (\"_kafka_op\", \"_kafka_incarnation\", \"_kafka_partition\", \"_kafka_offset\", \"_kafka_seq\", \"_kafka_timestamp\")\n\
         VALUES\n    {}",
        rows.join(",\n    ")
    )
}
