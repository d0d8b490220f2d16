//! What is kept of a record that has no row, or a row in which a value was replaced (protocol rule 27). None of it is on the hot path.

use super::super::aside::{self, AMENDED, Line, OPEN};
use super::super::error::{EncodeError, Problem};
use super::super::program::{Fields, RowProgram, Wanted};
use super::super::{Amended, KeySource, Record, Stats};
use super::{Hand, META_ROOM, RowEncoder};
use crate::avro::datum::Cursor;
use crate::avro::frame;
use crate::envelope;
use crate::json::Side;
use crate::plan::{Column, Plan};

impl RowEncoder {
    /// Appends what is kept of a record that [`RowEncoder::encode`] refused: lines of [`super::ASIDE_COLUMNS`] and the plan's key columns
    /// (protocol rule 27). How many lines.
    #[cold]
    pub fn set_aside(&mut self, record: &Record<'_>, error: &EncodeError, out: &mut Vec<u8>) -> u64 {
        self.keep(record, error, OPEN, out)
    }

    /// Whether these lines have the records' headers.
    #[must_use]
    pub fn keeps_headers(&self) -> bool {
        self.settings.column_rules.headers
    }

    fn keep(&mut self, record: &Record<'_>, error: &EncodeError, status: &'static str, out: &mut Vec<u8>) -> u64 {
        let columns = self.plan.as_deref().map_or(0, |plan| plan.key_columns().len());
        let keys = self.key_of(record);
        let keys = keys.unwrap_or_else(|| aside::no_keys(columns, &self.settings.null_marker));
        let hand = &mut self.hand;
        hand.row.clear();
        hand.row.reserve(META_ROOM);
        hand.second.write(record.timestamp_ms, &mut hand.row);
        let origin = String::from_utf8_lossy(&hand.origin);
        let line = Line {
            settings: &self.settings,
            status,
            origin: origin.trim_start_matches("\"?\",").trim_end_matches(','),
            time: hand.row.written(),
            keys: &keys,
        };
        line.write(record, error, out)
    }

    /// Whether values of the record that was encoded last were replaced.
    #[must_use]
    #[inline]
    pub fn has_amended(&self) -> bool {
        !self.hand.amended.is_empty()
    }

    /// The values of the record that was encoded last which were replaced by the rules of their columns.
    #[must_use]
    #[cold]
    pub fn amended(&self) -> Vec<Amended> {
        let columns = self.plan.as_deref().map_or(&[][..], |plan| &plan.columns);
        let amended = self.hand.amended.iter().filter_map(|&(column, reason, by)| {
            Some(Amended {
                column: columns.get(column)?.name.clone(),
                reason,
                by,
            })
        });
        amended.collect()
    }

    /// Appends what is kept of such a value: the record as it was. How many lines.
    #[cold]
    pub fn keep_amended(&mut self, record: &Record<'_>, amended: &Amended, out: &mut Vec<u8>) -> u64 {
        let error = EncodeError {
            partition: self.partition,
            offset: record.offset,
            column: Some(amended.column.clone()),
            problem: Problem::Value(amended.reason),
            halts: false,
        };
        self.keep(record, &error, AMENDED, out)
    }

    /// The key columns of a record as they stand at the end of a line, if they can be read without the rest.
    fn key_of(&mut self, record: &Record<'_>) -> Option<Vec<u8>> {
        let plan = self.plan.as_deref()?;
        let columns: Vec<_> = plan.key_columns().into_iter().cloned().collect();
        let (part, bytes) = match (&self.settings.key, self.settings.envelope) {
            _ if columns.is_empty() => return Some(Vec::new()),
            (KeySource::None, _) => return None,
            (_, envelope::Kind::Yelp) => (Side::Value, record.value?),
            (KeySource::Record, _) => (Side::Key, record.key?),
            (KeySource::Columns(_), envelope::Kind::Plain | envelope::Kind::DebeziumFlat) => {
                (Side::Value, record.value?)
            }
            _ => return None,
        };
        let mut front = self.front.take();
        let split = match &mut front {
            None => frame::split(bytes).ok(),
            Some(front) => self.datum_of(front, part, bytes),
        };
        let keys = split.and_then(|(id, datum)| self.key_columns_of(columns, id, datum));
        self.front = front;
        keys
    }

    /// The key columns in a datum of a schema that has them.
    fn key_columns_of(&mut self, columns: Vec<Column>, id: u32, datum: &[u8]) -> Option<Vec<u8>> {
        let schema = self.schemas.get(&self.name(id))?;
        let fields = Fields::new(schema.clone(), schema.root());
        let keys = Plan { columns };
        let known = |column| fields.field_of(&keys, column, &self.settings).is_some();
        if !keys.columns.iter().all(known) {
            return None;
        }
        let program = RowProgram::compile(&keys, Some(fields), None, Wanted::Key, &self.settings);
        self.hand.write_key(&program, datum)
    }
}

impl Hand {
    /// The key columns alone, for a record that has no row.
    fn write_key(&mut self, program: &RowProgram, datum: &[u8]) -> Option<Vec<u8>> {
        self.row.clear();
        self.row.reserve(program.room() + 2 * datum.len());
        self.marks.clear();
        let mut stats = Stats::default();
        let written = program.write(&mut Cursor::new(datum), &[], &mut self.pen(&mut stats));
        written.ok().map(|()| aside::keys_of(&self.row))
    }
}
