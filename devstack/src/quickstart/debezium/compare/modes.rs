//! Tables of which the target keeps more than the source does: what it must hold follows from every change that the source made.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use super::super::expected::Expected;
use super::super::tables::{Key, SCHEMA, Table};
use super::super::workload::{TRUNCATE, Told};
use super::{Comparison, Ends, plain, row_at};
use crate::client::sql::Row;
use crate::progress::thousands;

/// A row as a history has it: what it holds, and until which change.
#[derive(Debug)]
struct Version {
    op: char,
    values: Row,
    /// Whether the next row of its key begins as it ends; without a next one, whether it is the current.
    lasts: bool,
}

/// The rows that each key had, in order.
fn versions(table: &Table, log: &[(char, Row)]) -> BTreeMap<Vec<String>, Vec<Version>> {
    let keys = table.key_columns().len();
    let mut all: BTreeMap<Vec<String>, Vec<Version>> = BTreeMap::new();
    for (op, row) in log {
        if *op == TRUNCATE {
            all.values_mut()
                .filter_map(|rows| rows.last_mut())
                .for_each(|row| row.lasts = false);
            continue;
        }
        let key = row[..keys]
            .iter()
            .map(|text| text.clone().unwrap_or_default())
            .collect();
        let rows = all.entry(key).or_default();
        if *op == 'd' {
            rows.last_mut().into_iter().for_each(|row| row.lasts = false);
        } else {
            rows.push(Version {
                op: *op,
                values: row[keys..].to_vec(),
                lasts: true,
            });
        }
    }
    all
}

/// Where each row began and ended, and whether it is the current one, as the target says.
struct Span {
    from: Option<String>,
    to: Option<String>,
    is_current: bool,
}

impl Ends<'_> {
    /// A changelog holds every change in its order.
    pub(super) async fn changelog(&self, table: &Table, told: &Told, comparison: &mut Comparison) -> Result<()> {
        let log = told.log(table);
        let names = table.columns.iter().map(|column| column.name);
        let columns: Vec<&str> = table.key_columns().iter().copied().chain(names).collect();
        let query = format!(
            "SELECT \"_kafka_op\", {} FROM \"{SCHEMA}\".\"{}\" ORDER BY \"_kafka_offset\", \"_kafka_seq\"",
            columns.join(", "),
            table.name
        );
        let found = self.target.query(&query).await?;
        comparison.rows = log.len() as u64;
        if found.len() != log.len() {
            comparison.differs(|| {
                format!(
                    "{SCHEMA}.{} has {} changes, the source made {}",
                    table.name,
                    thousands(found.len() as u64),
                    thousands(log.len() as u64)
                )
            });
        }
        let keys = table.key_columns().len();
        for (at, ((op, row), found)) in log.iter().zip(&found).enumerate() {
            let place = || format!("{SCHEMA}.{} change {at} ({op})", table.name);
            let own = Expected::Text(op.to_string());
            comparison.value("_kafka_op", &own, found[0].as_deref(), place);
            for (index, name) in table.key_columns().iter().enumerate() {
                let value = row.get(index).cloned().flatten();
                let wanted = value.map_or(Expected::Null, Expected::Text);
                comparison.value(name, &wanted, found[index + 1].as_deref(), place);
            }
            // A truncate has no row at all.
            let values = if *op == TRUNCATE { &[] } else { &row[keys..] };
            compare_values(table, values, &found[keys + 1..], comparison, place)?;
        }
        Ok(())
    }

    /// A soft-delete table holds the source's rows, and those that were deleted with their last values and the mark.
    pub(super) async fn soft_delete(&self, table: &Table, told: &Told, comparison: &mut Comparison) -> Result<()> {
        let keys = table.key_columns().len();
        let mut found: BTreeMap<Vec<String>, Row> = BTreeMap::new();
        for row in self.rows_with(table, &["_kafka_deleted"], "").await? {
            let (key, rest) = row_at(row, keys);
            if found.insert(key, rest).is_some() {
                bail!("a key is in the target twice");
            }
        }
        let source: BTreeSet<Vec<String>> = self.source_keys(table).await?;
        for (key, rows) in versions(table, told.log(table)) {
            let place = || format!("{SCHEMA}.{} {}", table.name, key.join("/"));
            let last = rows.last().context("a key has a row")?;
            comparison.rows += 1;
            if last.lasts != source.contains(&key) {
                bail!("{}: the workload does not know what the source has", place());
            }
            let Some(found) = found.remove(&key) else {
                comparison.differs(|| format!("{} is missing", place()));
                continue;
            };
            let (values, mark) = found.split_at(found.len() - 1);
            let deleted = Expected::Text(if last.lasts { "f" } else { "t" }.to_owned());
            comparison.value("_kafka_deleted", &deleted, mark[0].as_deref(), place);
            compare_values(table, &last.values, values, comparison, place)?;
        }
        for key in found.keys() {
            comparison.differs(|| format!("{SCHEMA}.{} {} is too many", table.name, key.join("/")));
        }
        Ok(())
    }

    /// A history holds every row that a key had; they follow each other without gap or overlap, and the current ones are the source's.
    pub(super) async fn history(&self, table: &Table, told: &Told, comparison: &mut Comparison) -> Result<()> {
        let keys = table.key_columns().len();
        let further = ["_kafka_op", "_kafka_valid_from", "_kafka_valid_to", "_kafka_is_current"];
        let mut found: BTreeMap<Vec<String>, Vec<Row>> = BTreeMap::new();
        let order = " ORDER BY \"_kafka_partition\", \"_kafka_offset\", \"_kafka_seq\"";
        for row in self.rows_with(table, &further, order).await? {
            let (key, rest) = row_at(row, keys);
            found.entry(key).or_default().push(rest);
        }
        let source = self.source_keys(table).await?;
        for (key, rows) in versions(table, told.log(table)) {
            let place = || format!("{SCHEMA}.{} {}", table.name, key.join("/"));
            comparison.rows += rows.len() as u64;
            if rows.last().is_some_and(|row| row.lasts) != source.contains(&key) {
                bail!("{}: the workload does not know what the source has", place());
            }
            let found = found.remove(&key).unwrap_or_default();
            if found.len() != rows.len() {
                comparison.differs(|| format!("{} has {} rows, should have {}", place(), found.len(), rows.len()));
                continue;
            }
            let mut spans = Vec::new();
            for (wanted, mut found) in rows.iter().zip(found) {
                let further = found.split_off(table.columns.len());
                comparison.value(
                    "_kafka_op",
                    &Expected::Text(wanted.op.into()),
                    further[0].as_deref(),
                    place,
                );
                compare_values(table, &wanted.values, &found, comparison, place)?;
                spans.push(Span {
                    from: further[1].clone(),
                    to: further[2].clone(),
                    is_current: further[3].as_deref() == Some("t"),
                });
            }
            compare_spans(&rows, &spans, comparison, place);
        }
        for key in found.keys() {
            comparison.differs(|| format!("{SCHEMA}.{} {} is too many", table.name, key.join("/")));
        }
        Ok(())
    }

    /// The target's rows: key, columns, and what it has further.
    async fn rows_with(&self, table: &Table, further: &[&str], order: &str) -> Result<Vec<Row>> {
        let own = table.columns.iter().map(|column| column.name);
        let names = table.key_columns().iter().copied().chain(own);
        let columns: Vec<String> = names
            .chain(further.iter().copied())
            .map(|name| format!("\"{name}\""))
            .collect();
        let query = format!("SELECT {} FROM {SCHEMA}.{}{order}", columns.join(", "), table.name);
        self.target.query(&query).await
    }

    async fn source_keys(&self, table: &Table) -> Result<BTreeSet<Vec<String>>> {
        let query = format!("SELECT {} FROM {SCHEMA}.{}", table.key_columns().join(", "), table.name);
        let rows = self.source.query(&query).await?;
        let keys = rows
            .into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect());
        Ok(keys.collect())
    }
}

/// The values of a row; none are as many NULLs.
fn compare_values(
    table: &Table,
    wanted: &[Option<String>],
    found: &[Option<String>],
    comparison: &mut Comparison,
    place: impl Fn() -> String,
) -> Result<()> {
    for (index, column) in table.columns.iter().enumerate() {
        let value = wanted.get(index).and_then(Option::as_deref);
        let (wanted, rule) = plain(column, value)?;
        if let Some(rule) = rule {
            comparison.rule(rule);
        }
        comparison.value(column.name, &wanted, found[index].as_deref(), &place);
    }
    Ok(())
}

/// A row that lasts ends where the next one begins, and is the current one if there is none; any other ends no later.
fn compare_spans(rows: &[Version], spans: &[Span], comparison: &mut Comparison, place: impl Fn() -> String) {
    for (at, (row, span)) in rows.iter().zip(spans).enumerate() {
        comparison.values += 3;
        let next = spans.get(at + 1);
        let is_right = match (next, &span.to) {
            (None, None) => row.lasts && span.is_current,
            (None, Some(_)) => !row.lasts && !span.is_current,
            (Some(_), None) => false,
            (Some(next), Some(to)) if row.lasts => !span.is_current && next.from.as_ref() == Some(to),
            (Some(next), Some(to)) => !span.is_current && next.from.as_ref().is_some_and(|from| to <= from),
        };
        let is_forward = span.from.is_some() && span.to.as_ref().is_none_or(|to| Some(to) >= span.from.as_ref());
        if !(is_right && is_forward) {
            comparison.differs_in("_kafka_valid_to", || {
                format!(
                    "{} row {at}: from {:?} to {:?}, current {}, and the next one is from {:?}",
                    place(),
                    span.from,
                    span.to,
                    span.is_current,
                    next.map(|next| &next.from)
                )
            });
        }
    }
}

/// Whether every change of a table is remembered as a change.
pub(super) fn is_changelog(table: &Table) -> bool {
    table.key == Key::None
}

#[cfg(test)]
mod tests {
    use super::super::super::database::Database;
    use super::super::super::tables::Mode;
    use super::*;

    fn table() -> Table {
        let mut tables = Database::Postgres.tables().into_iter();
        tables.find(|table| table.mode == Mode::History).unwrap()
    }

    fn row(id: i64) -> Row {
        vec![Some(id.to_string()), Some("1".into()), None, None, None, None, None]
    }

    fn span(from: &str, to: Option<&str>) -> Span {
        Span {
            from: Some(from.into()),
            to: to.map(str::to_owned),
            is_current: to.is_none(),
        }
    }

    #[test]
    fn rows_end_by_the_next_change_a_delete_or_a_truncate() {
        let log = [
            ('c', row(1)),
            ('u', row(1)),
            ('c', row(2)),
            ('d', row(1)),
            ('c', row(1)),
            ('t', Row::new()),
            ('c', row(2)),
        ];
        let all = versions(&table(), &log);
        let lasts = |id: &str| -> Vec<(char, bool)> {
            all[&vec![id.to_owned()]]
                .iter()
                .map(|row| (row.op, row.lasts))
                .collect()
        };
        assert_eq!(lasts("1"), [('c', true), ('u', false), ('c', false)]);
        assert_eq!(lasts("2"), [('c', false), ('c', true)]);
    }

    #[test]
    fn gaps_overlaps_and_a_wrong_current_row_are_differences() {
        let log = [('c', row(1)), ('u', row(1)), ('d', row(1)), ('c', row(1))];
        let all = versions(&table(), &log);
        let rows = &all[&vec!["1".to_owned()]];
        let differences = |spans: &[Span]| {
            let mut comparison = Comparison::default();
            compare_spans(rows, spans, &mut comparison, || "here".to_owned());
            comparison.differences
        };
        let right = || [span("1", Some("2")), span("2", Some("3")), span("4", None)];
        assert_eq!(differences(&right()), 0);
        let mut wrong = right();
        wrong[0].to = Some("3".into());
        assert_eq!(differences(&wrong), 1, "overlap or gap");
        let mut wrong = right();
        wrong[1].to = Some("5".into());
        assert_eq!(differences(&wrong), 1, "overlap behind a delete");
        let mut wrong = right();
        wrong[2].to = Some("6".into());
        assert_eq!(differences(&wrong), 1, "the last has ended");
        let mut wrong = right();
        wrong[1].is_current = true;
        assert_eq!(differences(&wrong), 1, "two are current");
    }
}
