//! What all sessions share.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use serde::Serialize;

use crate::catalog::{Catalog, TypeNumbers};
use crate::config::Config;
use crate::faults::Faults;
use crate::sql::name::Aliases;

/// S3 requests are tried this often: COPY retries S3 reads itself (redshift.md 1.6), though for minutes, which no test has.
const S3_ATTEMPTS_MAX: u32 = 5;

/// Shared by all sessions and the admin port.
#[derive(Debug)]
pub struct Shared {
    /// How the program was started.
    pub config: Config,
    /// S3.
    pub s3: Client,
    /// Aliases of long names.
    pub aliases: Aliases,
    /// Faults that wait.
    pub faults: Faults,
    /// The stand-in's own session.
    pub catalog: Catalog,
    /// Numbers of its types.
    pub types: TypeNumbers,
    sessions: Mutex<BTreeMap<u32, SessionInfo>>,
}

/// A session as the admin port shows it.
#[derive(Debug, Clone, Serialize)]
pub struct SessionInfo {
    /// Process id.
    pub pid: u32,
    /// User.
    pub user: String,
    /// Application name.
    pub application_name: String,
    /// Transaction state after the last statement.
    pub state: &'static str,
    /// Begin of the last statement.
    pub last_statement: String,
}

impl Shared {
    /// Connects to PostgreSQL and S3.
    ///
    /// # Errors
    /// PostgreSQL cannot be used.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let aliases = Aliases::default();
        let (catalog, types) = Catalog::open(config.postgres.clone(), &aliases).await?;
        let s3 = s3_client(&config).await;
        Ok(Self {
            config,
            s3,
            aliases,
            faults: Faults::default(),
            catalog,
            types,
            sessions: Mutex::default(),
        })
    }

    /// The sessions, by process id.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.lock().values().cloned().collect()
    }

    /// Notes a session or its state.
    pub fn note_session(&self, info: SessionInfo) {
        self.lock().insert(info.pid, info);
    }

    /// Forgets a session.
    pub fn forget_session(&self, pid: u32) {
        self.lock().remove(&pid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, SessionInfo>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Credentials come from the SDK's default chain. A custom endpoint without any gets `test`/`test`, which local stand-ins for S3 take.
async fn s3_client(config: &Config) -> Client {
    let has_own = [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ]
    .iter()
    .any(|name| std::env::var_os(name).is_some());
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(S3_ATTEMPTS_MAX));
    if std::env::var_os("AWS_REGION").is_none() && std::env::var_os("AWS_DEFAULT_REGION").is_none() {
        loader = loader.region(Region::new(config.s3_region.clone()));
    }
    if config.s3_endpoint.is_some() && !has_own {
        loader = loader.credentials_provider(Credentials::new("test", "test", None, None, "redshift-local"));
    }
    let loaded = loader.load().await;
    let mut builder = aws_sdk_s3::config::Builder::from(&loaded);
    if let Some(endpoint) = &config.s3_endpoint {
        builder = builder.endpoint_url(endpoint).force_path_style(true);
    }
    Client::from_conf(builder.build())
}
