//! The fields of a message as the fields of a record: scalars as their types, what is known of Google's and Confluent's messages as what it
//! means, and all that repeats or has fields of its own as JSON.

use prost_reflect::{FieldDescriptor, Kind as Wire, MessageDescriptor};

use super::files;
use crate::avro::{Hints, Kind, Node, NodeId, Nodes, RecordField, WriterSchema};

/// How a field becomes part of a datum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As its type is.
    ByType,
    /// A number of 64 bits without a sign, as a decimal.
    Unsigned,
    /// The name of an enum's value.
    Name,
    /// `google.protobuf.Timestamp`, in microseconds.
    Timestamp,
    /// `google.type.Date`, in days.
    Date,
    /// `google.type.TimeOfDay`, in microseconds.
    TimeOfDay,
    /// `google.type.Decimal`, as its text.
    DecimalText,
    /// `confluent.type.Decimal`: scale and unscaled bytes.
    Decimal,
    /// One of Google's wrappers around a scalar: the scalar.
    Wrapper,
    /// The same around an unsigned number of 64 bits.
    UnsignedWrapper,
    /// Its JSON.
    Json,
}

/// A field of a message.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) descriptor: FieldDescriptor,
    pub(super) how: How,
    /// Whether a message may be without it.
    pub(super) nullable: bool,
}

/// A message whose fields are columns.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(super) descriptor: MessageDescriptor,
    pub(super) fields: Vec<Field>,
}

/// Reads the text of a schema and those that it imports; `path` is the place of the message in its file, by the numbers of messages within
/// messages.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn writer_schema(text: &str, references: &[(String, String)], path: &[u32]) -> Result<WriterSchema, String> {
    let file = files::linked(text, references)?;
    let mut found: Option<MessageDescriptor> = None;
    for &index in path {
        let index = index as usize;
        found = match &found {
            None => file.messages().nth(index),
            Some(outer) => outer.child_messages().nth(index),
        };
        if found.is_none() {
            return Err(format!("it has no message at {path:?}"));
        }
    }
    let descriptor = found.ok_or("it has no messages")?;
    let mut builder = Builder::default();
    let mut in_order: Vec<FieldDescriptor> = descriptor.fields().collect();
    // As they are written in the file, not by their numbers.
    in_order.sort_by_key(|field| field.path().last().copied());
    let mut fields = Vec::with_capacity(in_order.len());
    let mut columns = Vec::with_capacity(fields.len());
    for descriptor in in_order {
        let field = builder.field(descriptor);
        let node = builder.node(&field);
        columns.push(RecordField {
            name: field.descriptor.name().to_owned(),
            node,
            default: None,
            aliases: Vec::new(),
            hints: Hints::default(),
        });
        fields.push(field);
    }
    let root = builder.nodes.push(Node::of(Kind::Record(columns)));
    let message = Message { descriptor, fields };
    Ok(builder.nodes.into_schema(root).spoken_in_protobuf(message))
}

#[derive(Default)]
struct Builder {
    nodes: Nodes,
}

impl Builder {
    fn field(&mut self, descriptor: FieldDescriptor) -> Field {
        let repeats = descriptor.is_list() || descriptor.is_map();
        let kind = descriptor.kind();
        let how = match &kind {
            _ if repeats => How::Json,
            Wire::Uint64 | Wire::Fixed64 => How::Unsigned,
            Wire::Enum(_) => How::Name,
            Wire::Message(message) => meaning(message),
            _ => How::ByType,
        };
        // What has no presence is its default where it is not written; what repeats is empty then.
        let nullable = !repeats && descriptor.supports_presence() && !descriptor.is_required();
        Field {
            descriptor,
            how,
            nullable,
        }
    }

    fn node(&mut self, field: &Field) -> NodeId {
        let kind = field.descriptor.kind();
        let node = match field.how {
            How::ByType => Node::of(scalar(&kind)),
            How::Unsigned | How::UnsignedWrapper => Node {
                precision: Some(20),
                scale: Some(0),
                ..logical(Kind::Bytes, "decimal")
            },
            How::Name | How::DecimalText => Node::of(Kind::String),
            How::Timestamp => logical(Kind::Long, "timestamp-micros"),
            How::Date => logical(Kind::Int, "date"),
            How::TimeOfDay => logical(Kind::Long, "time-micros"),
            How::Decimal => self.decimal(),
            How::Wrapper => Node::of(wrapped(&kind)),
            How::Json => named(Kind::String, "io.debezium.data.Json"),
        };
        let inner = self.nodes.push(node);
        if !field.nullable {
            return inner;
        }
        let null = self.nodes.push(Node::of(Kind::Null));
        self.nodes.push(Node::of(Kind::Union(vec![null, inner])))
    }

    /// A decimal whose scale is in the value.
    fn decimal(&mut self) -> Node {
        let mut part = |name: &str, kind| RecordField {
            name: name.to_owned(),
            node: self.nodes.push(Node::of(kind)),
            default: None,
            aliases: Vec::new(),
            hints: Hints::default(),
        };
        let fields = vec![part("scale", Kind::Int), part("value", Kind::Bytes)];
        named(Kind::Record(fields), "io.debezium.data.VariableScaleDecimal")
    }
}

fn logical(kind: Kind, name: &str) -> Node {
    Node {
        logical_type: Some(name.to_owned()),
        ..Node::of(kind)
    }
}

fn named(kind: Kind, name: &str) -> Node {
    Node {
        connect_name: Some(name.to_owned()),
        ..Node::of(kind)
    }
}

fn meaning(message: &MessageDescriptor) -> How {
    match message.full_name() {
        "google.protobuf.Timestamp" => How::Timestamp,
        "google.type.Date" => How::Date,
        "google.type.TimeOfDay" => How::TimeOfDay,
        "google.type.Decimal" => How::DecimalText,
        "confluent.type.Decimal" => How::Decimal,
        "google.protobuf.UInt64Value" => How::UnsignedWrapper,
        "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.BoolValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => How::Wrapper,
        _ => How::Json,
    }
}

fn scalar(kind: &Wire) -> Kind {
    match kind {
        Wire::Bool => Kind::Boolean,
        Wire::Int32 | Wire::Sint32 | Wire::Sfixed32 => Kind::Int,
        Wire::Uint32 | Wire::Fixed32 | Wire::Int64 | Wire::Sint64 | Wire::Sfixed64 => Kind::Long,
        Wire::Float => Kind::Float,
        Wire::Double => Kind::Double,
        Wire::Bytes => Kind::Bytes,
        _ => Kind::String,
    }
}

fn wrapped(kind: &Wire) -> Kind {
    let message = kind.as_message();
    let inner = message.and_then(|message| message.get_field_by_name("value"));
    inner.map_or(Kind::String, |field| scalar(&field.kind()))
}
