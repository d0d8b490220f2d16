//! The configuration of both daemons: one TOML file, `spolt.example.toml` shows it whole.
//!
//! | module | what it holds |
//! |---|---|
//! | this one | the settings as the daemons use them |
//! | [`resolve`] | from the document to the settings; every default |
//! | [`reader`] | reads keys and remembers mistakes |
//! | [`problem`] | mistakes, all told at once |
//! | [`topics`] | names, patterns and settings of topics |
//! | [`units`] | sizes and durations |

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::claim::Compression;
use regex::Regex;

use crate::secret::Secret;

mod data_keys;
mod dump;
mod problem;
mod reader;
mod resolve;
mod rows;
#[cfg(test)]
mod tests;
mod topics;
mod units;

pub use problem::{ConfigError, Problem};
pub use topics::{
    DdlSetting, DistSetting, EnvelopeSetting, FormatSetting, HeaderUse, HeaderUses, KeySetting, Metadata, Mode,
    TableSettings, TombstoneSetting, TopicPattern, TopicRules, TopicSelection, TopicSettings,
};
pub use units::Size;

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[kafka]`
    pub kafka: KafkaConfig,
    /// `[registry]`, if there is one.
    pub registry: Option<RegistryConfig>,
    /// `[s3]`
    pub s3: S3Config,
    /// `[signals]`
    pub signals: SignalsConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[s3_spolt]`, if this file configures that daemon.
    pub s3_spolt: Option<S3SpoltConfig>,
    /// `[redshift_spolt]`, if this file configures that daemon.
    pub redshift_spolt: Option<RedshiftSpoltConfig>,
    /// `[topic_defaults]` and every `[[topic]]`.
    pub topics: TopicRules,
    seen: Vec<reader::Seen>,
}

/// How to reach the Kafka cluster.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// A topic that breaks assumption E1 is warned about, not refused.
    pub allow_unsafe_topics: bool,
    /// Fills `sasl.password`.
    pub password: Option<Secret>,
    /// librdkafka properties for every client.
    pub properties: BTreeMap<String, PropertyValue>,
}

/// The value of a librdkafka property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyValue {
    /// Written in the file.
    Plain(String),
    /// `{ env = "NAME" }` or `{ file = "path" }`.
    Secret(Secret),
}

/// What kind of registry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryKind {
    /// Confluent's REST interface.
    Confluent,
    /// That of the Schematizer of Yelp's Data Pipeline.
    Schematizer,
}

/// How to reach the schema registry.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// What it speaks.
    pub kind: RegistryKind,
    /// Base address.
    pub url: String,
    /// User of basic authentication.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Longest time one request may take.
    pub timeout: Duration,
}

/// Where objects lie.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// Bucket.
    pub bucket: String,
    /// Everything lies below this; without slashes at its ends, possibly empty.
    pub prefix: String,
    /// Region of the bucket; the SDK's default chain if absent.
    pub region: Option<String>,
    /// Address of an S3-compatible store.
    pub endpoint: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
    /// Longest time one request may take.
    pub request_timeout: Duration,
    /// How long a request is repeated before it counts as failed.
    pub retry_for: Duration,
}

/// The signal topics.
#[derive(Debug, Clone)]
pub struct SignalsConfig {
    /// Name of the signal topic, with `{topic}` for the upstream topic.
    pub topic: String,
    /// Replication factor of topics that are created.
    pub replication_factor: u16,
    /// Name of the progress topic.
    pub progress_topic: String,
}

impl SignalsConfig {
    /// Name of the signal topic of an upstream topic.
    #[must_use]
    pub fn topic_for(&self, upstream: &str) -> String {
        self.topic.replace("{topic}", upstream)
    }

    /// The upstream topic of a signal topic, if that is what the name is.
    #[must_use]
    pub fn upstream_of<'t>(&self, signal_topic: &'t str) -> Option<&'t str> {
        let (before, after) = self.topic.split_once("{topic}")?;
        signal_topic
            .strip_prefix(before)?
            .strip_suffix(after)
            .filter(|upstream| !upstream.is_empty())
    }
}

/// How to log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A tracing filter such as `info` or `info,rdkafka=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where a topic without any claim begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At its first record.
    Earliest,
    /// At its end.
    Latest,
    /// At the first record of this time or later, in milliseconds since 1970.
    At(i64),
}

/// `[s3_spolt]`
#[derive(Debug, Clone)]
pub struct S3SpoltConfig {
    /// Topics to read.
    pub topics: TopicSelection,
    /// Consumer group.
    pub group_id: String,
    /// Where a new topic begins.
    pub start: Start,
    /// Address of the HTTP server; port 0 takes any.
    pub http: SocketAddr,
    /// An object has at most so many rows.
    pub cut_rows: u64,
    /// An object has about so many bytes, compressed.
    pub cut_bytes: Size,
    /// An object is cut this long after its first record.
    pub cut_age: Duration,
    /// Compression of objects.
    pub compression: Compression,
    /// Its level.
    pub compression_level: i32,
    /// Budget of all records and objects in memory.
    pub memory: Size,
    /// Threads that encode and compress; 0 was replaced by the number of cores.
    pub encode_threads: usize,
    /// Objects that upload at once.
    pub uploads: usize,
    /// Objects of one partition that may be cut but not signalled.
    pub sealed_per_partition: usize,
    /// From SIGTERM to exit.
    pub shutdown: Duration,
    /// `[s3_spolt.gc]`
    pub gc: GcConfig,
}

/// `[s3_spolt.gc]`
#[derive(Debug, Clone)]
pub struct GcConfig {
    /// Targets that must be registered, and no others; empty: nothing is collected.
    pub targets: BTreeSet<String>,
    /// Younger objects stay.
    pub retention: Duration,
    /// How often the daemon collects.
    pub every: Duration,
}

/// `[redshift_spolt]`
#[derive(Debug, Clone)]
pub struct RedshiftSpoltConfig {
    /// Name of the target cluster.
    pub target: String,
    /// Upstream topics to load.
    pub topics: TopicSelection,
    /// Consumer group, `{target}` replaced.
    pub group_id: String,
    /// Address of the HTTP server; port 0 takes any.
    pub http: SocketAddr,
    /// A load starts when its oldest claim is this old ...
    pub load_age: Duration,
    /// ... or so many rows wait ...
    pub load_rows: u64,
    /// ... or so many bytes.
    pub load_bytes: Size,
    /// A load takes at most so many claims ...
    pub load_claims_max: usize,
    /// ... rows ...
    pub load_rows_max: u64,
    /// ... and bytes.
    pub load_bytes_max: Size,
    /// Tables that load at once.
    pub parallel_loads: usize,
    /// How long a loader waits for a state table's lock before it ends sessions of older loaders that hold it; zero for never.
    pub takeover_after: Duration,
    /// From SIGTERM to exit.
    pub shutdown: Duration,
    /// `[redshift_spolt.connection]`
    pub connection: ConnectionConfig,
    /// `[redshift_spolt.copy]`
    pub copy: CopyAuthority,
    /// `[redshift_spolt.tables]`
    pub tables: TablesConfig,
    /// `[[redshift_spolt.rewrite]]`
    pub rewrite: Vec<Rewrite>,
}

/// How to reach Redshift.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// Encryption.
    pub sslmode: SslMode,
    /// Additional trusted certificates (PEM).
    pub ca_file: Option<PathBuf>,
    /// Longest time to connect and log in.
    pub connect_timeout: Duration,
    /// Longest time of one statement.
    pub statement_timeout: Duration,
}

/// Encryption of the connection to Redshift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// None.
    Disable,
    /// Encrypted; the certificate is not checked.
    Require,
    /// Encrypted; certificate and host name are checked.
    VerifyFull,
}

/// With whose rights COPY reads S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyAuthority {
    /// `default`, or ARNs separated by commas.
    IamRole(String),
    /// Keys.
    Keys {
        /// Access key id.
        access_key_id: Secret,
        /// Secret access key.
        secret_access_key: Secret,
        /// Session token of temporary keys.
        session_token: Option<Secret>,
    },
}

/// Where tables are made.
#[derive(Debug, Clone)]
pub struct TablesConfig {
    /// Schema for topics whose name has fewer than two parts.
    pub default_schema: String,
    /// Schema of state and ledger tables.
    pub state_schema: String,
    /// Create schemas that do not exist.
    pub create_schemas: bool,
}

/// A rule from topic names to tables.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// Matches whole topic names.
    pub topic: Regex,
    /// `schema.table`, with `$1` or `${name}` for groups.
    pub table: String,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn load(path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            file: path.display().to_string(),
            problems: vec![Problem {
                key: String::new(),
                message: format!("read the file: {error}"),
                hint: "name the file with --config; spolt.example.toml is a template for it".to_owned(),
            }],
        })?;
        Config::parse(&text, &path.display().to_string())
    }

    /// Reads a document; `file` is what mistakes are told to be in.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        resolve::config(text).map_err(|problems| ConfigError {
            file: file.to_owned(),
            problems,
        })
    }

    /// The section of s3-spolt.
    ///
    /// # Errors
    /// When it is absent.
    pub fn require_s3_spolt(&self, file: &str) -> Result<&S3SpoltConfig, ConfigError> {
        self.s3_spolt.as_ref().ok_or_else(|| missing("s3_spolt", file))
    }

    /// The section of redshift-spolt.
    ///
    /// # Errors
    /// When it is absent.
    pub fn require_redshift_spolt(&self, file: &str) -> Result<&RedshiftSpoltConfig, ConfigError> {
        self.redshift_spolt
            .as_ref()
            .ok_or_else(|| missing("redshift_spolt", file))
    }

    /// The whole configuration as it holds, defaults included, as a document; secrets are named, never shown.
    #[must_use]
    pub fn dump(&self) -> String {
        dump::document(&self.seen)
    }
}

fn missing(section: &str, file: &str) -> ConfigError {
    let problem = Problem {
        key: section.to_owned(),
        message: "is missing".to_owned(),
        hint: format!("add a section [{section}]; spolt.example.toml shows it"),
    };
    ConfigError {
        file: file.to_owned(),
        problems: vec![problem],
    }
}
