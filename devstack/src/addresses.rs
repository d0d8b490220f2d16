//! Where the parts answer: in the environment, in an env file that a shell can source, and in JSON.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Access key of the local S3, which accepts any.
pub const LOCAL_ACCESS_KEY: &str = "test";

/// Region of the local S3.
pub const LOCAL_REGION: &str = "us-east-1";

/// Addresses of the parts. Each is also an environment variable; one that is set already is used as is and its part is not started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// `SPOLT_KAFKA_BOOTSTRAP`: host:port.
    #[serde(rename = "SPOLT_KAFKA_BOOTSTRAP", default)]
    pub kafka: Option<String>,
    /// `SPOLT_SCHEMA_REGISTRY_URL`: a Confluent-compatible registry.
    #[serde(rename = "SPOLT_SCHEMA_REGISTRY_URL", default)]
    pub registry: Option<String>,
    /// `SPOLT_S3_ENDPOINT`: URL of an S3-compatible store.
    #[serde(rename = "SPOLT_S3_ENDPOINT", default)]
    pub s3: Option<String>,
    /// `SPOLT_POSTGRES_URL`: the PostgreSQL behind the stand-in.
    #[serde(rename = "SPOLT_POSTGRES_URL", default)]
    pub postgres: Option<String>,
    /// `SPOLT_REDSHIFT_URL`: redshift-local, or a real cluster.
    #[serde(rename = "SPOLT_REDSHIFT_URL", default)]
    pub redshift: Option<String>,
    /// `SPOLT_REDSHIFT_ADMIN_URL`: redshift-local's admin port, where faults are asked for.
    #[serde(rename = "SPOLT_REDSHIFT_ADMIN_URL", default)]
    pub redshift_admin: Option<String>,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` of the local S3; empty where the caller's own hold.
    #[serde(flatten)]
    pub aws: BTreeMap<String, String>,
}

impl Addresses {
    /// What the environment says.
    #[must_use]
    pub fn from_env() -> Self {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            kafka: get("SPOLT_KAFKA_BOOTSTRAP"),
            registry: get("SPOLT_SCHEMA_REGISTRY_URL"),
            s3: get("SPOLT_S3_ENDPOINT"),
            postgres: get("SPOLT_POSTGRES_URL"),
            redshift: get("SPOLT_REDSHIFT_URL"),
            redshift_admin: get("SPOLT_REDSHIFT_ADMIN_URL"),
            aws: aws_names()
                .filter_map(|name| Some((name.to_owned(), get(name)?)))
                .collect(),
        }
    }

    /// These addresses, and `other`'s where these have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            kafka: self.kafka.or(other.kafka),
            registry: self.registry.or(other.registry),
            s3: self.s3.or(other.s3),
            postgres: self.postgres.or(other.postgres),
            redshift: self.redshift.or(other.redshift),
            redshift_admin: self.redshift_admin.or(other.redshift_admin),
            aws: if self.aws.is_empty() { other.aws } else { self.aws },
        }
    }

    /// The credentials that the local S3 accepts.
    #[must_use]
    pub fn local_aws() -> BTreeMap<String, String> {
        aws_names()
            .zip([LOCAL_ACCESS_KEY, LOCAL_ACCESS_KEY, LOCAL_REGION])
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect()
    }

    /// Name and value of each variable that has one.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let fixed = [
            ("SPOLT_KAFKA_BOOTSTRAP", &self.kafka),
            ("SPOLT_SCHEMA_REGISTRY_URL", &self.registry),
            ("SPOLT_S3_ENDPOINT", &self.s3),
            ("SPOLT_POSTGRES_URL", &self.postgres),
            ("SPOLT_REDSHIFT_URL", &self.redshift),
            ("SPOLT_REDSHIFT_ADMIN_URL", &self.redshift_admin),
        ];
        let fixed = fixed
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        fixed.chain(self.aws.clone()).collect()
    }

    /// Lines for a shell to source.
    #[must_use]
    pub fn shell(&self) -> String {
        self.variables()
            .iter()
            .map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")))
            .collect()
    }

    /// Writes the addresses, as JSON if the name ends so, else as shell lines.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let json = file.extension().is_some_and(|extension| extension == "json");
        let text = if json {
            serde_json::to_string_pretty(self)?
        } else {
            self.shell()
        };
        let half = file.with_extension("part");
        std::fs::write(&half, text).with_context(|| format!("cannot write `{}`", half.display()))?;
        std::fs::rename(&half, file).with_context(|| format!("cannot rename to `{}`", file.display()))
    }

    /// Fails unless `value` (one of this value's fields) is there.
    ///
    /// # Errors
    /// It is not; the error says how to get it.
    pub fn need<'a>(value: &'a Option<String>, name: &str) -> Result<&'a str> {
        match value {
            Some(value) => Ok(value),
            None => {
                bail!("`{name}` is not set\nhint: run `./test`, or `devstack up --detach --env-file F` and source F")
            }
        }
    }
}

fn aws_names() -> impl Iterator<Item = &'static str> {
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_lines_and_json_say_the_same() {
        let addresses = Addresses {
            kafka: Some("127.0.0.1:1".into()),
            aws: Addresses::local_aws(),
            ..Addresses::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("a.json");
        addresses.write(&json).unwrap();
        let read: Addresses = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
        assert_eq!(read, addresses);
        assert!(
            addresses
                .shell()
                .contains("export SPOLT_KAFKA_BOOTSTRAP='127.0.0.1:1'\n")
        );
        assert!(addresses.shell().contains("export AWS_REGION='us-east-1'\n"));
    }
}
