//! A connection to the source, whichever database it is.

use anyhow::{Context, Result, bail};
use tokio_postgres::SimpleQueryMessage;

use super::database::Database;
use crate::client::mariadb::MariaDb;
use crate::client::sql::{Row, Sql};

/// Longest part of a transaction's text that an error shows, in characters.
const SHOWN: usize = 2000;

/// A connection.
pub enum Client {
    /// To a PostgreSQL.
    Postgres(Sql),
    /// To a MariaDB.
    MariaDb(MariaDb),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nothing answers there, or it refuses.
    pub async fn connect(database: Database, url: &str) -> Result<Self> {
        Ok(match database {
            Database::Postgres => Client::Postgres(Sql::connect(url).await?),
            Database::MariaDb => Client::MariaDb(MariaDb::connect(url).await?),
        })
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// The source refuses; the error has its message.
    pub async fn query(&self, sql: &str) -> Result<Vec<Row>> {
        match self {
            Client::Postgres(source) => source.query(sql).await,
            Client::MariaDb(source) => source.query(sql).await,
        }
    }

    /// The first field of the first row.
    ///
    /// # Errors
    /// The source refuses.
    pub async fn value(&self, sql: &str) -> Result<Option<String>> {
        let rows = self.query(sql).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// Runs statements in one transaction, and returns the rows of each.
    ///
    /// # Errors
    /// The source refuses one.
    pub async fn transaction(&self, statements: &[&str], commit: bool) -> Result<Vec<Vec<Row>>> {
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        match self {
            Client::Postgres(source) => {
                // In one message: a round trip for each would cost more than they do.
                let text = format!("BEGIN;\n{};\n{end}", statements.join(";\n"));
                let answer = source.client().simple_query(&text).await;
                let answer = answer.with_context(|| format!("the source refuses `{}`", shortened(&text)))?;
                answers(answer, statements.len())
            }
            Client::MariaDb(source) => {
                source.query("START TRANSACTION").await?;
                let mut all = Vec::new();
                for statement in statements {
                    all.push(source.query(statement).await?);
                }
                source.query(end).await?;
                Ok(all)
            }
        }
    }
}

/// The rows of each statement between BEGIN and the end.
fn answers(messages: Vec<SimpleQueryMessage>, statements: usize) -> Result<Vec<Vec<Row>>> {
    let mut all = vec![Vec::new()];
    for message in messages {
        match message {
            SimpleQueryMessage::CommandComplete(_) => all.push(Vec::new()),
            SimpleQueryMessage::Row(row) => {
                let row = (0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect();
                all.last_mut().context("an answer has begun")?.push(row);
            }
            _ => {}
        }
    }
    // BEGIN, the statements, the end, and what would follow.
    if all.len() != statements + 3 {
        bail!("`{statements}` statements have `{}` answers", all.len());
    }
    Ok(all.drain(1..=statements).collect())
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
