//! What the stand-in keeps in the PostgreSQL behind it: types, views, functions, and the rows that have to outlive a client's ROLLBACK.

use anyhow::{Context as _, bail};
use tokio_postgres::{Client, NoTls};

use crate::copy::load_error::LoadError;
use crate::sql::name::{Aliases, literal};
use crate::wire::backend::Address;

/// Version of the installed objects; an older one in the database is refused, not migrated: stand-ins are for databases one can throw away.
const INSTALLED_VERSION: i32 = 1;
/// Name of the stand-in's own sessions, which the session views leave out.
pub const APPLICATION_NAME: &str = "redshift-local";

/// Type numbers that differ from database to database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeNumbers {
    /// `redshift_local."varchar"`
    pub varchar: u32,
    /// `redshift_local.varbyte`
    pub varbyte: u32,
}

/// A session of the stand-in's own, reopened when it breaks.
#[derive(Debug)]
pub struct Catalog {
    address: Address,
    client: tokio::sync::Mutex<Option<Client>>,
}

async fn connect(address: &Address) -> anyhow::Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&address.host)
        .port(address.port)
        .user(&address.user)
        .dbname(&address.database)
        .application_name(APPLICATION_NAME);
    if let Some(password) = &address.password {
        config.password(password);
    }
    let (client, connection) = config
        .connect(NoTls)
        .await
        .with_context(|| format!("connect to postgresql at `{}:{}`", address.host, address.port))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "own connection to postgresql ended");
        }
    });
    // The stand-in writes its literals with escaped backslashes, as clients of Redshift do.
    client
        .batch_execute("SET standard_conforming_strings = off; SET escape_string_warning = off; SET timezone = 'UTC'")
        .await?;
    Ok(client)
}

impl Catalog {
    /// Installs what is needed, once per database, and reads the type numbers and long names.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached, the user is no superuser, or another version is installed.
    pub async fn open(address: Address, aliases: &Aliases) -> anyhow::Result<(Self, TypeNumbers)> {
        let mut client = connect(&address).await?;
        install(&mut client).await.context("install the catalog objects in postgresql; hint: the user has to be a superuser and the server PostgreSQL 15 or later")?;
        for row in client
            .query("SELECT alias, name FROM redshift_local.long_name", &[])
            .await?
        {
            aliases.insert(row.get(0), row.get(1));
        }
        let row = client
            .query_one(
                "SELECT 'redshift_local.\"varchar\"'::regtype::oid, 'redshift_local.varbyte'::regtype::oid",
                &[],
            )
            .await?;
        let numbers = TypeNumbers {
            varchar: row.get(0),
            varbyte: row.get(1),
        };
        Ok((
            Self {
                address,
                client: tokio::sync::Mutex::new(Some(client)),
            },
            numbers,
        ))
    }

    /// Runs statements of its own, committed at once.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached or refuses them.
    pub async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let mut held = self.client.lock().await;
        if held.as_ref().is_none_or(Client::is_closed) {
            *held = Some(connect(&self.address).await?);
        }
        let Some(client) = held.as_ref() else {
            bail!("no connection to postgresql")
        };
        Ok(client.batch_execute(sql).await?)
    }

    /// One text that a query gives, if it gives one.
    pub async fn text(&self, sql: &str) -> Option<String> {
        let held = self.client.lock().await;
        let row = held.as_ref()?.query_opt(sql, &[]).await.ok()??;
        row.try_get(0).ok()
    }

    /// Keeps the names behind aliases.
    ///
    /// # Errors
    /// As [`Catalog::execute`].
    pub async fn store_aliases(&self, aliases: &[(String, String)]) -> anyhow::Result<()> {
        let rows: Vec<_> = aliases
            .iter()
            .map(|(alias, name)| format!("({}, {})", literal(alias), literal(name)))
            .collect();
        self.execute(&format!(
            "INSERT INTO redshift_local.long_name VALUES {} ON CONFLICT DO NOTHING",
            rows.join(", ")
        ))
        .await
    }

    /// Keeps load errors, where no ROLLBACK of the client reaches them.
    ///
    /// # Errors
    /// As [`Catalog::execute`].
    pub async fn store_load_errors(&self, load: &Load, errors: &[LoadError]) -> anyhow::Result<()> {
        if errors.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = errors
            .iter()
            .map(|e| {
                format!(
                    "(100, {}, {}, {}, current_database(), {}, (clock_timestamp() AT TIME ZONE 'UTC'), {}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
                    load.query_id,
                    load.transaction_id,
                    load.session_id,
                    load.table_id,
                    literal(&e.file),
                    e.line,
                    literal(&e.column),
                    literal(&e.column_type),
                    literal(&e.column_length),
                    e.position,
                    e.code,
                    literal(&e.message),
                    literal(&e.raw_line),
                    literal(&e.raw_field)
                )
            })
            .collect();
        self.execute(&format!(
            "INSERT INTO redshift_local.load_error VALUES {}",
            rows.join(", ")
        ))
        .await
    }
}

/// Which load a load error belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Query id of the COPY.
    pub query_id: i64,
    /// Transaction.
    pub transaction_id: i64,
    /// Process id of the session.
    pub session_id: u32,
    /// The target's oid.
    pub table_id: i64,
}

async fn install(client: &mut Client) -> anyhow::Result<()> {
    let transaction = client.transaction().await?;
    // Two stand-ins may start on one database at once.
    transaction.batch_execute("SELECT pg_advisory_xact_lock(5439)").await?;
    let row = transaction
        .query_one("SELECT to_regclass('redshift_local.installed') IS NOT NULL", &[])
        .await?;
    if row.get(0) {
        let version: i32 = transaction
            .query_one("SELECT max(version) FROM redshift_local.installed", &[])
            .await?
            .get(0);
        if version != INSTALLED_VERSION {
            bail!(
                "the database holds catalog objects of version `{version}`, this program has `{INSTALLED_VERSION}`; hint: use a new database"
            );
        }
        return Ok(());
    }
    transaction
        .batch_execute("SET LOCAL standard_conforming_strings = on; SET LOCAL client_min_messages = warning")
        .await?;
    transaction.batch_execute(include_str!("types.sql")).await?;
    transaction.batch_execute(include_str!("objects.sql")).await?;
    transaction.commit().await?;
    Ok(())
}
