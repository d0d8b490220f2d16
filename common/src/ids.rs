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

    /// The schema of a message that is not the first of its file, by the numbers of messages within messages: `confluent:7#1.0`.
    #[must_use]
    pub fn of_message(key: SchemaKey, path: &[u32]) -> SchemaId {
        let numbers: Vec<String> = path.iter().map(u32::to_string).collect();
        match numbers.as_slice() {
            [] => key.into(),
            numbers => SchemaId(format!("{key}#{}", numbers.join("."))),
        }
    }

    /// The place of that message; none for the first of its file.
    #[must_use]
    pub fn path(&self) -> Vec<u32> {
        let numbers = self.0.split_once('#').map_or("", |(_, path)| path);
        numbers.split('.').filter_map(|number| number.parse().ok()).collect()
    }

    /// What to ask a registry for; `None` for a schema that is of none: one that lies in the records, or is declared.
    #[must_use]
    pub fn key(&self) -> Option<SchemaKey> {
        let (kind, id) = self.0.split_once(':')?;
        let id = id.split_once('#').map_or(id, |(id, _)| id);
        match kind {
            "confluent" => id.parse().ok().map(SchemaKey::Confluent),
            "guid" => guid(id).map(SchemaKey::Guid),
            "schematizer" => id.parse().ok().map(SchemaKey::Schematizer),
            _ => None,
        }
    }
}

/// What names a schema in a registry. A [`SchemaId`] is its text, by which claims carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaKey {
    /// A number of a Confluent-compatible registry.
    Confluent(u32),
    /// What the content of a schema is called in every registry that holds it.
    Guid([u8; 16]),
    /// The number in an envelope of Yelp's Data Pipeline, given by its Schematizer or what stands in its place.
    Schematizer(u32),
}

impl SchemaKey {
    /// What stands for the schema in the paths of a registry.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            SchemaKey::Confluent(id) | SchemaKey::Schematizer(id) => id.to_string(),
            SchemaKey::Guid(bytes) => GuidText(bytes).to_string(),
        }
    }
}

impl From<SchemaKey> for SchemaId {
    fn from(key: SchemaKey) -> SchemaId {
        SchemaId(key.to_string())
    }
}

impl fmt::Display for SchemaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaKey::Confluent(_) => write!(f, "confluent:{}", self.id()),
            SchemaKey::Guid(_) => write!(f, "guid:{}", self.id()),
            SchemaKey::Schematizer(_) => write!(f, "schematizer:{}", self.id()),
        }
    }
}

/// A GUID as a registry writes it: lower case, in five groups.
struct GuidText<'a>(&'a [u8; 16]);

impl fmt::Display for GuidText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

fn guid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These texts lie in claims for ever.
    #[test]
    fn a_schema_key_is_its_text() {
        let guid = SchemaKey::Guid([0x8a, 0x7c, 0, 1, 0xff, 0x10, 0x42, 0x42, 0x80, 0, 0, 1, 2, 3, 4, 0xfe]);
        for (key, text) in [
            (SchemaKey::Confluent(7), "confluent:7"),
            (SchemaKey::Schematizer(7), "schematizer:7"),
            (guid, "guid:8a7c0001-ff10-4242-8000-0001020304fe"),
        ] {
            let id = SchemaId::from(key);
            assert_eq!((id.0.as_str(), id.key()), (text, Some(key)));
        }
        let nested = SchemaId::of_message(guid, &[1, 0]);
        assert_eq!(nested.0, "guid:8a7c0001-ff10-4242-8000-0001020304fe#1.0");
        assert_eq!((nested.key(), nested.path()), (Some(guid), vec![1, 0]));
        assert_eq!(SchemaId::confluent(7).path(), Vec::<u32>::new());
        for text in [
            "",
            "7",
            "confluent:-1",
            "guid:8a7c",
            "connect:00ff",
            "declared:value:00ff",
        ] {
            assert_eq!(SchemaId(text.into()).key(), None, "{text}");
        }
    }
}
