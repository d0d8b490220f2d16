//! The front door: `run`, `check`, `plan`, `accept-partitions`, `refresh`, `set-aside`, `status`, `unregister`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use common::failure::Failure;
use runtime::config::{Config, CopyAuthority, RedshiftSpoltConfig};
use runtime::readiness::Readiness;
use runtime::report::{self, Error};
use runtime::secret::{ExposeSecret, Secret};

use crate::load::machine::Limits;
use crate::load::mode::Mode;
use crate::load::names::{Naming, Rewrite, TableName};
use crate::load::run::Caps;
use crate::load::sql::literal;
use crate::load::statements::Target;

mod accept;
mod check;
mod open;
mod plan;
mod refresh;
mod run;
mod set_aside;
mod status;
mod unregister;

/// Loads what s3-spolt wrote to S3 into Amazon Redshift, exactly once.
#[derive(Debug, Parser)]
#[command(name = "redshift-spolt", version, about)]
struct Arguments {
    /// The configuration file; see spolt.example.toml.
    #[arg(long, short, global = true, env = "SPOLT_CONFIG", default_value = "spolt.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load until told to stop.
    Run,
    /// Test connections and rights, and say what is missing.
    Check,
    /// Print the statements that the next load of a topic would run.
    Plan {
        /// The upstream topic.
        topic: String,
    },
    /// Apply partitions that were added to a topic whose table has a key; only shows what it would do unless --apply is given.
    AcceptPartitions {
        /// The upstream topic.
        topic: String,
        /// Do it: every producer writes to all partitions.
        #[arg(long)]
        apply: bool,
    },
    /// Records that have no row: list, show, replay, discard.
    SetAside(set_aside::Wish),
    /// Replace all that a table holds by what the source sends again: begin, finish, give-up; only shows what it would do unless --apply is given.
    Refresh(refresh::Wish),
    /// End the registration of a target that is no more; shows what it would do unless --apply is given.
    Unregister(unregister::Wish),
    /// Print checkpoints and lag of every table.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime
        .map_err(|error| Error::from(Failure::stop(format!("start the async runtime: {error}"))))
        .and_then(|runtime| {
            let result = runtime.block_on(execute(arguments));
            // What still runs is a load that may finish or die, or a client that closes; neither may hold the exit back.
            runtime.shutdown_background();
            result
        });
    report::finish(result)
}

async fn execute(arguments: Arguments) -> Result<(), Error> {
    let config = Config::load(&arguments.config)?;
    let settings = Settings::of(&config, &arguments.config.display().to_string())?;
    report::start_logging(&config.log)?;
    #[cfg(feature = "drills")]
    runtime::failpoint::arm()?;
    match arguments.command {
        Command::Run => run::run(config, settings).await,
        Command::Check => check::check(config, settings).await,
        Command::Plan { topic } => plan::plan(config, settings, &topic).await,
        Command::AcceptPartitions { topic, apply } => accept::accept(config, settings, &topic, apply).await,
        Command::Refresh(wish) => refresh::refresh(config, settings, wish).await,
        Command::SetAside(wish) => set_aside::set_aside(config, settings, wish).await,
        Command::Unregister(wish) => unregister::unregister(config, settings, wish).await,
        Command::Status { json } => status::status(config, settings, json).await,
    }
}

/// The configuration as this daemon uses it.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) own: RedshiftSpoltConfig,
    pub(crate) naming: Arc<Naming>,
}

impl Settings {
    fn of(config: &Config, file: &str) -> Result<Settings, Error> {
        let own = config.require_redshift_spolt(file)?.clone();
        let rewrites = own
            .rewrite
            .iter()
            .map(|rule| Rewrite {
                topic: rule.topic.clone(),
                table: rule.table.clone(),
            })
            .collect();
        let naming = Naming {
            rewrites,
            default_schema: own.tables.default_schema.clone(),
        };
        Ok(Settings {
            own,
            naming: Arc::new(naming),
        })
    }

    pub(crate) fn limits(&self) -> Limits {
        let own = &self.own;
        let claims = u64::try_from(own.load_claims_max).unwrap_or(u64::MAX);
        Limits {
            age_ms: i64::try_from(own.load_age.as_millis()).unwrap_or(i64::MAX),
            rows: own.load_rows,
            bytes: own.load_bytes.0,
            caps: Caps {
                claims,
                rows: own.load_rows_max,
                bytes: own.load_bytes_max.0,
            },
            // Four loads' worth keeps the next load ready while one runs; a claim takes some 2 KB.
            queue_claims: claims.saturating_mul(4).max(1_000),
        }
    }

    pub(crate) fn target(&self, config: &Config, topic: &str, table: TableName) -> Target {
        let rules = config.topics.for_topic(topic);
        Target {
            table,
            state_schema: self.own.tables.state_schema.clone(),
            create_schemas: self.own.tables.create_schemas,
            mode: match rules.mode {
                runtime::config::Mode::Upsert => Mode::Upsert,
                runtime::config::Mode::SoftDelete => Mode::SoftDelete,
                runtime::config::Mode::History => Mode::History,
                runtime::config::Mode::Append => Mode::Append,
            },
            varchar: rules.varchar,
            order_by: rules.order_by,
            metadata: rules.metadata,
            made: rules.table,
            refreshes: None,
        }
    }
}

/// The authorization clause of COPY. Holds secrets: goes to the warehouse and nowhere else.
pub(crate) fn authorization(copy: &CopyAuthority) -> Result<String, Failure> {
    let read = |secret: &Secret| literal(secret.read()?.expose_secret());
    match copy {
        CopyAuthority::IamRole(role) if role == "default" => Ok("IAM_ROLE default".to_owned()),
        CopyAuthority::IamRole(arns) => Ok(format!("IAM_ROLE {}", literal(arns)?)),
        CopyAuthority::Keys {
            access_key_id,
            secret_access_key,
            session_token,
        } => {
            let token = match session_token {
                Some(token) => format!(" SESSION_TOKEN {}", read(token)?),
                None => String::new(),
            };
            Ok(format!(
                "ACCESS_KEY_ID {} SECRET_ACCESS_KEY {}{token}",
                read(access_key_id)?,
                read(secret_access_key)?
            ))
        }
    }
}

/// The same for people: without secrets.
pub(crate) fn authorization_shown(copy: &CopyAuthority) -> String {
    match copy {
        CopyAuthority::IamRole(_) => authorization(copy).unwrap_or_default(),
        CopyAuthority::Keys { .. } => "ACCESS_KEY_ID '***' SECRET_ACCESS_KEY '***'".to_owned(),
    }
}

pub(crate) fn readiness() -> Readiness {
    Readiness::new()
}
