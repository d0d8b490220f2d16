//! Records in JSON on their way to rows: key and value become datums, and then all is as with Avro.

use super::encoder::{Failed, RowEncoder};
use super::error::Problem;
use super::{Outcome, Record, Stats};
use crate::envelope;
use crate::ids::SchemaId;
use crate::json::{JsonError, Reader, Side};

/// Schemas and their names kept per lineage; beyond this number all are met anew. Numbers are never given again, so nothing that is kept
/// elsewhere by number can mean another schema.
const NAMES_MAX: usize = 128;

impl RowEncoder {
    #[inline(never)]
    pub(super) fn encode_json(
        &mut self,
        record: &Record<'_>,
        out: &mut Vec<u8>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        let mut json = self.json.take().expect("invariant: only a topic in JSON comes here");
        let outcome = self.encode_with(&mut json, record, out, stats);
        self.json = Some(json);
        outcome
    }

    fn encode_with(
        &mut self,
        json: &mut Reader,
        record: &Record<'_>,
        out: &mut Vec<u8>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        let value = self.read(json, Side::Value, record.value)?;
        let key = match self.needs_key(value.is_some()) {
            None => return Ok(Outcome::Skipped),
            Some(true) => self.read(json, Side::Key, record.key)?,
            Some(false) => None,
        };
        let framed = |side, id: Option<u32>| id.map(|id| (id, json.datum(side)));
        let (value, key) = (framed(Side::Value, value), framed(Side::Key, key));
        let outcome = self.encode_framed(record, value, key, out, stats)?;
        if let Outcome::Rows(_) = outcome {
            for (id, _) in [value, key].into_iter().flatten() {
                if let Some(name) = self.names.get(&id) {
                    stats.name(id, name);
                }
            }
        }
        Ok(outcome)
    }

    /// Turns a key or value into a datum, and makes its schema known; the schema's number.
    fn read(&mut self, json: &mut Reader, side: Side, bytes: Option<&[u8]>) -> Result<Option<u32>, Failed> {
        let Some(bytes) = bytes else { return Ok(None) };
        let id = json.read(side, bytes).map_err(|error| {
            let part = match side {
                Side::Value => "value",
                Side::Key => "key",
            };
            let error = Box::new(error);
            (None, Box::new(Problem::Json { part, error }))
        })?;
        if side == Side::Value && self.names.len() >= NAMES_MAX {
            self.names.clear();
            self.schemas.clear();
            self.forget_programs();
        }
        if let (Some(id), Some((number, name, schema))) = (id, json.schema(side))
            && number == id
            && !self.names.contains_key(&id)
        {
            self.names.insert(id, name.clone());
            self.schemas.insert(name.clone(), schema.clone());
        }
        Ok(id)
    }

    /// A key or value by itself, for a record that has no row.
    pub(super) fn datum_of<'j>(&mut self, json: &'j mut Reader, side: Side, bytes: &[u8]) -> Option<(u32, &'j [u8])> {
        let id = self.read(json, side, Some(bytes)).ok()??;
        Some((id, json.datum(side)))
    }

    /// The name of a schema by its number.
    pub(super) fn name(&self, id: u32) -> SchemaId {
        let named = self.names.get(&id).cloned();
        named.unwrap_or_else(|| SchemaId::confluent(id))
    }

    /// The column that a mistake in JSON is in, as far as that is known.
    pub(super) fn column_of(&self, problem: &Problem) -> Option<String> {
        let Problem::Json { part, error } = problem else {
            return None;
        };
        let field = self.field_of(part, error)?;
        let columns = self.plan().map_or(&[][..], |plan| &plan.columns);
        let column = columns.iter().find(|column| column.source == *field);
        Some(column.map_or_else(|| field.clone(), |column| column.name.clone()))
    }

    /// The field of the row; in an envelope it lies one level deeper.
    fn field_of<'e>(&self, part: &str, error: &'e JsonError) -> Option<&'e String> {
        match (error.path.as_slice(), part) {
            ([image, field, ..], "value") if self.settings.envelope == envelope::Kind::Debezium => {
                matches!(image.as_str(), "before" | "after").then_some(field)
            }
            (_, "value") if self.settings.envelope == envelope::Kind::Debezium => None,
            ([field, ..], _) => Some(field),
            ([], _) => None,
        }
    }
}
