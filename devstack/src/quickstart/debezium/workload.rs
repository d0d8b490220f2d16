//! A seeded random workload on the source: inserts, updates, changed keys, deletes, truncates, DDL, and transactions that are rolled back.
//! It keeps what the source itself forgets and the target must show: the changes of the table without a key, and which rows were not
//! written since a column came.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::SimpleQueryMessage;

use super::kind::Kind;
use super::render;
use super::tables::{CHANGES, Change, Column, EVOLVING, Key, LOG, Leaves, REGIONS, SCHEMA, Table, UNFIT};
use super::values::{corners, literal, value};
use crate::client::sql::{Row, Sql};

/// Longest transaction, in operations.
const TRANSACTION_MAX: usize = 20;

/// One of so many transactions is rolled back.
const ROLLED_BACK: u32 = 20;

/// One of so many operations on a table that is truncated now and then is a truncate, in the first half of the workload; its middle is one
/// for certain.
const TRUNCATES: u32 = 400;

/// Operation of a truncate, which has no row.
pub const TRUNCATE: char = 't';

/// Operation of an insertion.
pub const INSERT: char = 'c';

/// Operation of a row that a snapshot found.
pub const SNAPSHOT: char = 'r';

/// Dates that a snapshot of Debezium takes for others: it reads them as java.sql.Date, which knows neither the years before the first nor
/// the days that the calendar skipped in 1582. In the log they are read as they are.
const MISREAD_DATES: [&str; 2] = ["0044-03-15 BC", "1582-10-10"];

/// Rows of a table without a key that a statement finds have one of so many numbers.
const NUMBERS: i16 = 40;

/// The rows of a keyed table, by number; [`Workload::key`] says which key a number stands for.
#[derive(Debug, Clone, Default)]
struct Keys {
    live: Vec<i64>,
    gone: Vec<i64>,
    next: i64,
    /// Rows with a value that the target cannot hold, where their records are set aside for it.
    unfit: BTreeSet<i64>,
}

impl Keys {
    /// A key that no row has: now and then one that a row had before.
    fn fresh(&mut self, dice: &mut StdRng) -> i64 {
        let number = if !self.gone.is_empty() && dice.random_ratio(1, 4) {
            self.gone.swap_remove(dice.random_range(0..self.gone.len()))
        } else {
            self.next += 1;
            self.next
        };
        self.live.push(number);
        number
    }

    fn any(&self, dice: &mut StdRng) -> Option<i64> {
        (!self.live.is_empty()).then(|| self.live[dice.random_range(0..self.live.len())])
    }

    fn remove(&mut self, number: i64) {
        self.live.retain(|live| *live != number);
        self.gone.push(number);
        self.unfit.remove(&number);
    }

    fn clear(&mut self) {
        self.gone.append(&mut self.live);
        self.unfit.clear();
    }
}

/// A column that came while rows were there, and the rows written since.
#[derive(Debug, Clone)]
pub struct Since {
    /// Its name.
    pub column: &'static str,
    /// What the others have at the target.
    pub leaves: Leaves,
    /// Ids of the rows written since.
    pub written: BTreeSet<i64>,
}

/// What is known of the workload beside the tables that it leads to.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Every change of the table without a key: operation, and the row as PostgreSQL shows it.
    pub log: Vec<(char, Row)>,
    /// Columns that came.
    pub since: Vec<Since>,
    /// Columns that went.
    pub dropped: Vec<&'static str>,
    /// How many operations of each kind were committed.
    pub counts: BTreeMap<&'static str, u64>,
}

/// See the module.
pub struct Workload {
    dice: StdRng,
    tables: Vec<Table>,
    state: State,
    truncating: bool,
}

/// What a rollback takes back.
#[derive(Clone, Default)]
struct State {
    keys: BTreeMap<&'static str, Keys>,
    told: Told,
}

/// A statement; with an operation if its rows are changes of the table without a key.
struct Statement {
    sql: String,
    logged: Option<char>,
}

impl Statement {
    fn of(sql: String) -> Self {
        Self { sql, logged: None }
    }
}

impl Workload {
    /// A workload on these tables; the same seed makes the same statements.
    #[must_use]
    pub fn new(tables: Vec<Table>, seed: u64) -> Self {
        Self {
            dice: StdRng::seed_from_u64(seed),
            tables,
            state: State::default(),
            truncating: false,
        }
    }

    /// The tables as they are now.
    #[must_use]
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// What is known of the changes.
    #[must_use]
    pub fn told(&self) -> &Told {
        &self.state.told
    }

    /// Rows of a table whose last change must lie among the records set aside.
    #[must_use]
    pub fn set_aside(&self, table: &str) -> usize {
        self.state.keys.get(table).map_or(0, |keys| keys.unfit.len())
    }

    /// Makes the tables.
    ///
    /// # Errors
    /// The source refuses.
    pub async fn create(&self, sql: &Sql) -> Result<()> {
        let mut all = format!(
            "CREATE EXTENSION citext;\nCREATE EXTENSION hstore;\nCREATE EXTENSION ltree;\nCREATE SCHEMA {SCHEMA};\n\
             CREATE TYPE {SCHEMA}.mood AS ENUM ('sad', 'ok', 'happy', 'so so');\n\
             CREATE TABLE {SCHEMA}.marker (id serial PRIMARY KEY);\n"
        );
        all.extend(self.tables.iter().map(Table::ddl));
        sql.query(&all).await.map(drop)
    }

    /// Writes rows of all edges into every table, and one of NULLs; `op` is what the capture calls their insertion.
    ///
    /// # Errors
    /// The source refuses.
    pub async fn edges(&mut self, sql: &Sql, op: char) -> Result<()> {
        let snapshot = op == SNAPSHOT;
        for index in 0..self.tables.len() {
            let table = self.tables[index].clone();
            let mut edges: Vec<Vec<String>> = table.columns.iter().map(corners).collect();
            for dates in table
                .columns
                .iter()
                .zip(&mut edges)
                .filter(|(column, _)| snapshot && column.kind == Kind::Date)
            {
                dates.1.retain(|date| !MISREAD_DATES.contains(&date.as_str()));
            }
            let most = edges.iter().map(Vec::len).max().unwrap_or(0);
            let mut statements = Vec::new();
            for at in 0..=most {
                let value = |(column, edges): (&Column, &Vec<String>)| match edges.len() {
                    0 => value(column, &mut self.dice),
                    _ if at == most && !column.required() => None,
                    count => Some(edges[at % count].clone()),
                };
                let values: Vec<Option<String>> = table.columns.iter().zip(&edges).map(value).collect();
                statements.push(self.insert(&table, values, op));
            }
            self.run(sql, statements, true).await?;
        }
        Ok(())
    }

    /// Runs so many operations in transactions, with all changes of shape among them; tells how many are done.
    ///
    /// # Errors
    /// The source refuses.
    pub async fn run_all(&mut self, sql: &Sql, operations: usize, mut done: impl FnMut(usize)) -> Result<()> {
        let mut due: Vec<usize> = CHANGES
            .iter()
            .map(|_| self.dice.random_range(0..operations.max(1)))
            .collect();
        due.sort_unstable();
        let mut changes = CHANGES.iter().zip(due).peekable();
        let mut made = 0;
        self.truncating = true;
        while made < operations || changes.peek().is_some() {
            while let Some((change, _)) = changes.next_if(|(_, at)| *at <= made) {
                self.change(sql, change).await?;
            }
            if self.truncating && made >= operations / 2 {
                self.truncating = false;
                let tables: Vec<Table> = self.tables.iter().filter(|table| table.truncated).cloned().collect();
                let truncates = tables.iter().map(|table| self.truncate(table)).collect();
                self.run(sql, truncates, true).await?;
            }
            let length = self.dice.random_range(1..=TRANSACTION_MAX);
            let commit = !self.dice.random_ratio(1, ROLLED_BACK);
            let before = (!commit).then(|| self.state.clone());
            let statements = (0..length).map(|_| self.operation()).collect();
            self.run(sql, statements, commit).await?;
            if let Some(before) = before {
                self.state = before;
            }
            made += length;
            done(made.min(operations));
        }
        Ok(())
    }

    /// Changes the shape of a table, and writes a row so that the change is seen.
    async fn change(&mut self, sql: &Sql, change: &Change) -> Result<()> {
        sql.execute(&format!("ALTER TABLE {SCHEMA}.{EVOLVING} {}", change.ddl))
            .await?;
        let index = self.tables.iter().position(|table| table.name == EVOLVING);
        let index = index.context("there is a table that evolves")?;
        let columns = &mut self.tables[index].columns;
        columns.retain(|column| {
            Some(column.name) != change.goes && change.comes.is_none_or(|comes| comes.name != column.name)
        });
        columns.extend(change.comes);
        let told = &mut self.state.told;
        told.dropped.extend(change.goes);
        if let (Some(column), Some(leaves)) = (change.comes, change.leaves_rows) {
            told.since.push(Since {
                column: column.name,
                leaves,
                written: BTreeSet::new(),
            });
        }
        *told.counts.entry("DDL").or_default() += 1;
        let table = self.tables[index].clone();
        let values = table
            .columns
            .iter()
            .map(|column| value(column, &mut self.dice))
            .collect();
        let statement = self.insert(&table, values, 'c');
        self.run(sql, vec![statement], true).await
    }

    fn operation(&mut self) -> Statement {
        let table = self.tables[self.dice.random_range(0..self.tables.len())].clone();
        if table.truncated && self.truncating && self.dice.random_ratio(1, TRUNCATES) {
            return self.truncate(&table);
        }
        let kind = self.dice.random_range(0..100);
        if table.key == Key::None {
            return self.logged(&table, kind);
        }
        let present = self
            .state
            .keys
            .get(table.name)
            .and_then(|keys| keys.any(&mut self.dice));
        match (kind, present) {
            (..30, _) | (_, None) => {
                let values = self.values(&table);
                self.insert(&table, values, 'c')
            }
            (30..70, Some(number)) => self.update(&table, number),
            (70..82, Some(number)) => self.change_key(&table, number),
            (_, Some(number)) => self.delete(&table, number),
        }
    }

    fn values(&mut self, table: &Table) -> Vec<Option<String>> {
        table
            .columns
            .iter()
            .map(|column| value(column, &mut self.dice))
            .collect()
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

    fn count(&mut self, what: &'static str) {
        *self.state.told.counts.entry(what).or_default() += 1;
    }

    /// The row has now what was written.
    fn written(&mut self, table: &Table, number: i64) {
        if table.name == EVOLVING {
            for since in &mut self.state.told.since {
                since.written.insert(number);
            }
        }
    }

    fn insert(&mut self, table: &Table, values: Vec<Option<String>>, op: char) -> Statement {
        self.count("inserts");
        let mut values = values;
        let mut names: Vec<&str> = table.key_columns().to_vec();
        let mut literals = Vec::new();
        if table.key == Key::None {
            values[0] = Some(self.dice.random_range(0..NUMBERS).to_string());
        } else {
            let keys = self.state.keys.entry(table.name).or_default();
            let number = keys.fresh(&mut self.dice);
            if table.name == UNFIT && is_unfit(table, &values) {
                keys.unfit.insert(number);
            }
            literals = key_literals(table, number);
            self.written(table, number);
        }
        names.extend(table.columns.iter().map(|column| column.name));
        literals.extend(values.iter().map(|value| literal(value.as_deref())));
        let sql = format!(
            "INSERT INTO {SCHEMA}.{} ({}) VALUES ({})",
            table.name,
            names.join(", "),
            literals.join(", ")
        );
        logged_if(table, sql, op)
    }

    /// Some of the columns, or all of them where values that do not fit are to go.
    fn update(&mut self, table: &Table, number: i64) -> Statement {
        self.count("updates");
        let all = table.name == UNFIT;
        let values = if all { self.fitting(table) } else { self.values(table) };
        if all && let Some(keys) = self.state.keys.get_mut(table.name) {
            keys.unfit.remove(&number);
        }
        let sets = self.sets(table, values, all);
        self.written(table, number);
        Statement::of(format!(
            "UPDATE {SCHEMA}.{} SET {} WHERE {}",
            table.name,
            sets.join(", "),
            condition(table, number)
        ))
    }

    fn sets(&mut self, table: &Table, values: Vec<Option<String>>, all: bool) -> Vec<String> {
        let chosen = self.dice.random_range(0..table.columns.len());
        let pairs = table.columns.iter().zip(values).enumerate();
        let kept = pairs.filter(|(index, _)| all || *index == chosen || self.dice.random_ratio(1, 3));
        kept.map(|(_, (column, value))| format!("{} = {}", column.name, literal(value.as_deref())))
            .collect()
    }

    /// Another key for a row. Where the log has only what changed, all columns are written: what lies outside of the row would be in the
    /// log for neither key.
    fn change_key(&mut self, table: &Table, number: i64) -> Statement {
        self.count("changed keys");
        let keys = self.state.keys.entry(table.name).or_default();
        let new = keys.fresh(&mut self.dice);
        keys.remove(number);
        let mut sets: Vec<String> = table
            .key_columns()
            .iter()
            .zip(key_literals(table, new))
            .map(|(name, literal)| format!("{name} = {literal}"))
            .collect();
        if !table.full {
            let values = self.fitting(table);
            sets.extend(self.sets(table, values, true));
        }
        self.written(table, new);
        Statement::of(format!(
            "UPDATE {SCHEMA}.{} SET {} WHERE {}",
            table.name,
            sets.join(", "),
            condition(table, number)
        ))
    }

    fn delete(&mut self, table: &Table, number: i64) -> Statement {
        self.count("deletes");
        self.state.keys.entry(table.name).or_default().remove(number);
        Statement::of(format!(
            "DELETE FROM {SCHEMA}.{} WHERE {}",
            table.name,
            condition(table, number)
        ))
    }

    fn truncate(&mut self, table: &Table) -> Statement {
        self.count("truncates");
        self.state.keys.entry(table.name).or_default().clear();
        Statement {
            sql: format!("TRUNCATE {SCHEMA}.{}", table.name),
            logged: (table.key == Key::None).then_some(TRUNCATE),
        }
    }

    /// An operation on the table without a key, which may meet several rows or none.
    fn logged(&mut self, table: &Table, kind: u32) -> Statement {
        let number = self.dice.random_range(0..NUMBERS);
        let values = self.values(table);
        match kind {
            ..50 => self.insert(table, values, 'c'),
            50..80 => {
                self.count("updates");
                let mut sets = self.sets(table, values, false);
                sets.retain(|set| !set.starts_with("n = "));
                sets.push(format!("n = {}", self.dice.random_range(0..NUMBERS)));
                let sql = format!("UPDATE {SCHEMA}.{LOG} SET {} WHERE n = {number}", sets.join(", "));
                logged_if(table, sql, 'u')
            }
            _ => {
                self.count("deletes");
                logged_if(table, format!("DELETE FROM {SCHEMA}.{LOG} WHERE n = {number}"), 'd')
            }
        }
    }

    /// Runs the statements in one transaction, and keeps the rows of those that are logged.
    async fn run(&mut self, sql: &Sql, statements: Vec<Statement>, commit: bool) -> Result<()> {
        let text: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        let text = format!("BEGIN;\n{};\n{end}", text.join(";\n"));
        let answer = sql.client().simple_query(&text).await;
        let answer = answer.with_context(|| format!("the source refuses `{}`", shortened(&text)))?;
        let log = &mut self.state.told.log;
        // The first command is BEGIN.
        let ops = std::iter::once(None).chain(statements.iter().map(|statement| statement.logged));
        let mut ops = ops.chain([None]);
        let mut op = ops.next().flatten();
        for message in answer {
            match message {
                SimpleQueryMessage::CommandComplete(_) => {
                    if op == Some(TRUNCATE) {
                        log.push((TRUNCATE, Row::new()));
                    }
                    op = ops.next().flatten();
                }
                SimpleQueryMessage::Row(row) => {
                    let row = (0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect();
                    log.extend(op.map(|op| (op, row)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(2000).collect()
}

fn logged_if(table: &Table, sql: String, op: char) -> Statement {
    match table.key {
        Key::None => Statement {
            sql: format!("{sql} RETURNING *"),
            logged: Some(op),
        },
        _ => Statement::of(sql),
    }
}

fn is_unfit(table: &Table, values: &[Option<String>]) -> bool {
    let mut pairs = table.columns.iter().zip(values);
    pairs.any(|(column, value)| {
        value
            .as_deref()
            .is_some_and(|text| render::unfit(column.kind, text).is_some())
    })
}

/// The literals of the key that a number stands for.
fn key_literals(table: &Table, number: i64) -> Vec<String> {
    match table.key {
        Key::Id => vec![number.to_string()],
        Key::RegionAndNumber => {
            let regions = i64::try_from(REGIONS.len()).unwrap_or(i64::MAX);
            let region = usize::try_from(number % regions).unwrap_or(0);
            vec![literal(Some(REGIONS[region])), (number / regions).to_string()]
        }
        Key::None => Vec::new(),
    }
}

fn condition(table: &Table, number: i64) -> String {
    let pairs = table.key_columns().iter().zip(key_literals(table, number));
    let conditions: Vec<String> = pairs.map(|(name, literal)| format!("{name} = {literal}")).collect();
    conditions.join(" AND ")
}
