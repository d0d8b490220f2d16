//! What the target should hold of a value.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// What the target should hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// NULL.
    Null,
    /// This very text.
    Text(String),
    /// A REAL, in whatever digits.
    Real(f32),
    /// A DOUBLE PRECISION, in whatever digits.
    Double(f64),
    /// This JSON, in whatever order.
    Json(Json),
    /// This JSON, its numbers in whatever digits.
    Digits(String),
    /// So many microseconds, or one more or less.
    Micros(i64),
}

impl Expected {
    /// Whether a column that shows `found` holds it.
    #[must_use]
    pub fn is(&self, found: Option<&str>) -> bool {
        match (self, found) {
            (Expected::Null, None) => true,
            (Expected::Null, Some(_)) | (_, None) => false,
            (Expected::Text(own), Some(text)) => own == text,
            (Expected::Real(own), Some(text)) => {
                text.parse::<f32>().is_ok_and(|found| found.to_bits() == own.to_bits())
            }
            (Expected::Double(own), Some(text)) => {
                text.parse::<f64>().is_ok_and(|found| found.to_bits() == own.to_bits())
            }
            (Expected::Json(own), Some(text)) => serde_json::from_str::<Json>(text).is_ok_and(|found| found == *own),
            (Expected::Digits(own), Some(text)) => canonical(own) == canonical(text),
            (Expected::Micros(own), Some(text)) => text.parse::<i64>().is_ok_and(|found| found.abs_diff(*own) <= 1),
        }
    }
}

/// Numbers in one spelling; what stands between quotes stays.
fn canonical(json: &str) -> String {
    let mut all = String::new();
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let end = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |at| at + 2),
            '-' | '0'..='9' => rest.find(|c| !is_number(c)).unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at(end);
        match token.parse::<f64>() {
            Ok(number) => all += &format!("{number:e}"),
            Err(_) => all += token,
        }
        rest = after;
    }
    all
}

/// Bytes as the target shows them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "{byte:02x}");
        all
    })
}

/// JSON without the blanks between its tokens.
#[must_use]
pub fn compact(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |c: &char| {
        inside ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        inside || !matches!(*c, ' ' | '\n' | '\r' | '\t')
    };
    text.chars().filter(keep).collect()
}
