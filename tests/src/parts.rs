//! Addresses of the real parts, as `devstack up` gives them in the environment.

use std::collections::BTreeMap;

use devstack::addresses::Addresses;

/// Where the real parts answer.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Kafka, host:port.
    pub kafka: String,
    /// Schema registry, Confluent's API.
    pub registry: String,
    /// S3 endpoint.
    pub s3: String,
    /// The Redshift stand-in, as a `postgresql://` URL.
    pub redshift: String,
    /// Admin port of the stand-in.
    pub redshift_admin: String,
    /// The PostgreSQL behind it.
    pub postgres: String,
    /// Credentials and region of the object store, as the variables that hold them; empty where the caller's own environment has them.
    pub aws: BTreeMap<String, String>,
}

impl Parts {
    /// Reads the addresses.
    ///
    /// # Panics
    /// When one is missing, with what to do: a missing part is a failure, never a skipped test.
    #[must_use]
    pub fn from_env() -> Parts {
        Parts::of(&Addresses::from_env()).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The addresses of a stack.
    ///
    /// # Errors
    /// When one is missing, with what to do.
    pub fn of(addresses: &Addresses) -> anyhow::Result<Parts> {
        let need = |value: &Option<String>, name: &str| Addresses::need(value, name).map(str::to_owned);
        Ok(Parts {
            kafka: need(&addresses.kafka, "SPOLT_KAFKA_BOOTSTRAP")?,
            registry: need(&addresses.registry, "SPOLT_SCHEMA_REGISTRY_URL")?,
            s3: need(&addresses.s3, "SPOLT_S3_ENDPOINT")?,
            redshift: need(&addresses.redshift, "SPOLT_REDSHIFT_URL")?,
            redshift_admin: need(&addresses.redshift_admin, "SPOLT_REDSHIFT_ADMIN_URL")?,
            postgres: need(&addresses.postgres, "SPOLT_POSTGRES_URL")?,
            aws: addresses.aws.clone(),
        })
    }
}
