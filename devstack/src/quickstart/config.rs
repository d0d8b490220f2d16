//! The configuration of both daemons for the quickstart.

use anyhow::{Context, Result, bail};

use super::BUCKET;
use crate::process::free_ports;
use crate::stack::Stack;

/// Rules for the topics of the flights.
pub const FLIGHTS_RULES: &str = r#"[[topic]]
name = "nyc.weather"
envelope = "plain"
key = "none"
mode = "append"

[[topic]]
name = "nyc.planes"
envelope = "plain"
key = "record"
mode = "upsert"
"#;

/// What differs from the defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Kafka's host:port.
    pub kafka: String,
    /// The registry's URL.
    pub registry: String,
    /// The object store's URL.
    pub s3: String,
    /// Its region, if not from the environment.
    pub region: Option<String>,
    /// The warehouse's URL.
    pub redshift: String,
    /// The bucket.
    pub bucket: String,
    /// Name of the target.
    pub target: String,
    /// Where s3-spolt answers.
    pub s3_http: String,
    /// Where redshift-spolt answers.
    pub redshift_http: String,
    /// The topics.
    pub topics: Vec<String>,
    /// Rules for some of them, as the file has them.
    pub rules: String,
}

impl Settings {
    /// For these topics of a stack.
    ///
    /// # Errors
    /// The stack lacks a part, or there are no free ports.
    pub fn of(stack: &Stack, topics: &[&str], rules: &str) -> Result<Self> {
        let ports = free_ports(2)?;
        Ok(Self {
            kafka: stack.bootstrap()?.to_owned(),
            registry: stack.registry_url()?.to_owned(),
            s3: stack.s3_endpoint()?.to_owned(),
            region: stack.addresses().aws.get("AWS_REGION").cloned(),
            redshift: stack.redshift_url()?.to_owned(),
            bucket: BUCKET.to_owned(),
            target: "quickstart".to_owned(),
            s3_http: format!("127.0.0.1:{}", ports[0]),
            redshift_http: format!("127.0.0.1:{}", ports[1]),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            rules: rules.to_owned(),
        })
    }

    /// The file's text.
    ///
    /// # Errors
    /// The warehouse's URL is not one.
    pub fn toml(&self) -> Result<String> {
        let connection = connection(&self.redshift)?;
        let region = self
            .region
            .as_ref()
            .map_or_else(String::new, |region| format!("region = \"{region}\"\n"));
        let Self {
            kafka,
            registry,
            s3,
            bucket,
            target,
            s3_http,
            redshift_http,
            rules,
            ..
        } = self;
        let topics: Vec<String> = self.topics.iter().map(|topic| format!("\"{topic}\"")).collect();
        let topics = topics.join(", ");
        Ok(format!(
            r#"# Written by ./quickstart; every key is explained in spolt.example.toml.
[kafka]
bootstrap_servers = "{kafka}"
# One broker on this machine keeps one copy: assumption E1 does not hold, which is right for a quickstart and wrong elsewhere.
allow_unsafe_topics = true

[registry]
url = "{registry}"

[s3]
bucket = "{bucket}"
{region}endpoint = "{s3}"
path_style = true

[signals]
replication_factor = 1

[s3_spolt]
topics = [{topics}]
http = "{s3_http}"
# Freshness before size: an object every second.
cut_age = "1s"

[redshift_spolt]
target = "{target}"
http = "{redshift_http}"
load_age = "500ms"

[redshift_spolt.connection]
{connection}
[redshift_spolt.copy]
iam_role = "default"

{rules}
[topic_defaults]
envelope = "debezium"
"#
        ))
    }
}

fn connection(url: &str) -> Result<String> {
    let parsed: tokio_postgres::Config = url
        .parse()
        .with_context(|| format!("`{url}` is not a postgresql:// URL"))?;
    let Some(tokio_postgres::config::Host::Tcp(host)) = parsed.get_hosts().first() else {
        bail!("`{url}` names no host");
    };
    let port = parsed.get_ports().first().copied().unwrap_or(5439);
    let database = parsed.get_dbname().unwrap_or("dev");
    let user = parsed.get_user().with_context(|| format!("`{url}` names no user"))?;
    let local = host == "127.0.0.1" || host == "localhost";
    let sslmode = if local { "disable" } else { "verify-full" };
    let password = if parsed.get_password().is_some() {
        "password_env = \"REDSHIFT_PASSWORD\"\n"
    } else {
        ""
    };
    Ok(format!(
        "host = \"{host}\"\nport = {port}\ndatabase = \"{database}\"\nuser = \"{user}\"\n{password}sslmode = \"{sslmode}\"\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_toml_and_holds_no_password() {
        let settings = Settings {
            kafka: "127.0.0.1:9092".into(),
            registry: "http://127.0.0.1:8081".into(),
            s3: "http://127.0.0.1:4566".into(),
            region: Some("us-east-1".into()),
            redshift: "postgresql://spolt:secret@cluster.example:5439/dev".into(),
            bucket: "b".into(),
            target: "quickstart".into(),
            s3_http: "127.0.0.1:1".into(),
            redshift_http: "127.0.0.1:2".into(),
            topics: vec!["nyc.flights".into(), "nyc.weather".into()],
            rules: FLIGHTS_RULES.to_owned(),
        };
        let text = settings.toml().unwrap();
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(
            parsed["redshift_spolt"]["connection"]["sslmode"].as_str(),
            Some("verify-full")
        );
        assert_eq!(
            parsed["redshift_spolt"]["connection"]["password_env"].as_str(),
            Some("REDSHIFT_PASSWORD")
        );
        assert!(!text.contains("secret"));
        assert_eq!(parsed["topic"].as_array().map(Vec::len), Some(2));
    }
}
