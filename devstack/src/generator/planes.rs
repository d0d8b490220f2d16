//! The planes: plain upserts. Every plane comes, some change, some go (a tombstone), some of these come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use super::avro::{Bytes, Cells, Column, Sink, Type, fields};
use super::cell::Cell;
use super::messages::{Outlet, Record, Truth};
use super::source::{Plane, Source};
use super::{PLANES, SMALL_PARTITIONS, mix, murmur2};

const COLUMNS: &[Column] = &[
    ("tailnum", Type::Text),
    ("year", Type::OptInt),
    ("type", Type::OptText),
    ("manufacturer", Type::OptText),
    ("model", Type::OptText),
    ("engines", Type::OptInt),
    ("seats", Type::OptInt),
    ("speed", Type::OptInt),
    ("engine", Type::OptText),
];

/// Place of `seats` among the numbers of a plane.
const SEATS: usize = 1;

/// One plane in so many changes, goes, and comes back after that.
const CHANGES: u64 = 3;
const GOES: u64 = 10;
const COMES_BACK: u64 = 2;

/// The JSON schema of `PLANES-key`.
#[must_use]
pub fn key_schema() -> String {
    json!({"type": "record", "name": "planes_key", "namespace": "nyc", "fields": fields(&COLUMNS[..1])}).to_string()
}

/// The JSON schema of `PLANES-value`.
#[must_use]
pub fn value_schema() -> String {
    json!({"type": "record", "name": "planes", "namespace": "nyc", "fields": fields(COLUMNS)}).to_string()
}

/// The stream, and the table that it leads to.
pub struct Planes {
    source: Arc<Source>,
    rows: BTreeMap<String, Plane>,
    seed: u64,
}

/// Ids of the registered schemas.
#[derive(Debug, Clone, Copy)]
pub struct Schemas {
    /// Of `PLANES-key`.
    pub key: u32,
    /// Of `PLANES-value`.
    pub value: u32,
}

impl Planes {
    /// The planes of `source`.
    #[must_use]
    pub fn new(source: Arc<Source>, seed: u64) -> Self {
        Self {
            source,
            rows: BTreeMap::new(),
            seed,
        }
    }

    /// Hands out all records.
    ///
    /// # Errors
    /// The outlet refuses.
    pub fn drain(&mut self, ids: Schemas, out: &mut impl Outlet) -> Result<()> {
        let source = Arc::clone(&self.source);
        let chance = |what: u64, index: usize, one_in: u64| mix(self.seed ^ what, index as u64).is_multiple_of(one_in);
        let all = || source.planes.iter().enumerate();
        let gone = |index: usize| chance(2, index, GOES);
        let mut changes: Vec<(&Plane, Option<Plane>)> = all().map(|(_, plane)| (plane, Some(plane.clone()))).collect();
        let refit = |plane: &Plane, seats: i32| {
            let mut plane = plane.clone();
            plane.numbers[SEATS] = plane.numbers[SEATS].map(|number| number + seats);
            plane
        };
        changes.extend(
            all()
                .filter(|(i, _)| chance(1, *i, CHANGES))
                .map(|(_, plane)| (plane, Some(refit(plane, 1)))),
        );
        changes.extend(all().filter(|(i, _)| gone(*i)).map(|(_, plane)| (plane, None)));
        let back = all().filter(|(i, _)| gone(*i) && chance(3, *i, COMES_BACK));
        changes.extend(back.map(|(_, plane)| (plane, Some(refit(plane, 2)))));
        let mut buffers = (Bytes::default(), Bytes::default());
        for (plane, row) in changes {
            send(ids, &plane.tailnum, row.as_ref(), &mut buffers, out)?;
            match row {
                Some(row) => self.rows.insert(plane.tailnum.clone(), row),
                None => self.rows.remove(&plane.tailnum),
            };
        }
        Ok(())
    }
}

fn send(
    ids: Schemas,
    tailnum: &str,
    row: Option<&Plane>,
    (key, value): &mut (Bytes, Bytes),
    out: &mut impl Outlet,
) -> Result<()> {
    key.begin(ids.key);
    key.text(tailnum);
    value.begin(ids.value);
    if let Some(row) = row {
        write(row, value);
    }
    out.send(Record {
        topic: PLANES,
        partition: murmur2::partition(&key.0, SMALL_PARTITIONS),
        key: Some(&key.0),
        value: row.map(|_| value.0.as_slice()),
        header: None,
        time_ms: None,
    })
}

fn write(plane: &Plane, sink: &mut impl Sink) {
    sink.text(&plane.tailnum);
    sink.opt_int(plane.year);
    plane.make.iter().for_each(|text| sink.opt_text(text.as_deref()));
    plane.numbers.iter().for_each(|number| sink.opt_int(*number));
    sink.opt_text(plane.engine.as_deref());
}

impl Truth for Planes {
    fn topic(&self) -> &'static str {
        PLANES
    }

    fn table(&self) -> (&'static str, &'static str) {
        ("nyc", "planes")
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn key(&self) -> Option<usize> {
        Some(0)
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn rows(&self) -> Box<dyn Iterator<Item = Vec<Cell>> + Send + '_> {
        Box::new(self.rows.values().map(|plane| {
            let mut cells = Cells::default();
            write(plane, &mut cells);
            cells.0
        }))
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::types::Value;
    use apache_avro::{Schema, from_avro_datum};

    use super::super::source::{Time, Weather as WeatherLine};
    use super::super::weather;
    use super::*;

    type Part = Option<Vec<u8>>;

    #[derive(Default)]
    struct Collected(Vec<(Part, Part)>);

    impl Outlet for Collected {
        fn send(&mut self, record: Record<'_>) -> Result<()> {
            self.0
                .push((record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec)));
            Ok(())
        }
    }

    fn source() -> Arc<Source> {
        let plane = |index: i32| Plane {
            tailnum: format!("N{index}"),
            year: (index % 9 != 0).then_some(1990 + index % 20),
            make: [Some("Fixed wing".into()), None, Some("A\"320, \n".into())],
            numbers: [Some(2), Some(100), None],
            engine: Some("Turbo-fan".into()),
        };
        let line = WeatherLine {
            origin: "JFK".into(),
            when: [2013, 1, 2, 3],
            air: [Some(39.02), None, Some(-0.5)],
            wind_dir: Some(270),
            rest: [Some(10.357_019_999_999_999), None, Some(0.0), Some(1012.0), Some(10.0)],
            time_hour: Time {
                text: "".into(),
                micros: 1_357_034_400_000_000,
            },
        };
        Arc::new(Source {
            flights: Vec::new(),
            weather: vec![line],
            planes: (0..300).map(plane).collect(),
        })
    }

    fn decode(schema: &str, bytes: &[u8]) -> Vec<(String, Value)> {
        let mut rest = &bytes[5..];
        let value = from_avro_datum(&Schema::parse_str(schema).unwrap(), &mut rest, None).unwrap();
        assert!(rest.is_empty());
        let Value::Record(fields) = value else {
            panic!("not a record")
        };
        fields
    }

    #[test]
    fn another_reader_gets_the_same_planes() {
        let mut planes = Planes::new(source(), 1);
        let mut out = Collected::default();
        planes.drain(Schemas { key: 1, value: 2 }, &mut out).unwrap();
        let mut seats = BTreeMap::new();
        for (key, value) in &out.0 {
            let key = decode(&key_schema(), key.as_ref().unwrap());
            let Value::String(tailnum) = key[0].1.clone() else {
                panic!("no text")
            };
            match value {
                Some(value) => seats.insert(tailnum, decode(&value_schema(), value)[6].1.clone()),
                None => seats.remove(&tailnum),
            };
        }
        assert_eq!(seats.len(), planes.len());
        assert!(planes.len() < 300 && out.0.len() > 400);
        for (row, (tailnum, seats)) in planes.rows().zip(&seats) {
            assert_eq!(row[0], Cell::Text(tailnum.clone()));
            let Value::Union(_, number) = seats else {
                panic!("not a union")
            };
            assert_eq!(
                &row[6],
                &if let Value::Int(number) = **number {
                    Cell::Int(number.into())
                } else {
                    Cell::Null
                }
            );
        }
    }

    #[test]
    fn another_reader_gets_the_same_weather() {
        let mut weather = weather::Weather::new(source());
        let mut out = Collected::default();
        weather.drain(7, &mut out).unwrap();
        let (key, value) = &out.0[0];
        assert!(key.is_none());
        let fields = decode(&weather::value_schema(), value.as_ref().unwrap());
        assert_eq!(
            fields[9].1,
            Value::Union(1, Box::new(Value::Double(10.357_019_999_999_999)))
        );
        assert_eq!(fields[14].1, Value::TimestampMillis(1_357_034_400_000));
        assert_eq!(weather.rows().next().unwrap()[14], Cell::Instant(1_357_034_400_000_000));
    }
}
