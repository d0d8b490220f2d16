//! The CSV dialect that COPY reads (redshift.md section 7): comma, doubled quotes, LF, every text quoted, no number quoted, NULL an
//! unquoted marker.
//!
//! | file | what it holds |
//! |---|---|
//! | `csv.rs` | the constants of the dialect and the check of a NULL marker |
//! | `csv/field.rs` | [`Row`]: the row being written, and the writers of its fields |
//! | `csv/text.rs` | quoted text |
//! | `csv/time.rs` | dates, times and timestamps as digits |
//! | `csv/decimal.rs` | decimals at a scale |

pub(crate) mod decimal;
mod field;
mod text;
pub(crate) mod time;

pub(crate) use field::{FOUR_ZEROS, Row, ZEROS, eight_digits, four_digits};
pub(crate) use text::special;

/// Name of the dialect in claims.
pub const DIALECT_ID: &str = "spolt-csv-1";

/// What stands for NULL unless configured otherwise. Long and odd, since a text that equals it cannot be told from NULL by COPY
/// (redshift.md 1.3) and is refused.
pub const DEFAULT_NULL_MARKER: &str = "~NULL~5p0Lt~";

/// The longest row that COPY takes (load error 1216).
pub const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest text of a VARCHAR column.
pub const TEXT_BYTES_MAX: usize = crate::table::VARCHAR_BYTES_MAX as usize;

/// The longest NULL marker: it is copied as one block.
pub const NULL_MARKER_BYTES_MAX: usize = 32;

/// Why a text cannot be the NULL marker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{marker}` cannot mark NULL: {why}\nhint: leave `null_marker` out, or take letters, digits and `~`")]
pub struct MarkerError {
    /// The text.
    pub marker: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Checks that a text can stand for NULL in COPY, PostgreSQL and DuckDB alike (redshift.md section 7).
///
/// # Errors
/// When it is empty, longer than [`NULL_MARKER_BYTES_MAX`], not printable ASCII, has a character that one of the readers treats
/// specially, or could be the text of a number, a boolean or a date.
pub fn check_null_marker(marker: &str) -> Result<(), MarkerError> {
    let wrong = |why| {
        Err(MarkerError {
            marker: marker.to_owned(),
            why,
        })
    };
    if marker.is_empty() || marker.len() > NULL_MARKER_BYTES_MAX {
        return wrong("it must have 1 to 32 characters");
    }
    if !marker.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("only printable ASCII without blanks is understood alike by all readers");
    }
    if marker.contains(['\\', ',', '"']) {
        return wrong("backslash, comma and quote have a meaning of their own");
    }
    if marker.len() < 4 || marker.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return wrong("it could be a value");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_that_a_reader_could_misread_are_refused() {
        assert_eq!(check_null_marker(DEFAULT_NULL_MARKER), Ok(()));
        for marker in [
            "",
            "\\N",
            "a,bcd",
            "a\"bcd",
            "NU LL",
            "t",
            "1234",
            "-Infinity",
            "Nüll",
            &"~".repeat(33),
        ] {
            assert!(check_null_marker(marker).is_err(), "{marker}");
        }
    }
}
