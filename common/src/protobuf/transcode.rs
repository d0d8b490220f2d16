//! A message to a datum of its schema.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, SerializeOptions, Value};

use super::schema::{Field, How, Message};
use crate::avro::default::{long, prefixed};

const MICROS: i64 = 1_000_000;

/// Why bytes are no message, and in which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// They are no message of the schema.
    #[error("it is no message of its schema: {0}")]
    Wire(String),
    /// What says which message of the schema it is cannot be read.
    #[error("it does not say which message of its schema it is")]
    Indexes,
    /// A value that is none of its type.
    #[error("field `{field}` is no {what}")]
    Value {
        /// The field.
        field: String,
        /// What it should be.
        what: &'static str,
    },
}

impl Message {
    /// Appends the datum of a message.
    pub(crate) fn datum(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ProtobufError> {
        let message = DynamicMessage::decode(self.descriptor.clone(), bytes);
        let message = message.map_err(|error| ProtobufError::Wire(error.to_string()))?;
        for field in &self.fields {
            if field.nullable {
                if !message.has_field(&field.descriptor) {
                    long(0, out);
                    continue;
                }
                long(1, out);
            }
            let value = message.get_field(&field.descriptor);
            field.write(&value, out).ok_or_else(|| ProtobufError::Value {
                field: field.descriptor.name().to_owned(),
                what: field.how.what(),
            })?;
        }
        Ok(())
    }
}

impl How {
    fn what(self) -> &'static str {
        match self {
            How::Timestamp => "time",
            How::Date => "date",
            How::TimeOfDay => "time of day",
            How::DecimalText | How::Decimal => "decimal",
            How::Json => "JSON",
            _ => "value of its type",
        }
    }
}

impl Field {
    fn write(&self, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        match self.how {
            How::ByType => scalar(value, out),
            How::Unsigned => unsigned(value, out),
            How::Name => {
                self.name(value, out);
                Some(())
            }
            How::Wrapper => scalar(part(value, "value")?.as_ref(), out),
            How::UnsignedWrapper => unsigned(part(value, "value")?.as_ref(), out),
            How::Timestamp => {
                let seconds = part(value, "seconds")?.as_i64()?;
                let nanos = part(value, "nanos")?
                    .as_i32()
                    .filter(|nanos| (0..1_000_000_000).contains(nanos))?;
                long(seconds.checked_mul(MICROS)?.checked_add(i64::from(nanos) / 1000)?, out);
                Some(())
            }
            How::Date => {
                let number = |name| part(value, name)?.as_i32();
                let (year, month) = (
                    i16::try_from(number("year")?).ok()?,
                    i8::try_from(number("month")?).ok()?,
                );
                let date = jiff::civil::Date::new(year, month, i8::try_from(number("day")?).ok()?).ok()?;
                let days = (date - jiff::civil::date(1970, 1, 1)).get_days();
                long(days.into(), out);
                Some(())
            }
            How::TimeOfDay => {
                let number = |name| Some(i64::from(part(value, name)?.as_i32()?));
                let minutes = number("hours")? * 60 + number("minutes")?;
                long(
                    (minutes * 60 + number("seconds")?) * MICROS + number("nanos")? / 1000,
                    out,
                );
                Some(())
            }
            How::DecimalText => scalar(part(value, "value")?.as_ref(), out),
            How::Decimal => {
                long(part(value, "scale")?.as_i32()?.into(), out);
                prefixed(part(value, "value")?.as_bytes()?, out);
                Some(())
            }
            How::Json => self.json(value, out),
        }
    }

    /// The name of an enum's value; a number that has none as its digits, as Protobuf's JSON has it.
    fn name(&self, value: &Value, out: &mut Vec<u8>) {
        let number = value.as_enum_number().unwrap_or_default();
        let kind = self.descriptor.kind();
        let known = kind.as_enum().and_then(|known| known.get_value(number));
        match known {
            Some(known) => prefixed(known.name().as_bytes(), out),
            None => prefixed(number.to_string().as_bytes(), out),
        }
    }

    /// Protobuf's JSON of a field, its objects in the order of their keys: a map has none of its own.
    fn json(&self, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        let mut one = DynamicMessage::new(self.descriptor.parent_message().clone());
        one.set_field(&self.descriptor, value.clone());
        let options = SerializeOptions::new()
            .stringify_64_bit_integers(false)
            .use_proto_field_name(true)
            .skip_default_fields(false);
        let json = one
            .serialize_with_options(serde_json::value::Serializer, &options)
            .ok()?;
        let mut field = json.get(self.descriptor.name())?.clone();
        field.sort_all_objects();
        prefixed(field.to_string().as_bytes(), out);
        Some(())
    }
}

/// A field of a message within; its default where it is not written.
fn part<'a>(value: &'a Value, name: &str) -> Option<Cow<'a, Value>> {
    value.as_message()?.get_field_by_name(name)
}

fn scalar(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Bool(flag) => out.push(u8::from(*flag)),
        Value::I32(number) => long((*number).into(), out),
        Value::U32(number) => long((*number).into(), out),
        Value::I64(number) => long(*number, out),
        Value::F32(number) => out.extend(number.to_le_bytes()),
        Value::F64(number) => out.extend(number.to_le_bytes()),
        Value::String(text) => prefixed(text.as_bytes(), out),
        Value::Bytes(bytes) => prefixed(bytes, out),
        _ => return None,
    }
    Some(())
}

/// As the bytes of a decimal without a scale, a sign before it.
fn unsigned(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    prefixed(&i128::from(value.as_u64()?).to_be_bytes(), out);
    Some(())
}
