//! How a value of the source stands in the target by the rules of docs/formats.md, made from the text in which MariaDB writes it. It
//! shares nothing with the encoder.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::super::expected::{Expected, compact, hex};
use super::super::rule::Rule;
use super::kind::Kind;

/// What a query asks for so that nothing is lost: by itself MariaDB writes six digits of a FLOAT.
#[must_use]
pub fn shown(kind: Kind, column: &str) -> String {
    match kind {
        Kind::Float => format!("CAST({column} AS DOUBLE)"),
        Kind::Binary(_) | Kind::Bytes => format!("LOWER(HEX({column}))"),
        Kind::Bit | Kind::Bits(_) => format!("{column} + 0"),
        Kind::Point | Kind::Geometry(_) => format!("CONCAT(ST_SRID({column}), ' ', HEX(ST_AsBinary({column})))"),
        _ => column.to_owned(),
    }
}

/// Why the target cannot hold a value; no reason if it can.
#[must_use]
pub fn unfit(kind: Kind, text: &str) -> Option<Rule> {
    match kind {
        Kind::Time(_) if !(0..=DAY).contains(&micros(text).unwrap_or(-1)) => Some(Rule::NoTimeOfDay),
        Kind::Text(_) if text.len() > 65_535 => Some(Rule::TextTooLong),
        _ => None,
    }
}

/// What MariaDB has in the place of a date that is none.
const ZERO_DATE: &str = "0000-00-00";

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What the target should hold of a value that fits, and by which rule it is something else than the source's text.
///
/// # Errors
/// MariaDB writes the value otherwise than is known here, with what.
pub fn expected(kind: Kind, text: &str) -> Result<(Expected, Option<Rule>), String> {
    let other = || format!("`{text}` is no {kind:?} as MariaDB writes them");
    let by = |rule: Rule, shown: String| (Expected::Text(shown), Some(rule));
    let plain = |shown: String| (Expected::Text(shown), None);
    Ok(match kind {
        // The cast has all digits of the FLOAT.
        #[expect(clippy::cast_possible_truncation, reason = "nothing is lost: it was a FLOAT")]
        Kind::Float => (Expected::Real(text.parse::<f64>().map_err(|_| other())? as f32), None),
        Kind::Double => (Expected::Double(text.parse().map_err(|_| other())?), None),
        Kind::Binary(_) | Kind::Bytes if text.is_empty() => (Expected::Null, Some(Rule::NoBytes)),
        Kind::Binary(_) | Kind::Bytes => by(Rule::Bytes, text.to_owned()),
        Kind::Bit => by(Rule::Bit, if text == "1" { "t" } else { "f" }.to_owned()),
        Kind::Bits(bits) => {
            let number: u64 = text.parse().map_err(|_| other())?;
            by(Rule::Bits, hex(&number.to_le_bytes()[..bits.div_ceil(8) as usize]))
        }
        Kind::Date | Kind::DateTime(_) if text.starts_with(ZERO_DATE) => (Expected::Null, Some(Rule::ZeroDate)),
        Kind::Timestamp(_) if text.starts_with(ZERO_DATE) => {
            by(Rule::ZeroTimestamp, "1970-01-01 00:00:00+00".to_owned())
        }
        Kind::Year if text == "0000" => by(Rule::ZeroYear, "1900".to_owned()),
        Kind::DateTime(_) | Kind::Time(_) => plain(short(text).to_owned()),
        Kind::Timestamp(_) => plain(format!("{}+00", short(text))),
        Kind::Micros(_) => by(Rule::TimeAsMicros, micros(text).ok_or_else(other)?.to_string()),
        Kind::Json => by(Rule::Compact, compact(text)),
        Kind::Point => (Expected::Digits(point(text).ok_or_else(other)?), Some(Rule::Point)),
        Kind::Geometry(_) => by(Rule::Geometry, geometry(text).ok_or_else(other)?),
        _ => plain(text.to_owned()),
    })
}

/// Without zeros behind the last other digit of a second.
fn short(text: &str) -> &str {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

fn micros(text: &str) -> Option<i64> {
    let (sign, clock) = text.strip_prefix('-').map_or((1, text), |clock| (-1, clock));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let parts: Vec<i64> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else {
        return None;
    };
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(sign * (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction))
}

/// The number of the reference system, where there is one, and the well-known bytes.
fn shape(text: &str) -> Option<(String, Vec<u8>)> {
    let (system, bytes) = text.split_once(' ')?;
    let system = if system == "0" { "null" } else { system };
    let bytes: Option<Vec<u8>> = (0..bytes.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(bytes.get(at..at + 2)?, 16).ok())
        .collect();
    Some((system.to_owned(), bytes?))
}

fn geometry(text: &str) -> Option<String> {
    let (system, bytes) = shape(text)?;
    Some(format!("{{\"wkb\":\"{}\",\"srid\":{system}}}", BASE64.encode(bytes)))
}

fn point(text: &str) -> Option<String> {
    let (system, bytes) = shape(text)?;
    // Byte order, type, the two numbers.
    let number = |at: usize| Some(f64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let (x, y) = (number(5)?, number(13)?);
    let wkb = BASE64.encode(&bytes);
    Some(format!(r#"{{"x":{x:e},"y":{y:e},"wkb":"{wkb}","srid":{system}}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_by_the_rules() {
        for (kind, text, wanted) in [
            (Kind::Unsigned(64), "18446744073709551615", "18446744073709551615"),
            (Kind::Micros(6), "-838:59:59.000001", "-3020399000001"),
            (Kind::Micros(0), "100:00:00", "360000000000"),
            (Kind::DateTime(3), "2000-02-29 10:00:00.500", "2000-02-29 10:00:00.5"),
            (Kind::DateTime(6), "2000-02-29 10:00:00.000000", "2000-02-29 10:00:00"),
            (Kind::Timestamp(0), "2000-02-29 10:00:00", "2000-02-29 10:00:00+00"),
            (Kind::Timestamp(3), "0000-00-00 00:00:00.000", "1970-01-01 00:00:00+00"),
            (Kind::Year, "0000", "1900"),
            (Kind::Year, "2155", "2155"),
            (Kind::Bits(20), "256", "000100"),
            (Kind::Bits(8), "0", "00"),
            (Kind::Bytes, "00ff", "00ff"),
            (Kind::Geometry(""), "4326 0102", "{\"wkb\":\"AQI=\",\"srid\":4326}"),
        ] {
            let (expected, _) = expected(kind, text).unwrap();
            assert!(expected.is(Some(wanted)), "{kind:?} {text}: {expected:?}");
        }
        assert!(expected(Kind::Bytes, "").unwrap().0.is(None));
        assert!(expected(Kind::Date, "0000-00-00").unwrap().0.is(None));
    }

    #[test]
    fn what_is_no_time_of_day_is_known() {
        for (text, fits) in [
            ("00:00:00", true),
            ("24:00:00", true),
            ("23:59:59.999999", true),
            ("24:00:01", false),
            ("-00:00:01", false),
            ("838:59:59", false),
        ] {
            assert_eq!(unfit(Kind::Time(6), text).is_none(), fits, "{text}");
            assert_eq!(unfit(Kind::Micros(6), text), None);
        }
    }
}
