//! Histories (rule 28): every change of a key becomes a row, which holds from its record's time to that of the key's next change.
//!
//! The order is that of the log, (incarnation, offset, seq); the times are what the records say and order nothing, so a source whose clock
//! was set back leaves a row that ends before it begins. What holds now is `_kafka_is_current`: at most one row of a key. A delete makes no
//! row of its own, it ends the one that holds. A load does two things: it ends the current row of every key that it changes, and brings
//! the staged changes, each of which knows the next one. Hence it does not show in the table where one load ended and the next began.

use super::evolve::Wanted;
use super::merge::{RANK, insert_head, value};
use super::mode::{IS_CURRENT, Mode, VALID_FROM, VALID_TO};
use super::sql::identifier;

/// The row of the target is the one that holds: what [`super::unchanged`] may take values from.
#[must_use]
pub fn current(target: &str) -> String {
    format!("{target}.{} = TRUE", identifier(IS_CURRENT))
}

/// Ends the current row of every staged key, at the time of the key's first staged change.
#[must_use]
pub fn close(table: &str, stage: &str, keys: &[&Wanted]) -> String {
    let rank = identifier(RANK);
    let columns: Vec<String> = keys
        .iter()
        .map(|key| format!("{} AS {}", value(key, "s"), identifier(&key.name)))
        .collect();
    let same: Vec<String> = keys
        .iter()
        .map(|key| identifier(&key.name))
        .map(|key| format!("{table}.{key} = v.{key}"))
        .collect();
    format!(
        "UPDATE {table}\nSET {} = v.\"_kafka_timestamp\", {} = FALSE\nFROM (\n    SELECT {}, s.\"_kafka_timestamp\"\n    FROM (\n        SELECT r.*, \
         ROW_NUMBER() OVER (PARTITION BY {} ORDER BY \"_kafka_offset\", \"_kafka_seq\") AS {rank}\n        FROM {stage} AS r\n    ) AS s\n    WHERE \
         s.{rank} = 1\n) AS v\nWHERE {} AND {}",
        identifier(VALID_TO),
        identifier(IS_CURRENT),
        columns.join(", "),
        by(keys),
        same.join(" AND "),
        current(table)
    )
}

/// Brings the staged changes. Where claims overlap (`dedupe`) one of equal rows stays (M9).
#[must_use]
pub fn insert(table: &str, stage: &str, columns: &[Wanted], keys: &[&Wanted], dedupe: bool) -> String {
    let from = if dedupe {
        format!(
            "(\n        SELECT c.*\n        FROM (\n            SELECT d.*, ROW_NUMBER() OVER (PARTITION BY \"_kafka_partition\", \"_kafka_offset\", \
             \"_kafka_seq\" ORDER BY \"_kafka_op\") AS \"_spolt_copy\"\n            FROM {stage} AS d\n        ) AS c\n        WHERE \
             c.\"_spolt_copy\" = 1\n    )"
        )
    } else {
        stage.to_owned()
    };
    let next = |column: &str| {
        format!(
            "LEAD(r.\"{column}\") OVER (PARTITION BY {} ORDER BY \"_kafka_offset\", \"_kafka_seq\")",
            by(keys)
        )
    };
    format!(
        "{}FROM (\n    SELECT r.*, r.\"_kafka_timestamp\" AS {},\n        {} AS {},\n        CASE WHEN {} IS NULL THEN TRUE ELSE FALSE END AS {}\n    \
         FROM {from} AS r\n) AS s\nWHERE s.\"_kafka_op\" <> 'd'",
        insert_head(table, columns, Mode::History),
        identifier(VALID_FROM),
        next("_kafka_timestamp"),
        identifier(VALID_TO),
        next("_kafka_offset"),
        identifier(IS_CURRENT)
    )
}

fn by(keys: &[&Wanted]) -> String {
    let names: Vec<String> = keys.iter().map(|key| identifier(&key.name)).collect();
    names.join(", ")
}
