//! Types with structure, made of the others: arrays, maps, records, unions. All become SUPER, but a union of null and one type, which
//! becomes that type's column.

use std::collections::HashMap;

use apache_avro::types::Value;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value as Json, json};

use crate::leaf::{self, Leaf, Made, Shown};
use crate::text;

/// Any type.
#[derive(Debug, Clone)]
pub enum Type {
    Leaf(Leaf),
    Array(Box<Type>),
    Map(Box<Type>),
    Record(Vec<Type>),
    /// Null and one type; whether null is the last branch.
    Nullable(Box<Type>, bool),
    /// Null, a text, a number, a boolean, bytes and an array.
    Several,
}

/// Deepest structure.
const DEPTH: u32 = 4;

/// A type for a column.
pub fn any(dice: &mut StdRng) -> Type {
    let ty = if dice.random_ratio(1, 4) {
        structured(DEPTH, dice)
    } else {
        a_leaf(dice)
    };
    nullable(ty, dice)
}

fn a_leaf(dice: &mut StdRng) -> Type {
    let mut all = leaf::all(dice);
    Type::Leaf(all.swap_remove(dice.random_range(0..all.len())))
}

/// Null is possible two times of five.
fn nullable(ty: Type, dice: &mut StdRng) -> Type {
    match ty {
        Type::Several => ty,
        ty if dice.random_ratio(2, 5) => Type::Nullable(Box::new(ty), dice.random()),
        ty => ty,
    }
}

fn structured(depth: u32, dice: &mut StdRng) -> Type {
    let inner = |dice: &mut StdRng| {
        let ty = if depth > 1 && dice.random_ratio(1, 2) {
            structured(depth - 1, dice)
        } else {
            a_leaf(dice)
        };
        nullable(ty, dice)
    };
    match dice.random_range(0..4) {
        0 => Type::Array(Box::new(inner(dice))),
        1 => Type::Map(Box::new(inner(dice))),
        2 => Type::Record((0..dice.random_range(0..5)).map(|_| inner(dice)).collect()),
        _ => Type::Several,
    }
}

impl Type {
    /// Its schema; named types are called `NAME`.
    pub fn schema(&self) -> Json {
        match self {
            Type::Leaf(leaf) => leaf.schema(),
            Type::Array(item) => json!({"type": "array", "items": item.schema()}),
            Type::Map(value) => json!({"type": "map", "values": value.schema()}),
            Type::Record(fields) => record("NAME", fields),
            Type::Nullable(ty, true) => json!([ty.schema(), "null"]),
            Type::Nullable(ty, false) => json!(["null", ty.schema()]),
            Type::Several => json!(["null", "string", "long", "boolean", "bytes", {"type": "array", "items": "int"}]),
        }
    }

    /// A value of it.
    pub fn make(&self, dice: &mut StdRng) -> Made {
        match self {
            Type::Leaf(leaf) => leaf.make(dice),
            Type::Nullable(_, last) if dice.random_ratio(1, 3) => Made {
                value: Value::Union(u32::from(*last), Box::new(Value::Null)),
                shown: Shown::Null,
                json: "null".into(),
            },
            Type::Nullable(ty, last) => {
                let mut made = ty.make(dice);
                made.value = Value::Union(u32::from(!*last), Box::new(made.value));
                made
            }
            Type::Array(item) => {
                let items: Vec<Made> = (0..dice.random_range(0..4)).map(|_| item.make(dice)).collect();
                let json: Vec<&str> = items.iter().map(|item| item.json.as_str()).collect();
                let json = format!("[{}]", json.join(","));
                of_json(Value::Array(items.into_iter().map(|item| item.value).collect()), json)
            }
            Type::Map(value) => {
                // One key: apache-avro writes several in an order that nobody knows.
                let key = leaf::words(dice).chars().take(30).collect::<String>();
                let made = value.make(dice);
                let json = format!("{{{}:{}}}", text::string(&key), made.json);
                of_json(Value::Map(HashMap::from([(key, made.value)])), json)
            }
            Type::Record(types) => {
                let fields: Vec<(String, Made)> = types
                    .iter()
                    .enumerate()
                    .map(|(at, ty)| (field_name(at), ty.make(dice)))
                    .collect();
                let json: Vec<String> = fields
                    .iter()
                    .map(|(name, made)| format!("\"{name}\":{}", made.json))
                    .collect();
                let json = format!("{{{}}}", json.join(","));
                of_json(
                    Value::Record(fields.into_iter().map(|(name, made)| (name, made.value)).collect()),
                    json,
                )
            }
            Type::Several => several(dice),
        }
    }
}

/// A record of these fields.
pub fn record(name: &str, fields: &[Type]) -> Json {
    let fields: Vec<Json> = fields
        .iter()
        .enumerate()
        .map(|(at, ty)| json!({"name": field_name(at), "type": ty.schema()}))
        .collect();
    json!({"type": "record", "name": name, "fields": fields})
}

/// Name of a field by its place.
pub fn field_name(at: usize) -> String {
    format!("c{at}")
}

fn of_json(value: Value, json: String) -> Made {
    Made {
        value,
        shown: Shown::Text(json.clone()),
        json,
    }
}

fn several(dice: &mut StdRng) -> Made {
    let (branch, made) = match dice.random_range(0..6) {
        0 => {
            return Made {
                value: Value::Union(0, Box::new(Value::Null)),
                shown: Shown::Null,
                json: "null".into(),
            };
        }
        1 => (1, Leaf::Text.make(dice)),
        2 => (2, Leaf::Long.make(dice)),
        3 => (3, Leaf::Boolean.make(dice)),
        4 => (4, Leaf::Bytes.make(dice)),
        _ => (5, Type::Array(Box::new(Type::Leaf(Leaf::Int))).make(dice)),
    };
    of_json(Value::Union(branch, Box::new(made.value)), made.json)
}
