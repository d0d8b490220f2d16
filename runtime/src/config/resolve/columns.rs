//! What a topic's settings say of its columns: names, types, what is left out, what comes along, and how the table is made.

use std::collections::BTreeMap;

use common::json::Undeclared;
use common::row::{MessageField, TypeChanges};
use common::table::{ColumnType, RESERVED_PREFIX};
use toml::Value;

use super::super::reader::Section;
use super::super::topics::{DdlSetting, DistSetting, EnvelopeSetting, Metadata, TableSettings};
use super::choose::choice_from;

/// Names what is meant in a table of texts by name; what is no text is told as wrong.
fn texts(section: &Section<'_>, key: &'static str, hint: &str) -> Vec<(String, String)> {
    match section.raw(key) {
        None => Vec::new(),
        Some(Value::Table(written)) => {
            let texts = written.into_iter().filter_map(|(name, value)| match value {
                Value::String(text) => Some((name, text)),
                other => {
                    section.wrong(key, format!("`{other}` is no text, for `{name}`"), hint);
                    None
                }
            });
            texts.collect()
        }
        Some(other) => {
            section.wrong(key, format!("expected texts by name, found `{other}`"), hint);
            Vec::new()
        }
    }
}

/// Names of columns by field, beside those inherited.
pub(super) fn rename(section: &Section<'_>, inherited: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    const HINT: &str = "write rename = { field = \"column\" }; columns that begin with `_kafka_` are the connector's";
    let mut names = inherited.clone();
    for (field, column) in texts(section, "rename", HINT) {
        if column.is_empty() || column.to_lowercase().starts_with(RESERVED_PREFIX) {
            section.wrong("rename", format!("`{column}` cannot be the name of a column"), HINT);
        } else {
            names.insert(field, column);
        }
    }
    let mut columns: Vec<String> = names.values().map(|name| name.to_lowercase()).collect();
    columns.sort();
    if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
        section.wrong("rename", format!("column `{}` is given to two fields", twice[0]), HINT);
    }
    names
}

/// Types of columns by field, beside those inherited.
pub(super) fn types(section: &Section<'_>, inherited: &BTreeMap<String, ColumnType>) -> BTreeMap<String, ColumnType> {
    const HINT: &str = "write types = { field = \"DECIMAL(18,4)\" }; docs/types.md lists what can become what";
    let mut types = inherited.clone();
    for (field, ty) in texts(section, "types", HINT) {
        match ty.parse() {
            Ok(ty) => drop(types.insert(field, ty)),
            Err(()) => section.wrong(
                "types",
                format!("`{ty}` is no type of Redshift, for field `{field}`"),
                HINT,
            ),
        }
    }
    types
}

/// What a change of type does. Where columns are learned nobody has promised any types, so there it is a matter of course unless the topic
/// says otherwise.
pub(super) fn type_changes(section: &Section<'_>, inherited: TypeChanges, undeclared: Undeclared) -> TypeChanges {
    if undeclared == Undeclared::Learn && !section.has("type_changes") {
        return TypeChanges::NewColumn;
    }
    let choices = [
        ("halt", TypeChanges::Halt),
        ("new_column", TypeChanges::NewColumn),
        ("rebuild", TypeChanges::Rebuild),
    ];
    choice_from(section, "type_changes", &choices, inherited)
}

fn metadata_named(name: &str) -> Option<Metadata> {
    match (name, name.split_once('.')) {
        ("timestamp", _) => Some(Metadata::Timestamp),
        ("operation", _) => Some(Metadata::Operation),
        ("headers", _) => Some(Metadata::Headers),
        (_, Some(("source", field))) if !field.is_empty() => Some(Metadata::Source(field.to_owned())),
        (_, Some(("message", word))) => {
            let found = MessageField::ALL.iter().find(|(name, _)| *name == word);
            found.map(|(_, field)| Metadata::Message(*field))
        }
        _ => None,
    }
}

/// What rows say of their records.
pub(super) fn metadata(section: &Section<'_>, envelope: EnvelopeSetting, inherited: &[Metadata]) -> Vec<Metadata> {
    const HINT: &str = "write \"timestamp\", \"operation\", \"headers\", \"source.lsn\" and other fields of a Debezium change's `source`, or \
                        \"message.uuid\", \"message.type\", \"message.timestamp\", \"message.meta\" of Yelp's pipeline";
    if !section.has("metadata") {
        return inherited.to_vec();
    }
    let written: Vec<String> = section.or("metadata", Vec::new());
    let mut metadata = Vec::new();
    for name in written {
        let Some(found) = metadata_named(&name) else {
            section.wrong("metadata", format!("`{name}` is nothing that a row can say"), HINT);
            continue;
        };
        if matches!(found, Metadata::Source(_)) && envelope != EnvelopeSetting::Debezium {
            let message = format!("`{name}`: only a Debezium envelope has a `source`");
            section.wrong("metadata", message, "leave it out, or write envelope = \"debezium\"");
        }
        if matches!(found, Metadata::Message(_)) && envelope != EnvelopeSetting::Yelp {
            let message = format!("`{name}`: only an envelope of Yelp's pipeline says that");
            section.wrong("metadata", message, "leave it out, or write envelope = \"yelp\"");
        }
        if !metadata.contains(&found) {
            metadata.push(found);
        }
    }
    metadata
}

/// Redshift's encodings (vendor page "Compression encodings"), and what leaves the choice to it.
const ENCODINGS: [&str; 13] = [
    "raw",
    "az64",
    "bytedict",
    "delta",
    "delta32k",
    "lzo",
    "mostly8",
    "mostly16",
    "mostly32",
    "runlength",
    "text255",
    "text32k",
    "zstd",
];

/// How the table is made and changed.
pub(super) fn table(section: &Section<'_>, inherited: &TableSettings, type_changes: TypeChanges) -> TableSettings {
    let choices = [
        ("apply", DdlSetting::Apply),
        ("preview", DdlSetting::Preview),
        ("off", DdlSetting::Off),
    ];
    let ddl = choice_from(section, "ddl", &choices, inherited.ddl);
    let sort_key: Vec<String> = section.or("sort_key", inherited.sort_key.clone());
    if sort_key.len() > SORT_COLUMNS_MAX {
        let hint = format!("write at most {SORT_COLUMNS_MAX} columns");
        section.wrong("sort_key", "has more columns than a sort key can", hint);
    }
    TableSettings {
        ddl,
        sort_key,
        dist: dist(section, inherited.dist.as_ref()),
        encode: encode(section, &inherited.encode),
        drop_columns: drop_columns(section, &inherited.drop_columns),
        rebuild: type_changes == TypeChanges::Rebuild,
    }
}

/// Columns that the table shall not have.
fn drop_columns(section: &Section<'_>, inherited: &[String]) -> Vec<String> {
    let columns: Vec<String> = section.or("drop_columns", inherited.to_vec());
    if let Some(own) = columns
        .iter()
        .find(|column| column.to_lowercase().starts_with(RESERVED_PREFIX))
    {
        let hint = "name columns of the source's fields; those that begin with `_kafka_` are the connector's";
        section.wrong("drop_columns", format!("`{own}` cannot be dropped"), hint);
    }
    columns
}

/// Columns of a compound sort key (vendor page "CREATE TABLE").
const SORT_COLUMNS_MAX: usize = 400;

/// `auto`, `even`, `all`, or `key(column)`; the empty text says nothing, so that an entry can take back what the defaults say.
fn dist(section: &Section<'_>, inherited: Option<&DistSetting>) -> Option<DistSetting> {
    const HINT: &str = "write \"auto\", \"even\", \"all\" or \"key(column)\"";
    if !section.has("dist") {
        return inherited.cloned();
    }
    let text: String = section.or("dist", String::new());
    let column = text.strip_prefix("key(").and_then(|rest| rest.strip_suffix(')'));
    match (text.as_str(), column) {
        ("", _) => None,
        ("auto", _) => Some(DistSetting::Auto),
        ("even", _) => Some(DistSetting::Even),
        ("all", _) => Some(DistSetting::All),
        (_, Some(column)) if !column.is_empty() => Some(DistSetting::Key(column.to_owned())),
        _ => {
            section.wrong("dist", format!("`{text}` is no way to spread rows"), HINT);
            None
        }
    }
}

fn encode(section: &Section<'_>, inherited: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let hint = format!("write encode = {{ column = \"zstd\" }}, of {}", ENCODINGS.join(", "));
    let mut encodings = inherited.clone();
    for (column, encoding) in texts(section, "encode", &hint) {
        if ENCODINGS.contains(&encoding.as_str()) {
            encodings.insert(column, encoding);
        } else {
            section.wrong(
                "encode",
                format!("`{encoding}` is no encoding, for column `{column}`"),
                hint.as_str(),
            );
        }
    }
    encodings
}
