//! Fields of a Debezium change's `source` block as columns of every row, deletes included: the place of the change at its source
//! (protocol rule 20), and what else was asked for.

use std::sync::Arc;

use super::ColumnRules;
use super::Reason;
use super::attached::Place;
use super::error::PlanError;
use super::shape::{Field, wanted_type};
use crate::avro::datum::{Cursor, Skip};
use crate::avro::field::{self, Scratch, Written};
use crate::avro::form::{Form, Mapping};
use crate::avro::{NodeId, Nullable, WriterSchema};
use crate::plan::Column;
use crate::table::ColumnType;

/// What the source of such a column begins with; no name in Avro has a dot, and in JSON none that begins so is a column.
pub(super) const PREFIX: &str = "source.";

/// The field of the envelope that holds the block.
const BLOCK: &str = "source";

/// Where the field lies, and how it is written.
#[derive(Debug)]
pub(super) struct Position {
    schema: Arc<WriterSchema>,
    /// What stands before the block.
    before: Vec<Skip>,
    block: Nullable,
    /// What stands before the field in the block.
    within: Vec<Skip>,
    field: Nullable,
    form: Form,
}

/// The block's record, and the node of the field in it.
fn find(schema: &WriterSchema, name: &str) -> Option<(usize, NodeId, Nullable, usize, NodeId)> {
    let envelope = schema.fields(schema.root())?;
    let outer = envelope.iter().position(|field| field.name == BLOCK)?;
    let node = envelope[outer].node;
    let (block, nullable) = schema.nullable(node).unwrap_or((node, Nullable::Never));
    let fields = schema.fields(block)?;
    let inner = fields.iter().position(|field| field.name == name)?;
    Some((outer, block, nullable, inner, fields[inner].node))
}

/// The column that a field of the block makes.
///
/// # Errors
/// When the block has no such field, or the type that is asked for cannot hold it.
pub(super) fn field_of(schema: &WriterSchema, name: &str, rules: &ColumnRules) -> Result<Field, PlanError> {
    let (ty, nullable) = type_of(schema, name, rules)?;
    Ok(Field::plain(format!("{PREFIX}{name}"), ty, nullable.possible()))
}

/// The same of the field that orders rows.
///
/// # Errors
/// See [`field_of`]; and when its type has no order.
pub(super) fn ordering_field(schema: &WriterSchema, name: &str, rules: &ColumnRules) -> Result<Field, PlanError> {
    let (ty, _) = type_of(schema, name, rules)?;
    if !ty.has_order() {
        return Err(PlanError::PositionType {
            field: name.to_owned(),
            ty,
        });
    }
    field_of(schema, name, rules)
}

fn type_of(schema: &WriterSchema, name: &str, rules: &ColumnRules) -> Result<(ColumnType, Nullable), PlanError> {
    let (.., node) = find(schema, name).ok_or_else(|| PlanError::NoPosition(name.to_owned()))?;
    let (node, nullable) = schema.nullable(node).unwrap_or((node, Nullable::Never));
    let ty = wanted_type(
        schema,
        node,
        &format!("{PREFIX}{name}"),
        Mapping::of(schema, node),
        rules,
    )?;
    Ok((ty, nullable))
}

impl Position {
    /// The way to a field in records of a schema, to be written into `column`; `None` if there is no such field.
    pub(super) fn new(schema: &Arc<WriterSchema>, column: &Column) -> Option<Position> {
        let name = column.source.strip_prefix(PREFIX)?;
        let (outer, block_node, block, inner, node) = find(schema, name)?;
        let pass = |record: NodeId, count: usize| -> Vec<Skip> {
            let fields = schema.fields(record).unwrap_or_default();
            let before = fields.iter().take(count);
            before.flat_map(|field| Skip::plan(schema, field.node)).collect()
        };
        let (node, field) = schema.nullable(node).unwrap_or((node, Nullable::Never));
        Some(Position {
            before: pass(schema.root(), outer),
            within: pass(block_node, inner),
            form: Mapping::of(schema, node).into_column(node, column.ty)?,
            schema: Arc::clone(schema),
            block,
            field,
        })
    }

    /// Writes the value of one record; NULL where there is none.
    pub(super) fn read(&self, datum: &[u8], place: &mut Place, scratch: &mut Scratch) -> Result<(), Reason> {
        let mut cursor = Cursor::new(datum);
        let row = &mut place.row;
        row.reserve(2 * datum.len() + self.form.room());
        Skip::pass_all(&self.before, &mut cursor, &self.schema)?;
        if !cursor.present(self.block)? {
            row.null();
            return Ok(());
        }
        Skip::pass_all(&self.within, &mut cursor, &self.schema)?;
        if !cursor.present(self.field)? {
            row.null();
        } else if let Written::Text(bytes) = field::write(&self.form, &self.schema, &mut cursor, row, scratch)? {
            place.text = bytes as u32;
        }
        Ok(())
    }
}
