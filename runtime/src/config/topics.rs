//! Which topics are meant, and what holds for each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use common::json::{Declared, Undeclared};
use common::row::{BadValue, MessageField, SchemaIds, TypeChanges};
use common::table::ColumnType;
use regex::Regex;

/// A topic by name, or many by a regular expression that begins with `^` and must match the whole name.
#[derive(Debug, Clone)]
pub struct TopicPattern {
    text: String,
    regex: Option<Regex>,
}

impl TopicPattern {
    /// Reads a name or a pattern.
    ///
    /// # Errors
    /// When it begins with `^` and is no regular expression, or is no possible topic name.
    pub fn parse(text: &str) -> Result<TopicPattern, String> {
        if !text.starts_with('^') {
            let legal = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
            // Kafka's own rule: org.apache.kafka.common.internals.Topic
            if text.is_empty() || text.len() > 249 || !text.chars().all(legal) || matches!(text, "." | "..") {
                return Err(format!(
                    "`{text}` is not a topic name: letters, digits, `.`, `_` and `-`, at most 249"
                ));
            }
            return Ok(TopicPattern {
                text: text.to_owned(),
                regex: None,
            });
        }
        let whole = whole_name(text);
        match Regex::new(&whole) {
            Ok(regex) => Ok(TopicPattern {
                text: text.to_owned(),
                regex: Some(regex),
            }),
            Err(error) => Err(format!("`{text}` is not a regular expression: {error}")),
        }
    }

    /// Whether the whole name matches.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        self.regex
            .as_ref()
            .map_or_else(|| self.text == topic, |regex| regex.is_match(topic))
    }

    /// The name, if this is one and not a pattern.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.regex.is_none().then_some(self.text.as_str())
    }
}

/// `^a|b` matches a name that begins with a; what is meant is that the name is one of both.
fn whole_name(pattern: &str) -> String {
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = match inner.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => rest,
        _ => inner,
    };
    format!("^(?:{inner})$")
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &TopicPattern) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicPattern {}

/// The topics that a daemon works on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicSelection {
    /// Names and patterns.
    pub include: Vec<TopicPattern>,
    /// What is left out of them.
    pub exclude: Vec<TopicPattern>,
}

impl TopicSelection {
    /// Whether a topic is meant.
    #[must_use]
    pub fn contains(&self, topic: &str) -> bool {
        self.include.iter().any(|pattern| pattern.matches(topic))
            && !self.exclude.iter().any(|pattern| pattern.matches(topic))
    }

    /// The names that are written out; they are expected to exist.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.include
            .iter()
            .filter_map(TopicPattern::name)
            .filter(|name| self.contains(name))
    }
}

/// As a list of what is meant, and what is left out.
impl fmt::Display for TopicSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |patterns: &[TopicPattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        f.write_str(&list(&self.include))?;
        if self.exclude.is_empty() {
            Ok(())
        } else {
            write!(f, " without {}", list(&self.exclude))
        }
    }
}

/// How keys and values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FormatSetting {
    /// Avro, its schemas in a registry.
    Avro,
    /// JSON, each key and value with its schema, as Kafka Connect's JsonConverter writes it with schemas.enable=true.
    ConnectJson,
    /// JSON without a schema.
    Json,
    /// JSON, its schemas in a registry.
    JsonSchema,
    /// Protobuf, its schemas in a registry.
    Protobuf,
}

impl TopicSettings {
    /// Whether schema ids stand in headers.
    #[must_use]
    pub fn has_heads(&self) -> bool {
        self.schema_ids == SchemaIds::Header && self.format.is_registered() && self.envelope != EnvelopeSetting::Yelp
    }
}

impl FormatSetting {
    /// Whether records name schemas of a registry.
    #[must_use]
    pub fn is_registered(self) -> bool {
        match self {
            FormatSetting::Avro | FormatSetting::JsonSchema | FormatSetting::Protobuf => true,
            FormatSetting::ConnectJson | FormatSetting::Json => false,
        }
    }
}

/// Shape of a record's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EnvelopeSetting {
    /// before / after / op, as Debezium writes it.
    Debezium,
    /// The row with `__deleted` and `__op` beside its fields, as Debezium's ExtractNewRecordState leaves it.
    DebeziumFlat,
    /// The value is the row.
    Plain,
    /// A message of Yelp's Data Pipeline around the row.
    Yelp,
}

/// What a record without a value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TombstoneSetting {
    /// It deletes the row of its key; after a Debezium envelope's delete it does nothing.
    Delete,
    /// Nothing.
    Skip,
}

/// Where a row's key comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeySetting {
    /// The fields of the record key.
    Record,
    /// Rows have no key.
    None,
    /// These fields of the value.
    Fields(Vec<String>),
}

/// What the target table keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The last row of each key.
    Upsert,
    /// The same, deleted rows included, which say so.
    SoftDelete,
    /// Every change of each key, with the time from and to which it held.
    History,
    /// Every change, with its operation.
    Append,
}

/// What holds for one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// How keys and values are written.
    pub format: FormatSetting,
    /// Where the ids of schemas stand.
    pub schema_ids: SchemaIds,
    /// The columns of JSON without a schema, in their order.
    pub columns: Vec<Declared>,
    /// What becomes of fields that are not among them.
    pub undeclared: Undeclared,
    /// Shape of the value.
    pub envelope: EnvelopeSetting,
    /// Where the key comes from.
    pub key: KeySetting,
    /// What a record without a value does.
    pub tombstones: TombstoneSetting,
    /// Fields added by ExtractNewRecordState that become columns.
    pub flat_fields: Vec<String>,
    /// Whether messages of Yelp's pipeline may begin with 0.
    pub accept_nul_magic: bool,
    /// Folder of the keys of encrypted messages.
    pub encryption_keys: Option<PathBuf>,
    /// What the table keeps; always [`Mode::Append`] for rows without a key.
    pub mode: Mode,
    /// A new table starts although the beginning of its signal log has expired.
    pub allow_expired_signals: bool,
    /// The field whose column orders the rows of a key; `None` for their offsets.
    pub order_by: Option<String>,
    /// Records of a partition that may be set aside within an hour; the next one halts it.
    pub bad_records_max: u32,
    /// What becomes of values that do not fit, by column; `*` for those that are not named.
    pub bad_values: BTreeMap<String, BadValue>,
    /// Widths of text columns in bytes, by column.
    pub varchar: BTreeMap<String, u32>,
    /// Fields of the value that are no columns.
    pub exclude_fields: Vec<String>,
    /// Names of columns, by field.
    pub rename: BTreeMap<String, String>,
    /// Types of columns, by field.
    pub types: BTreeMap<String, ColumnType>,
    /// What a change of type does that no wider type holds.
    pub type_changes: TypeChanges,
    /// What every row says of its record besides its place in Kafka.
    pub metadata: Vec<Metadata>,
    /// How the loader makes the table and follows its schema.
    pub table: TableSettings,
}

/// Something of a record that becomes a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Metadata {
    /// The record's timestamp.
    Timestamp,
    /// The operation.
    Operation,
    /// A field of a Debezium change's source block.
    Source(String),
    /// Its headers.
    Headers,
    /// What a message of Yelp's pipeline says beside its payload.
    Message(MessageField),
}

/// Whether the loader changes tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DdlSetting {
    /// It creates and changes them as the claims need.
    #[default]
    Apply,
    /// It says which statements it needs, and waits until somebody has run them.
    Preview,
    /// It does nothing of the kind: the table halts.
    Off,
}

/// How rows are spread over a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DistSetting {
    /// Redshift chooses.
    Auto,
    /// Round robin.
    Even,
    /// The whole table on every node.
    All,
    /// By the value of this column.
    Key(String),
}

/// How a table is made and changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableSettings {
    /// Whether it is.
    pub ddl: DdlSetting,
    /// Columns by which rows are sorted; nothing is said of it when empty.
    pub sort_key: Vec<String>,
    /// How rows are spread, if that is said.
    pub dist: Option<DistSetting>,
    /// Compression encodings, by column.
    pub encode: BTreeMap<String, String>,
    /// Columns that the table shall not have, whatever the source sends.
    pub drop_columns: Vec<String>,
    /// Whether a column is rebuilt with another type where its field changes to one that no wider type holds.
    pub rebuild: bool,
}

/// What is read of the headers of a topic's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeaderUse {
    /// Whether they hold schema ids, and if so, whether the place of a message follows those.
    pub schema_ids: Option<bool>,
    /// Whether all of them are a column.
    pub column: bool,
}

impl HeaderUse {
    /// Nothing: headers need not be looked at.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == HeaderUse::default()
    }
}

/// What is read of the headers of a topic's records, by its name.
pub type HeaderUses = Box<dyn Fn(&str) -> HeaderUse + Send>;

/// Settings of all topics: the first entry that matches holds, else the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRules {
    /// What holds without an entry.
    pub defaults: TopicSettings,
    /// Entries in the order of the file.
    pub entries: Vec<(TopicPattern, TopicSettings)>,
}

impl TopicRules {
    /// What holds for a topic.
    #[must_use]
    pub fn for_topic(&self, topic: &str) -> TopicSettings {
        let entry = self.entries.iter().find(|(pattern, _)| pattern.matches(topic));
        entry.map_or(&self.defaults, |(_, settings)| settings).clone()
    }

    /// What is read of the headers of topics, as the fetch client asks.
    #[must_use]
    pub fn header_uses(&self) -> HeaderUses {
        let rules = self.clone();
        Box::new(move |topic| {
            let settings = rules.for_topic(topic);
            let indexes = settings.format == FormatSetting::Protobuf;
            HeaderUse {
                schema_ids: settings.has_heads().then_some(indexes),
                column: settings.metadata.contains(&Metadata::Headers),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> TopicPattern {
        TopicPattern::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_matches_whole_names_only() {
        assert!(pattern("a.b").matches("a.b"));
        assert!(!pattern("a.b").matches("aXb"));
        assert!(pattern(r"^shop\..*").matches("shop.public.orders"));
        assert!(!pattern(r"^shop\.").matches("shop.public.orders"));
        assert!(!pattern("^a|b").matches("ab"));
        assert!(pattern("^a|b$").matches("b"));
    }

    #[test]
    fn what_cannot_be_a_topic_is_refused() {
        for wrong in ["", "a b", "..", "^(", "ä"] {
            assert!(TopicPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_excluded_is_not_meant() {
        let selection = TopicSelection {
            include: vec![pattern("^shop.*"), pattern("x")],
            exclude: vec![pattern("^.*audit")],
        };
        assert!(selection.contains("shop.orders") && selection.contains("x"));
        assert!(!selection.contains("shop.audit") && !selection.contains("y"));
        assert_eq!(selection.names().collect::<Vec<_>>(), ["x"]);
    }
}
