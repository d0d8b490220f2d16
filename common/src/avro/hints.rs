//! What the schemas of Yelp's Data Pipeline say of a field beside its Avro type: its place in the primary key, and what it was in MySQL.

use serde_json::{Map, Value};

use super::schema::{Kind, Node, NodeId, WriterSchema};

/// The place in the primary key of a field that says only that it is part of it.
const UNPLACED: u32 = u32::MAX;

/// Bytes of a character in UTF-8, at most.
const CHARACTER_BYTES: u64 = 4;

/// Unix seconds; no logical type of Avro, so it is ours.
pub(crate) const SECONDS: &str = "yelp-timestamp";
/// A double that stands for a decimal; likewise.
pub(crate) const FIXED_POINT: &str = "yelp-fixed-point";

/// What a field says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    /// Place in the primary key.
    pub(crate) pkey: Option<u32>,
    /// The most characters, or bytes, that it can have.
    length: Option<u64>,
    /// `date`, `datetime` or `timestamp`.
    time: Option<&'static str>,
    /// Digits of a decimal that is written as a double, and those behind the point.
    decimal: Option<(u64, u64)>,
}

impl Hints {
    /// What a field and its type say, whichever says it; `keys` are the names that its record lists as its key.
    pub(crate) fn of(field: &Map<String, Value>, keys: Option<&Value>) -> Hints {
        let ty = match field.get("type") {
            Some(Value::Array(branches)) => branches.iter().find(|branch| branch.as_str() != Some("null")),
            other => other,
        };
        let said = |name: &str| field.get(name).or_else(|| ty?.get(name));
        let number = |name: &str| said(name).and_then(Value::as_u64);
        let is = |name: &str| said(name).and_then(Value::as_bool) == Some(true);
        let name = field.get("name").and_then(Value::as_str);
        let listed = || {
            let keys = keys?.as_array()?;
            let place = keys.iter().position(|key| key.as_str() == name)?;
            u32::try_from(place + 1).ok()
        };
        let pkey = match said("pkey") {
            Some(Value::Bool(true)) => listed().or(Some(UNPLACED)),
            Some(Value::Number(place)) => place.as_u64().and_then(|place| u32::try_from(place).ok()),
            _ => listed(),
        };
        let times = ["date", "datetime", "timestamp"];
        Hints {
            pkey,
            length: number("maxlen").or_else(|| number("fixlen")),
            time: times.into_iter().find(|name| is(name)),
            decimal: number("precision").zip(number("scale")).filter(|_| is("fixed_pt")),
        }
    }

    /// The type by what it was in MySQL; a logical type says more.
    fn apply(&self, node: &mut Node) {
        if node.logical_type.is_some() || node.connect_name.is_some() {
            return;
        }
        let named = |name: &str| Some(name.to_owned());
        let bytes = |length: u64| u32::try_from(length).ok().filter(|length| *length > 0);
        match (&node.kind, self.time) {
            (Kind::String, Some("datetime")) => node.connect_name = named("io.debezium.time.IsoTimestamp"),
            (Kind::String, Some("date")) => node.connect_name = named("io.debezium.time.IsoDate"),
            (Kind::Int, Some("date")) => node.logical_type = named("date"),
            (Kind::Int | Kind::Long, Some("timestamp")) => node.logical_type = named(SECONDS),
            (Kind::String, _) => {
                node.bytes_max = self
                    .length
                    .and_then(|length| bytes(length.saturating_mul(CHARACTER_BYTES)));
            }
            (Kind::Bytes, _) => node.bytes_max = self.length.and_then(bytes),
            (Kind::Double, _) => {
                if let Some((precision, scale)) = self.decimal {
                    node.logical_type = named(FIXED_POINT);
                    (node.precision, node.scale) = (Some(precision), Some(scale));
                }
            }
            _ => {}
        }
    }
}

impl WriterSchema {
    /// The same schema with the columns of its root as its fields' hints say.
    #[must_use]
    pub(crate) fn with_hints(&self) -> WriterSchema {
        let mut hinted = self.clone();
        let fields = self.fields(self.root()).unwrap_or_default();
        for field in fields {
            let node: NodeId = self.nullable(field.node).map_or(field.node, |(node, _)| node);
            field.hints.apply(hinted.node_mut(node));
        }
        hinted
    }
}
