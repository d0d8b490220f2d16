//! `s3-spolt lag`: what is claimed, against the ends of the topics.

use common::claim::Claim;
use common::failure::Failure;
use common::ids::Partition;
use runtime::config::{Config, S3SpoltConfig};
use runtime::kafka::Kafka;
use runtime::port::{SignalLog, Upstream};
use runtime::readiness::Readiness;

use crate::ingest::resume::{Found, ReadBack, find};

/// Signals read back at most: a claim of the partition is among them unless others write to the same signal partition.
const READ_BACK: u64 = 256;

/// Prints one line per partition.
pub async fn lag(config: &Config, own: &S3SpoltConfig) -> Result<(), Failure> {
    let kafka = Kafka::new(&config.kafka, &own.group_id, &Readiness::default())?;
    let cluster = kafka.cluster_id().await?;
    println!(
        "{:<48} {:>9} {:>16} {:>16} {:>12}  last claim",
        "topic", "partition", "claimed before", "end", "lag"
    );
    for topic in kafka
        .topics()
        .await?
        .iter()
        .filter(|topic| own.topics.contains(&topic.name))
    {
        for partition in (0..topic.partitions)
            .filter_map(|partition| i32::try_from(partition).ok())
            .map(Partition)
        {
            let end = kafka.upstream().facts(&topic.name, partition).await?.end;
            let claims = claims(&kafka, &config.signals.topic_for(&topic.name), partition)
                .await
                .unwrap_or_default();
            let last = claims.last().map(|claim| claim.kind.name()).unwrap_or_default();
            let read = ReadBack {
                from_beginning: true,
                claims,
            };
            let (claimed, lag) = match find(&read, &cluster, &topic.name, partition) {
                Found::Resume(resume) => (resume.pos.to_string(), (end.0 - resume.pos.0).to_string()),
                Found::ReadAll | Found::ReadMore | Found::Nothing => ("-".to_owned(), "-".to_owned()),
            };
            println!(
                "{:<48} {partition:>9} {claimed:>16} {end:>16} {lag:>12}  {last}",
                topic.name
            );
        }
    }
    Ok(())
}

async fn claims(kafka: &Kafka, signal_topic: &str, partition: Partition) -> Result<Vec<Claim>, Failure> {
    let slice = kafka.signal_log().read_tail(signal_topic, partition, READ_BACK).await?;
    let decode = |record: &runtime::port::SignalRecord| {
        Claim::decode(&record.value).map_err(|error| Failure::halt(error.to_string()).offset(record.offset))
    };
    slice.records.iter().map(decode).collect()
}
