//! Arrays, maps, records and unions of several types as the compact JSON of a SUPER column (redshift.md section 7): what the plain
//! columns of the same types would hold, bytes as base64, numbers that are not finite as null.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::DEPTH_MAX;
use super::datum::Cursor;
use super::field;
use super::form::{Form, Mapping};
use super::schema::{Kind, NodeId, RecordField, WriterSchema};
use crate::csv::{Row, TEXT_BYTES_MAX};
use crate::row::Reason;

/// A decimal of more digits than this goes as a string: SUPER's numbers have 38.
const NUMBER_BYTES_MAX: usize = 40;

/// Appends the JSON of a datum.
pub(crate) fn write(
    schema: &WriterSchema,
    id: NodeId,
    cursor: &mut Cursor<'_>,
    scratch: &mut Row,
    json: &mut Vec<u8>,
) -> Result<(), Reason> {
    Json { schema, scratch, json }.value(id, cursor, 0)
}

struct Json<'s, 'o> {
    schema: &'s WriterSchema,
    scratch: &'o mut Row,
    json: &'o mut Vec<u8>,
}

impl Json<'_, '_> {
    fn value(&mut self, id: NodeId, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Reason> {
        if depth > DEPTH_MAX {
            return Err(Reason::Depth);
        }
        let schema = self.schema;
        if let Kind::Union(branches) = schema.kind(id) {
            let branch = cursor.branch(branches)?;
            return self.value(branch, cursor, depth + 1);
        }
        match (Mapping::of(schema, id).form, schema.kind(id)) {
            (Form::Super(_), Kind::Array(item)) => self.array(*item, cursor, depth),
            (Form::Super(_), Kind::Map(value)) => self.map(*value, cursor, depth),
            (Form::Super(_), Kind::Record(fields)) => self.record(fields, cursor, depth),
            (form, _) => self.scalar(&form, cursor),
        }
    }

    fn array(&mut self, item: NodeId, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Reason> {
        self.json.push(b'[');
        let mut first = true;
        loop {
            let (items, _) = cursor.block()?;
            cursor.countable(items)?;
            if items == 0 {
                break;
            }
            for _ in 0..items {
                self.comma(&mut first);
                self.value(item, cursor, depth + 1)?;
            }
        }
        self.json.push(b']');
        Ok(())
    }

    fn map(&mut self, value: NodeId, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Reason> {
        self.json.push(b'{');
        let mut first = true;
        let mut keys = std::collections::HashSet::new();
        loop {
            let (items, _) = cursor.block()?;
            cursor.countable(items)?;
            if items == 0 {
                break;
            }
            for _ in 0..items {
                let key = cursor.prefixed()?;
                if !keys.insert(key) {
                    return Err(Reason::JsonKey);
                }
                self.comma(&mut first);
                string(key, self.json)?;
                self.json.push(b':');
                self.value(value, cursor, depth + 1)?;
            }
        }
        self.json.push(b'}');
        Ok(())
    }

    fn record(&mut self, fields: &[RecordField], cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Reason> {
        self.json.push(b'{');
        let mut first = true;
        for field in fields {
            self.comma(&mut first);
            string(field.name.as_bytes(), self.json)?;
            self.json.push(b':');
            self.value(field.node, cursor, depth + 1)?;
        }
        self.json.push(b'}');
        Ok(())
    }

    fn comma(&mut self, first: &mut bool) {
        if !std::mem::take(first) {
            self.json.push(b',');
        }
    }

    fn scalar(&mut self, form: &Form, cursor: &mut Cursor<'_>) -> Result<(), Reason> {
        match form {
            Form::Null => self.json.extend_from_slice(b"null"),
            Form::Boolean => self
                .json
                .extend_from_slice(if cursor.boolean()? { b"true" } else { b"false" }),
            Form::Text { .. } => string(cursor.prefixed()?, self.json)?,
            Form::Hex { extent, .. } => base64(cursor.extent(*extent)?, self.json),
            Form::Bits { .. } => base64(cursor.prefixed()?, self.json),
            Form::Super(id) => match self.schema.kind(*id) {
                Kind::Fixed(bytes) => base64(cursor.take(*bytes)?, self.json),
                // All that has structure was taken before.
                _ => return Err(Reason::Depth),
            },
            Form::Json => super::json_text::write(cursor.prefixed()?, self.json)?,
            _ => self.as_in_a_column(form, cursor)?,
        }
        Ok(())
    }

    /// What a column of the type would hold: a number as it is, all else as a string.
    fn as_in_a_column(&mut self, form: &Form, cursor: &mut Cursor<'_>) -> Result<(), Reason> {
        self.scratch.clear();
        self.scratch.reserve(form.room() + 2 * cursor.bytes.len());
        match field::scalar(form, cursor, self.scratch) {
            Err(Reason::NotFinite) => {
                self.json.extend_from_slice(b"null");
                return Ok(());
            }
            written => _ = written?,
        }
        let field = self.scratch.written();
        let text = field
            .strip_prefix(b"\"")
            .and_then(|field| field.strip_suffix(b"\""))
            .unwrap_or(field);
        let numeric = match form {
            Form::Int | Form::Long | Form::Narrow { .. } | Form::Float | Form::Double | Form::Decimal { .. } => true,
            Form::DecimalText { .. } | Form::BigDecimal | Form::VariableScaleDecimal { .. } => {
                text.len() <= NUMBER_BYTES_MAX
            }
            _ => false,
        };
        if numeric {
            self.json.extend_from_slice(text);
            return Ok(());
        }
        string(text, self.json)
    }
}

/// Appends bytes as a base64 string.
pub(super) fn base64(bytes: &[u8], json: &mut Vec<u8>) {
    json.push(b'"');
    json.extend_from_slice(BASE64.encode(bytes).as_bytes());
    json.push(b'"');
}

/// Appends a JSON string.
pub(crate) fn string(text: &[u8], json: &mut Vec<u8>) -> Result<(), Reason> {
    let text = std::str::from_utf8(text).map_err(|_| Reason::Utf8)?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(Reason::JsonBytes(u32::try_from(text.len()).unwrap_or(u32::MAX)));
    }
    json.push(b'"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0 => return Err(Reason::Nul),
            1..0x20 => {
                json.extend_from_slice(&text.as_bytes()[from..at]);
                json.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                from = at + 1;
                continue;
            }
            _ => continue,
        };
        json.extend_from_slice(&text.as_bytes()[from..at]);
        json.extend_from_slice(escape);
        from = at + 1;
    }
    json.extend_from_slice(&text.as_bytes()[from..]);
    json.push(b'"');
    Ok(())
}
