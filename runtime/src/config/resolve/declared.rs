//! How the records of a topic are written, and the columns that are declared for those without a schema.

use common::json::{Declared, DeclaredType, Undeclared};
use common::row::SchemaIds;
use toml::Value;

use super::super::reader::Section;
use super::super::topics::{FormatSetting, KeySetting, TopicSettings};
use super::choose::choice_from;

const HINT: &str = "write columns = { id = \"bigint\", name = \"varchar\" }; docs/formats.md lists the types";

pub(super) fn format(section: &Section<'_>, inherited: &TopicSettings) -> (FormatSetting, Vec<Declared>, Undeclared) {
    let formats = [
        ("avro", FormatSetting::Avro),
        ("connect_json", FormatSetting::ConnectJson),
        ("json", FormatSetting::Json),
        ("json_schema", FormatSetting::JsonSchema),
        ("protobuf", FormatSetting::Protobuf),
    ];
    let format = choice_from(section, "format", &formats, inherited.format);
    let columns = match section.raw("columns") {
        None => inherited.columns.clone(),
        Some(Value::Table(columns)) => {
            let columns = columns.into_iter();
            columns.filter_map(|(field, ty)| column(section, field, &ty)).collect()
        }
        Some(other) => {
            section.wrong("columns", format!("expected types by field, found `{other}`"), HINT);
            Vec::new()
        }
    };
    let choices = [
        ("refuse", Undeclared::Refuse),
        ("ignore", Undeclared::Ignore),
        ("learn", Undeclared::Learn),
    ];
    let undeclared = choice_from(section, "undeclared", &choices, inherited.undeclared);
    (format, columns, undeclared)
}

/// Where the ids of schemas stand, in formats that have such.
pub(super) fn schema_ids(section: &Section<'_>, format: FormatSetting, inherited: &TopicSettings) -> SchemaIds {
    let choices = [("prefix", SchemaIds::Prefix), ("header", SchemaIds::Header)];
    let schema_ids = choice_from(section, "schema_ids", &choices, inherited.schema_ids);
    if section.has("schema_ids") && schema_ids == SchemaIds::Header && !format.is_registered() {
        let hint = "leave it out, or write the format of records whose schemas are in a registry";
        section.wrong("schema_ids", "says nothing of records without schema ids", hint);
    }
    schema_ids
}

fn column(section: &Section<'_>, field: String, ty: &Value) -> Option<Declared> {
    if field.starts_with("source.") {
        let hint = "leave the field undeclared; such names are of Debezium's `source` block";
        section.wrong("columns", format!("`{field}` cannot be a column"), hint);
        return None;
    }
    match ty.as_str().and_then(|text| text.parse::<DeclaredType>().ok()) {
        Some(ty) => Some(Declared { field, ty }),
        None => {
            section.wrong("columns", format!("`{ty}` is no type for field `{field}`"), HINT);
            None
        }
    }
}

/// What a topic in JSON without a schema has to say, and no other may.
pub(super) fn check(
    section: &Section<'_>,
    (format, columns, undeclared): (FormatSetting, &[Declared], Undeclared),
    key: &KeySetting,
    order_by: Option<&str>,
    flat_fields: &[String],
) {
    if format != FormatSetting::Json {
        for key in ["columns", "undeclared"] {
            let learns = undeclared == Undeclared::Learn;
            if key == "undeclared" && format == FormatSetting::JsonSchema && !learns {
                continue;
            }
            if section.has(key) && (key == "columns" || undeclared != Undeclared::Refuse) {
                let hint = "write format = \"json\", or leave it out: schemas say what the columns are";
                section.wrong(key, "is only for JSON without a schema", hint);
            }
        }
        return;
    }
    if columns.is_empty() && undeclared != Undeclared::Learn {
        // A mistake among the columns is told already.
        if !section.has("columns") {
            section.wrong(
                "columns",
                "is missing: JSON without a schema does not say what its columns are",
                "write columns = { id = \"bigint\", name = \"varchar\" } (docs/formats.md lists the types), or undeclared = \"learn\"",
            );
        }
        return;
    }
    // What is learned can have any name.
    let unknown = |name: &str| undeclared != Undeclared::Learn && columns.iter().all(|column| column.field != name);
    let must_be_declared = |setting: &str, name: &str| {
        if unknown(name) {
            section.wrong(
                setting,
                format!("`{name}` is not among `columns`"),
                "declare its type there",
            );
        }
    };
    match key {
        KeySetting::Record => {
            let hint = "write the fields that are the key, such as key = [\"id\"], or \"none\"";
            section.wrong(
                "key",
                "the keys of JSON without a schema do not say what columns they are",
                hint,
            );
        }
        KeySetting::None => {}
        KeySetting::Fields(fields) => fields.iter().for_each(|field| must_be_declared("key", field)),
    }
    flat_fields
        .iter()
        .for_each(|field| must_be_declared("flat_fields", field));
    let of_the_value = |field: &&str| !field.starts_with("source.") && !field.starts_with("_kafka_");
    if let Some(field) = order_by.filter(of_the_value) {
        must_be_declared("order_by", field);
    }
}
