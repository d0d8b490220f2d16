//! Redshift's dialect, COPY and wire behaviour over a real PostgreSQL, for tests and demonstrations.
//!
//! A client's session is one PostgreSQL session. Each statement is cut into tokens and decided upon by [`sql::classify`]: passed on,
//! changed, run here (COPY), or refused, as Redshift would. What is not known to be the same is refused as "not emulated".

pub mod admin;
pub mod catalog;
pub mod config;
pub mod copy;
pub mod faults;
pub mod session;
pub mod shared;
pub mod sql;
pub mod wire;

use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{Arguments, Config};

/// The addresses in use, with real ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// For clients.
    pub listen: std::net::SocketAddr,
    /// The admin port.
    pub admin: std::net::SocketAddr,
}

/// A stand-in whose ports are bound and whose database is prepared, but which serves nobody yet.
#[derive(Debug)]
pub struct Server {
    shared: Arc<shared::Shared>,
    listener: TcpListener,
    admin: TcpListener,
    /// Where it will serve.
    pub addresses: Addresses,
}

impl Server {
    /// Binds the ports and prepares the database.
    ///
    /// # Errors
    /// A port is taken or PostgreSQL cannot be used.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!(
                "listen on `{}`; hint: --listen 127.0.0.1:0 takes a free port",
                config.listen
            )
        })?;
        let admin = TcpListener::bind(config.admin).await.with_context(|| {
            format!(
                "listen on `{}`; hint: --admin 127.0.0.1:0 takes a free port",
                config.admin
            )
        })?;
        let addresses = Addresses {
            listen: listener.local_addr()?,
            admin: admin.local_addr()?,
        };
        let shared = Arc::new(shared::Shared::open(config).await?);
        Ok(Self {
            shared,
            listener,
            admin,
            addresses,
        })
    }

    /// Serves until `shutdown`; sessions are then cut, as a database that stops would.
    ///
    /// # Errors
    /// The addresses file cannot be written or a port breaks.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self {
            shared,
            listener,
            admin,
            addresses,
        } = self;
        if let Some(path) = &shared.config.addresses_file {
            // Written beside and renamed, so that a reader never sees half of it.
            let beside = path.with_extension("partial");
            tokio::fs::write(&beside, serde_json::to_vec(&addresses)?)
                .await
                .with_context(|| format!("write `{}`", beside.display()))?;
            tokio::fs::rename(&beside, path)
                .await
                .with_context(|| format!("write `{}`", path.display()))?;
        }
        tracing::info!(listen = %addresses.listen, admin = %addresses.admin, "listening");
        let mut tasks = JoinSet::new();
        let router = admin::router(Arc::clone(&shared));
        let stop = shutdown.clone();
        tasks.spawn(async move {
            let served = axum::serve(admin, router)
                .with_graceful_shutdown(async move { stop.cancelled().await })
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "admin port broke");
            }
        });
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        tasks.spawn(session::serve(Arc::clone(&shared), stream, peer));
                    }
                    Err(error) => tracing::warn!(%error, "connection not accepted"),
                },
                Some(_) = tasks.join_next() => {}
            }
        }
        tasks.shutdown().await;
        Ok(())
    }
}

/// Binds and serves until `shutdown`.
///
/// # Errors
/// As [`Server::bind`] and [`Server::serve`].
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    Server::bind(config).await?.serve(shutdown).await
}
