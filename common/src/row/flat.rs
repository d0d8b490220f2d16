//! Records that Debezium's ExtractNewRecordState flattened: the row itself, and beside its fields those that the transform adds, whose
//! names begin with two underscores. `__deleted` and `__op` say what happened; what else it adds is stored only where it is asked for.
//!
//! A delete that the transform rewrote holds the key, and for every other field what the source remembers or, in its absence, a filled-in
//! default (0, an empty text, 1970), so nothing of it is stored but the key and what the transform added.

use std::sync::Arc;

use super::error::Problem;
use super::program::RowProgram;
use crate::avro::datum::{Cursor, Skip};
use crate::avro::{Kind, Nullable, WriterSchema};

/// What the names of added fields begin with (`add.fields.prefix`).
pub(super) const PREFIX: &str = "__";
const DELETED: &str = "__deleted";
const OPERATION: &str = "__op";

/// What a flattened record does to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The row is this, by this operation; 0 where the record does not name one.
    Row(u8),
    Delete,
    Truncate,
    /// A message of the source that is no change of a row.
    Nothing,
}

/// How flattened records of one schema are read and written.
#[derive(Debug)]
pub(super) struct Flat {
    schema: Arc<WriterSchema>,
    steps: Vec<Step>,
    pub(super) upsert: RowProgram,
    pub(super) delete: RowProgram,
    /// The operation of rows that do not name one.
    pub(super) unnamed: u8,
}

/// A step over the record, up to the last field that says what happened.
#[derive(Debug)]
enum Step {
    Skip(Vec<Skip>),
    Deleted(Nullable, Flag),
    Operation(Nullable),
}

#[derive(Debug, Clone, Copy)]
enum Flag {
    Text,
    Boolean,
}

impl Flat {
    pub(super) fn new(schema: &Arc<WriterSchema>, upsert: RowProgram, delete: RowProgram, keyed: bool) -> Flat {
        let mut steps: Vec<Step> = Vec::new();
        for field in schema.fields(schema.root()).unwrap_or_default() {
            let single = schema
                .nullable(field.node)
                .map(|(node, nullable)| (schema.kind(node), nullable));
            let step = match (field.name.as_str(), single) {
                (DELETED, Some((Kind::String, nullable))) => Step::Deleted(nullable, Flag::Text),
                (DELETED, Some((Kind::Boolean, nullable))) => Step::Deleted(nullable, Flag::Boolean),
                (OPERATION, Some((Kind::String, nullable))) => Step::Operation(nullable),
                _ => Step::Skip(Skip::plan(schema, field.node)),
            };
            match (steps.last_mut(), step) {
                (Some(Step::Skip(before)), Step::Skip(mut more)) => before.append(&mut more),
                (_, step) => steps.push(step),
            }
        }
        if matches!(steps.last(), Some(Step::Skip(_))) {
            steps.pop();
        }
        Flat {
            schema: Arc::clone(schema),
            steps,
            upsert,
            delete,
            unnamed: if keyed { b'u' } else { b'c' },
        }
    }

    /// What the record says that happened.
    pub(super) fn change(&self, datum: &[u8]) -> Result<Change, Problem> {
        let mut cursor = Cursor::new(datum);
        let (mut deleted, mut op) = (false, 0);
        for step in &self.steps {
            match step {
                Step::Skip(skips) => Skip::pass_all(skips, &mut cursor, &self.schema).map_err(Problem::Value)?,
                Step::Deleted(nullable, flag) => deleted = is_deleted(&mut cursor, *nullable, *flag)?,
                Step::Operation(nullable) => op = operation(&mut cursor, *nullable)?,
            }
        }
        Ok(match op {
            _ if deleted => Change::Delete,
            b'd' => Change::Delete,
            b't' => Change::Truncate,
            b'm' => Change::Nothing,
            op => Change::Row(op),
        })
    }
}

fn is_deleted(cursor: &mut Cursor<'_>, nullable: Nullable, flag: Flag) -> Result<bool, Problem> {
    if !cursor.present(nullable).map_err(Problem::Value)? {
        return Ok(false);
    }
    match flag {
        Flag::Boolean => cursor.boolean().map_err(Problem::Value),
        Flag::Text => match cursor.prefixed().map_err(Problem::Value)? {
            b"true" => Ok(true),
            b"false" => Ok(false),
            other => Err(Problem::Deleted(String::from_utf8_lossy(other).into_owned())),
        },
    }
}

fn operation(cursor: &mut Cursor<'_>, nullable: Nullable) -> Result<u8, Problem> {
    if !cursor.present(nullable).map_err(Problem::Value)? {
        return Ok(0);
    }
    match cursor.prefixed().map_err(Problem::Value)? {
        &[op] if b"curdtm".contains(&op) => Ok(op),
        other => Err(Problem::Operation(String::from_utf8_lossy(other).into_owned())),
    }
}
