//! What the target lacks of what the claims have: forward only (rule 17, invariant I7).
//!
//! It creates the table, adds columns, widens VARCHAR, and puts a wider column in the place of a number that became too narrow. Every other
//! difference of type stops the table with the reason. docs/schema-changes.md shows what follows from which change.

use std::collections::{BTreeMap, BTreeSet};

use common::failure::Failure;
use common::plan::Plan;
use common::table::ColumnType;
use runtime::port::Answer;

use super::mode::{DELETED, Mode};
use super::names::TableName;
use super::sql::{fill, identifier, literal};

/// The widths that a VARCHAR without a limit is given: the smallest that holds what was seen. Few steps, since each widening is a
/// statement of its own outside the load, and wide columns cost memory in queries (redshift.md 2.1).
pub const WIDTHS: [u32; 6] = [64, 256, 1024, 4096, 16_384, 65_535];

/// Width of a staged TIME or TIMETZ text.
const TIME_TEXT: u32 = 32;

/// A column as the table should have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Name.
    pub name: String,
    /// Type; a VARCHAR always has its width here.
    pub ty: ColumnType,
    /// Part of the key, so NOT NULL from the start.
    pub key: bool,
    /// What rows have that know nothing of the column, as field text.
    pub default: Option<String>,
    /// Longest value that the load brings, in bytes; 0 if unknown or not text.
    pub longest: u32,
}

/// A column as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Present {
    /// Name.
    pub name: String,
    /// Type as the catalog spells it.
    pub ty: String,
    /// Width of a character column, in bytes.
    pub width: Option<u32>,
    /// Precision of a DECIMAL.
    pub precision: Option<u32>,
    /// Scale of a DECIMAL.
    pub scale: Option<u32>,
    /// Whether NULL is allowed.
    pub nullable: bool,
}

impl Present {
    /// The column as something to be had elsewhere; `None` for a type that the loader never makes.
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        let name = self.ty.split('(').next().unwrap_or_default().trim();
        let (width, precision, scale) = (self.width, self.precision, self.scale);
        let text = match name {
            "character varying" | "varchar" => format!("varchar({})", width?),
            "numeric" | "decimal" => format!("decimal({},{})", precision?, scale?),
            "timestamp without time zone" => "timestamp".to_owned(),
            "timestamp with time zone" => "timestamptz".to_owned(),
            "time without time zone" => "time".to_owned(),
            "time with time zone" => "timetz".to_owned(),
            "binary varying" | "varbinary" | "varbyte" => {
                width.map_or("varbyte".to_owned(), |width| format!("varbyte({width})"))
            }
            other => other.to_owned(),
        };
        Some(Wanted {
            name: self.name.clone(),
            ty: text.parse().ok()?,
            key: false,
            default: None,
            longest: 0,
        })
    }
}

/// The statement that reads the columns of a table; its answer goes to [`parse`].
///
/// # Errors
/// When the name cannot be written as a literal.
pub fn read(table: &TableName) -> Result<String, Failure> {
    let (schema, name) = (literal(&table.schema)?, literal(&table.name)?);
    Ok(fill(
        include_str!("../../../sql/read_catalog.sql"),
        &[("schema", &schema), ("table", &name)],
    ))
}

/// Reads the answer of [`read`]; no rows means no table.
#[must_use]
pub fn parse(answer: &Answer) -> Vec<Present> {
    let text = |row: &Vec<Option<String>>, index: usize| row.get(index).cloned().flatten().unwrap_or_default();
    let number = |row: &Vec<Option<String>>, index: usize| text(row, index).trim().parse().ok();
    answer
        .rows
        .iter()
        .map(|row| Present {
            name: text(row, 0).trim().to_owned(),
            ty: text(row, 1).trim().to_lowercase(),
            width: number(row, 2),
            precision: number(row, 3),
            scale: number(row, 4),
            nullable: !matches!(text(row, 5).trim().to_lowercase().as_str(), "no" | "f" | "false"),
        })
        .collect()
}

/// The columns of all plans together, in order of first sight: those of `known` (what the table already had) first.
///
/// # Errors
/// When one column has two types that no type holds (or none by which it is rebuilt, where `rebuild` allows that), or the plans disagree
/// about the key.
pub fn union(known: Option<&Plan>, plans: &[&Plan], rebuild: bool) -> Result<Plan, Failure> {
    let mut all = Plan::default();
    let mut key: Option<Vec<String>> = None;
    for plan in known.into_iter().chain(plans.iter().copied()) {
        let own: Vec<String> = plan.key_columns().iter().map(|column| column.name.clone()).collect();
        match &key {
            Some(key) if *key != own => return Err(key_changed(key, &own)),
            _ => key = Some(own),
        }
        for column in &plan.columns {
            match all.columns.iter_mut().find(|known| known.name == column.name) {
                None => all.columns.push(column.clone()),
                Some(known) => {
                    let both = if rebuild {
                        known.ty.rebuilt(column.ty)
                    } else {
                        known.ty.join(column.ty)
                    };
                    known.ty = both.ok_or_else(|| {
                        Failure::halt(format!(
                            "the column is `{}` in one schema and `{}` in another",
                            known.ty, column.ty
                        ))
                        .column(&column.name)
                        .hint(NO_MIGRATION)
                    })?;
                    known.nullable |= column.nullable;
                    known.default = column.default.clone().or(known.default.take());
                }
            }
        }
    }
    Ok(all)
}

fn key_changed(before: &[String], after: &[String]) -> Failure {
    Failure::halt(format!(
        "the key of the table changed from `{}` to `{}`",
        before.join(", "),
        after.join(", ")
    ))
    .hint("rows under the old key could no longer be found; load the topic into a new table by a rewrite rule")
}

/// What a type change that no wider type holds needs.
const NO_MIGRATION: &str = "only changes that keep every value are migrated: wider numbers and longer texts. change the type back at the source, \
     or load the topic into a new table by a rewrite rule";

/// The data columns as the table should have them, with widths chosen: from configuration, else as declared, else the smallest of
/// [`WIDTHS`] that holds what the claims have seen.
///
/// # Errors
/// When a value is longer than the configuration allows, or than any VARCHAR.
pub fn wanted(
    plan: &Plan,
    configured: &BTreeMap<String, u32>,
    longest: &BTreeMap<&str, u32>,
) -> Result<Vec<Wanted>, Failure> {
    plan.columns
        .iter()
        .map(|column| {
            let seen = longest.get(column.name.as_str()).copied().unwrap_or(0);
            let seen = seen.max(
                column
                    .default
                    .as_ref()
                    .map_or(0, |text| u32::try_from(text.len()).unwrap_or(u32::MAX)),
            );
            let ty = match column.ty {
                ColumnType::Varchar { limit } => {
                    let declared = limit.filter(|limit| *limit >= seen && *limit <= WIDTHS[5]);
                    let width = configured.get(&column.name).copied().or(declared).or(fitting(seen));
                    let fits = width.filter(|width| *width >= seen);
                    ColumnType::Varchar {
                        limit: Some(fits.ok_or_else(|| too_long(&column.name, seen, width))?),
                    }
                }
                other => other,
            };
            let text = column.ty.is_text();
            Ok(Wanted {
                name: column.name.clone(),
                ty,
                key: column.key.is_some(),
                default: column.default.clone(),
                longest: if text { seen } else { 0 },
            })
        })
        .collect()
}

fn too_long(column: &str, seen: u32, width: Option<u32>) -> Failure {
    let (limit, hint) = match width {
        Some(width) => (
            width,
            "raise its width in the topic's `varchar` setting, or remove the setting",
        ),
        None => (
            WIDTHS[5],
            "Redshift has no longer text; leave the column out, or shorten it at the source",
        ),
    };
    Failure::halt(format!("a value of `{seen}` bytes does not fit `VARCHAR({limit})`"))
        .column(column)
        .hint(hint)
}

fn fitting(bytes: u32) -> Option<u32> {
    WIDTHS.into_iter().find(|width| *width >= bytes)
}

/// What must happen to the target before the load fits it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evolution {
    /// The table does not exist.
    pub create: bool,
    /// Columns to add inside the transaction.
    pub add: Vec<Wanted>,
    /// VARCHAR columns to widen before it, with their new width.
    pub widen: Vec<(String, u32)>,
    /// Numbers whose column a wider one takes the place of, inside the transaction.
    pub convert: Vec<Wanted>,
    /// Columns that the table shall not have any more, inside the transaction.
    pub drop: Vec<String>,
}

/// Compares the catalog with what is wanted (data columns, then the meta columns of the mode); `rebuild` says whether a column may get a type
/// that is not just wider.
///
/// # Errors
/// When a column has a type that the wanted one cannot be stored in, or a column that no load fills does not allow NULL.
pub fn compare(present: &[Present], wanted: &[Wanted], mode: Mode, rebuild: bool) -> Result<Evolution, Failure> {
    let meta = mode.meta_columns().into_iter().map(|(name, ty)| Wanted {
        name: name.to_owned(),
        ty,
        key: false,
        // What an upsert table has when it becomes one of soft deletes was not deleted.
        default: (name == DELETED).then(|| "f".to_owned()),
        longest: 0,
    });
    let all: Vec<Wanted> = wanted.iter().cloned().chain(meta).collect();
    compare_all(present, &all, rebuild)
}

/// The same with all columns that are wanted.
///
/// # Errors
/// See [`compare`].
pub fn compare_all(present: &[Present], all: &[Wanted], rebuild: bool) -> Result<Evolution, Failure> {
    if present.is_empty() {
        return Ok(Evolution {
            create: true,
            ..Evolution::default()
        });
    }
    let by_name: BTreeMap<&str, &Present> = present.iter().map(|column| (column.name.as_str(), column)).collect();
    let mut evolution = Evolution::default();
    for column in all {
        match by_name.get(column.name.as_str()) {
            None if column.key => {
                return Err(Failure::halt("the table lacks a key column").column(&column.name).hint(
                    "the table was made by something else; drop it and let redshift-spolt create it, or give the topic another table",
                ));
            }
            None => evolution.add.push(column.clone()),
            Some(present) => match accepts(present, column, rebuild) {
                Fit::Fits => {}
                Fit::Widen(width) => evolution.widen.push((column.name.clone(), width)),
                Fit::Convert => evolution.convert.push(column.clone()),
                Fit::Differs => return Err(type_differs(present, column)),
            },
        }
    }
    let filled: BTreeSet<&str> = all.iter().map(|column| column.name.as_str()).collect();
    if let Some(stray) = present
        .iter()
        .find(|column| !column.nullable && !filled.contains(column.name.as_str()))
    {
        return Err(
            Failure::halt("the column does not allow NULL, and the source has no such field")
                .column(&stray.name)
                .hint("drop the column, or its NOT NULL by rebuilding the table"),
        );
    }
    Ok(evolution)
}

fn type_differs(present: &Present, column: &Wanted) -> Failure {
    let shown = match (present.width, present.precision.zip(present.scale)) {
        (Some(width), _) => format!("{}({width})", present.ty),
        (None, Some((precision, scale))) if present.ty == "numeric" => format!("numeric({precision},{scale})"),
        _ => present.ty.clone(),
    };
    Failure::halt(format!(
        "the table has the column as `{shown}`, the source now as `{}`",
        column.ty
    ))
    .column(&column.name)
    .hint(NO_MIGRATION)
}

/// A wider column in the place of one that has every value of its own in it: Redshift changes no type but the length of a VARCHAR, and all of
/// this may stand in a transaction (redshift.md 3.2). The drop has no CASCADE: where a view depends on the column, the warehouse refuses and
/// says which, and nothing is done.
#[must_use]
pub fn convert(table: &str, column: &Wanted, encoding: &str) -> [String; 4] {
    let (name, ty) = (identifier(&column.name), column.ty);
    let wider = identifier(WIDER);
    // Redshift converts nothing to text unless it is told to.
    let value = if column.ty.is_text() {
        format!("CAST({name} AS {ty})")
    } else {
        name.clone()
    };
    [
        format!("ALTER TABLE {table} ADD COLUMN {wider} {ty}{encoding}"),
        format!("UPDATE {table} SET {wider} = {value}"),
        format!("ALTER TABLE {table} DROP COLUMN {name}"),
        format!("ALTER TABLE {table} RENAME COLUMN {wider} TO {name}"),
    ]
}

/// Name of the wider column until it takes its place.
const WIDER: &str = "_kafka_wider";

enum Fit {
    Fits,
    Widen(u32),
    Convert,
    Differs,
}

/// Whether every value of the wanted type can be stored in the present column as it is.
fn accepts(present: &Present, column: &Wanted, rebuild: bool) -> Fit {
    let name = present.ty.split('(').next().unwrap_or_default().trim();
    let is_whole = matches!(name, "smallint" | "int2" | "integer" | "int4" | "bigint" | "int8");
    let rebuilt = if rebuild { Fit::Convert } else { Fit::Differs };
    let one_of = |names: &[&str]| if names.contains(&name) { Fit::Fits } else { Fit::Differs };
    match column.ty {
        ColumnType::Varchar { limit } => {
            if is_whole || matches!(name, "numeric" | "decimal" | "date") {
                return rebuilt;
            }
            if !matches!(name, "character varying" | "varchar") {
                return Fit::Differs;
            }
            let wanted = limit.unwrap_or(WIDTHS[5]);
            match present.width {
                Some(width) if width < wanted => Fit::Widen(wanted),
                _ => Fit::Fits,
            }
        }
        ColumnType::Boolean => one_of(&["boolean", "bool"]),
        ColumnType::SmallInt => one_of(&["smallint", "int2", "integer", "int4", "bigint", "int8"]),
        ColumnType::Integer if matches!(name, "smallint" | "int2") => Fit::Convert,
        ColumnType::Integer => one_of(&["integer", "int4", "bigint", "int8"]),
        ColumnType::BigInt if matches!(name, "smallint" | "int2" | "integer" | "int4") => Fit::Convert,
        ColumnType::BigInt => one_of(&["bigint", "int8"]),
        ColumnType::Real => one_of(&["real", "float4", "double precision", "float8"]),
        ColumnType::Double if matches!(name, "real" | "float4") => Fit::Convert,
        ColumnType::Double if matches!(name, "smallint" | "int2" | "integer" | "int4") => rebuilt,
        ColumnType::Double => one_of(&["double precision", "float8"]),
        ColumnType::Decimal { precision, scale } => {
            let (precision, scale) = (u32::from(precision), u32::from(scale));
            match (present.precision, present.scale) {
                // The plan has it only with enough digits (`ColumnType::rebuilt`).
                _ if is_whole => rebuilt,
                _ if !matches!(name, "numeric" | "decimal") => Fit::Differs,
                (Some(had), Some(digits)) if digits == scale && had >= precision => Fit::Fits,
                // Every digit that it had has its place in the new one.
                (Some(had), Some(digits)) if digits <= scale && had - digits <= precision - scale => Fit::Convert,
                _ => Fit::Differs,
            }
        }
        ColumnType::Date => one_of(&["date"]),
        ColumnType::Time => one_of(&["time", "time without time zone"]),
        ColumnType::TimeTz => one_of(&["timetz", "time with time zone"]),
        ColumnType::Timestamp => one_of(&["timestamp", "timestamp without time zone"]),
        ColumnType::TimestampTz => one_of(&["timestamptz", "timestamp with time zone"]),
        ColumnType::Super => one_of(&["super", "jsonb", "json"]),
        ColumnType::Varbyte { .. } => one_of(&["varbyte", "binary varying", "bytea", "varbinary"]),
    }
}

/// Type of a column in the stage, where COPY fills it: wide enough for what this load brings, and for what the target holds.
#[must_use]
pub fn staged(column: &Wanted) -> ColumnType {
    match column.ty {
        ColumnType::Time | ColumnType::TimeTz => ColumnType::Varchar { limit: Some(TIME_TEXT) },
        other => other,
    }
}
