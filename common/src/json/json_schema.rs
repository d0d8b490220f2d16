//! JSON Schema of a registry, as the schema that its records would have in Avro: the properties of the outermost object are the fields. What
//! has structure itself, or may be of several types, is kept as the JSON that it is.
//!
//! Kafka Connect's JsonSchemaConverter says by `title`, `connect.type` and `connect.parameters` what JSON Schema has no words for; they are
//! understood as they are in Avro.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::transcode::{How, Unknown};
use crate::avro::{Hints, Kind, Node, NodeId, Nodes, RecordField, WriterSchema};

/// References followed from one to the next.
const HOPS_MAX: usize = 32;

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
/// What titles begin with that say what a type means.
const MEANINGS: [&str; 2] = ["org.apache.kafka.connect.data.", "io.debezium."];
/// The parts of a Debezium envelope that are records of their own.
const IMAGES: [&str; 3] = ["before", "after", "source"];

/// Reads the text of a schema, and those of the schemas that it refers to.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn writer_schema(text: &str, references: &[(String, String)]) -> Result<WriterSchema, String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
    let document = parse(text)?;
    let others = references.iter().map(|(name, text)| Ok((name.as_str(), parse(text)?)));
    let others = others.collect::<Result<HashMap<_, _>, String>>()?;
    let builder = Builder {
        others: &others,
        nodes: Nodes::default(),
        how: Vec::new(),
    };
    builder.build(At {
        document: &document,
        schema: &document,
    })
}

/// A part of a document.
#[derive(Clone, Copy)]
struct At<'a> {
    document: &'a Value,
    schema: &'a Value,
}

impl<'a> At<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.schema.get(name)
    }

    fn text(self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    fn within(self, schema: &'a Value) -> At<'a> {
        At { schema, ..self }
    }

    fn properties(self) -> Option<&'a Map<String, Value>> {
        self.get("properties")?.as_object()
    }
}

/// A type by itself, and whether null may stand in its place.
struct Single<'a> {
    at: At<'a>,
    ty: Option<&'a str>,
    nullable: bool,
}

struct Builder<'a> {
    others: &'a HashMap<&'a str, Value>,
    nodes: Nodes,
    how: Vec<How>,
}

impl<'a> Builder<'a> {
    fn build(mut self, root: At<'a>) -> Result<WriterSchema, String> {
        let single = self.single(root)?;
        let root = match single.at.properties() {
            Some(properties) if single.ty.is_none_or(|ty| ty == "object") => {
                let is_envelope = properties.contains_key("op") && properties.contains_key("after");
                self.record(single.at, properties, is_envelope)?
            }
            _ => {
                let (node, how) = plain(&single);
                self.push(node, how)
            }
        };
        Ok(self.nodes.into_schema(root).spoken_in_json(self.how))
    }

    fn push(&mut self, node: Node, how: How) -> NodeId {
        self.how.push(how);
        self.nodes.push(node)
    }

    fn nullable(&mut self, inner: NodeId) -> NodeId {
        let null = self.push(Node::of(Kind::Null), How::ByType);
        self.push(Node::of(Kind::Union(vec![null, inner])), How::ByType)
    }

    /// An object, each of its properties a field.
    fn record(&mut self, at: At<'a>, properties: &'a Map<String, Value>, is_envelope: bool) -> Result<NodeId, String> {
        let index = |schema: &Value| schema.get("connect.index").and_then(Value::as_i64);
        // The converter lists what may be absent as null, and nothing as required.
        let by_connect = properties.values().any(|schema| index(schema).is_some());
        let required: Vec<&str> = at
            .get("required")
            .and_then(Value::as_array)
            .map_or_else(Vec::new, |names| names.iter().filter_map(Value::as_str).collect());
        let mut in_order: Vec<(&'a String, &'a Value)> = properties.iter().collect();
        in_order.sort_by_key(|(_, schema)| index(schema).unwrap_or(i64::MAX));
        let mut fields = Vec::with_capacity(in_order.len());
        for (name, schema) in in_order {
            let single = self.single(at.within(schema))?;
            let may_be_absent = !by_connect && !required.contains(&name.as_str());
            let nullable = (single.nullable || may_be_absent) && !(is_envelope && name == "op");
            let image = single.at.properties();
            let image = image.filter(|_| is_envelope && IMAGES.contains(&name.as_str()));
            let (inner, default) = match image {
                Some(properties) => (self.record(single.at, properties, false)?, None),
                None => {
                    let (node, how) = plain(&single);
                    let default = default(&node, how, at.within(schema), single.at);
                    (self.push(node, how), default)
                }
            };
            fields.push(RecordField {
                name: name.clone(),
                node: if nullable { self.nullable(inner) } else { inner },
                default,
                aliases: Vec::new(),
                hints: Hints::default(),
            });
        }
        Ok(self.push(Node::of(Kind::Record(fields)), How::Record(Unknown::Undeclared)))
    }

    /// Follows references and takes null out of what may be one of several.
    fn single(&self, at: At<'a>) -> Result<Single<'a>, String> {
        let mut at = at;
        let mut nullable = false;
        for _ in 0..HOPS_MAX {
            if let Some(reference) = at.text("$ref") {
                at = self.follow(at, reference)?;
                continue;
            }
            let branches = ["oneOf", "anyOf", "allOf"]
                .into_iter()
                .find_map(|name| at.get(name)?.as_array());
            let Some(branches) = branches else {
                return Ok(by_type(at, nullable));
            };
            let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
            let mut others = branches.iter().filter(|schema| !is_null(schema));
            nullable |= branches.iter().any(|schema| is_null(&schema));
            match (others.next(), others.next()) {
                (Some(only), None) => at = at.within(only),
                // Several types, or several rules about one.
                _ => {
                    let ty = at.text("type").filter(|_| at.get("allOf").is_some());
                    return Ok(Single { at, ty, nullable });
                }
            }
        }
        Err("its references lead from one to the next without end".to_owned())
    }

    /// `name`, `name#/pointer` or `#/pointer`.
    fn follow(&self, at: At<'a>, reference: &str) -> Result<At<'a>, String> {
        let lost = || format!("it refers to `{reference}`, which is not there");
        let (document, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let has_id = |other: &&Value| other.get("$id").and_then(Value::as_str) == Some(document);
        let document = if document.is_empty() {
            at.document
        } else {
            let by_name = self.others.get(document);
            let by_id = || self.others.values().find(has_id);
            by_name
                .or_else(by_id)
                .or_else(|| Some(at.document).filter(has_id))
                .ok_or_else(lost)?
        };
        let schema = document.pointer(pointer).ok_or_else(lost)?;
        Ok(At { document, schema })
    }
}

fn by_type(at: At<'_>, nullable: bool) -> Single<'_> {
    let (mut ty, mut nullable) = (None, nullable);
    match at.get("type") {
        Some(Value::String(only)) => ty = Some(only.as_str()),
        Some(Value::Array(several)) => {
            let mut others = several.iter().filter_map(Value::as_str).filter(|ty| *ty != "null");
            nullable |= several.iter().any(|ty| ty.as_str() == Some("null"));
            ty = others.next().filter(|_| others.next().is_none());
        }
        _ => {
            let texts = |values: &Vec<Value>| values.iter().all(Value::is_string);
            if at.get("enum").and_then(Value::as_array).is_some_and(texts) {
                ty = Some("string");
            }
        }
    }
    Single { at, ty, nullable }
}

/// The node of a type that is no record of fields.
fn plain(single: &Single<'_>) -> (Node, How) {
    let at = single.at;
    let meaning = at
        .text("title")
        .filter(|title| MEANINGS.iter().any(|begin| title.starts_with(begin)));
    let connect_type = at.text("connect.type");
    let parameters = parameters(at);
    if meaning == Some(DECIMAL)
        && matches!(single.ty, Some("number" | "string" | "integer"))
        && let Some(scale) = parameters.get("scale").and_then(|scale| scale.parse().ok())
    {
        return (
            named(Kind::Bytes, meaning, parameters),
            How::Decimal { scale, base64: true },
        );
    }
    let kind = match (single.ty, connect_type) {
        (Some("boolean"), _) => Kind::Boolean,
        (Some("integer"), Some(short @ ("int8" | "int16"))) => {
            let node = Node {
                connect_type: Some(short.to_owned()),
                ..named(Kind::Int, meaning, parameters)
            };
            return (node, How::ByType);
        }
        (Some("integer"), Some("int32")) => Kind::Int,
        (Some("integer"), _) => Kind::Long,
        (Some("number"), Some("float32")) => Kind::Float,
        (Some("number"), _) => Kind::Double,
        (Some("string"), Some("bytes")) => Kind::Bytes,
        (Some("string"), _) if at.text("contentEncoding") == Some("base64") => Kind::Bytes,
        (Some("string"), _) => {
            let meaning = meaning.or(match at.text("format") {
                Some("date") => Some("io.debezium.time.IsoDate"),
                Some("date-time") => Some("io.debezium.time.ZonedTimestamp"),
                Some("time") => Some("io.debezium.time.ZonedTime"),
                Some("uuid") => Some("io.debezium.data.Uuid"),
                _ => None,
            });
            return (named(Kind::String, meaning, parameters), How::ByType);
        }
        _ => {
            let node = named(Kind::String, Some("io.debezium.data.Json"), HashMap::new());
            return (node, How::Raw);
        }
    };
    (named(kind, meaning, parameters), How::ByType)
}

fn named(kind: Kind, meaning: Option<&str>, parameters: HashMap<String, String>) -> Node {
    Node {
        connect_name: meaning.map(str::to_owned),
        parameters,
        ..Node::of(kind)
    }
}

fn parameters(at: At<'_>) -> HashMap<String, String> {
    let parameters = at.get("connect.parameters").and_then(Value::as_object);
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let pairs = parameters.into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .collect()
}

/// The default of a plain field, written at the property or at what it refers to. Of times and decimals it is not taken: they have many
/// ways to be written.
fn default(node: &Node, how: How, outer: At<'_>, inner: At<'_>) -> Option<Value> {
    let value = outer
        .get("default")
        .or_else(|| inner.get("default"))
        .filter(|value| !value.is_null())?;
    let fits = match &node.kind {
        _ if how != How::ByType || node.connect_name.is_some() => false,
        Kind::Boolean => value.is_boolean(),
        Kind::Int => value.as_i64().is_some_and(|value| i32::try_from(value).is_ok()),
        Kind::Long => value.is_i64(),
        Kind::Float | Kind::Double => value.is_number(),
        Kind::String => value.is_string(),
        _ => false,
    };
    fits.then(|| value.clone())
}
