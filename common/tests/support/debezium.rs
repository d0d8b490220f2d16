//! Reads the captured topics, and turns another library's reading of them into the fields that a row should have. Slow and plain on
//! purpose: it shares no code with the encoder.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::avro::WriterSchema;
use common::csv::DEFAULT_NULL_MARKER;
use common::envelope;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::Plan;
use common::row::{EncodeError, Outcome, Record, RowEncoder, Settings, Stats};
use serde_json::Value;

/// A record and what another library read in it.
pub(crate) struct Line {
    pub(crate) topic: String,
    pub(crate) offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    pub(crate) value_decoded: Value,
}

fn data(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/debezium-postgres")
        .join(path)
}

fn read(path: &str) -> String {
    let bytes = std::fs::read(data(path)).unwrap_or_else(|error| panic!("read `{path}`: {error}"));
    let mut text = String::new();
    if path.ends_with(".gz") {
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}

/// All records of a topic.
pub(crate) fn topic(name: &str) -> Vec<Line> {
    let line = |line: &str| {
        // What JSON cannot say, as text.
        let line = line
            .replace(": NaN", ": \"NaN\"")
            .replace(": -Infinity", ": \"-Infinity\"");
        let json: Value = serde_json::from_str(&line).unwrap();
        let bytes = |field: &str| json[field].as_str().map(|text| BASE64.decode(text).unwrap());
        Line {
            topic: name.to_owned(),
            offset: json["offset"].as_i64().unwrap(),
            timestamp_ms: json["timestamp"].as_i64().unwrap(),
            key: bytes("key"),
            value: bytes("value"),
            value_decoded: json["value_decoded"].clone(),
        }
    };
    read(&format!("topics/{name}.jsonl.gz")).lines().map(line).collect()
}

/// The rows of the source table in the end; PostgreSQL writes NULL as an empty field without quotes, which these tables do not have.
pub(crate) fn final_table(name: &str) -> Vec<Vec<Option<String>>> {
    let text = final_text(name);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader
        .records()
        .map(|record| record.unwrap().iter().map(|field| Some(field.to_owned())).collect())
        .collect()
}

/// The source table in the end, as PostgreSQL writes CSV.
pub(crate) fn final_text(name: &str) -> String {
    let path = format!("final/{name}.csv");
    if data(&path).exists() {
        read(&path)
    } else {
        read(&format!("{path}.gz"))
    }
}

impl Line {
    /// Replaces the two numbers that no row can hold, in the bytes and in the other library's reading.
    pub(crate) fn make_finite(&mut self) {
        let value = self.value.as_mut().unwrap();
        replace(value, &f32::NEG_INFINITY.to_le_bytes(), &1.5_f32.to_le_bytes());
        replace(value, &f64::NAN.to_le_bytes(), &2.5_f64.to_le_bytes());
        let after = &mut self.value_decoded["datum"]["after"];
        after["c_float4"] = 1.5.into();
        after["c_float8"] = 2.5.into();
    }
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("the number is in the datum");
    bytes[at..at + to.len()].copy_from_slice(to);
}

/// A lineage being encoded, its schemas fetched as they are asked for.
pub(crate) struct Lineage {
    encoder: RowEncoder,
    pub(crate) schemas: HashMap<u64, Value>,
    pub(crate) plans: usize,
    pub(crate) out: Vec<u8>,
    pub(crate) stats: Stats,
}

impl Default for Lineage {
    fn default() -> Lineage {
        Lineage::with(Settings::default())
    }
}

/// Rows of fields, NULL being none.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

impl Lineage {
    pub(crate) fn with(settings: Settings) -> Lineage {
        Lineage::by(Settings {
            envelope: envelope::Kind::Debezium,
            ..settings
        })
    }

    /// A lineage of any envelope.
    pub(crate) fn by(settings: Settings) -> Lineage {
        let encoder = RowEncoder::new(Arc::new(settings), Incarnation(3), Partition(0), None);
        Lineage {
            encoder,
            schemas: HashMap::new(),
            plans: 0,
            out: Vec::new(),
            stats: Stats::default(),
        }
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        self.encoder.plan().unwrap().clone()
    }

    /// Encodes a record; its rows as the csv crate reads them.
    pub(crate) fn encode(&mut self, line: &Line) -> Result<(Outcome, Rows), EncodeError> {
        let record = Record {
            offset: Offset(line.offset),
            timestamp_ms: line.timestamp_ms,
            headers: None,
            key: line.key.as_deref(),
            value: line.value.as_deref(),
        };
        loop {
            let before = self.out.len();
            let outcome = self.encoder.encode(&record, &mut self.out, &mut self.stats);
            let rows = match outcome {
                Ok(Outcome::Rows(_)) => rows(&self.out[before..]),
                _ => {
                    assert_eq!(self.out.len(), before, "nothing is written unless rows are reported");
                    Vec::new()
                }
            };
            match outcome? {
                Outcome::NeedSchema(SchemaId(id)) => self.fetch(&id),
                Outcome::PlanGrows(plan) => {
                    self.encoder.adopt(plan);
                    self.plans += 1;
                }
                outcome => return Ok((outcome, rows)),
            }
        }
    }

    fn fetch(&mut self, id: &str) {
        let number = id.strip_prefix("confluent:").unwrap();
        let text = read(&format!("schemas/{number}.avsc"));
        self.schemas
            .insert(number.parse().unwrap(), serde_json::from_str(&text).unwrap());
        self.encoder
            .add_schema(SchemaId(id.to_owned()), Arc::new(WriterSchema::parse(&text).unwrap()));
    }
}

fn rows(bytes: &[u8]) -> Rows {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let field = |field: &str| (field != DEFAULT_NULL_MARKER).then(|| field.to_owned());
    reader
        .records()
        .map(|record| record.unwrap().iter().map(field).collect())
        .collect()
}

/// What each field of `before` or `after` should be in a row, by source name.
pub(crate) fn after_by_another_library(
    line: &Line,
    schemas: &HashMap<u64, Value>,
    image: &str,
) -> BTreeMap<String, Option<String>> {
    let schema = &schemas[&line.value_decoded["schema_id"].as_u64().unwrap()];
    let fields = schema["fields"].as_array().unwrap();
    // The record is defined where it is first used; `after` refers to it.
    let before = fields.iter().find(|field| field["name"] == "before").unwrap();
    let value = before["type"]
        .as_array()
        .unwrap()
        .iter()
        .find(|ty| ty.is_object())
        .unwrap();
    let row = &line.value_decoded["datum"][image];
    let field = |field: &Value| {
        let name = field["name"].as_str().unwrap();
        (name.to_owned(), text(&field["type"], &row[name]))
    };
    value["fields"].as_array().unwrap().iter().map(field).collect()
}

fn text(ty: &Value, value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let ty = match ty {
        Value::Array(branches) => branches.iter().find(|branch| *branch != "null").unwrap(),
        ty => ty,
    };
    let name = ty["connect.name"].as_str().unwrap_or_default();
    let number = || value.as_i64().unwrap();
    Some(match name.rsplit('.').next().unwrap() {
        "Date" => date(number()),
        "Time" => time(number() * 1000),
        "MicroTime" => time(number()),
        "Timestamp" => timestamp(number() * 1000),
        "MicroTimestamp" => timestamp(number()),
        // These are written in UTC here, with or without a fraction.
        "ZonedTimestamp" => {
            let (seconds, fraction) = value.as_str().unwrap().trim_end_matches('Z').split_at(19);
            let fraction = if fraction.trim_matches(['.', '0']).is_empty() {
                ""
            } else {
                fraction
            };
            format!("{}{fraction}+00", seconds.replace('T', " "))
        }
        "ZonedTime" => format!("{}+00", value.as_str().unwrap().trim_end_matches('Z')),
        "VariableScaleDecimal" => {
            let bytes = BASE64.decode(value["value"]["bytes"].as_str().unwrap()).unwrap();
            let digits = num_bigint::BigInt::from_signed_bytes_be(&bytes);
            point(&digits.to_string(), value["scale"].as_u64().unwrap() as usize)
        }
        "Bits" if value["bytes"] == "" => "00".to_owned(),
        "Json" => compact(value.as_str().unwrap()),
        // The largest one has the digits of a double.
        _ if ty == "float" && (value.as_f64().unwrap() as f32).abs() >= f32::MAX => ryu::Buffer::new()
            .format(f64::from(value.as_f64().unwrap() as f32))
            .to_owned(),
        _ if ty == "float" => ryu::Buffer::new().format(value.as_f64().unwrap() as f32).to_owned(),
        _ => plain(value),
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => ryu::Buffer::new().format(number.as_f64().unwrap()).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Object(object) if object.contains_key("decimal") => object["decimal"].as_str().unwrap().to_owned(),
        Value::Object(object) if object.contains_key("bytes") => BASE64
            .decode(object["bytes"].as_str().unwrap())
            .unwrap()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        other => json(other),
    }
}

fn json(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Object(object) if object.contains_key("decimal") => object["decimal"].as_str().unwrap().to_owned(),
        Value::Object(object) if object.contains_key("bytes") => object["bytes"].to_string(),
        Value::Object(object) => {
            let fields: Vec<String> = object
                .iter()
                .map(|(name, value)| format!("\"{name}\":{}", json(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Number(number) if number.is_f64() => ryu::Buffer::new().format(number.as_f64().unwrap()).to_owned(),
        // A number that JSON cannot say was made text when the line was read.
        Value::String(text) if text == "NaN" || text == "-Infinity" => "null".to_owned(),
        other => other.to_string(),
    }
}

/// Without the blanks between tokens; the captured documents have none at the edges of strings.
fn compact(text: &str) -> String {
    let mut inside = false;
    let mut escaped = false;
    text.chars()
        .filter(|&c| {
            if c == '"' && !escaped {
                inside = !inside;
            }
            escaped = c == '\\' && !escaped;
            inside || c != ' '
        })
        .collect()
}

fn point(digits: &str, scale: usize) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

fn date(day: i64) -> String {
    (jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(day)).to_string()
}

fn time(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 {
        time
    } else {
        format!("{time}.{fraction:06}")
    }
}

fn timestamp(micros: i64) -> String {
    let day = 86_400_000_000;
    format!("{} {}", date(micros.div_euclid(day)), time(micros.rem_euclid(day)))
}
