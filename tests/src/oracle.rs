//! What the tables must hold: every topic read again from the beginning by a plain consumer, decoded by apache-avro, applied in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::source::UNFRAMED;

/// A record as read back.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Its time, milliseconds since 1970.
    pub time_ms: i64,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes.
    pub value: Option<Vec<u8>>,
}

/// Reads a topic from its beginning to its present end, as committed readers see it: what transactions aborted is left out.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn replay(bootstrap: &str, topic: &str) -> Vec<Seen> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "oracle")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        // The last offset may be a transaction's marker, which nobody sees: the end of a partition is what the broker says it is.
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer can be made");
    let wait = Duration::from_secs(20);
    let metadata = consumer.fetch_metadata(Some(topic), wait).expect("metadata arrives");
    let mut left: BTreeSet<i32> = BTreeSet::new();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        left.insert(partition.id());
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)
            .expect("an offset can be set");
    }
    consumer.assign(&list).expect("partitions can be assigned");
    let mut seen = Vec::new();
    let mut deadline = Instant::now() + wait;
    while !left.is_empty() {
        match consumer.poll(wait).expect("the broker answers in time") {
            Err(KafkaError::PartitionEOF(partition)) => {
                left.remove(&partition);
            }
            // One broker of several that is away is not the end: another leads, or will soon.
            Err(KafkaError::MessageConsumption(Code::BrokerTransportFailure | Code::AllBrokersDown))
                if Instant::now() < deadline => {}
            message => {
                let message = message.expect("the message is whole");
                deadline = Instant::now() + wait;
                seen.push(Seen {
                    partition: message.partition(),
                    offset: message.offset(),
                    time_ms: message.timestamp().to_millis().expect("a record has a time"),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                });
            }
        }
    }
    seen.sort_by_key(|record| (record.partition, record.offset));
    seen
}

/// Whether there is a topic of this name.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn exists(bootstrap: &str, topic: &str) -> bool {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("a consumer can be made");
    let metadata = consumer
        .fetch_metadata(None, Duration::from_secs(20))
        .expect("metadata arrives");
    metadata.topics().iter().any(|known| known.name() == topic)
}

/// The exclusive end of a partition.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn end(bootstrap: &str, topic: &str, partition: i32) -> i64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("a consumer can be made");
    let watermarks = consumer.fetch_watermarks(topic, partition, Duration::from_secs(20));
    watermarks.expect("watermarks arrive").1
}

/// The offset that a group has committed for a partition, as lag tools see it.
///
/// # Panics
/// When the broker does not answer.
#[must_use]
pub fn committed(bootstrap: &str, group: &str, topic: &str, partition: i32) -> Option<i64> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .create()
        .expect("a consumer can be made");
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    let committed = consumer
        .committed_offsets(list, Duration::from_secs(20))
        .expect("the broker answers");
    committed
        .find_partition(topic, partition)
        .and_then(|element| element.offset().to_raw())
        .filter(|offset| *offset >= 0)
}

/// A row as the truth has it: column name to text, `None` for NULL.
pub type Cells = BTreeMap<String, Option<String>>;

/// A change of a Debezium topic.
#[derive(Debug, Clone)]
pub struct Change {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The record's time, milliseconds since 1970.
    pub time_ms: i64,
    /// Operation.
    pub op: String,
    /// Key; 0 for a truncate.
    pub id: i64,
    /// Place of the change at its source.
    pub lsn: i64,
    /// The row after the change; for a delete the key alone, for a truncate nothing.
    pub cells: Cells,
}

/// Decodes the changes of a Debezium topic; tombstones make none, and neither does [`UNFRAMED`].
///
/// # Panics
/// When a record is not what its schema says.
#[must_use]
pub fn changes(records: &[Seen], schemas: &BTreeMap<u32, Schema>) -> Vec<Change> {
    records.iter().filter_map(|record| change(record, schemas)).collect()
}

fn change(record: &Seen, schemas: &BTreeMap<u32, Schema>) -> Option<Change> {
    let bytes = record.value.as_deref().filter(|bytes| *bytes != UNFRAMED)?;
    let mut fields = fields(decode(bytes, schemas));
    let Some(Value::String(op)) = fields.remove("op") else {
        panic!("no operation in {record:?}")
    };
    let source = fields.remove("source").map(self::fields).unwrap_or_default();
    let lsn = match source.get("lsn") {
        Some(Value::Long(lsn)) => *lsn,
        _ => panic!("no place in {record:?}"),
    };
    let image = fields
        .remove(if op == "d" { "before" } else { "after" })
        .expect("an envelope has images");
    let row = if op == "t" {
        BTreeMap::new()
    } else {
        self::fields(image)
    };
    let id = match row.get("id") {
        Some(Value::Long(id)) => *id,
        None if op == "t" => 0,
        _ => panic!("no id in {record:?}"),
    };
    let cells = row.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    Some(Change {
        partition: record.partition,
        offset: record.offset,
        time_ms: record.time_ms,
        op,
        id,
        lsn,
        cells,
    })
}

fn decode(framed: &[u8], schemas: &BTreeMap<u32, Schema>) -> Value {
    let id = u32::from_be_bytes(framed[1..5].try_into().expect("a frame has an id"));
    from_avro_datum(&schemas[&id], &mut &framed[5..], None).expect("the datum fits its schema")
}

fn fields(value: Value) -> BTreeMap<String, Value> {
    match value {
        Value::Record(fields) => fields.into_iter().collect(),
        Value::Union(_, inner) => fields(*inner),
        other => panic!("no record but {other:?}"),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Union(_, inner) => text(inner),
        Value::Null => None,
        Value::Long(number) => Some(number.to_string()),
        Value::Double(number) => Some(number.to_string()),
        Value::String(string) => Some(string.clone()),
        other => panic!("no text for {other:?}"),
    }
}

/// The rows that survive: by key, the last change, unless it is a delete or a truncate came after it.
#[must_use]
pub fn survivors(changes: &[Change]) -> BTreeMap<i64, Change> {
    let mut rows = BTreeMap::new();
    for change in changes {
        match change.op.as_str() {
            "d" => drop(rows.remove(&change.id)),
            "t" => rows.clear(),
            _ => drop(rows.insert(change.id, change.clone())),
        }
    }
    rows
}

/// A row that nothing removes.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its last writer: the change that brought the values, deleted it, or truncated the table.
    pub writer: Change,
    /// Its last values; those of a key that was never anything but deleted are the key alone.
    pub cells: Cells,
    /// Whether the source has deleted it.
    pub deleted: bool,
}

/// By key, the last values, and whether they are deleted.
#[must_use]
pub fn kept(changes: &[Change]) -> BTreeMap<i64, Kept> {
    let mut rows: BTreeMap<i64, Kept> = BTreeMap::new();
    for change in changes {
        let writer = change.clone();
        match change.op.as_str() {
            "t" => {
                for row in rows.values_mut().filter(|row| !row.deleted) {
                    (row.deleted, row.writer) = (true, writer.clone());
                }
            }
            "d" => {
                let cells = change.cells.clone();
                let row = rows.entry(change.id).or_insert(Kept {
                    writer: writer.clone(),
                    cells,
                    deleted: true,
                });
                (row.deleted, row.writer) = (true, writer);
            }
            _ => {
                let cells = change.cells.clone();
                let row = Kept {
                    writer,
                    cells,
                    deleted: false,
                };
                rows.insert(change.id, row);
            }
        }
    }
    rows
}

/// Every change that brought values, with the one that ended it.
#[must_use]
pub fn lived(changes: &[Change]) -> Vec<(Change, Option<Change>)> {
    let mut lives: Vec<(Change, Option<Change>)> = Vec::new();
    let mut holds: BTreeMap<i64, usize> = BTreeMap::new();
    for change in changes {
        let ended: Vec<usize> = if change.op == "t" {
            std::mem::take(&mut holds).into_values().collect()
        } else {
            holds.remove(&change.id).into_iter().collect()
        };
        for index in ended {
            lives[index].1 = Some(change.clone());
        }
        if !matches!(change.op.as_str(), "d" | "t") {
            holds.insert(change.id, lives.len());
            lives.push((change.clone(), None));
        }
    }
    lives
}

/// Names of all columns that appear.
#[must_use]
pub fn columns(changes: &[Change]) -> BTreeSet<String> {
    changes.iter().flat_map(|change| change.cells.keys().cloned()).collect()
}
