//! From the document to the settings. Every default is written here, once, in the call that reads its key.

use std::cell::RefCell;
use std::time::Duration;

use super::problem::Problem;
use super::reader::{Notes, Section};
use super::{Config, LogConfig, LogFormat, RegistryConfig, RegistryKind, S3Config, SignalsConfig};
use choose::{choice, positive, secret};
use kafka::kafka;
use redshift_spolt::redshift_spolt;
use s3_spolt::s3_spolt;
use topics::topic_rules;

mod choose;
mod columns;
mod declared;
mod kafka;
mod redshift_spolt;
mod s3_spolt;
mod topics;
mod yelp;

/// Reads the whole document; all its mistakes if there is one.
pub(super) fn config(text: &str) -> Result<Config, Vec<Problem>> {
    match read(text)? {
        (config, problems) if problems.is_empty() => Ok(config),
        (_, problems) => Err(problems),
    }
}

/// The settings as far as they can be read, with the mistakes.
pub(super) fn read(text: &str) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
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
    let config = Config {
        kafka,
        registry,
        s3,
        signals,
        log,
        s3_spolt,
        redshift_spolt,
        topics,
        seen,
    };
    Ok((config, problems))
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
    let kinds = [
        ("confluent", RegistryKind::Confluent),
        ("schematizer", RegistryKind::Schematizer),
    ];
    let kind = choice(&section, "kind", &kinds);
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
        kind,
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
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&level) {
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
