//! `s3-spolt peek`: records as the encoder sees them. The way to look at a record that halts its lineage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::avro::WriterSchema;
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::{META_COLUMNS, hex};
use common::row::{Outcome, Record, RowEncoder, Settings, Stats};
use runtime::config::{Config, S3SpoltConfig};
use runtime::kafka::Kafka;
use runtime::port::Registry;
use runtime::readiness::Readiness;
use runtime::registry::{self, writer_schema};

use crate::driver::encode;
use crate::driver::fetch::{Fetched, Fetcher};
use crate::driver::kafka_fetch::{Ends, KafkaFetcher};

/// How long to wait for the next record before the partition is taken to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a key or value that are shown.
const SHOWN: usize = 64;

/// A record that was fetched.
struct Kept {
    offset: Offset,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Option<Vec<u8>>,
}

impl Kept {
    fn record(&self) -> Record<'_> {
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        Record {
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key,
            value,
            headers: self.headers.as_deref(),
        }
    }
}

/// Prints `count` records from `offset` on.
pub async fn peek(
    config: &Config,
    own: &S3SpoltConfig,
    topic: &str,
    partition: Partition,
    offset: Offset,
    count: usize,
) -> Result<(), Failure> {
    let kafka = Kafka::new(&config.kafka, &own.group_id, &Readiness::default())?;
    let registry = registry::configured(config.registry.as_ref())?;
    let mut fetcher = KafkaFetcher::new(&kafka, 1 << 20, Ends::default(), config.topics.header_uses())?;
    fetcher.start(topic, partition, offset)?;
    let name = topic.to_owned();
    let kept = tokio::task::spawn_blocking(move || fetch(&mut fetcher, count))
        .await
        .map_err(|error| Failure::stop(format!("fetch from `{name}`: {error}")))??;
    let settings = Arc::new(config.topics.for_topic(topic).rows());
    let mut shower = Shower {
        registry,
        settings,
        partition,
        schemas: BTreeMap::new(),
    };
    for kept in &kept {
        shower.show(kept).await;
    }
    if kept.is_empty() {
        println!("no record at or after offset {offset} of {topic}[{partition}]");
    }
    Ok(())
}

fn fetch(fetcher: &mut KafkaFetcher, count: usize) -> Result<Vec<Kept>, Failure> {
    let mut kept = Vec::new();
    let mut lost = None;
    let mut last = Instant::now();
    while kept.len() < count && lost.is_none() && last.elapsed() < PATIENCE {
        fetcher.poll(Duration::from_millis(200), &mut |fetched| match fetched {
            Fetched::Record { record, heads, .. } => {
                last = Instant::now();
                let framed = |head: &[u8], bytes: Option<&[u8]>| bytes.map(|bytes| [head, bytes].concat());
                kept.push(Kept {
                    offset: record.offset,
                    timestamp_ms: record.timestamp_ms,
                    key: framed(heads.key, record.key),
                    value: framed(heads.value, record.value),
                    headers: record.headers.map(<[u8]>::to_vec),
                });
            }
            Fetched::Lost { failure, .. } => lost = Some(failure),
            Fetched::Trouble(failure) => tracing::warn!(%failure, "fetching"),
        });
    }
    lost.map_or(Ok(kept), Err)
}

struct Shower {
    registry: Arc<dyn Registry>,
    settings: Arc<Settings>,
    partition: Partition,
    schemas: BTreeMap<SchemaId, Arc<WriterSchema>>,
}

impl Shower {
    async fn show(&mut self, kept: &Kept) {
        let shown = |bytes: &Option<Vec<u8>>| match bytes {
            None => "null".to_owned(),
            Some(bytes) => {
                let more = if bytes.len() > SHOWN { "..." } else { "" };
                format!("{} bytes {}{more}", bytes.len(), hex(&bytes[..bytes.len().min(SHOWN)]))
            }
        };
        println!("offset {}  time {}", kept.offset, kept.timestamp_ms);
        println!("  key   {}", shown(&kept.key));
        println!("  value {}", shown(&kept.value));
        match self.encode(kept).await {
            Ok(lines) => lines.iter().for_each(|line| println!("  {line}")),
            Err(failure) => println!("  cannot become a row: {}", failure.to_string().replace('\n', "\n  ")),
        }
    }

    /// Encodes one record by itself, with a plan of its own.
    async fn encode(&mut self, kept: &Kept) -> Result<Vec<String>, Failure> {
        let mut encoder = RowEncoder::new(self.settings.clone(), Incarnation::default(), self.partition, None);
        for (id, schema) in &self.schemas {
            encoder.add_schema(id.clone(), schema.clone());
        }
        let (mut rows, mut stats) = (Vec::new(), Stats::default());
        loop {
            match encoder.encode(&kept.record(), &mut rows, &mut stats) {
                Err(error) => return Err(encode::refusal(&error)),
                Ok(Outcome::PlanGrows(plan)) => encoder.adopt(plan),
                Ok(Outcome::NeedSchema(id)) => {
                    let schema = writer_schema(&*self.registry, &id).await?;
                    self.schemas.insert(id.clone(), schema.clone());
                    encoder.add_schema(id, schema);
                }
                Ok(Outcome::Skipped) => return Ok(vec!["makes no row".to_owned()]),
                Ok(Outcome::Truncate) => return Ok(vec!["truncates the table".to_owned()]),
                Ok(Outcome::Rows(_)) => break,
            }
        }
        let columns = encoder.plan().map_or(&[][..], |plan| &plan.columns);
        let names = META_COLUMNS
            .iter()
            .map(|column| column.name)
            .chain(columns.iter().map(|column| column.name.as_str()));
        let text = String::from_utf8_lossy(&rows).into_owned();
        let header = format!("columns {}", names.collect::<Vec<_>>().join(","));
        Ok(std::iter::once(header)
            .chain(text.lines().map(|line| format!("row     {line}")))
            .collect())
    }
}
