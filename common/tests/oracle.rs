//! Random schemas and values: written by apache-avro, encoded by us, read back by the csv crate, and compared with a slow rendering of
//! apache-avro's value tree.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Decimal, Schema, to_avro_datum};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::avro::WriterSchema;
use common::csv::DEFAULT_NULL_MARKER;
use common::envelope;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::{Column, Plan};
use common::row::{KeySource, Outcome, Record, RowEncoder, Settings, Stats};
use common::table::ColumnType;
use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Value as Json, json};

/// Columns before the data.
const META: usize = 7;

/// A field's type, a value of it, and how a row shows it.
#[derive(Debug, Clone)]
struct Field {
    ty: Json,
    value: Value,
    text: Option<String>,
}

fn field(ty: Json, value: Value, text: String) -> Field {
    Field {
        ty,
        value,
        text: Some(text),
    }
}

fn jiff_date(day: i64) -> jiff::civil::Date {
    jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(day)
}

fn fraction(micros: i64) -> String {
    if micros == 0 {
        String::new()
    } else {
        format!(".{micros:06}")
    }
}

fn time(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    format!(
        "{:02}:{:02}:{:02}{}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        fraction(micros % 1_000_000)
    )
}

const DAY: i64 = 86_400_000_000;
const FIRST: i64 = -719_162 * DAY;
const LAST: i64 = 2_932_897 * DAY - 1;

fn timestamp(micros: i64) -> String {
    format!("{} {}", jiff_date(micros.div_euclid(DAY)), time(micros.rem_euclid(DAY)))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,70}", "[a-z\"]{0,12}", "\\PC{0,20}", "[\r\n\t,\"\\\\ü]{0,9}"]
}

fn numbers() -> Vec<BoxedStrategy<Field>> {
    let long = |ty: Json| {
        any::<i64>()
            .prop_map(move |v| field(ty.clone(), Value::Long(v), v.to_string()))
            .boxed()
    };
    let connect = json!({"type": "int", "connect.type": "int16"});
    vec![
        any::<bool>()
            .prop_map(|v| field(json!("boolean"), Value::Boolean(v), if v { "t" } else { "f" }.into()))
            .boxed(),
        any::<i32>()
            .prop_map(|v| field(json!("int"), Value::Int(v), v.to_string()))
            .boxed(),
        (-300..300)
            .prop_map(|v: i32| field(json!("int"), Value::Int(v), v.to_string()))
            .boxed(),
        any::<i16>()
            .prop_map(move |v| field(connect.clone(), Value::Int(v.into()), v.to_string()))
            .boxed(),
        long(json!("long")),
        (-3000_i64..3000)
            .prop_map(|v| field(json!("long"), Value::Long(v), v.to_string()))
            .boxed(),
        any::<f32>()
            .prop_filter("finite", |v| v.is_finite())
            .prop_map(|v| field(json!("float"), Value::Float(v), ryu::Buffer::new().format(v).into()))
            .boxed(),
        any::<f64>()
            .prop_filter("finite", |v| v.is_finite())
            .prop_map(|v| field(json!("double"), Value::Double(v), ryu::Buffer::new().format(v).into()))
            .boxed(),
        decimal(),
    ]
}

fn decimal() -> BoxedStrategy<Field> {
    let parts = (1_u32..=38, any::<i128>(), any::<bool>()).prop_flat_map(|(precision, number, fixed)| {
        (
            Just(precision),
            0..=precision.min(37),
            Just(number % 10_i128.pow(precision)),
            Just(fixed),
        )
    });
    parts
        .prop_map(|(precision, scale, number, fixed)| {
            let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale as usize + 1);
            let (whole, rest) = digits.split_at(digits.len() - scale as usize);
            let point = if scale == 0 { "" } else { "." };
            let sign = if number < 0 { "-" } else { "" };
            let base = if fixed {
                json!({"type": "fixed", "name": "NAME", "size": 16})
            } else {
                json!({"type": "bytes"})
            };
            let mut ty = base;
            ty["logicalType"] = json!("decimal");
            ty["precision"] = json!(precision);
            ty["scale"] = json!(scale);
            let value = Value::Decimal(Decimal::from(number.to_be_bytes()));
            field(ty, value, format!("{sign}{whole}{point}{rest}"))
        })
        .boxed()
}

fn times() -> Vec<BoxedStrategy<Field>> {
    let logical = |base: &str, ty: &str| json!({"type": base, "logicalType": ty});
    let (date, millis, micros) = (
        logical("int", "date"),
        logical("int", "time-millis"),
        logical("long", "time-micros"),
    );
    let stamp = |ty: &'static str, unit: i64, zone: &'static str, value: fn(i64) -> Value| {
        let ty = json!({"type": "long", "logicalType": ty});
        (FIRST..=LAST)
            .prop_map(move |at| {
                let shown = if unit > 0 { at.div_euclid(unit) * unit } else { at };
                let number = if unit > 0 {
                    at.div_euclid(unit)
                } else {
                    (at % (i64::MAX / 2000)) * -unit
                };
                let shown = if unit > 0 { shown } else { number.div_euclid(1000) };
                field(ty.clone(), value(number), format!("{}{zone}", timestamp(shown)))
            })
            .boxed()
    };
    vec![
        (-719_162..=2_932_896)
            .prop_map(move |v: i32| field(date.clone(), Value::Date(v), jiff_date(v.into()).to_string()))
            .boxed(),
        (0..=86_400_000)
            .prop_map(move |v: i32| field(millis.clone(), Value::TimeMillis(v), time(i64::from(v) * 1000)))
            .boxed(),
        (0..=DAY)
            .prop_map(move |v| field(micros.clone(), Value::TimeMicros(v), time(v)))
            .boxed(),
        stamp("timestamp-millis", 1000, "+00", Value::TimestampMillis),
        stamp("timestamp-micros", 1, "+00", Value::TimestampMicros),
        stamp("timestamp-nanos", -1000, "+00", Value::TimestampNanos),
        stamp("local-timestamp-millis", 1000, "", Value::LocalTimestampMillis),
        stamp("local-timestamp-micros", 1, "", Value::LocalTimestampMicros),
    ]
}

fn texts() -> Vec<BoxedStrategy<Field>> {
    let symbols = ["RED", "GREEN", "blue_1"];
    let colour = json!({"type": "enum", "name": "NAME", "symbols": symbols});
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    vec![
        text()
            .prop_map(|v| field(json!("string"), Value::String(v.clone()), v))
            .boxed(),
        (0..3_usize)
            .prop_map(move |v| {
                field(
                    colour.clone(),
                    Value::Enum(v as u32, symbols[v].into()),
                    symbols[v].into(),
                )
            })
            .boxed(),
        any::<Vec<u8>>()
            .prop_map(move |v| field(json!("bytes"), Value::Bytes(v.clone()), hex(&v)))
            .boxed(),
        any::<[u8; 5]>()
            .prop_map(move |v| {
                field(
                    json!({"type": "fixed", "name": "NAME", "size": 5}),
                    Value::Fixed(5, v.to_vec()),
                    hex(&v),
                )
            })
            .boxed(),
    ]
}

/// A tree of arrays, maps, records and unions, as JSON.
fn structured() -> BoxedStrategy<Field> {
    let leaf = prop_oneof![
        text().prop_map(|v| (json!("string"), Value::String(v))),
        any::<i64>().prop_map(|v| (json!("long"), Value::Long(v))),
        any::<bool>().prop_map(|v| (json!("boolean"), Value::Boolean(v))),
        any::<f64>().prop_map(|v| (json!("double"), Value::Double(v))),
        any::<Vec<u8>>().prop_map(|v| (json!("bytes"), Value::Bytes(v))),
    ];
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        let repeat = |(ty, value): (Json, Value), count: usize| (ty, vec![value; count]);
        prop_oneof![
            (inner.clone(), 0..3_usize).prop_map(move |(item, count)| {
                let (ty, items) = repeat(item, count);
                (json!({"type": "array", "items": ty}), Value::Array(items))
            }),
            (inner.clone(), text()).prop_map(|((ty, value), key)| {
                (json!({"type": "map", "values": ty}), Value::Map([(key, value)].into()))
            }),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|fields| {
                let (types, values): (Vec<Json>, Vec<Value>) = fields.into_iter().unzip();
                let name = |index: usize| format!("f{index}");
                let types: Vec<Json> = types
                    .into_iter()
                    .enumerate()
                    .map(|(index, ty)| json!({"name": name(index), "type": ty}))
                    .collect();
                let values = values
                    .into_iter()
                    .enumerate()
                    .map(|(index, value)| (name(index), value))
                    .collect();
                (
                    json!({"type": "record", "name": "NAME", "fields": types}),
                    Value::Record(values),
                )
            }),
            (inner, any::<bool>()).prop_map(|((ty, value), null)| {
                let value = if null {
                    Value::Union(0, Box::new(Value::Null))
                } else {
                    Value::Union(1, Box::new(value))
                };
                match ty {
                    Json::Array(_) => (ty, value_of_first(value)),
                    ty => (json!(["null", ty]), value),
                }
            }),
        ]
    });
    let whole = tree.prop_filter("structure", |(ty, _)| {
        matches!(ty["type"].as_str(), Some("array" | "map" | "record"))
    });
    whole
        .prop_map(|(ty, value)| {
            let text = to_json(&value);
            field(ty, value, text)
        })
        .boxed()
}

/// A union cannot hold a union: the inner one stays.
fn value_of_first(value: Value) -> Value {
    match value {
        Value::Union(1, inner) => *inner,
        _ => Value::Union(0, Box::new(Value::Null)),
    }
}

fn to_json(value: &Value) -> String {
    match value {
        Value::Union(_, inner) => to_json(inner),
        Value::Null => "null".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Double(value) if value.is_finite() => ryu::Buffer::new().format(*value).into(),
        Value::Double(_) => "null".into(),
        Value::String(text) => escaped(text),
        Value::Bytes(bytes) => format!("\"{}\"", BASE64.encode(bytes)),
        Value::Array(items) => format!("[{}]", items.iter().map(to_json).collect::<Vec<_>>().join(",")),
        Value::Map(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{}:{}", escaped(key), to_json(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Record(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("\"{key}\":{}", to_json(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        other => panic!("{other:?}"),
    }
}

fn escaped(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Several types without null: the JSON of the one that is there.
fn several() -> BoxedStrategy<Field> {
    let ty = json!(["string", "long", "boolean"]);
    let value = prop_oneof![
        text().prop_map(|v| Value::Union(0, Box::new(Value::String(v)))),
        any::<i64>().prop_map(|v| Value::Union(1, Box::new(Value::Long(v)))),
        any::<bool>().prop_map(|v| Value::Union(2, Box::new(Value::Boolean(v)))),
    ];
    value
        .prop_map(move |value| {
            let text = to_json(&value);
            field(ty.clone(), value, text)
        })
        .boxed()
}

/// Any field; nullable ones with null first or last, and null or not.
fn any_field() -> impl Strategy<Value = Field> {
    let mut all = numbers();
    all.extend(times());
    all.extend(texts());
    all.push(structured());
    let nullable = (Union::new(all.clone()), any::<bool>(), any::<bool>()).prop_map(|(inner, last, null)| {
        let ty = if last {
            json!([inner.ty, "null"])
        } else {
            json!(["null", inner.ty])
        };
        let (value, text) = if null {
            (Value::Null, None)
        } else {
            (inner.value, inner.text)
        };
        let branch = u32::from(null == last);
        Field {
            ty,
            value: Value::Union(branch, Box::new(value)),
            text,
        }
    });
    all.push(several());
    all.push(nullable.clone().boxed());
    all.push(nullable.boxed());
    Union::new(all)
}

/// Gives every named type a name of its own.
fn number_names(json: &mut Json, next: &mut usize) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| number_names(item, next)),
        Json::Object(object) => object.values_mut().for_each(|value| number_names(value, next)),
        Json::String(text) if text == "NAME" => {
            *text = format!("N{next}");
            *next += 1;
        }
        _ => {}
    }
}

struct Written {
    schema: String,
    framed: Vec<u8>,
    fields: Vec<Option<String>>,
}

fn write(fields: Vec<Field>, debezium: bool) -> Written {
    let name = |index: usize| format!("c{index}");
    let types: Vec<Json> = fields
        .iter()
        .enumerate()
        .map(|(index, field)| json!({"name": name(index), "type": field.ty}))
        .collect();
    let mut schema = json!({"type": "record", "name": "NAME", "fields": types});
    let texts = fields.iter().map(|field| field.text.clone()).collect();
    let mut value = Value::Record(
        fields
            .into_iter()
            .enumerate()
            .map(|(index, field)| (name(index), field.value))
            .collect(),
    );
    if debezium {
        let source = json!({"type": "record", "name": "NAME", "fields": [{"name": "a", "type": schema["fields"][0]["type"].clone()}]});
        let Value::Record(inner) = &value else { unreachable!() };
        let source_value = Value::Record(vec![("a".into(), inner[0].1.clone())]);
        schema = json!({"type": "record", "name": "NAME", "fields": [
            {"name": "after", "type": [schema, "null"]}, {"name": "source", "type": source}, {"name": "op", "type": "string"}]});
        let after = Value::Union(0, Box::new(value));
        value = Value::Record(vec![
            ("after".into(), after),
            ("source".into(), source_value),
            ("op".into(), Value::String("r".into())),
        ]);
    }
    number_names(&mut schema, &mut 0);
    let schema = schema.to_string();
    let datum = to_avro_datum(&Schema::parse_str(&schema).unwrap(), value).unwrap();
    Written {
        schema,
        framed: [&[0, 0, 0, 0, 9][..], &datum].concat(),
        fields: texts,
    }
}

fn encode(written: &Written, debezium: bool, plan: Option<Arc<Plan>>) -> (Vec<Option<String>>, Arc<Plan>) {
    let envelope = if debezium {
        envelope::Kind::Debezium
    } else {
        envelope::Kind::Plain
    };
    let settings = Settings {
        envelope,
        key: KeySource::None,
        ..Settings::default()
    };
    let mut encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(7), plan);
    encoder.add_schema(
        SchemaId::confluent(9),
        Arc::new(WriterSchema::parse(&written.schema).unwrap()),
    );
    let record = Record {
        offset: Offset(1),
        timestamp_ms: 1,
        headers: None,
        key: None,
        value: Some(&written.framed),
    };
    let (mut out, mut stats) = (Vec::new(), Stats::default());
    loop {
        match encoder.encode(&record, &mut out, &mut stats).unwrap() {
            Outcome::PlanGrows(plan) => encoder.adopt(plan),
            Outcome::Rows(1) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(out.last(), Some(&b'\n'));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(out.as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(&rows[0][0], if debezium { "r" } else { "c" });
    let field = |field: &str| (field != DEFAULT_NULL_MARKER).then(|| field.to_owned());
    (
        rows[0].iter().skip(META).map(field).collect(),
        encoder.plan().unwrap().clone(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn every_value_is_what_the_value_tree_says(fields in prop::collection::vec(any_field(), 1..12), debezium: bool) {
        let written = write(fields, debezium);
        let (found, plan) = encode(&written, debezium, None);
        prop_assert_eq!(&found, &written.fields, "{}", written.schema);

        // In another order, with a column that the writer does not know: the walk that looks fields up instead of following them.
        let mut columns = plan.columns.clone();
        columns.reverse();
        let ty = ColumnType::Varchar { limit: None };
        let default = Some("say \"x\"".to_owned());
        columns.insert(0, Column { name: "new".into(), ty, nullable: false, default: default.clone(), key: None, source: "new".into() });
        let (found, kept) = encode(&written, debezium, Some(Arc::new(Plan { columns: columns.clone() })));
        prop_assert_eq!(&kept.columns, &columns, "a record that fits its plan changes nothing");
        let expected: Vec<Option<String>> = [default].into_iter().chain(written.fields.into_iter().rev()).collect();
        prop_assert_eq!(found, expected);
    }

    /// Bytes that no writer wrote end in a row or an error, never in a panic or without end.
    #[test]
    fn broken_datums_are_refused_or_read(fields in prop::collection::vec(any_field(), 1..6), debezium: bool, at: prop::sample::Index, byte: u8, cut: bool) {
        let mut written = write(fields, debezium);
        let (_, plan) = encode(&written, debezium, None);
        // A record of empty records has no bytes to break.
        prop_assume!(written.framed.len() > 5);
        let at = at.index(written.framed.len() - 5) + 5;
        if cut { written.framed.truncate(at) } else { written.framed[at] = byte }
        let envelope = if debezium { envelope::Kind::Debezium } else { envelope::Kind::Plain };
        let settings = Settings { envelope, key: KeySource::None, ..Settings::default() };
        let mut encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(7), Some(plan));
        encoder.add_schema(SchemaId::confluent(9), Arc::new(WriterSchema::parse(&written.schema).unwrap()));
        let record = Record { offset: Offset(1), timestamp_ms: 1, key: None, value: Some(&written.framed), headers: None };
        let mut out = vec![1, 2, 3];
        match encoder.encode(&record, &mut out, &mut Stats::default()) {
            Ok(Outcome::Rows(1)) => prop_assert_eq!(out.last(), Some(&b'\n')),
            _ => prop_assert_eq!(out, vec![1, 2, 3]),
        }
        if cut {
            prop_assert!(encoder.encode(&record, &mut Vec::new(), &mut Stats::default()).is_err(), "a cut datum is an error");
        }
    }
}
