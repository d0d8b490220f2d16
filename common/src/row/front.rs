//! Records that are no Avro datums behind a number, on their way to rows: key and value become datums, each with a number for its schema,
//! and then all is as with Avro.

use super::encoder::{Failed, RowEncoder};
use super::error::Problem;
use super::numbered::Numbered;
use super::registered::Registered;
use super::settings::{Format, SchemaIds, Settings};
use super::yelp::Opener;
use super::{Outcome, Record, Stats};
use crate::envelope;
use crate::ids::SchemaId;
use crate::json::{JsonError, Reader, Side};

/// Schemas and their names kept per lineage; beyond this number all are met anew. Numbers are never given again, so nothing that is kept
/// elsewhere by number can mean another schema.
const NAMES_MAX: usize = 128;

/// What makes datums of keys and values.
#[derive(Debug)]
pub(super) enum Front {
    /// They are JSON.
    Json(Reader),
    /// They are framed, and their schemas have names that are no numbers.
    Numbered(Numbered),
    /// They are framed JSON or Protobuf, and their schemas are in a registry.
    Registered(Registered),
    /// They are messages of Yelp's Data Pipeline.
    Yelp(Opener),
}

/// What a key or value turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    Null,
    /// A datum of the schema with this number.
    Datum(u32),
    /// Nothing yet: this schema is needed.
    NeedSchema(SchemaId),
}

impl Front {
    /// What the settings ask for; none for Avro behind numbers.
    pub(super) fn new(settings: &std::sync::Arc<Settings>) -> Option<Front> {
        if settings.envelope == envelope::Kind::Yelp {
            return Some(Front::Yelp(Opener::default()));
        }
        match (settings.format, settings.schema_ids) {
            (Format::Avro, SchemaIds::Prefix) => None,
            (Format::Avro, SchemaIds::Header) => Some(Front::Numbered(Numbered::default())),
            (Format::JsonSchema | Format::Protobuf, _) => Some(Front::Registered(Registered::new(settings))),
            _ => Reader::new(settings).map(Front::Json),
        }
    }

    /// The datum that was read last of a side, `bytes` being what it was read of.
    fn datum<'a>(&'a self, side: Side, bytes: &'a [u8]) -> &'a [u8] {
        match self {
            Front::Json(json) => json.datum(side),
            Front::Numbered(numbered) => numbered.datum(side, bytes),
            Front::Registered(registered) => registered.datum(side),
            Front::Yelp(_) => bytes,
        }
    }

    /// Forgets the names it gave.
    fn forget(&mut self) {
        match self {
            Front::Json(_) | Front::Yelp(_) => {}
            Front::Numbered(numbered) => numbered.forget(),
            Front::Registered(registered) => registered.forget(),
        }
    }
}

impl RowEncoder {
    #[inline(never)]
    pub(super) fn encode_by_front(
        &mut self,
        record: &Record<'_>,
        out: &mut Vec<u8>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        let mut front = self
            .front
            .take()
            .expect("invariant: only a topic with a front comes here");
        let outcome = match &mut *front {
            Front::Yelp(opener) => {
                self.forget_many();
                self.encode_yelp(opener, record, out, stats)
            }
            front => self.encode_with(front, record, out, stats),
        };
        self.front = Some(front);
        outcome
    }

    fn encode_with(
        &mut self,
        front: &mut Front,
        record: &Record<'_>,
        out: &mut Vec<u8>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        let value = match self.read(front, Side::Value, record.value)? {
            Read::Null => None,
            Read::Datum(id) => Some(id),
            Read::NeedSchema(name) => return Ok(Outcome::NeedSchema(name)),
        };
        let key = match self.needs_key(value.is_some()) {
            None => return Ok(Outcome::Skipped),
            Some(false) => None,
            Some(true) => match self.read(front, Side::Key, record.key)? {
                Read::Null => None,
                Read::Datum(id) => Some(id),
                Read::NeedSchema(name) => return Ok(Outcome::NeedSchema(name)),
            },
        };
        let framed =
            |side, id: Option<u32>, bytes: Option<_>| id.map(|id| (id, front.datum(side, bytes.unwrap_or_default())));
        let value = framed(Side::Value, value, record.value);
        let key = framed(Side::Key, key, record.key);
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

    /// Turns a key or value into a datum, and makes its schema known where the record says what it is.
    fn read(&mut self, front: &mut Front, side: Side, bytes: Option<&[u8]>) -> Result<Read, Failed> {
        let Some(bytes) = bytes else { return Ok(Read::Null) };
        if side == Side::Value && self.forget_many() {
            front.forget();
        }
        match front {
            Front::Json(json) => self.read_json(json, side, bytes),
            Front::Numbered(numbered) => numbered.read(side, bytes, &mut self.names, false).map(Read::Datum),
            Front::Registered(registered) => registered.read(side, bytes, &mut self.names, &self.schemas),
            Front::Yelp(_) => Ok(Read::Null),
        }
    }

    /// Forgets all names if there are many, with all that goes by them.
    fn forget_many(&mut self) -> bool {
        let many = self.names.len() >= NAMES_MAX;
        if many {
            self.names.clear();
            self.schemas.clear();
            self.forget_programs();
        }
        many
    }

    fn read_json(&mut self, json: &mut Reader, side: Side, bytes: &[u8]) -> Result<Read, Failed> {
        let id = json.read(side, bytes, self.plan()).map_err(|error| {
            let error = Box::new(error);
            let part = part_of(side);
            (None, Box::new(Problem::Json { part, error }))
        })?;
        if let (Some(id), Some((number, name, schema))) = (id, json.schema(side))
            && number == id
            && !self.names.contains_key(&id)
        {
            self.names.insert(id, name.clone());
            self.schemas.insert(name.clone(), schema.clone());
        }
        Ok(id.map_or(Read::Null, Read::Datum))
    }

    /// A key or value by itself, for a record that has no row.
    pub(super) fn datum_of<'j>(
        &mut self,
        front: &'j mut Front,
        side: Side,
        bytes: &'j [u8],
    ) -> Option<(u32, &'j [u8])> {
        if let Front::Yelp(opener) = front {
            return self.payload_of(opener, bytes);
        }
        match self.read(front, side, Some(bytes)).ok()? {
            Read::Datum(id) => Some((id, front.datum(side, bytes))),
            Read::Null | Read::NeedSchema(_) => None,
        }
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

/// The name of a side, for errors.
pub(super) fn part_of(side: Side) -> &'static str {
    match side {
        Side::Value => "value",
        Side::Key => "key",
    }
}
