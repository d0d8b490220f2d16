//! Reads the progress topic: which targets there are, and where they stand (protocol rules 21, 23).

use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::progress::{Registry, Statement};

use crate::port::{Result, SignalLog};

/// The only partition of the topic.
pub const PARTITION: Partition = Partition(0);

/// Messages read at once: some 3 MB.
const PAGE: u64 = 10_000;

/// Folds the whole topic as it is now.
///
/// # Errors
/// Of class retry while the brokers do not answer; of class halt at a message that this build does not know, since it may be a
/// registration.
pub async fn read(log: &dyn SignalLog, topic: &str) -> Result<Registry> {
    let mut registry = Registry::default();
    let mut from = Offset(0);
    loop {
        let slice = log.read_from(topic, PARTITION, from, PAGE).await?;
        for record in &slice.records {
            let statement = Statement::decode(&record.value).map_err(|error| {
                Failure::halt(format!("a message of the progress topic is not understood: {error}"))
                    .topic(topic)
                    .partition(PARTITION)
                    .offset(record.offset)
                    .hint("only redshift-spolt may write to the progress topic; an older build cannot read what a newer one wrote")
            })?;
            if let Some(statement) = statement {
                registry.take(statement);
            }
        }
        match slice.records.last() {
            Some(last) if slice.records.len() as u64 == PAGE => from = last.offset.next(),
            _ => return Ok(registry),
        }
    }
}
