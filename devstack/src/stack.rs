//! A stack: all real parts, started together and stopped together.

use std::path::PathBuf;

use anyhow::{Context, Result};
use futures::FutureExt;
use futures::future::{BoxFuture, OptionFuture};

use crate::addresses::Addresses;
use crate::client::kafka::Kafka;
use crate::client::registry::Registry;
use crate::client::s3::S3;
use crate::client::sql::Sql;
use crate::fetch::{self, Parts};
use crate::home::Home;
use crate::part::kafka::Cluster;
use crate::part::postgres::Server;
use crate::part::{self, Started};
use crate::process::{Process, free_ports, stop_all, stop_left};
use crate::progress::Progress;

/// File in the run folder that holds the addresses of what runs.
pub const ADDRESSES_FILE: &str = "addresses.json";

/// How to start a stack.
#[derive(Clone)]
pub struct Options {
    /// Where it lives.
    pub home: Home,
    /// Parts that run already and are used as they are.
    pub existing: Addresses,
    /// The program redshift-local; without it the stack has no Redshift.
    pub redshift_local: Option<PathBuf>,
    /// PostgreSQL waits for the disk.
    pub fsync: bool,
    /// How many Kafka brokers; from three on, replication is 3.
    pub brokers: u16,
    /// Where to tell how far it is.
    pub progress: Progress,
}

impl Options {
    /// A stack in `home`, using what the environment names.
    #[must_use]
    pub fn new(home: Home, progress: Progress) -> Self {
        Self {
            home,
            existing: Addresses::from_env(),
            redshift_local: None,
            fsync: false,
            brokers: 1,
            progress,
        }
    }
}

/// Running parts. Those that this value has started stop when it is dropped.
pub struct Stack {
    addresses: Addresses,
    processes: Vec<Process>,
    parts: Option<Parts>,
    home: Option<Home>,
}

impl Stack {
    /// Uses what runs already, as the environment says (`devstack up --env-file F`).
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            addresses: Addresses::from_env(),
            processes: Vec::new(),
            parts: None,
            home: None,
        }
    }

    /// Uses what runs in `home` (`devstack up --detach`); what the environment names goes before it.
    ///
    /// # Errors
    /// The home's addresses cannot be read.
    pub fn running(home: &Home) -> Result<Self> {
        let file = home.run().join(ADDRESSES_FILE);
        let mut stack = Self::from_env();
        if let Ok(text) = std::fs::read_to_string(&file) {
            let found = serde_json::from_str(&text).with_context(|| format!("cannot read `{}`", file.display()))?;
            stack.addresses = stack.addresses.clone().or(found);
        }
        Ok(stack)
    }

    /// Fetches what is missing, stops what an earlier run left in this home, and starts all parts that are not already there.
    ///
    /// # Errors
    /// A part cannot be fetched or does not come up; everything started so far is stopped again.
    pub async fn start(options: &Options) -> Result<Self> {
        let parts = fetch::all(options.home.cache(), &options.progress).await?;
        clear(&options.home)?;
        let ports = free_ports(3)?;
        let (existing, home, progress) = (&options.existing, &options.home, &options.progress);
        let kafka = wanted(&existing.kafka, || {
            step(progress, "Kafka", Cluster::start(home, &parts.kafka, options.brokers))
        });
        let registry = wanted(&existing.registry, || {
            step(
                progress,
                "schema registry",
                part::registry::start(home, &parts.registry, ports[0]),
            )
        });
        let postgres = wanted(&existing.postgres, || {
            step(
                progress,
                "PostgreSQL",
                part::postgres::start(home, ports[1], Server::Warehouse { fsync: options.fsync }),
            )
        });
        let s3 = wanted(&existing.s3, || {
            step(
                progress,
                "LocalStack S3",
                part::localstack::start(home, &parts.localstack, ports[2]),
            )
        });
        let (kafka, registry, postgres, s3) = tokio::try_join!(kafka, registry, postgres, s3)?;

        let mut stack = Self {
            addresses: existing.clone(),
            processes: Vec::new(),
            parts: Some(parts.clone()),
            home: Some(home.clone()),
        };
        if s3.is_some() {
            stack.addresses.aws = Addresses::local_aws();
        }
        stack.addresses.kafka = kafka.as_ref().map(Cluster::bootstrap).or(existing.kafka.clone());
        stack
            .processes
            .extend(kafka.map(Cluster::into_processes).unwrap_or_default());
        stack.addresses.registry = stack.adopt(registry).or(existing.registry.clone());
        stack.addresses.postgres = stack.adopt(postgres).or(existing.postgres.clone());
        stack.addresses.s3 = stack.adopt(s3).or(existing.s3.clone());
        if let (None, Some(program)) = (&existing.redshift, &options.redshift_local) {
            let env: Vec<_> = stack.addresses.aws.clone().into_iter().collect();
            let start = part::redshift_local::start(home, program, stack.postgres_url()?, stack.s3_endpoint()?, &env);
            let (started, admin) = step(progress, "redshift-local", start).await?;
            stack.addresses.redshift_admin = Some(admin);
            stack.addresses.redshift = stack.adopt(Some(started));
        }
        stack.addresses.write(&home.run().join(ADDRESSES_FILE))?;
        Ok(stack)
    }

    fn adopt(&mut self, started: Option<Started>) -> Option<String> {
        let Started { process, address } = started?;
        self.processes.push(process);
        Some(address)
    }

    /// Lets all parts run on when this value is dropped; `devstack down` stops them.
    pub fn detach(&mut self) {
        for process in &mut self.processes {
            process.detach();
        }
    }

    /// Stops what this value has started, and removes its data; logs stay.
    pub fn stop(mut self) {
        stop_all(&mut self.processes);
        if let Some(home) = &self.home {
            let _ = std::fs::remove_file(home.run().join(ADDRESSES_FILE));
            // What cannot be removed now is removed by the next start, which says so when it fails.
            let _ = std::fs::remove_dir_all(home.data());
            let _ = part::clean(home);
        }
    }

    /// Where the parts answer.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The started processes.
    #[must_use]
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The fetched parts; none for a stack of the environment.
    #[must_use]
    pub fn parts(&self) -> Option<&Parts> {
        self.parts.as_ref()
    }

    /// Kafka's host:port.
    ///
    /// # Errors
    /// The stack has none.
    pub fn bootstrap(&self) -> Result<&str> {
        Addresses::need(&self.addresses.kafka, "SPOLT_KAFKA_BOOTSTRAP")
    }

    /// The registry's URL.
    ///
    /// # Errors
    /// The stack has none.
    pub fn registry_url(&self) -> Result<&str> {
        Addresses::need(&self.addresses.registry, "SPOLT_SCHEMA_REGISTRY_URL")
    }

    /// The object store's URL.
    ///
    /// # Errors
    /// The stack has none.
    pub fn s3_endpoint(&self) -> Result<&str> {
        Addresses::need(&self.addresses.s3, "SPOLT_S3_ENDPOINT")
    }

    /// URL of the PostgreSQL behind the stand-in.
    ///
    /// # Errors
    /// The stack has none.
    pub fn postgres_url(&self) -> Result<&str> {
        Addresses::need(&self.addresses.postgres, "SPOLT_POSTGRES_URL")
    }

    /// URL of redshift-local, or of a real cluster.
    ///
    /// # Errors
    /// The stack has none.
    pub fn redshift_url(&self) -> Result<&str> {
        Addresses::need(&self.addresses.redshift, "SPOLT_REDSHIFT_URL")
    }

    /// URL of redshift-local's admin port.
    ///
    /// # Errors
    /// The stack has none.
    pub fn redshift_admin_url(&self) -> Result<&str> {
        Addresses::need(&self.addresses.redshift_admin, "SPOLT_REDSHIFT_ADMIN_URL")
    }

    /// A client of Kafka.
    ///
    /// # Errors
    /// The stack has none.
    pub fn kafka(&self) -> Result<Kafka> {
        Ok(Kafka::new(self.bootstrap()?))
    }

    /// A client of the registry.
    ///
    /// # Errors
    /// The stack has none.
    pub fn registry(&self) -> Result<Registry> {
        Registry::new(self.registry_url()?)
    }

    /// A client of the object store: with the credentials of the environment if it has any, else those of the local store.
    ///
    /// # Errors
    /// The stack has none.
    pub async fn s3(&self) -> Result<S3> {
        let endpoint = self.s3_endpoint()?;
        let own =
            std::env::var_os("AWS_ACCESS_KEY_ID").is_some() && self.processes.iter().all(|p| p.name() != "localstack");
        Ok(if own {
            S3::from_chain(endpoint).await
        } else {
            S3::local(endpoint)
        })
    }

    /// A connection to redshift-local.
    ///
    /// # Errors
    /// The stack has none, or it does not answer.
    pub async fn redshift(&self) -> Result<Sql> {
        Sql::connect(self.redshift_url()?).await
    }

    /// A connection to the PostgreSQL behind the stand-in.
    ///
    /// # Errors
    /// The stack has none, or it does not answer.
    pub async fn postgres(&self) -> Result<Sql> {
        Sql::connect(self.postgres_url()?).await
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        stop_all(&mut self.processes);
    }
}

/// Stops what earlier runs left in this home and removes their data: a stack begins clean.
///
/// # Errors
/// The data cannot be removed.
pub fn clear(home: &Home) -> Result<Vec<String>> {
    let stopped = stop_left(&home.run())?;
    part::clean(home)?;
    for folder in [home.data(), home.logs(), home.run()] {
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
    }
    Ok(stopped.into_iter().map(|left| left.name).collect())
}

/// Starts a part unless there is one already.
async fn wanted<'a, T>(
    existing: &Option<String>,
    start: impl FnOnce() -> BoxFuture<'a, Result<T>>,
) -> Result<Option<T>> {
    OptionFuture::from(existing.is_none().then(start)).await.transpose()
}

/// Wraps the start of a part in a step of the progress.
fn step<'a, T: 'a>(
    progress: &Progress,
    name: &str,
    start: impl Future<Output = Result<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T>> {
    let step = progress.step(format!("starting {name}"));
    async move {
        let result = start.await;
        match &result {
            Ok(_) => step.done(""),
            Err(_) => step.failed(""),
        }
        result
    }
    .boxed()
}
