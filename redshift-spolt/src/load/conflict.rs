//! A key whose changes lie in two partitions (rule 20): they have no order, so the load stops instead of letting one of them win.
//!
//! Two questions before the merge, each answered by at most one row: does the stage hold a key in two partitions, and does it hold a key
//! whose present row came from another partition of the same life of the topic, or of a later one? A key may move from an old partition to
//! one that was added and accepted later: everything of it in the old one is applied already (`growth`).

use std::fmt::Write as _;

use common::failure::Failure;
use common::ids::{Offset, Partition};
use runtime::port::Answer;

use super::evolve::Wanted;
use super::machine::Outcome;
use super::run::LoadPlan;
use super::sql::identifier;

/// A staged column of the key as a value of the target's type.
type Value<'a> = &'a dyn Fn(&Wanted, &str) -> String;

/// The question about the stage alone; `None` where all rows are of one partition. The answer goes to [`found`].
#[must_use]
pub fn in_stage(load: &LoadPlan, stage: &str, keys: &[&Wanted]) -> Option<String> {
    let mut with_rows = load
        .groups
        .iter()
        .flat_map(|group| &group.claims)
        .map(|claim| claim.partition);
    let first = with_rows.next()?;
    with_rows.find(|partition| *partition != first)?;
    let names: Vec<String> = keys.iter().map(|key| format!("s.{}", identifier(&key.name))).collect();
    let names = names.join(", ");
    Some(format!(
        "SELECT MIN(s.\"_kafka_partition\"), MAX(s.\"_kafka_partition\"), MAX(s.\"_kafka_offset\"), {names}\nFROM {stage} AS s\nGROUP BY {names}\n\
         HAVING MIN(s.\"_kafka_partition\") <> MAX(s.\"_kafka_partition\")\nLIMIT 1"
    ))
}

/// The question about stage and target. `grown` are the numbers of partitions before each accepted increase. The answer goes to [`found`].
#[must_use]
pub fn with_target(stage: &str, table: &str, keys: &[&Wanted], value: Value<'_>, grown: &[u32]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("s.{}", identifier(&key.name))).collect();
    let same: Vec<String> = keys
        .iter()
        .map(|key| format!("t.{} = {}", identifier(&key.name), value(key, "s")))
        .collect();
    let mut sql = format!(
        "SELECT t.\"_kafka_partition\", s.\"_kafka_partition\", s.\"_kafka_offset\", {}\nFROM {table} AS t\nJOIN {stage} AS s ON {}\n\
         WHERE t.\"_kafka_incarnation\" >= s.\"_kafka_incarnation\" AND t.\"_kafka_partition\" <> s.\"_kafka_partition\"",
        names.join(", "),
        same.join(" AND ")
    );
    for count in grown {
        let _ = write!(
            sql,
            "\n  AND NOT (t.\"_kafka_partition\" < {count} AND s.\"_kafka_partition\" >= {count})"
        );
    }
    sql.push_str("\nLIMIT 1");
    sql
}

/// What an answer of one of the questions means; `None` if no key is in two partitions.
#[must_use]
pub fn found(answer: &Answer, load: &LoadPlan) -> Option<Outcome> {
    let row = answer.rows.first()?;
    let text = |index: usize| row.get(index).and_then(Option::as_deref).unwrap_or("NULL").trim();
    let partition = text(1).parse().ok().map(Partition);
    let key: Vec<&str> = (3..row.len()).map(text).collect();
    let mut failure = Failure::halt(format!(
        "key `{}` has changes in partitions `{}` and `{}`, which have no order",
        key.join("`, `"),
        text(0),
        text(1)
    ))
    .hint(
        "a key must stay in one partition: does every producer use the same partitioner and number of partitions? correct them and load the \
         topic into a new table, or keep every change with mode = \"append\"",
    );
    if let Some(run) = load.runs.first() {
        failure = failure.topic(&run.topic);
    }
    if let Some(partition) = partition {
        failure = failure.partition(partition);
    }
    if let Ok(offset) = text(2).parse() {
        failure = failure.offset(Offset(offset));
    }
    Some(Outcome::Halt {
        failure,
        partition,
        separable: true,
    })
}
