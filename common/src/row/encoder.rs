//! The walk of a record: frame, envelope, rows.

mod keep;

use std::collections::HashMap;
use std::sync::Arc;

use super::attached::{Attached, Places};
use super::error::{EncodeError, Problem};
use super::flat::{Change, Flat};
use super::front::Front;
use super::position::Position;
use super::program::{Fault, Fields, Pen, Positions, RowProgram, Wanted};
use super::shape::{RecordOf, Shape};
use super::yelp::Yelp;
use super::{BadValue, Format, KeySource, Outcome, Reason, Record, Settings, Stats, Tombstones};
use crate::avro::datum::{Cursor, Skip};
use crate::avro::field::Scratch;
use crate::avro::{Language, WriterSchema, frame};
use crate::csv::Row;
use crate::envelope::{self, Layout, Message, Part};
use crate::ids::{Incarnation, Partition, SchemaId};
use crate::plan::Plan;

/// Programs kept per lineage. A lineage that goes through more pairs of schemas than this compiles again.
const PROGRAMS_MAX: usize = 64;
/// Bytes of the meta columns at most, besides the NULL marker.
const META_ROOM: usize = 256;

/// Turns the records of one lineage into rows.
#[derive(Debug)]
pub struct RowEncoder {
    pub(super) settings: Arc<Settings>,
    partition: Partition,
    plan: Option<Arc<Plan>>,
    pub(super) schemas: HashMap<SchemaId, Arc<WriterSchema>>,
    programs: Vec<Program>,
    /// The program of the record before, most likely of this one too.
    last: usize,
    pub(super) hand: Hand,
    /// Makes datums of keys and values; none for Avro behind numbers, which is read as it is.
    pub(super) front: Option<Box<Front>>,
    /// Names of the schemas that keys and values have behind a front, by their numbers; a number without one is a registry's own.
    pub(super) names: HashMap<u32, SchemaId>,
}

/// What a record is written with, apart from the programs that say how.
#[derive(Debug)]
pub(super) struct Hand {
    /// `"?",incarnation,partition,`
    origin: Vec<u8>,
    second: Second,
    row: Row,
    scratch: Scratch,
    positions: Positions,
    marks: Vec<usize>,
    /// Values of the present record that were replaced.
    amended: Vec<(usize, Reason, BadValue)>,
    /// What came with the present record, for the columns that are no fields.
    pub(super) places: Places,
}

/// The text of the last second seen: records come with the same or the next one.
#[derive(Debug)]
struct Second {
    second: i64,
    /// `YYYY-MM-DD HH:MM:SS`
    text: [u8; 19],
}

/// What is compiled for a pair of schemas.
#[derive(Debug)]
struct Program {
    value: Option<u32>,
    key: Option<u32>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Skipped,
    /// A plain value.
    Row {
        program: RowProgram,
        op: u8,
    },
    /// A plain null value, or the delete of an envelope that has only a key.
    Tombstone(RowProgram),
    Envelope(Box<Envelope>),
    Flat(Box<Flat>),
    Yelp(Box<Yelp>),
}

#[derive(Debug)]
struct Envelope {
    schema: Arc<WriterSchema>,
    layout: Layout,
    keyed: bool,
    /// The table's key comes from record keys, and these records have none: they can only delete, by the image before.
    lacks_key: bool,
    upsert: RowProgram,
    /// The delete by the record's key.
    by_key: Option<RowProgram>,
    /// The delete by the image before: its key, or all of it for a table without one.
    by_before: Option<RowProgram>,
    /// Where the fields of the source block lie for which the plan has columns, by the places of such columns; none where these changes
    /// lack one, and where a column is of something else that comes with a record.
    positions: Vec<Option<Position>>,
}

/// A key or value taken out of its frame.
pub(super) type Framed<'a> = Option<(u32, &'a [u8])>;

/// Where the parts of a row lie in the buffer.
pub(super) struct Start {
    row: usize,
    unchanged: usize,
    columns: usize,
}

impl RowEncoder {
    /// An encoder that goes on with the plan of the lineage's last claim.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        incarnation: Incarnation,
        partition: Partition,
        plan: Option<Arc<Plan>>,
    ) -> RowEncoder {
        let hand = Hand {
            origin: format!("\"?\",{incarnation},{partition},").into_bytes(),
            second: Second {
                second: i64::MIN,
                text: [0; 19],
            },
            row: Row::new(&settings.null_marker),
            scratch: Scratch::new(settings.unavailable_value.as_deref()),
            positions: Positions::default(),
            marks: Vec::new(),
            amended: Vec::new(),
            places: Places::new(plan.as_deref(), &settings.null_marker),
        };
        let (schemas, programs) = (HashMap::new(), Vec::new());
        RowEncoder {
            front: Front::new(&settings).map(Box::new),
            names: HashMap::new(),
            settings,
            partition,
            plan,
            schemas,
            programs,
            last: 0,
            hand,
        }
    }

    /// Makes a schema known.
    pub fn add_schema(&mut self, id: SchemaId, schema: Arc<WriterSchema>) {
        let schema = match self.settings.envelope {
            envelope::Kind::Yelp => Arc::new(schema.with_hints()),
            _ => schema,
        };
        self.schemas.insert(id, schema);
    }

    /// The plan that rows are written in; none before the first record.
    #[must_use]
    pub fn plan(&self) -> Option<&Arc<Plan>> {
        self.plan.as_ref()
    }

    /// Switches to another plan, after a cut.
    pub fn adopt(&mut self, plan: Arc<Plan>) {
        self.hand.places.adopt(&plan);
        self.plan = Some(plan);
        self.forget_programs();
    }

    pub(super) fn forget_programs(&mut self) {
        self.programs.clear();
        self.last = 0;
    }

    /// Appends the rows of a record to `out`, which stays as it is unless [`Outcome::Rows`] is returned.
    ///
    /// # Errors
    /// When the record cannot become a row; the same record will fail again.
    #[inline]
    pub fn encode(
        &mut self,
        record: &Record<'_>,
        out: &mut Vec<u8>,
        stats: &mut Stats,
    ) -> Result<Outcome, EncodeError> {
        match self.try_encode(record, out, stats) {
            Ok(outcome) => Ok(outcome),
            Err(failed) => Err(self.explain(record, failed)),
        }
    }

    #[cold]
    fn explain(&self, record: &Record<'_>, (column, problem): Failed) -> EncodeError {
        let column = match column {
            Some(index) => self
                .plan
                .as_ref()
                .and_then(|plan| Some(plan.columns.get(index)?.name.clone())),
            None => self.column_of(&problem),
        };
        let rule = column.as_deref().map(|column| self.settings.bad_value(column));
        EncodeError {
            partition: self.partition,
            offset: record.offset,
            column,
            problem: *problem,
            halts: rule == Some(BadValue::Halt),
        }
    }

    #[inline]
    fn try_encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>, stats: &mut Stats) -> Result<Outcome, Failed> {
        if self.front.is_some() {
            return self.encode_by_front(record, out, stats);
        }
        let value = framed(record.value, "value")?;
        let key = match self.needs_key(value.is_some()) {
            None => return Ok(Outcome::Skipped),
            Some(true) => framed(record.key, "key")?,
            Some(false) => None,
        };
        self.encode_framed(record, value, key, out, stats)
    }

    /// Whether a record's key is read; `None` if the record makes no row, whatever its key.
    #[inline]
    pub(super) fn needs_key(&self, has_value: bool) -> Option<bool> {
        match (has_value, &self.settings.key) {
            (false, _) if self.settings.envelope == envelope::Kind::Debezium => None,
            (false, _) if self.settings.tombstones == Tombstones::Skip => None,
            (false, KeySource::None) => None,
            (_, KeySource::Record) | (false, KeySource::Columns(_)) => Some(true),
            _ => Some(false),
        }
    }

    #[inline]
    pub(super) fn encode_framed(
        &mut self,
        record: &Record<'_>,
        value: Framed<'_>,
        key: Framed<'_>,
        out: &mut Vec<u8>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        if value.is_none() && key.is_none() {
            return match self.settings.key {
                KeySource::Columns(_) => Err((None, Box::new(Problem::NoKey))),
                _ => Ok(Outcome::Skipped),
            };
        }
        let ids = (value.map(|(id, _)| id), key.map(|(id, _)| id));
        if !self.knows(ids)
            && let Some(outcome) = self.compile(ids.0, ids.1)?
        {
            return Ok(outcome);
        }
        let outcome = self.run(record, value.map_or(&[], |(_, datum)| datum), key, stats)?;
        if let Outcome::Rows(_) = outcome {
            stats.schemas_of_row(ids);
            out.extend_from_slice(self.hand.row.written());
        }
        Ok(outcome)
    }

    /// Whether there is a program for a pair of schemas; it is the last one then.
    #[inline(always)]
    pub(super) fn knows(&mut self, ids: (Option<u32>, Option<u32>)) -> bool {
        let is_of = |program: &Program| (program.value, program.key) == ids;
        if self.programs.get(self.last).is_some_and(is_of) {
            return true;
        }
        let found = self.programs.iter().position(is_of);
        self.last = found.unwrap_or(self.last);
        found.is_some()
    }

    /// The last program, for a message of Yelp's pipeline, and what it writes with.
    pub(super) fn yelp_program(&mut self) -> (&mut Hand, &Yelp, Option<&Plan>) {
        let Body::Yelp(yelp) = &self.programs[self.last].body else {
            unreachable!("invariant: the settings are of Yelp's envelope, and so are all programs");
        };
        (&mut self.hand, yelp, self.plan.as_deref())
    }

    /// The rows written last.
    pub(super) fn written(&self) -> &[u8] {
        self.hand.row.written()
    }

    /// Ready for the next record, with what came beside it.
    #[inline]
    pub(super) fn begin(&mut self, record: &Record<'_>) -> Result<(), Failed> {
        self.hand.clear();
        if let (true, Some(block)) = (self.hand.places.have_headers(), record.headers) {
            let filled = self.hand.places.fill_headers(block);
            filled.or_else(|(column, reason)| self.leave_out(column, reason))?;
        }
        Ok(())
    }

    /// Leaves a column empty whose value came with the record and does not fit, if the column has a rule for that.
    #[cold]
    pub(super) fn leave_out(&mut self, column: usize, reason: Reason) -> Result<(), Failed> {
        let named = self.plan.as_deref().and_then(|plan| plan.columns.get(column));
        let rule = named.map_or(BadValue::SetAside, |column| self.settings.bad_value(&column.name));
        if !rule.replaces(reason) {
            return Err(broken((Some(column), reason)));
        }
        self.hand.amended.push((column, reason, rule));
        Ok(())
    }

    #[inline]
    fn run(
        &mut self,
        record: &Record<'_>,
        datum: &[u8],
        key: Framed<'_>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        self.begin(record)?;
        let hand = &mut self.hand;
        let plan = self.plan.as_deref();
        let mut cursor = Cursor::new(datum);
        let key_datum = key.map_or(&[][..], |(_, datum)| datum);
        match &self.programs[self.last].body {
            // Messages of Yelp's pipeline have a way of their own.
            Body::Skipped | Body::Yelp(_) => return Ok(Outcome::Skipped),
            Body::Row { program, op } => {
                hand.write_row(program, *op, 0, record, (&mut cursor, key_datum), plan, stats)
                    .map_err(broken)?;
                all_read(&cursor)?;
            }
            Body::Tombstone(program) => {
                hand.write_row(program, b'd', 0, record, (&mut cursor, key_datum), plan, stats)
                    .map_err(broken)?;
            }
            Body::Flat(flat) => {
                let (program, op) = match flat.change(datum).map_err(failed)? {
                    Change::Row(0) => (&flat.upsert, flat.unnamed),
                    Change::Row(op) => (&flat.upsert, op),
                    Change::Delete => (&flat.delete, b'd'),
                    Change::Truncate => return Ok(Outcome::Truncate),
                    Change::Nothing => return Ok(Outcome::Skipped),
                };
                hand.write_row(program, op, 0, record, (&mut cursor, key_datum), plan, stats)
                    .map_err(broken)?;
                all_read(&cursor)?;
            }
            Body::Envelope(envelope) => {
                return hand.write_envelope(envelope, record, cursor, key, plan, stats);
            }
        }
        Ok(Outcome::Rows(1))
    }

    /// Compiles a program for a pair of schemas; an outcome if that has to wait.
    #[cold]
    pub(super) fn compile(&mut self, value_id: Option<u32>, key_id: Option<u32>) -> Result<Option<Outcome>, Failed> {
        let schema = |id: Option<u32>| match id {
            None => Ok(None),
            Some(id) => {
                let name = self.name(id);
                self.schemas.get(&name).map(Some).ok_or(name)
            }
        };
        let (value, key) = match (schema(value_id), schema(key_id)) {
            (Ok(value), Ok(key)) => (value.cloned(), key.cloned()),
            (Err(missing), _) | (_, Err(missing)) => return Ok(Some(Outcome::NeedSchema(missing))),
        };
        let named = self.name(value_id.or(key_id).unwrap_or_default());
        self.check_language(&value, &named)?;
        self.check_language(&key, &named)?;
        let body = match (&value, self.settings.envelope) {
            (Some(schema), envelope::Kind::Debezium) => match Message::of(schema) {
                Message::Other => Some(Body::Skipped),
                Message::Foreign(field) => {
                    return Err((None, Box::new(Problem::NotDebezium { schema: named, field })));
                }
                Message::Change(layout) => {
                    let after = layout.after;
                    if let Some(plan) = self.growth(Some((schema, after)), key.as_deref(), named, Some(schema))? {
                        return Ok(Some(Outcome::PlanGrows(plan)));
                    }
                    self.plan
                        .as_deref()
                        .map(|plan| self.envelope(plan, layout, schema, key.as_ref()))
                }
            },
            (Some(schema), envelope::Kind::DebeziumFlat) if Message::is_other(schema) => Some(Body::Skipped),
            _ => {
                let record = value.as_deref().map(|schema| (schema, schema.root()));
                if let Some(plan) = self.growth(record, key.as_deref(), named, None)? {
                    return Ok(Some(Outcome::PlanGrows(plan)));
                }
                let of_record =
                    self.settings.key == KeySource::Record && self.settings.envelope != envelope::Kind::Yelp;
                if value.is_some() && key.is_none() && of_record && self.keyed() {
                    return Err(failed(Problem::KeyMissing));
                }
                self.plan
                    .as_deref()
                    .map(|plan| self.plain(plan, value.as_ref(), key.as_ref()))
            }
        };
        if self.programs.len() >= PROGRAMS_MAX {
            self.programs.clear();
        }
        self.last = self.programs.len();
        let body = body.expect("invariant: without a plan the shape of a record always grows one");
        self.programs.push(Program {
            value: value_id,
            key: key_id,
            body,
        });
        Ok(None)
    }

    /// Datums of Avro by a schema of another language would be read as something else.
    fn check_language(&self, schema: &Option<Arc<WriterSchema>>, named: &SchemaId) -> Result<(), Failed> {
        let found = schema.as_ref().map_or(Language::Avro, |schema| schema.language());
        if self.settings.format != Format::Avro || found == Language::Avro {
            return Ok(());
        }
        Err(failed(Problem::Language {
            schema: named.clone(),
            found,
            wanted: Language::Avro,
        }))
    }

    fn keyed(&self) -> bool {
        self.plan.as_deref().is_some_and(is_keyed)
    }

    fn growth(
        &self,
        value: Option<RecordOf<'_>>,
        key: Option<&WriterSchema>,
        schema: SchemaId,
        envelope: Option<&WriterSchema>,
    ) -> Result<Option<Arc<Plan>>, Failed> {
        let none = Plan::default();
        let plan = self.plan.as_deref().unwrap_or(&none);
        let key = key.map(|key| (key, key.root()));
        let shape = Shape::of(value, key, &self.settings);
        let shape = shape.and_then(|shape| shape.with_attached(envelope, &self.settings));
        let grown = shape.and_then(|shape| shape.grow(plan));
        match grown {
            Ok(grown) => Ok(grown.map(Arc::new)),
            Err(error) => Err((None, Box::new(Problem::Plan { schema, error }))),
        }
    }

    fn plain(&self, plan: &Plan, value: Option<&Arc<WriterSchema>>, key: Option<&Arc<WriterSchema>>) -> Body {
        let fields = |schema: &Arc<WriterSchema>| Fields::new(schema.clone(), schema.root());
        let settings = &*self.settings;
        let key = || key.map(fields);
        let keyed = is_keyed(plan);
        match value {
            Some(value) => {
                let program = |wanted| RowProgram::compile(plan, Some(fields(value)), key(), wanted, settings);
                let all = program(Wanted::All).with_rules(plan, &self.settings);
                if self.settings.envelope == envelope::Kind::DebeziumFlat {
                    let delete = program(if keyed { Wanted::KeyAndAdded } else { Wanted::All });
                    return Body::Flat(Box::new(Flat::new(value, all, delete, keyed)));
                }
                if self.settings.envelope == envelope::Kind::Yelp {
                    let delete = if keyed {
                        program(Wanted::Key)
                    } else {
                        program(Wanted::All).with_rules(plan, &self.settings)
                    };
                    return Body::Yelp(Box::new(Yelp {
                        keyed,
                        upsert: all,
                        delete,
                    }));
                }
                Body::Row {
                    program: all,
                    op: if keyed { b'u' } else { b'c' },
                }
            }
            None => Body::Tombstone(RowProgram::compile(plan, None, key(), Wanted::Key, settings)),
        }
    }

    fn envelope(
        &self,
        plan: &Plan,
        layout: Layout,
        value: &Arc<WriterSchema>,
        key: Option<&Arc<WriterSchema>>,
    ) -> Body {
        let settings = &*self.settings;
        let keyed = is_keyed(plan);
        let key_fields = || key.map(|schema| Fields::new(schema.clone(), schema.root()));
        let after = Fields::new(value.clone(), layout.after);
        let upsert = RowProgram::compile(plan, Some(after), key_fields(), Wanted::All, settings);
        let upsert = upsert.with_rules(plan, &self.settings);
        let by_key = key_fields().filter(|_| keyed);
        let by_key = by_key.map(|fields| RowProgram::compile(plan, None, Some(fields), Wanted::Key, settings));
        let wanted = if keyed { Wanted::Key } else { Wanted::All };
        let by_before = layout.before.map(|record| {
            let before = Fields::new(value.clone(), record);
            RowProgram::compile(plan, Some(before), None, wanted, settings).with_rules(plan, &self.settings)
        });
        let lacks_key = keyed && key.is_none() && self.settings.key == KeySource::Record;
        Body::Envelope(Box::new(Envelope {
            schema: value.clone(),
            layout,
            keyed,
            lacks_key,
            upsert,
            by_key,
            by_before,
            positions: plan
                .columns
                .iter()
                .filter(|column| Attached::of(column).is_some())
                .map(|column| Position::new(value, column))
                .collect(),
        }))
    }
}

fn is_keyed(plan: &Plan) -> bool {
    plan.columns.iter().any(|column| column.key.is_some())
}

/// A problem and the position of the column it concerns.
pub(super) type Failed = (Option<usize>, Box<Problem>);

#[cold]
pub(super) fn broken((column, reason): Fault) -> Failed {
    (column, Box::new(Problem::Value(reason)))
}

#[cold]
fn failed(problem: Problem) -> Failed {
    (None, Box::new(problem))
}

#[inline]
fn framed<'a>(bytes: Option<&'a [u8]>, part: &'static str) -> Result<Framed<'a>, Failed> {
    match bytes.map(frame::split) {
        None => Ok(None),
        Some(Ok(split)) => Ok(Some(split)),
        Some(Err(error)) => Err(failed(Problem::Frame { part, error })),
    }
}

/// A datum read with the wrong schema seldom ends where it should.
#[inline]
pub(super) fn all_read(cursor: &Cursor<'_>) -> Result<(), Failed> {
    match cursor.bytes.len() - cursor.at {
        0 => Ok(()),
        left => Err(broken((
            None,
            Reason::Trailing(u32::try_from(left).unwrap_or(u32::MAX)),
        ))),
    }
}

impl Hand {
    /// Ready for the next record.
    #[inline]
    fn clear(&mut self) {
        self.row.clear();
        self.amended.clear();
        self.places.clear();
    }

    /// Writes one whole row and passes the record it is made of.
    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "a row is made of that many things, and a struct of them would be built per row"
    )]
    pub(super) fn write_row(
        &mut self,
        program: &RowProgram,
        op: u8,
        seq: u8,
        record: &Record<'_>,
        (value, key): (&mut Cursor<'_>, &[u8]),
        plan: Option<&Plan>,
        stats: &mut Stats,
    ) -> Result<Start, Fault> {
        self.row
            .reserve(META_ROOM + program.room() + self.places.bytes() + 2 * (value.bytes.len() + key.len()));
        let start = self.write_meta(op, seq, record);
        self.marks.clear();
        program.write(value, key, &mut self.pen(stats))?;
        if !self.marks.is_empty() {
            self.write_marks(&start, plan);
        }
        self.row.end(start.row).map_err(|reason| (None, reason))?;
        Ok(start)
    }

    /// What a row is written with.
    #[inline]
    fn pen<'a>(&'a mut self, stats: &'a mut Stats) -> Pen<'a> {
        Pen {
            row: &mut self.row,
            scratch: &mut self.scratch,
            positions: &mut self.positions,
            places: &self.places,
            stats,
            marks: &mut self.marks,
            amended: &mut self.amended,
        }
    }

    #[inline]
    fn write_meta(&mut self, op: u8, seq: u8, record: &Record<'_>) -> Start {
        let row = &mut self.row;
        let start = row.len();
        row.raw(&self.origin);
        row.patch(start + 1, op);
        row.integer(record.offset.0);
        row.raw(&[b',', b'0' + seq, b',']);
        self.second.write(record.timestamp_ms, row);
        row.byte(b',');
        let unchanged = row.len();
        row.null();
        row.byte(b',');
        Start {
            row: start,
            unchanged,
            columns: row.len(),
        }
    }

    /// Puts the names of the marked columns where the NULL was, now that they are known.
    #[cold]
    fn write_marks(&mut self, start: &Start, plan: Option<&Plan>) {
        let columns = plan.map_or(&[][..], |plan| &plan.columns);
        let names: Vec<&str> = self
            .marks
            .iter()
            .filter_map(|&index| Some(columns.get(index)?.name.as_str()))
            .collect();
        let rest = self.row.written()[start.columns..].to_vec();
        let names = names.join(",");
        self.row.truncate(start.unchanged);
        self.row.reserve(names.len() + 3 + rest.len());
        self.row.quoted(names.as_bytes());
        self.row.byte(b',');
        self.row.raw(&rest);
    }

    /// Writes what an envelope says: the row of `after` as soon as it is met, its operation once that is known.
    #[inline]
    fn write_envelope(
        &mut self,
        envelope: &Envelope,
        record: &Record<'_>,
        mut cursor: Cursor<'_>,
        key: Framed<'_>,
        plan: Option<&Plan>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        let key_datum = key.map_or(&[][..], |(_, datum)| datum);
        let value_at_fault = |reason| broken((None, reason));
        let (mut before, mut after, mut rows, mut op) = (None, None, 0, 0);
        if !envelope.positions.is_empty() {
            self.read_source(&envelope.positions, cursor.bytes)
                .map_err(value_at_fault)?;
        }
        for part in &envelope.layout.parts {
            match part {
                Part::Skip(skips) => Skip::pass_all(skips, &mut cursor, &envelope.schema).map_err(value_at_fault)?,
                Part::Before(nullable) => {
                    if cursor.present(*nullable).map_err(value_at_fault)? {
                        before = Some(cursor);
                        let fields = envelope.by_before.as_ref().and_then(RowProgram::fields);
                        fields
                            .map_or(Ok(()), |fields| fields.skip(&mut cursor))
                            .map_err(value_at_fault)?;
                    }
                }
                Part::After(nullable) => {
                    if cursor.present(*nullable).map_err(value_at_fault)? {
                        if envelope.lacks_key {
                            return Err(failed(Problem::KeyMissing));
                        }
                        if let Some(before) = before {
                            rows += self.write_old_key(envelope, record, before, cursor, plan, stats)?;
                        }
                        let target = (&mut cursor, key_datum);
                        let start = self.write_row(&envelope.upsert, b'u', rows, record, target, plan, stats);
                        after = Some(start.map_err(broken)?.row);
                        rows += 1;
                    }
                }
                Part::Op => op = operation(&mut cursor)?,
            }
        }
        all_read(&cursor)?;
        match (op, after) {
            (b'c' | b'u' | b'r', Some(start)) => {
                self.row.patch(start + 1, op);
                Ok(Outcome::Rows(rows))
            }
            (b'd', _) => self.write_delete(envelope, record, before, key, plan, stats),
            (b't', _) => Ok(Outcome::Truncate),
            (b'm', _) => Ok(Outcome::Skipped),
            _ => Err(failed(Problem::NoImage(op.into()))),
        }
    }

    /// Reads the fields of the source block that are columns.
    fn read_source(&mut self, positions: &[Option<Position>], datum: &[u8]) -> Result<(), Reason> {
        for (position, place) in positions.iter().zip(self.places.all_mut()) {
            if let Some(position) = position {
                position.read(datum, place, &mut self.scratch)?;
            }
        }
        Ok(())
    }

    /// An update that changed the key first deletes the row of the old one (protocol rule 7).
    fn write_old_key(
        &mut self,
        envelope: &Envelope,
        record: &Record<'_>,
        before: Cursor<'_>,
        after: Cursor<'_>,
        plan: Option<&Plan>,
        stats: &mut Stats,
    ) -> Result<u8, Failed> {
        let (true, Some(program)) = (envelope.keyed, &envelope.by_before) else {
            return Ok(0);
        };
        let Some(fields) = program.fields() else { return Ok(0) };
        let differs = envelope.upsert.key_differs(before, fields, after);
        if !differs.map_err(|reason| broken((None, reason)))? {
            return Ok(0);
        }
        let target = (&mut before.clone(), &[][..]);
        self.write_row(program, b'd', 0, record, target, plan, stats)
            .map_err(broken)?;
        Ok(1)
    }

    fn write_delete(
        &mut self,
        envelope: &Envelope,
        record: &Record<'_>,
        before: Option<Cursor<'_>>,
        key: Framed<'_>,
        plan: Option<&Plan>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        self.row.truncate(0);
        let written = match (&envelope.by_key, key, &envelope.by_before, before) {
            (Some(program), Some((_, key)), ..) => {
                let target = (&mut Cursor::new(&[]), key);
                self.write_row(program, b'd', 0, record, target, plan, stats)
            }
            (_, _, Some(program), Some(mut before)) => {
                self.write_row(program, b'd', 0, record, (&mut before, &[]), plan, stats)
            }
            _ => return Err(failed(Problem::NoKey)),
        };
        written.map_err(broken)?;
        Ok(Outcome::Rows(1))
    }
}

fn operation(cursor: &mut Cursor<'_>) -> Result<u8, Failed> {
    match cursor.prefixed() {
        Ok(&[op]) => Ok(op),
        Ok(other) => Err(failed(Problem::Operation(String::from_utf8_lossy(other).into_owned()))),
        Err(reason) => Err(broken((None, reason))),
    }
}

impl Second {
    /// `YYYY-MM-DD HH:MM:SS.ffffff`; NULL for a record without a timestamp (Kafka says -1) or with one that is no date.
    #[inline]
    fn write(&mut self, timestamp_ms: i64, row: &mut Row) {
        let second = timestamp_ms.div_euclid(1000);
        if second != self.second && !self.turn(second, row) {
            row.null();
            return;
        }
        row.raw(&self.text);
        row.fraction_of_second(timestamp_ms.rem_euclid(1000) as u32 * 1000);
    }

    fn turn(&mut self, second: i64, row: &mut Row) -> bool {
        let start = row.len();
        let micros = second.checked_mul(1_000_000).filter(|&micros| micros >= 0);
        let written = micros.is_some_and(|micros| row.timestamp(micros).is_ok());
        if written {
            self.second = second;
            self.text.copy_from_slice(&row.written()[start..start + 19]);
        }
        row.truncate(start);
        written
    }
}
