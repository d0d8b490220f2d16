//! A table as a loader makes it of rows: keyed, so the last row of a key stays; or a changelog, in the order of its rows.

use std::collections::BTreeMap;

use common::csv::DEFAULT_NULL_MARKER;
use common::plan::{META_COLUMNS, Plan};
use common::row::Outcome;

use super::debezium::{Line, Lineage};

pub(crate) type Field = Option<String>;
/// The values of a row by the name of the column.
pub(crate) type Row = BTreeMap<String, Field>;

/// What a topic's records make.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Rows by key.
    pub(crate) rows: BTreeMap<Vec<Field>, Row>,
    /// Rows of a table without a key since its last truncate, each with its operation.
    pub(crate) changelog: Vec<(String, Row)>,
    pub(crate) truncates: usize,
    /// Records that were refused: offset, column, problem.
    pub(crate) refused: Vec<(i64, Field, String)>,
}

impl Table {
    /// Encodes all records of a topic and applies their rows.
    pub(crate) fn of(lineage: &mut Lineage, lines: &[Line]) -> Table {
        let mut table = Table::default();
        for line in lines {
            match lineage.encode(line) {
                Ok((Outcome::Truncate, _)) => {
                    table.rows.clear();
                    table.changelog.clear();
                    table.truncates += 1;
                }
                Ok((_, rows)) => rows.into_iter().for_each(|row| table.apply(&lineage.plan(), row)),
                Err(error) => {
                    let problem = error.problem.to_string();
                    table.refused.push((line.offset, error.column, problem));
                }
            }
        }
        table
    }

    fn apply(&mut self, plan: &Plan, row: Vec<Field>) {
        assert_eq!(row.len(), META_COLUMNS.len() + plan.columns.len());
        self.add_columns(plan);
        let op = row[0].clone().expect("every row has an operation");
        let marks = row[META_COLUMNS.len() - 1].clone().unwrap_or_default();
        let names = plan.columns.iter().map(|column| column.name.clone());
        let mut values: Row = names.zip(row.into_iter().skip(META_COLUMNS.len())).collect();
        let key: Vec<Field> = plan
            .key_columns()
            .iter()
            .map(|column| values[&column.name].clone())
            .collect();
        if key.is_empty() {
            return self.changelog.push((op, values));
        }
        if op == "d" {
            let others = plan.columns.iter().filter(|column| column.key.is_none());
            let empty = |name: &str| values[name].is_none() || name.starts_with("__");
            assert!(
                others.map(|column| column.name.as_str()).all(empty),
                "a delete is its key: {values:?}"
            );
            self.rows.remove(&key);
            return;
        }
        for name in marks.split(',').filter(|name| !name.is_empty()) {
            assert_eq!(values[name], None, "what did not change is left out");
            values.insert(name.to_owned(), self.rows[&key][name].clone());
        }
        self.rows.insert(key, values);
    }

    /// Columns are added with their defaults.
    fn add_columns(&mut self, plan: &Plan) {
        for row in self.rows.values_mut() {
            for column in plan
                .columns
                .iter()
                .filter(|column| !row.contains_key(&column.name))
                .collect::<Vec<_>>()
            {
                let default = column.default.clone().filter(|text| text != DEFAULT_NULL_MARKER);
                row.insert(column.name.clone(), default);
            }
        }
    }
}
