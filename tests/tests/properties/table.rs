//! A random table: its schema, its rows, and the object that the encoder makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Schema, to_avro_datum};
use common::avro::WriterSchema;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::Plan;
use common::row::{KeySource, Outcome, Record, RowEncoder, Settings, Stats};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value as Json;

use crate::leaf::Made;
use crate::tree::{self, Type};

/// Number under which the schema is known.
const SCHEMA_ID: u32 = 9;

/// A table of one schema.
pub struct Table {
    pub seed: u64,
    pub types: Vec<Type>,
    /// What each row must show, column by column.
    pub rows: Vec<Vec<Made>>,
    pub schema: String,
}

/// What the encoder made of a table.
pub struct Encoded {
    pub plan: Arc<Plan>,
    /// Longest text of the columns that have one.
    pub longest: BTreeMap<String, u32>,
    pub csv: Vec<u8>,
}

impl Table {
    /// The table of a seed.
    pub fn of(seed: u64, rows: usize) -> Table {
        let mut dice = StdRng::seed_from_u64(seed);
        let types: Vec<Type> = (0..dice.random_range(1..=12)).map(|_| tree::any(&mut dice)).collect();
        let mut schema = tree::record("NAME", &types);
        number_names(&mut schema, &mut 0);
        let row = |dice: &mut StdRng| types.iter().map(|ty| ty.make(dice)).collect();
        let rows = (0..rows).map(|_| row(&mut dice)).collect();
        Table {
            seed,
            rows,
            schema: schema.to_string(),
            types,
        }
    }

    /// Written by apache-avro, encoded by us.
    pub fn encode(&self) -> Encoded {
        let settings = Settings {
            key: KeySource::None,
            ..Settings::default()
        };
        let mut encoder = RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None);
        let writer = WriterSchema::parse(&self.schema).unwrap_or_else(|error| panic!("{error}: {}", self.schema));
        encoder.add_schema(SchemaId::confluent(SCHEMA_ID), Arc::new(writer));
        // A datum lies in its bytes as its base type says.
        let mut plain: Json = serde_json::from_str(&self.schema).unwrap();
        without_logical_types(&mut plain);
        let plain = Schema::parse(&plain).unwrap_or_else(|error| panic!("{error}: {}", self.schema));
        let (mut csv, mut stats) = (Vec::new(), Stats::default());
        for (offset, row) in self.rows.iter().enumerate() {
            let fields = row
                .iter()
                .enumerate()
                .map(|(at, made)| (tree::field_name(at), made.value.clone()));
            let datum = to_avro_datum(&plain, Value::Record(fields.collect()))
                .unwrap_or_else(|error| panic!("seed {}: {error}: {}", self.seed, self.schema));
            let framed = [&[0][..], &SCHEMA_ID.to_be_bytes(), &datum].concat();
            let record = Record {
                offset: Offset(i64::try_from(offset).unwrap()),
                timestamp_ms: 1,
                headers: None,
                key: None,
                value: Some(&framed),
            };
            loop {
                match encoder.encode(&record, &mut csv, &mut stats) {
                    Ok(Outcome::PlanGrows(plan)) => encoder.adopt(plan),
                    Ok(Outcome::Rows(1)) => break,
                    other => panic!("seed {}, row {offset}: {other:?}: {}", self.seed, self.schema),
                }
            }
        }
        let plan = encoder.plan().unwrap().clone();
        let longest = stats.longest_by_column(Some(&plan));
        Encoded { plan, longest, csv }
    }
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

fn without_logical_types(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(without_logical_types),
        Json::Object(object) => {
            object.remove("logicalType");
            object.values_mut().for_each(without_logical_types);
        }
        _ => {}
    }
}
