//! The default of a field as a datum of its type, so that it becomes text by the same walk as a value.

use serde_json::Value;

use super::DEPTH_MAX;
use super::schema::{Kind, NodeId, WriterSchema};

/// Appends the datum of a default that is not null; `None` if the JSON is no value of the type.
pub(crate) fn datum(schema: &WriterSchema, id: NodeId, value: &Value, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    match (schema.kind(id), value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Bool(value)) => out.push(u8::from(*value)),
        (Kind::Int, Value::Number(value)) => long(i32::try_from(value.as_i64()?).ok()?.into(), out),
        (Kind::Long, Value::Number(value)) => long(value.as_i64()?, out),
        (Kind::Float, Value::Number(value)) => out.extend((value.as_f64()? as f32).to_le_bytes()),
        (Kind::Double, Value::Number(value)) => out.extend(value.as_f64()?.to_le_bytes()),
        (Kind::String, Value::String(value)) => prefixed(value.as_bytes(), out),
        (Kind::Bytes, Value::String(value)) => prefixed(&latin1(value)?, out),
        (Kind::Fixed(bytes), Value::String(value)) => {
            let value = latin1(value)?;
            (value.len() == *bytes).then(|| out.extend(value))?;
        }
        (Kind::Enum(symbols), Value::String(value)) => {
            long(symbols.iter().position(|symbol| symbol == value)? as i64, out)
        }
        (Kind::Array(item), Value::Array(values)) => {
            count(values.len(), out);
            values
                .iter()
                .try_for_each(|value| datum(schema, *item, value, out, depth + 1))?;
            end(values.len(), out);
        }
        (Kind::Map(item), Value::Object(values)) => {
            count(values.len(), out);
            for (key, value) in values {
                prefixed(key.as_bytes(), out);
                datum(schema, *item, value, out, depth + 1)?;
            }
            end(values.len(), out);
        }
        (Kind::Record(fields), Value::Object(values)) => {
            for field in fields {
                let value = values.get(&field.name).or(field.default.as_ref())?;
                datum(schema, field.node, value, out, depth + 1)?;
            }
        }
        // By the specification a default is of the first branch; writers exist that take another.
        (Kind::Union(branches), value) => {
            let start = out.len();
            return branches.iter().enumerate().find_map(|(index, branch)| {
                out.truncate(start);
                long(index as i64, out);
                datum(schema, *branch, value, out, depth + 1)
            });
        }
        _ => return None,
    }
    Some(())
}

pub(crate) fn long(value: i64, out: &mut Vec<u8>) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

pub(crate) fn prefixed(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend(bytes);
}

fn count(items: usize, out: &mut Vec<u8>) {
    long(items as i64, out);
}

/// The empty block that ends an array or map; an empty one already is it.
fn end(items: usize, out: &mut Vec<u8>) {
    if items > 0 {
        out.push(0);
    }
}

/// Bytes are written in JSON as the characters of the same number.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}
