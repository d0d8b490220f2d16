//! A seeded random workload on the source: inserts, updates, changed keys, deletes, truncates, DDL, and transactions that are rolled back.
//! It keeps what the source itself forgets and the target must show: the changes of tables of which the target keeps more than the last
//! rows, and which rows were not written since a column came.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::client::Client;
use super::database::Database;
use super::tables::{Change, Column, EVOLVING, SCHEMA, Table};
use super::values::{corners, value};

mod keys;
mod statement;

use keys::Keys;
pub use keys::{Since, Told};
use statement::Statement;

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

/// See the module.
pub struct Workload {
    database: Database,
    dice: StdRng,
    tables: Vec<Table>,
    state: State,
    truncating: bool,
}

/// What a rollback takes back.
#[derive(Clone, Default)]
struct State {
    keys: BTreeMap<&'static str, Keys>,
    /// Writers of the tables that are told so far.
    tags: i64,
    told: Told,
}

impl Workload {
    /// A workload on the tables of a database; the same seed makes the same statements.
    #[must_use]
    pub fn new(database: Database, seed: u64) -> Self {
        Self {
            database,
            dice: StdRng::seed_from_u64(seed),
            tables: database.tables(),
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

    /// Makes the tables.
    ///
    /// # Errors
    /// The source refuses.
    pub async fn create(&self, source: &Client) -> Result<()> {
        for statement in self.database.ddl(&self.tables) {
            source.query(&statement).await?;
        }
        Ok(())
    }

    /// Writes rows of all edges into every table, and one of NULLs; `op` is what the capture calls their insertion.
    ///
    /// # Errors
    /// The source refuses.
    pub async fn edges(&mut self, source: &Client, op: char) -> Result<()> {
        for index in 0..self.tables.len() {
            let table = self.tables[index].clone();
            let edges: Vec<Vec<String>> = table
                .columns
                .iter()
                .map(|column| {
                    let mut edges = corners(column);
                    edges.retain(|text| op != SNAPSHOT || !column.kind.is_misread(text));
                    edges
                })
                .collect();
            let most = edges.iter().map(Vec::len).max().unwrap_or(0);
            let mut statements = Vec::new();
            for at in 0..=most {
                let dice = &mut self.dice;
                let value = |(column, edges): (&Column, &Vec<String>)| match edges.len() {
                    0 => value(column, dice),
                    _ if at == most && !column.required() => None,
                    count => Some(edges[at % count].clone()),
                };
                let values: Vec<Option<String>> = table.columns.iter().zip(&edges).map(value).collect();
                statements.push(self.insert(&table, values, op));
            }
            self.run(source, statements, true).await?;
        }
        Ok(())
    }

    /// Runs so many operations in transactions, with all changes of shape among them; tells how many are done.
    ///
    /// # Errors
    /// The source refuses.
    pub async fn run_all(&mut self, source: &Client, operations: usize, mut done: impl FnMut(usize)) -> Result<()> {
        let changes = self.database.changes();
        let mut due: Vec<usize> = changes
            .iter()
            .map(|_| self.dice.random_range(0..operations.max(1)))
            .collect();
        due.sort_unstable();
        let mut changes = changes.iter().zip(due).peekable();
        let mut made = 0;
        self.truncating = true;
        while made < operations || changes.peek().is_some() {
            while let Some((change, _)) = changes.next_if(|(_, at)| *at <= made) {
                self.change(source, change).await?;
            }
            if self.truncating && made >= operations / 2 {
                self.truncating = false;
                self.truncates(source, |_, table| table.truncated).await?;
            }
            let length = self.dice.random_range(1..=TRANSACTION_MAX);
            let commit = !self.dice.random_ratio(1, ROLLED_BACK);
            let before = (!commit).then(|| self.state.clone());
            let statements = (0..length).flat_map(|_| self.operation()).collect();
            self.run(source, statements, commit).await?;
            if let Some(before) = before {
                self.state = before;
            }
            if self.database.truncates_commit() {
                self.truncates(source, Workload::may_truncate).await?;
            }
            made += length;
            done(made.min(operations));
        }
        Ok(())
    }

    /// Whether the next operation on a table is to be a truncate.
    fn may_truncate(&mut self, table: &Table) -> bool {
        table.truncated && self.truncating && self.dice.random_ratio(1, TRUNCATES)
    }

    /// Truncates each of these tables, in a transaction of its own where it ends one.
    async fn truncates(&mut self, source: &Client, which: impl Fn(&mut Self, &Table) -> bool) -> Result<()> {
        for index in 0..self.tables.len() {
            let table = self.tables[index].clone();
            if which(self, &table) {
                let statement = self.truncate(&table);
                self.run(source, vec![statement], true).await?;
            }
        }
        Ok(())
    }

    /// Changes the shape of a table, and writes a row so that the change is seen.
    async fn change(&mut self, source: &Client, change: &Change) -> Result<()> {
        source
            .query(&format!("ALTER TABLE {SCHEMA}.{EVOLVING} {}", change.ddl))
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
        self.count("DDL");
        let table = self.tables[index].clone();
        let values = self.values(&table);
        let statement = self.insert(&table, values, INSERT);
        self.run(source, vec![statement], true).await
    }

    /// Runs the statements in one transaction, and keeps what they tell.
    async fn run(&mut self, source: &Client, statements: Vec<Statement>, commit: bool) -> Result<()> {
        let text: Vec<&str> = statements.iter().map(|statement| statement.sql.as_str()).collect();
        let answers = source.transaction(&text, commit).await?;
        for (statement, rows) in statements.into_iter().zip(answers) {
            let Some(tale) = statement.tells else {
                continue;
            };
            let log = self.state.told.logs.entry(tale.table).or_default();
            log.extend(tale.first);
            if let Some(op) = tale.rows {
                log.extend(rows.into_iter().map(|row| (op, row)));
            }
        }
        Ok(())
    }
}
