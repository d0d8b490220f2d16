//! Records that became no rows, as lines of an object of their own (protocol rule 27).
//!
//! A line has [`aside_columns`] and behind them the key columns of the plan, as far as the record's key can be read: by them the loader
//! knows whether a key was changed again before the record is mended. Key and value are kept as they were read, in hex, cut in parts where
//! they are long.

use crate::csv::Row;
use crate::plan::{MetaColumn, hex};
use crate::table::ColumnType;

use super::error::EncodeError;
use super::{Record, Settings};

/// Bytes of a key or a value in one line: with both in hex a line stays below the 4 MB that COPY takes.
pub const ASIDE_PART_BYTES: usize = 512 * 1024;

/// The longest text of an error that is kept, in bytes.
pub const ASIDE_ERROR_BYTES: usize = 1024;

const RAW: ColumnType = ColumnType::Varbyte {
    limit: Some(ASIDE_PART_BYTES as u32),
};

const fn text(bytes: u32) -> ColumnType {
    ColumnType::Varchar { limit: Some(bytes) }
}

const fn column(name: &'static str, ty: ColumnType) -> MetaColumn {
    MetaColumn { name, ty }
}

/// The columns that every such line starts with, in this order.
pub const ASIDE_COLUMNS: [MetaColumn; 13] = [
    column("_kafka_incarnation", ColumnType::Integer),
    column("_kafka_partition", ColumnType::Integer),
    column("_kafka_offset", ColumnType::BigInt),
    column("_kafka_timestamp", ColumnType::Timestamp),
    // Which part of key and value the line has, from 0.
    column("_kafka_part", ColumnType::SmallInt),
    // The reason's name, as in metrics.
    column("_kafka_reason", text(64)),
    // The column at fault, if one is.
    column("_kafka_column", text(127)),
    column("_kafka_error", text(ASIDE_ERROR_BYTES as u32)),
    // Length of key and value in bytes, NULL for null: COPY cannot tell an empty VARBYTE from NULL.
    column("_kafka_key_bytes", ColumnType::BigInt),
    column("_kafka_key", RAW),
    column("_kafka_value_bytes", ColumnType::BigInt),
    column("_kafka_value", RAW),
    // What has become of it, for a start: `open` or `amended`.
    column("_kafka_status", text(16)),
];

/// The columns that follow where the topic asks for headers: a record that is mended later needs them again.
pub const ASIDE_HEADERS: [MetaColumn; 2] = [
    column("_kafka_headers_bytes", ColumnType::BigInt),
    // As `headers::push` makes them.
    column("_kafka_headers", RAW),
];

/// The columns of a line before the key columns.
pub fn aside_columns(with_headers: bool) -> impl Iterator<Item = &'static MetaColumn> {
    let headers = if with_headers { &ASIDE_HEADERS[..] } else { &[] };
    ASIDE_COLUMNS.iter().chain(headers)
}

/// Status of a record that has no row.
pub(super) const OPEN: &str = "open";
/// Status of a record that has its row, but for a value that was replaced.
pub(super) const AMENDED: &str = "amended";

/// What the lines of one record have in common.
pub(super) struct Line<'a> {
    pub(super) settings: &'a Settings,
    pub(super) status: &'static str,
    /// `incarnation,partition`
    pub(super) origin: &'a str,
    /// The record's time as it stands in a row.
    pub(super) time: &'a [u8],
    /// The key columns, each with a comma before it.
    pub(super) keys: &'a [u8],
}

impl Line<'_> {
    /// Appends the lines of a record; how many.
    pub(super) fn write(&self, record: &Record<'_>, error: &EncodeError, out: &mut Vec<u8>) -> u64 {
        let part = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| bytes.len().div_ceil(ASIDE_PART_BYTES));
        let parts = part(record.key).max(part(record.value)).max(part(self.headers(record)));
        for index in 0..parts.max(1) {
            self.write_part(record, error, index, out);
        }
        parts.max(1) as u64
    }

    /// The headers that are kept.
    fn headers<'r>(&self, record: &Record<'r>) -> Option<&'r [u8]> {
        record.headers.filter(|_| self.settings.column_rules.headers)
    }

    fn write_part(&self, record: &Record<'_>, error: &EncodeError, part: usize, out: &mut Vec<u8>) {
        let null = self.settings.null_marker.as_str();
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\"").replace('\0', "\u{fffd}"));
        let column = error.column.as_deref().map_or(null.to_owned(), quoted);
        let problem = error.problem.to_string();
        out.extend_from_slice(format!("{},{},", self.origin, record.offset).as_bytes());
        out.extend_from_slice(self.time);
        let head = format!(
            ",{part},\"{}\",{column},{},",
            error.problem.name(),
            quoted(cut(&problem, ASIDE_ERROR_BYTES))
        );
        out.extend_from_slice(head.as_bytes());
        let raw = |bytes: Option<&[u8]>| {
            let length = bytes.map_or(null.to_owned(), |bytes| bytes.len().to_string());
            let piece = bytes.and_then(|bytes| bytes.chunks(ASIDE_PART_BYTES).nth(part));
            let digits = piece.map_or(null.to_owned(), |piece| format!("\"{}\"", hex(piece)));
            format!("{length},{digits}")
        };
        let rest = format!("{},{},\"{}\"", raw(record.key), raw(record.value), self.status);
        out.extend_from_slice(rest.as_bytes());
        if self.settings.column_rules.headers {
            out.push(b',');
            out.extend_from_slice(raw(self.headers(record)).as_bytes());
        }
        out.extend_from_slice(self.keys);
        out.push(b'\n');
    }
}

/// At most so many bytes of a text, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// The key columns of a record that cannot be read, each NULL.
pub(super) fn no_keys(columns: usize, null_marker: &str) -> Vec<u8> {
    format!(",{null_marker}").repeat(columns).into_bytes()
}

/// Key columns as they were written, each with a comma behind it, as they stand at the end of a line.
pub(super) fn keys_of(row: &Row) -> Vec<u8> {
    let written = row.written();
    let mut keys = Vec::with_capacity(written.len());
    if let Some((_, fields)) = written.split_last() {
        keys.push(b',');
        keys.extend_from_slice(fields);
    }
    keys
}
