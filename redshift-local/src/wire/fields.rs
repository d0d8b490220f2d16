//! Bodies that the proxy reads or builds: errors and notices, row descriptions, rows.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::frame::{put_frame, take_text};

/// The fields of an ErrorResponse or NoticeResponse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Field code and text, in order.
    pub fields: Vec<(u8, String)>,
}

impl Report {
    /// An error.
    #[must_use]
    pub fn error(code: &str, message: &str, detail: Option<&str>) -> Self {
        Self::new("ERROR", code, message, detail)
    }

    /// Any severity.
    #[must_use]
    pub fn new(severity: &str, code: &str, message: &str, detail: Option<&str>) -> Self {
        let mut fields = vec![
            (b'S', severity.to_owned()),
            (b'C', code.to_owned()),
            (b'M', message.to_owned()),
        ];
        fields.extend(detail.map(|detail| (b'D', detail.to_owned())));
        Self { fields }
    }

    /// Reads a body.
    #[must_use]
    pub fn parse(mut body: Bytes) -> Self {
        let mut fields = Vec::new();
        while body.has_remaining() {
            let code = body.get_u8();
            if code == 0 {
                break;
            }
            let Some(text) = take_text(&mut body) else { break };
            fields.push((code, text));
        }
        Self { fields }
    }

    /// A field's text.
    #[must_use]
    pub fn get(&self, code: u8) -> &str {
        self.fields
            .iter()
            .find(|(field, _)| *field == code)
            .map_or("", |(_, text)| text)
    }

    /// Appends the frame, `E` or `N`.
    pub fn put(&self, out: &mut BytesMut, kind: u8) {
        let mut body = Vec::new();
        for (code, text) in &self.fields {
            body.push(*code);
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        put_frame(out, kind, &body);
    }
}

/// One column of a row description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Table and attribute number, passed through.
    pub origin: (u32, i16),
    /// Type.
    pub type_oid: u32,
    /// Type length.
    pub length: i16,
    /// Type modifier.
    pub modifier: i32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// Reads a row description.
#[must_use]
pub fn parse_columns(mut body: Bytes) -> Option<Vec<Column>> {
    let count = body.try_get_u16().ok()?;
    let mut columns = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let name = take_text(&mut body)?;
        if body.remaining() < 18 {
            return None;
        }
        columns.push(Column {
            name,
            origin: (body.get_u32(), body.get_i16()),
            type_oid: body.get_u32(),
            length: body.get_i16(),
            modifier: body.get_i32(),
            format: body.get_i16(),
        });
    }
    Some(columns)
}

/// Appends a row description.
pub fn put_columns(out: &mut BytesMut, columns: &[Column]) {
    let mut body = Vec::new();
    body.put_u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
    for column in columns {
        body.put_slice(column.name.as_bytes());
        body.put_u8(0);
        body.put_u32(column.origin.0);
        body.put_i16(column.origin.1);
        body.put_u32(column.type_oid);
        body.put_i16(column.length);
        body.put_i32(column.modifier);
        body.put_i16(column.format);
    }
    put_frame(out, b'T', &body);
}

/// Reads a row of text values.
#[must_use]
pub fn parse_row(mut body: Bytes) -> Option<Vec<Option<Bytes>>> {
    let count = body.try_get_u16().ok()?;
    let mut values = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let length = body.try_get_i32().ok()?;
        if length < 0 {
            values.push(None);
            continue;
        }
        let length = usize::try_from(length).ok()?;
        if body.remaining() < length {
            return None;
        }
        values.push(Some(body.split_to(length)));
    }
    Some(values)
}

/// Appends a row.
pub fn put_row(out: &mut BytesMut, values: &[Option<Bytes>]) {
    let mut body = Vec::new();
    body.put_u16(u16::try_from(values.len()).unwrap_or(u16::MAX));
    for value in values {
        match value {
            None => body.put_i32(-1),
            Some(bytes) => {
                body.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                body.put_slice(bytes);
            }
        }
    }
    put_frame(out, b'D', &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_round_trip() {
        let report = Report::error("XX000", "1023", Some("why"));
        let mut out = BytesMut::new();
        report.put(&mut out, b'E');
        assert_eq!(Report::parse(out.freeze().slice(5..)), report);
    }

    #[test]
    fn columns_and_rows_round_trip() {
        let columns = vec![Column {
            name: "a".to_owned(),
            origin: (1, 2),
            type_oid: 1043,
            length: -1,
            modifier: 9,
            format: 0,
        }];
        let mut out = BytesMut::new();
        put_columns(&mut out, &columns);
        assert_eq!(parse_columns(out.freeze().slice(5..)), Some(columns));
        let row = vec![None, Some(Bytes::from_static(b"x"))];
        let mut out = BytesMut::new();
        put_row(&mut out, &row);
        assert_eq!(parse_row(out.freeze().slice(5..)), Some(row));
        assert_eq!(parse_row(Bytes::from_static(&[0, 1, 0, 0, 0, 9, 1])), None);
    }
}
