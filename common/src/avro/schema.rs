//! A writer schema, parsed once and shared by all lineages.
//!
//! The apache-avro crate judges whether the text is a schema. It drops the attributes that Connect and Debezium put on primitive
//! types (`connect.name` says that a long is a timestamp), so the nodes are built from the same JSON here.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::hints::Hints;
use super::text::{Language, SchemaText};
use crate::json::{How, json_schema};
use crate::protobuf::{self, Message};

/// The deepest nesting of definitions that is followed; serde_json stops at 128 levels of JSON anyway.
const DEFINITION_DEPTH_MAX: usize = 100;

/// Position of a node in its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// Its place among the nodes of its schema.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Nodes of a schema that was not written in Avro's JSON.
#[derive(Debug, Default)]
pub(crate) struct Nodes(Vec<Node>);

impl Nodes {
    pub(crate) fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.0.len()).expect("invariant: a schema text has fewer than 2^32 types"));
        self.0.push(node);
        id
    }

    pub(crate) fn into_schema(self, root: NodeId) -> WriterSchema {
        WriterSchema {
            nodes: self.0,
            root,
            spoken: Spoken::Avro,
        }
    }
}

/// A schema as it was when a record was written.
#[derive(Debug, Clone)]
pub struct WriterSchema {
    nodes: Vec<Node>,
    root: NodeId,
    spoken: Spoken,
}

/// How the data of a schema are written where it is of a registry.
#[derive(Debug, Clone)]
enum Spoken {
    /// As datums.
    Avro,
    /// As JSON, in which each type is said so.
    Json(Vec<How>),
    /// As Protobuf's wire format.
    Protobuf(Arc<Message>),
}

/// One type of a schema.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// `connect.name`: what Connect and Debezium mean by it.
    pub(crate) connect_name: Option<String>,
    /// `connect.type`: int8 or int16, which Avro does not have.
    pub(crate) connect_type: Option<String>,
    /// `connect.parameters`.
    pub(crate) parameters: HashMap<String, String>,
    pub(crate) logical_type: Option<String>,
    pub(crate) precision: Option<u64>,
    pub(crate) scale: Option<u64>,
    /// The most bytes that a text, or bytes, can have, where that is known.
    pub(crate) bytes_max: Option<u32>,
}

/// How a datum of a type lies in its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<RecordField>),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordField {
    pub(crate) name: String,
    pub(crate) node: NodeId,
    pub(crate) default: Option<Value>,
    /// Names that it had before.
    pub(crate) aliases: Vec<String>,
    /// What it says beside its type.
    pub(crate) hints: Hints,
}

/// Why a text is no Avro schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Not JSON.
    #[error("the schema is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON that is no schema.
    #[error("the schema is not valid Avro: {0}")]
    Invalid(String),
    /// JSON Schema that has no columns.
    #[error("the JSON Schema cannot be used: {0}")]
    JsonSchema(String),
    /// A `.proto` file without the message.
    #[error("the Protobuf schema cannot be used: {0}")]
    Protobuf(String),
}

impl WriterSchema {
    /// Parses the JSON text of a schema.
    ///
    /// # Errors
    /// When it is not JSON or not a schema by the Avro specification.
    pub fn parse(json: &str) -> Result<WriterSchema, SchemaError> {
        WriterSchema::parse_with(json, &[])
    }

    /// Parses the JSON text of a schema that may name types of other texts, each of which stands after those that it needs itself.
    ///
    /// # Errors
    /// When one of them is not JSON or not a schema by the Avro specification.
    pub fn parse_with(json: &str, others: &[&str]) -> Result<WriterSchema, SchemaError> {
        let mut builder = Builder {
            nodes: Vec::new(),
            names: HashMap::new(),
        };
        let mut root = NodeId(0);
        let mut texts = Vec::new();
        for text in others.iter().chain([&json]) {
            let value: Value = serde_json::from_str(text)?;
            root = builder.node(&value, "", 0)?;
            texts.push(without_defaults(&value));
        }
        // Only now: the crate panics on names that are not checked before.
        let judged = match texts.as_slice() {
            [only] => apache_avro::Schema::parse(only).map(drop),
            _ => apache_avro::Schema::parse_list(texts.iter().map(Value::to_string)).map(drop),
        };
        judged.map_err(|error| SchemaError::Invalid(error.to_string()))?;
        Ok(WriterSchema {
            nodes: builder.nodes,
            root,
            spoken: Spoken::Avro,
        })
    }

    /// Compiles a schema of a registry; `path` is the place of the message in a file of Protobuf, where it is not the first.
    ///
    /// # Errors
    /// When it, or one that it refers to, is no schema of its language; or of one that cannot be read.
    pub fn compile(schema: &SchemaText, path: &[u32]) -> Result<WriterSchema, SchemaError> {
        match schema.language {
            Language::Avro => {
                let others: Vec<&str> = schema.references.iter().map(|(_, text)| text.as_str()).collect();
                WriterSchema::parse_with(&schema.text, &others)
            }
            Language::JsonSchema => {
                json_schema::writer_schema(&schema.text, &schema.references).map_err(SchemaError::JsonSchema)
            }
            Language::Protobuf => {
                let path = if path.is_empty() { &[0][..] } else { path };
                protobuf::writer_schema(&schema.text, &schema.references, path).map_err(SchemaError::Protobuf)
            }
        }
    }

    /// The language that it was written in, and its data are.
    #[must_use]
    pub fn language(&self) -> Language {
        match self.spoken {
            Spoken::Avro => Language::Avro,
            Spoken::Json(_) => Language::JsonSchema,
            Spoken::Protobuf(_) => Language::Protobuf,
        }
    }

    /// The same with data in JSON.
    pub(crate) fn spoken_in_json(self, how: Vec<How>) -> WriterSchema {
        WriterSchema {
            spoken: Spoken::Json(how),
            ..self
        }
    }

    /// The same with data in Protobuf.
    pub(crate) fn spoken_in_protobuf(self, message: Message) -> WriterSchema {
        WriterSchema {
            spoken: Spoken::Protobuf(Arc::new(message)),
            ..self
        }
    }

    /// The message that data are; none where they are not Protobuf.
    pub(crate) fn message(&self) -> Option<&Arc<Message>> {
        match &self.spoken {
            Spoken::Protobuf(message) => Some(message),
            Spoken::Avro | Spoken::Json(_) => None,
        }
    }

    /// How JSON says the values of each node; none where data are datums.
    pub(crate) fn how(&self) -> Option<&[How]> {
        match &self.spoken {
            Spoken::Avro | Spoken::Protobuf(_) => None,
            Spoken::Json(how) => Some(how),
        }
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    #[inline]
    pub(crate) fn kind(&self, id: NodeId) -> &Kind {
        &self.node(id).kind
    }

    /// The fields of a node, if it is a record.
    pub(crate) fn fields(&self, id: NodeId) -> Option<&[RecordField]> {
        match self.kind(id) {
            Kind::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// The one type of a node besides null, and how null is told from it; `None` if there are several.
    pub(crate) fn nullable(&self, id: NodeId) -> Option<(NodeId, Nullable)> {
        let Kind::Union(branches) = self.kind(id) else {
            return Some((id, Nullable::Never));
        };
        let null = branches.iter().position(|&branch| *self.kind(branch) == Kind::Null);
        match (branches.as_slice(), null) {
            ([only], None) => Some((*only, Nullable::OneBranch)),
            ([_, other], Some(0)) => Some((*other, Nullable::Branch(0))),
            ([other, _], Some(1)) => Some((*other, Nullable::Branch(1))),
            _ => None,
        }
    }
}

/// How null is told from a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nullable {
    /// There is no branch number and no null.
    Never,
    /// A union of one type: a branch number, always 0.
    OneBranch,
    /// A union of two, null being this branch: first or last, the schema decides (`[string, null]` has it last).
    Branch(u8),
}

impl Nullable {
    /// Whether null is possible.
    pub(crate) fn possible(self) -> bool {
        matches!(self, Nullable::Branch(_))
    }
}

/// Defaults are read by us, of any branch of a union; the specification, and the crate, allow only the first.
fn without_defaults(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_defaults).collect(),
        Value::Object(object) => {
            let kept = object.iter().filter(|(name, _)| *name != "default");
            Value::Object(
                kept.map(|(name, value)| (name.clone(), without_defaults(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

struct Builder {
    nodes: Vec<Node>,
    names: HashMap<String, NodeId>,
}

fn invalid<T>(what: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError::Invalid(what.into()))
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The names that a field had before; what is no list of names says nothing.
fn aliases(field: &Value) -> Vec<String> {
    let listed = field.get("aliases").and_then(Value::as_array);
    let names = listed.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

fn full_name(name: &str, namespace: &str) -> Result<String, SchemaError> {
    let full = if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    };
    if full.split('.').all(is_name) {
        Ok(full)
    } else {
        invalid(format!("`{full}` is no name"))
    }
}

fn namespace_of(full: &str) -> &str {
    full.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}

impl Builder {
    fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("invariant: a schema text has fewer than 2^32 types"));
        self.nodes.push(node);
        id
    }

    fn node(&mut self, value: &Value, namespace: &str, depth: usize) -> Result<NodeId, SchemaError> {
        if depth > DEFINITION_DEPTH_MAX {
            return invalid("types are nested too deep");
        }
        match value {
            Value::String(name) => self.named(name, namespace, &Map::new()),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.node(branch, namespace, depth + 1));
                let branches = branches.collect::<Result<Vec<_>, _>>()?;
                Ok(self.push(Node::new(Kind::Union(branches), &Map::new())))
            }
            Value::Object(object) => self.object(object, namespace, depth),
            other => invalid(format!("`{other}` is no type")),
        }
    }

    /// A primitive type, or a reference to one that was defined before.
    fn named(&mut self, name: &str, namespace: &str, attributes: &Map<String, Value>) -> Result<NodeId, SchemaError> {
        let kind = match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "string" => Kind::String,
            _ => {
                let full = full_name(name, namespace)?;
                return match self.names.get(&full).or_else(|| self.names.get(name)) {
                    Some(&id) => Ok(id),
                    None => invalid(format!("type `{full}` is not defined")),
                };
            }
        };
        Ok(self.push(Node::new(kind, attributes)))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<NodeId, SchemaError> {
        let ty = match object.get("type") {
            Some(Value::String(ty)) => ty.as_str(),
            // {"type": {"type": "string", ...}}: the inner one is meant.
            Some(inner) => return self.node(inner, namespace, depth + 1),
            None => return invalid("a type has no `type`"),
        };
        let inner = |name: &str| {
            object
                .get(name)
                .ok_or_else(|| SchemaError::Invalid(format!("`{ty}` lacks `{name}`")))
        };
        match ty {
            "array" => {
                let items = self.node(inner("items")?, namespace, depth + 1)?;
                Ok(self.push(Node::new(Kind::Array(items), object)))
            }
            "map" => {
                let values = self.node(inner("values")?, namespace, depth + 1)?;
                Ok(self.push(Node::new(Kind::Map(values), object)))
            }
            "record" | "error" | "enum" | "fixed" => self.definition(ty, object, namespace, depth),
            name => self.named(name, namespace, object),
        }
    }

    fn definition(
        &mut self,
        ty: &str,
        object: &Map<String, Value>,
        namespace: &str,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let Some(name) = text(object, "name") else {
            return invalid(format!("`{ty}` lacks `name`"));
        };
        let full = full_name(name, text(object, "namespace").unwrap_or(namespace))?;
        // Known before its fields are read, so that they can refer to it.
        let id = self.push(Node::new(Kind::Null, object));
        self.names.insert(full.clone(), id);
        let kind = match ty {
            "fixed" => match object
                .get("size")
                .and_then(Value::as_u64)
                .and_then(|size| usize::try_from(size).ok())
            {
                Some(size) => Kind::Fixed(size),
                None => return invalid(format!("fixed `{full}` has no size")),
            },
            "enum" => {
                let symbols = object.get("symbols").and_then(Value::as_array);
                let symbols = symbols.map(|symbols| symbols.iter().map(|symbol| symbol.as_str().map(str::to_owned)));
                match symbols.and_then(Iterator::collect) {
                    Some(symbols) => Kind::Enum(symbols),
                    None => return invalid(format!("enum `{full}` has no symbols")),
                }
            }
            _ => Kind::Record(self.fields(object, &full, depth)?),
        };
        self.nodes[id.0 as usize].kind = kind;
        Ok(id)
    }

    fn fields(
        &mut self,
        object: &Map<String, Value>,
        full: &str,
        depth: usize,
    ) -> Result<Vec<RecordField>, SchemaError> {
        let Some(fields) = object.get("fields").and_then(Value::as_array) else {
            return invalid(format!("record `{full}` has no fields"));
        };
        let mut done: Vec<RecordField> = Vec::with_capacity(fields.len());
        for field in fields {
            let Some((name, ty)) = field.get("name").and_then(Value::as_str).zip(field.get("type")) else {
                return invalid(format!("a field of record `{full}` lacks its name or type"));
            };
            if !is_name(name) || done.iter().any(|other| other.name == name) {
                return invalid(format!(
                    "field `{name}` of record `{full}` has no valid name of its own"
                ));
            }
            let node = self.node(ty, namespace_of(full), depth + 1)?;
            done.push(RecordField {
                name: name.to_owned(),
                node,
                default: field.get("default").cloned(),
                aliases: aliases(field),
                hints: field
                    .as_object()
                    .map_or_else(Hints::default, |field| Hints::of(field, object.get("pkey"))),
            });
        }
        Ok(done)
    }
}

impl Node {
    /// A type without attributes.
    pub(crate) fn of(kind: Kind) -> Node {
        Node::new(kind, &Map::new())
    }

    fn new(kind: Kind, object: &Map<String, Value>) -> Node {
        let owned = |name: &str| text(object, name).map(str::to_owned);
        let parameters = object
            .get("connect.parameters")
            .and_then(Value::as_object)
            .map(|parameters| {
                let parameters = parameters
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
                parameters.collect()
            });
        Node {
            kind,
            connect_name: owned("connect.name"),
            connect_type: owned("connect.type"),
            parameters: parameters.unwrap_or_default(),
            logical_type: owned("logicalType"),
            precision: object.get("precision").and_then(Value::as_u64),
            scale: object.get("scale").and_then(Value::as_u64),
            bytes_max: None,
        }
    }
}
