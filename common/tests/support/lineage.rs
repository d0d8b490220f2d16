//! An encoder as a lineage has it: what a record needs is given to it until the record is a row, or is refused.

use std::sync::Arc;

use common::avro::WriterSchema;
use common::ids::{Incarnation, Offset, Partition, SchemaId};
use common::plan::META_COLUMNS;
use common::row::{Outcome, Problem, Record, RowEncoder, Settings, Stats};

pub(crate) struct Lineage {
    pub(crate) encoder: RowEncoder,
    pub(crate) stats: Stats,
    /// The schemas that were asked for, in order.
    pub(crate) asked: Vec<SchemaId>,
    schema_of: Box<dyn Fn(&SchemaId) -> WriterSchema>,
    offset: i64,
}

impl Lineage {
    /// One whose registry is `schema_of`.
    pub(crate) fn of(settings: Settings, schema_of: impl Fn(&SchemaId) -> WriterSchema + 'static) -> Lineage {
        Lineage {
            encoder: RowEncoder::new(Arc::new(settings), Incarnation(0), Partition(0), None),
            stats: Stats::default(),
            asked: Vec::new(),
            schema_of: Box::new(schema_of),
            offset: 0,
        }
    }

    /// The lines of the next record's rows; none for a record that makes no row.
    pub(crate) fn encode(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Vec<String>, Problem> {
        self.offset += 1;
        let record = Record {
            offset: Offset(self.offset),
            timestamp_ms: 0,
            headers: None,
            key,
            value,
        };
        let mut out = Vec::new();
        loop {
            let outcome = self.encoder.encode(&record, &mut out, &mut self.stats);
            match outcome.map_err(|error| error.problem)? {
                Outcome::PlanGrows(plan) => self.encoder.adopt(plan),
                Outcome::NeedSchema(id) => {
                    self.encoder.add_schema(id.clone(), Arc::new((self.schema_of)(&id)));
                    self.asked.push(id);
                }
                Outcome::Skipped => break,
                Outcome::Rows(count) => {
                    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), usize::from(count));
                    break;
                }
                Outcome::Truncate => panic!("nothing truncates"),
            }
        }
        Ok(String::from_utf8(out).unwrap().lines().map(str::to_owned).collect())
    }

    /// The data of the next record's rows: what stands behind the columns that every row starts with.
    pub(crate) fn data(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Vec<String>, Problem> {
        let columns = META_COLUMNS.len() + 1;
        let data = |line: &String| line.splitn(columns, ',').nth(columns - 1).unwrap().to_owned();
        Ok(self.encode(key, value)?.iter().map(data).collect())
    }

    /// The same of a record that makes one row.
    pub(crate) fn row(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<String, Problem> {
        let mut rows = self.data(key, value)?;
        assert_eq!(rows.len(), 1, "{rows:?}");
        Ok(rows.remove(0))
    }

    /// Name, type and nullability of each column.
    pub(crate) fn columns(&self) -> Vec<String> {
        let columns = self.encoder.plan().unwrap().columns.iter();
        let null = |nullable| if nullable { "" } else { " not null" };
        columns
            .map(|column| format!("{} {}{}", column.name, column.ty, null(column.nullable)))
            .collect()
    }
}
