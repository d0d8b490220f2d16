//! docs/schema-changes.md: what follows from which change of a schema, as both daemons' own code says. With `UPDATE_DOCS=1` this test writes it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use common::avro::WriterSchema;
use common::plan::Plan;
use common::row::{ColumnRules, Settings, TypeChanges, plan_for};
use common::table::ColumnType;
use redshift_spolt::load::evolve::{self, Evolution, Present, Wanted};
use redshift_spolt::load::mode::Mode;

/// What changes, in words, the value's other field before and after, and the key field's type before and after.
struct Change {
    what: &'static str,
    fields: [&'static str; 2],
    keys: [&'static str; 2],
}

fn changes() -> Vec<Change> {
    let value = |what, before, after| Change {
        what,
        fields: [before, after],
        keys: [r#""long""#; 2],
    };
    let key = |what, before, after| Change {
        what,
        fields: [r#"{"name":"v","type":"string"}"#; 2],
        keys: [before, after],
    };
    vec![
        value(
            "a field is added",
            "",
            r#"{"name":"v","type":["null","long"],"default":null}"#,
        ),
        value(
            "a field is added that is never null, with a default",
            "",
            r#"{"name":"v","type":"string","default":"new"}"#,
        ),
        value("a field is dropped", r#"{"name":"v","type":"string"}"#, ""),
        value(
            "a field is renamed",
            r#"{"name":"v","type":"string"}"#,
            r#"{"name":"w","type":"string","aliases":["v"]}"#,
        ),
        value(
            "a field may be null from now on",
            r#"{"name":"v","type":"long"}"#,
            r#"{"name":"v","type":["null","long"]}"#,
        ),
        value(
            "a field may not be null any more",
            r#"{"name":"v","type":["null","long"]}"#,
            r#"{"name":"v","type":"long"}"#,
        ),
        value(
            "a field gets another default",
            r#"{"name":"v","type":"long","default":1}"#,
            r#"{"name":"v","type":"long","default":2}"#,
        ),
        value(
            "`int` becomes `long`",
            r#"{"name":"v","type":"int"}"#,
            r#"{"name":"v","type":"long"}"#,
        ),
        value(
            "`long` becomes `int`",
            r#"{"name":"v","type":"long"}"#,
            r#"{"name":"v","type":"int"}"#,
        ),
        value(
            "`float` becomes `double`",
            r#"{"name":"v","type":"float"}"#,
            r#"{"name":"v","type":"double"}"#,
        ),
        value(
            "`int` becomes `double`",
            r#"{"name":"v","type":"int"}"#,
            r#"{"name":"v","type":"double"}"#,
        ),
        value(
            "`int` becomes `string`",
            r#"{"name":"v","type":"int"}"#,
            r#"{"name":"v","type":"string"}"#,
        ),
        value(
            "`string` becomes `int`",
            r#"{"name":"v","type":"string"}"#,
            r#"{"name":"v","type":"int"}"#,
        ),
        value(
            "a decimal gets more digits",
            r#"{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}}"#,
            r#"{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":14,"scale":4}}"#,
        ),
        value(
            "a decimal gets fewer digits",
            r#"{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":14,"scale":4}}"#,
            r#"{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}}"#,
        ),
        value(
            "a decimal gets more digits than DECIMAL has",
            r#"{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}}"#,
            r#"{"name":"v","type":{"type":"bytes","logicalType":"decimal","precision":40,"scale":4}}"#,
        ),
        value(
            "an enum gets a symbol",
            r#"{"name":"v","type":{"type":"enum","name":"E","symbols":["A"]}}"#,
            r#"{"name":"v","type":{"type":"enum","name":"E","symbols":["A","B"]}}"#,
        ),
        value(
            "an enum becomes `string`",
            r#"{"name":"v","type":{"type":"enum","name":"E","symbols":["A"]}}"#,
            r#"{"name":"v","type":"string"}"#,
        ),
        value(
            "`timestamp-millis` becomes `timestamp-micros`",
            r#"{"name":"v","type":{"type":"long","logicalType":"timestamp-millis"}}"#,
            r#"{"name":"v","type":{"type":"long","logicalType":"timestamp-micros"}}"#,
        ),
        value(
            "a timestamp gets a zone",
            r#"{"name":"v","type":{"type":"long","logicalType":"local-timestamp-micros"}}"#,
            r#"{"name":"v","type":{"type":"long","logicalType":"timestamp-micros"}}"#,
        ),
        value(
            "a date becomes a timestamp",
            r#"{"name":"v","type":{"type":"int","logicalType":"date"}}"#,
            r#"{"name":"v","type":{"type":"long","logicalType":"timestamp-micros"}}"#,
        ),
        value(
            "a nested record gets a field",
            r#"{"name":"v","type":{"type":"record","name":"I","fields":[{"name":"a","type":"long"}]}}"#,
            r#"{"name":"v","type":{"type":"record","name":"I","fields":[{"name":"a","type":"long"},{"name":"b","type":"string"}]}}"#,
        ),
        value(
            "an array becomes a map",
            r#"{"name":"v","type":{"type":"array","items":"long"}}"#,
            r#"{"name":"v","type":{"type":"map","values":"long"}}"#,
        ),
        key("the key's type becomes wider", r#""int""#, r#""long""#),
        key("the key's type changes", r#""long""#, r#""string""#),
        key(
            "a field joins the key",
            r#""long""#,
            r#""long"},{"name":"v","type":"string""#,
        ),
        key(
            "a field leaves the key",
            r#""long"},{"name":"v","type":"string""#,
            r#""long""#,
        ),
    ]
}

/// Schemas of key and value.
type Schemas = (Option<Arc<WriterSchema>>, Arc<WriterSchema>);

fn schema(key: &str, field: &str) -> Schemas {
    let parse = |text: &str| Arc::new(WriterSchema::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")));
    let key_text = format!(r#"{{"type":"record","name":"K","fields":[{{"name":"id","type":{key}}}]}}"#);
    let id = key.split("},").next().unwrap();
    let fields = if field.is_empty() {
        String::new()
    } else {
        format!(",{field}")
    };
    let text = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"id","type":{id}}}{fields}]}}"#);
    (Some(parse(&key_text)), parse(&text))
}

/// What the catalog says of a table that the loader has made.
fn catalog(wanted: &[Wanted]) -> Vec<Present> {
    let meta = Mode::Upsert.meta_columns();
    let meta = meta.iter().map(|(name, ty)| ((*name).to_owned(), *ty));
    let own = wanted.iter().map(|column| (column.name.clone(), column.ty));
    own.chain(meta)
        .map(|(name, ty)| {
            let text = ty.to_string().to_lowercase();
            let (width, precision, scale) = match ty {
                ColumnType::Varchar { limit } | ColumnType::Varbyte { limit } => (limit, None, None),
                ColumnType::Decimal { precision, scale } => (None, Some(precision.into()), Some(scale.into())),
                _ => (None, None, None),
            };
            let ty = match text.split('(').next().unwrap() {
                "decimal" => "numeric".to_owned(),
                other => other.to_owned(),
            };
            Present {
                name,
                ty,
                width,
                precision,
                scale,
                nullable: true,
            }
        })
        .collect()
}

fn wanted(plan: &Plan) -> Vec<Wanted> {
    evolve::wanted(plan, &BTreeMap::new(), &BTreeMap::new()).unwrap()
}

/// What an evolution does, in the loader's own statements.
fn statements(evolution: &Evolution) -> Vec<String> {
    let mut all = Vec::new();
    for column in &evolution.add {
        all.push(format!("ALTER TABLE t ADD COLUMN \"{}\" {}", column.name, column.ty));
        if let Some(default) = &column.default {
            all.push(format!("UPDATE t SET \"{}\" = '{default}'", column.name));
        }
    }
    for (column, width) in &evolution.widen {
        all.push(format!("ALTER TABLE t ALTER COLUMN \"{column}\" TYPE VARCHAR({width})"));
    }
    all.extend(
        evolution
            .convert
            .iter()
            .flat_map(|column| evolve::convert("t", column, "")),
    );
    all
}

/// What such a change does where `type_changes` allows it, if it is of that kind.
fn allowed(narrow: &Plan, before: &Schemas, after: &Schemas) -> String {
    let policies = [
        (TypeChanges::NewColumn, "new_column"),
        (TypeChanges::Rebuild, "rebuild"),
    ];
    let shown = policies.into_iter().filter_map(|(type_changes, name)| {
        let settings = Settings {
            column_rules: ColumnRules {
                type_changes,
                ..ColumnRules::default()
            },
            ..Settings::default()
        };
        let wide = plan_for(&[before.clone(), after.clone()], &settings).ok()?;
        let back = plan_for(&[before.clone(), after.clone(), before.clone()], &settings).unwrap();
        assert_eq!(back, wide, "old records fit the new plan");
        let rebuild = type_changes == TypeChanges::Rebuild;
        let union = evolve::union(Some(narrow), &[&wide], rebuild).unwrap();
        let present = catalog(&wanted(narrow));
        let evolution = evolve::compare(&present, &wanted(&union), Mode::Upsert, rebuild).unwrap();
        let shown: Vec<String> = statements(&evolution).iter().map(|sql| format!("`{sql}`")).collect();
        Some(format!("with `type_changes = \"{name}\"`: {}", shown.join("; ")))
    });
    shown.collect::<Vec<String>>().join("; ")
}

/// One line of the page: who does what.
fn follows(change: &Change) -> String {
    let (before, after) = (
        schema(change.keys[0], change.fields[0]),
        schema(change.keys[1], change.fields[1]),
    );
    let settings = Settings::default();
    let narrow = plan_for(std::slice::from_ref(&before), &settings).unwrap();
    let wide = match plan_for(&[before.clone(), after.clone()], &settings) {
        Ok(wide) => wide,
        Err(error) => {
            return format!(
                "halts the partition: {error} | {} | ",
                allowed(&narrow, &before, &after)
            );
        }
    };
    let present = catalog(&wanted(&narrow));
    let union = evolve::union(Some(&narrow), &[&wide], false).unwrap();
    let evolution = match evolve::compare(&present, &wanted(&union), Mode::Upsert, false) {
        Ok(evolution) => evolution,
        Err(failure) => return format!("halts the table: {} | | ", failure.to_string().lines().next().unwrap()),
    };
    let cut = if wide == narrow {
        "goes on in the same object"
    } else {
        "one cut, then goes on"
    };
    let statements = statements(&evolution);
    let shown: Vec<String> = statements.iter().map(|sql| format!("`{sql}`")).collect();
    let back = plan_for(&[before.clone(), after, before], &settings).unwrap();
    assert_eq!(back, wide, "{}: old records fit the new plan", change.what);
    let table = if shown.is_empty() {
        "stays".to_owned()
    } else {
        shown.join("; ")
    };
    format!("{cut} | {table} | {}", if wide == narrow { "" } else { "need no cut" })
}

fn page() -> String {
    let mut page = include_str!("support/schema_changes.head.md").to_owned();
    page.push_str("| change | s3-spolt | the table | old records between new ones |\n|---|---|---|---|\n");
    for change in changes() {
        let _ = writeln!(page, "| {} | {} |", change.what, follows(&change).trim_end());
    }
    page.push_str(include_str!("support/schema_changes.foot.md"));
    page
}

#[test]
fn the_page_of_schema_changes_is_what_the_code_does() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/schema-changes.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(page.lines()).find(|(kept, made)| kept != made);
    assert!(
        kept == page,
        "docs/schema-changes.md is not what the code does (UPDATE_DOCS=1 writes it): {differs:?}"
    );
}
