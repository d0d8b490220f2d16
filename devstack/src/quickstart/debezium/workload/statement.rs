//! The statements of the workload.

use std::collections::BTreeSet;

use rand::Rng;

use super::keys::{Keys, key_texts};
use super::{INSERT, State, TRUNCATE, Workload};
use crate::client::sql::Row;
use crate::quickstart::debezium::tables::{EVOLVING, Key, SCHEMA, TAG, Table, UNFIT};
use crate::quickstart::debezium::values::{quoted, value};

/// Rows of a table without a key that a statement finds were written by one of so many writers, the last ones.
const TAGS: i64 = 40;

/// A statement, and what it tells of a table.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) tells: Option<Tale>,
}

/// Changes of a table that is told.
#[derive(Debug, Clone)]
pub(super) struct Tale {
    /// Its name.
    pub(super) table: &'static str,
    /// A change that comes first, whatever the statement answers.
    pub(super) first: Option<(char, Row)>,
    /// The operation of the rows that it answers with.
    pub(super) rows: Option<char>,
}

impl Statement {
    fn of(sql: String) -> Self {
        Self { sql, tells: None }
    }

    /// Tells this, whatever the statement answers.
    fn telling(table: &Table, sql: String, change: (char, Row)) -> Self {
        let tale = Tale {
            table: table.name,
            first: Some(change),
            rows: None,
        };
        Self {
            sql,
            tells: table.is_told().then_some(tale),
        }
    }

    /// Tells of the rows that the statement answers with.
    fn answering(table: &Table, sql: String, op: char) -> Self {
        Self {
            sql,
            tells: Some(Tale {
                table: table.name,
                first: None,
                rows: Some(op),
            }),
        }
    }
}

fn condition(table: &Table, number: i64) -> String {
    let pairs = table.key_columns().iter().zip(key_texts(table, number));
    let conditions: Vec<String> = pairs
        .map(|(name, text)| format!("{name} = {}", quoted(&text)))
        .collect();
    conditions.join(" AND ")
}

pub(super) fn is_unfit(table: &Table, values: &[Option<String>]) -> bool {
    let mut pairs = table.columns.iter().zip(values);
    pairs.any(|(column, value)| value.as_deref().is_some_and(|text| column.kind.unfit(text).is_some()))
}

impl State {
    pub(super) fn keys(&mut self, table: &Table) -> &mut Keys {
        self.keys.entry(table.name).or_default()
    }

    /// The row has now what was written.
    fn written(&mut self, table: &Table, number: i64) {
        if table.name == EVOLVING {
            for since in &mut self.told.since {
                since.written.insert(number);
            }
        }
    }
}

impl Workload {
    /// Some operation on some table.
    pub(super) fn operation(&mut self) -> Vec<Statement> {
        let table = self.tables[self.dice.random_range(0..self.tables.len())].clone();
        if self.may_truncate(&table) && !self.database.truncates_commit() {
            return vec![self.truncate(&table)];
        }
        let kind = self.dice.random_range(0..100);
        if table.key == Key::None {
            return self.without_key(&table, kind);
        }
        let keys = self.state.keys.get(table.name);
        let present = keys.and_then(|keys| keys.any(&mut self.dice));
        match (kind, present) {
            (..30, _) | (_, None) => {
                let values = self.values(&table);
                vec![self.insert(&table, values, INSERT)]
            }
            (30..70, Some(number)) => self.update(&table, number),
            (70..82, Some(number)) => self.change_key(&table, number),
            (_, Some(number)) => vec![self.delete(&table, number)],
        }
    }

    pub(super) fn values(&mut self, table: &Table) -> Vec<Option<String>> {
        let dice = &mut self.dice;
        table.columns.iter().map(|column| value(column, dice)).collect()
    }

    /// Values that the target holds, whatever the table.
    fn fitting(&mut self, table: &Table) -> Vec<Option<String>> {
        loop {
            let values = self.values(table);
            if !is_unfit(table, &values) {
                return values;
            }
        }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.state.told.counts.entry(what).or_default() += 1;
    }

    /// The number of the next writer of a table that is told.
    fn tag(&mut self) -> i64 {
        self.state.tags += 1;
        self.state.tags
    }

    /// That of a writer of late.
    fn tag_of_late(&mut self) -> i64 {
        let tags = self.state.tags;
        self.dice.random_range((tags - TAGS).max(0)..=tags)
    }

    pub(super) fn insert(&mut self, table: &Table, values: Vec<Option<String>>, op: char) -> Statement {
        self.count("inserts");
        let mut values = values;
        let mut literals = Vec::new();
        if table.is_told() {
            let tag = if table.key == Key::None {
                self.tag_of_late()
            } else {
                self.tag()
            };
            values[0] = Some(tag.to_string());
        }
        if table.key != Key::None {
            let keys = self.state.keys.entry(table.name).or_default();
            let number = keys.fresh(&mut self.dice);
            if table.name == UNFIT && is_unfit(table, &values) {
                keys.unfit.insert(number);
            }
            literals.extend(key_texts(table, number).iter().map(|text| quoted(text)));
            self.state.written(table, number);
        }
        let mut names: Vec<&str> = table.key_columns().to_vec();
        names.extend(table.columns.iter().map(|column| column.name));
        let pairs = table.columns.iter().zip(&values);
        literals.extend(pairs.map(|(column, value)| column.kind.literal(value.as_deref())));
        let sql = format!(
            "INSERT INTO {SCHEMA}.{} ({}) VALUES ({})",
            table.name,
            names.join(", "),
            literals.join(", ")
        );
        if !table.is_told() {
            return Statement::of(sql);
        }
        Statement::answering(table, self.database.returning(table, &sql), op)
    }

    /// Some of the columns, or all of them where values that do not fit are to go.
    fn update(&mut self, table: &Table, number: i64) -> Vec<Statement> {
        self.count("updates");
        let all = table.name == UNFIT;
        let values = if all { self.fitting(table) } else { self.values(table) };
        self.state.keys(table).unfit.remove(&number);
        let sets = self.sets(table, values, all);
        self.state.written(table, number);
        let key = condition(table, number);
        self.updating(table, &sets, &key, &key, None)
    }

    fn sets(&mut self, table: &Table, values: Vec<Option<String>>, all: bool) -> Vec<String> {
        let chosen = self.dice.random_range(0..table.columns.len());
        let pairs = table.columns.iter().zip(values).enumerate();
        let kept: Vec<_> = pairs
            .filter(|(index, _)| all || *index == chosen || self.dice.random_ratio(1, 3))
            .map(|(_, pair)| pair)
            .filter(|(column, _)| !(table.is_told() && column.name == TAG))
            .collect();
        let mut sets: Vec<String> = kept
            .iter()
            .map(|(column, value)| format!("{} = {}", column.name, column.kind.literal(value.as_deref())))
            .collect();
        if table.is_told() {
            sets.push(format!("{TAG} = {}", self.tag()));
        }
        sets
    }

    /// An update of the rows that `found` finds, and that `now` finds afterwards.
    fn updating(
        &self,
        table: &Table,
        sets: &[String],
        found: &str,
        now: &str,
        before: Option<(char, Row)>,
    ) -> Vec<Statement> {
        let sql = format!("UPDATE {SCHEMA}.{} SET {} WHERE {found}", table.name, sets.join(", "));
        if !table.is_told() {
            return vec![Statement::of(sql)];
        }
        // A key that changes is deleted, and inserted as another.
        let op = if before.is_some() { INSERT } else { 'u' };
        let mut all: Vec<Statement> = self
            .database
            .update_returning(table, &sql, now)
            .into_iter()
            .map(Statement::of)
            .collect();
        if let Some(last) = all.last_mut() {
            last.tells = Some(Tale {
                table: table.name,
                first: before,
                rows: Some(op),
            });
        }
        all
    }

    /// Another key for a row. Where the log has only what changed, all columns are written: what lies outside of the row would be in the
    /// log for neither key.
    fn change_key(&mut self, table: &Table, number: i64) -> Vec<Statement> {
        self.count("changed keys");
        let keys = self.state.keys.entry(table.name).or_default();
        let new = keys.fresh(&mut self.dice);
        keys.remove(number);
        let values = self.fitting(table);
        let mut sets: Vec<String> = table
            .key_columns()
            .iter()
            .zip(key_texts(table, new))
            .map(|(name, text)| format!("{name} = {}", quoted(&text)))
            .collect();
        if !table.full || table.is_told() {
            sets.extend(self.sets(table, values, true));
        }
        self.state.written(table, new);
        let before = ('d', deleted(table, number));
        let (found, now) = (condition(table, number), condition(table, new));
        self.updating(table, &sets, &found, &now, Some(before))
    }

    fn delete(&mut self, table: &Table, number: i64) -> Statement {
        self.count("deletes");
        self.state.keys(table).remove(number);
        let sql = format!("DELETE FROM {SCHEMA}.{} WHERE {}", table.name, condition(table, number));
        Statement::telling(table, sql, ('d', deleted(table, number)))
    }

    pub(super) fn truncate(&mut self, table: &Table) -> Statement {
        self.count("truncates");
        self.state.keys(table).clear();
        let sql = format!("TRUNCATE TABLE {SCHEMA}.{}", table.name);
        Statement::telling(table, sql, (TRUNCATE, Row::new()))
    }

    /// An operation on the table without a key, which may meet several rows or none.
    fn without_key(&mut self, table: &Table, kind: u32) -> Vec<Statement> {
        let found = format!("{TAG} = {}", self.tag_of_late());
        let values = self.values(table);
        match kind {
            ..50 => vec![self.insert(table, values, INSERT)],
            50..80 => {
                self.count("updates");
                let sets = self.sets(table, values, false);
                let now = format!("{TAG} = {}", self.state.tags);
                self.updating(table, &sets, &found, &now, None)
            }
            _ => {
                self.count("deletes");
                let sql = format!("DELETE FROM {SCHEMA}.{} WHERE {found}", table.name);
                vec![Statement::answering(table, self.database.returning(table, &sql), 'd')]
            }
        }
    }

    /// Numbers of the rows of a table whose last change must lie among the records set aside.
    #[must_use]
    pub fn set_aside(&self, table: &Table) -> BTreeSet<Vec<String>> {
        let keys = self.state.keys.get(table.name);
        let numbers = keys.into_iter().flat_map(|keys| &keys.unfit);
        numbers.map(|number| key_texts(table, *number)).collect()
    }
}

/// What a delete tells: the key, and nothing else.
fn deleted(table: &Table, number: i64) -> Row {
    let key = key_texts(table, number).into_iter().map(Some);
    key.chain(table.columns.iter().map(|_| None)).collect()
}
