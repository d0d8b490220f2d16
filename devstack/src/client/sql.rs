//! SQL over the simple-query protocol, the only one that Redshift's answers are promised for.

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A row as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// One connection.
pub struct Sql {
    client: Client,
}

impl Sql {
    /// Connects to `postgresql://user@host:port/database`.
    ///
    /// # Errors
    /// Nothing answers there, or it refuses.
    pub async fn connect(url: &str) -> Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .with_context(|| format!("cannot connect to `{url}`"))?;
        // Ends when the client is dropped; its error reaches the caller through the statement that fails.
        tokio::spawn(connection);
        Ok(Self { client })
    }

    /// Runs statements and returns the rows of all of them.
    ///
    /// # Errors
    /// The server refuses; the error has its message.
    pub async fn query(&self, sql: &str) -> Result<Vec<Row>> {
        let messages = self
            .client
            .simple_query(sql)
            .await
            .map_err(|error| explain(&error, sql))?;
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// Runs one statement and returns the number in its command tag.
    ///
    /// # Errors
    /// The server refuses; the error has its message.
    pub async fn execute(&self, sql: &str) -> Result<u64> {
        let messages = self
            .client
            .simple_query(sql)
            .await
            .map_err(|error| explain(&error, sql))?;
        let counts = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(count) => Some(*count),
            _ => None,
        });
        Ok(counts.last().unwrap_or(0))
    }

    /// The first field of the first row.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn value(&self, sql: &str) -> Result<Option<String>> {
        Ok(self
            .query(sql)
            .await?
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next().flatten()))
    }

    /// The client below, for what is not here.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

fn row(message: SimpleQueryMessage) -> Option<Row> {
    match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect()),
        _ => None,
    }
}

fn explain(error: &tokio_postgres::Error, sql: &str) -> anyhow::Error {
    let short: String = sql.chars().take(300).collect();
    match error.as_db_error() {
        Some(db) => {
            let detail = db.detail().map_or_else(String::new, |detail| format!(" ({detail})"));
            anyhow::anyhow!("{}: {}{detail}, in `{short}`", db.code().code(), db.message())
        }
        None => anyhow::anyhow!("{error}, in `{short}`"),
    }
}
