//! Tables whose rows are ordered by a column that they carry (rule 20): a key's changes may then lie in several partitions.
//!
//! All changes of a key have one total order: the value of the column; where it is equal (incarnation, offset), which within a partition
//! is the log's order; where these are equal too (partition, seq). The table must hold what the last of them in this order says, in
//! whatever loads they come. So what is stored of a key carries its place in the order, and of stored and staged the later one stays.
//! That must hold for a delete as well: it leaves a row in a table beside the state, `{schema}__{table}__deleted`, against which changes
//! that come later and are older are compared. A key is in the target or there, never in both.
//!
//! To take the latest of two is associative and commutative; that is why neither the split into loads nor the pace of the partitions
//! shows. What is not of that kind is refused: a row without a value, values left out as unchanged (which of them is the last real one
//! depends on rows that are yet to come), a truncate, and a table that was begun in another order.

use std::collections::BTreeMap;

use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::plan::{ORIGIN_COLUMNS, Plan, PlanId};
use common::table::ColumnType;
use runtime::port::Answer;

use super::evolve::Wanted;
use super::machine::Outcome;
use super::mode::Mode;
use super::run::{LoadPlan, Run};
use super::sql::{identifier, literal};
use super::state::{StateTables, TableRow};
use super::unchanged;

/// The record's own time, which every row carries; a delete too.
pub const RECORD_TIME: &str = "_kafka_timestamp";

/// What decides where two values of the column are equal, in order of weight. Within a partition this is the log's order.
const TIES: [&str; 4] = ["_kafka_incarnation", "_kafka_offset", "_kafka_partition", "_kafka_seq"];

/// A column of the stage as a value of the target's type.
type Value<'a> = &'a dyn Fn(&Wanted, &str) -> String;

/// The order that a load's rows are merged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The column of target and stage.
    pub column: Wanted,
    /// The key columns of the table.
    pub keys: Vec<Wanted>,
    /// Delimited name of the table of deleted keys.
    pub deleted: String,
}

/// What the table's row says of the order after a load: an order is settled with the first rows, and then holds for good.
///
/// # Errors
/// When the configuration and what the table was begun with differ: the places of the rows that are there are not known.
pub fn settled(
    wanted: Option<&str>,
    mode: Mode,
    row: Option<&TableRow>,
    has_columns: bool,
) -> Result<Option<String>, Failure> {
    let recorded = row.and_then(|row| row.order.as_deref());
    let began = row.is_some_and(|row| row.plan.is_some());
    let wanted = match mode {
        Mode::Upsert => wanted,
        _ if began => return Ok(recorded.map(str::to_owned)),
        _ => return Ok(None),
    };
    if !has_columns || wanted == recorded || !began {
        return Ok(wanted.filter(|_| has_columns).or(recorded).map(str::to_owned));
    }
    let name = |order: Option<&str>| order.map_or("their offsets".to_owned(), |column| format!("`{column}`"));
    Err(Failure::halt(format!(
        "the table's rows were ordered by {} from the first one on, and `order_by` now says {}",
        name(recorded),
        name(wanted)
    ))
    .hint("the order of rows that are there cannot be changed: set `order_by` back, or load the topic into a new table by a rewrite rule"))
}

/// The row of the state table that records the order, as values of `first_rows`.
///
/// # Errors
/// When the name cannot be written as a literal.
pub fn state_row(column: &str) -> Result<String, Failure> {
    Ok(format!(
        "('order', NULL, {}, NULL, NULL, NULL, NULL, NULL)",
        literal(column)?
    ))
}

/// The order of a load with rows.
///
/// # Errors
/// When the column is not in every plan of the load, or has no order of its own.
pub fn of(
    by: &str,
    load: &LoadPlan,
    plans: &BTreeMap<PlanId, Plan>,
    columns: &[Wanted],
    union: &Plan,
    tables: &StateTables,
) -> Result<Order, Failure> {
    refuse_marks(load)?;
    let keys = columns.iter().filter(|column| column.key).cloned().collect();
    let deleted = tables.deleted.clone();
    if by == RECORD_TIME {
        let column = Wanted {
            name: RECORD_TIME.to_owned(),
            ty: ColumnType::Timestamp,
            key: false,
            default: None,
            longest: 0,
        };
        return Ok(Order { column, keys, deleted });
    }
    let position = |plan: &Plan| plan.columns.iter().position(|column| column.source == by);
    let lacks = load
        .groups
        .iter()
        .find(|group| plans.get(&group.key.plan).is_none_or(|plan| position(plan).is_none()));
    let found = position(union).and_then(|index| columns.get(index));
    let (None, Some(column)) = (lacks, found) else {
        let known: Vec<&str> = union.columns.iter().map(|column| column.source.as_str()).collect();
        return Err(Failure::halt(format!(
            "rows are ordered by `{by}`, which is not among the fields `{}` of all of them",
            known.join("`, `")
        ))
        .hint("`order_by` names a field that every record has: of the value, of Debezium's `source` (`source.lsn`), or `_kafka_timestamp`"));
    };
    if column.key || !column.ty.has_order() {
        let what = if column.key {
            "part of the key".to_owned()
        } else {
            format!("`{}`", column.ty)
        };
        return Err(
            Failure::halt(format!("rows cannot be ordered by a column that is {what}"))
                .column(&column.name)
                .hint("`order_by` takes whole numbers, decimals, dates and timestamps"),
        );
    }
    Ok(Order {
        column: column.clone(),
        keys,
        deleted,
    })
}

/// Rule 25 needs what came before a row, and that may not have come yet.
fn refuse_marks(load: &LoadPlan) -> Result<(), Failure> {
    let marked = unchanged::marked(load);
    let claims = load.groups.iter().flat_map(|group| &group.claims);
    let Some(claim) = claims.into_iter().find(|claim| !claim.unchanged.is_empty()) else {
        return Ok(());
    };
    let columns: Vec<&str> = marked.into_iter().collect();
    Err(Failure::halt(format!(
        "the source left out unchanged values of `{}`; in a table with `order_by` the change that has them may be yet to come",
        columns.join("`, `")
    ))
    .topic(&claim.topic)
    .partition(claim.partition)
    .offset(claim.start)
    .hint("set the source table to REPLICA IDENTITY FULL so that updates carry every column, and load into a new table; or order by offsets"))
}

/// Rule 26: the place of a truncate in the order is not known.
#[must_use]
pub fn truncated(run: &Run, by: &str) -> Failure {
    Failure::halt(format!(
        "the source truncated the table, whose rows are ordered by `{by}`: which of them came before is not known"
    ))
    .topic(&run.topic)
    .partition(run.partition)
    .offset(run.from.next)
    .hint("empty such tables by DELETE at the source, or load the topic into a table without `order_by` from one partition")
}

impl Order {
    /// Columns of the table of deleted keys, besides the origin: the key and the place in the order.
    #[must_use]
    pub fn columns(&self) -> Vec<Wanted> {
        self.keys.iter().cloned().chain([self.column.clone()]).collect()
    }

    /// Asks for a row without a value; the answer goes to [`unplaced`].
    #[must_use]
    pub fn find_unplaced(&self, stage: &str) -> String {
        format!(
            "SELECT s.\"_kafka_partition\", s.\"_kafka_offset\", s.\"_kafka_op\"\nFROM {stage} AS s\nWHERE s.{} IS NULL\nLIMIT 1",
            identifier(&self.column.name)
        )
    }

    /// `ORDER BY` of a key's rows, the last one first.
    #[must_use]
    pub fn last_first(&self) -> String {
        let all = std::iter::once(self.column.name.as_str()).chain(TIES);
        let columns: Vec<String> = all.map(|name| format!("{} DESC", identifier(name))).collect();
        columns.join(", ")
    }

    /// Takes out of the stage what is older than what `stored` has of the key.
    #[must_use]
    pub fn pass_over(&self, stage: &str, stored: &str, value: Value<'_>) -> String {
        format!(
            "DELETE FROM {stage}\nUSING {stored}\nWHERE {}\n  AND {}",
            self.same_key(stored, stage, value),
            self.not_before(stored, stage)
        )
    }

    /// Forgets the delete of keys that the stage still has.
    #[must_use]
    pub fn forget(&self, stage: &str, value: Value<'_>) -> String {
        format!(
            "DELETE FROM {}\nUSING {stage}\nWHERE {}",
            self.deleted,
            self.same_key(&self.deleted, stage, value)
        )
    }

    /// Remembers the keys whose last staged change is a delete.
    #[must_use]
    pub fn remember(&self, stage: &str, rank: &str, value: Value<'_>) -> String {
        let columns = self.columns();
        let names = columns.iter().map(|column| identifier(&column.name));
        let origin = || ORIGIN_COLUMNS.iter().map(|name| identifier(name));
        let values = columns.iter().map(|column| value(column, "s"));
        format!(
            "INSERT INTO {} ({})\nSELECT {}\n{}\nWHERE s.{rank} = 1 AND s.\"_kafka_op\" = 'd'",
            self.deleted,
            names.chain(origin()).collect::<Vec<_>>().join(", "),
            values
                .chain(origin().map(|name| format!("s.{name}")))
                .collect::<Vec<_>>()
                .join(", "),
            self.ranked(stage, rank)
        )
    }

    /// The staged rows as `s`, ranked within their key, the last one first.
    #[must_use]
    pub fn ranked(&self, stage: &str, rank: &str) -> String {
        let by: Vec<String> = self.keys.iter().map(|key| identifier(&key.name)).collect();
        format!(
            "FROM (\n    SELECT r.*, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {}) AS {rank}\n    FROM {stage} AS r\n) AS s",
            by.join(", "),
            self.last_first()
        )
    }

    fn same_key(&self, stored: &str, stage: &str, value: Value<'_>) -> String {
        let pairs = self
            .keys
            .iter()
            .map(|key| format!("{stored}.{} = {}", identifier(&key.name), value(key, stage)));
        pairs.collect::<Vec<_>>().join("\n  AND ")
    }

    /// Whether the stored change is the staged one or comes after it, spelled out: not every warehouse compares rows as such.
    fn not_before(&self, stored: &str, stage: &str) -> String {
        let names: Vec<String> = std::iter::once(self.column.name.as_str())
            .chain(TIES)
            .map(identifier)
            .collect();
        let mut condition = String::new();
        for (index, name) in names.iter().enumerate().rev() {
            let (has, comes) = (format!("{stored}.{name}"), format!("{stage}.{name}"));
            condition = if index + 1 == names.len() {
                format!("{has} >= {comes}")
            } else {
                format!("({has} > {comes} OR ({has} = {comes} AND {condition}))")
            };
        }
        condition
    }
}

/// What the answer of [`Order::find_unplaced`] means; `None` if every row has its place.
#[must_use]
pub fn unplaced(answer: &Answer, load: &LoadPlan) -> Option<Outcome> {
    let row = answer.rows.first()?;
    let text = |index: usize| row.get(index).and_then(Option::as_deref).unwrap_or_default().trim();
    let partition = text(0).parse().ok().map(Partition);
    let what = if text(2) == "d" { "delete" } else { "row" };
    let mut failure = Failure::halt(format!(
        "a {what} has no value in the column that rows are ordered by, so it has no place among the changes of its key"
    ))
    .hint(
        "a delete carries its key, the record's time and its place at the source, but no other column: order tables whose rows are deleted \
         by `source.lsn` or the like, or by `_kafka_timestamp`; the field of others must not be null",
    );
    if let Some(run) = load.runs.first() {
        failure = failure.topic(&run.topic);
    }
    if let Some(partition) = partition {
        failure = failure.partition(partition);
    }
    if let Ok(offset) = text(1).parse() {
        failure = failure.offset(Offset(offset));
    }
    Some(Outcome::Halt {
        failure,
        partition,
        separable: true,
    })
}
