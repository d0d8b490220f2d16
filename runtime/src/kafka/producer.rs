//! The one idempotent producer of the process (rule 9). Whether a record may be sent is the caller's affair.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::ids::{Offset, Partition};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode as Code;
use tracing::warn;

use super::context::KafkaContext;
use super::failure::failure;
use crate::port::Result;

type Client = FutureProducer<KafkaContext>;

/// Longest wait for room in librdkafka's queue; it holds 100,000 records, so waiting means that nothing is delivered.
const ROOM_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends records to explicit partitions. Clones share the client.
#[derive(Clone)]
pub struct KafkaProducer {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    context: KafkaContext,
    /// The client and how often it was recreated.
    client: Mutex<(Client, u64)>,
}

impl KafkaProducer {
    pub(super) fn new(config: ClientConfig, context: KafkaContext) -> Result<KafkaProducer> {
        let client = create(&config, &context)?;
        Ok(KafkaProducer {
            inner: Arc::new(Inner {
                config,
                context,
                client: Mutex::new((client, 0)),
            }),
        })
    }

    /// Sends one record and waits until all in-sync replicas have it.
    ///
    /// # Errors
    /// The outcome is then unknown (rule 10): the record may be in the log, or get there later.
    pub async fn produce(&self, topic: &str, partition: Partition, key: &[u8], value: &[u8]) -> Result<Offset> {
        let (client, generation) = self.client();
        let record = FutureRecord::to(topic).partition(partition.0).key(key).payload(value);
        let sent = client.send(record, ROOM_TIMEOUT).await;
        match sent {
            Ok(delivery) => {
                self.inner.context.served();
                Ok(Offset(delivery.offset))
            }
            Err((error, _)) => {
                let fatal = client.client().fatal_error();
                if fatal.is_some() || error == KafkaError::MessageProduction(Code::Fatal) {
                    let reason = fatal.map_or_else(|| error.to_string(), |(code, text)| format!("{code}: {text}"));
                    self.recreate(generation, &reason)?;
                }
                Err(self
                    .inner
                    .context
                    .judge("send", &error)
                    .topic(topic)
                    .partition(partition))
            }
        }
    }

    /// After a fatal error every further send of this client fails (Vector 14290), so the client is replaced, once per client.
    fn recreate(&self, generation: u64, reason: &str) -> Result<()> {
        let mut current = self.lock();
        if current.1 != generation {
            return Ok(());
        }
        warn!(reason, "the producer failed for good and is replaced");
        let client = create(&self.inner.config, &self.inner.context)?;
        let old = std::mem::replace(&mut *current, (client, generation + 1));
        drop(current);
        // Dropping waits for the client's threads.
        std::thread::spawn(move || drop(old));
        Ok(())
    }

    fn client(&self) -> (Client, u64) {
        let current = self.lock();
        (current.0.clone(), current.1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Client, u64)> {
        self.inner.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create(config: &ClientConfig, context: &KafkaContext) -> Result<Client> {
    config
        .create_with_context(context.clone())
        .map_err(|error| failure("create the producer", &error))
}
