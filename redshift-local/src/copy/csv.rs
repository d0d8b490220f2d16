//! Finds the fields of one CSV record in a buffer. The general CSV crates accept what Redshift refuses (text behind a closing quote, a
//! quote that never closes), so this is our own: one pass, no copies; a field is a range.

/// A field: where its content stands, without the quotes around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Contains doubled quotes that still have to become single ones.
    pub doubled: bool,
}

/// What stands at the beginning of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// A whole record.
    Record {
        /// One past the record's end, its newline included.
        next: usize,
        /// One past the record's last byte, its newline not included.
        end: usize,
        /// Newlines in it, the ending one included.
        lines: u64,
    },
    /// The buffer ends within the record.
    Incomplete,
    /// A quote stands where none may.
    BadQuote {
        /// Index of the field.
        field: usize,
        /// One past the end of the line with the mistake, its newline included, for going on behind it.
        next: usize,
    },
}

/// The characters that matter.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// Delimiter.
    pub delimiter: u8,
    /// Quote.
    pub quote: u8,
}

/// Scans the record that begins at `from`. `is_last` says that nothing follows the buffer.
pub fn scan(buffer: &[u8], from: usize, is_last: bool, dialect: Dialect, fields: &mut Vec<Range>) -> Scan {
    fields.clear();
    let mut at = from;
    let mut lines = 0;
    loop {
        // Blanks between the delimiter and an opening quote do not count (redshift.md 1.3).
        let mut quote_at = at;
        while buffer.get(quote_at) == Some(&b' ') {
            quote_at += 1;
        }
        let field = if buffer.get(quote_at) == Some(&dialect.quote) {
            match quoted(buffer, quote_at + 1, is_last, dialect.quote, &mut lines) {
                Ok(field) => {
                    at = field.end + 1;
                    field
                }
                Err(Unclosed::NeedMore) => return Scan::Incomplete,
                Err(Unclosed::AtEnd) => {
                    return Scan::BadQuote {
                        field: fields.len(),
                        next: buffer.len(),
                    };
                }
            }
        } else {
            let start = at;
            at = unquoted_end(buffer, start, dialect);
            if buffer.get(at) == Some(&dialect.quote) {
                return bad_quote(buffer, at, fields.len());
            }
            Range {
                start,
                end: at,
                doubled: false,
            }
        };
        match buffer.get(at) {
            Some(byte) if *byte == dialect.delimiter => {
                fields.push(field);
                at += 1;
            }
            Some(b'\n') => {
                fields.push(without_return(buffer, field, at));
                let end = if at > from && buffer[at - 1] == b'\r' {
                    at - 1
                } else {
                    at
                };
                return Scan::Record {
                    next: at + 1,
                    end,
                    lines: lines + 1,
                };
            }
            Some(b'\r') if buffer.get(at + 1) == Some(&b'\n') => {
                fields.push(field);
                return Scan::Record {
                    next: at + 2,
                    end: at,
                    lines: lines + 1,
                };
            }
            Some(b'\r') if at + 1 == buffer.len() && !is_last => return Scan::Incomplete,
            Some(_) => return bad_quote(buffer, at, fields.len()),
            None if is_last => {
                fields.push(without_return(buffer, field, at));
                return Scan::Record {
                    next: at,
                    end: at,
                    lines: lines + 1,
                };
            }
            None => return Scan::Incomplete,
        }
    }
}

/// Where an unquoted field ends: at a delimiter, a newline, the buffer's end, or a quote, which may not stand there.
fn unquoted_end(buffer: &[u8], start: usize, dialect: Dialect) -> usize {
    let ends = |byte: &u8| *byte == dialect.delimiter || *byte == b'\n' || *byte == dialect.quote;
    buffer[start..]
        .iter()
        .position(ends)
        .map_or(buffer.len(), |length| start + length)
}

fn bad_quote(buffer: &[u8], at: usize, field: usize) -> Scan {
    let next = buffer[at..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(buffer.len(), |found| at + found + 1);
    Scan::BadQuote { field, next }
}

/// Takes the `\r` of a `\r\n` off an unquoted last field.
fn without_return(buffer: &[u8], field: Range, line_end: usize) -> Range {
    if field.end == line_end && field.end > field.start && buffer[field.end - 1] == b'\r' {
        Range {
            end: field.end - 1,
            ..field
        }
    } else {
        field
    }
}

enum Unclosed {
    NeedMore,
    AtEnd,
}

/// The content of a quoted field; `end` is the closing quote.
fn quoted(buffer: &[u8], start: usize, is_last: bool, quote: u8, lines: &mut u64) -> Result<Range, Unclosed> {
    let mut at = start;
    let mut doubled = false;
    loop {
        match buffer.get(at) {
            None => return Err(if is_last { Unclosed::AtEnd } else { Unclosed::NeedMore }),
            Some(byte) if *byte == quote => match buffer.get(at + 1) {
                Some(next) if *next == quote => {
                    doubled = true;
                    at += 2;
                }
                None if !is_last => return Err(Unclosed::NeedMore),
                _ => {
                    return Ok(Range {
                        start,
                        end: at,
                        doubled,
                    });
                }
            },
            Some(byte) => {
                *lines += u64::from(*byte == b'\n');
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect {
        delimiter: b',',
        quote: b'"',
    };

    fn all(text: &str) -> Result<Vec<Vec<String>>, usize> {
        let (mut at, mut fields, mut records) = (0, Vec::new(), Vec::new());
        while at < text.len() {
            match scan(text.as_bytes(), at, true, DIALECT, &mut fields) {
                Scan::Record { next, .. } => {
                    records.push(
                        fields
                            .iter()
                            .map(|f| text[f.start..f.end].replace("\"\"", "\""))
                            .collect(),
                    );
                    at = next;
                }
                Scan::BadQuote { field, .. } => return Err(field),
                Scan::Incomplete => unreachable!("the buffer is the whole text"),
            }
        }
        Ok(records)
    }

    #[test]
    fn reads_records() {
        assert_eq!(
            all("a,b\n\"c\nd\",\"e\"\"f\"\n,\n").unwrap(),
            [["a", "b"], ["c\nd", "e\"f"], ["", ""]]
        );
        assert_eq!(all("a, \"b\"\r\n\"c\",d\r\n").unwrap(), [["a", "b"], ["c", "d"]]);
        assert_eq!(all("a,b").unwrap(), [["a", "b"]]);
    }

    #[test]
    fn refuses_bad_quotes() {
        assert_eq!(all("a,b\"c\n"), Err(1));
        assert_eq!(all("\"a\"b,c\n"), Err(0));
        assert_eq!(all("a,\"b\n"), Err(1));
    }

    #[test]
    fn every_cut_of_the_buffer_is_incomplete_or_right() {
        let text = b"a,\"b\"\"\nc\",d\r\n";
        let mut fields = Vec::new();
        for end in 0..text.len() {
            assert_eq!(
                scan(&text[..end], 0, false, DIALECT, &mut fields),
                Scan::Incomplete,
                "cut at {end}"
            );
        }
        assert_eq!(
            scan(text, 0, false, DIALECT, &mut fields),
            Scan::Record {
                next: text.len(),
                end: text.len() - 2,
                lines: 2
            }
        );
    }
}
