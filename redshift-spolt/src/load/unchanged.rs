//! Values that the source left out because they did not change (rule 25).
//!
//! Such a row names the columns in `_kafka_unchanged` and has NULL there. Before the merge each marked column of a key's last row takes
//! the last real value that the stage has of the key since its last delete, else what the target has, unless a delete lies between.
//! A row for which there is neither stops the load: NULL would be a lie.

use std::collections::BTreeSet;

use common::claim::Claim;
use common::table::ColumnType;

use super::evolve::{self, WIDTHS, Wanted};
use super::run::LoadPlan;
use super::sql::identifier;

/// Column of the stage that names what a row leaves out, separated by commas; column names have none (common::table::names).
pub const MARKS: &str = "_kafka_unchanged";

/// A text that any table can have.
pub(super) const WIDEST: ColumnType = ColumnType::Varchar { limit: Some(WIDTHS[5]) };

/// The columns that a load's claims say are marked somewhere.
#[must_use]
pub fn marked(load: &LoadPlan) -> BTreeSet<&str> {
    let claims = load.groups.iter().flat_map(|group| &group.claims);
    claims
        .flat_map(|claim: &std::sync::Arc<Claim>| claim.unchanged.iter().map(String::as_str))
        .collect()
}

/// In a changelog a change stays as it was sent, so its row says which columns it left out.
#[must_use]
pub fn marks_column() -> Wanted {
    Wanted {
        name: MARKS.to_owned(),
        ty: WIDEST,
        key: false,
        default: None,
        longest: 0,
    }
}

/// What stands between trim and merge when `marked` columns are left out: two updates of the stage for each. Where not every row of the
/// target is what its key has now, `present` tells those that are, of alias `t`.
#[must_use]
pub fn fill(
    stage: &str,
    table: &str,
    columns: &[Wanted],
    marked: &BTreeSet<&str>,
    present: Option<&str>,
) -> Vec<String> {
    let keys: Vec<String> = keys(columns);
    columns
        .iter()
        .filter(|column| marked.contains(column.name.as_str()))
        .flat_map(|column| {
            [
                from_stage(stage, &keys, column),
                from_target(stage, table, &keys, column, present),
            ]
        })
        .collect()
}

/// The same where every staged row is kept and not only a key's last: each marked one takes the last real value before it.
#[must_use]
pub fn fill_each(stage: &str, table: &str, columns: &[Wanted], marked: &BTreeSet<&str>, present: &str) -> Vec<String> {
    let keys: Vec<String> = keys(columns);
    let each = |column: &Wanted| {
        let name = identifier(&column.name);
        let before = before(stage, &keys, column);
        let (by_stage, by_target) = (
            format!(
                "JOIN {} AS s ON {} AND s.\"_spolt_n\" = l.\"_spolt_real\"",
                numbered(stage, &keys),
                same_key(&keys, "l", "s")
            ),
            format!("JOIN {table} AS t ON {} AND {present}", same_key(&keys, "l", "t")),
        );
        let update = |value: String, join: String, when: &str| {
            format!(
                "UPDATE {stage}\n{}\nFROM (\n    SELECT {}, l.\"_kafka_offset\", l.\"_kafka_seq\", {value}\n    FROM (\n        {before}\n    ) AS l\n    \
                 {join}\n    WHERE {} AND {when}\n) AS v\nWHERE {} AND {stage}.\"_kafka_offset\" = v.\"_kafka_offset\" AND {stage}.\"_kafka_seq\" = \
                 v.\"_kafka_seq\"",
                set(stage, &column.name),
                of(&keys, "l"),
                is_marked("l", &column.name),
                same_key(&keys, stage, "v"),
            )
        };
        [
            update(format!("s.{name}"), by_stage, "l.\"_spolt_real\" > l.\"_spolt_gone\""),
            update(of_target(column), by_target, "l.\"_spolt_gone\" = 0"),
        ]
    };
    let columns = columns.iter().filter(|column| marked.contains(column.name.as_str()));
    columns.flat_map(each).collect()
}

/// How many staged rows still lack a value, and the partition and offset of one: the answer reads as that of [`left`].
#[must_use]
pub fn left_of_each(stage: &str) -> String {
    format!(
        "SELECT COUNT(*), MIN(s.\"_kafka_partition\"), MIN(s.\"_kafka_offset\")\nFROM {stage} AS s\nWHERE s.\"_kafka_op\" <> 'd' AND s.\"{MARKS}\" <> ''"
    )
}

/// The staged rows, each with the number of the last delete and of the last real value of the column before it, 0 for none.
fn before(stage: &str, keys: &[String], column: &Wanted) -> String {
    let last = |number: &str| {
        format!(
            "MAX({number}) OVER (PARTITION BY {} ORDER BY n.\"_spolt_n\" ROWS UNBOUNDED PRECEDING)",
            of(keys, "n")
        )
    };
    format!(
        "SELECT n.*,\n            {} AS \"_spolt_gone\",\n            {} AS \"_spolt_real\"\n        FROM {} AS n",
        last("CASE WHEN n.\"_kafka_op\" = 'd' THEN n.\"_spolt_n\" ELSE 0 END"),
        last(&format!(
            "CASE WHEN n.\"_kafka_op\" = 'd' OR {} THEN 0 ELSE n.\"_spolt_n\" END",
            is_marked("n", &column.name)
        )),
        numbered(stage, keys)
    )
}

/// The staged rows, numbered within their key.
fn numbered(stage: &str, keys: &[String]) -> String {
    format!(
        "(SELECT r.*, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY \"_kafka_offset\", \"_kafka_seq\") AS \"_spolt_n\" FROM {stage} AS r)",
        keys.join(", ")
    )
}

fn of(keys: &[String], from: &str) -> String {
    let list: Vec<String> = keys.iter().map(|key| format!("{from}.{key}")).collect();
    list.join(", ")
}

/// The target's value as the stage has it.
fn of_target(column: &Wanted) -> String {
    let (name, staged) = (identifier(&column.name), evolve::staged(column));
    if staged == column.ty {
        format!("t.{name}")
    } else {
        format!("CAST(t.{name} AS {staged}) AS {name}")
    }
}

/// How many last rows still lack a value, and the partition and offset of one.
#[must_use]
pub fn left(stage: &str, columns: &[Wanted]) -> String {
    let by = keys(columns).join(", ");
    format!(
        "SELECT COUNT(*), MIN(s.\"_kafka_partition\"), MIN(s.\"_kafka_offset\")\nFROM (\n    SELECT r.*, ROW_NUMBER() OVER (PARTITION BY {by} ORDER BY \
         \"_kafka_offset\" DESC, \"_kafka_seq\" DESC) AS \"_spolt_rank\"\n    FROM {stage} AS r\n) AS s\nWHERE s.\"_spolt_rank\" = 1 AND \
         s.\"_kafka_op\" <> 'd' AND s.\"{MARKS}\" <> ''"
    )
}

fn keys(columns: &[Wanted]) -> Vec<String> {
    let keys = columns.iter().filter(|column| column.key);
    keys.map(|key| identifier(&key.name)).collect()
}

/// Whether a row of `from` leaves the column out; NULL where it has no marks.
fn is_marked(from: &str, column: &str) -> String {
    format!("STRPOS(',' || {from}.\"{MARKS}\" || ',', ',{column},') > 0")
}

/// The marks of a staged row without one.
fn without(stage: &str, column: &str) -> String {
    format!("\"{MARKS}\" = BTRIM(REPLACE(',' || {stage}.\"{MARKS}\" || ',', ',{column},', ','), ',')")
}

/// The assignment of a value, and the mark taken away.
fn set(stage: &str, column: &str) -> String {
    let name = identifier(column);
    format!("SET {name} = v.{name},\n    {}", without(stage, column))
}

/// Takes the marks of a column away that the target does not have: there is no value to be found.
#[must_use]
pub fn unmark(stage: &str, column: &str) -> String {
    format!(
        "UPDATE {stage}\nSET {}\nWHERE {}",
        without(stage, column),
        is_marked(stage, column)
    )
}

fn same_key(keys: &[String], left: &str, right: &str) -> String {
    let pairs: Vec<String> = keys.iter().map(|key| format!("{left}.{key} = {right}.{key}")).collect();
    pairs.join(" AND ")
}

/// The last row of each key takes the last real value of the stage, if no delete came after it.
fn from_stage(stage: &str, keys: &[String], column: &Wanted) -> String {
    let (name, numbered) = (identifier(&column.name), numbered(stage, keys));
    format!(
        "UPDATE {stage}\n{set}\nFROM (\n    SELECT {last_keys}, l.\"_kafka_offset\", l.\"_kafka_seq\", s.{name}\n    FROM (\n        SELECT {n_keys}, \
         MAX(n.\"_spolt_n\") AS \"_spolt_last\",\n            MAX(CASE WHEN n.\"_kafka_op\" = 'd' THEN n.\"_spolt_n\" ELSE 0 END) AS \
         \"_spolt_gone\",\n            MAX(CASE WHEN n.\"_kafka_op\" = 'd' OR {marked} THEN 0 ELSE n.\"_spolt_n\" END) AS \"_spolt_real\"\n        \
         FROM {numbered} AS n\n        GROUP BY {n_keys}\n    ) AS k\n    JOIN {numbered} AS l ON {k_l} AND l.\"_spolt_n\" = k.\"_spolt_last\"\n    \
         JOIN {numbered} AS s ON {k_s} AND s.\"_spolt_n\" = k.\"_spolt_real\"\n    WHERE k.\"_spolt_real\" > k.\"_spolt_gone\" AND \
         {last_marked}\n) AS v\nWHERE {v_stage} AND {stage}.\"_kafka_offset\" = v.\"_kafka_offset\" AND {stage}.\"_kafka_seq\" = v.\"_kafka_seq\"",
        set = set(stage, &column.name),
        last_keys = of(keys, "l"),
        n_keys = of(keys, "n"),
        marked = is_marked("n", &column.name),
        k_l = same_key(keys, "k", "l"),
        k_s = same_key(keys, "k", "s"),
        last_marked = is_marked("l", &column.name),
        v_stage = same_key(keys, stage, "v"),
    )
}

/// What is still marked takes the target's value, if the stage does not delete the key.
fn from_target(stage: &str, table: &str, keys: &[String], column: &Wanted, present: Option<&str>) -> String {
    let (by, value) = (keys.join(", "), of_target(column));
    let present = present.map_or(String::new(), |present| format!(" AND {present}"));
    format!(
        "UPDATE {stage}\n{set}\nFROM (\n    SELECT {of_t}, {value}\n    FROM {table} AS t\n    LEFT JOIN (SELECT DISTINCT {by} FROM {stage} WHERE \
         \"_kafka_op\" = 'd') AS d ON {d_t}\n    WHERE d.{first} IS NULL{present}\n) AS v\nWHERE {v_stage} AND {marked}",
        set = set(stage, &column.name),
        of_t = of(keys, "t"),
        d_t = same_key(keys, "d", "t"),
        first = keys.first().map_or("", String::as_str),
        v_stage = same_key(keys, stage, "v"),
        marked = is_marked(stage, &column.name),
    )
}
