//! All streams together: schemas registered, topics made, the backlog produced, then a steady phase.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use super::flights::envelope;
use super::flights::{self, Flights};
use super::messages::{Outlet, Record, Truth};
use super::planes::{self, Planes};
use super::producer::{Counters, Delivered, Producer};
use super::source::Source;
use super::weather::{self, Weather};
use super::{FLIGHTS, FLIGHTS_PARTITIONS, PLANES, SMALL_PARTITIONS, WEATHER};
use crate::client::kafka::Kafka;
use crate::client::registry::Registry;
use crate::progress::{Progress, Step, megabytes, thousands};

/// Records of the whole backlog, for showing how far it is before it is known.
const ABOUT: u64 = 1_055_000;

/// The steady phase sends what is due this often.
const TICK: Duration = Duration::from_millis(5);

/// How often progress is shown.
const SHOW: Duration = Duration::from_millis(200);

/// The streams, and the tables that they have led to so far.
pub struct Load {
    kafka: Kafka,
    flights: Flights,
    weather: Weather,
    planes: Planes,
    schemas: Schemas,
}

#[derive(Clone, Copy)]
struct Schemas {
    weather: u32,
    planes: planes::Schemas,
}

/// What a phase has sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Records, tombstones included.
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Until the last acknowledgement.
    pub took: Duration,
}

impl Load {
    /// Reads the files in `data` (at most `limit` flights) and registers the schemas.
    ///
    /// # Errors
    /// A file is missing, or the registry refuses.
    pub async fn prepare(kafka: Kafka, registry: &Registry, data: &Path, seed: u64, limit: usize) -> Result<Self> {
        let folder = data.to_owned();
        let source = tokio::task::spawn_blocking(move || Source::read(&folder, limit)).await??;
        let source = Arc::new(source);
        let key = |topic: &str| format!("{topic}-key");
        let value = |topic: &str| format!("{topic}-value");
        let of_flights = flights::Schemas {
            key: registry.register(&key(FLIGHTS), &envelope::key_schema()).await?,
            value: registry.register(&value(FLIGHTS), &envelope::value_schema()).await?,
        };
        let schemas = Schemas {
            weather: registry.register(&value(WEATHER), &weather::value_schema()).await?,
            planes: planes::Schemas {
                key: registry.register(&key(PLANES), &planes::key_schema()).await?,
                value: registry.register(&value(PLANES), &planes::value_schema()).await?,
            },
        };
        let flights = tokio::task::spawn_blocking({
            let source = Arc::clone(&source);
            move || Flights::new(source, of_flights, seed)
        })
        .await?;
        Ok(Self {
            kafka,
            flights,
            weather: Weather::new(Arc::clone(&source)),
            planes: Planes::new(source, seed),
            schemas,
        })
    }

    /// Creates the topics.
    ///
    /// # Errors
    /// One exists already, or the cluster refuses.
    pub async fn create_topics(&self) -> Result<()> {
        for (topic, partitions) in [
            (FLIGHTS, FLIGHTS_PARTITIONS),
            (WEATHER, SMALL_PARTITIONS),
            (PLANES, SMALL_PARTITIONS),
        ] {
            let settings = [("cleanup.policy", "delete"), ("retention.ms", "-1")];
            self.kafka
                .create_topic(topic, i32::try_from(partitions)?, &settings)
                .await?;
        }
        Ok(())
    }

    /// Produces the backlog of all three topics.
    ///
    /// # Errors
    /// Not every record was acknowledged.
    pub async fn backlog(mut self, progress: &Progress) -> Result<(Self, Sent)> {
        let began = Instant::now();
        let producer = Producer::bulk(&self.kafka)?;
        let counters = producer.counters();
        let step = progress.step("producing the backlog");
        let work = tokio::task::spawn_blocking(move || {
            let mut producer = producer;
            self.weather.drain(self.schemas.weather, &mut producer)?;
            self.planes.drain(self.schemas.planes, &mut producer)?;
            self.flights.drain(&mut producer)?;
            producer.finish()?;
            Ok::<_, anyhow::Error>(self)
        });
        let load = shown(work, &step, &counters, ABOUT).await?;
        let sent = Sent {
            records: counters.records(),
            bytes: counters.bytes(),
            took: began.elapsed(),
        };
        let rate = rate(sent.records, sent.took);
        step.done(format!(
            "{} events, {}, {}/s",
            thousands(sent.records),
            megabytes(sent.bytes),
            thousands(rate)
        ));
        Ok((load, sent))
    }

    /// Goes through the backlog without producing it, so that the steady phase finds the rows that an earlier run has produced.
    ///
    /// # Errors
    /// None is expected.
    pub async fn catch_up(mut self) -> Result<Self> {
        struct Nowhere;
        impl Outlet for Nowhere {
            fn send(&mut self, _: Record<'_>) -> Result<()> {
                Ok(())
            }
        }
        tokio::task::spawn_blocking(move || {
            self.weather.drain(self.schemas.weather, &mut Nowhere)?;
            self.planes.drain(self.schemas.planes, &mut Nowhere)?;
            self.flights.drain(&mut Nowhere)?;
            Ok(self)
        })
        .await?
    }

    /// Changes flights at `rate` records a second for `duration` (for ever if absent), with the time of now. Returns what was delivered; a
    /// phase without end keeps nothing.
    ///
    /// # Errors
    /// Not every record was acknowledged.
    pub async fn steady(
        mut self,
        rate: u32,
        duration: Option<Duration>,
        progress: &Progress,
    ) -> Result<(Self, Vec<Delivered>)> {
        let producer = if duration.is_some() {
            Producer::steady(&self.kafka)?
        } else {
            Producer::bulk(&self.kafka)?
        };
        let counters = producer.counters();
        let step = progress.step(format!("producing {} events a second", thousands(rate.into())));
        let work = tokio::task::spawn_blocking(move || {
            let mut producer = producer;
            self.paced(rate, duration, &mut producer)?;
            let delivered = producer.finish()?;
            Ok::<_, anyhow::Error>((self, delivered))
        });
        let about = u64::from(rate) * duration.map_or(u64::from(u32::MAX), |duration| duration.as_secs());
        let done = shown(work, &step, &counters, about).await?;
        step.done(format!("{} events", thousands(counters.records())));
        Ok(done)
    }

    fn paced(&mut self, rate: u32, duration: Option<Duration>, out: &mut impl Outlet) -> Result<()> {
        let began = Instant::now();
        let mut sent = 0;
        while duration.is_none_or(|duration| began.elapsed() < duration) {
            let elapsed = duration.map_or(began.elapsed(), |duration| duration.min(began.elapsed()));
            let due = elapsed.as_micros() * u128::from(rate) / 1_000_000;
            while u128::from(sent) < due {
                sent += self.flights.steady(now_micros()?, out)?;
            }
            std::thread::sleep(TICK);
        }
        Ok(())
    }

    /// The tables that must come of it.
    #[must_use]
    pub fn truths(&self) -> [&(dyn Truth + Sync); 3] {
        [&self.flights, &self.weather, &self.planes]
    }

    /// The topics.
    #[must_use]
    pub fn topics() -> [&'static str; 3] {
        [FLIGHTS, WEATHER, PLANES]
    }
}

/// Records a second.
#[must_use]
pub fn rate(records: u64, took: Duration) -> u64 {
    let micros = took.as_micros().max(1);
    u64::try_from(u128::from(records) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

fn now_micros() -> Result<i64> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    Ok(i64::try_from(since.as_micros())?)
}

/// Waits for the work while showing what the producer has taken.
async fn shown<T>(work: tokio::task::JoinHandle<Result<T>>, step: &Step, counters: &Counters, about: u64) -> Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result.context("the producer was interrupted")?,
            () = tokio::time::sleep(SHOW) => {
                let records = counters.records();
                step.at(records, about, format!("{} events, {}", thousands(records), megabytes(counters.bytes())));
            }
        }
    }
}
