//! Records become rows of PostgreSQL's COPY text, or load errors.

use std::io::{self, Read};

use super::csv::{Dialect, Range, Scan, scan};
use super::field::{self, Column, Kind};
use super::load_error::{LoadError, code, excerpt};
use crate::sql::copy_statement::Format;

/// Longest record of a table without SUPER columns (redshift.md 1.6).
const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest record of a table with SUPER columns: COPY's scan buffer in newer documents.
const RECORD_WITH_SUPER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much is decompressed at once.
const READ_BYTES: usize = 256 * 1024;

/// Takes rows as they come.
pub trait Sink {
    /// Called when the buffer of rows has grown; may take bytes out of it. False stops the load: nobody wants the rows any more.
    fn rows(&mut self, buffer: &mut Vec<u8>) -> bool;
    /// Called for each record that cannot be loaded. False stops the load.
    fn mistake(&mut self, error: LoadError) -> bool;
}

/// Reads objects with one set of columns and options.
#[derive(Debug)]
pub struct RowReader<'a> {
    columns: &'a [Column],
    format: &'a Format,
    record_bytes_max: usize,
    fields: Vec<Range>,
    scratch: Vec<u8>,
    /// Rows in PostgreSQL's COPY text that the sink has not taken yet.
    pub out: Vec<u8>,
    /// Rows read so far, all objects together.
    pub rows: u64,
}

/// Where a record stands.
struct Place<'a> {
    file: &'a str,
    line: u64,
}

impl<'a> RowReader<'a> {
    /// Starts with no rows.
    #[must_use]
    pub fn new(columns: &'a [Column], format: &'a Format) -> Self {
        let has_super = columns.iter().any(|column| column.kind == Kind::Super);
        let record_bytes_max = if has_super {
            RECORD_WITH_SUPER_BYTES_MAX
        } else {
            RECORD_BYTES_MAX
        };
        Self {
            columns,
            format,
            record_bytes_max,
            fields: Vec::with_capacity(columns.len()),
            scratch: Vec::new(),
            out: Vec::with_capacity(READ_BYTES * 2),
            rows: 0,
        }
    }

    /// Reads one object to its end. False when the sink wants no more.
    ///
    /// # Errors
    /// The object cannot be read or decompressed.
    pub fn object(&mut self, file: &str, source: &mut dyn Read, sink: &mut dyn Sink) -> io::Result<bool> {
        let mut buffer: Vec<u8> = Vec::with_capacity(READ_BYTES * 2);
        let (mut at, mut line, mut is_last) = (0, 1, false);
        let mut to_ignore = self.format.ignore_header;
        loop {
            while at < buffer.len() {
                let dialect = Dialect {
                    delimiter: self.format.delimiter,
                    quote: self.format.quote,
                };
                let place = Place { file, line };
                let (next, lines, outcome) = match scan(&buffer, at, is_last, dialect, &mut self.fields) {
                    Scan::Incomplete => break,
                    Scan::Record { next, lines, .. } if to_ignore > 0 => {
                        to_ignore -= 1;
                        (next, lines, Ok(()))
                    }
                    Scan::Record { next, end, lines } => {
                        (next, lines, self.record(&buffer[at..end], &buffer, at, &place))
                    }
                    Scan::BadQuote { field, next } => {
                        let error = self.error(
                            &place,
                            field,
                            &buffer[at..next],
                            b"",
                            code::DELIMITER,
                            "Invalid quote formatting for CSV",
                        );
                        (next, newlines(&buffer[at..next]), Err(error))
                    }
                };
                if let Err(error) = outcome
                    && !sink.mistake(*error)
                {
                    return Ok(false);
                }
                at = next;
                line += lines;
            }
            if !sink.rows(&mut self.out) {
                return Ok(false);
            }
            if is_last {
                return Ok(true);
            }
            buffer.drain(..at);
            at = 0;
            if buffer.len() > self.record_bytes_max {
                let error = self.error(
                    &Place { file, line },
                    0,
                    &buffer,
                    b"",
                    code::LINE,
                    "Input line is not valid: it exceeds the maximum row size",
                );
                sink.mistake(*error);
                // The end of such a record cannot be found without reading on for ever, so MAXERROR does not help here.
                return Ok(false);
            }
            is_last = fill(&mut buffer, source)?;
        }
    }

    fn record(&mut self, raw: &[u8], buffer: &[u8], start: usize, place: &Place<'_>) -> Result<(), Box<LoadError>> {
        let is_blank = raw.is_empty();
        if is_blank && self.format.ignore_blank_lines {
            return Ok(());
        }
        if raw.len() > self.record_bytes_max {
            return Err(self.error(
                place,
                0,
                raw,
                b"",
                code::LINE,
                "Input line is not valid: it exceeds the maximum row size",
            ));
        }
        if is_blank && self.columns.len() > 1 {
            return Err(self.error(place, 0, raw, b"", code::EMPTY_LINE, "Empty line"));
        }
        if self.fields.len() > self.columns.len() {
            return Err(self.error(
                place,
                self.columns.len(),
                raw,
                b"",
                code::EXTRA_COLUMN,
                "Extra column(s) found",
            ));
        }
        if self.fields.len() < self.columns.len() && !self.format.fill_record {
            return Err(self.error(
                place,
                self.fields.len(),
                raw,
                b"",
                code::FEWER_COLUMNS,
                "Delimiter not found: fewer columns than expected",
            ));
        }
        let row_start = self.out.len();
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                self.out.push(b'\t');
            }
            let value: &[u8] = match self.fields.get(index) {
                None => b"",
                Some(range) if range.doubled => {
                    undouble(&buffer[range.start..range.end], self.format.quote, &mut self.scratch);
                    &self.scratch
                }
                Some(range) => &buffer[range.start..range.end],
            };
            if let Err(mistake) = field::put(value, column, self.format, &mut self.out) {
                self.out.truncate(row_start);
                let value = value.to_vec();
                let mut error = self.error(place, index, raw, &value, mistake.code, &mistake.message);
                error.position = self.fields.get(index).map_or(raw.len(), |range| range.start - start);
                return Err(error);
            }
        }
        self.out.push(b'\n');
        self.rows += 1;
        Ok(())
    }

    fn error(
        &self,
        place: &Place<'_>,
        index: usize,
        raw: &[u8],
        field: &[u8],
        code: i32,
        message: &str,
    ) -> Box<LoadError> {
        let column = self.columns.get(index);
        Box::new(LoadError {
            file: place.file.to_owned(),
            line: place.line,
            column: column.map_or_else(String::new, |column| column.name.clone()),
            column_type: column.map_or_else(String::new, |column| column.type_name.clone()),
            column_length: column.map_or_else(String::new, |column| column.type_length.clone()),
            position: 0,
            code,
            message: message.to_owned(),
            raw_line: excerpt(raw),
            raw_field: excerpt(field),
        })
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn undouble(field: &[u8], quote: u8, scratch: &mut Vec<u8>) {
    scratch.clear();
    let mut at = 0;
    while at < field.len() {
        scratch.push(field[at]);
        at += if field[at] == quote { 2 } else { 1 };
    }
}

/// Appends up to [`READ_BYTES`]; true when nothing more comes.
fn fill(buffer: &mut Vec<u8>, source: &mut dyn Read) -> io::Result<bool> {
    let old = buffer.len();
    buffer.resize(old + READ_BYTES, 0);
    let mut filled = old;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => {
                buffer.truncate(filled);
                return Ok(true);
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collected {
        rows: String,
        mistakes: Vec<LoadError>,
        allowed: usize,
    }

    impl Sink for Collected {
        fn rows(&mut self, buffer: &mut Vec<u8>) -> bool {
            self.rows.push_str(std::str::from_utf8(buffer).unwrap());
            buffer.clear();
            true
        }
        fn mistake(&mut self, error: LoadError) -> bool {
            self.mistakes.push(error);
            self.mistakes.len() <= self.allowed
        }
    }

    /// Gives one byte at a time, so that every cut of a record happens.
    struct Trickle<'a>(&'a [u8]);
    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn columns() -> Vec<Column> {
        let column = |name: &str, kind, is_required| Column {
            name: name.to_owned(),
            kind,
            is_required,
            type_name: "x".to_owned(),
            type_length: String::new(),
        };
        vec![
            column("a", Kind::Integer { min: -9, max: 9 }, true),
            column("b", Kind::Varchar { bytes_max: 5 }, false),
        ]
    }

    fn run(text: &str, format: Format, allowed: usize) -> (String, Vec<(u64, String, i32)>) {
        let columns = columns();
        let mut sink = Collected {
            allowed,
            ..Collected::default()
        };
        RowReader::new(&columns, &format)
            .object("s3://b/k", &mut Trickle(text.as_bytes()), &mut sink)
            .unwrap();
        (
            sink.rows,
            sink.mistakes.into_iter().map(|e| (e.line, e.column, e.code)).collect(),
        )
    }

    #[test]
    fn converts_and_counts_lines() {
        let (rows, mistakes) = run("1,\"a\n\"\"\"\n2,\\N\n12,x\n3,y", Format::default(), 1);
        assert_eq!(rows, "1\ta\\n\"\n2\t\\N\n3\ty\n");
        assert_eq!(mistakes, [(4, "a".to_owned(), 1222)]);
    }

    #[test]
    fn record_shape() {
        for (text, code) in [
            ("1\n", 1203),
            ("1,a,b\n", 1202),
            ("\n", 1211),
            ("1,a\"b\n", 1214),
            (",a\n", 1213),
            ("1,\"a\n", 1214),
        ] {
            assert_eq!(
                run(text, Format::default(), 0)
                    .1
                    .iter()
                    .map(|m| m.2)
                    .collect::<Vec<_>>(),
                [code],
                "{text:?}"
            );
        }
        let filled = Format {
            fill_record: true,
            ignore_blank_lines: true,
            ignore_header: 1,
            ..Format::default()
        };
        assert_eq!(run("a,b\n\n1\n", filled, 0), ("1\t\n".to_owned(), vec![]));
    }
}
