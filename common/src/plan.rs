//! The plan of an object: its ordered columns, and the digest that names them (protocol rule 2).

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::table::ColumnType;

/// Columns that every row of every object starts with, in this order. The stage table has them all; a target keeps
/// [`ORIGIN_COLUMNS`] (protocol rule 17) and, in append mode, the operation and the time.
pub const META_COLUMNS: [MetaColumn; 7] = [
    MetaColumn {
        name: "_kafka_op",
        ty: ColumnType::Varchar { limit: Some(1) },
    },
    MetaColumn {
        name: "_kafka_incarnation",
        ty: ColumnType::Integer,
    },
    MetaColumn {
        name: "_kafka_partition",
        ty: ColumnType::Integer,
    },
    MetaColumn {
        name: "_kafka_offset",
        ty: ColumnType::BigInt,
    },
    MetaColumn {
        name: "_kafka_seq",
        ty: ColumnType::SmallInt,
    },
    MetaColumn {
        name: "_kafka_timestamp",
        ty: ColumnType::Timestamp,
    },
    MetaColumn {
        name: "_kafka_unchanged",
        ty: ColumnType::Varchar { limit: None },
    },
];

/// The columns that say who wrote a target row last; in every target from its first CREATE (protocol rule 17).
pub const ORIGIN_COLUMNS: [&str; 4] = ["_kafka_incarnation", "_kafka_partition", "_kafka_offset", "_kafka_seq"];

/// A column that the connector adds before the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaColumn {
    /// Its name, reserved: a source field of this name is refused.
    pub name: &'static str,
    /// Its type in the stage table.
    pub ty: ColumnType,
}

/// One data column of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name in Redshift: lower case, at most 127 bytes, unique in its plan.
    pub name: String,
    /// Type in Redshift.
    #[serde(rename = "type")]
    pub ty: ColumnType,
    /// Whether the source may leave it null. The target column is nullable all the same: Redshift cannot relax it later.
    pub nullable: bool,
    /// What a row has here whose writer schema does not know the column, as CSV field text without quotes; `None` is NULL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Position in the primary key, from 0; `None` if not part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<u16>,
    /// Name of the source field.
    pub source: String,
}

/// The ordered data columns of an object. Immutable once named by a claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Data columns in the order of the fields, after [`META_COLUMNS`].
    pub columns: Vec<Column>,
}

/// Name of a plan: the first 32 hex digits of the SHA-256 of its canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub String);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Plan {
    /// The plan document as it lies on S3 under `_plans/{id}.json`; its bytes are the canonical form that the id digests.
    ///
    /// # Panics
    /// Never: a plan holds only strings, numbers and booleans.
    #[must_use]
    pub fn document(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Document<'a> {
            v: u8,
            meta: Vec<&'static str>,
            columns: &'a [Column],
        }
        let document = Document {
            v: 1,
            meta: META_COLUMNS.iter().map(|column| column.name).collect(),
            columns: &self.columns,
        };
        serde_json::to_vec(&document).expect("invariant: plans hold only values that JSON has")
    }

    /// Reads a plan document.
    ///
    /// # Errors
    /// When the text is no plan document of version 1, or its meta columns are not [`META_COLUMNS`].
    pub fn parse(document: &[u8]) -> Result<Plan, ParseError> {
        #[derive(Deserialize)]
        struct Document {
            v: u8,
            meta: Vec<String>,
            columns: Vec<Column>,
        }
        let document: Document = serde_json::from_slice(document)?;
        if document.v != 1 {
            return Err(ParseError::Version(document.v));
        }
        if !document
            .meta
            .iter()
            .map(String::as_str)
            .eq(META_COLUMNS.iter().map(|column| column.name))
        {
            return Err(ParseError::Meta(document.meta));
        }
        Ok(Plan {
            columns: document.columns,
        })
    }

    /// The name of this plan.
    #[must_use]
    pub fn id(&self) -> PlanId {
        let digest = Sha256::digest(self.document());
        PlanId(hex(&digest[..16]))
    }

    /// The key columns in key order; empty for a table without a key.
    #[must_use]
    pub fn key_columns(&self) -> Vec<&Column> {
        let mut columns: Vec<&Column> = self.columns.iter().filter(|column| column.key.is_some()).collect();
        columns.sort_by_key(|column| column.key);
        columns
    }
}

/// Why a plan document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON of the right shape.
    #[error("plan document is malformed")]
    Json(#[from] serde_json::Error),
    /// Written by a newer build.
    #[error(
        "plan document has version `{0}`, this build reads version `1`\nhint: upgrade redshift-spolt first, then s3-spolt"
    )]
    Version(u8),
    /// The fixed columns differ.
    #[error("plan document has the meta columns `{0:?}`, which this build does not know")]
    Meta(Vec<String>),
}

/// Lower-case hex digits of some bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            columns: vec![
                Column {
                    name: "id".into(),
                    ty: ColumnType::BigInt,
                    nullable: false,
                    default: None,
                    key: Some(0),
                    source: "id".into(),
                },
                Column {
                    name: "price".into(),
                    ty: ColumnType::Decimal {
                        precision: 10,
                        scale: 2,
                    },
                    nullable: true,
                    default: Some("0.00".into()),
                    key: None,
                    source: "Price".into(),
                },
            ],
        }
    }

    #[test]
    fn the_document_reads_back_and_names_the_plan() {
        let plan = plan();
        assert_eq!(Plan::parse(&plan.document()).unwrap(), plan);
        assert_eq!(plan.id().0.len(), 32);
        let mut other = plan.clone();
        other.columns[1].nullable = false;
        assert_ne!(other.id(), plan.id());
    }

    /// Ids lie in claims on S3 for ever: if this changes, old plans can no longer be verified.
    #[test]
    fn the_id_never_changes() {
        let document = r#"{"v":1,"meta":["_kafka_op","_kafka_incarnation","_kafka_partition","_kafka_offset","_kafka_seq","_kafka_timestamp","_kafka_unchanged"],"columns":[{"name":"id","type":"bigint","nullable":false,"key":0,"source":"id"},{"name":"price","type":{"decimal":{"precision":10,"scale":2}},"nullable":true,"default":"0.00","source":"Price"}]}"#;
        assert_eq!(String::from_utf8(plan().document()).unwrap(), document);
        assert_eq!(plan().id().0, "bdcd0768e91af653feeda3914a2a65e4");
    }
}
