//! Records to Kafka, as fast as one core makes them, and every delivery accounted for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::messages::{Outlet, Record};
use crate::client::kafka::Kafka;

/// What may wait in the client: at 350 bytes a record half a million are some 200 MB, a second of a fast producer.
const QUEUE_RECORDS: &str = "500000";
const QUEUE_KIB: &str = "262144";

/// The client's queue is full: it drains a hundred records in that time.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// Everything must be acknowledged this long after the last record was handed over.
const FLUSH: Duration = Duration::from_secs(120);

/// A record that Kafka has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The record's timestamp, milliseconds since 1970.
    pub time_ms: i64,
}

/// Counts deliveries, and keeps them where asked to.
struct Deliveries {
    acknowledged: AtomicU64,
    failed: Mutex<Option<String>>,
    kept: Option<Mutex<Vec<Delivered>>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                if let Some(kept) = &self.kept {
                    let time_ms = message.timestamp().to_millis().unwrap_or(0);
                    let delivered = Delivered {
                        partition: message.partition(),
                        offset: message.offset(),
                        time_ms,
                    };
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(delivered);
                }
            }
            Err((error, message)) => {
                let text = format!(
                    "cannot deliver to `{}` partition `{}`: {error}",
                    message.topic(),
                    message.partition()
                );
                self.failed
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(text);
            }
        }
    }
}

/// A producer that loses nothing silently: [`Producer::finish`] fails unless everything was acknowledged.
pub struct Producer {
    inner: ThreadedProducer<Deliveries>,
    context: Arc<Counters>,
}

/// What has been handed over so far; readable from another thread.
#[derive(Debug, Default)]
pub struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    /// Records handed over.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of keys and values handed over.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Producer {
    /// A producer for a backlog: large batches, lz4, acknowledged by all replicas, idempotent.
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn bulk(kafka: &Kafka) -> Result<Self> {
        Self::new(kafka, "20", None)
    }

    /// A producer for a steady stream: short batches, and every delivery kept for [`Producer::finish`].
    ///
    /// # Errors
    /// The client cannot be made.
    pub fn steady(kafka: &Kafka) -> Result<Self> {
        Self::new(kafka, "5", Some(Mutex::default()))
    }

    fn new(kafka: &Kafka, linger_ms: &str, kept: Option<Mutex<Vec<Delivered>>>) -> Result<Self> {
        let mut config = kafka.config();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.codec", "lz4");
        config
            .set("linger.ms", linger_ms)
            .set("batch.size", "1000000")
            .set("batch.num.messages", "20000");
        config
            .set("queue.buffering.max.messages", QUEUE_RECORDS)
            .set("queue.buffering.max.kbytes", QUEUE_KIB);
        let context = Deliveries {
            acknowledged: AtomicU64::new(0),
            failed: Mutex::default(),
            kept,
        };
        Ok(Self {
            inner: config.create_with_context(context)?,
            context: Arc::default(),
        })
    }

    /// What has been handed over so far.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.context)
    }

    /// Waits until everything is acknowledged; returns the deliveries where they were kept.
    ///
    /// # Errors
    /// Something was not acknowledged.
    pub fn finish(self) -> Result<Vec<Delivered>> {
        let began = Instant::now();
        let sent = self.context.records();
        let context = self.inner.context();
        while context.acknowledged.load(Ordering::Relaxed) < sent {
            self.check()?;
            if began.elapsed() > FLUSH {
                let got = context.acknowledged.load(Ordering::Relaxed);
                bail!(
                    "Kafka has acknowledged `{got}` of `{sent}` records within `{}` s",
                    FLUSH.as_secs()
                );
            }
            self.inner
                .flush(Duration::from_millis(100))
                .or_else(|error| match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::OperationTimedOut) => Ok(()),
                    _ => Err(anyhow!("cannot flush: {error}")),
                })?;
        }
        let kept = context.kept.as_ref();
        Ok(kept
            .map(|kept| std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default())
    }

    fn check(&self) -> Result<()> {
        match &*self
            .inner
            .context()
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
        {
            Some(failed) => Err(anyhow!("{failed}")),
            None => Ok(()),
        }
    }
}

impl Outlet for Producer {
    fn send(&mut self, record: Record<'_>) -> Result<()> {
        let mut base: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(record.topic).partition(record.partition);
        base.key = record.key;
        base.payload = record.value;
        base.timestamp = record.time_ms;
        base.headers = record.header.map(|(key, value)| {
            OwnedHeaders::new().insert(Header {
                key,
                value: Some(value),
            })
        });
        while let Err((error, back)) = self.inner.send(base) {
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => {
                    self.check()?;
                    std::thread::sleep(FULL_PAUSE);
                    base = back;
                }
                error => bail!(
                    "cannot send to `{}` partition `{}`: {error}",
                    record.topic,
                    record.partition
                ),
            }
        }
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        self.context.records.fetch_add(1, Ordering::Relaxed);
        self.context.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }
}
