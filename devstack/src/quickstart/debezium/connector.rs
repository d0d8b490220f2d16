//! Settings of the connector.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio_postgres::config::Host;

use super::database::Database;
use super::tables::{SCHEMA, SERVER, Table};
use crate::client::mariadb::Address;

/// Name of the connector, of its replication slot and its publication.
pub const NAME: &str = "spolt";

/// Path of the registry's interface that daemons speak to; the converter speaks to another.
const CONFLUENT: &str = "/apis/ccompat/v7";

/// Settings of Debezium's source, and of the converter that writes Avro in Confluent's frame; `kafka` is its host:port and the registry's
/// URL.
///
/// # Errors
/// An address is not what it should be.
pub fn settings(database: Database, source: &str, kafka: (&str, &str), tables: &[Table]) -> Result<Value> {
    let (bootstrap, registry) = kafka;
    let registry = registry.strip_suffix(CONFLUENT).with_context(|| {
        format!("`{registry}` is no Apicurio registry\nhint: the converter speaks Apicurio's own interface; unset SPOLT_SCHEMA_REGISTRY_URL")
    })?;
    let mut settings = match database {
        Database::Postgres => postgres(source)?,
        Database::MariaDb => mariadb(source, bootstrap)?,
    };
    for (name, value) in [
        ("tasks.max", "1"),
        ("topic.prefix", SERVER),
        // Truncates are left out by default.
        ("skipped.operations", "none"),
        ("snapshot.mode", "initial"),
        ("schema.name.adjustment.mode", "avro"),
        ("field.name.adjustment.mode", "avro"),
        ("poll.interval.ms", "100"),
        ("topic.creation.default.replication.factor", "1"),
        ("topic.creation.default.partitions", "1"),
        ("topic.creation.default.retention.ms", "-1"),
    ] {
        settings[name] = value.into();
    }
    add_groups(&mut settings, tables);
    for part in ["key", "value"] {
        for (name, value) in [
            ("", "io.apicurio.registry.utils.converter.AvroConverter"),
            (".apicurio.registry.url", &format!("{registry}/apis/registry/v2")),
            (".apicurio.registry.auto-register", "true"),
            (".apicurio.registry.find-latest", "true"),
            (".apicurio.registry.as-confluent", "true"),
            (".apicurio.registry.headers.enabled", "false"),
            (".apicurio.registry.use-id", "contentId"),
            (
                ".apicurio.registry.id-handler",
                "io.apicurio.registry.serde.Legacy4ByteIdHandler",
            ),
        ] {
            settings[format!("{part}.converter{name}")] = value.into();
        }
    }
    Ok(settings)
}

fn postgres(source: &str) -> Result<Value> {
    let url: tokio_postgres::Config = source
        .parse()
        .with_context(|| format!("`{source}` is no postgresql:// URL"))?;
    let Some(Host::Tcp(host)) = url.get_hosts().first() else {
        anyhow::bail!("`{source}` names no host");
    };
    Ok(json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": host,
        "database.port": url.get_ports().first().copied().unwrap_or(5432).to_string(),
        "database.user": url.get_user().unwrap_or_default(),
        "database.dbname": url.get_dbname().unwrap_or_default(),
        "schema.include.list": SCHEMA,
        "plugin.name": "pgoutput",
        "slot.name": NAME,
        "publication.name": NAME,
        "publication.autocreate.mode": "filtered",
    }))
}

fn mariadb(source: &str, bootstrap: &str) -> Result<Value> {
    let address = Address::of(source)?;
    Ok(json!({
        "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
        "database.hostname": address.host,
        "database.port": address.port.to_string(),
        "database.user": address.user,
        "database.password": "",
        "database.server.id": "2",
        "database.ssl.mode": "disable",
        "database.include.list": SCHEMA,
        "include.schema.changes": "false",
        // By default a snapshot takes years for dates, and fails.
        "driver.yearIsDateType": "false",
        // By default numbers from 2^63 on would be below zero.
        "bigint.unsigned.handling.mode": "precise",
        "schema.history.internal.kafka.bootstrap.servers": bootstrap,
        "schema.history.internal.kafka.topic": format!("{SERVER}.history"),
    }))
}

/// Topics of several partitions.
fn add_groups(settings: &mut Value, tables: &[Table]) {
    let mut groups = Vec::new();
    for table in tables.iter().filter(|table| table.partitions > 1) {
        let prefix = format!("topic.creation.{}", table.name);
        settings[format!("{prefix}.include")] = table.topic().replace('.', "\\.").into();
        settings[format!("{prefix}.partitions")] = table.partitions.to_string().into();
        settings[format!("{prefix}.replication.factor")] = "1".into();
        groups.push(table.name);
    }
    settings["topic.creation.groups"] = groups.join(",").into();
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA: (&str, &str) = ("127.0.0.1:9092", "http://127.0.0.1:8081/apis/ccompat/v7");

    #[test]
    fn topics_get_their_partitions_and_the_converter_its_own_interface() {
        let source = "postgresql://spolt@127.0.0.1:15432/dev";
        let tables = Database::Postgres.tables();
        let settings = settings(Database::Postgres, source, KAFKA, &tables).unwrap();
        assert_eq!(settings["database.port"], "15432");
        assert_eq!(
            settings["topic.creation.composite_key.include"],
            "src\\.shop\\.composite_key"
        );
        assert_eq!(settings["topic.creation.groups"], "composite_key,large_full,evolving");
        assert_eq!(
            settings["key.converter.apicurio.registry.url"],
            "http://127.0.0.1:8081/apis/registry/v2"
        );
        let elsewhere = (KAFKA.0, "http://registry:8081");
        assert!(super::settings(Database::Postgres, source, elsewhere, &[]).is_err());
    }

    #[test]
    fn a_mariadb_has_the_history_of_its_schemas_in_kafka() {
        let settings = settings(Database::MariaDb, "mysql://root@127.0.0.1:13306", KAFKA, &[]).unwrap();
        assert_eq!(settings["database.port"], "13306");
        assert_eq!(settings["database.password"], "");
        assert_eq!(settings["schema.history.internal.kafka.bootstrap.servers"], KAFKA.0);
        assert_eq!(settings["topic.prefix"], "src");
    }
}
