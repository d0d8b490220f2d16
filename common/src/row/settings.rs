//! All that changes the bytes of a row.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::bad_value::{BadValue, EVERY_COLUMN};
use super::columns::ColumnRules;
use super::flat::PREFIX;
use crate::csv;
use crate::envelope::{self, DEBEZIUM_UNAVAILABLE_VALUE, DataKeys};
use crate::json::{Declared, Undeclared};
use crate::plan::hex;

/// Version of the rules by which records become rows (protocol E4): raised whenever the same record would get other bytes.
/// 2: the largest REAL has the digits of a double. 3: bits of which none is set are a zero byte; null in a union of several
/// types is NULL.
pub const DECODER_VERSION: u32 = 3;

/// Where the key columns of a table come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// The fields of the record key's Avro record; records without a key make a table without one.
    #[default]
    Record,
    /// These fields of the value.
    Columns(Vec<String>),
    /// The table has no key.
    None,
}

/// How keys and values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Avro in the frame of a Confluent-compatible serializer, its schemas in a registry.
    #[default]
    Avro,
    /// JSON as Kafka Connect's JsonConverter writes it with schemas.enable=true: every key and value with its schema.
    ConnectJson,
    /// JSON without a schema; the columns are declared.
    Json,
    /// JSON in the frame of a Confluent-compatible serializer, its schemas in a registry.
    JsonSchema,
    /// Protobuf in the frame of a Confluent-compatible serializer, its schemas in a registry.
    Protobuf,
}

impl Format {
    fn is_default(&self) -> bool {
        *self == Format::default()
    }
}

/// Where the id of a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum SchemaIds {
    /// Before the datum.
    #[default]
    Prefix,
    /// In a header of the record, or before the datum where there is no such header.
    Header,
}

impl SchemaIds {
    fn is_default(&self) -> bool {
        *self == SchemaIds::default()
    }
}

/// What a record without a value does, in envelopes other than Debezium's own, whose tombstones only follow a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Tombstones {
    /// It deletes the row of its key.
    #[default]
    Delete,
    /// It makes no row: another record has said the same.
    Skip,
}

impl Tombstones {
    fn is_default(&self) -> bool {
        *self == Tombstones::default()
    }
}

/// How the records of a topic become rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// How values are built.
    pub envelope: envelope::Kind,
    /// Where the key columns come from.
    pub key: KeySource,
    /// What stands for NULL; see [`csv::check_null_marker`].
    pub null_marker: String,
    /// The text that stands for a value which did not change; `None` takes every text as it is.
    pub unavailable_value: Option<String>,
    /// The field of a Debezium change's `source` that every row carries as a column, deletes too; `None` for none. Left out of the
    /// fingerprint where there is none, so that objects made before it was known keep theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// What a record without a value does. This and what follows is left out of the fingerprint where it says nothing new, like
    /// `position`.
    #[serde(default, skip_serializing_if = "Tombstones::is_default")]
    pub tombstones: Tombstones,
    /// The fields added by ExtractNewRecordState that become columns; the others do not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flat_fields: Vec<String>,
    /// What becomes of values that do not fit, by column; [`EVERY_COLUMN`] stands for those that are not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bad_values: BTreeMap<String, BadValue>,
    /// How keys and values are written.
    #[serde(default, skip_serializing_if = "Format::is_default")]
    pub format: Format,
    /// Where the ids of schemas stand.
    #[serde(default, skip_serializing_if = "SchemaIds::is_default")]
    pub schema_ids: SchemaIds,
    /// Whether a message of Yelp's pipeline may begin with 0, as well as with the character.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accept_nul_magic: bool,
    /// The keys of encrypted messages. No part of the fingerprint: with another key there are no other rows, but none.
    #[serde(skip)]
    pub data_keys: DataKeys,
    /// The columns of records without a schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Declared>,
    /// What becomes of fields that are not among them.
    #[serde(default, skip_serializing_if = "is_refused")]
    pub undeclared: Undeclared,
    /// What is said of single columns.
    #[serde(default, skip_serializing_if = "ColumnRules::is_default")]
    pub column_rules: ColumnRules,
}

pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_refused(undeclared: &Undeclared) -> bool {
    *undeclared == Undeclared::Refuse
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            envelope: envelope::Kind::Plain,
            key: KeySource::Record,
            null_marker: csv::DEFAULT_NULL_MARKER.to_owned(),
            unavailable_value: Some(DEBEZIUM_UNAVAILABLE_VALUE.to_owned()),
            position: None,
            tombstones: Tombstones::default(),
            flat_fields: Vec::new(),
            bad_values: BTreeMap::new(),
            format: Format::default(),
            schema_ids: SchemaIds::default(),
            accept_nul_magic: false,
            data_keys: DataKeys::default(),
            columns: Vec::new(),
            undeclared: Undeclared::default(),
            column_rules: ColumnRules::default(),
        }
    }
}

impl Settings {
    /// What becomes of values that a column cannot hold.
    pub(super) fn bad_value(&self, column: &str) -> BadValue {
        let rule = self
            .bad_values
            .get(column)
            .or_else(|| self.bad_values.get(EVERY_COLUMN));
        rule.copied().unwrap_or_default()
    }

    /// Whether a field of the value is no column: it is excluded, or flattening added it and nobody asked for it.
    pub(crate) fn leaves_out(&self, field: &str) -> bool {
        let is_key = || matches!(&self.key, KeySource::Columns(names) if names.iter().any(|name| name == field));
        if self.column_rules.exclude.iter().any(|excluded| excluded == field) {
            return !is_key();
        }
        self.envelope == envelope::Kind::DebeziumFlat
            && field.starts_with(PREFIX)
            && !self.flat_fields.iter().any(|kept| kept == field)
            && !is_key()
    }

    /// The first 16 hex digits of the SHA-256 of all settings: two objects with the same fingerprint and decoder version had their
    /// records turned into rows by the same rules.
    ///
    /// # Panics
    /// Never: settings are text.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let text = serde_json::to_vec(self).expect("invariant: settings hold only values that JSON has");
        hex(&Sha256::digest(text)[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::DeclaredType;

    #[test]
    fn every_setting_changes_the_fingerprint() {
        let base = Settings::default();
        let others = [
            Settings {
                envelope: envelope::Kind::Debezium,
                ..base.clone()
            },
            Settings {
                key: KeySource::None,
                ..base.clone()
            },
            Settings {
                key: KeySource::Columns(vec!["id".into()]),
                ..base.clone()
            },
            Settings {
                null_marker: "~null~".into(),
                ..base.clone()
            },
            Settings {
                unavailable_value: None,
                ..base.clone()
            },
            Settings {
                position: Some("lsn".into()),
                ..base.clone()
            },
            Settings {
                envelope: envelope::Kind::DebeziumFlat,
                ..base.clone()
            },
            Settings {
                tombstones: Tombstones::Skip,
                ..base.clone()
            },
            Settings {
                flat_fields: vec!["__lsn".into()],
                ..base.clone()
            },
            Settings {
                bad_values: BTreeMap::from([("*".into(), BadValue::Null)]),
                ..base.clone()
            },
            Settings {
                format: Format::ConnectJson,
                ..base.clone()
            },
            Settings {
                format: Format::Json,
                ..base.clone()
            },
            Settings {
                format: Format::JsonSchema,
                ..base.clone()
            },
            Settings {
                format: Format::Protobuf,
                ..base.clone()
            },
            Settings {
                columns: vec![Declared {
                    field: "id".into(),
                    ty: DeclaredType::BigInt,
                }],
                ..base.clone()
            },
            Settings {
                column_rules: ColumnRules {
                    exclude: vec!["note".into()],
                    ..ColumnRules::default()
                },
                ..base.clone()
            },
            Settings {
                undeclared: Undeclared::Ignore,
                ..base.clone()
            },
            Settings {
                schema_ids: SchemaIds::Header,
                ..base.clone()
            },
            Settings {
                envelope: envelope::Kind::Yelp,
                ..base.clone()
            },
            Settings {
                accept_nul_magic: true,
                ..base.clone()
            },
        ];
        let mut prints: Vec<String> = others.iter().map(Settings::fingerprint).collect();
        prints.push(base.fingerprint());
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), others.len() + 1);
        assert_eq!(base.fingerprint(), Settings::default().fingerprint());
    }

    /// Fingerprints lie in claims on S3 for ever: settings that came later must not change those of topics that do not use them.
    #[test]
    fn the_fingerprint_of_old_settings_never_changes() {
        let text = serde_json::to_string(&Settings::default()).unwrap();
        assert_eq!(
            text,
            r#"{"envelope":"plain","key":"record","null_marker":"~NULL~5p0Lt~","unavailable_value":"__debezium_unavailable_value"}"#
        );
    }
}
