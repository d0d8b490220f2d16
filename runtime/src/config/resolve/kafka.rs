//! `[kafka]`

use std::collections::BTreeMap;

use toml::Value;

use super::super::reader::Section;
use super::super::{KafkaConfig, PropertyValue};
use super::choose::secret;
use crate::secret::Secret;

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

pub(super) fn kafka(section: Section<'_>) -> KafkaConfig {
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
