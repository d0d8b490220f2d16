//! One field against its column: the checks of redshift.md 1.3 and 1.4, and the text PostgreSQL gets.

use std::borrow::Cow;

use super::json;
use super::load_error::code;
use super::moment;
use crate::sql::copy_statement::{Format, MomentFormat};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// BOOLEAN
    Boolean,
    /// SMALLINT, INTEGER, BIGINT with their range.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// DECIMAL
    Decimal {
        /// Digits in all.
        precision: usize,
        /// Digits behind the point.
        scale: usize,
    },
    /// REAL
    Real,
    /// DOUBLE PRECISION
    Double,
    /// CHAR(n)
    Char {
        /// n
        bytes_max: usize,
    },
    /// VARCHAR(n)
    Varchar {
        /// n
        bytes_max: usize,
    },
    /// DATE
    Date,
    /// TIMESTAMP and TIMESTAMPTZ
    Timestamp,
    /// SUPER
    Super,
    /// VARBYTE(n)
    Varbyte {
        /// n
        bytes_max: usize,
    },
}

/// A column of the target, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// NOT NULL
    pub is_required: bool,
    /// Redshift's short type name, for load errors.
    pub type_name: String,
    /// Declared length, for load errors.
    pub type_length: String,
}

/// Why a field cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Load error code.
    pub code: i32,
    /// Reason.
    pub message: String,
}

fn mistake(code: i32, message: impl Into<String>) -> Mistake {
    Mistake {
        code,
        message: message.into(),
    }
}

/// Appends the field as PostgreSQL's COPY text.
///
/// # Errors
/// The field is not a value of its column.
pub fn put(field: &[u8], column: &Column, format: &Format, out: &mut Vec<u8>) -> Result<(), Mistake> {
    let is_text = matches!(column.kind, Kind::Varchar { .. } | Kind::Char { .. });
    let is_null = field == format.null.as_slice()
        || (field.is_empty() && (!is_text || format.empty_as_null))
        || (is_text && format.blanks_as_null && !field.is_empty() && field.iter().all(u8::is_ascii_whitespace));
    if is_null {
        if column.is_required {
            return Err(mistake(code::NOT_NULL, "Missing data for not-null field"));
        }
        out.extend_from_slice(b"\\N");
        return Ok(());
    }
    match column.kind {
        Kind::Varchar { bytes_max } => varchar(field, bytes_max, format, out),
        Kind::Char { bytes_max } => char(field, bytes_max, format, out),
        Kind::Integer { min, max } => integer(field, min, max, column, out),
        Kind::Decimal { precision, scale } => decimal(field, precision, scale, format.round_decimals, out),
        Kind::Real => float(field, f64::from(f32::MAX), out),
        Kind::Double => float(field, f64::MAX, out),
        Kind::Boolean => boolean(field, out),
        Kind::Date => {
            let valid = moment::is_date(field, format.date);
            verbatim(valid, field, out)
                .ok_or_else(|| mistake(code::DATE, "Invalid Date Format - length must be 10 or more"))
        }
        Kind::Timestamp => timestamp(field, format.time, out),
        Kind::Super => {
            let text = std::str::from_utf8(field).map_err(|_| invalid_utf8(field))?;
            json::check(text).map_err(|why| mistake(code::JSON, why.to_string()))?;
            escaped(field, out)
        }
        Kind::Varbyte { bytes_max } => varbyte(field, bytes_max, out),
    }
}

/// Appends a field that has no byte to escape.
fn verbatim(valid: bool, field: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(field);
    valid.then_some(())
}

const PLAIN: u8 = 0;
const ESCAPE: u8 = 1;
const HIGH: u8 = 2;
const NUL: u8 = 4;

/// What each byte means for a text field.
const CLASSES: [u8; 256] = {
    let mut classes = [PLAIN; 256];
    classes[0] = NUL;
    classes[b'\\' as usize] = ESCAPE;
    classes[b'\n' as usize] = ESCAPE;
    classes[b'\r' as usize] = ESCAPE;
    classes[b'\t' as usize] = ESCAPE;
    let mut byte = 0x80;
    while byte < 256 {
        classes[byte] = HIGH;
        byte += 1;
    }
    classes
};

fn classes_of(field: &[u8]) -> u8 {
    field
        .iter()
        .fold(PLAIN, |seen, byte| seen | CLASSES[usize::from(*byte)])
}

/// Appends a text field, escaped for PostgreSQL's COPY.
fn escaped(field: &[u8], out: &mut Vec<u8>) -> Result<(), Mistake> {
    let classes = classes_of(field);
    if classes & NUL != 0 {
        return Err(mistake(code::NUL, "Invalid null byte - field longer than 1 byte"));
    }
    if classes & ESCAPE == 0 {
        out.extend_from_slice(field);
        return Ok(());
    }
    for byte in field {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.push(*other),
        }
    }
    Ok(())
}

fn invalid_utf8(field: &[u8]) -> Mistake {
    let bad = std::str::from_utf8(field).err().map_or(0, |error| error.valid_up_to());
    let hex: String = field[bad..].iter().take(4).map(|byte| format!("{byte:02x} ")).collect();
    mistake(
        code::UTF8,
        format!(
            "String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence: {}",
            hex.trim_end()
        ),
    )
}

/// Replaces each invalid byte by one replacement, so that the width stays.
fn replace_invalid(field: &[u8], replacement: u8) -> Vec<u8> {
    let mut valid = Vec::with_capacity(field.len());
    for chunk in field.utf8_chunks() {
        valid.extend_from_slice(chunk.valid().as_bytes());
        valid.extend(std::iter::repeat_n(replacement, chunk.invalid().len()));
    }
    valid
}

fn varchar(field: &[u8], bytes_max: usize, format: &Format, out: &mut Vec<u8>) -> Result<(), Mistake> {
    let mut field = Cow::Borrowed(field);
    if classes_of(&field) & HIGH != 0 && std::str::from_utf8(&field).is_err() {
        let replacement = format.accept_invalid_chars.ok_or_else(|| invalid_utf8(&field))?;
        field = Cow::Owned(replace_invalid(&field, replacement));
    }
    let mut kept: &[u8] = &field;
    if format.trim_blanks {
        kept = kept.trim_ascii_end();
    }
    escaped(fitting(kept, bytes_max, format.truncate_columns)?, out)
}

/// The part that fits the declared length: blanks beyond it do not count.
fn fitting(field: &[u8], bytes_max: usize, truncate: bool) -> Result<&[u8], Mistake> {
    if field.len() <= bytes_max {
        return Ok(field);
    }
    if field[bytes_max..].iter().all(|byte| *byte == b' ') {
        return Ok(&field[..bytes_max]);
    }
    if !truncate {
        return Err(mistake(code::OUT_OF_RANGE, "String length exceeds DDL length"));
    }
    let mut end = bytes_max;
    while end > 0 && field[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    Ok(&field[..end])
}

fn char(field: &[u8], bytes_max: usize, format: &Format, out: &mut Vec<u8>) -> Result<(), Mistake> {
    if !field.is_ascii() {
        return Err(mistake(code::CHAR, "CHAR columns cannot contain multibyte characters"));
    }
    let kept = if format.trim_blanks {
        field.trim_ascii_end()
    } else {
        field
    };
    escaped(fitting(kept, bytes_max, format.truncate_columns)?, out)
}

fn integer(field: &[u8], min: i64, max: i64, column: &Column, out: &mut Vec<u8>) -> Result<(), Mistake> {
    let (negative, digits) = signed(field);
    if let Some(at) = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .or(digits.is_empty().then_some(0))
    {
        let position = field.len() - digits.len() + at;
        let value = field.get(position).map_or(' ', |byte| char::from(*byte));
        return Err(mistake(
            code::DIGIT,
            format!(
                "Invalid digit, Value '{}', Pos {position}, Type: {}",
                value.escape_default(),
                column.type_name
            ),
        ));
    }
    let value = digits.iter().try_fold(0_i64, |value, byte| {
        let digit = i64::from(byte - b'0');
        value.checked_mul(10).and_then(|value| {
            if negative {
                value.checked_sub(digit)
            } else {
                value.checked_add(digit)
            }
        })
    });
    match value {
        Some(value) if (min..=max).contains(&value) => {
            out.extend_from_slice(field);
            Ok(())
        }
        _ => Err(mistake(
            code::OVERFLOW,
            format!(
                "Overflow, Value '{}', Type: {}",
                String::from_utf8_lossy(field),
                column.type_name
            ),
        )),
    }
}

fn signed(field: &[u8]) -> (bool, &[u8]) {
    match field.first() {
        Some(b'-') => (true, &field[1..]),
        Some(b'+') => (false, &field[1..]),
        _ => (false, field),
    }
}

/// Surplus fractional digits are cut off, not rounded, unless ROUNDEC says so.
fn decimal(field: &[u8], precision: usize, scale: usize, round: bool, out: &mut Vec<u8>) -> Result<(), Mistake> {
    let (negative, rest) = signed(field);
    let point = rest.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((rest, &rest[rest.len()..]), |point| {
        (&rest[..point], &rest[point + 1..])
    });
    if (whole.is_empty() && fraction.is_empty()) || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(mistake(
            code::DECIMAL,
            format!("Invalid numeric value '{}'", String::from_utf8_lossy(field)),
        ));
    }
    let significant = whole.iter().skip_while(|byte| **byte == b'0').count();
    if significant > precision - scale {
        return Err(mistake(
            code::DECIMAL,
            format!("Overflow for NUMERIC({precision},{scale})"),
        ));
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    let kept = if round {
        fraction
    } else {
        &fraction[..fraction.len().min(scale)]
    };
    if !kept.is_empty() {
        out.push(b'.');
        out.extend_from_slice(kept);
    }
    Ok(())
}

fn float(field: &[u8], max: f64, out: &mut Vec<u8>) -> Result<(), Mistake> {
    let plain = field
        .iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    // Rust's grammar also has "inf" and "nan", which the characters above exclude.
    let value = std::str::from_utf8(field)
        .ok()
        .filter(|_| plain)
        .and_then(|text| text.parse::<f64>().ok());
    match value {
        Some(value) if value.abs() <= max => {
            out.extend_from_slice(field);
            Ok(())
        }
        _ => Err(mistake(
            code::FLOAT,
            format!("Invalid floating point value '{}'", String::from_utf8_lossy(field)),
        )),
    }
}

fn boolean(field: &[u8], out: &mut Vec<u8>) -> Result<(), Mistake> {
    let is = |words: &[&str]| words.iter().any(|word| field.eq_ignore_ascii_case(word.as_bytes()));
    if is(&["t", "true", "y", "yes", "1"]) {
        out.push(b't');
    } else if is(&["f", "false", "n", "no", "0"]) {
        out.push(b'f');
    } else {
        return Err(mistake(code::BOOLEAN, "Unknown boolean format"));
    }
    Ok(())
}

fn timestamp(field: &[u8], format: MomentFormat, out: &mut Vec<u8>) -> Result<(), Mistake> {
    let wrong = || {
        mistake(
            code::TIMESTAMP,
            "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]",
        )
    };
    if matches!(format, MomentFormat::EpochSeconds | MomentFormat::EpochMilliseconds) {
        let number = std::str::from_utf8(field)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(wrong)?;
        let text = moment::epoch_text(number, format).ok_or_else(wrong)?;
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    verbatim(moment::is_timestamp(field, format), field, out).ok_or_else(wrong)
}

fn varbyte(field: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Mistake> {
    if !field.len().is_multiple_of(2) || !field.iter().all(u8::is_ascii_hexdigit) {
        return Err(mistake(code::HEX, "Invalid hexadecimal value"));
    }
    if field.len() / 2 > bytes_max {
        return Err(mistake(code::OUT_OF_RANGE, "VARBYTE length exceeds DDL length"));
    }
    // PostgreSQL would take bare digits as the bytes of the text.
    out.extend_from_slice(b"\\\\x");
    out.extend_from_slice(field);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: Kind, field: &[u8], format: &Format) -> Result<String, i32> {
        let column = Column {
            name: "c".to_owned(),
            kind,
            is_required: false,
            type_name: "Integer".to_owned(),
            type_length: String::new(),
        };
        let mut out = Vec::new();
        put(field, &column, format, &mut out).map_err(|mistake| mistake.code)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn text_rules() {
        let plain = Format {
            null: b"@N@".to_vec(),
            ..Format::default()
        };
        let varchar = Kind::Varchar { bytes_max: 4 };
        for (field, expected) in [
            (&b"abcd"[..], Ok("abcd")),
            (b"", Ok("")),
            (b"@N@", Ok("\\N")),
            (b"abcd   ", Ok("abcd")),
            (b"ab  ", Ok("ab  ")),
            (b"abcde", Err(1204)),
            ("éé".as_bytes(), Ok("éé")),
            ("ééé".as_bytes(), Err(1204)),
            (b"a\\\n\t", Ok("a\\\\\\n\\t")),
            (b"a\0", Err(1218)),
            (b"\xff", Err(1220)),
            (b"\xed\xa0\x80", Err(1220)),
        ] {
            assert_eq!(run(varchar, field, &plain), expected.map(str::to_owned), "{field:?}");
        }
        let loose = Format {
            empty_as_null: true,
            blanks_as_null: true,
            truncate_columns: true,
            accept_invalid_chars: Some(b'?'),
            ..Format::default()
        };
        assert_eq!(run(varchar, b"", &loose).unwrap(), "\\N");
        assert_eq!(run(varchar, b"  ", &loose).unwrap(), "\\N");
        assert_eq!(run(varchar, "abcé".as_bytes(), &loose).unwrap(), "abc");
        assert_eq!(run(varchar, b"a\xff\xfe", &loose).unwrap(), "a??");
        assert_eq!(run(Kind::Char { bytes_max: 3 }, "é".as_bytes(), &plain), Err(1215));
    }

    #[test]
    fn number_rules() {
        let format = Format::default();
        let int = Kind::Integer {
            min: i64::from(i32::MIN),
            max: i64::from(i32::MAX),
        };
        let decimal = Kind::Decimal { precision: 5, scale: 2 };
        for (kind, field, expected) in [
            (int, "-2147483648", Ok("-2147483648")),
            (int, "2147483648", Err(1222)),
            (int, "99999999999999999999", Err(1222)),
            (int, "1.0", Err(1207)),
            (int, " 1", Err(1207)),
            (int, "-", Err(1207)),
            (int, "", Ok("\\N")),
            (decimal, "1.239", Ok("1.23")),
            (decimal, "-.5", Ok("-0.5")),
            (decimal, "0999.", Ok("0999")),
            (decimal, "1000", Err(1209)),
            (decimal, "1e2", Err(1209)),
            (Kind::Double, "1e308", Ok("1e308")),
            (Kind::Double, "1e309", Err(1208)),
            (Kind::Double, "NaN", Err(1208)),
            (Kind::Double, "inf", Err(1208)),
            (Kind::Real, "1e39", Err(1208)),
            (Kind::Boolean, "YES", Ok("t")),
            (Kind::Boolean, "0", Ok("f")),
            (Kind::Boolean, "on", Err(1210)),
            (Kind::Varbyte { bytes_max: 2 }, "00fF", Ok("\\\\x00fF")),
            (Kind::Varbyte { bytes_max: 2 }, "0g", Err(1219)),
            (Kind::Varbyte { bytes_max: 2 }, "000102", Err(1204)),
            (Kind::Date, "2024-13-01", Err(1205)),
            (Kind::Timestamp, "2024-01-01T00:00:00", Err(1206)),
            (Kind::Super, "{\"a\":\"\\n\"}", Ok("{\"a\":\"\\\\n\"}")),
            (Kind::Super, "{a}", Err(1224)),
        ] {
            assert_eq!(
                run(kind, field.as_bytes(), &format),
                expected.map(str::to_owned),
                "{field}"
            );
        }
    }
}
