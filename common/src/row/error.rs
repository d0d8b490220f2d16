//! Why a record has no row, with its coordinates.

use std::fmt;

use super::Reason;
use crate::avro::Language;
use crate::avro::frame::FrameError;
use crate::envelope::{CipherError, ParcelError};
use crate::failure::Class;
use crate::ids::{Offset, Partition, SchemaId};
use crate::json::{JsonError, JsonFault};
use crate::protobuf::ProtobufError;
use crate::table::ColumnType;

/// A record that cannot become a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeError {
    /// Where it lies.
    pub partition: Partition,
    /// Where it lies.
    pub offset: Offset,
    /// The column concerned, by its name in Redshift, if one is.
    pub column: Option<String>,
    /// What is wrong.
    pub problem: Problem,
    /// Whether the column's rule is to halt.
    pub halts: bool,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A value that has no place in a row, or a datum that is broken.
    #[error("{0}")]
    Value(Reason),
    /// The key or value is not framed.
    #[error("the {part} is no Avro message: {error}")]
    Frame {
        /// `key` or `value`.
        part: &'static str,
        /// Why.
        error: FrameError,
    },
    /// The key or value is not the JSON that it should be.
    #[error("the {part} is not the JSON that it should be: {error}")]
    Json {
        /// `key` or `value`.
        part: &'static str,
        /// Why.
        error: Box<JsonError>,
    },
    /// The key or value is not the Protobuf that it should be.
    #[error("the {part} is not the Protobuf that it should be: {error}")]
    Protobuf {
        /// `key` or `value`.
        part: &'static str,
        /// Why.
        error: ProtobufError,
    },
    /// The schemas fit no plan.
    #[error("schema `{schema}` does not fit the table: {error}")]
    Plan {
        /// Schema of the value, or of the key where there is no value.
        schema: SchemaId,
        /// Why.
        error: PlanError,
    },
    /// The schema is of another language than the topic's.
    #[error("schema `{schema}` is of {found}, and the topic's format is {wanted}")]
    Language {
        /// Schema of the key or value.
        schema: SchemaId,
        /// Its language.
        found: Language,
        /// That of the topic.
        wanted: Language,
    },
    /// The topic is said to be Debezium's and is not.
    #[error("schema `{schema}` is no Debezium envelope: it has no field `{field}` of the expected type")]
    NotDebezium {
        /// Schema of the value.
        schema: SchemaId,
        /// What is missing.
        field: &'static str,
    },
    /// An operation that Debezium does not document.
    #[error("operation `{0}` is not known")]
    Operation(String),
    /// A mark of deletion that says neither yes nor no.
    #[error("`__deleted` is `{0}`, neither `true` nor `false`")]
    Deleted(String),
    /// A change without the image of the row that it needs.
    #[error("a change of operation `{0}` carries no row")]
    NoImage(char),
    /// A record without a key in a topic whose table has one.
    #[error("the record has no key, while its table has one")]
    KeyMissing,
    /// The value is no message of Yelp's Data Pipeline.
    #[error("the value is no message of Yelp's Data Pipeline: {0}")]
    Parcel(ParcelError),
    /// The message is encrypted, and cannot be decrypted.
    #[error("the message cannot be read: {0}")]
    Encrypted(CipherError),
    /// A delete that does not say of what.
    #[error("a delete carries neither a key nor the row before it")]
    NoKey,
}

/// Why schemas fit no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The value, or the key that key columns come from, is no record.
    #[error("the {part} is `{found}`, not a record with fields")]
    NotARecord {
        /// `key` or `value`.
        part: &'static str,
        /// What it is.
        found: String,
    },
    /// A name that belongs to us, or that cannot be told from another.
    #[error("field `{0}` has a name that is reserved for the connector or equals another's")]
    Name(String),
    /// A key column that the value does not have.
    #[error("key column `{0}` is no field of the value")]
    NoSuchKey(String),
    /// A type that cannot be compared.
    #[error("key column `{field}` has type `{ty}`, which cannot be a key")]
    KeyType {
        /// Source field.
        field: String,
        /// Its type.
        ty: ColumnType,
    },
    /// Another key than the plan has.
    #[error("the key is `{found}`, while the table's key is `{planned}`")]
    KeyChanged {
        /// Key fields of the plan.
        planned: String,
        /// Key fields of the record.
        found: String,
    },
    /// A type that the column cannot take on.
    #[error("field `{field}` has type `{found}`, which column type `{planned}` cannot become")]
    TypeChanged {
        /// Source field.
        field: String,
        /// Type in the plan.
        planned: ColumnType,
        /// Type by the schema.
        found: ColumnType,
    },
    /// A type that was asked for and does not hold what the field holds.
    #[error("field `{field}` is `{found}`, whose values cannot be written as the configured `{wanted}`")]
    NoConversion {
        /// Source field.
        field: String,
        /// Type by the schema.
        found: ColumnType,
        /// Type by the configuration.
        wanted: ColumnType,
    },
    /// A default that is no value of its field.
    #[error("the default of field `{field}` cannot be stored: {why}")]
    Default {
        /// Source field.
        field: String,
        /// Why.
        why: String,
    },
    /// A field of the source block that is asked for is not there.
    #[error("the changes have no field `source.{0}`, which `order_by` or `metadata` names")]
    NoPosition(String),
    /// The field that rows are to be ordered by has no order.
    #[error("field `source.{field}` has type `{ty}`, which rows cannot be ordered by")]
    PositionType {
        /// Field of the source block.
        field: String,
        /// Its type.
        ty: ColumnType,
    },
    /// More columns than a table can have.
    #[error("the table would have `{0}` columns, more than Redshift allows")]
    Columns(usize),
}

impl Problem {
    /// Its name, for metrics and for the table of records set aside. Names stay.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Problem::Value(reason) => reason.name(),
            Problem::Frame { .. } => "bad_frame",
            Problem::Json { error, .. } => error.fault.name(),
            Problem::Protobuf { .. } => "bad_protobuf",
            Problem::Plan { .. } => "schema_does_not_fit",
            Problem::Language { .. } => "schema_language",
            Problem::NotDebezium { .. } => "not_debezium",
            Problem::Operation(_) => "unknown_operation",
            Problem::Deleted(_) => "unknown_deletion",
            Problem::NoImage(_) => "no_image",
            Problem::KeyMissing => "key_missing",
            Problem::Parcel(_) => "bad_parcel",
            Problem::Encrypted(_) => "cannot_decrypt",
            Problem::NoKey => "delete_without_key",
        }
    }

    /// Whether one record is at fault, so that it may be set aside. A schema that does not fit concerns every record that has it.
    #[must_use]
    pub fn is_of_the_record(&self) -> bool {
        match self {
            Problem::Plan { .. } | Problem::NotDebezium { .. } | Problem::Language { .. } => false,
            Problem::Json { error, .. } => !matches!(error.fault, JsonFault::Schema(_)),
            Problem::Encrypted(error) => error.is_of_the_record(),
            _ => true,
        }
    }
}

impl EncodeError {
    /// Whether the record may be set aside: it is at fault alone, and no rule of its column forbids it.
    #[must_use]
    pub fn may_be_set_aside(&self) -> bool {
        self.problem.is_of_the_record() && !self.halts
    }

    /// What can be done where the record is not set aside: all of these concern one record or one topic, so the lineage halts.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::Halt
    }

    /// What a person can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match &self.problem {
            Problem::Value(reason) => reason.hint(),
            Problem::Json { error, .. } => error.fault.hint(),
            Problem::Frame { .. } => {
                "the topic must hold Avro written by a serializer with a Confluent-compatible registry"
            }
            Problem::Language { .. } => "set the topic's `format` to what its writers use",
            Problem::Protobuf { .. } => {
                "the topic must hold Protobuf written by a serializer with a Confluent-compatible registry"
            }
            Problem::NotDebezium { .. } => "set `envelope = \"plain\"` for this topic",
            Problem::NoImage(_) | Problem::Operation(_) | Problem::Deleted(_) => {
                "look at the record with `s3-spolt peek`"
            }
            Problem::Parcel(ParcelError::Magic(0)) => {
                "if the writers begin messages with 0, set `accept_nul_magic = true`"
            }
            Problem::Parcel(_) => "the topic must hold messages of Yelp's Data Pipeline; is its `envelope` right?",
            Problem::Encrypted(CipherError::NoKey(_)) => {
                "put the file `key-{number}.key` into the folder that the topic's `encryption_keys` names, and start again"
            }
            Problem::Encrypted(CipherError::Algorithm(_)) => "only AES_MODE_CBC can be read",
            Problem::Encrypted(_) => "compare the key with the writer's; look at the record with `s3-spolt peek`",
            Problem::KeyMissing => "name the key columns of this topic, so that they are taken from the value",
            Problem::NoKey => {
                "give the source table a primary key or REPLICA IDENTITY FULL, or set the topic's key columns"
            }
            Problem::Plan { error, .. } => match error {
                PlanError::NotARecord { part: "key", .. } => {
                    "name the key columns of this topic, or set its key to none"
                }
                PlanError::NoSuchKey(_) | PlanError::KeyType { .. } => "name other key columns for this topic",
                PlanError::NoPosition(_) | PlanError::PositionType { .. } => {
                    "let `metadata` name fields of the `source` block, and `order_by` a whole number, date or timestamp of the `source` block, or another column"
                }
                PlanError::KeyChanged { .. } => "a table keeps its key: load the topic into a new table",
                PlanError::TypeChanged { .. } => {
                    "change the type back at the source, give the new type a column of its own by `type_changes = \"new_column\"`, or load \
                     the topic into a new table"
                }
                PlanError::NoConversion { .. } => "choose another type in `types`; any field can be a VARCHAR",
                _ => "correct the schema at the source",
            },
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record at partition `{}`, offset `{}`", self.partition, self.offset)?;
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {}\nhint: {}", self.problem, self.hint())
    }
}

impl std::error::Error for EncodeError {}
