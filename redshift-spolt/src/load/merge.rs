//! What stands between COPY and checkpoint: how the stage becomes rows of the target, by mode (rules 17, 20, 25, 28).

use common::failure::Failure;
use common::mutant::Mutant;
use common::table::ColumnType;

use super::aside;
use super::conflict;
use super::evolve::Wanted;
use super::history;
use super::metadata::{OPERATION, STAGED_OPERATION};
use super::mode::Mode;
use super::order::Order;
use super::replay;
use super::soft_delete;
use super::sql::identifier;
use super::statements::{Expect, Facts, Purpose, STAGE, Target, Writer, born_with};
use super::unchanged;

/// Rank of a staged row among those of its key.
pub(super) const RANK: &str = "_spolt_rank";

/// Takes out of the stage what is applied already.
fn trim(out: &mut Writer, facts: &Facts<'_>, stage: &str) {
    let trims: Vec<String> = facts
        .load
        .runs
        .iter()
        .filter_map(|run| Some((run.partition, run.trim?)))
        .map(|(partition, below)| format!("(\"_kafka_partition\" = {partition} AND \"_kafka_offset\" < {below})"))
        .collect();
    if !trims.is_empty() {
        out.add(
            Purpose::Trim,
            format!("DELETE FROM {stage}\nWHERE {}", trims.join("\n   OR ")),
            Expect::Done,
        );
    }
}

/// The merge where rows are ordered by a column (rule 20): of what is stored and what is staged of a key, the last one stays.
pub(super) fn ordered(
    out: &mut Writer,
    target: &Target,
    facts: &Facts<'_>,
    columns: &[Wanted],
    order: &Order,
) -> Result<(), Failure> {
    let (stage, table) = (identifier(STAGE), target.table.sql());
    trim(out, facts, &stage);
    begin_replay(out, target, facts, None);
    out.add(Purpose::FindUnplaced, order.find_unplaced(&stage), Expect::AllPlaced);
    for stored in [&table, &order.deleted] {
        out.add(Purpose::PassOver, order.pass_over(&stage, stored, &value), Expect::Done);
    }
    let keys: Vec<&Wanted> = columns.iter().filter(|column| column.key).collect();
    out.add(
        Purpose::DeleteTarget,
        delete_target(&table, &stage, &keys),
        Expect::Done,
    );
    out.add(Purpose::Forget, order.forget(&stage, &value), Expect::Done);
    let rank = identifier(RANK);
    let rows = format!(
        "{}{}\nWHERE s.{rank} = 1 AND s.\"_kafka_op\" <> 'd'",
        insert_head(&table, columns, Mode::Upsert),
        order.ranked(&stage, &rank)
    );
    out.add(Purpose::InsertTarget, rows, Expect::Done);
    out.add(Purpose::Remember, order.remember(&stage, &rank, &value), Expect::Done);
    end_replay(out, target, facts, &stage)?;
    out.add(Purpose::DropStage, format!("DROP TABLE {stage}"), Expect::Done);
    Ok(())
}

/// The merge where the log orders the changes of a key.
pub(super) fn by_offsets(
    out: &mut Writer,
    target: &Target,
    facts: &Facts<'_>,
    (columns, mode): (&[Wanted], Mode),
    aside: Option<&str>,
) -> Result<(), Failure> {
    let (stage, table) = (identifier(STAGE), target.table.sql());
    trim(out, facts, &stage);
    let keys: Vec<&Wanted> = columns.iter().filter(|column| column.key).collect();
    begin_replay(out, target, facts, mode.is_keyed().then_some(&keys));
    if mode.is_keyed() {
        conflicts(out, facts, &stage, &table, &keys);
    }
    if mode == Mode::SoftDelete {
        out.all(soft_delete::set_apart(&stage, &keys));
    }
    fill_unchanged(out, facts, &stage, target, columns, mode);
    bring(out, facts, (&stage, &table), columns, &keys, mode);
    // Where deletes are set apart, the changes of the load lie in two tables.
    let mut stages = vec![stage];
    if mode == Mode::SoftDelete {
        stages.push(identifier(soft_delete::GONE));
    }
    // First, so that of two records of a key that are replayed together the earlier one is not taken for one that came too late: a
    // history has rows of both.
    for stage in &stages {
        end_replay(out, target, facts, stage)?;
    }
    if let Some(aside) = aside.filter(|_| mode.is_keyed() && !Mutant::ReplayIgnoresLater.is_on()) {
        for stage in &stages {
            let sql = aside::supersede(aside, stage, (&keys, grown(facts)), facts.load_id, facts.now_ms)?;
            out.add(Purpose::Supersede, sql, Expect::Done);
        }
    }
    for stage in stages {
        out.add(Purpose::DropStage, format!("DROP TABLE {stage}"), Expect::Done);
    }
    Ok(())
}

/// Puts the stage into the target, as its mode has it.
fn bring(
    out: &mut Writer,
    facts: &Facts<'_>,
    (stage, table): (&str, &str),
    columns: &[Wanted],
    keys: &[&Wanted],
    mode: Mode,
) {
    let dedupe = facts.load.dedupe;
    let delete = || (Purpose::DeleteTarget, delete_target(table, stage, keys));
    let insert = |sql: String| (Purpose::InsertTarget, sql);
    match mode {
        Mode::Append => out.all(vec![insert(append(table, stage, columns, dedupe))]),
        Mode::Upsert => out.all(vec![delete(), insert(upsert(table, stage, columns, keys))]),
        Mode::SoftDelete => {
            out.all(vec![delete(), insert(soft_delete::insert(table, stage, columns, keys))]);
            out.all(soft_delete::mark(table, keys));
        }
        Mode::History => {
            let close = (Purpose::CloseRows, history::close(table, stage, keys));
            out.all(vec![
                close,
                insert(history::insert(table, stage, columns, keys, dedupe)),
            ]);
        }
    }
}

/// Of records that are replayed only those go on that are still open, and that no later change of their key has overtaken.
fn begin_replay(out: &mut Writer, target: &Target, facts: &Facts<'_>, keys: Option<&Vec<&Wanted>>) {
    if facts.load.replay.is_empty() {
        return;
    }
    let (stage, aside) = (identifier(STAGE), target.own().set_aside(&target.state_schema).sql());
    out.add(
        Purpose::FindClosed,
        replay::find_closed(&aside, &stage),
        Expect::NoneClosed,
    );
    if let Some(keys) = keys.filter(|_| !Mutant::ReplayIgnoresLater.is_on()) {
        let sql = replay::drop_late(&target.table.sql(), &stage, keys, grown(facts));
        out.add(Purpose::DropLate, sql, Expect::Done);
    }
}

fn end_replay(out: &mut Writer, target: &Target, facts: &Facts<'_>, stage: &str) -> Result<(), Failure> {
    if facts.load.replay.is_empty() || Mutant::ReplayMarkedApart.is_on() {
        return Ok(());
    }
    let aside = target.own().set_aside(&target.state_schema).sql();
    let sql = replay::mark_replayed(&aside, stage, facts.load_id, facts.now_ms)?;
    out.add(Purpose::MarkReplayed, sql, Expect::Done);
    Ok(())
}

/// Rule 25; a changelog keeps the marks instead.
fn fill_unchanged(out: &mut Writer, facts: &Facts<'_>, stage: &str, target: &Target, columns: &[Wanted], mode: Mode) {
    let table = &target.table.sql();
    let marked = unchanged::marked(facts.load);
    if marked.is_empty() || !mode.is_keyed() {
        return;
    }
    // A row that the refresh has not come to yet has its values in the table that is refreshed.
    let present = (mode == Mode::SoftDelete).then(|| soft_delete::present("t"));
    let earlier = target
        .refreshes
        .iter()
        .flat_map(|table| unchanged::fill(stage, &table.sql(), columns, &marked, present.as_deref()));
    let (fills, left) = match mode {
        Mode::History => (
            unchanged::fill_each(stage, table, columns, &marked, &history::current("t")),
            unchanged::left_of_each(stage),
        ),
        _ => (
            unchanged::fill(stage, table, columns, &marked, present.as_deref()),
            unchanged::left(stage, columns),
        ),
    };
    let is_kept = |name: &&str| columns.iter().any(|column| column.name == **name);
    let dropped = marked.iter().filter(|name| !is_kept(name));
    let unmarked = dropped.map(|name| unchanged::unmark(stage, name));
    for sql in fills.into_iter().chain(earlier).chain(unmarked) {
        out.add(Purpose::FillUnchanged, sql, Expect::Done);
    }
    out.add(Purpose::CountUnchanged, left, Expect::NoneLeft);
}

/// Removes the rows whose keys are staged.
fn delete_target(table: &str, stage: &str, keys: &[&Wanted]) -> String {
    let matches: Vec<String> = keys
        .iter()
        .map(|key| format!("{table}.{} = {}", identifier(&key.name), value(key, stage)))
        .collect();
    format!("DELETE FROM {table}\nUSING {stage}\nWHERE {}", matches.join("\n  AND "))
}

/// Rule 20, where the topic has more than one partition.
fn conflicts(out: &mut Writer, facts: &Facts<'_>, stage: &str, table: &str, keys: &[&Wanted]) {
    let row = facts.table_row;
    let partitions = row.and_then(|row| row.partitions).or_else(|| born_with(facts.load));
    if partitions == Some(1) {
        return;
    }
    if let Some(sql) = conflict::in_stage(facts.load, stage, keys) {
        out.add(Purpose::FindConflict, sql, Expect::NoConflict);
    }
    if facts.known.is_some() {
        let sql = conflict::with_target(stage, table, keys, &value, grown(facts));
        out.add(Purpose::FindConflict, sql, Expect::NoConflict);
    }
}

/// How many partitions the topic had before each increase that was accepted.
fn grown<'a>(facts: &Facts<'a>) -> &'a [u32] {
    facts.table_row.map_or(&[], |row| &row.grown)
}

/// Names the columns that are inserted, and takes them from `s`.
pub(super) fn insert_head(table: &str, columns: &[Wanted], mode: Mode) -> String {
    let meta = mode.meta_columns();
    let names: Vec<String> = columns
        .iter()
        .map(|c| identifier(&c.name))
        .chain(meta.iter().map(|(name, _)| identifier(name)))
        .collect();
    let values: Vec<String> = columns
        .iter()
        .map(|column| value(column, "s"))
        .chain(meta.iter().map(|(name, _)| format!("s.{}", identifier(name))))
        .collect();
    format!(
        "INSERT INTO {table} ({})\nSELECT {}\n",
        names.join(", "),
        values.join(", ")
    )
}

/// The last (offset, seq) of each key, and thereby one of equal rows.
fn upsert(table: &str, stage: &str, columns: &[Wanted], keys: &[&Wanted]) -> String {
    let (head, rank) = (insert_head(table, columns, Mode::Upsert), identifier(RANK));
    let by: Vec<String> = keys.iter().map(|key| identifier(&key.name)).collect();
    format!(
        "{head}FROM (\n    SELECT r.*, ROW_NUMBER() OVER (PARTITION BY {} ORDER BY \"_kafka_offset\" DESC, \"_kafka_seq\" DESC) AS {rank}\n    FROM {stage} AS r\n) AS s\nWHERE s.{rank} = 1 AND s.\"_kafka_op\" <> 'd'",
        by.join(", ")
    )
}

/// One row per (partition, offset, seq); they are ranked only where claims overlap (M9).
fn append(table: &str, stage: &str, columns: &[Wanted], dedupe: bool) -> String {
    let (head, rank) = (insert_head(table, columns, Mode::Append), identifier(RANK));
    if !dedupe {
        return format!("{head}FROM {stage} AS s");
    }
    format!(
        "{head}FROM (\n    SELECT r.*, ROW_NUMBER() OVER (PARTITION BY \"_kafka_partition\", \"_kafka_offset\", \"_kafka_seq\" ORDER BY \"_kafka_op\") AS {rank}\n    FROM {stage} AS r\n) AS s\nWHERE s.{rank} = 1"
    )
}

/// A staged column as a value of the target's type.
pub(super) fn value(column: &Wanted, from: &str) -> String {
    if column.name == OPERATION {
        return format!("{from}.{}", identifier(STAGED_OPERATION));
    }
    let name = identifier(&column.name);
    match column.ty {
        ColumnType::Time | ColumnType::TimeTz => format!("CAST({from}.{name} AS {})", column.ty),
        _ => format!("{from}.{name}"),
    }
}
