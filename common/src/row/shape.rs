//! Which columns schemas make, and how a plan grows by them (protocol rule 7): what fits is written in the plan as it is, so that old
//! and new schemas may interleave for ever without a cut; what does not fit makes a plan of the old columns and the new.

use std::sync::Arc;

use super::attached;
use super::columns::column_for;
use super::error::PlanError;
use super::position;
use super::settings::{KeySource, Settings};
use super::{ColumnRules, TypeChanges};
use crate::avro::datum::Cursor;
use crate::avro::field::{self, Scratch};
use crate::avro::form::{Form, Mapping};
use crate::avro::{Kind, NodeId, Nullable, WriterSchema, default};
use crate::csv::Row;
use crate::envelope;
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
    /// Names that it had before.
    aliases: Vec<String>,
}

/// What key and value schemas make together.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    fields: Vec<Field>,
    rules: &'a ColumnRules,
    /// Whether the records say what the key is; those without a key and with one planned do not.
    key_known: bool,
}

/// A schema and the record in it that holds the columns.
pub(super) type RecordOf<'a> = (&'a WriterSchema, NodeId);

impl<'a> Shape<'a> {
    /// The columns of a value record and of a key.
    pub(super) fn of(
        value: Option<RecordOf<'_>>,
        key: Option<RecordOf<'_>>,
        settings: &'a Settings,
    ) -> Result<Shape<'a>, PlanError> {
        let rules = &settings.column_rules;
        let mut fields: Vec<Field> = Vec::new();
        if let Some((schema, record)) = value {
            fields = Field::all(schema, record, "value", rules)?;
            fields.retain(|field| !settings.leaves_out(&field.source));
        }
        match &settings.key {
            KeySource::None => {}
            KeySource::Columns(names) => {
                // A tombstone has only the record's key, which may hold the columns.
                if let (None, Some((schema, record))) = (value, key) {
                    fields = Field::all(schema, record, "key", rules)?;
                    fields.retain(|field| names.contains(&field.source));
                }
                for (position, name) in names.iter().enumerate() {
                    let field = fields.iter_mut().find(|field| field.source == *name);
                    field.ok_or_else(|| PlanError::NoSuchKey(name.clone()))?.key = Some(position as u16);
                }
            }
            KeySource::Record if settings.envelope == envelope::Kind::Yelp => {
                if let Some((schema, record)) = value {
                    mark_key(&mut fields, schema, record);
                }
            }
            KeySource::Record => {
                if let Some((schema, record)) = key {
                    add_key(&mut fields, Field::all(schema, record, "key", rules)?)?;
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
            rules,
            key_known: key.is_some() || settings.key != KeySource::Record || settings.envelope == envelope::Kind::Yelp,
        })
    }

    /// Adds the columns of what comes with a record: of a change's place at its source, whatever else of the source block is asked for, and
    /// the rest.
    pub(super) fn with_attached(
        mut self,
        envelope: Option<&WriterSchema>,
        settings: &Settings,
    ) -> Result<Shape<'a>, PlanError> {
        if let Some(envelope) = envelope {
            if let Some(name) = &settings.position {
                self.fields.push(position::ordering_field(envelope, name, self.rules)?);
            }
            let others = self.rules.source_fields.iter();
            for name in others.filter(|name| settings.position.as_ref() != Some(name)) {
                self.fields.push(position::field_of(envelope, name, self.rules)?);
            }
        }
        self.fields.extend(attached::fields(settings));
        Ok(self)
    }

    /// Names the fields as the plan knows them.
    fn settle(&mut self, plan: &Plan) {
        let names: Vec<String> = self.fields.iter().map(|field| field.source.clone()).collect();
        let rules = self.rules;
        for field in &mut self.fields {
            let own = (field.source.as_str(), field.aliases.as_slice());
            let known = rules.known_as(plan, own, |name| names.iter().any(|own| own == name));
            field.source = known.to_owned();
        }
    }

    /// The plan that holds these columns and those of `plan`; `None` if `plan` already does.
    pub(super) fn grow(mut self, plan: &Plan) -> Result<Option<Plan>, PlanError> {
        let mut grown = plan.clone();
        let first = plan.columns.is_empty();
        if !first {
            self.settle(plan);
            self.check_key(plan)?;
        }
        for field in self.fields {
            let taken = grown.columns.iter().position(|column| column.source == field.source);
            match (column_for(&grown, &field.source, field.ty), taken) {
                (Some(index), _) => field.widen(&mut grown.columns[index])?,
                (None, Some(first)) => field.turn(&mut grown, first, self.rules)?,
                (None, None) => {
                    let renamed = self.rules.rename.get(&field.source).cloned();
                    let name = renamed.unwrap_or_else(|| attached::column_name(&field.source));
                    grown.columns.push(field.into_column(&name, &grown)?);
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

/// Marks the fields that say of themselves that they are the key, in the order of their places and then of the record.
fn mark_key(fields: &mut [Field], schema: &WriterSchema, record: NodeId) {
    let said = schema.fields(record).unwrap_or_default();
    let mut keys: Vec<(u32, &str)> = said
        .iter()
        .filter_map(|field| Some((field.hints.pkey?, field.name.as_str())))
        .collect();
    keys.sort_by_key(|(place, _)| *place);
    for (position, (_, name)) in keys.into_iter().enumerate() {
        if let Some(field) = fields.iter_mut().find(|field| field.source == name) {
            field.key = Some(position as u16);
        }
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
    /// What becomes of values of a type that their first column cannot take on, where it is no part of the key: a column of their own, or
    /// that column with a type for both, as the rules say.
    fn turn(mut self, plan: &mut Plan, first: usize, rules: &ColumnRules) -> Result<(), PlanError> {
        let column = &mut plan.columns[first];
        let is_key = column.key.is_some() || self.key.is_some();
        if rules.type_changes == TypeChanges::Rebuild
            && !is_key
            && let Some(ty) = column.ty.rebuilt(self.ty)
        {
            column.ty = ty;
            column.nullable |= self.nullable;
            return Ok(());
        }
        if rules.type_changes != TypeChanges::NewColumn || is_key {
            return Err(PlanError::TypeChanged {
                field: self.source,
                planned: column.ty,
                found: self.ty,
            });
        }
        // Rows of one type have NULL in the columns of the others, and a default would be a value.
        column.nullable = true;
        self.nullable = true;
        self.default = None;
        let name = format!("{}_{}", column.name, self.ty.word());
        let column = self.into_column(&name, plan)?;
        plan.columns.push(column);
        Ok(())
    }

    fn into_column(self, name: &str, plan: &Plan) -> Result<Column, PlanError> {
        let taken = |name: &str| plan.columns.iter().any(|column| column.name == name);
        let name = column_name(name, taken).ok_or_else(|| PlanError::Name(self.source.clone()))?;
        Ok(Column {
            name,
            ty: self.ty,
            nullable: self.nullable,
            default: self.default,
            key: self.key,
            source: self.source,
        })
    }

    /// A field without a default that is no part of the key.
    pub(super) fn plain(source: String, ty: ColumnType, nullable: bool) -> Field {
        Field {
            source,
            ty,
            nullable,
            default: None,
            key: None,
            aliases: Vec::new(),
        }
    }

    fn all(
        schema: &WriterSchema,
        record: NodeId,
        part: &'static str,
        rules: &ColumnRules,
    ) -> Result<Vec<Field>, PlanError> {
        let Some(fields) = schema.fields(record) else {
            let found = format!("{:?}", schema.kind(record)).to_lowercase();
            let found = found.split(['(', ' ']).next().unwrap_or_default().to_owned();
            return Err(PlanError::NotARecord { part, found });
        };
        let field = |field: &crate::avro::RecordField| {
            // In JSON a field may have any name.
            if attached::is_reserved(&field.name) {
                return Err(PlanError::Name(field.name.clone()));
            }
            let (mapping, nullable) = mapping(schema, field.node);
            let ty = wanted_type(schema, field.node, &field.name, mapping, rules)?;
            let default = match &field.default {
                Some(value) if !value.is_null() => Some(default_text(schema, field.node, ty, value, &field.name)?),
                _ => None,
            };
            Ok(Field {
                source: field.name.clone(),
                ty,
                nullable,
                default,
                key: None,
                aliases: field.aliases.clone(),
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

/// The type of a field's column: what the configuration asks for, else what the schema makes.
///
/// # Errors
/// When the values of the schema have no place in the type that is asked for.
pub(super) fn wanted_type(
    schema: &WriterSchema,
    node: NodeId,
    name: &str,
    mapping: Mapping,
    rules: &ColumnRules,
) -> Result<ColumnType, PlanError> {
    let own = mapping.ty;
    let Some(&wanted) = rules.types.get(name) else {
        return Ok(own);
    };
    let node = schema.nullable(node).map_or(node, |(inner, _)| inner);
    match mapping.into_column(node, wanted) {
        Some(_) => Ok(wanted),
        None => Err(PlanError::NoConversion {
            field: name.to_owned(),
            found: own,
            wanted,
        }),
    }
}

/// The mapping of a field and whether it can be null.
pub(super) fn mapping(schema: &WriterSchema, node: NodeId) -> (Mapping, bool) {
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
    ty: ColumnType,
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
    let form = Mapping::of(schema, node).into_column(node, ty);
    let form = form.ok_or_else(|| wrong(format!("it has no form as `{ty}`")))?;
    row.reserve(2 * datum.len() + form.room());
    let written = cursor
        .present(nullable)
        .and_then(|_| field::write(&form, schema, &mut cursor, &mut row, &mut Scratch::new(None)));
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
            envelope::Kind::Plain | envelope::Kind::DebeziumFlat | envelope::Kind::Yelp => value.root(),
            envelope::Kind::Debezium => match crate::envelope::Message::of(value) {
                crate::envelope::Message::Change(layout) => layout.after,
                _ => continue,
            },
        };
        let key = key.as_ref().map(|key| (key.as_ref(), key.root()));
        let shape = Shape::of(Some((value, record)), key, settings)?;
        let envelope = (settings.envelope == envelope::Kind::Debezium).then_some(&**value);
        let shape = shape.with_attached(envelope, settings)?;
        if let Some(grown) = shape.grow(&plan)? {
            plan = grown;
        }
    }
    Ok(plan)
}
