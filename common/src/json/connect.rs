//! The schema that Kafka Connect's JsonConverter puts into a record, as the schema that the Avro converter would have registered for it:
//! what Connect and Debezium mean by a type (its name and parameters) is carried the same way, so columns are the same.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::transcode::{How, Translation, Unknown};
use crate::avro::{Hints, Kind, Node, NodeId, Nodes, RecordField};

const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";

/// Reads the text of a schema.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn translation(text: &[u8]) -> Result<Translation, String> {
    let schema: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let mut builder = Builder::default();
    let root = builder.required(&schema)?;
    Ok(Translation::new(builder.nodes.into_schema(root), builder.how))
}

#[derive(Default)]
struct Builder {
    nodes: Nodes,
    how: Vec<How>,
}

fn text<'a>(schema: &'a Value, name: &str) -> Option<&'a str> {
    schema.get(name).and_then(Value::as_str)
}

impl Builder {
    fn push(&mut self, node: Node, how: How) -> NodeId {
        self.how.push(how);
        self.nodes.push(node)
    }

    /// A type that may be null where it is optional.
    fn node(&mut self, schema: &Value) -> Result<NodeId, String> {
        let inner = self.required(schema)?;
        if schema.get("optional").and_then(Value::as_bool) != Some(true) {
            return Ok(inner);
        }
        let null = self.push(Node::of(Kind::Null), How::ByType);
        Ok(self.push(Node::of(Kind::Union(vec![null, inner])), How::ByType))
    }

    /// A type by itself.
    fn required(&mut self, schema: &Value) -> Result<NodeId, String> {
        let Some(ty) = text(schema, "type") else {
            return Err("a type has no `type`".to_owned());
        };
        let (kind, connect_type) = match ty {
            "boolean" => (Kind::Boolean, None),
            "int8" | "int16" => (Kind::Int, Some(ty.to_owned())),
            "int32" => (Kind::Int, None),
            "int64" => (Kind::Long, None),
            "float" => (Kind::Float, None),
            "double" => (Kind::Double, None),
            "string" => (Kind::String, None),
            "bytes" => (Kind::Bytes, None),
            "array" => (Kind::Array(self.node(of(schema, "items")?)?), None),
            "map" => return self.map(schema),
            "struct" => (Kind::Record(self.fields(schema)?), None),
            other => return Err(format!("type `{other}` is not known")),
        };
        let parameters = parameters(schema);
        let how = match (&kind, text(schema, "name")) {
            (Kind::Record(_), _) => How::Record(Unknown::Refuse),
            (Kind::Bytes, Some(DECIMAL)) => How::Decimal {
                scale: scale(&parameters)?,
                base64: true,
            },
            _ => How::ByType,
        };
        let node = Node {
            connect_name: text(schema, "name").map(str::to_owned),
            connect_type,
            parameters,
            ..Node::of(kind)
        };
        Ok(self.push(node, how))
    }

    fn map(&mut self, schema: &Value) -> Result<NodeId, String> {
        let keys = of(schema, "keys")?;
        let values = self.node(of(schema, "values")?)?;
        if text(keys, "type") == Some("string") && keys.get("optional").and_then(Value::as_bool) != Some(true) {
            return Ok(self.push(Node::of(Kind::Map(values)), How::ByType));
        }
        // Other keys: a list of pairs, as in Avro.
        let field = |name: &str, node| RecordField {
            name: name.to_owned(),
            node,
            default: None,
            aliases: Vec::new(),
            hints: Hints::default(),
        };
        let fields = vec![field("key", self.node(keys)?), field("value", values)];
        let pair = self.push(Node::of(Kind::Record(fields)), How::Record(Unknown::Refuse));
        Ok(self.push(Node::of(Kind::Array(pair)), How::Pairs))
    }

    fn fields(&mut self, schema: &Value) -> Result<Vec<RecordField>, String> {
        let Some(Value::Array(fields)) = schema.get("fields") else {
            return Err("a struct has no `fields`".to_owned());
        };
        let mut done: Vec<RecordField> = Vec::with_capacity(fields.len());
        for field in fields {
            let Some(name) = text(field, "field") else {
                return Err("a field of a struct has no name".to_owned());
            };
            if done.iter().any(|other| other.name == name) {
                return Err(format!("a struct has field `{name}` twice"));
            }
            let default = match field.get("default") {
                None | Some(Value::Null) => None,
                Some(value) => Some(
                    default(field, value)
                        .ok_or_else(|| format!("the default of field `{name}` is no value of its type"))?,
                ),
            };
            let node = self.node(field)?;
            done.push(RecordField {
                name: name.to_owned(),
                node,
                default,
                aliases: Vec::new(),
                hints: Hints::default(),
            });
        }
        Ok(done)
    }
}

fn of<'a>(schema: &'a Value, name: &str) -> Result<&'a Value, String> {
    schema
        .get(name)
        .ok_or_else(|| format!("`{}` lacks `{name}`", text(schema, "type").unwrap_or_default()))
}

fn parameters(schema: &Value) -> HashMap<String, String> {
    let parameters = schema.get("parameters").and_then(Value::as_object);
    let pairs = parameters.into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn scale(parameters: &HashMap<String, String>) -> Result<i32, String> {
    let scale = parameters.get("scale").ok_or("a decimal has no scale")?;
    scale.parse().map_err(|_| format!("`{scale}` is no scale of a decimal"))
}

/// A default as Avro writes it: bytes are the characters of the same numbers there.
fn default(schema: &Value, value: &Value) -> Option<Value> {
    match (text(schema, "type")?, value) {
        ("bytes", Value::String(base64)) => {
            let bytes = BASE64.decode(base64).ok()?;
            Some(Value::String(bytes.into_iter().map(char::from).collect()))
        }
        // A decimal in digits may have lost some on its way through another parser.
        ("bytes", _) => None,
        ("float" | "double", Value::String(_)) => None,
        ("array", Value::Array(items)) => {
            let item = schema.get("items")?;
            let items = items.iter().map(|value| nullable_default(item, value));
            items.collect::<Option<Vec<_>>>().map(Value::Array)
        }
        ("map", Value::Object(object)) => {
            let item = schema.get("values")?;
            let pairs = object
                .iter()
                .map(|(key, value)| Some((key.clone(), nullable_default(item, value)?)));
            pairs.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        ("struct", Value::Object(object)) => {
            let fields = schema.get("fields")?.as_array()?;
            let pairs = fields.iter().filter_map(|field| {
                let name = text(field, "field")?;
                let value = object.get(name)?;
                Some(nullable_default(field, value).map(|value| (name.to_owned(), value)))
            });
            pairs.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        ("array" | "map" | "struct", _) => None,
        _ => Some(value.clone()),
    }
}

fn nullable_default(schema: &Value, value: &Value) -> Option<Value> {
    if value.is_null() {
        Some(Value::Null)
    } else {
        default(schema, value)
    }
}
