//! Which columns schemas make, and how a plan grows by them (protocol rule 7): what fits is written in the plan as it is, so that old
//! and new schemas may interleave for ever without a cut; what does not fit makes a plan of the old columns and the new.

use std::sync::Arc;

use super::error::PlanError;
use super::position;
use super::settings::{KeySource, Settings};
use crate::avro::datum::Cursor;
use crate::avro::field::{self, Scratch};
use crate::avro::form::{Form, Mapping};
use crate::avro::{Kind, NodeId, Nullable, WriterSchema, default};
use crate::csv::Row;
use crate::plan::{Column, META_COLUMNS, Plan};
use crate::table::{ColumnType, column_name};

/// Columns of a table (redshift.md 2.3).
const COLUMNS_MAX: usize = 1600;

/// A field that will be a column.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name at the source.
    pub(super) source: String,
    ty: ColumnType,
    nullable: bool,
    default: Option<String>,
    key: Option<u16>,
}

/// What key and value schemas make together.
#[derive(Debug)]
pub(super) struct Shape {
    fields: Vec<Field>,
    /// Whether the records say what the key is; those without a key and with one planned do not.
    key_known: bool,
}

/// A schema and the record in it that holds the columns.
pub(super) type RecordOf<'a> = (&'a WriterSchema, NodeId);

impl Shape {
    /// The columns of a value record and of a key.
    pub(super) fn of(
        value: Option<RecordOf<'_>>,
        key: Option<RecordOf<'_>>,
        settings: &Settings,
    ) -> Result<Shape, PlanError> {
        let mut fields: Vec<Field> = Vec::new();
        if let Some((schema, record)) = value {
            fields = Field::all(schema, record, "value")?;
            fields.retain(|field| !settings.leaves_out(&field.source));
        }
        match &settings.key {
            KeySource::None => {}
            KeySource::Columns(names) => {
                // A tombstone has only the record's key, which may hold the columns.
                if let (None, Some((schema, record))) = (value, key) {
                    fields = Field::all(schema, record, "key")?;
                    fields.retain(|field| names.contains(&field.source));
                }
                for (position, name) in names.iter().enumerate() {
                    let field = fields.iter_mut().find(|field| field.source == *name);
                    field.ok_or_else(|| PlanError::NoSuchKey(name.clone()))?.key = Some(position as u16);
                }
            }
            KeySource::Record => {
                if let Some((schema, record)) = key {
                    add_key(&mut fields, Field::all(schema, record, "key")?)?;
                }
            }
        }
        for field in fields.iter_mut().filter(|field| field.key.is_some()) {
            if matches!(field.ty, ColumnType::Super | ColumnType::Varbyte { .. }) {
                return Err(PlanError::KeyType {
                    field: field.source.clone(),
                    ty: field.ty,
                });
            }
            field.nullable = false;
        }
        Ok(Shape {
            fields,
            key_known: key.is_some() || settings.key != KeySource::Record,
        })
    }

    /// Adds the column of the change's place at its source, where one is configured.
    pub(super) fn with_position(mut self, envelope: &WriterSchema, settings: &Settings) -> Result<Shape, PlanError> {
        if let Some(name) = &settings.position {
            self.fields.push(position::field_of(envelope, name)?);
        }
        Ok(self)
    }

    /// The plan that holds these columns and those of `plan`; `None` if `plan` already does.
    pub(super) fn grow(self, plan: &Plan) -> Result<Option<Plan>, PlanError> {
        let mut grown = plan.clone();
        let first = plan.columns.is_empty();
        if !first {
            self.check_key(plan)?;
        }
        for field in self.fields {
            match grown.columns.iter_mut().find(|column| column.source == field.source) {
                Some(column) => field.widen(column)?,
                None => {
                    let name = column_name(&field.source, |name| {
                        grown.columns.iter().any(|column| column.name == name)
                    });
                    let name = name.ok_or_else(|| PlanError::Name(field.source.clone()))?;
                    let Field {
                        source,
                        ty,
                        nullable,
                        default,
                        key,
                    } = field;
                    grown.columns.push(Column {
                        name,
                        ty,
                        nullable,
                        default,
                        key,
                        source,
                    });
                }
            }
        }
        let columns = grown.columns.len() + META_COLUMNS.len();
        if columns > COLUMNS_MAX {
            return Err(PlanError::Columns(columns));
        }
        Ok((first || grown != *plan).then_some(grown))
    }

    fn check_key(&self, plan: &Plan) -> Result<(), PlanError> {
        let planned: Vec<&str> = plan.key_columns().iter().map(|column| column.source.as_str()).collect();
        let mut found: Vec<&Field> = self.fields.iter().filter(|field| field.key.is_some()).collect();
        found.sort_by_key(|field| field.key);
        let found: Vec<&str> = found.iter().map(|field| field.source.as_str()).collect();
        if planned == found || !self.key_known && found.is_empty() {
            return Ok(());
        }
        Err(PlanError::KeyChanged {
            planned: planned.join(", "),
            found: found.join(", "),
        })
    }
}

/// Marks the key columns of the value and puts those that only the key has before them.
fn add_key(fields: &mut Vec<Field>, key: Vec<Field>) -> Result<(), PlanError> {
    let mut only_in_key = Vec::new();
    for (position, mut key_field) in key.into_iter().enumerate() {
        let position = Some(position as u16);
        match fields.iter_mut().find(|field| field.source == key_field.source) {
            Some(field) => {
                let joined = field.ty.join(key_field.ty);
                let changed = || PlanError::TypeChanged {
                    field: field.source.clone(),
                    planned: field.ty,
                    found: key_field.ty,
                };
                field.ty = joined.ok_or_else(changed)?;
                field.key = position;
            }
            None => {
                key_field.key = position;
                only_in_key.push(key_field);
            }
        }
    }
    fields.splice(0..0, only_in_key);
    Ok(())
}

impl Field {
    /// A field without a default that is no part of the key.
    pub(super) fn plain(source: String, ty: ColumnType, nullable: bool) -> Field {
        Field {
            source,
            ty,
            nullable,
            default: None,
            key: None,
        }
    }

    fn all(schema: &WriterSchema, record: NodeId, part: &'static str) -> Result<Vec<Field>, PlanError> {
        let Some(fields) = schema.fields(record) else {
            let found = format!("{:?}", schema.kind(record)).to_lowercase();
            let found = found.split(['(', ' ']).next().unwrap_or_default().to_owned();
            return Err(PlanError::NotARecord { part, found });
        };
        let field = |field: &crate::avro::RecordField| {
            // In JSON a field may have any name; this is what columns of `source` are known by.
            if field.name.starts_with(position::PREFIX) {
                return Err(PlanError::Name(field.name.clone()));
            }
            let (mapping, nullable) = mapping(schema, field.node);
            let default = match &field.default {
                Some(value) if !value.is_null() => Some(default_text(schema, field.node, value, &field.name)?),
                _ => None,
            };
            Ok(Field {
                source: field.name.clone(),
                ty: mapping.ty,
                nullable,
                default,
                key: None,
            })
        };
        fields.iter().map(field).collect()
    }

    fn widen(self, column: &mut Column) -> Result<(), PlanError> {
        let changed = || PlanError::TypeChanged {
            field: self.source.clone(),
            planned: column.ty,
            found: self.ty,
        };
        column.ty = column.ty.join(self.ty).ok_or_else(changed)?;
        column.nullable |= self.nullable && column.key.is_none();
        Ok(())
    }
}

/// The mapping of a field and whether it can be null.
fn mapping(schema: &WriterSchema, node: NodeId) -> (Mapping, bool) {
    match schema.nullable(node) {
        Some((inner, nullable)) => {
            let mapping = Mapping::of(schema, inner);
            let null_only = mapping.form == Form::Null;
            (mapping, nullable.possible() || null_only)
        }
        None => {
            let Kind::Union(branches) = schema.kind(node) else {
                return (Mapping::of(schema, node), false);
            };
            let null = branches.iter().any(|&branch| *schema.kind(branch) == Kind::Null);
            (Mapping::of(schema, node), null)
        }
    }
}

/// The default of a field as it would stand in a row, without quotes.
fn default_text(
    schema: &WriterSchema,
    node: NodeId,
    value: &serde_json::Value,
    name: &str,
) -> Result<String, PlanError> {
    let wrong = |why: String| PlanError::Default {
        field: name.to_owned(),
        why,
    };
    let mut datum = Vec::new();
    default::datum(schema, node, value, &mut datum, 0)
        .ok_or_else(|| wrong(format!("`{value}` is no value of its type")))?;
    let mut cursor = Cursor::new(&datum);
    let (node, nullable) = schema.nullable(node).unwrap_or((node, Nullable::Never));
    let mut row = Row::new("\0");
    let mapping = Mapping::of(schema, node);
    row.reserve(2 * datum.len() + mapping.form.room());
    let written = cursor
        .present(nullable)
        .and_then(|_| field::write(&mapping.form, schema, &mut cursor, &mut row, &mut Scratch::new(None)));
    written.map_err(|reason| wrong(reason.to_string()))?;
    let text = String::from_utf8_lossy(row.written()).into_owned();
    let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    Ok(unquoted.map_or(text.clone(), |text| text.replace("\"\"", "\"")))
}

/// The plan for records of these schemas: pairs of key and value schema, each with the record that holds the columns found by
/// `settings`' envelope, in the order in which the records came.
///
/// # Errors
/// When a schema has no columns, or two do not fit one table.
pub fn plan_for(
    schemas: &[(Option<Arc<WriterSchema>>, Arc<WriterSchema>)],
    settings: &Settings,
) -> Result<Plan, PlanError> {
    let mut plan = Plan::default();
    for (key, value) in schemas {
        let record = match settings.envelope {
            crate::envelope::Kind::Plain | crate::envelope::Kind::DebeziumFlat => value.root(),
            crate::envelope::Kind::Debezium => match crate::envelope::Message::of(value) {
                crate::envelope::Message::Change(layout) => layout.after,
                _ => continue,
            },
        };
        let key = key.as_ref().map(|key| (key.as_ref(), key.root()));
        let mut shape = Shape::of(Some((value, record)), key, settings)?;
        if settings.envelope == crate::envelope::Kind::Debezium {
            shape = shape.with_position(value, settings)?;
        }
        if let Some(grown) = shape.grow(&plan)? {
            plan = grown;
        }
    }
    Ok(plan)
}
