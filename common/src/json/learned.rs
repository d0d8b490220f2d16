//! Tables that are learned from their records, for JSON that says nothing of its types.
//!
//! A field that is not declared is a column as soon as a record has a value for it. Its type follows from what stands in the JSON and from
//! the columns that the plan has for it already, and from nothing else: the same record becomes the same row by the same plan, whatever was
//! read before it (protocol E4).
//!
//! | JSON | column |
//! |---|---|
//! | `true`, `false` | BOOLEAN |
//! | a whole number of 64 bits | BIGINT; the DOUBLE PRECISION that is there already, where there is no BIGINT |
//! | another number | DOUBLE PRECISION |
//! | a text | VARCHAR |
//! | an object or an array | SUPER; where that is all the field has, everything else goes there too |
//!
//! A value of another type than its field's column is a change of type, as with any schema.

use super::declared::{Declared, DeclaredType, FLAGS};
use super::error::{JsonError, JsonFault};
use super::scan::Scanner;
use super::transcode::How;
use crate::envelope;
use crate::plan::Plan;
use crate::row::{KeySource, Settings, is_reserved};
use crate::table::ColumnType;

/// Fields that are learned of one topic at most; a record with one more is refused. Every one is a cut object and a changed table, and
/// objects that use data as names would never come to an end.
pub(super) const LEARNED_MAX: usize = 500;

/// What a value is, as far as its first characters say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Null,
    Boolean,
    Whole,
    Number,
    Text,
    Nested,
}

impl Sort {
    /// The values that fill columns of a type; none for a type that is asked for in place of what values make.
    fn of(ty: ColumnType) -> Option<Sort> {
        Some(match ty {
            ColumnType::Boolean => Sort::Boolean,
            ColumnType::BigInt => Sort::Whole,
            ColumnType::Double => Sort::Number,
            ColumnType::Varchar { .. } => Sort::Text,
            ColumnType::Super => Sort::Nested,
            _ => return None,
        })
    }

    /// The same of a type as it is declared.
    fn made_of(ty: DeclaredType) -> Option<Sort> {
        Some(match ty {
            DeclaredType::Boolean => Sort::Boolean,
            DeclaredType::BigInt => Sort::Whole,
            DeclaredType::Double => Sort::Number,
            DeclaredType::Varchar => Sort::Text,
            DeclaredType::Super => Sort::Nested,
            _ => return None,
        })
    }
}

/// A field whose type is known by its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Learned {
    pub(super) column: Declared,
    /// How its values must be written, where the field has columns of several types.
    pub(super) how: Option<How>,
}

impl Learned {
    /// A text that is another one for any other field or type.
    pub(super) fn describe(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{:?}:{}:{:?},", self.column.field, self.column.ty, self.how).as_bytes());
    }
}

/// The types of a field's columns in a plan.
fn planned(plan: Option<&Plan>, field: &str) -> Vec<ColumnType> {
    let columns = plan.map_or(&[][..], |plan| &plan.columns);
    let own = columns.iter().filter(|column| column.source == field);
    own.map(|column| column.ty).collect()
}

/// How the values of a field are read that look like this one; none where the value says nothing of it.
fn learn(field: &str, sort: Sort, plan: Option<&Plan>) -> Option<Learned> {
    let planned = planned(plan, field);
    let has = |ty| planned.contains(&ty);
    let only_super = !planned.is_empty() && planned.iter().all(|ty| *ty == ColumnType::Super);
    let (ty, how) = match sort {
        Sort::Null => return None,
        _ if only_super => (DeclaredType::Super, None),
        Sort::Boolean => (DeclaredType::Boolean, None),
        Sort::Whole if has(ColumnType::BigInt) || !has(ColumnType::Double) => (DeclaredType::BigInt, None),
        Sort::Whole => (DeclaredType::Double, None),
        Sort::Number if has(ColumnType::BigInt) || planned.is_empty() => (DeclaredType::Double, Some(How::Fraction)),
        Sort::Number => (DeclaredType::Double, None),
        Sort::Text => (DeclaredType::Varchar, None),
        Sort::Nested => (DeclaredType::Super, Some(How::Nested)),
    };
    Some(Learned {
        column: Declared {
            field: field.to_owned(),
            ty,
        },
        how,
    })
}

fn sort_of(scanner: &mut Scanner<'_>) -> Result<Sort, JsonFault> {
    Ok(match scanner.peek() {
        Some(b'n') => Sort::Null,
        Some(b't' | b'f') => Sort::Boolean,
        Some(b'{' | b'[') => Sort::Nested,
        Some(b'"') => Sort::Text,
        _ if scanner.number()?.parse::<i64>().is_ok() => Sort::Whole,
        _ => Sort::Number,
    })
}

/// What is learned from one record.
pub(super) struct Lesson<'a> {
    pub(super) settings: &'a Settings,
    pub(super) plan: Option<&'a Plan>,
    /// Whether only the fields of the configured key are looked at.
    pub(super) key_only: bool,
}

impl Lesson<'_> {
    /// The fields of a table that takes this text: those that the plan has columns for already, and the text's own.
    ///
    /// # Errors
    /// When it is no JSON, has no key, or has more fields than are learned.
    pub(super) fn fields(&self, text: &[u8]) -> Result<Vec<Learned>, JsonError> {
        let mut fields = self.planned_fields();
        let mut scanner = Scanner::new(text)?;
        let in_images = self.settings.envelope == envelope::Kind::Debezium && !self.key_only;
        each_field(&mut scanner, |name, scanner| {
            if !in_images {
                return self.field(name, scanner, &mut fields);
            }
            if matches!(name, "before" | "after") && scanner.peek() == Some(b'{') {
                return each_field(&mut scanner.clone(), |name, scanner| {
                    self.field(name, scanner, &mut fields)
                });
            }
            Ok(())
        })?;
        self.check_key(&fields)?;
        Ok(fields)
    }

    /// The fields of the plan's columns, each by the first type that values of its own make.
    fn planned_fields(&self) -> Vec<Learned> {
        let columns = self.plan.map_or(&[][..], |plan| &plan.columns);
        let mut fields: Vec<Learned> = Vec::new();
        for column in columns {
            let Some(sort) = Sort::of(column.ty) else { continue };
            let is_known = fields.iter().any(|field| field.column.field == column.source);
            if !is_known && self.is_learned(&column.source) && !is_reserved(&column.source) {
                fields.extend(self.learn(&column.source, sort));
            }
        }
        fields
    }

    /// Whether the plan has columns for all of these fields as they are, so that records of theirs change nothing.
    pub(super) fn holds(&self, fields: &[Learned]) -> bool {
        fields.iter().all(|field| {
            let name = &field.column.field;
            let sort = Sort::made_of(field.column.ty);
            let mut planned = planned(self.plan, name).into_iter();
            let is_typed = self.settings.column_rules.types.contains_key(name);
            planned.any(|ty| Sort::of(ty) == sort) || is_typed || self.settings.leaves_out(name)
        })
    }

    /// How the values of a field are read that look like this one. Those of a field that is left out are passed, whatever they are.
    fn learn(&self, name: &str, sort: Sort) -> Option<Learned> {
        if !self.settings.leaves_out(name) {
            return learn(name, sort, self.plan);
        }
        Some(Learned {
            column: Declared {
                field: name.to_owned(),
                ty: DeclaredType::Super,
            },
            how: None,
        })
    }

    /// Whether a field is not known anyway, and is of the key if only that is looked at.
    fn is_learned(&self, name: &str) -> bool {
        let settings = self.settings;
        let is_declared = settings.columns.iter().any(|column| column.field == name);
        let is_key = matches!(&settings.key, KeySource::Columns(names) if names.iter().any(|key| key == name));
        let is_flag = settings.envelope == envelope::Kind::DebeziumFlat && FLAGS.contains(&name);
        !is_declared && !is_flag && (is_key || !self.key_only)
    }

    fn field(&self, name: &str, scanner: &mut Scanner<'_>, fields: &mut Vec<Learned>) -> Result<(), JsonError> {
        if !self.is_learned(name) {
            return Ok(());
        }
        let sort = sort_of(&mut scanner.clone())?;
        let Some(learned) = self.learn(name, sort) else {
            return Ok(());
        };
        match fields.iter().position(|field| field.column.field == name) {
            Some(index) => fields[index] = learned,
            None if fields.len() >= LEARNED_MAX => return Err(JsonFault::TooManyFields.plain().within(name)),
            None => fields.push(learned),
        }
        Ok(())
    }

    /// A key that no record had until now has no type, and a record without it no row.
    fn check_key(&self, fields: &[Learned]) -> Result<(), JsonError> {
        let KeySource::Columns(names) = &self.settings.key else {
            return Ok(());
        };
        let is_known = |name: &&String| {
            let is_declared = self.settings.columns.iter().any(|column| column.field == **name);
            is_declared || fields.iter().any(|field| field.column.field == **name)
        };
        match names.iter().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(missing) => Err(JsonFault::Missing.plain().within(missing)),
        }
    }
}

/// Goes through the fields of an object; what is no object has none.
fn each_field<'t>(
    scanner: &mut Scanner<'t>,
    mut each: impl FnMut(&str, &mut Scanner<'t>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    if !scanner.eat(b'{') {
        return Ok(());
    }
    scanner.items(b'}', |scanner| {
        let name = scanner.string()?.text()?;
        scanner.expect(b':')?;
        each(&name, &mut scanner.clone())?;
        Ok(scanner.pass().map(drop)?)
    })
}
