//! Sessions over tokio-postgres. Only the simple-query protocol is spoken: no types are looked up, nothing is prepared (redshift.md 5.1).

use std::future::poll_fn;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use runtime::config::{ConnectionConfig, SslMode};
use runtime::port::{Answer, Session, SqlFailure, Warehouse};
use runtime::secret::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode as PgSslMode;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, SimpleQueryMessage};
use tracing::debug;

use super::takeover::session_name;
use super::tls;

/// Idle time before the first keepalive, and between them: NAT tables forget idle connections after a few minutes (redshift.md 5.3).
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Beyond the statement timeout of the server, how long an answer may take before the connection counts as dead.
const ANSWER_GRACE: Duration = Duration::from_secs(30);

/// Opens sessions with one target cluster.
#[derive(Debug)]
pub struct Redshift {
    connection: ConnectionConfig,
    target: String,
    loader: AtomicI64,
    number: AtomicU64,
}

impl Redshift {
    /// Sessions named `redshift-spolt/{target}/{loader}/{number}`; the loader is 0 until [`Redshift::name_sessions_after`] says which.
    #[must_use]
    pub fn new(connection: ConnectionConfig, target: &str) -> Redshift {
        Redshift {
            connection,
            target: target.to_owned(),
            loader: AtomicI64::new(0),
            number: AtomicU64::new(1),
        }
    }

    /// Sessions opened from now on carry this loader's serial.
    pub fn name_sessions_after(&self, loader: i64) {
        self.loader.store(loader, Ordering::Relaxed);
    }

    fn config(&self) -> Result<tokio_postgres::Config, SqlFailure> {
        let mut config = tokio_postgres::Config::new();
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let name = session_name(&self.target, self.loader.load(Ordering::Relaxed), number);
        config
            .host(&self.connection.host)
            .port(self.connection.port)
            .dbname(&self.connection.database)
            .user(&self.connection.user)
            .application_name(name)
            .connect_timeout(self.connection.connect_timeout)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE)
            .ssl_mode(match self.connection.sslmode {
                SslMode::Disable => PgSslMode::Disable,
                SslMode::Require | SslMode::VerifyFull => PgSslMode::Require,
            });
        if let Some(password) = &self.connection.password {
            // A wrong or missing secret is as final as a wrong password.
            let secret = password.read().map_err(|failure| SqlFailure {
                code: Some("28P01".into()),
                message: failure.to_string(),
                detail: None,
            })?;
            config.password(secret.expose_secret());
        }
        Ok(config)
    }

    async fn open(&self) -> Result<Open, SqlFailure> {
        let config = self.config()?;
        let client = if self.connection.sslmode == SslMode::Disable {
            let (client, connection) = config.connect(NoTls).await.map_err(|error| failed(&error))?;
            drive(connection);
            client
        } else {
            let tls = tls::connector(self.connection.sslmode, self.connection.ca_file.as_deref())?;
            let (client, connection) = config.connect(tls).await.map_err(|error| failed(&error))?;
            drive(connection);
            client
        };
        Ok(Open {
            client,
            patience: self.connection.statement_timeout + ANSWER_GRACE,
        })
    }
}

#[async_trait]
impl Warehouse for Redshift {
    async fn connect(&self) -> Result<Box<dyn Session>, SqlFailure> {
        let deadline = self.connection.connect_timeout;
        let opened = tokio::time::timeout(deadline, self.open()).await;
        let mut session = opened.map_err(|_| lost(format!("no answer within {} s", deadline.as_secs())))??;
        let millis = self.connection.statement_timeout.as_millis();
        session.run(&format!("SET statement_timeout TO {millis}")).await?;
        Ok(Box::new(session))
    }
}

/// Moves the bytes of a connection until the client is dropped. What the server remarks on the way (each COPY says how much it loaded)
/// is for debugging.
fn drive<S, T>(mut connection: Connection<S, T>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notice(notice))) => debug!(notice = notice.message(), "redshift remarks"),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    debug!(%error, "connection ended");
                    return;
                }
                None => return,
            }
        }
    });
}

/// An open connection; dropping the client ends the connection's task and closes the socket.
struct Open {
    client: Client,
    patience: Duration,
}

#[async_trait]
impl Session for Open {
    async fn run(&mut self, sql: &str) -> Result<Answer, SqlFailure> {
        let answered = tokio::time::timeout(self.patience, self.client.simple_query(sql)).await;
        let messages = answered
            .map_err(|_| lost(format!("no answer within {} s", self.patience.as_secs())))?
            .map_err(|error| failed(&error))?;
        let mut answer = Answer::default();
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    answer
                        .rows
                        .push((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect());
                }
                SimpleQueryMessage::CommandComplete(count) => answer.affected = count,
                _ => {}
            }
        }
        Ok(answer)
    }
}

fn lost(message: String) -> SqlFailure {
    SqlFailure {
        code: None,
        message,
        detail: None,
    }
}

/// What a client error says, with all its causes where the server said nothing.
fn failed(error: &tokio_postgres::Error) -> SqlFailure {
    if let Some(answered) = error.as_db_error() {
        return SqlFailure {
            code: Some(answered.code().code().to_owned()),
            message: answered.message().to_owned(),
            detail: answered.detail().map(str::to_owned),
        };
    }
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    lost(message)
}
