//! Command line and environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Parser;

use crate::wire::backend::Address;

/// Redshift's dialect, COPY and wire behaviour over a real PostgreSQL, for tests and demonstrations.
#[derive(Debug, Clone, Parser)]
#[command(name = "redshift-local", version)]
pub struct Arguments {
    /// PostgreSQL behind it: `postgresql://user[:password]@host:port/database`; the user has to be a superuser.
    #[arg(long, env = "REDSHIFT_LOCAL_POSTGRES")]
    pub postgres: String,
    /// S3 endpoint, path style; left out: AWS itself.
    #[arg(long, env = "REDSHIFT_LOCAL_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// S3 region, unless the AWS configuration names one.
    #[arg(long, env = "REDSHIFT_LOCAL_S3_REGION", default_value = "us-east-1")]
    pub s3_region: String,
    /// Where clients connect; port 0 takes any free one.
    #[arg(long, env = "REDSHIFT_LOCAL_LISTEN", default_value = "127.0.0.1:5439")]
    pub listen: SocketAddr,
    /// Where faults are asked for and sessions listed, over HTTP.
    #[arg(long, env = "REDSHIFT_LOCAL_ADMIN", default_value = "127.0.0.1:5440")]
    pub admin: SocketAddr,
    /// Database name that clients have to give; left out: the one in `--postgres`.
    #[arg(long, env = "REDSHIFT_LOCAL_DATABASE")]
    pub database: Option<String>,
    /// User that clients have to give; left out: any.
    #[arg(long, env = "REDSHIFT_LOCAL_USER")]
    pub user: Option<String>,
    /// Password asked of clients, by md5; left out: none is asked.
    #[arg(long, env = "REDSHIFT_LOCAL_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Write the real addresses here as JSON when ready.
    #[arg(long, env = "REDSHIFT_LOCAL_ADDRESSES_FILE")]
    pub addresses_file: Option<PathBuf>,
}

/// What the program runs with: arguments, understood.
#[derive(Debug, Clone)]
pub struct Config {
    /// The PostgreSQL behind.
    pub postgres: Address,
    /// S3 endpoint; none for AWS itself.
    pub s3_endpoint: Option<String>,
    /// S3 region.
    pub s3_region: String,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
    /// The database's name as clients know it.
    pub database: String,
    /// The only user allowed, if any.
    pub user: Option<String>,
    /// The password asked, if any.
    pub password: Option<String>,
    /// Where to write the real addresses.
    pub addresses_file: Option<PathBuf>,
}

impl TryFrom<Arguments> for Config {
    type Error = anyhow::Error;

    fn try_from(arguments: Arguments) -> anyhow::Result<Self> {
        let postgres = parse_postgres(&arguments.postgres)?;
        Ok(Self {
            database: arguments.database.unwrap_or_else(|| postgres.database.clone()),
            postgres,
            s3_endpoint: arguments.s3_endpoint,
            s3_region: arguments.s3_region,
            listen: arguments.listen,
            admin: arguments.admin,
            user: arguments.user,
            password: arguments.password,
            addresses_file: arguments.addresses_file,
        })
    }
}

/// Reads a `postgresql://` address.
///
/// # Errors
/// What is missing in it.
pub fn parse_postgres(url: &str) -> anyhow::Result<Address> {
    let parsed: tokio_postgres::Config = url
        .parse()
        .context("read the address of postgresql; hint: postgresql://user@127.0.0.1:5432/database")?;
    let host = match parsed.get_hosts().first() {
        Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
        _ => bail!(
            "the address of postgresql names no host reached by TCP; hint: postgresql://user@127.0.0.1:5432/database"
        ),
    };
    let Some(user) = parsed.get_user() else {
        bail!("the address of postgresql names no user; hint: postgresql://user@127.0.0.1:5432/database")
    };
    Ok(Address {
        host,
        port: parsed.get_ports().first().copied().unwrap_or(5432),
        user: user.to_owned(),
        password: parsed
            .get_password()
            .map(|password| String::from_utf8_lossy(password).into_owned()),
        database: parsed.get_dbname().unwrap_or(user).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        let address = parse_postgres("postgresql://u:p%40@127.0.0.1:5555/db").unwrap();
        assert_eq!(
            (
                address.host.as_str(),
                address.port,
                address.user.as_str(),
                address.password.as_deref(),
                address.database.as_str()
            ),
            ("127.0.0.1", 5555, "u", Some("p@"), "db")
        );
        assert!(parse_postgres("postgresql:///db").is_err());
        assert!(parse_postgres("nonsense").is_err());
    }
}
