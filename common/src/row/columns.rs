//! What the configuration says of single columns of a topic: which fields are none, what a column is called, what type it has, which fields of
//! the source block come along, and what a change of type that no wider type holds does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attached::MessageField;
use super::settings::is_false;
use crate::plan::Plan;
use crate::table::ColumnType;

/// What a field does whose type changes so that its column cannot take it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum TypeChanges {
    /// The partition halts.
    #[default]
    Halt,
    /// Its values go into a column of their own, named after the type; the column that it had stays, and is NULL in rows of the new type.
    NewColumn,
    /// Its column is rebuilt with a type that holds both ([`ColumnType::rebuilt`]), or the partition halts where none does.
    Rebuild,
}

/// Rules for single columns; fields are named as the source names them. Part of the fingerprint where there are any.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct ColumnRules {
    /// Fields of the value that are no columns. A field that is part of the key stays one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Names of columns, by field. A field that is given the name of a column whose field is gone goes on in that column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Types of columns, by field, in place of those that the schema makes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, ColumnType>,
    /// What a change of type does that no wider type holds.
    #[serde(default)]
    pub type_changes: TypeChanges,
    /// Fields of a Debezium change's `source` block that every row carries as columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_fields: Vec<String>,
    /// Whether every row carries its record's headers as a column.
    #[serde(default, skip_serializing_if = "is_false")]
    pub headers: bool,
    /// What every row carries of the message of Yelp's pipeline that it came in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub message_fields: Vec<MessageField>,
}

impl ColumnRules {
    pub(super) fn is_default(&self) -> bool {
        *self == ColumnRules::default()
    }

    /// The field by whose name a plan knows what this field goes on with: its own; or its former one, if the schema names that as an alias or
    /// the configuration gives it that column's name, and no field is called so any more. The column keeps its name, so that views, grants
    /// and older objects stay what they are.
    pub(super) fn known_as<'a>(
        &self,
        plan: &'a Plan,
        (field, aliases): (&'a str, &[String]),
        is_field: impl Fn(&str) -> bool,
    ) -> &'a str {
        if plan.columns.iter().any(|column| column.source == field) {
            return field;
        }
        let renamed = self.rename.get(field);
        let former = plan.columns.iter().find(|column| {
            let named = aliases.contains(&column.source) || renamed == Some(&column.name);
            named && !is_field(&column.source)
        });
        former.map_or(field, |column| column.source.as_str())
    }
}

/// The column of a plan that takes the values of a field: the first of that source whose type holds them as it is, else the first that can
/// become wide enough. Several columns have one source where its type has changed ([`TypeChanges::NewColumn`]).
pub(super) fn column_for(plan: &Plan, source: &str, ty: ColumnType) -> Option<usize> {
    let of_source = || {
        plan.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.source == source)
    };
    let holds = of_source().find(|(_, column)| column.ty.join(ty) == Some(column.ty));
    let joins = || of_source().find(|(_, column)| column.ty.join(ty).is_some());
    holds.or_else(joins).map(|(index, _)| index)
}
