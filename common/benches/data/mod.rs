//! Records for the benchmarks: a plain one of 12 columns and Debezium's envelope of a 26-column table of flights, written by the
//! apache-avro crate.

#![allow(dead_code, reason = "each benchmark uses its own part")]
#![allow(
    clippy::unwrap_used,
    reason = "the records are made here: what fails is the benchmark"
)]

use std::fmt::Write as _;

use apache_avro::types::Value;
use apache_avro::{Decimal, Schema, to_avro_datum};
use serde_json::json;

/// Records of one topic, framed, and their schemas.
pub(crate) struct Topic {
    pub(crate) key_schema: String,
    pub(crate) value_schema: String,
    pub(crate) records: Vec<(Vec<u8>, Vec<u8>)>,
}

const KEY_ID: u32 = 1;
const VALUE_ID: u32 = 2;

fn framed(id: u32, datum: Vec<u8>) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(id.to_be_bytes());
    framed.extend(datum);
    framed
}

/// A generator that is the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

fn topic(
    key: serde_json::Value,
    value: serde_json::Value,
    rows: usize,
    row: impl Fn(usize, &mut Dice) -> (Value, Value),
) -> Topic {
    let (key_schema, value_schema) = (key.to_string(), value.to_string());
    let (key, value) = (
        Schema::parse_str(&key_schema).unwrap(),
        Schema::parse_str(&value_schema).unwrap(),
    );
    let mut dice = Dice(42);
    let record = |index| {
        let (key_value, value_value) = row(index, &mut dice);
        let key_datum = to_avro_datum(&key, key_value).unwrap();
        let value_datum = to_avro_datum(&value, value_value).unwrap();
        (framed(KEY_ID, key_datum), framed(VALUE_ID, value_datum))
    };
    let records = (0..rows).map(record).collect();
    Topic {
        key_schema,
        value_schema,
        records,
    }
}

fn record(fields: Vec<(&str, Value)>) -> Value {
    Value::Record(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn some(value: Value) -> Value {
    Value::Union(1, Box::new(value))
}

fn none() -> Value {
    Value::Union(0, Box::new(Value::Null))
}

fn key_of(id: i64) -> Value {
    record(vec![("id", Value::Long(id))])
}

fn key_json() -> serde_json::Value {
    json!({"type": "record", "name": "Key", "fields": [{"name": "id", "type": "long"}]})
}

/// 12 columns of the usual types.
pub(crate) fn customers(rows: usize) -> Topic {
    let value = json!({"type": "record", "name": "Customer", "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": "string"},
        {"name": "email", "type": "string"},
        {"name": "age", "type": "int"},
        {"name": "balance", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "active", "type": "boolean"},
        {"name": "created", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "born", "type": {"type": "int", "logicalType": "date"}},
        {"name": "score", "type": "double"},
        {"name": "city", "type": ["null", "string"]},
        {"name": "country", "type": "string"},
        {"name": "note", "type": ["null", "string"]},
    ]});
    topic(key_json(), value, rows, |index, dice| {
        let id = index as i64;
        let cents = dice.roll(10_000_000) as i32 - 1_000_000;
        let value = record(vec![
            ("id", Value::Long(id)),
            (
                "name",
                Value::String(format!("Customer Number {}", dice.roll(1_000_000))),
            ),
            (
                "email",
                Value::String(format!("customer{}@example.org", dice.roll(1_000_000))),
            ),
            ("age", Value::Int(dice.roll(90) as i32)),
            ("balance", Value::Decimal(Decimal::from(cents.to_be_bytes()))),
            ("active", Value::Boolean(dice.roll(2) == 1)),
            (
                "created",
                Value::TimestampMicros(1_357_000_000_000_000 + dice.roll(1 << 30) as i64 * 1_000_003),
            ),
            ("born", Value::Date(dice.roll(20_000) as i32)),
            ("score", Value::Double(dice.roll(1_000_000) as f64 / 1000.0)),
            ("city", some(Value::String("Poughkeepsie".into()))),
            ("country", Value::String("US".into())),
            (
                "note",
                if dice.roll(4) == 0 {
                    some(Value::String("said \"later\", twice".into()))
                } else {
                    none()
                },
            ),
        ]);
        (key_of(id), value)
    })
}

const NUMBERS: [&str; 13] = [
    "year",
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "flight",
    "air_time",
    "distance",
    "hour",
];
const TEXTS: [&str; 6] = ["carrier", "tailnum", "origin", "dest", "status", "dest_name"];

/// Debezium's envelope of a flight.
pub(crate) fn flights(rows: usize) -> Topic {
    let mut fields = vec![json!({"name": "id", "type": "long"})];
    fields.extend(NUMBERS.map(|name| json!({"name": name, "type": ["null", "int"], "default": null})));
    fields.extend(TEXTS.map(|name| json!({"name": name, "type": ["null", "string"], "default": null})));
    fields.extend([
        json!({"name": "minute", "type": {"type": "int", "connect.type": "int16"}}),
        json!({"name": "time_hour", "type": {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}}),
        json!({"name": "updated_at", "type": {"type": "string", "connect.name": "io.debezium.time.ZonedTimestamp"}}),
        json!({"name": "fare", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2,
            "connect.name": "org.apache.kafka.connect.data.Decimal"}], "default": null}),
        json!({"name": "cancelled", "type": "boolean"}),
        json!({"name": "flight_date", "type": {"type": "int", "connect.name": "io.debezium.time.Date"}}),
    ]);
    let long = |name: &str| json!({"name": name, "type": ["null", "long"], "default": null});
    let text = |name: &str| json!({"name": name, "type": "string"});
    let source = json!({"type": "record", "name": "Source", "fields": [
        text("version"), text("connector"), text("name"), {"name": "ts_ms", "type": "long"},
        {"name": "snapshot", "type": ["string", "null"], "default": "false"}, text("db"),
        {"name": "sequence", "type": ["null", "string"], "default": null}, long("ts_us"), long("ts_ns"),
        text("schema"), text("table"), long("txId"), long("lsn"), long("xmin"),
    ]});
    let value = json!({"type": "record", "name": "Envelope", "namespace": "src.public.flights", "fields": [
        {"name": "before", "type": ["null", {"type": "record", "name": "Value", "fields": fields}], "default": null},
        {"name": "after", "type": ["null", "Value"], "default": null},
        {"name": "source", "type": source},
        {"name": "transaction", "type": ["null", {"type": "record", "name": "block", "fields": [
            text("id"), {"name": "total_order", "type": "long"}, {"name": "data_collection_order", "type": "long"}]}]},
        text("op"), long("ts_ms"), long("ts_us"), long("ts_ns"),
    ]});
    topic(key_json(), value, rows, flight)
}

fn flight(index: usize, dice: &mut Dice) -> (Value, Value) {
    let id = 1_000_000 + index as i64;
    let departed = dice.roll(3) > 0;
    let ranges = [
        (2013, 1),
        (1, 12),
        (1, 28),
        (500, 1800),
        (500, 1800),
        (0, 300),
        (500, 1800),
        (500, 1800),
        (0, 300),
        (1, 6000),
        (20, 600),
        (80, 4900),
        (5, 19),
    ];
    let mut fields = vec![("id", Value::Long(id))];
    for (name, (from, count)) in NUMBERS.into_iter().zip(ranges) {
        let known = departed || !matches!(name, "dep_time" | "dep_delay" | "arr_time" | "arr_delay" | "air_time");
        let number = from + dice.roll(count) as i32 - i32::from(name.ends_with("delay")) * 20;
        fields.push((name, if known { some(Value::Int(number)) } else { none() }));
    }
    let tail = format!("N{}UA", 10_000 + dice.roll(80_000));
    let texts = [
        "UA",
        tail.as_str(),
        "EWR",
        "IAH",
        if departed { "departed" } else { "scheduled" },
        "George Bush Intercontinental",
    ];
    fields.extend(
        TEXTS
            .into_iter()
            .zip(texts)
            .map(|(name, text)| (name, some(Value::String(text.into())))),
    );
    let second = 1_357_000_000 + dice.roll(31_000_000) as i64;
    let fare = (10_000 + dice.roll(90_000) as i32).to_be_bytes();
    fields.extend([
        ("minute", Value::Int(dice.roll(60) as i32)),
        ("time_hour", Value::Long(second / 3600 * 3600 * 1_000_000)),
        ("updated_at", Value::String("2013-01-01T10:11:12.123456Z".into())),
        ("fare", some(Value::Decimal(Decimal::from(&fare[1..])))),
        ("cancelled", Value::Boolean(false)),
        ("flight_date", Value::Int((second / 86_400) as i32)),
    ]);
    let now = 1_795_246_323_397 + index as i64;
    let text = |text: &str| Value::String(text.into());
    let source = record(vec![
        ("version", text("3.6.3.Final")),
        ("connector", text("postgresql")),
        ("name", text("src")),
        ("ts_ms", Value::Long(now)),
        ("snapshot", Value::Union(0, Box::new(text("false")))),
        ("db", text("src")),
        ("sequence", some(text("[null,\"486860088\"]"))),
        ("ts_us", some(Value::Long(now * 1000))),
        ("ts_ns", some(Value::Long(now * 1_000_000))),
        ("schema", text("public")),
        ("table", text("flights")),
        ("txId", some(Value::Long(9607))),
        ("lsn", some(Value::Long(486_860_088 + index as i64))),
        ("xmin", none()),
    ]);
    let order = Value::Long(index as i64);
    let transaction = record(vec![
        ("id", text("9607:486860088")),
        ("total_order", order.clone()),
        ("data_collection_order", order),
    ]);
    let op = if departed { "u" } else { "c" };
    let value = record(vec![
        ("before", none()),
        ("after", some(record(fields))),
        ("source", source),
        ("transaction", some(transaction)),
        ("op", text(op)),
        ("ts_ms", some(Value::Long(now))),
        ("ts_us", some(Value::Long(now * 1000))),
        ("ts_ns", some(Value::Long(now * 1_000_000))),
    ]);
    (key_of(id), value)
}

/// The route through the libraries: a value tree, then the csv crate. Meta columns included, so that both write the same rows.
pub(crate) fn by_libraries(topic: &Topic, schema: &Schema, debezium: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .quote_style(csv::QuoteStyle::NonNumeric)
        .from_writer(Vec::new());
    let mut text = String::new();
    for (offset, (_, value)) in topic.records.iter().enumerate() {
        let tree = apache_avro::from_avro_datum(schema, &mut &value[5..], None).unwrap();
        let Value::Record(fields) = &tree else { unreachable!() };
        let field = |name: &str| &fields.iter().find(|(field, _)| field == name).unwrap().1;
        let (columns, op) = if debezium {
            let Value::Union(_, after) = field("after") else {
                unreachable!()
            };
            let Value::Record(after) = after.as_ref() else {
                unreachable!()
            };
            let Value::String(op) = field("op") else { unreachable!() };
            (after, op.as_str())
        } else {
            (fields, "u")
        };
        writer.write_field(op).unwrap();
        for meta in ["0", "0"] {
            writer.write_field(meta).unwrap();
        }
        write_text(&mut writer, &mut text, offset);
        writer.write_field("0").unwrap();
        let time = jiff::Timestamp::from_millisecond(TIMESTAMP_MS + offset as i64).unwrap();
        write_text(&mut writer, &mut text, time.strftime("%Y-%m-%d %H:%M:%S.%6f"));
        writer.write_field(common::csv::DEFAULT_NULL_MARKER).unwrap();
        columns
            .iter()
            .for_each(|(name, value)| write_value(&mut writer, &mut text, name, value));
        writer.write_record(None::<&[u8]>).unwrap();
    }
    writer.into_inner().unwrap()
}

/// Timestamp of the first record.
pub(crate) const TIMESTAMP_MS: i64 = 1_795_246_324_127;

fn write_text(writer: &mut csv::Writer<Vec<u8>>, text: &mut String, value: impl std::fmt::Display) {
    text.clear();
    write!(text, "{value}").unwrap();
    writer.write_field(&*text).unwrap();
}

fn write_value(writer: &mut csv::Writer<Vec<u8>>, text: &mut String, name: &str, value: &Value) {
    match value {
        Value::Union(_, inner) => write_value(writer, text, name, inner),
        Value::Null => writer.write_field(common::csv::DEFAULT_NULL_MARKER).unwrap(),
        Value::Boolean(value) => writer.write_field(if *value { "t" } else { "f" }).unwrap(),
        Value::Int(value) if name == "flight_date" => write_value(writer, text, name, &Value::Date(*value)),
        Value::Int(value) => write_text(writer, text, value),
        Value::Long(value) if name == "time_hour" => write_value(writer, text, name, &Value::TimestampMicros(*value)),
        Value::Long(value) => write_text(writer, text, value),
        Value::Double(value) => write_text(writer, text, value),
        Value::String(value) => writer.write_field(value).unwrap(),
        Value::Date(days) => {
            let date = jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(*days);
            write_text(writer, text, date);
        }
        Value::TimestampMicros(micros) => {
            let time = jiff::Timestamp::from_microsecond(*micros).unwrap();
            write_text(writer, text, time.strftime("%Y-%m-%d %H:%M:%S.%6f"));
        }
        Value::Decimal(decimal) => {
            let bytes: Vec<u8> = decimal.try_into().unwrap();
            let fill = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
            let mut block = [fill; 16];
            block[16 - bytes.len()..].copy_from_slice(&bytes);
            let number = i128::from_be_bytes(block);
            let sign = if number < 0 { "-" } else { "" };
            let number = number.unsigned_abs();
            write_text(writer, text, format_args!("{sign}{}.{:02}", number / 100, number % 100));
        }
        other => panic!("{other:?}"),
    }
}

/// Our route.
pub(crate) fn by_spolt(
    topic: &Topic,
    encoder: &mut common::row::RowEncoder,
    out: &mut Vec<u8>,
    stats: &mut common::row::Stats,
) {
    for (offset, (key, value)) in topic.records.iter().enumerate() {
        let record = common::row::Record {
            offset: common::ids::Offset(offset as i64),
            timestamp_ms: TIMESTAMP_MS + offset as i64,
            headers: None,
            key: Some(key),
            value: Some(value),
        };
        loop {
            match encoder.encode(&record, out, stats).unwrap() {
                common::row::Outcome::PlanGrows(plan) => encoder.adopt(plan),
                common::row::Outcome::Rows(1) => break,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// An encoder that knows the topic's schemas.
pub(crate) fn encoder(topic: &Topic, debezium: bool) -> common::row::RowEncoder {
    use common::avro::WriterSchema;
    use common::ids::{Incarnation, Partition, SchemaId};
    use std::sync::Arc;
    let envelope = if debezium {
        common::envelope::Kind::Debezium
    } else {
        common::envelope::Kind::Plain
    };
    let settings = Arc::new(common::row::Settings {
        envelope,
        ..common::row::Settings::default()
    });
    let mut encoder = common::row::RowEncoder::new(settings, Incarnation(0), Partition(0), None);
    encoder.add_schema(
        SchemaId::confluent(KEY_ID),
        Arc::new(WriterSchema::parse(&topic.key_schema).unwrap()),
    );
    encoder.add_schema(
        SchemaId::confluent(VALUE_ID),
        Arc::new(WriterSchema::parse(&topic.value_schema).unwrap()),
    );
    encoder
}
