//! The workload of a drill: two topics that change all the time, fed by one thread until the drill says that it is enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use spolt_tests::rig::Sender;
use spolt_tests::source::{Change, Column, Source, UNFRAMED};

use crate::stage::PARTITIONS;

/// Changes of a topic in one round: a few for each partition, so that a drill sees many small objects.
const CHANGES: usize = 24;

/// Pause between rounds.
const ROUND: Duration = Duration::from_millis(80);

/// Every so many rounds the changes come in a transaction, and every other of those is aborted: markers and ghosts occupy offsets.
const TRANSACTION_EVERY: u32 = 4;

/// Every so many rounds each topic gets a record that cannot be read, and is set aside.
const BAD_EVERY: u32 = 5;

/// The round from which rows have one more column, unless that is held back.
pub const EVOLVES_AT: u32 = 30;

const TIMEOUT: Duration = Duration::from_secs(20);

/// One topic that is fed.
pub struct Feed {
    /// Its name.
    pub topic: String,
    /// Where its changes come from.
    pub source: Source,
    /// Schema and columns from [`EVOLVES_AT`] on.
    pub later: (u32, Vec<Column>),
}

/// Running workload.
pub struct Flow {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU32>,
    schema_held: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Flow {
    /// Starts to feed the topics.
    #[must_use]
    pub fn start(bootstrap: &str, name: &str, feeds: Vec<Feed>) -> Flow {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let schema_held = Arc::new(AtomicBool::new(false));
        let course = Course {
            stop: Arc::clone(&stop),
            rounds: Arc::clone(&rounds),
            schema_held: Arc::clone(&schema_held),
        };
        let (bootstrap, name) = (bootstrap.to_owned(), name.to_owned());
        let thread = std::thread::spawn(move || feed(&bootstrap, &name, feeds, &course));
        Flow {
            stop,
            rounds,
            schema_held,
            thread: Some(thread),
        }
    }

    /// Rounds produced and acknowledged so far.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Holds the change of the schema back, or lets it come.
    pub fn hold_schema(&self, held: bool) {
        self.schema_held.store(held, Ordering::Relaxed);
    }

    /// Waits for so many more rounds.
    ///
    /// # Errors
    /// When the workload has stopped by itself.
    pub async fn go_on(&self, rounds: u32) -> Result<()> {
        let end = self.rounds() + rounds;
        self.reach(end).await
    }

    /// Waits for the round of this number.
    ///
    /// # Errors
    /// When the workload has stopped by itself.
    pub async fn reach(&self, round: u32) -> Result<()> {
        while self.rounds() < round {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                anyhow::bail!("the workload has ended by itself");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Stops the workload; everything produced is acknowledged.
    ///
    /// # Errors
    /// What the workload met.
    pub async fn finish(mut self) -> Result<u32> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
            joined.map_err(|_| anyhow::anyhow!("the workload panicked"))??;
        }
        Ok(self.rounds())
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What the feeding thread is told, and tells.
struct Course {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU32>,
    schema_held: Arc<AtomicBool>,
}

fn feed(bootstrap: &str, name: &str, mut feeds: Vec<Feed>, course: &Course) -> Result<()> {
    let plain = Sender::new(bootstrap);
    let transactional: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", format!("drill-{name}"))
        .create()
        .context("a transactional producer")?;
    transactional.init_transactions(TIMEOUT).context("begin transactions")?;
    let mut evolved = false;
    for round in 1.. {
        if course.stop.load(Ordering::Relaxed) {
            break;
        }
        let evolves = !evolved && round >= EVOLVES_AT && !course.schema_held.load(Ordering::Relaxed);
        evolved |= evolves;
        for feed in &mut feeds {
            if evolves {
                feed.source.evolve(feed.later.0, &feed.later.1);
            }
            let changes = feed.source.changes(CHANGES);
            if round % TRANSACTION_EVERY == 0 {
                let aborted = (round / TRANSACTION_EVERY) % 2 == 1;
                transaction(&transactional, &feed.topic, &changes, aborted)?;
            } else {
                let records = changes
                    .iter()
                    .map(|change| (change.partition, Some(&change.key[..]), change.value.as_deref()));
                plain.send(&feed.topic, records);
            }
        }
        if round % BAD_EVERY == 0 {
            let partition = i32::try_from(round / BAD_EVERY).unwrap_or(0) % PARTITIONS;
            for feed in &feeds {
                plain.send(&feed.topic, std::iter::once((partition, None, Some(UNFRAMED))));
            }
        }
        course.rounds.store(round, Ordering::Relaxed);
        std::thread::sleep(ROUND);
    }
    Ok(())
}

fn transaction(producer: &BaseProducer, topic: &str, changes: &[Change], aborted: bool) -> Result<()> {
    producer.begin_transaction().context("begin a transaction")?;
    for change in changes {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic)
            .partition(change.partition)
            .key(&change.key);
        record.payload = change.value.as_deref();
        if let Err((error, _)) = producer.send(record) {
            return Err(error).context("send in a transaction");
        }
    }
    if aborted {
        // What is aborted has to be in the log first, or it would leave no trace there.
        producer.flush(TIMEOUT).context("flush a transaction")?;
        producer.abort_transaction(TIMEOUT).context("abort a transaction")
    } else {
        producer.commit_transaction(TIMEOUT).context("commit a transaction")
    }
}
