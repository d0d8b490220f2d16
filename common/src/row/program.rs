//! A plan and the schemas of a record, compiled into a flat list of cells: what is left to do for a record is one walk over its bytes.

use std::sync::Arc;

use super::attached::{Attached, Places};
use super::columns::column_for;
use super::flat;
use super::hot::{self, HotCell};
use super::shape::wanted_type;
use super::{BadValue, Reason, Settings, Stats};
use crate::avro::datum::{Cursor, Skip};
use crate::avro::field::{self, Scratch, Written};
use crate::avro::form::{Form, Mapping};
use crate::avro::{NodeId, Nullable, RecordField, WriterSchema};
use crate::csv::{Row, TEXT_BYTES_MAX};
use crate::plan::{Column, Plan};
use crate::table::ColumnType;

/// Where the value of a column comes from.
#[derive(Debug)]
enum Source {
    /// This field of the value record.
    Value(usize),
    /// This field of the key record.
    Key(usize),
    /// The same text in every row: a default, or NULL.
    Constant(Box<[u8]>),
    /// What comes with the record, in the order of the plan's columns that take theirs from there.
    Place(usize),
}

/// One column of a row.
#[derive(Debug)]
struct Cell {
    source: Source,
    form: Form,
    nullable: Nullable,
    key: bool,
    /// What becomes of a value that does not fit.
    bad: BadValue,
}

/// One record of a schema whose fields are columns.
#[derive(Debug)]
pub(super) struct Fields {
    schema: Arc<WriterSchema>,
    record: NodeId,
    /// What it takes to pass each field.
    skips: Vec<Vec<Skip>>,
}

impl Fields {
    pub(super) fn new(schema: Arc<WriterSchema>, record: NodeId) -> Fields {
        let fields = schema.fields(record).unwrap_or_default();
        let skips = fields.iter().map(|field| Skip::plan(&schema, field.node)).collect();
        Fields { schema, record, skips }
    }

    /// Passes the whole record.
    #[inline]
    pub(super) fn skip(&self, cursor: &mut Cursor<'_>) -> Result<(), Reason> {
        self.skips
            .iter()
            .try_for_each(|skips| Skip::pass_all(skips, cursor, &self.schema))
    }

    /// Passes the whole record and notes where each field starts.
    fn index(&self, cursor: &mut Cursor<'_>, starts: &mut Vec<usize>) -> Result<(), Reason> {
        starts.clear();
        for field in &self.skips {
            starts.push(cursor.at);
            Skip::pass_all(field, cursor, &self.schema)?;
        }
        Ok(())
    }

    /// The field whose values a column of the plan takes, whatever their type.
    pub(super) fn field_of(&self, plan: &Plan, column: &Column, settings: &Settings) -> Option<usize> {
        let fields = self.schema.fields(self.record)?;
        let is_field = |name: &str| fields.iter().any(|field| field.name == name);
        fields.iter().position(|field| {
            let own = (field.name.as_str(), field.aliases.as_slice());
            settings.column_rules.known_as(plan, own, is_field) == column.source
        })
    }

    /// The cell of one column of the plan; `None` if no field is it.
    fn cell(&self, plan: &Plan, at: usize, settings: &Settings, source: fn(usize) -> Source) -> Option<Cell> {
        let column = &plan.columns[at];
        let index = self.field_of(plan, column, settings)?;
        let field = &self.schema.fields(self.record)?[index];
        let (node, nullable) = self
            .schema
            .nullable(field.node)
            .unwrap_or((field.node, Nullable::Never));
        let form = self.form(plan, (at, field, node), settings);
        Some(match form {
            Some(form) => Cell {
                source: source(index),
                form,
                nullable,
                key: column.key.is_some(),
                bad: BadValue::SetAside,
            },
            None => Cell::constant(settings.null_marker.as_bytes().into()),
        })
    }

    /// How a field is written into its column; `None` if it is not: it is left out, or its type has a column of its own.
    fn form(&self, plan: &Plan, (at, field, node): (usize, &RecordField, NodeId), settings: &Settings) -> Option<Form> {
        let column = &plan.columns[at];
        if column.key.is_none() && settings.leaves_out(&field.name) {
            return None;
        }
        let mapping = Mapping::of(&self.schema, node);
        let ty = wanted_type(&self.schema, node, &field.name, mapping.clone(), &settings.column_rules).ok()?;
        let of_source = plan.columns.iter().filter(|other| other.source == column.source);
        if of_source.count() > 1 && column_for(plan, &column.source, ty) != Some(at) {
            return None;
        }
        mapping.into_column(node, column.ty)
    }
}

/// Which columns a row has besides NULLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All: an upsert, or the image of a row.
    All,
    /// The key only: a delete.
    Key,
    /// The key, and what a transform added to the row's own fields: a delete that it flattened.
    KeyAndAdded,
}

impl Wanted {
    fn wants(self, column: &Column) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Key => column.key.is_some(),
            Wanted::KeyAndAdded => column.key.is_some() || column.source.starts_with(flat::PREFIX),
        }
    }
}

/// How the rows of one kind are written.
#[derive(Debug)]
pub(super) struct RowProgram {
    cells: Vec<Cell>,
    /// The same for the quick walk.
    hot: Vec<HotCell>,
    value: Option<Fields>,
    key: Option<Fields>,
    /// The fields of the value are columns in the same order: one pass is enough.
    direct: bool,
    reads_key: bool,
    /// Bytes that a row can need besides twice the bytes of key and value.
    room: usize,
}

/// Positions of fields, kept from record to record.
#[derive(Debug, Default)]
pub(super) struct Positions {
    value: Vec<usize>,
    key: Vec<usize>,
}

/// What a row is written with.
pub(super) struct Pen<'a> {
    pub(super) row: &'a mut Row,
    pub(super) scratch: &'a mut Scratch,
    pub(super) positions: &'a mut Positions,
    pub(super) places: &'a Places,
    pub(super) stats: &'a mut Stats,
    /// Columns of this row that hold unchanged marks.
    pub(super) marks: &'a mut Vec<usize>,
    /// Columns of the record whose values were replaced.
    pub(super) amended: &'a mut Vec<(usize, Reason, BadValue)>,
}

/// A reason and the column it concerns.
pub(super) type Fault = (Option<usize>, Reason);

impl RowProgram {
    pub(super) fn compile(
        plan: &Plan,
        value: Option<Fields>,
        key: Option<Fields>,
        wanted: Wanted,
        settings: &Settings,
    ) -> RowProgram {
        let null_marker = settings.null_marker.as_str();
        let mut places = 0..;
        let cell = |(at, column): (usize, &Column)| {
            if Attached::of(column).is_some() {
                return Cell {
                    source: Source::Place(places.next().unwrap_or_default()),
                    ..Cell::constant(Box::default())
                };
            }
            if !wanted.wants(column) {
                return Cell::constant(null_marker.as_bytes().into());
            }
            let of = |fields: &Option<Fields>, source| fields.as_ref()?.cell(plan, at, settings, source);
            of(&value, Source::Value)
                .or_else(|| of(&key, Source::Key))
                .unwrap_or_else(|| Cell::constant(default(column, null_marker)))
        };
        let cells: Vec<Cell> = plan.columns.iter().enumerate().map(cell).collect();
        let used: Vec<usize> = cells.iter().filter_map(Cell::value_field).collect();
        let fields = value.as_ref().map_or(0, |fields| fields.skips.len());
        let room = |cell: &Cell| match &cell.source {
            Source::Constant(text) => text.len() + 1,
            // What is there is added where a row begins.
            Source::Place(_) => null_marker.len() + 1,
            _ => cell.form.room().max(null_marker.len()) + 1,
        };
        RowProgram {
            direct: used.iter().copied().eq(0..fields),
            reads_key: cells.iter().any(|cell| matches!(cell.source, Source::Key(_))),
            room: cells.iter().map(room).sum(),
            hot: cells.iter().map(Cell::hot).collect(),
            cells,
            value,
            key,
        }
    }

    /// The same with the rules for values that do not fit. A key has none: without it a row could not be found again.
    pub(super) fn with_rules(mut self, plan: &Plan, settings: &Settings) -> RowProgram {
        let columns = self.cells.iter_mut().zip(&plan.columns);
        for (cell, column) in columns.filter(|(_, column)| column.key.is_none()) {
            cell.bad = settings.bad_value(&column.name);
        }
        self
    }

    /// Bytes that a row can need besides twice the bytes of key and value.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// The value's fields, which tell how to pass a record of it.
    pub(super) fn fields(&self) -> Option<&Fields> {
        self.value.as_ref()
    }

    /// Writes the columns of a row, each with a delimiter behind it, and passes the value's record.
    #[inline]
    pub(super) fn write(&self, value: &mut Cursor<'_>, key: &[u8], pen: &mut Pen<'_>) -> Result<(), Fault> {
        pen.stats.fit(self.cells.len());
        if self.reads_key
            && let Some(fields) = &self.key
        {
            let mut cursor = Cursor::new(key);
            fields
                .index(&mut cursor, &mut pen.positions.key)
                .map_err(|reason| (None, reason))?;
        }
        if self.direct {
            self.write_direct(value, key, pen)
        } else {
            self.write_indexed(value, key, pen)
        }
    }

    fn write_direct(&self, value: &mut Cursor<'_>, key: &[u8], pen: &mut Pen<'_>) -> Result<(), Fault> {
        let schema = self.value.as_ref().map(|fields| &*fields.schema);
        let careful = [pen.row.marker_bytes(), pen.scratch.unavailable_bytes()];
        let mut column = 0;
        loop {
            column = hot::write(&self.hot, column, value, pen.row, &mut pen.stats.longest, careful);
            let Some(cell) = self.cells.get(column) else {
                return Ok(());
            };
            let begun = (*value, pen.row.len());
            let done = match (&cell.source, schema) {
                (Source::Value(_), Some(schema)) => cell.write(column, schema, value, pen),
                _ => self.write_other(column, cell, key, pen),
            };
            if let Err(reason) = done {
                *value = self.amend((column, reason), begun, pen)?;
            }
            pen.row.byte(b',');
            column += 1;
        }
    }

    fn write_indexed(&self, value: &mut Cursor<'_>, key: &[u8], pen: &mut Pen<'_>) -> Result<(), Fault> {
        if let Some(fields) = &self.value {
            fields
                .index(value, &mut pen.positions.value)
                .map_err(|reason| (None, reason))?;
        }
        let schema = self.value.as_ref().map(|fields| &*fields.schema);
        for (column, cell) in self.cells.iter().enumerate() {
            let mut cursor = *value;
            if let Source::Value(field) = cell.source {
                cursor.at = pen.positions.value[field];
            }
            let begun = (cursor, pen.row.len());
            let done = match (&cell.source, schema) {
                (Source::Value(_), Some(schema)) => cell.write(column, schema, &mut cursor, pen),
                _ => self.write_other(column, cell, key, pen),
            };
            if let Err(reason) = done {
                self.amend((column, reason), begun, pen)?;
            }
            pen.row.byte(b',');
        }
        Ok(())
    }

    /// Replaces a value that does not fit, if its column has a rule for that; where the next value begins.
    #[cold]
    fn amend<'a>(
        &self,
        (column, reason): (usize, Reason),
        (mut cursor, row): (Cursor<'a>, usize),
        pen: &mut Pen<'_>,
    ) -> Result<Cursor<'a>, Fault> {
        let fault = (Some(column), reason);
        let cell = &self.cells[column];
        let (Some(fields), Some(field)) = (&self.value, cell.value_field()) else {
            return Err(fault);
        };
        if !cell.bad.replaces(reason) {
            return Err(fault);
        }
        pen.row.truncate(row);
        match (cell.bad, &cell.form) {
            (BadValue::Truncate, Form::Text { limit }) => {
                let mut text = cursor;
                let limit = (*limit as usize).min(TEXT_BYTES_MAX);
                let cut = text
                    .present(cell.nullable)
                    .and_then(|_| text.prefixed())
                    .map(|text| cut(text, limit));
                let bytes = cut.and_then(|text| pen.row.text(text, 0, text.len()).map(|()| text.len()));
                let bytes = bytes.map_err(|reason| (Some(column), reason))?;
                pen.stats.longest[column] = pen.stats.longest[column].max(bytes as u32);
            }
            (BadValue::Truncate, _) => return Err(fault),
            _ => pen.row.null(),
        }
        pen.amended.push((column, reason, cell.bad));
        Skip::pass_all(&fields.skips[field], &mut cursor, &fields.schema).map_err(|reason| (None, reason))?;
        Ok(cursor)
    }

    fn write_other(&self, column: usize, cell: &Cell, key: &[u8], pen: &mut Pen<'_>) -> Result<(), Reason> {
        match (&cell.source, &self.key) {
            (Source::Constant(text), _) => pen.row.raw(text),
            (Source::Place(index), _) => match pen.places.get(*index) {
                Some(place) if place.row.len() > 0 => {
                    pen.row.raw(place.row.written());
                    pen.stats.longest[column] = pen.stats.longest[column].max(place.text);
                }
                _ => pen.row.null(),
            },
            (Source::Key(field), Some(fields)) => {
                let mut cursor = Cursor {
                    bytes: key,
                    at: pen.positions.key[*field],
                };
                cell.write(column, &fields.schema, &mut cursor, pen)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether two records of the value differ in a key column. The cursors stay where they are.
    pub(super) fn key_differs(
        &self,
        mut before: Cursor<'_>,
        before_fields: &Fields,
        mut after: Cursor<'_>,
    ) -> Result<bool, Reason> {
        let Some(fields) = &self.value else { return Ok(false) };
        let mut left = self
            .cells
            .iter()
            .filter(|cell| cell.key && cell.value_field().is_some())
            .count();
        for index in 0..fields.skips.len().min(before_fields.skips.len()) {
            if left == 0 {
                break;
            }
            let (was, is) = (before.at, after.at);
            Skip::pass_all(&before_fields.skips[index], &mut before, &before_fields.schema)?;
            Skip::pass_all(&fields.skips[index], &mut after, &fields.schema)?;
            if self
                .cells
                .iter()
                .any(|cell| cell.key && cell.value_field() == Some(index))
            {
                left -= 1;
                if before.bytes[was..before.at] != after.bytes[is..after.at] {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Cell {
    /// The same text in every row.
    fn constant(text: Box<[u8]>) -> Cell {
        Cell {
            source: Source::Constant(text),
            form: Form::Null,
            nullable: Nullable::Never,
            key: false,
            bad: BadValue::SetAside,
        }
    }

    fn hot(&self) -> HotCell {
        HotCell::new(&self.form, self.nullable, self.key, self.value_field().is_some())
    }

    fn value_field(&self) -> Option<usize> {
        match self.source {
            Source::Value(field) => Some(field),
            _ => None,
        }
    }

    #[inline]
    fn write(
        &self,
        column: usize,
        schema: &WriterSchema,
        cursor: &mut Cursor<'_>,
        pen: &mut Pen<'_>,
    ) -> Result<(), Reason> {
        if !cursor.present(self.nullable)? {
            if self.key {
                return Err(Reason::NullKey);
            }
            pen.row.null();
            return Ok(());
        }
        match field::write(&self.form, schema, cursor, pen.row, pen.scratch)? {
            Written::Value => {}
            Written::Text(bytes) => {
                let longest = &mut pen.stats.longest[column];
                *longest = (*longest).max(bytes as u32);
                if self.key && bytes > 0 && pen.row.written()[pen.row.len() - 2] == b' ' {
                    return Err(Reason::KeyBlank);
                }
            }
            Written::Unchanged => {
                if self.key {
                    return Err(Reason::KeyUnchanged);
                }
                pen.row.null();
                pen.marks.push(column);
                pen.stats.unchanged[column] = true;
            }
        }
        Ok(())
    }
}

/// At most so many bytes of a text, whole characters; what is no UTF-8 is for the writer of texts to say.
fn cut(text: &[u8], limit: usize) -> &[u8] {
    let begins = |at: usize| text.get(at).is_none_or(|byte| byte & 0xC0 != 0x80);
    let end = (0..=limit.min(text.len())).rev().find(|&at| begins(at));
    &text[..end.unwrap_or(0)]
}

/// What a row has in a column that its writer does not know, as it stands in a row.
fn default(column: &Column, null_marker: &str) -> Box<[u8]> {
    let Some(text) = &column.default else {
        return null_marker.as_bytes().into();
    };
    let quoted = matches!(
        column.ty,
        ColumnType::Varchar { .. } | ColumnType::Super | ColumnType::Varbyte { .. }
    );
    if quoted {
        format!("\"{}\"", text.replace('"', "\"\"")).into_bytes().into()
    } else {
        text.as_bytes().into()
    }
}
