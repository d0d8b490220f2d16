//! A source table that changes: Debezium envelopes in Avro with the Confluent framing, written by apache-avro.

use std::collections::BTreeMap;

use apache_avro::types::Value;
use apache_avro::{Schema, to_avro_datum};

/// One record to produce.
#[derive(Debug, Clone)]
pub struct Change {
    /// Partition: every change of a key goes to the same one.
    pub partition: i32,
    /// Framed key.
    pub key: Vec<u8>,
    /// Framed value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

/// A column of the source table beside `id`: its name and its Avro type.
pub type Column = (&'static str, &'static str);

/// Columns that a table starts with.
pub const COLUMNS: [Column; 3] = [
    ("name", r#""string""#),
    ("amount", r#""double""#),
    ("note", r#""string""#),
];

/// A value that is no Avro message, so that its record is set aside.
pub const UNFRAMED: &[u8] = b"no frame";

/// Schema text of the key.
pub const KEY_SCHEMA: &str = r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"long"}]}"#;

/// Schema text of the envelope of a table with these nullable columns.
#[must_use]
pub fn envelope_schema(columns: &[Column]) -> String {
    let fields: String = columns
        .iter()
        .map(|(name, ty)| format!(r#",{{"name":"{name}","type":["null",{ty}],"default":null}}"#))
        .collect();
    format!(
        r#"{{"type":"record","name":"Envelope","namespace":"e2e","fields":[
        {{"name":"before","type":["null",{{"type":"record","name":"Value","fields":[{{"name":"id","type":"long"}}{fields}]}}],"default":null}},
        {{"name":"after","type":["null","Value"],"default":null}},
        {{"name":"source","type":{{"type":"record","name":"Source","fields":[{{"name":"lsn","type":"long"}}]}}}},
        {{"name":"op","type":"string"}},
        {{"name":"ts_ms","type":["null","long"],"default":null}}]}}"#
    )
}

/// Puts the Confluent frame around a datum.
///
/// # Panics
/// When the value does not fit the schema.
#[must_use]
pub fn framed(id: u32, schema: &Schema, value: Value) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(to_avro_datum(schema, value).expect("the value fits its schema"));
    bytes
}

/// A source table and its random workload.
pub struct Source {
    partitions: i32,
    state: u64,
    live: BTreeMap<i64, ()>,
    next_id: i64,
    lsn: i64,
    key: (u32, Schema),
    value: (u32, Schema, Vec<Column>),
}

impl Source {
    /// A table whose keys spread over so many partitions; schemas with their registry ids.
    ///
    /// # Panics
    /// Never: the schemas are ours.
    #[must_use]
    pub fn new(seed: u64, partitions: i32, key_id: u32, value_id: u32, columns: &[Column]) -> Source {
        let key = Schema::parse_str(KEY_SCHEMA).expect("the key schema parses");
        let mut source = Source {
            partitions,
            state: seed.wrapping_mul(2).wrapping_add(1),
            live: BTreeMap::new(),
            next_id: 0,
            lsn: 0,
            key: (key_id, key.clone()),
            value: (value_id, key, Vec::new()),
        };
        source.evolve(value_id, columns);
        source
    }

    /// From now on rows have these columns.
    ///
    /// # Panics
    /// Never: the schema is ours.
    pub fn evolve(&mut self, value_id: u32, columns: &[Column]) {
        let schema = Schema::parse_str(&envelope_schema(columns)).expect("the envelope schema parses");
        self.value = (value_id, schema, columns.to_vec());
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    /// The next so many changes: creates, updates, deletes with their tombstones, keys that change, keys born again.
    pub fn changes(&mut self, count: usize) -> Vec<Change> {
        let mut changes = Vec::with_capacity(count);
        while changes.len() < count {
            let dice = self.random(100);
            let existing = self.any_live();
            match existing {
                Some(id) if dice < 50 => changes.push(self.upsert(id, "u")),
                Some(id) if dice < 62 => self.delete(id, &mut changes),
                Some(id) if dice < 68 => {
                    self.delete(id, &mut changes);
                    let fresh = self.fresh();
                    changes.push(self.upsert(fresh, "c"));
                }
                Some(id) if dice < 72 => {
                    self.delete(id, &mut changes);
                    changes.push(self.upsert(id, "c"));
                }
                _ => {
                    let fresh = self.fresh();
                    changes.push(self.upsert(fresh, "c"));
                }
            }
        }
        changes
    }

    /// The framed value of the truncate that comes next; Debezium gives it no key.
    pub fn truncate(&mut self) -> Vec<u8> {
        self.live.clear();
        let nothing = || Value::Union(0, Box::new(Value::Null));
        let change = self.change(0, "t", nothing(), nothing());
        change.value.unwrap_or_default()
    }

    fn fresh(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn any_live(&mut self) -> Option<i64> {
        let from = self.random(self.next_id.unsigned_abs() + 1);
        let found = self
            .live
            .range(i64::try_from(from).unwrap_or(0)..)
            .next()
            .or_else(|| self.live.iter().next());
        found.map(|(id, ())| *id)
    }

    fn partition(&self, id: i64) -> i32 {
        i32::try_from(id % i64::from(self.partitions)).unwrap_or(0)
    }

    fn framed_key(&self, id: i64) -> Vec<u8> {
        framed(
            self.key.0,
            &self.key.1,
            Value::Record(vec![("id".into(), Value::Long(id))]),
        )
    }

    fn upsert(&mut self, id: i64, op: &str) -> Change {
        self.live.insert(id, ());
        let mut fields = vec![("id".to_owned(), Value::Long(id))];
        for (name, ty) in self.value.2.clone() {
            let value = self.cell(ty);
            fields.push((name.to_owned(), value));
        }
        self.change(
            id,
            op,
            Value::Union(0, Box::new(Value::Null)),
            Value::Union(1, Box::new(Value::Record(fields))),
        )
    }

    fn cell(&mut self, ty: &str) -> Value {
        const TEXTS: [&str; 8] = [
            "",
            "plain",
            "with,comma",
            "with \"quotes\"",
            "two\nlines",
            "Zürich Ω",
            "\\N",
            "NULL",
        ];
        let dice = self.random(9);
        if dice == 8 {
            return Value::Union(0, Box::new(Value::Null));
        }
        let value = match ty {
            r#""string""# => Value::String(format!(
                "{}{}",
                TEXTS[usize::try_from(dice).unwrap_or(0)],
                self.random(100)
            )),
            r#""double""# => Value::Double(self.random(1_000_000) as f64 / 128.0),
            r#""long""# => Value::Long(i64::try_from(self.random(1 << 30)).unwrap_or(0) << 20),
            other => panic!("no values for {other}"),
        };
        Value::Union(1, Box::new(value))
    }

    fn delete(&mut self, id: i64, changes: &mut Vec<Change>) {
        self.live.remove(&id);
        let mut fields = vec![("id".to_owned(), Value::Long(id))];
        let nulls = self
            .value
            .2
            .iter()
            .map(|(name, _)| ((*name).to_owned(), Value::Union(0, Box::new(Value::Null))));
        fields.extend(nulls);
        let before = Value::Union(1, Box::new(Value::Record(fields)));
        let delete = self.change(id, "d", before, Value::Union(0, Box::new(Value::Null)));
        let tombstone = Change {
            value: None,
            ..delete.clone()
        };
        changes.extend([delete, tombstone]);
    }

    fn change(&mut self, id: i64, op: &str, before: Value, after: Value) -> Change {
        self.lsn += 1;
        let envelope = Value::Record(vec![
            ("before".into(), before),
            ("after".into(), after),
            (
                "source".into(),
                Value::Record(vec![("lsn".into(), Value::Long(self.lsn))]),
            ),
            ("op".into(), Value::String(op.into())),
            ("ts_ms".into(), Value::Union(0, Box::new(Value::Null))),
        ]);
        Change {
            partition: self.partition(id),
            key: self.framed_key(id),
            value: Some(framed(self.value.0, &self.value.1, envelope)),
        }
    }
}
