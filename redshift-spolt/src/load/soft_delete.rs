//! Tables whose rows are never deleted (rule 28): a delete sets `_kafka_deleted` and leaves the row its values.
//!
//! A delete carries its key alone, so what it leaves must be found: the key's last values before it in the stage, else what the target has,
//! else nothing but the key. To that end the deletes that nothing follows are set apart; what then is in the stage ends, for every key, with
//! values, and is merged as an upsert that revives the row. Afterwards the deletes mark what is there, and bring the keys that are not.

use common::plan::{META_COLUMNS, ORIGIN_COLUMNS};

use super::evolve::Wanted;
use super::merge::{RANK, insert_head, value};
use super::mode::{DELETED, Mode};
use super::sql::identifier;
use super::statements::Purpose;

/// The deletes that no change of their key follows in this load: a temporary table that the load creates and drops.
pub const GONE: &str = "spolt_gone";

/// What marks such a delete in the stage until it is taken out.
const LAST: &str = "x";

/// The row of the target is there and not deleted: what [`super::unchanged`] may take values from.
#[must_use]
pub fn present(target: &str) -> String {
    format!("COALESCE({target}.{}, FALSE) = FALSE", identifier(DELETED))
}

/// Takes the deletes that nothing follows out of the stage, each key's last one into [`GONE`].
#[must_use]
pub fn set_apart(stage: &str, keys: &[&Wanted]) -> Vec<(Purpose, String)> {
    let (gone, rank) = (identifier(GONE), identifier(RANK));
    let by = list(keys, "");
    let mark = format!(
        "UPDATE {stage}\nSET \"_kafka_op\" = '{LAST}'\nFROM (\n    SELECT k.*\n    FROM (\n        SELECT n.*, MAX(CASE WHEN n.\"_kafka_op\" = 'd' THEN 0 \
         ELSE n.\"_spolt_n\" END) OVER (PARTITION BY {of_n}) AS \"_spolt_last\"\n        FROM (\n            SELECT {by}, \"_kafka_offset\", \
         \"_kafka_seq\", \"_kafka_op\", ROW_NUMBER() OVER (PARTITION BY {by} ORDER BY \"_kafka_offset\", \"_kafka_seq\") AS \"_spolt_n\"\n            \
         FROM {stage}\n        ) AS n\n    ) AS k\n    WHERE k.\"_kafka_op\" = 'd' AND k.\"_spolt_n\" > k.\"_spolt_last\"\n) AS v\nWHERE {same}\n  AND \
         {stage}.\"_kafka_offset\" = v.\"_kafka_offset\" AND {stage}.\"_kafka_seq\" = v.\"_kafka_seq\"",
        of_n = list(keys, "n."),
        same = same_key(keys, stage, "v"),
    );
    let columns = keys.iter().map(|key| format!("{} {}", identifier(&key.name), key.ty));
    let columns = columns.chain(origin().map(|(name, ty)| format!("{name} {ty}")));
    let create = format!(
        "CREATE TEMP TABLE {gone} (\n    {}\n)",
        columns.collect::<Vec<_>>().join(",\n    ")
    );
    let names: Vec<String> = origin().map(|(name, _)| name).collect();
    let values: Vec<String> = keys
        .iter()
        .map(|key| value(key, "s"))
        .chain(names.iter().map(|name| format!("s.{name}")))
        .collect();
    let fill = format!(
        "INSERT INTO {gone} ({by}, {})\nSELECT {}\nFROM (\n    SELECT r.*, ROW_NUMBER() OVER (PARTITION BY {by} ORDER BY \"_kafka_offset\" DESC, \
         \"_kafka_seq\" DESC) AS {rank}\n    FROM {stage} AS r\n    WHERE r.\"_kafka_op\" = '{LAST}'\n) AS s\nWHERE s.{rank} = 1",
        names.join(", "),
        values.join(", ")
    );
    let take = format!("DELETE FROM {stage}\nWHERE \"_kafka_op\" = '{LAST}'");
    [mark, create, fill, take]
        .into_iter()
        .map(|sql| (Purpose::SetApart, sql))
        .collect()
}

/// Brings the last values of every key that the stage still has; its row, deleted or not, is removed before.
#[must_use]
pub fn insert(table: &str, stage: &str, columns: &[Wanted], keys: &[&Wanted]) -> String {
    let rank = identifier(RANK);
    format!(
        "{}FROM (\n    SELECT r.*, FALSE AS {}, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY \"_kafka_offset\" DESC, \"_kafka_seq\" DESC) AS {rank}\n    \
         FROM {stage} AS r\n) AS s\nWHERE s.{rank} = 1",
        insert_head(table, columns, Mode::SoftDelete),
        identifier(DELETED),
        list(keys, "")
    )
}

/// Marks the rows whose keys are deleted, and brings the keys that the target does not have. The delete is their last writer.
#[must_use]
pub fn mark(table: &str, keys: &[&Wanted]) -> Vec<(Purpose, String)> {
    let (gone, deleted) = (identifier(GONE), identifier(DELETED));
    let names: Vec<String> = origin().map(|(name, _)| name).collect();
    let sets: Vec<String> = names.iter().map(|name| format!("{name} = {gone}.{name}")).collect();
    let mark = format!(
        "UPDATE {table}\nSET {deleted} = TRUE, {}\nFROM {gone}\nWHERE {}",
        sets.join(", "),
        same_key(keys, table, &gone)
    );
    let first = keys.first().map_or(String::new(), |key| identifier(&key.name));
    let bring = format!(
        "INSERT INTO {table} ({}, {}, {deleted})\nSELECT {}, {}, TRUE\nFROM {gone} AS g\nLEFT JOIN {table} AS t ON {}\nWHERE t.{first} IS NULL",
        list(keys, ""),
        names.join(", "),
        list(keys, "g."),
        names
            .iter()
            .map(|name| format!("g.{name}"))
            .collect::<Vec<_>>()
            .join(", "),
        same_key(keys, "t", "g")
    );
    vec![(Purpose::MarkDeleted, mark), (Purpose::InsertTarget, bring)]
}

fn origin() -> impl Iterator<Item = (String, common::table::ColumnType)> {
    META_COLUMNS
        .iter()
        .filter(|column| ORIGIN_COLUMNS.contains(&column.name))
        .map(|column| (identifier(column.name), column.ty))
}

fn list(keys: &[&Wanted], of: &str) -> String {
    let names: Vec<String> = keys
        .iter()
        .map(|key| format!("{of}{}", identifier(&key.name)))
        .collect();
    names.join(", ")
}

fn same_key(keys: &[&Wanted], left: &str, right: &str) -> String {
    let pairs: Vec<String> = keys
        .iter()
        .map(|key| identifier(&key.name))
        .map(|key| format!("{left}.{key} = {right}.{key}"))
        .collect();
    pairs.join(" AND ")
}
