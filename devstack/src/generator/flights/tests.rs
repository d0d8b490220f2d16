//! The bytes are read back with another Avro library and applied by other code: the same table must come of it.

use std::collections::BTreeMap;

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum};

use super::super::source::{Flight, Time};
use super::*;

const SCHEMAS: Schemas = Schemas {
    key: 1,
    value: 0x0102_0304,
};

#[derive(Default)]
struct Collected(Vec<Owned>);

struct Owned {
    partition: i32,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    header: Option<(String, String)>,
    time_ms: Option<i64>,
}

impl Outlet for Collected {
    fn send(&mut self, record: Record<'_>) -> Result<()> {
        self.0.push(Owned {
            partition: record.partition,
            key: record.key.unwrap().to_vec(),
            value: record.value.map(<[u8]>::to_vec),
            header: record.header.map(|(name, value)| (name.to_owned(), value.to_owned())),
            time_ms: record.time_ms,
        });
        Ok(())
    }
}

/// Flights with all that the file has: cancelled, diverted, very late, without a tail number.
fn source(count: usize) -> Arc<Source> {
    let flight = |index: usize| {
        let cancelled = index.is_multiple_of(7);
        let landed = !cancelled && !index.is_multiple_of(11);
        let number = i32::try_from(index).unwrap();
        let micros = 1_357_034_400_000_000 + i64::from(number / 20) * 3_600_000_000;
        Flight {
            year: 2013,
            month: 1 + number / 40 % 12,
            day: 1 + number % 28,
            dep_time: (!cancelled).then_some(517),
            sched_dep_time: 515,
            dep_delay: (!cancelled).then_some(number % 90 - 20),
            arr_time: landed.then_some(830),
            sched_arr_time: 819,
            arr_delay: landed.then_some(number % 300 - 30),
            carrier: "UA".into(),
            flight: 1000 + number,
            tailnum: (!index.is_multiple_of(13)).then(|| format!("N{index}").into()),
            origin: "EWR".into(),
            dest: "Zürich".into(),
            air_time: landed.then_some(100 + number % 200),
            distance: 1400,
            hour: 5,
            minute: 15,
            time_hour: Time {
                text: jiff::Timestamp::from_microsecond(micros).unwrap().to_string().into(),
                micros,
            },
        }
    };
    Arc::new(Source {
        flights: (0..count).map(flight).collect(),
        weather: Vec::new(),
        planes: Vec::new(),
    })
}

fn run(count: usize, steady: u64) -> (Flights, Vec<Owned>) {
    let mut flights = Flights::new(source(count), SCHEMAS, 1);
    let mut out = Collected::default();
    flights.drain(&mut out).unwrap();
    for change in 0..steady {
        flights
            .steady(1_800_000_000_000_000 + i64::try_from(change).unwrap() * 1000, &mut out)
            .unwrap();
    }
    (flights, out.0)
}

fn read(schema: &Schema, id: u32, bytes: &[u8]) -> Vec<(String, Value)> {
    assert_eq!((bytes[0], &bytes[1..5]), (0, id.to_be_bytes().as_slice()));
    let mut rest = &bytes[5..];
    let Value::Record(fields) = from_avro_datum(schema, &mut rest, None).unwrap() else {
        panic!("not a record")
    };
    assert!(rest.is_empty(), "bytes are left over");
    fields
}

fn field<'a>(fields: &'a [(String, Value)], name: &str) -> &'a Value {
    let value = &fields
        .iter()
        .find(|(field, _)| field == name)
        .unwrap_or_else(|| panic!("no field {name}"))
        .1;
    if let Value::Union(_, inner) = value {
        inner
    } else {
        value
    }
}

fn cell(kind: super::super::avro::Type, value: &Value) -> Cell {
    use super::super::avro::Type;
    let value = if let Value::Union(_, inner) = value {
        inner
    } else {
        value
    };
    match (kind, value) {
        (_, Value::Null) => Cell::Null,
        (Type::OptDate, Value::Int(days)) => Cell::Date(*days),
        (_, Value::Int(number)) => Cell::Int((*number).into()),
        (Type::MicroTimestamp, Value::Long(micros)) => Cell::Timestamp(*micros),
        (_, Value::Long(number)) => Cell::Int(*number),
        (Type::OptZoned, Value::String(text)) => {
            Cell::Instant(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
        }
        (_, Value::String(text)) => Cell::Text(text.clone()),
        (_, Value::Boolean(value)) => Cell::Bool(*value),
        (_, Value::Double(number)) => Cell::Double(*number),
        (_, Value::Decimal(decimal)) => {
            let bytes: Vec<u8> = decimal.try_into().unwrap();
            let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1_i64 };
            Cell::Hundredths(bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
        }
        other => panic!("unexpected {other:?}"),
    }
}

/// Applies the records partition by partition, as any reader must be able to.
fn replay(records: &[Owned]) -> BTreeMap<i64, Vec<Cell>> {
    let key_schema = Schema::parse_str(&envelope::key_schema()).unwrap();
    let value_schema = Schema::parse_str(&envelope::value_schema()).unwrap();
    let mut rows = BTreeMap::new();
    for partition in 0..i32::try_from(FLIGHTS_PARTITIONS).unwrap() {
        for record in records.iter().filter(|record| record.partition == partition) {
            let key = read(&key_schema, SCHEMAS.key, &record.key);
            let Value::Long(id) = field(&key, "id") else {
                panic!("the key has no id")
            };
            let Some(value) = &record.value else { continue };
            let envelope = read(&value_schema, SCHEMAS.value, value);
            match (
                field(&envelope, "op"),
                field(&envelope, "before"),
                field(&envelope, "after"),
            ) {
                (Value::String(op), Value::Null, Value::Record(after)) if op == "c" || op == "u" => {
                    let exists = rows.contains_key(id);
                    assert_eq!(exists, op == "u", "op {op} of {id}");
                    let cells = row::COLUMNS.iter().zip(after).map(|((name, kind), (field, value))| {
                        assert_eq!(name, field);
                        cell(*kind, value)
                    });
                    rows.insert(*id, cells.collect());
                }
                (Value::String(op), Value::Record(before), Value::Null) if op == "d" => {
                    assert_eq!(field(before, "id"), &Value::Long(*id));
                    assert_eq!(field(before, "tailnum"), &Value::Null);
                    assert!(rows.remove(id).is_some(), "{id} was deleted twice");
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }
    rows
}

#[test]
fn another_reader_gets_the_same_table() {
    let (flights, records) = run(3_000, 2_000);
    let expected: Vec<Vec<Cell>> = flights.rows().collect();
    let rows = replay(&records);
    assert_eq!(rows.len(), flights.len());
    for (row, expected) in rows.values().zip(&expected) {
        assert_eq!(row, expected);
    }
}

#[test]
fn every_kind_of_change_happens() {
    let (flights, records) = run(3_000, 0);
    let tombstones = records.iter().filter(|record| record.value.is_none()).count();
    let moved = flights.rows.keys().filter(|id| **id > MOVED).count();
    let cancelled = source(3_000)
        .flights
        .iter()
        .filter(|flight| flight.dep_time.is_none())
        .count();
    let again = flights
        .rows
        .values()
        .filter(|row| source(3_000).flights[row.flight as usize].dep_time.is_none())
        .count();
    assert!(moved > 5 && again > 20, "{moved} moved, {again} again");
    assert!(tombstones > cancelled + moved, "some are cancelled twice");
    let header = |name: &str| {
        records
            .iter()
            .filter(|r| r.header.as_ref().is_some_and(|(n, _)| n == name))
            .count()
    };
    assert_eq!(header("__debezium.oldkey"), moved);
    assert_eq!(header("__debezium.newkey"), 2 * moved);
    assert!(
        records
            .iter()
            .filter_map(|r| r.header.as_ref())
            .all(|(_, json)| json.starts_with("{\"id\":"))
    );
}

#[test]
fn a_tombstone_follows_every_delete_in_its_partition() {
    let (_, records) = run(1_000, 500);
    for (index, record) in records.iter().enumerate().filter(|(_, record)| record.value.is_none()) {
        let before = &records[index - 1];
        assert_eq!((&before.key, before.partition), (&record.key, record.partition));
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let ((_, one), (_, two)) = (run(500, 100), run(500, 100));
    assert!(
        one.iter()
            .zip(&two)
            .all(|(a, b)| a.key == b.key && a.value == b.value && a.time_ms == b.time_ms)
    );
    assert_eq!(one.len(), two.len());
}

#[test]
fn the_schema_is_the_one_that_a_real_debezium_registered_but_for_the_table() {
    // Source, transaction and the frame around the row, as captured from Debezium 3.6.3.Final.
    let real: serde_json::Value = serde_json::from_str(include_str!("real_envelope.avsc")).unwrap();
    let own: serde_json::Value = serde_json::from_str(&envelope::value_schema()).unwrap();
    for (real, own) in real["fields"]
        .as_array()
        .unwrap()
        .iter()
        .zip(own["fields"].as_array().unwrap())
        .skip(1)
    {
        assert_eq!(real, own);
    }
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&real), keys(&own));
    assert_eq!(keys(&real["fields"][0]["type"][1]), keys(&own["fields"][0]["type"][1]));
}
