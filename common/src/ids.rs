//! Newtypes for the coordinates of a record, so that a partition is never taken for an offset.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A position in one partition of a topic, counted from 0. As a bound it says whether it is inclusive where it is used:
/// `start` is inclusive, `next` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    /// The offset after this one: the exclusive bound of a range that ends with this record.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition number of a topic, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often a topic of this name was recreated or truncated before the records in question (protocol rule 1). Starts at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Incarnation(pub u32);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The only scope within which offsets can be compared (protocol rule 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lineage {
    /// Id of the source Kafka cluster, as its brokers report it.
    pub cluster: String,
    /// Name of the upstream topic.
    pub topic: String,
    /// Which life of the topic this is.
    pub incarnation: Incarnation,
    /// Partition of the upstream topic; the signal topic uses the same number.
    pub partition: Partition,
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}[{}] i{} of {}",
            self.topic, self.partition, self.incarnation, self.cluster
        )
    }
}

/// Identity of a schema, whatever registry it came from; text, so that a claim can carry any of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaId(pub String);

impl SchemaId {
    /// The id of a schema in a Confluent-compatible registry.
    #[must_use]
    pub fn confluent(id: u32) -> SchemaId {
        SchemaId(format!("confluent:{id}"))
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
