//! What stands between a daemon and the parts: proxies that understand as much of each protocol as it takes to strike at one request.

mod gate;
mod kafka;
mod postgres;
mod proxy;
mod s3;

use anyhow::{Context, Result};
use spolt_tests::parts::Parts;
use spolt_tests::rig::Via;

pub use gate::{Act, Gate};
pub use proxy::Proxy;

/// A part that a daemon talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The brokers.
    Kafka,
    /// The object store.
    S3,
    /// The warehouse.
    Warehouse,
}

/// One daemon's own way to all parts.
pub struct Net {
    kafka: Proxy,
    s3: Proxy,
    warehouse: Proxy,
    via: Via,
}

impl Net {
    /// Proxies in front of these parts, without faults.
    ///
    /// # Errors
    /// When a part cannot be proxied: TLS, or an address that is not understood.
    pub async fn start(parts: &Parts) -> Result<Net> {
        let kafka = Proxy::kafka(&parts.kafka).await?;
        let s3 = parts
            .s3
            .strip_prefix("http://")
            .context("the object store speaks TLS, which the drills' proxy cannot look into")?
            .trim_end_matches('/');
        let s3 = Proxy::s3(s3).await?;
        let mut url: reqwest::Url = parts.redshift.parse().context("the warehouse's URL")?;
        let host = url.host_str().context("the warehouse's URL names no host")?.to_owned();
        let warehouse = Proxy::postgres(&format!("{host}:{}", url.port().unwrap_or(5439))).await?;
        url.set_host(Some("127.0.0.1"))?;
        if url.set_port(Some(warehouse.port())).is_err() {
            anyhow::bail!("the warehouse's URL takes no port");
        }
        let via = Via {
            kafka: format!("127.0.0.1:{}", kafka.port()),
            s3: format!("http://127.0.0.1:{}", s3.port()),
            redshift: url.to_string(),
        };
        Ok(Net {
            kafka,
            s3,
            warehouse,
            via,
        })
    }

    /// Addresses for the daemon's configuration.
    #[must_use]
    pub fn via(&self) -> &Via {
        &self.via
    }

    /// Where requests to a part can be struck.
    #[must_use]
    pub fn gate(&self, part: Part) -> &Gate {
        match part {
            Part::Kafka => self.kafka.gate(),
            Part::S3 => self.s3.gate(),
            Part::Warehouse => self.warehouse.gate(),
        }
    }

    /// Cuts every connection, and every new one, until [`Net::restore`].
    pub fn cut(&self) {
        self.all().for_each(Gate::cut);
    }

    /// Lets connections through again.
    pub fn restore(&self) {
        self.all().for_each(Gate::restore);
    }

    fn all(&self) -> impl Iterator<Item = &Gate> {
        [self.kafka.gate(), self.s3.gate(), self.warehouse.gate()].into_iter()
    }
}
