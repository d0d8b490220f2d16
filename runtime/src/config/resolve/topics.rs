//! `[topic_defaults]`, `[[topic]]`, and which topics a daemon works on.

use std::collections::BTreeMap;

use common::json::Undeclared;
use common::row::{BadValue, SchemaIds, TypeChanges};
use toml::Value;

use super::super::reader::{Field, Section};
use super::super::topics::{
    EnvelopeSetting, FormatSetting, KeySetting, Mode, TableSettings, TombstoneSetting, TopicPattern, TopicRules,
    TopicSelection, TopicSettings,
};
use super::choose::choice_from;
use super::{columns, declared, yelp};

/// Longest text column of Redshift, in bytes.
const VARCHAR_MAX: u32 = 65_535;

/// Longest name of a column in Redshift, in bytes.
const ORDER_BY_BYTES_MAX: usize = 127;

const MODES: [(&str, Mode); 4] = [
    ("upsert", Mode::Upsert),
    ("soft_delete", Mode::SoftDelete),
    ("history", Mode::History),
    ("append", Mode::Append),
];

fn written(mode: Mode) -> &'static str {
    let found = MODES.iter().find(|(_, known)| *known == mode);
    found.map_or("upsert", |(name, _)| name)
}

pub(super) fn topic_rules(root: &Section<'_>) -> TopicRules {
    let builtin = TopicSettings {
        format: FormatSetting::Avro,
        schema_ids: SchemaIds::Prefix,
        columns: Vec::new(),
        undeclared: Undeclared::Refuse,
        envelope: EnvelopeSetting::Debezium,
        key: KeySetting::Record,
        tombstones: TombstoneSetting::Delete,
        flat_fields: Vec::new(),
        accept_nul_magic: false,
        encryption_keys: None,
        mode: Mode::Upsert,
        allow_expired_signals: false,
        order_by: None,
        bad_records_max: 100,
        bad_values: BTreeMap::new(),
        varchar: BTreeMap::new(),
        exclude_fields: Vec::new(),
        rename: BTreeMap::new(),
        types: BTreeMap::new(),
        type_changes: TypeChanges::Halt,
        metadata: Vec::new(),
        table: TableSettings::default(),
    };
    let section = root.section("topic_defaults");
    let defaults = topic_settings(&section, &builtin);
    section.finish();
    let mut entries: Vec<(TopicPattern, TopicSettings)> = Vec::new();
    for section in root.sections("topic") {
        let name: String = section.required("name", "name the topic, or write a pattern that begins with ^");
        let settings = topic_settings(&section, &defaults);
        match TopicPattern::parse(&name) {
            _ if name.is_empty() => {}
            Ok(pattern) if entries.iter().any(|(earlier, _)| *earlier == pattern) => {
                section.wrong(
                    "name",
                    format!("`{name}` has an earlier entry, which always wins"),
                    "join the two entries",
                );
            }
            Ok(pattern) => entries.push((pattern, settings)),
            Err(message) => section.wrong("name", message, "write a name, or a pattern that begins with ^"),
        }
        section.finish();
    }
    TopicRules { defaults, entries }
}

fn topic_settings(section: &Section<'_>, inherited: &TopicSettings) -> TopicSettings {
    let envelopes = [
        ("debezium", EnvelopeSetting::Debezium),
        ("debezium_flat", EnvelopeSetting::DebeziumFlat),
        ("plain", EnvelopeSetting::Plain),
        ("yelp", EnvelopeSetting::Yelp),
    ];
    let envelope = choice_from(section, "envelope", &envelopes, inherited.envelope);
    let key = key(section, &inherited.key);
    let (tombstones, flat_fields) = flattened(section, envelope, inherited);
    let (format, columns, undeclared) = declared::format(section, inherited);
    let schema_ids = declared::schema_ids(section, format, inherited);
    let (accept_nul_magic, encryption_keys) = yelp::yelp(section, envelope, inherited);
    yelp::check(section, envelope, format, schema_ids);
    let default = if key == KeySetting::None {
        Mode::Append
    } else {
        inherited.mode
    };
    let mode = choice_from(section, "mode", &MODES, default);
    if key == KeySetting::None && mode != Mode::Append {
        let hint = "write mode = \"append\", or say which fields are the key";
        let message = format!("`{}` needs a key, and `key` is \"none\"", written(mode));
        section.wrong("mode", message, hint);
    }
    let order_by = order_by(section, mode, inherited.order_by.as_deref());
    let of_source = order_by.as_ref().is_some_and(|field| field.starts_with("source."));
    if of_source && envelope != EnvelopeSetting::Debezium {
        let hint = "name a field of the value, or write envelope = \"debezium\"";
        section.wrong("order_by", "only a Debezium envelope has a `source`", hint);
    }
    let what = (format, columns.as_slice(), undeclared);
    let type_changes = columns::type_changes(section, inherited.type_changes, undeclared);
    declared::check(section, what, &key, order_by.as_deref(), &flat_fields);
    let allow_expired_signals = section.or("allow_expired_signals", inherited.allow_expired_signals);
    let bad_records_max = section.or("bad_records_max", inherited.bad_records_max);
    let mut varchar = inherited.varchar.clone();
    match section.raw("varchar") {
        None => {}
        Some(Value::Table(widths)) => {
            for (column, width) in widths {
                match u32::read(&width) {
                    Ok(width) if (1..=VARCHAR_MAX).contains(&width) => drop(varchar.insert(column, width)),
                    _ => {
                        let message = format!("`{width}` is not the width of column `{column}`");
                        section.wrong("varchar", message, format!("write 1 to {VARCHAR_MAX} bytes"));
                    }
                }
            }
        }
        Some(other) => {
            section.wrong(
                "varchar",
                format!("expected widths by column, found `{other}`"),
                "write varchar = { column = 1000 }",
            );
        }
    }
    TopicSettings {
        format,
        schema_ids,
        columns,
        undeclared,
        envelope,
        key,
        tombstones,
        flat_fields,
        accept_nul_magic,
        encryption_keys,
        mode,
        allow_expired_signals,
        order_by,
        bad_records_max,
        bad_values: bad_values(section, &inherited.bad_values),
        varchar,
        exclude_fields: section.or("exclude_fields", inherited.exclude_fields.clone()),
        rename: columns::rename(section, &inherited.rename),
        types: columns::types(section, &inherited.types),
        type_changes,
        metadata: columns::metadata(section, envelope, &inherited.metadata),
        table: columns::table(section, &inherited.table, type_changes),
    }
}

/// Rules by column, beside those inherited.
fn bad_values(section: &Section<'_>, inherited: &BTreeMap<String, BadValue>) -> BTreeMap<String, BadValue> {
    const HINT: &str = "write bad_values = { column = \"set_aside\" }, or \"null\", \"truncate\", \"halt\"; \"*\" names every other column";
    let mut rules = inherited.clone();
    match section.raw("bad_values") {
        None => {}
        Some(Value::Table(written)) => {
            for (column, rule) in written {
                let rule = match rule.as_str() {
                    Some("set_aside") => BadValue::SetAside,
                    Some("null") => BadValue::Null,
                    Some("truncate") => BadValue::Truncate,
                    Some("halt") => BadValue::Halt,
                    _ => {
                        section.wrong("bad_values", format!("`{rule}` is no rule for column `{column}`"), HINT);
                        continue;
                    }
                };
                rules.insert(column, rule);
            }
        }
        Some(other) => section.wrong("bad_values", format!("expected rules by column, found `{other}`"), HINT),
    }
    rules
}

/// What only records that are no Debezium envelopes can be told.
fn flattened(
    section: &Section<'_>,
    envelope: EnvelopeSetting,
    inherited: &TopicSettings,
) -> (TombstoneSetting, Vec<String>) {
    let choices = [("delete", TombstoneSetting::Delete), ("skip", TombstoneSetting::Skip)];
    let tombstones = choice_from(section, "tombstones", &choices, inherited.tombstones);
    let skips = matches!(envelope, EnvelopeSetting::Debezium | EnvelopeSetting::Yelp);
    if section.has("tombstones") && tombstones == TombstoneSetting::Skip && skips {
        let hint = "leave it out: the delete before a tombstone has said it all";
        section.wrong("tombstones", "says nothing of a `debezium` or `yelp` topic", hint);
    }
    let flat_fields: Vec<String> = section.or("flat_fields", inherited.flat_fields.clone());
    if section.has("flat_fields") && !flat_fields.is_empty() && envelope != EnvelopeSetting::DebeziumFlat {
        let hint = "write envelope = \"debezium_flat\", or leave it out";
        section.wrong("flat_fields", "names what only a flattened record has", hint);
    }
    if let Some(other) = flat_fields.iter().find(|field| !field.starts_with("__")) {
        let hint = "name fields that begin with `__`; all others are columns anyway";
        section.wrong("flat_fields", format!("`{other}` is none that flattening adds"), hint);
    }
    (tombstones, flat_fields)
}

/// The empty text is the order of offsets, so that an entry can take back what the defaults say. Only an upsert table has another: a
/// changelog needs none, and what is marked or ends would have to be found anew with every late change.
fn order_by(section: &Section<'_>, mode: Mode, inherited: Option<&str>) -> Option<String> {
    let is_written = section.has("order_by");
    let column: String = section.or("order_by", inherited.unwrap_or_default().to_owned());
    if column.len() > ORDER_BY_BYTES_MAX {
        let hint = format!("write at most {ORDER_BY_BYTES_MAX} bytes");
        section.wrong("order_by", "is longer than any name of a column", hint);
    }
    if mode != Mode::Upsert && is_written && !column.is_empty() {
        let hint = "leave it out, or write mode = \"upsert\"";
        let message = match mode {
            Mode::Append => "an `append` table keeps every change, so nothing is ordered".to_owned(),
            _ => format!("rows of a `{}` table are ordered by their offsets", written(mode)),
        };
        section.wrong("order_by", message, hint);
    }
    Some(column).filter(|column| !column.is_empty() && mode == Mode::Upsert)
}

fn key(section: &Section<'_>, inherited: &KeySetting) -> KeySetting {
    let default = match inherited {
        KeySetting::Record => Value::String("record".to_owned()),
        KeySetting::None => Value::String("none".to_owned()),
        KeySetting::Fields(fields) => fields.write(),
    };
    let read = match section.raw_or("key", default) {
        Value::String(text) if text == "record" => Some(KeySetting::Record),
        Value::String(text) if text == "none" => Some(KeySetting::None),
        Value::Array(items) if !items.is_empty() => Vec::read(&Value::Array(items)).ok().map(KeySetting::Fields),
        _ => None,
    };
    read.unwrap_or_else(|| {
        section.wrong(
            "key",
            "is not a key",
            "write \"record\", \"none\" or a list of fields such as [\"id\"]",
        );
        KeySetting::Record
    })
}

/// `topics` and `exclude` of a section; no topics when the key is absent.
pub(super) fn selection(section: &Section<'_>) -> TopicSelection {
    let patterns = |key: &'static str, written: Vec<String>| -> Vec<TopicPattern> {
        let parsed = written.iter().map(|text| TopicPattern::parse(text));
        let wrong = |message| section.wrong(key, message, "write names, or patterns that begin with ^");
        parsed.filter_map(|pattern| pattern.map_err(wrong).ok()).collect()
    };
    let written: Option<Vec<String>> = section.peek("topics");
    if written.as_ref().is_some_and(Vec::is_empty) {
        section.wrong("topics", "names no topic", "list at least one");
    }
    let include = patterns("topics", written.unwrap_or_default());
    let exclude: Vec<String> = section.or("exclude", Vec::new());
    TopicSelection {
        include,
        exclude: patterns("exclude", exclude),
    }
}
