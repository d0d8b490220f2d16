//! How the records of a topic become rows, as its settings say: the same for the daemon that writes them and for the one that tries again
//! what was set aside.

use common::envelope::{self, DataKeys};
use common::json::Undeclared;
use common::row::{ColumnRules, Format, KeySource, SchemaIds, Settings, Tombstones};

use super::data_keys;
use super::topics::{EnvelopeSetting, FormatSetting, KeySetting, Metadata, TombstoneSetting, TopicSettings};

impl TopicSettings {
    /// How the topic's records become rows. Where messages are encrypted, their keys are read anew.
    #[must_use]
    pub fn rows(&self) -> Settings {
        let is_yelp = self.envelope == EnvelopeSetting::Yelp;
        let is_json = self.format == FormatSetting::Json;
        Settings {
            envelope: match self.envelope {
                EnvelopeSetting::Debezium => envelope::Kind::Debezium,
                EnvelopeSetting::DebeziumFlat => envelope::Kind::DebeziumFlat,
                EnvelopeSetting::Plain => envelope::Kind::Plain,
                EnvelopeSetting::Yelp => envelope::Kind::Yelp,
            },
            tombstones: match self.tombstones {
                TombstoneSetting::Delete => Tombstones::Delete,
                TombstoneSetting::Skip => Tombstones::Skip,
            },
            flat_fields: self.flat_columns(),
            format: match self.format {
                FormatSetting::Avro => Format::Avro,
                FormatSetting::ConnectJson => Format::ConnectJson,
                FormatSetting::Json => Format::Json,
                FormatSetting::JsonSchema => Format::JsonSchema,
                FormatSetting::Protobuf => Format::Protobuf,
            },
            schema_ids: if self.has_heads() {
                SchemaIds::Header
            } else {
                SchemaIds::Prefix
            },
            accept_nul_magic: is_yelp && self.accept_nul_magic,
            data_keys: match &self.encryption_keys {
                Some(folder) if is_yelp => data_keys::read(folder),
                _ => DataKeys::default(),
            },
            // A topic of another format may have inherited what says nothing of it.
            columns: if is_json { self.columns.clone() } else { Vec::new() },
            undeclared: match (self.format, self.undeclared) {
                (FormatSetting::Json, undeclared) => undeclared,
                (FormatSetting::JsonSchema, Undeclared::Ignore) => Undeclared::Ignore,
                _ => Undeclared::default(),
            },
            key: match &self.key {
                KeySetting::Record => KeySource::Record,
                KeySetting::None => KeySource::None,
                KeySetting::Fields(fields) => KeySource::Columns(fields.clone()),
            },
            position: self
                .order_by
                .as_deref()
                .and_then(|field| field.strip_prefix("source."))
                .map(str::to_owned),
            bad_values: self.bad_values.clone(),
            column_rules: self.column_rules(),
            ..Settings::default()
        }
    }

    fn column_rules(&self) -> ColumnRules {
        let of_source = self.metadata.iter().filter_map(|metadata| match metadata {
            Metadata::Source(field) => Some(field.clone()),
            _ => None,
        });
        let of_message = self.metadata.iter().filter_map(|metadata| match metadata {
            Metadata::Message(field) => Some(*field),
            _ => None,
        });
        ColumnRules {
            exclude: self.exclude_fields.clone(),
            rename: self.rename.clone(),
            types: self.types.clone(),
            type_changes: self.type_changes,
            source_fields: of_source.collect(),
            headers: self.metadata.contains(&Metadata::Headers),
            message_fields: of_message.collect(),
        }
    }

    /// The added fields of flattened records that are columns: those that are asked for, and the one that orders rows.
    fn flat_columns(&self) -> Vec<String> {
        if self.envelope != EnvelopeSetting::DebeziumFlat {
            return Vec::new();
        }
        let ordering = self.order_by.iter().filter(|field| field.starts_with("__"));
        let mut fields = self.flat_fields.clone();
        fields.extend(ordering.cloned());
        fields.sort();
        fields.dedup();
        fields
    }
}
