//! From the document to the settings. Every default is written here, once, in the call that reads its key.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::claim::Compression;
use regex::Regex;
use toml::Value;

use super::problem::Problem;
use super::reader::{Field, Notes, Section};
use super::topics::{EnvelopeSetting, KeySetting, Mode, TopicPattern, TopicRules, TopicSelection, TopicSettings};
use super::units::Size;
use super::{
    Config, ConnectionConfig, CopyAuthority, KafkaConfig, LogConfig, LogFormat, PropertyValue, RedshiftSpoltConfig,
    RegistryConfig, Rewrite, S3Config, S3SpoltConfig, SignalsConfig, SslMode, Start, TablesConfig,
};
use crate::secret::Secret;

/// Longest text column of Redshift, in bytes.
const VARCHAR_MAX: u32 = 65_535;

/// Properties that a user must not set, and why.
const FIXED_PROPERTIES: [(&str, &str); 14] = [
    ("bootstrap.servers", "write kafka.bootstrap_servers"),
    ("metadata.broker.list", "write kafka.bootstrap_servers"),
    ("group.id", "write s3_spolt.group_id or redshift_spolt.group_id"),
    ("sasl.password", "write kafka.password_env or kafka.password_file"),
    (
        "isolation.level",
        "remove it: the protocol reads committed records only",
    ),
    ("enable.idempotence", "remove it: the producer is always idempotent"),
    ("acks", "remove it: a signal counts when all in-sync replicas have it"),
    (
        "request.required.acks",
        "remove it: a signal counts when all in-sync replicas have it",
    ),
    (
        "auto.offset.reset",
        "remove it: positions come from the signal log; for new topics write s3_spolt.start",
    ),
    (
        "enable.auto.commit",
        "remove it: committed offsets are for lag tools only, after the signal",
    ),
    (
        "enable.auto.offset.store",
        "remove it: committed offsets are for lag tools only, after the signal",
    ),
    (
        "enable.partition.eof",
        "remove it: it is switched on where the end of a log must be found",
    ),
    (
        "partition.assignment.strategy",
        "remove it: it is always cooperative-sticky",
    ),
    ("transactional.id", "remove it: the protocol needs no Kafka transaction"),
];

/// Properties whose value is a secret and so is never written in the file.
const SECRET_PROPERTIES: [&str; 5] = [
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
];

/// Reads the whole document.
pub(super) fn config(text: &str) -> Result<Config, Vec<Problem>> {
    let table = text.parse::<toml::Table>().map_err(|error| {
        vec![Problem {
            key: String::new(),
            message: format!("is not TOML: {}", error.to_string().trim_end()),
            hint: "texts are in quotes; a section begins with [name] on a line of its own".to_owned(),
        }]
    })?;
    let notes = RefCell::new(Notes::default());
    let root = Section::root(&notes, table);
    let kafka = kafka(root.section("kafka"));
    let registry = root.has("registry").then(|| registry(root.section("registry")));
    if registry.is_none() {
        let _ = root.raw("registry");
    }
    let s3 = s3(root.section("s3"));
    let signals = signals(root.section("signals"));
    let log = log(root.section("log"));
    let s3_section = root.section("s3_spolt");
    let s3_spolt = root.has("s3_spolt").then(|| s3_spolt(s3_section));
    let redshift_section = root.section("redshift_spolt");
    let shared = s3_spolt.as_ref().map(|daemon| &daemon.topics);
    let redshift_spolt = root
        .has("redshift_spolt")
        .then(|| redshift_spolt(redshift_section, shared));
    let topics = topic_rules(&root);
    if s3_spolt.is_none() && redshift_spolt.is_none() {
        root.wrong(
            "s3_spolt",
            "neither daemon is configured",
            "add a section [s3_spolt], [redshift_spolt] or both",
        );
    }
    root.finish();
    let Notes { problems, seen } = notes.into_inner();
    let seen = seen.into_iter().filter(|seen| !seen.section.is_empty()).collect();
    if problems.is_empty() {
        Ok(Config {
            kafka,
            registry,
            s3,
            signals,
            log,
            s3_spolt,
            redshift_spolt,
            topics,
            seen,
        })
    } else {
        Err(problems)
    }
}

fn kafka(section: Section<'_>) -> KafkaConfig {
    let bootstrap_servers: String = section.required(
        "bootstrap_servers",
        "write host:port of one or more brokers, separated by commas",
    );
    let allow_unsafe_topics = section.or("allow_unsafe_topics", false);
    let password = secret(&section, "password_env", "password_file");
    let listed = section.section("properties");
    let mut properties = BTreeMap::new();
    for (name, value) in listed.entries() {
        if let Some(value) = property(&listed, name, value) {
            properties.insert(name.to_owned(), value);
        }
    }
    let written = properties
        .iter()
        .map(|(name, value)| (name.clone(), property_shown(value)))
        .collect::<Vec<_>>();
    listed.show(written);
    if password.is_some()
        && !properties
            .keys()
            .any(|name| name == "sasl.mechanism" || name == "sasl.mechanisms")
    {
        section.wrong(
            "password_env",
            "a password is given, but no \"sasl.mechanism\" that would use it",
            "add \"sasl.mechanism\", \"sasl.username\" and \"security.protocol\" to [kafka.properties], or remove the password",
        );
    }
    section.finish();
    KafkaConfig {
        bootstrap_servers,
        allow_unsafe_topics,
        password,
        properties,
    }
}

fn property(section: &Section<'_>, name: &str, value: &Value) -> Option<PropertyValue> {
    if let Some((_, hint)) = FIXED_PROPERTIES.iter().find(|(fixed, _)| *fixed == name) {
        section.wrong(name, "is fixed by the protocol or has a key of its own", *hint);
        return None;
    }
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
        Value::Table(table) if table.len() == 1 => {
            let source = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
            let read = source("env")
                .map(Secret::Env)
                .or_else(|| source("file").map(|path| Secret::File(path.into())));
            if let Some(secret) = read {
                return Some(PropertyValue::Secret(secret));
            }
            section.wrong(
                name,
                format!("expected a value, found `{value}`"),
                "a secret is { env = \"NAME\" } or { file = \"path\" }",
            );
            return None;
        }
        other => {
            let hint = "write the property as one quoted key: \"fetch.min.bytes\" = 1";
            section.wrong(name, format!("expected a value, found {}", other.type_str()), hint);
            return None;
        }
    };
    if SECRET_PROPERTIES.contains(&name) {
        let hint = format!("write \"{name}\" = {{ env = \"NAME\" }} or {{ file = \"path\" }}");
        section.wrong(name, "is a secret and must not be written here", hint);
        return None;
    }
    // librdkafka itself judges names and values, one property at a time so that every mistake is told.
    let mut probe = rdkafka::ClientConfig::new();
    probe.set(name, &text);
    if let Err(error) = probe.create_native_config() {
        let hint = "see librdkafka 2.12.1 CONFIGURATION.md for names and values";
        section.wrong(name, format!("is refused by librdkafka: {error}"), hint);
        return None;
    }
    Some(PropertyValue::Plain(text))
}

fn property_shown(value: &PropertyValue) -> Value {
    let from = |key: &str, text: String| Value::Table([(key.to_owned(), Value::String(text))].into_iter().collect());
    match value {
        PropertyValue::Plain(text) => Value::String(text.clone()),
        PropertyValue::Secret(Secret::Env(name)) => from("env", name.clone()),
        PropertyValue::Secret(Secret::File(path)) => from("file", path.display().to_string()),
    }
}

fn secret(section: &Section<'_>, env_key: &'static str, file_key: &'static str) -> Option<Secret> {
    let env: Option<String> = section.optional(env_key);
    let file: Option<std::path::PathBuf> = section.optional(file_key);
    if env.is_some() && file.is_some() {
        section.wrong(
            env_key,
            format!("contradicts `{file_key}`"),
            "give one source of the secret",
        );
    }
    env.map(Secret::Env).or(file.map(Secret::File))
}

fn registry(section: Section<'_>) -> RegistryConfig {
    let url: String = section.required("url", "write the address of the schema registry, or remove [registry]");
    if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
        section.wrong(
            "url",
            format!("`{url}` is not an address"),
            "begin it with http:// or https://",
        );
    }
    let username = section.optional("username");
    let password = secret(&section, "password_env", "password_file");
    if username.is_none() && password.is_some() {
        section.wrong(
            "username",
            "is missing although a password is given",
            "add the user name, or remove the password",
        );
    }
    let timeout = positive(&section, "timeout", section.or("timeout", Duration::from_secs(10)));
    section.finish();
    RegistryConfig {
        url: url.trim_end_matches('/').to_owned(),
        username,
        password,
        timeout,
    }
}

fn s3(section: Section<'_>) -> S3Config {
    let bucket: String = section.required("bucket", "write the name of the bucket that objects are put into");
    if bucket.contains('/') {
        section.wrong(
            "bucket",
            format!("`{bucket}` is not the name of a bucket"),
            "write the name alone; folders go into `prefix`",
        );
    }
    let prefix: String = section.or("prefix", "spolt".to_owned());
    if !prefix.is_ascii() || prefix.len() > 200 {
        // S3 allows keys of 1,024 bytes; a topic name takes up to 249, offsets and digest under 100.
        section.wrong(
            "prefix",
            "is not plain ASCII of at most 200 bytes",
            "choose a shorter prefix",
        );
    }
    let region = section.optional("region");
    let endpoint: Option<String> = section.optional("endpoint");
    if let Some(endpoint) = &endpoint
        && !endpoint.starts_with("http://")
        && !endpoint.starts_with("https://")
    {
        section.wrong(
            "endpoint",
            format!("`{endpoint}` is not an address"),
            "begin it with http:// or https://",
        );
    }
    let path_style = section.or("path_style", false);
    let request_timeout = positive(
        &section,
        "request_timeout",
        section.or("request_timeout", Duration::from_secs(30)),
    );
    let retry_for = section.or("retry_for", Duration::from_mins(5));
    if retry_for < request_timeout {
        section.wrong(
            "retry_for",
            "is shorter than `request_timeout`",
            "one request must fit into it",
        );
    }
    section.finish();
    let prefix = prefix.trim_matches('/').to_owned();
    S3Config {
        bucket,
        prefix,
        region,
        endpoint,
        path_style,
        request_timeout,
        retry_for,
    }
}

fn signals(section: Section<'_>) -> SignalsConfig {
    let topic: String = section.or("topic", "spolt.signals.{topic}".to_owned());
    if topic.matches("{topic}").count() != 1 || topic == "{topic}" {
        let hint = "write {topic} once, with something before or after it";
        section.wrong(
            "topic",
            "must give every upstream topic a signal topic of its own",
            hint,
        );
    }
    let replication_factor = section.or("replication_factor", 3_u16);
    if replication_factor == 0 {
        section.wrong("replication_factor", "is 0", "write 3, or 1 for a single broker");
    }
    let progress_topic = section.or("progress_topic", "spolt.progress".to_owned());
    section.finish();
    SignalsConfig {
        topic,
        replication_factor,
        progress_topic,
    }
}

fn log(section: Section<'_>) -> LogConfig {
    let level: String = section.or("level", "info".to_owned());
    if let Err(error) = level.parse::<tracing_subscriber::filter::targets::Targets>() {
        let hint = "write error, warn, info, debug or trace, or targets such as \"info,runtime=debug\"";
        section.wrong("level", format!("`{level}` is not a filter: {error}"), hint);
    }
    let format = choice(
        &section,
        "format",
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    );
    section.finish();
    LogConfig { level, format }
}

fn s3_spolt(section: Section<'_>) -> S3SpoltConfig {
    section.required::<Vec<String>>(
        "topics",
        "list the topics to read, by name or by a pattern that begins with ^",
    );
    let topics = selection(&section, &[]);
    let group_id = section.or("group_id", "s3-spolt".to_owned());
    let start = start(&section);
    let http = section.or("http", SocketAddr::from((Ipv4Addr::LOCALHOST, 9308)));
    let cut_rows = at_least_one(&section, "cut_rows", section.or("cut_rows", 1_000_000_u64));
    let cut_bytes = section.or("cut_bytes", Size::mib(64));
    let cut_age = positive(&section, "cut_age", section.or("cut_age", Duration::from_mins(1)));
    let compression = choice(
        &section,
        "compression",
        &[("zstd", Compression::Zstd), ("gzip", Compression::Gzip)],
    );
    let level: u32 = section.or("compression_level", 1);
    let level_max = if compression == Compression::Zstd { 19 } else { 9 };
    if !(1..=level_max).contains(&level) {
        section.wrong(
            "compression_level",
            format!("`{level}` is not a level"),
            format!("write 1 to {level_max}"),
        );
    }
    let memory = section.or("memory", Size::mib(512));
    if memory < Size::mib(64) {
        section.wrong(
            "memory",
            format!("`{memory}` is too little to work in"),
            "write 64MiB or more",
        );
    }
    if cut_bytes >= memory {
        let hint = "an object is built in memory: make cut_bytes smaller, a quarter of the memory works well";
        section.wrong(
            "cut_bytes",
            format!("`{cut_bytes}` does not fit into s3_spolt.memory (`{memory}`)"),
            hint,
        );
    }
    if cut_bytes.bytes() == 0 || cut_bytes.bytes() > 5 << 30 {
        section.wrong(
            "cut_bytes",
            format!("`{cut_bytes}` is out of range"),
            "S3 takes 1 byte to 5 GiB in one PUT",
        );
    }
    let encode_threads: usize = section.or("encode_threads", 0);
    let uploads = at_least_one(&section, "uploads", section.or("uploads", 8_usize));
    let sealed_per_partition = at_least_one(
        &section,
        "sealed_per_partition",
        section.or("sealed_per_partition", 4_usize),
    );
    let shutdown = positive(&section, "shutdown", section.or("shutdown", Duration::from_secs(20)));
    section.finish();
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    S3SpoltConfig {
        topics,
        group_id,
        start,
        http,
        cut_rows,
        cut_bytes,
        cut_age,
        compression,
        compression_level: i32::try_from(level).unwrap_or(1),
        memory,
        encode_threads: if encode_threads == 0 { cores() } else { encode_threads },
        uploads,
        sealed_per_partition,
        shutdown,
    }
}

fn start(section: &Section<'_>) -> Start {
    let text: String = section.or("start", "earliest".to_owned());
    match text.as_str() {
        "earliest" => Start::Earliest,
        "latest" => Start::Latest,
        time => match time.parse::<jiff::Timestamp>() {
            Ok(time) => Start::At(time.as_millisecond()),
            Err(_) => {
                let hint = "write \"earliest\", \"latest\" or a time with its zone such as \"2026-01-31T00:00:00Z\"";
                section.wrong("start", format!("`{time}` is no position"), hint);
                Start::Earliest
            }
        },
    }
}

fn redshift_spolt(section: Section<'_>, shared: Option<&TopicSelection>) -> RedshiftSpoltConfig {
    let target: String = section.required(
        "target",
        "name this cluster, for example \"main\"; it goes into keys and messages",
    );
    let legal = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    if !target.chars().all(legal) {
        section.wrong(
            "target",
            format!("`{target}` cannot be part of a key"),
            "use letters, digits, `-`, `_` and `.`",
        );
    }
    let own = section.optional::<Vec<String>>("topics").is_some();
    let mut topics = selection(&section, &[]);
    match shared {
        _ if own => {}
        Some(shared) if !section.has("exclude") => topics = shared.clone(),
        Some(shared) => topics.include.clone_from(&shared.include),
        None => section.wrong(
            "topics",
            "is missing",
            "list the upstream topics here, or in [s3_spolt]",
        ),
    }
    let group: String = section.or("group_id", "redshift-spolt-{target}".to_owned());
    let http = section.or("http", SocketAddr::from((Ipv4Addr::LOCALHOST, 9309)));
    let load_age = section.or("load_age", Duration::from_secs(30));
    let load_rows = at_least_one(&section, "load_rows", section.or("load_rows", 5_000_000_u64));
    let load_bytes = section.or("load_bytes", Size::mib(1024));
    let load_claims_max = at_least_one(&section, "load_claims_max", section.or("load_claims_max", 500_usize));
    let load_rows_max = section.or("load_rows_max", 20_000_000_u64);
    let load_bytes_max = section.or("load_bytes_max", Size::mib(4096));
    if load_rows_max < load_rows {
        let message = format!("`{load_rows_max}` is less than load_rows (`{load_rows}`)");
        section.wrong("load_rows_max", message, "what starts a load must fit into one");
    }
    if load_bytes_max < load_bytes {
        let message = format!("`{load_bytes_max}` is less than load_bytes (`{load_bytes}`)");
        section.wrong("load_bytes_max", message, "what starts a load must fit into one");
    }
    let parallel_loads = at_least_one(&section, "parallel_loads", section.or("parallel_loads", 4_usize));
    let shutdown = positive(&section, "shutdown", section.or("shutdown", Duration::from_secs(30)));
    let connection = connection(section.section("connection"));
    let copy = copy(section.section("copy"));
    let tables = tables(section.section("tables"));
    let rewrite = rewrite(&section);
    section.finish();
    RedshiftSpoltConfig {
        group_id: group.replace("{target}", &target),
        target,
        topics,
        http,
        load_age,
        load_rows,
        load_bytes,
        load_claims_max,
        load_rows_max,
        load_bytes_max,
        parallel_loads,
        shutdown,
        connection,
        copy,
        tables,
        rewrite,
    }
}

fn connection(section: Section<'_>) -> ConnectionConfig {
    let host = section.required("host", "write the host name of the cluster or workgroup endpoint");
    let port = section.or("port", 5439_u16);
    let database = section.required("database", "write the database to load into");
    let user = section.required("user", "write the user to log in as");
    let password = secret(&section, "password_env", "password_file");
    let modes = [
        ("verify-full", SslMode::VerifyFull),
        ("require", SslMode::Require),
        ("disable", SslMode::Disable),
    ];
    let sslmode = choice(&section, "sslmode", &modes);
    let ca_file = section.optional("ca_file");
    if ca_file.is_some() && sslmode != SslMode::VerifyFull {
        section.wrong(
            "ca_file",
            "is never used with this `sslmode`",
            "write sslmode = \"verify-full\", or remove ca_file",
        );
    }
    let connect_timeout = positive(
        &section,
        "connect_timeout",
        section.or("connect_timeout", Duration::from_secs(15)),
    );
    let statement_timeout = positive(
        &section,
        "statement_timeout",
        section.or("statement_timeout", Duration::from_mins(30)),
    );
    section.finish();
    ConnectionConfig {
        host,
        port,
        database,
        user,
        password,
        sslmode,
        ca_file,
        connect_timeout,
        statement_timeout,
    }
}

fn copy(section: Section<'_>) -> CopyAuthority {
    let id: Option<String> = section.optional("access_key_id_env");
    let key: Option<String> = section.optional("secret_access_key_env");
    let token: Option<String> = section.optional("session_token_env");
    let keys = id.is_some() || key.is_some() || token.is_some();
    let role = if keys {
        section.optional("iam_role")
    } else {
        Some(section.or("iam_role", "default".to_owned()))
    };
    if keys && role.is_some() {
        section.wrong(
            "iam_role",
            "contradicts the keys",
            "COPY takes a role or keys: remove one of them",
        );
    }
    let legal = |character: char| character.is_ascii_alphanumeric() || ":/_+=,.@- ".contains(character);
    if let Some(role) = &role
        && (role.is_empty() || !role.chars().all(legal))
    {
        section.wrong(
            "iam_role",
            format!("`{role}` is not a role"),
            "write \"default\" or ARNs separated by commas",
        );
    }
    let authority = match (id, key, role) {
        (Some(id), Some(key), _) => CopyAuthority::Keys {
            access_key_id: Secret::Env(id),
            secret_access_key: Secret::Env(key),
            session_token: token.map(Secret::Env),
        },
        (None, None, Some(role)) if !keys => CopyAuthority::IamRole(role),
        (id, _, _) => {
            let missing = if id.is_none() {
                "access_key_id_env"
            } else {
                "secret_access_key_env"
            };
            section.wrong(
                missing,
                "is missing",
                "keys need both access_key_id_env and secret_access_key_env",
            );
            CopyAuthority::IamRole(String::new())
        }
    };
    section.finish();
    authority
}

fn tables(section: Section<'_>) -> TablesConfig {
    let default_schema = section.or("default_schema", "public".to_owned());
    let state_schema = section.or("state_schema", "spolt".to_owned());
    for (key, schema) in [("default_schema", &default_schema), ("state_schema", &state_schema)] {
        // Redshift: an identifier has at most 127 bytes.
        if schema.is_empty() || schema.len() > 127 || schema.contains('"') {
            section.wrong(
                key,
                format!("`{schema}` is not the name of a schema"),
                "write 1 to 127 bytes without quotes",
            );
        }
    }
    let create_schemas = section.or("create_schemas", true);
    section.finish();
    TablesConfig {
        default_schema,
        state_schema,
        create_schemas,
    }
}

fn rewrite(section: &Section<'_>) -> Vec<Rewrite> {
    let mut rules: Vec<Rewrite> = Vec::new();
    for entry in section.sections("rewrite") {
        let pattern: String = entry.required("topic", "write a regular expression for topic names");
        let table: String = entry.required("table", "write schema.table; $1 stands for the first group");
        if !table.is_empty() && !table.contains('.') {
            entry.wrong("table", format!("`{table}` has no schema"), "write schema.table");
        }
        let written = format!("^(?:{})$", pattern.trim_start_matches('^').trim_end_matches('$'));
        match Regex::new(&written) {
            Ok(topic) if rules.iter().any(|rule| rule.topic.as_str() == topic.as_str()) => {
                entry.wrong(
                    "topic",
                    "is the pattern of an earlier rule, which always wins",
                    "remove one of the two rules",
                );
            }
            Ok(topic) => {
                for group in unknown_groups(&topic, &table) {
                    let hint = "groups are counted by their brackets from 1; write ${1} before letters, digits or _";
                    entry.wrong("table", format!("`${group}` is no group of the pattern"), hint);
                }
                rules.push(Rewrite { topic, table });
            }
            Err(error) => entry.wrong(
                "topic",
                format!("is not a regular expression: {error}"),
                "see docs.rs/regex for its syntax",
            ),
        }
        entry.finish();
    }
    rules
}

/// References of a replacement that the pattern does not have: they would silently become nothing.
fn unknown_groups(pattern: &Regex, replacement: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let name = match rest.strip_prefix('{') {
            Some(braced) => braced.split('}').next().unwrap_or_default(),
            None => {
                let end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
                &rest[..end.unwrap_or(rest.len())]
            }
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|known| known == name),
        };
        if !known {
            unknown.push(name.to_owned());
        }
    }
    unknown
}

fn topic_rules(root: &Section<'_>) -> TopicRules {
    let builtin = TopicSettings {
        envelope: EnvelopeSetting::Debezium,
        key: KeySetting::Record,
        mode: Mode::Upsert,
        allow_expired_signals: false,
        varchar: BTreeMap::new(),
    };
    let section = root.section("topic_defaults");
    let defaults = topic_settings(&section, &builtin);
    section.finish();
    let mut entries: Vec<(TopicPattern, TopicSettings)> = Vec::new();
    for section in root.sections("topic") {
        let name: String = section.required("name", "name the topic, or write a pattern that begins with ^");
        let settings = topic_settings(&section, &defaults);
        match TopicPattern::parse(&name) {
            _ if name.is_empty() => {}
            Ok(pattern) if entries.iter().any(|(earlier, _)| *earlier == pattern) => {
                section.wrong(
                    "name",
                    format!("`{name}` has an earlier entry, which always wins"),
                    "join the two entries",
                );
            }
            Ok(pattern) => entries.push((pattern, settings)),
            Err(message) => section.wrong("name", message, "write a name, or a pattern that begins with ^"),
        }
        section.finish();
    }
    TopicRules { defaults, entries }
}

fn topic_settings(section: &Section<'_>, inherited: &TopicSettings) -> TopicSettings {
    let envelopes = [
        ("debezium", EnvelopeSetting::Debezium),
        ("plain", EnvelopeSetting::Plain),
    ];
    let envelope = choice_from(section, "envelope", &envelopes, inherited.envelope);
    let key = key(section, &inherited.key);
    let written = section.has("mode");
    let mode = choice_from(
        section,
        "mode",
        &[("upsert", Mode::Upsert), ("append", Mode::Append)],
        inherited.mode,
    );
    if key == KeySetting::None && mode == Mode::Upsert && written {
        section.wrong(
            "mode",
            "`upsert` needs a key, and `key` is \"none\"",
            "write mode = \"append\", or say which fields are the key",
        );
    }
    let mode = if key == KeySetting::None { Mode::Append } else { mode };
    let allow_expired_signals = section.or("allow_expired_signals", inherited.allow_expired_signals);
    let mut varchar = inherited.varchar.clone();
    match section.raw("varchar") {
        None => {}
        Some(Value::Table(widths)) => {
            for (column, width) in widths {
                match u32::read(&width) {
                    Ok(width) if (1..=VARCHAR_MAX).contains(&width) => drop(varchar.insert(column, width)),
                    _ => {
                        let message = format!("`{width}` is not the width of column `{column}`");
                        section.wrong("varchar", message, format!("write 1 to {VARCHAR_MAX} bytes"));
                    }
                }
            }
        }
        Some(other) => {
            section.wrong(
                "varchar",
                format!("expected widths by column, found `{other}`"),
                "write varchar = { column = 1000 }",
            );
        }
    }
    TopicSettings {
        envelope,
        key,
        mode,
        allow_expired_signals,
        varchar,
    }
}

fn key(section: &Section<'_>, inherited: &KeySetting) -> KeySetting {
    let default = match inherited {
        KeySetting::Record => Value::String("record".to_owned()),
        KeySetting::None => Value::String("none".to_owned()),
        KeySetting::Fields(fields) => fields.write(),
    };
    let read = match section.raw_or("key", default) {
        Value::String(text) if text == "record" => Some(KeySetting::Record),
        Value::String(text) if text == "none" => Some(KeySetting::None),
        Value::Array(items) if !items.is_empty() => Vec::read(&Value::Array(items)).ok().map(KeySetting::Fields),
        _ => None,
    };
    read.unwrap_or_else(|| {
        section.wrong(
            "key",
            "is not a key",
            "write \"record\", \"none\" or a list of fields such as [\"id\"]",
        );
        KeySetting::Record
    })
}

fn selection(section: &Section<'_>, none: &[String]) -> TopicSelection {
    let patterns = |key: &'static str, written: Vec<String>| -> Vec<TopicPattern> {
        let parsed = written.iter().map(|text| TopicPattern::parse(text));
        let wrong = |message| section.wrong(key, message, "write names, or patterns that begin with ^");
        parsed.filter_map(|pattern| pattern.map_err(wrong).ok()).collect()
    };
    let include = patterns("topics", section.peek("topics").unwrap_or_default());
    let exclude: Vec<String> = section.or("exclude", none.to_vec());
    if section.has("topics") && include.is_empty() {
        section.wrong("topics", "names no topic", "list at least one");
    }
    TopicSelection {
        include,
        exclude: patterns("exclude", exclude),
    }
}

fn choice<T: Copy>(section: &Section<'_>, key: &'static str, choices: &[(&'static str, T)]) -> T {
    let (default, value) = choices[0];
    let text: String = section.or(key, default.to_owned());
    find(section, key, &text, choices).unwrap_or(value)
}

fn choice_from<T: Copy + PartialEq>(
    section: &Section<'_>,
    key: &'static str,
    choices: &[(&'static str, T)],
    default: T,
) -> T {
    let name = choices
        .iter()
        .find(|(_, value)| *value == default)
        .map_or("", |(name, _)| name);
    let text: String = section.or(key, name.to_owned());
    find(section, key, &text, choices).unwrap_or(default)
}

fn find<T: Copy>(section: &Section<'_>, key: &str, text: &str, choices: &[(&'static str, T)]) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        section.wrong(
            key,
            format!("`{text}` is not possible"),
            format!("write {}", names.join(" or ")),
        );
    }
    found
}

fn positive(section: &Section<'_>, key: &'static str, duration: Duration) -> Duration {
    if duration.is_zero() {
        section.wrong(key, "is no time at all", "write at least \"1ms\"");
    }
    duration
}

fn at_least_one<T: Default + PartialEq>(section: &Section<'_>, key: &'static str, number: T) -> T {
    if number == T::default() {
        section.wrong(key, "is 0", "write at least 1");
    }
    number
}
