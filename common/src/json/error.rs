//! Why a JSON text is no value of its schema.

use std::fmt;

/// A mistake and the field it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Names from the outermost field to the one at fault; empty if none is.
    pub path: Vec<String>,
    /// What is wrong.
    pub fault: JsonFault,
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not UTF-8.
    #[error("the text is not valid UTF-8")]
    Utf8,
    /// Not JSON.
    #[error("byte `{0}` is none that JSON has there")]
    Syntax(usize),
    /// Half of a character that takes two escapes.
    #[error("an escape names half of a character")]
    Surrogate,
    /// Nested deeper than is followed.
    #[error("values are nested deeper than `{}`", crate::avro::DEPTH_MAX)]
    Depth,
    /// A key twice in one object: which of the two is meant cannot be known.
    #[error("key `{0}` is there twice")]
    DuplicateKey(String),
    /// The object around schema and payload is another one.
    #[error("expected an object of `schema` and `payload`, as JsonConverter writes it with schemas.enable=true")]
    NoSchema,
    /// The schema is none of Connect's.
    #[error("the embedded schema is not understood: {0}")]
    Schema(String),
    /// A value of another type.
    #[error("expected {wanted}, found {found}")]
    Type {
        /// What the schema or the declaration says.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// A number that its type cannot hold exactly.
    #[error("`{0}` is no number that its type can hold exactly")]
    Number(String),
    /// Bytes that are not base64.
    #[error("the text is not base64")]
    Base64,
    /// A value that must be there.
    #[error("has no value, and its schema says that it must")]
    Missing,
    /// A field that the embedded schema does not have.
    #[error("is no field of the embedded schema")]
    Unknown,
    /// A field that the configuration does not declare.
    #[error("is not declared among the topic's `columns`")]
    Undeclared,
    /// A field that would be learned, but there are so many already.
    #[error("is one field more than are learned, which are `{}`", super::learned::LEARNED_MAX)]
    TooManyFields,
}

impl JsonFault {
    /// Its name, for metrics and for the table of records set aside. Names stay.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            JsonFault::Utf8 | JsonFault::Syntax(_) | JsonFault::Surrogate | JsonFault::Depth => "bad_json",
            JsonFault::DuplicateKey(_) => "json_key_twice",
            JsonFault::NoSchema | JsonFault::Schema(_) => "json_schema",
            JsonFault::Type { .. } => "json_type",
            JsonFault::Number(_) => "json_number",
            JsonFault::Base64 => "json_base64",
            JsonFault::Missing => "json_field_missing",
            JsonFault::Unknown | JsonFault::Undeclared => "json_field_unknown",
            JsonFault::TooManyFields => "json_fields",
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            JsonFault::Utf8 | JsonFault::Syntax(_) | JsonFault::Surrogate | JsonFault::Depth => {
                "the topic must hold JSON; is its `format` right?"
            }
            JsonFault::NoSchema | JsonFault::Schema(_) => {
                "set schemas.enable=true at the converter, or write `format = \"json\"` and declare the topic's `columns`"
            }
            JsonFault::Undeclared => {
                "declare it in the topic's `columns`, or write `undeclared = \"ignore\"` or `\"learn\"`"
            }
            JsonFault::TooManyFields => {
                "if the names of fields are data, make them values at the source, or declare the `columns` and write `undeclared = \"ignore\"`"
            }
            JsonFault::Unknown | JsonFault::DuplicateKey(_) | JsonFault::Base64 => "correct the record at the source",
            JsonFault::Type { .. } | JsonFault::Number(_) | JsonFault::Missing => {
                "correct the value at the source, or declare another type where the topic's `columns` declare it"
            }
        }
    }

    pub(super) fn plain(self) -> JsonError {
        JsonError {
            path: Vec::new(),
            fault: self,
        }
    }
}

impl JsonError {
    /// The same, seen from outside of a field.
    pub(super) fn within(mut self, field: &str) -> JsonError {
        self.path.insert(0, field.to_owned());
        self
    }
}

impl From<JsonFault> for JsonError {
    fn from(fault: JsonFault) -> JsonError {
        fault.plain()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "field `{}`: ", self.path.join("."))?;
        }
        self.fault.fmt(f)
    }
}
