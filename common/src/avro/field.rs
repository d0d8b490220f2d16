//! The walk: one datum to one CSV field.

use super::datum::Cursor;
use super::form::{Form, Unit, Unscaled};
use super::schema::{Kind, WriterSchema};
use super::{json, json_text, zoned};
use crate::csv::decimal::unscaled_of_text;
use crate::csv::{Row, TEXT_BYTES_MAX};
use crate::row::Reason;

/// What a field needs besides its datum, reused from record to record.
#[derive(Debug)]
pub(crate) struct Scratch {
    json: Vec<u8>,
    row: Row,
    unavailable: Option<Unavailable>,
}

/// The shapes in which Debezium says that a value was left out because it did not change (UnchangedToastedPlaceholder).
#[derive(Debug)]
struct Unavailable {
    text: Vec<u8>,
    json: Vec<Vec<u8>>,
}

impl Unavailable {
    fn new(text: &str) -> Unavailable {
        let codes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
        let mut base64 = Vec::new();
        json::base64(text.as_bytes(), &mut base64);
        let base64 = String::from_utf8_lossy(&base64).into_owned();
        let json = [
            format!("[\"{text}\"]"),
            format!("[{base64}]"),
            format!("[{}]", codes.join(",")),
            format!("{{\"{text}\":\"{text}\"}}"),
        ];
        Unavailable {
            text: text.as_bytes().to_vec(),
            json: json.map(String::into_bytes).to_vec(),
        }
    }
}

/// What a field turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Text of a VARCHAR, of so many bytes.
    Text(usize),
    /// Any other value.
    Value,
    /// Nothing is written: the source left the value out, since it did not change.
    Unchanged,
}

impl Scratch {
    /// For records in which `unavailable` stands for an unchanged value.
    pub(crate) fn new(unavailable: Option<&str>) -> Scratch {
        Scratch {
            json: Vec::new(),
            row: Row::new("\0"),
            unavailable: unavailable.map(Unavailable::new),
        }
    }

    /// Bytes of the placeholder; none has as many if there is no placeholder.
    #[inline]
    pub(crate) fn unavailable_bytes(&self) -> usize {
        self.unavailable
            .as_ref()
            .map_or(usize::MAX, |unavailable| unavailable.text.len())
    }

    #[inline]
    fn is_unavailable(&self, text: &[u8]) -> bool {
        self.unavailable
            .as_ref()
            .is_some_and(|unavailable| unavailable.text == text)
    }

    fn write_json(&mut self, row: &mut Row, unavailable: bool) -> Written {
        if unavailable {
            return Written::Unchanged;
        }
        row.reserve(2 * self.json.len() + 4);
        row.quoted(&self.json);
        Written::Value
    }

    /// Empties the buffer for JSON.
    fn begin_json(&mut self) {
        self.json.clear();
        if self.json.capacity() > JSON_KEEP_BYTES {
            self.json = Vec::new();
        }
    }
}

/// A JSON buffer beyond this is given back.
const JSON_KEEP_BYTES: usize = 256 * 1024;

/// Writes the field of a datum that is not null. Needs twice the bytes of the datum and [`Form::room`] reserved.
#[inline]
pub(crate) fn write(
    form: &Form,
    schema: &WriterSchema,
    cursor: &mut Cursor<'_>,
    row: &mut Row,
    scratch: &mut Scratch,
) -> Result<Written, Reason> {
    match form {
        Form::Text { limit } => {
            let bytes = cursor.length()?;
            let at = cursor.at;
            cursor.at = at + bytes;
            if bytes > (*limit as usize).min(TEXT_BYTES_MAX) {
                return Err(Reason::TextBytes(bytes as u32));
            }
            if scratch.is_unavailable(&cursor.bytes[at..at + bytes]) {
                return Ok(Written::Unchanged);
            }
            row.text(cursor.bytes, at, bytes)?;
            Ok(Written::Text(bytes))
        }
        Form::Int => {
            row.integer(cursor.int()?.into());
            Ok(Written::Value)
        }
        Form::Long => {
            row.integer(cursor.long()?);
            Ok(Written::Value)
        }
        Form::Super(_) | Form::Json | Form::Hex { .. } | Form::Bits { .. } | Form::Uuid => {
            structured(form, schema, cursor, row, scratch)
        }
        Form::AsText { form, limit } => as_text((form, *limit as usize), schema, cursor, row, scratch),
        _ => scalar(form, cursor, row),
    }
}

/// Fields that need a schema or a buffer, or that can hold the placeholder in a shape of their own.
fn structured(
    form: &Form,
    schema: &WriterSchema,
    cursor: &mut Cursor<'_>,
    row: &mut Row,
    scratch: &mut Scratch,
) -> Result<Written, Reason> {
    match form {
        Form::Super(id) => {
            scratch.begin_json();
            // Of a union of several types null is NULL, not a JSON null.
            if let Kind::Union(branches) = schema.kind(*id) {
                let mut ahead = *cursor;
                if *schema.kind(ahead.branch(branches)?) == Kind::Null {
                    *cursor = ahead;
                    row.null();
                    return Ok(Written::Value);
                }
            }
            json::write(schema, *id, cursor, &mut scratch.row, &mut scratch.json)?;
            let unavailable = scratch
                .unavailable
                .as_ref()
                .is_some_and(|it| it.json.contains(&scratch.json));
            Ok(scratch.write_json(row, unavailable))
        }
        Form::Json => {
            let text = cursor.prefixed()?;
            if scratch.is_unavailable(text) {
                return Ok(Written::Unchanged);
            }
            scratch.begin_json();
            json_text::write(text, &mut scratch.json)?;
            let unavailable = scratch
                .unavailable
                .as_ref()
                .is_some_and(|it| it.json.contains(&scratch.json));
            Ok(scratch.write_json(row, unavailable))
        }
        Form::Hex { extent, limit } => {
            let bytes = cursor.extent(*extent)?;
            if scratch.is_unavailable(bytes) {
                return Ok(Written::Unchanged);
            }
            if bytes.len() > *limit as usize {
                return Err(Reason::Bytes(u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
            }
            row.hex(bytes);
            Ok(Written::Value)
        }
        Form::Bits { limit } => {
            let bytes = cursor.prefixed()?;
            if scratch.is_unavailable(bytes) {
                return Ok(Written::Unchanged);
            }
            if bytes.len().max(1) > *limit as usize {
                return Err(Reason::Bytes(u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
            }
            row.hex(if bytes.is_empty() { &[0] } else { bytes });
            Ok(Written::Value)
        }
        Form::Uuid => {
            let text = cursor.prefixed()?;
            if scratch.is_unavailable(text) {
                return Ok(Written::Unchanged);
            }
            uuid_text(text, row)?;
            Ok(Written::Text(text.len()))
        }
        _ => scalar(form, cursor, row),
    }
}

/// What a form writes, as the text of a VARCHAR. Texts have no infinities to fear: those of numbers are written as they are called.
fn as_text(
    (form, limit): (&Form, usize),
    schema: &WriterSchema,
    cursor: &mut Cursor<'_>,
    row: &mut Row,
    scratch: &mut Scratch,
) -> Result<Written, Reason> {
    let start = row.len();
    let begun = *cursor;
    let bytes = match form {
        Form::Super(_) | Form::Json => {
            let written = structured(form, schema, cursor, row, scratch)?;
            if written == Written::Unchanged {
                return Ok(written);
            }
            scratch.json.len()
        }
        Form::Hex { .. } | Form::Bits { .. } => {
            let written = structured(form, schema, cursor, row, scratch)?;
            if written == Written::Unchanged {
                return Ok(written);
            }
            row.len() - start - 2
        }
        _ => {
            row.byte(b'"');
            match (scalar(form, cursor, row), form) {
                (Err(Reason::NotFinite), Form::Float | Form::FloatAsDouble) => {
                    *cursor = begun;
                    row.raw(not_finite(f32::from_le_bytes(cursor.array()?).into()));
                }
                (Err(Reason::NotFinite), _) => {
                    *cursor = begun;
                    row.raw(not_finite(f64::from_le_bytes(cursor.array()?)));
                }
                (written, _) => drop(written?),
            }
            row.byte(b'"');
            row.len() - start - 2
        }
    };
    if bytes > limit.min(TEXT_BYTES_MAX) {
        row.truncate(start);
        return Err(Reason::TextBytes(u32::try_from(bytes).unwrap_or(u32::MAX)));
    }
    Ok(Written::Text(bytes))
}

/// As PostgreSQL and Redshift spell it.
fn not_finite(value: f64) -> &'static [u8] {
    if value.is_nan() {
        b"NaN"
    } else if value > 0.0 {
        b"Infinity"
    } else {
        b"-Infinity"
    }
}

/// A decimal in a column of a precision and scale that were asked for.
fn as_decimal(from: Unscaled, (precision, to): (u8, u8), cursor: &mut Cursor<'_>, row: &mut Row) -> Result<(), Reason> {
    match from {
        Unscaled::Bytes { extent, scale } => row.decimal_of_any_scale(cursor.extent(extent)?, scale, precision, to),
        Unscaled::Big => {
            let (unscaled, scale) = big_decimal(cursor)?;
            row.decimal_of_any_scale(unscaled, scale, precision, to)
        }
        Unscaled::Variable { scale_first } => {
            let (unscaled, scale) = variable_scale_decimal(scale_first, cursor)?;
            row.decimal_of_any_scale(unscaled, scale, precision, to)
        }
        Unscaled::Text => {
            let text = std::str::from_utf8(cursor.prefixed()?).map_err(|_| Reason::Utf8)?;
            let number = unscaled_of_text(text.trim(), to.into()).ok_or(Reason::NumberText)?;
            row.decimal(&number.to_signed_bytes_be(), to, precision, to)
        }
    }
}

/// Unscaled bytes and scale, both inside bytes.
fn big_decimal<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], i32), Reason> {
    let mut inner = Cursor::new(cursor.prefixed()?);
    let unscaled = inner.prefixed()?;
    let scale = i32::try_from(inner.long()?).map_err(|_| Reason::Digits)?;
    Ok((unscaled, scale))
}

fn variable_scale_decimal<'a>(scale_first: bool, cursor: &mut Cursor<'a>) -> Result<(&'a [u8], i32), Reason> {
    let before = if scale_first { cursor.int()? } else { 0 };
    let unscaled = cursor.prefixed()?;
    let scale = if scale_first { before } else { cursor.int()? };
    Ok((unscaled, scale))
}

/// A text that is a number, without the blanks around it.
fn number<T: std::str::FromStr>(cursor: &mut Cursor<'_>) -> Result<T, Reason> {
    let text = std::str::from_utf8(cursor.prefixed()?).map_err(|_| Reason::Utf8)?;
    text.trim().parse().map_err(|_| Reason::NumberText)
}

/// Fields of a datum without structure.
pub(crate) fn scalar(form: &Form, cursor: &mut Cursor<'_>, row: &mut Row) -> Result<Written, Reason> {
    match form {
        Form::Null => row.null(),
        Form::Boolean => row.boolean(cursor.boolean()?),
        Form::Int => row.integer(cursor.int()?.into()),
        Form::Long => row.integer(cursor.long()?),
        Form::Narrow { min, max } => {
            let value = i16::try_from(cursor.int()?).map_err(|_| Reason::Range)?;
            if !(*min..=*max).contains(&value) {
                return Err(Reason::Range);
            }
            row.integer(value.into());
        }
        Form::Float => row.float(f32::from_le_bytes(cursor.array()?))?,
        Form::FloatAsDouble => row.double(f32::from_le_bytes(cursor.array()?).into())?,
        Form::Double => row.double(f64::from_le_bytes(cursor.array()?))?,
        Form::Date => row.date(cursor.int()?.into())?,
        Form::Time(unit) => row.time(micros(cursor.long()?, *unit)?)?,
        Form::Timestamp { unit, zone } => {
            row.timestamp(micros(cursor.long()?, *unit)?)?;
            if *zone {
                row.raw(b"+00");
            }
        }
        Form::Decimal {
            extent,
            scale,
            precision,
            column_scale,
        } => {
            row.decimal(cursor.extent(*extent)?, *scale, *precision, *column_scale)?;
        }
        Form::AsDecimal { from, precision, scale } => as_decimal(*from, (*precision, *scale), cursor, row)?,
        Form::TextAsInteger { min, max } => {
            let value: i64 = number(cursor)?;
            if !(*min..=*max).contains(&value) {
                return Err(Reason::Range);
            }
            row.integer(value);
        }
        Form::TextAsDouble => row.double(number(cursor)?)?,
        Form::FixedPoint {
            scale,
            precision,
            column_scale,
        } => fixed_point(
            f64::from_le_bytes(cursor.array()?),
            *scale,
            (*precision, *column_scale),
            row,
        )?,
        Form::ZonedTimestamp => zoned::timestamp(cursor.prefixed()?, row)?,
        Form::ZonedTime => zoned::time(cursor.prefixed()?, row)?,
        Form::IsoDate => zoned::iso_date(cursor.prefixed()?, row)?,
        Form::IsoTime => zoned::iso_time(cursor.prefixed()?, row)?,
        Form::IsoTimestamp => zoned::iso_timestamp(cursor.prefixed()?, row)?,
        _ => return text_of(form, cursor, row).map(Written::Text),
    }
    Ok(Written::Value)
}

/// Fields that are text in Redshift and something else in Avro; the bytes of the text.
fn text_of(form: &Form, cursor: &mut Cursor<'_>, row: &mut Row) -> Result<usize, Reason> {
    let start = row.len();
    match form {
        Form::Enum(symbols) => {
            let symbol = cursor.long()?;
            let quoted = usize::try_from(symbol).ok().and_then(|symbol| symbols.get(symbol));
            row.raw(quoted.ok_or(Reason::Symbol(symbol as u32))?);
        }
        Form::UuidBytes => row.uuid(&cursor.array()?),
        Form::Uuid => uuid_text(cursor.prefixed()?, row)?,
        Form::DecimalText { extent, scale, limit } => {
            row.decimal_text(cursor.extent(*extent)?, *scale, *limit as usize)?;
        }
        Form::BigDecimal => {
            let (unscaled, scale) = big_decimal(cursor)?;
            row.decimal_text(unscaled, scale, crate::csv::decimal::DECIMAL_TEXT_BYTES_MAX)?;
        }
        Form::VariableScaleDecimal { scale_first } => {
            let (unscaled, scale) = variable_scale_decimal(*scale_first, cursor)?;
            row.decimal_text(unscaled, scale, crate::csv::decimal::DECIMAL_TEXT_BYTES_MAX)?;
        }
        Form::Duration => zoned::duration(&cursor.array()?, row),
        Form::Text { .. } => {
            let text = cursor.prefixed()?;
            row.careful_text(text)?;
        }
        // All others have a structure or a scalar form of their own and do not come here.
        _ => return Err(Reason::Depth),
    }
    Ok(row.len() - start - 2)
}

/// A double in so many digits behind the point, which are all that the source has.
fn fixed_point(value: f64, scale: u8, (precision, to): (u8, u8), row: &mut Row) -> Result<(), Reason> {
    if !value.is_finite() {
        return Err(Reason::NotFinite);
    }
    let text = format!("{value:.*}", usize::from(scale)).replace('.', "");
    let unscaled: i128 = text.parse().map_err(|_| Reason::Digits)?;
    row.decimal(&unscaled.to_be_bytes(), scale, precision, to)
}

fn uuid_text(text: &[u8], row: &mut Row) -> Result<(), Reason> {
    let shape = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    if text.len() != 36 || !text.iter().enumerate().all(shape) {
        return Err(Reason::Uuid);
    }
    row.byte(b'"');
    text.iter().for_each(|byte| row.byte(byte.to_ascii_lowercase()));
    row.byte(b'"');
    Ok(())
}

/// Microseconds of a number in its unit; what is finer is cut.
#[inline]
fn micros(value: i64, unit: Unit) -> Result<i64, Reason> {
    match unit {
        Unit::Seconds => value.checked_mul(1_000_000).ok_or(Reason::Year),
        Unit::Millis => value.checked_mul(1000).ok_or(Reason::Year),
        Unit::Micros => Ok(value),
        Unit::Nanos => Ok(value.div_euclid(1000)),
    }
}
