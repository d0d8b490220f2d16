//! Dates, times, numbers and JSON as a row should show them: code of its own, which knows nothing of the encoder.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use num_bigint::BigInt;

/// Microseconds of a day.
pub const DAY: i64 = 86_400_000_000;
/// The first microsecond of year 1.
pub const FIRST: i64 = -719_162 * DAY;
/// The last microsecond of year 9999.
pub const LAST: i64 = 2_932_897 * DAY - 1;

/// `YYYY-MM-DD` of a day since 1970.
pub fn date(day: i64) -> String {
    (jiff::civil::date(1970, 1, 1) + jiff::Span::new().days(day)).to_string()
}

/// `HH:MM:SS` and six digits more where they are not all zero.
pub fn time(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match micros % 1_000_000 {
        0 => clock,
        fraction => format!("{clock}.{fraction:06}"),
    }
}

/// Date and time of microseconds since 1970.
pub fn timestamp(micros: i64) -> String {
    format!("{} {}", date(micros.div_euclid(DAY)), time(micros.rem_euclid(DAY)))
}

/// Without zeros at the end of a fraction of a second, as databases show it.
pub fn trimmed(text: &str) -> String {
    let (clock, zone) = text.split_at(text.find('+').unwrap_or(text.len()));
    match clock.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{whole}{point}{fraction}{zone}")
        }
        None => text.to_owned(),
    }
}

/// Digits with a point before the last `scale` of them.
pub fn decimal(unscaled: &BigInt, scale: usize) -> String {
    let digits = format!("{:0>width$}", unscaled.magnitude().to_string(), width = scale + 1);
    let sign = if unscaled.sign() == num_bigint::Sign::Minus {
        "-"
    } else {
        ""
    };
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "{byte:02x}");
        all
    })
}

/// A JSON string.
pub fn string(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// Bytes as JSON has them.
pub fn base64(bytes: &[u8]) -> String {
    string(&BASE64.encode(bytes))
}

/// A number as JSON has it.
pub fn double(value: f64) -> String {
    if value.is_finite() {
        ryu::Buffer::new().format(value).to_owned()
    } else {
        "null".to_owned()
    }
}

/// The same of a REAL: shortest digits of four bytes, but of the largest those of eight.
pub fn real(value: f32) -> String {
    match value {
        value if !value.is_finite() => "null".to_owned(),
        value if value.abs() >= f32::MAX => double(f64::from(value)),
        value => ryu::Buffer::new().format(value).to_owned(),
    }
}
