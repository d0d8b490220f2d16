//! A transaction that stays open as long as somebody wants it to.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::kafka::Kafka;

/// One call to the coordinator; generous, since a fresh broker loads its transaction log first.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An open transaction. While it is open, readers of committed records see nothing that comes after its first record.
pub struct Transaction {
    producer: BaseProducer,
}

impl Transaction {
    /// Begins one under a transactional id of its own; the broker aborts it by itself after `limit`.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn begin(kafka: &Kafka, id: &str, limit: Duration) -> Result<Self> {
        let producer: BaseProducer = kafka
            .config()
            .set("transactional.id", id)
            .set("transaction.timeout.ms", limit.as_millis().to_string())
            .create()
            .context("cannot make a transactional producer")?;
        tokio::task::spawn_blocking(move || {
            producer
                .init_transactions(TIMEOUT)
                .context("cannot begin transactions")?;
            producer.begin_transaction().context("cannot begin a transaction")?;
            Ok(Self { producer })
        })
        .await?
    }

    /// Sends a record and waits until it lies in the log, not committed.
    ///
    /// # Errors
    /// The broker refuses it.
    pub fn send(&self, topic: &str, partition: i32, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition).key(key);
        record.payload = value;
        self.producer
            .send(record)
            .map_err(|(error, _)| anyhow!("cannot send to `{topic}` in a transaction: {error}"))?;
        self.producer.flush(TIMEOUT).context("cannot flush a transaction")
    }

    /// Ends it: what was sent becomes visible, or never will be.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn end(self, commit: bool) -> Result<()> {
        tokio::task::spawn_blocking(move || {
            let ended = if commit {
                self.producer.commit_transaction(TIMEOUT)
            } else {
                self.producer.abort_transaction(TIMEOUT)
            };
            ended.context("cannot end a transaction")
        })
        .await?
    }
}
