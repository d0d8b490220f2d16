//! Reading the stand-in as any client does: simple queries, text rows.

use tokio_postgres::{NoTls, SimpleQueryMessage};

/// A row as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// A session with the stand-in.
pub struct Warehouse {
    client: tokio_postgres::Client,
}

impl Warehouse {
    /// Connects.
    ///
    /// # Panics
    /// When that fails.
    pub async fn connect(url: &str) -> Warehouse {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the stand-in answers");
        tokio::spawn(connection);
        Warehouse { client }
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// With what the server said.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Row>, String> {
        let messages = self
            .client
            .simple_query(sql)
            .await
            .map_err(|error| match error.as_db_error() {
                Some(error) => format!("{}: {}", error.code().code(), error.message()),
                None => error.to_string(),
            })?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }
}
