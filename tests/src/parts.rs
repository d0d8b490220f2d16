//! Addresses of the real parts, as `devstack up` gives them in the environment.

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
}

impl Parts {
    /// Reads the addresses.
    ///
    /// # Panics
    /// When one is missing, with what to do: a missing part is a failure, never a skipped test.
    #[must_use]
    pub fn from_env() -> Parts {
        let get = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!(
                    "`{name}` is not set\nhint: run ./test, or `devstack up --env-file parts.env` and source that file"
                )
            })
        };
        Parts {
            kafka: get("SPOLT_KAFKA_BOOTSTRAP"),
            registry: get("SPOLT_SCHEMA_REGISTRY_URL"),
            s3: get("SPOLT_S3_ENDPOINT"),
            redshift: get("SPOLT_REDSHIFT_URL"),
            redshift_admin: get("SPOLT_REDSHIFT_ADMIN_URL"),
            postgres: get("SPOLT_POSTGRES_URL"),
        }
    }
}
