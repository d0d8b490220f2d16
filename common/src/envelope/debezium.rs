//! Debezium's envelope, its fields found by name.

use crate::avro::datum::Skip;
use crate::avro::{Kind, NodeId, Nullable, WriterSchema};

/// Records that Debezium writes besides changes, which make no rows.
const OTHERS: [&str; 2] = [
    "io.debezium.connector.common.Heartbeat",
    "io.debezium.connector.common.TransactionMetadataValue",
];

/// What a value schema is to Debezium.
#[derive(Debug)]
pub(crate) enum Message {
    /// A change of a row.
    Change(Layout),
    /// A heartbeat or a transaction boundary.
    Other,
    /// Nothing that Debezium writes: this field is missing or of another type.
    Foreign(&'static str),
}

/// Where things lie in the envelope.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The fields in the writer's order; skips stand for all that is not needed.
    pub(crate) parts: Vec<Part>,
    /// The record type of `after`.
    pub(crate) after: NodeId,
    /// The record type of `before`, if there is such a field.
    pub(crate) before: Option<NodeId>,
}

/// A step through the envelope.
#[derive(Debug)]
pub(crate) enum Part {
    Before(Nullable),
    After(Nullable),
    Op,
    Skip(Vec<Skip>),
}

impl Message {
    /// Whether values of a schema make no rows: heartbeats and transaction boundaries, which no transform changes.
    pub(crate) fn is_other(schema: &WriterSchema) -> bool {
        let name = schema.node(schema.root()).connect_name.as_deref();
        name.is_some_and(|name| OTHERS.contains(&name))
    }

    pub(crate) fn of(schema: &WriterSchema) -> Message {
        if Message::is_other(schema) {
            return Message::Other;
        }
        let Kind::Record(fields) = schema.kind(schema.root()) else {
            return Message::Foreign("after");
        };
        let mut layout = Layout {
            parts: Vec::new(),
            after: schema.root(),
            before: None,
        };
        let (mut after, mut op) = (false, false);
        for field in fields {
            let record = schema
                .nullable(field.node)
                .filter(|(node, _)| matches!(schema.kind(*node), Kind::Record(_)));
            match (field.name.as_str(), record) {
                ("before", Some((node, nullable))) => {
                    layout.before = Some(node);
                    layout.parts.push(Part::Before(nullable));
                }
                ("after", Some((node, nullable))) => {
                    layout.after = node;
                    after = true;
                    layout.parts.push(Part::After(nullable));
                }
                ("op", _) if *schema.kind(field.node) == Kind::String => {
                    op = true;
                    layout.parts.push(Part::Op);
                }
                _ => {
                    let mut skips = Skip::plan(schema, field.node);
                    match layout.parts.last_mut() {
                        Some(Part::Skip(before)) => before.append(&mut skips),
                        _ => layout.parts.push(Part::Skip(skips)),
                    }
                }
            }
        }
        match (after, op) {
            (false, _) => Message::Foreign("after"),
            (_, false) => Message::Foreign("op"),
            _ => Message::Change(layout),
        }
    }
}
