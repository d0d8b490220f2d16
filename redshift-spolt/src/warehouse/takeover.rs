//! Sessions of an older loader that hang on the lock of a state table (rule 18).
//!
//! A loader that was cut off in the middle of a transaction leaves a session behind that holds the lock until the server notices, which
//! may take hours. Whoever waits for that lock longer than a bound looks who holds it, and ends the session if it carries the name of an
//! older loader of the same target. Ending it is always safe: its transaction rolls back, and nobody trusts a load before its COMMIT.
//!
//! Which loader is older is not a clock's affair: each takes a serial from a table of their own when it starts, under that table's lock,
//! and every session of it carries the serial in its application name. A newer loader's session is never touched, so two loaders cannot
//! keep ending each other's loads.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::failure::Failure;
use runtime::port::{Answer, Session, SqlFailure, Warehouse, World};
use tokio::sync::OnceCell;
use tracing::{info, warn};

use super::session::Redshift;
use crate::load::names::TableName;
use crate::load::sql::{fill, identifier, literal, timestamp};

/// What LOCK statements of state tables begin with.
const LOCK: &str = "LOCK TABLE ";

/// Tries to take a serial while other loaders that start at the same time create the same table.
const TRIES: u32 = 3;

/// What to do when it cannot be done.
const HINT: &str = "the user must be allowed to create tables in the state schema, to see svv_transactions and stl_connection_log \
                    (ALTER USER ... SYSLOG ACCESS UNRESTRICTED) and to call pg_terminate_backend; or set redshift_spolt.takeover_after = \"0s\"";

/// Opens sessions that do not wait for ever for what an older loader left behind.
pub struct Takeover {
    inner: Arc<Inner>,
}

struct Inner {
    redshift: Redshift,
    target: String,
    state_schema: String,
    create_schemas: bool,
    after: Duration,
    world: Arc<dyn World>,
    /// `None` when no serial can be had: then nothing is ever ended.
    serial: OnceCell<Option<i64>>,
}

impl Takeover {
    /// Ends what holds a state table's lock longer than `after`, if it is a session of an older loader of `target`.
    #[must_use]
    pub fn new(
        redshift: Redshift,
        target: &str,
        (state_schema, create_schemas): (&str, bool),
        after: Duration,
        world: Arc<dyn World>,
    ) -> Takeover {
        Takeover {
            inner: Arc::new(Inner {
                redshift,
                target: target.to_owned(),
                state_schema: state_schema.to_owned(),
                create_schemas,
                after,
                world,
                serial: OnceCell::new(),
            }),
        }
    }
}

#[async_trait]
impl Warehouse for Takeover {
    async fn connect(&self) -> Result<Box<dyn Session>, SqlFailure> {
        self.inner.serial.get_or_try_init(|| self.inner.enlist()).await?;
        let session = self.inner.redshift.connect().await?;
        Ok(Box::new(Patient {
            session,
            inner: Arc::clone(&self.inner),
        }))
    }
}

impl Inner {
    /// Takes a serial, once per process.
    async fn enlist(&self) -> Result<Option<i64>, SqlFailure> {
        let mut tries = 0;
        loop {
            let mut session = self.redshift.connect().await?;
            let failure = match self.take_serial(&mut *session).await {
                Ok(serial) => {
                    self.redshift.name_sessions_after(serial);
                    info!(serial, target = self.target, "loader is enlisted");
                    return Ok(Some(serial));
                }
                Err(failure) => failure,
            };
            tries += 1;
            match failure.code.as_deref() {
                // The answer is lost: whoever asked for a session tries again.
                None => return Err(failure),
                // Two loaders created the schema or the table at the same moment.
                Some("23505" | "42P06" | "42P07" | "40001" | "XX000") if tries < TRIES => {}
                Some(_) => {
                    warn!(error = %failure, hint = HINT, "sessions of older loaders will not be ended");
                    return Ok(None);
                }
            }
        }
    }

    async fn take_serial(&self, session: &mut dyn Session) -> Result<i64, SqlFailure> {
        let refused = |failure: Failure| SqlFailure {
            code: Some("42601".into()),
            message: failure.to_string(),
            detail: None,
        };
        let loaders = format!("{}.{}", identifier(&self.state_schema), identifier("loaders"));
        if self.create_schemas {
            let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(&self.state_schema));
            session.run(&sql).await?;
        }
        let create = fill(
            include_str!("../../../sql/create_loaders.sql"),
            &[("loaders", &loaders)],
        );
        for sql in [create, "BEGIN".into(), format!("{LOCK}{loaders}")] {
            session.run(&sql).await?;
        }
        let last = session
            .run(&format!("SELECT COALESCE(MAX(\"serial\"), 0) FROM {loaders}"))
            .await?;
        let serial = number(&last).unwrap_or(0) + 1;
        let row = format!(
            "INSERT INTO {loaders} (\"target\", \"serial\", \"started_at\") VALUES ({}, {serial}, {})",
            literal(&self.target).map_err(refused)?,
            timestamp(self.world.now_ms())
        );
        session.run(&row).await?;
        session.run("COMMIT").await?;
        Ok(serial)
    }

    /// Ends sessions of older loaders that hold this table's lock.
    async fn clear(&self, table: &TableName) {
        let Some(Some(own)) = self.serial.get().copied() else {
            return;
        };
        let waited = self.after.as_secs();
        match self.end_older(table, own).await {
            Ok(0) => warn!(%table, waited, "waiting for the lock of the state table, which no older loader holds"),
            Ok(ended) => warn!(%table, waited, ended, "sessions of an older loader held the lock and were ended"),
            Err(failure) => warn!(%table, waited, error = %failure, hint = HINT, "look for who holds the lock"),
        }
    }

    async fn end_older(&self, table: &TableName, own: i64) -> Result<usize, SqlFailure> {
        let text = |text: &str| literal(text).unwrap_or_default();
        let holders = fill(
            include_str!("../../../sql/lock_holders.sql"),
            &[("schema", &text(&table.schema)), ("table", &text(&table.name))],
        );
        let mut session = self.redshift.connect().await?;
        let answer = session.run(&holders).await?;
        let pids: Vec<i64> = answer
            .rows
            .iter()
            .filter_map(|row| row.first()?.as_deref()?.trim().parse().ok())
            .collect();
        let mut ended = 0;
        for pid in pids {
            let pid = pid.to_string();
            let name = fill(include_str!("../../../sql/session_name.sql"), &[("pid", &pid)]);
            let answer = session.run(&name).await?;
            let name = answer
                .rows
                .first()
                .and_then(|row| row.first().cloned().flatten())
                .unwrap_or_default();
            if loader_of(&name, &self.target).is_some_and(|serial| serial < own) {
                session.run(&format!("SELECT pg_terminate_backend({pid})")).await?;
                warn!(pid, session = name, "ended the session of an older loader");
                ended += 1;
            }
        }
        Ok(ended)
    }
}

/// A session whose wait for a state table's lock is watched.
struct Patient {
    session: Box<dyn Session>,
    inner: Arc<Inner>,
}

#[async_trait]
impl Session for Patient {
    async fn run(&mut self, sql: &str) -> Result<Answer, SqlFailure> {
        let Some(table) = locked(sql) else {
            return self.session.run(sql).await;
        };
        let millis = u64::try_from(self.inner.after.as_millis()).unwrap_or(u64::MAX);
        let mut waiting = self.session.run(sql);
        loop {
            tokio::select! {
                biased;
                answer = &mut waiting => return answer,
                () = self.inner.world.sleep_ms(millis) => self.inner.clear(&table).await,
            }
        }
    }
}

fn number(answer: &Answer) -> Option<i64> {
    answer.rows.first()?.first()?.as_deref()?.trim().parse().ok()
}

/// The table that a statement locks, if it is a LOCK.
fn locked(sql: &str) -> Option<TableName> {
    let name = sql.strip_prefix(LOCK)?.trim();
    let (schema, table) = name.strip_prefix('"')?.strip_suffix('"')?.split_once("\".\"")?;
    let plain = |part: &str| part.replace("\"\"", "\"");
    Some(TableName {
        schema: plain(schema),
        name: plain(table),
    })
}

/// Name of a loader's session; `loader` is 0 for a person's command.
#[must_use]
pub fn session_name(target: &str, loader: i64, number: u64) -> String {
    format!("redshift-spolt/{target}/{loader}/{number}")
}

/// The serial of the loader of `target` that a session belongs to; `None` for sessions of others, commands included.
fn loader_of(name: &str, target: &str) -> Option<i64> {
    let rest = name
        .trim()
        .strip_prefix("redshift-spolt/")?
        .strip_prefix(target)?
        .strip_prefix('/')?;
    let (loader, number) = rest.split_once('/')?;
    number.parse::<u64>().ok()?;
    loader.parse().ok().filter(|loader| *loader > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_name_says_whose_it_is() {
        assert_eq!(loader_of(&session_name("main", 7, 12), "main"), Some(7));
        for other in [
            "redshift-spolt/main/0/3",
            "redshift-spolt/main2/7/3",
            "redshift-spolt/other/7/3",
            "redshift-spolt/main/7",
            "redshift-spolt/main/x/3",
            "psql",
            "",
        ] {
            assert_eq!(loader_of(other, "main"), None, "{other}");
        }
    }

    #[test]
    fn only_a_lock_is_watched() {
        let table = TableName {
            schema: "spolt".into(),
            name: "public__od\"d__state".into(),
        };
        assert_eq!(locked(&format!("{LOCK}{}", table.sql())), Some(table));
        assert_eq!(locked("SELECT 1"), None);
        assert_eq!(locked("LOCK TABLE plain"), None);
    }
}
