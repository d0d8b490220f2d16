//! How a value of the source stands in the target by the rules of docs/formats.md, made from the text in which PostgreSQL writes it. It
//! shares nothing with the encoder.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;

use super::super::expected::{Expected, compact, hex};
use super::super::rule::Rule;
use super::kind::{Item, Kind};

/// Why the target cannot hold a value; no reason if it can.
#[must_use]
pub fn unfit(kind: Kind, text: &str) -> Option<Rule> {
    let not_finite = || ["NaN", "Infinity", "-Infinity"].contains(&text);
    let no_year = || {
        text.ends_with("BC") || text.ends_with("infinity") || text.split('-').next().is_some_and(|year| year.len() > 4)
    };
    match kind {
        Kind::Float4 | Kind::Float8 if not_finite() => Some(Rule::NotFinite),
        Kind::Date | Kind::Timestamp(_) | Kind::TimestampTz if no_year() => Some(Rule::Year),
        Kind::Text(_) if text.len() > 65_535 => Some(Rule::TextTooLong),
        _ => None,
    }
}

/// What the target should hold of a value that fits, and by which rule it is something else than the source's text.
///
/// # Errors
/// PostgreSQL writes the value otherwise than is known here, with what.
pub fn expected(kind: Kind, text: &str) -> Result<(Expected, Option<Rule>), String> {
    let other = || format!("`{text}` is no {kind:?} as PostgreSQL writes them");
    let by = |rule: Rule, shown: String| (Expected::Text(shown), Some(rule));
    Ok(match kind {
        Kind::Float4 => (Expected::Real(text.parse().map_err(|_| other())?), None),
        Kind::Float8 => (Expected::Double(text.parse().map_err(|_| other())?), None),
        Kind::Numeric | Kind::Decimal(..) if ["NaN", "Infinity", "-Infinity"].contains(&text) => {
            (Expected::Null, Some(Rule::NoNumber))
        }
        Kind::Numeric => {
            let short = text
                .contains('.')
                .then(|| text.trim_end_matches('0').trim_end_matches('.'));
            let rule = short.is_some_and(|short| short != text).then_some(Rule::Scale);
            (Expected::Text(short.unwrap_or(text).to_owned()), rule)
        }
        Kind::Money => by(Rule::Money, text.replace(['$', ','], "")),
        Kind::Bytes if text == "\\x" => (Expected::Null, Some(Rule::NoBytes)),
        Kind::Bytes | Kind::BigBytes => by(Rule::Bytes, text.strip_prefix("\\x").ok_or_else(other)?.to_owned()),
        Kind::Bit => by(Rule::Bit, if text == "1" { "t" } else { "f" }.to_owned()),
        Kind::Bits { .. } => by(Rule::Bits, bits(text).ok_or_else(other)?),
        Kind::TimeTz => by(Rule::Utc, in_utc(text).ok_or_else(other)?),
        // Debezium multiplies in floating point.
        Kind::Interval => (Expected::Micros(micros(text).ok_or_else(other)?), Some(Rule::Micros)),
        Kind::Json | Kind::BigJson => by(Rule::Compact, compact(text)),
        Kind::Hstore => (Expected::Json(hstore(text).ok_or_else(other)?), Some(Rule::Hstore)),
        Kind::Point => (Expected::Digits(point(text).ok_or_else(other)?), Some(Rule::Point)),
        Kind::Array(item) | Kind::BigArray(item) => {
            let rule = if text.starts_with("{{") {
                Rule::Nested
            } else {
                Rule::Array
            };
            (array(text, item).ok_or_else(other)?, Some(rule))
        }
        _ => (Expected::Text(text.to_owned()), None),
    })
}

/// Leading zeros are not kept, but for one byte where there is nothing else.
fn bits(text: &str) -> Option<String> {
    let number = u64::from_str_radix(&format!("0{text}"), 2).ok()?;
    let bytes = number.to_le_bytes();
    let count = (8 - number.leading_zeros() as usize / 8).max(1);
    Some(hex(&bytes[..count]))
}

/// Seconds of a clock, and the text of its fraction.
fn seconds(clock: &str) -> Option<(i64, &str)> {
    let (clock, fraction) = clock.split_at(clock.find('.').unwrap_or(clock.len()));
    let parts: Vec<i64> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let all = parts.iter().fold(0, |all, part| all * 60 + part);
    // Hours alone, or without seconds, as in a zone.
    Some((all * 60_i64.pow(3 - u32::try_from(parts.len()).ok()?), fraction))
}

fn in_utc(text: &str) -> Option<String> {
    let (clock, zone) = text.split_at(text.rfind(['+', '-'])?);
    let (seconds_of, fraction) = seconds(clock)?;
    let (ahead, _) = seconds(&zone[1..])?;
    let ahead = if zone.starts_with('-') { -ahead } else { ahead };
    let utc = (seconds_of - ahead).rem_euclid(86_400);
    Some(format!(
        "{:02}:{:02}:{:02}{fraction}+00",
        utc / 3600,
        utc / 60 % 60,
        utc % 60
    ))
}

/// A month is a twelfth of 365.25 days.
fn micros(text: &str) -> Option<i64> {
    let (mut months, mut days, mut micros) = (0_i64, 0_i64, 0_i64);
    let mut words = text.split(' ');
    while let Some(word) = words.next() {
        if word.contains(':') {
            let (sign, clock) = word.strip_prefix('-').map_or((1, word), |clock| (-1, clock));
            let (whole, fraction) = seconds(clock.trim_start_matches('+'))?;
            let fraction: i64 = format!("{:0<6}", fraction.trim_start_matches('.')).parse().ok()?;
            micros = sign * (whole * 1_000_000 + fraction);
            continue;
        }
        let number: i64 = word.trim_start_matches('+').parse().ok()?;
        match words.next()?.trim_end_matches('s') {
            "year" => months += 12 * number,
            "mon" => months += number,
            "day" => days += number,
            _ => return None,
        }
    }
    Some(months * 2_629_800_000_000 + days * 86_400_000_000 + micros)
}

/// What stands between quotes, which begin the text; and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    loop {
        match characters.next()? {
            (_, '\\') => inside.push(characters.next()?.1),
            (at, '"') => return Some((inside, &text[at + 2..])),
            (_, c) => inside.push(c),
        }
    }
}

fn hstore(text: &str) -> Option<Json> {
    let mut all = serde_json::Map::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let after = after.strip_prefix("=>")?;
        let (value, after) = match after.strip_prefix("NULL") {
            Some(after) => (Json::Null, after),
            None => quoted(after).map(|(value, after)| (Json::String(value), after))?,
        };
        all.insert(key, value);
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    Some(Json::Object(all))
}

fn point(text: &str) -> Option<String> {
    let (x, y) = text.trim_matches(['(', ')']).split_once(',')?;
    let (x, y): (f64, f64) = (x.parse().ok()?, y.parse().ok()?);
    // Well-known binary: little-endian, type 1, the two numbers.
    let wkb = [&[1, 1, 0, 0, 0][..], &x.to_le_bytes(), &y.to_le_bytes()].concat();
    let wkb = BASE64.encode(wkb);
    Some(format!(r#"{{"x":{x:e},"y":{y:e},"wkb":"{wkb}","srid":null}}"#))
}

/// An array's JSON: of texts and exact numbers the very text, of floating point in whatever digits. What an array holds of arrays,
/// Debezium writes as nulls.
fn array(text: &str, item: Item) -> Option<Expected> {
    let mut items: Vec<String> = Vec::new();
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?;
    while !rest.is_empty() {
        let (shown, after) = if rest.starts_with('"') {
            let (value, after) = quoted(rest)?;
            let shown = match item {
                Item::Timestamp | Item::TimestampTz => six_digits(&value),
                _ => value,
            };
            (Json::String(shown).to_string(), after)
        } else if rest.starts_with('{') {
            ("null".to_owned(), &rest[rest.find('}')? + 1..])
        } else {
            let (word, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            (unquoted(word, item), after)
        };
        items.push(shown);
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    let json = format!("[{}]", items.join(","));
    match item {
        Item::Float8 => Some(Expected::Digits(json)),
        _ => Some(Expected::Text(json)),
    }
}

/// A time as JSON has it: with all six digits of a second, or none where they are zeros.
fn six_digits(text: &str) -> String {
    let (time, zone) = text.split_at(text.find('+').unwrap_or(text.len()));
    match time.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{fraction:0<6}{zone}"),
        None => text.to_owned(),
    }
}

fn unquoted(word: &str, item: Item) -> String {
    match (word, item) {
        ("NULL", _) => "null".to_owned(),
        ("t", Item::Bool) => "true".to_owned(),
        ("f", Item::Bool) => "false".to_owned(),
        (_, Item::Text | Item::Uuid | Item::Date) => Json::String(word.to_owned()).to_string(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: Kind, text: &str) -> String {
        match expected(kind, text).unwrap().0 {
            Expected::Text(text) => text,
            Expected::Json(json) => json.to_string(),
            Expected::Micros(micros) => micros.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_are_shown_by_the_rules() {
        let bits = Kind::Bits {
            most: 20,
            varying: true,
        };
        for (kind, text, wanted) in [
            (Kind::Money, "-$1,234.50", "-1234.50"),
            (Kind::Bytes, "\\x00ff", "00ff"),
            (bits, "1010", "0a"),
            (bits, "100000000", "0001"),
            (bits, "", "00"),
            (Kind::Numeric, "100.50", "100.5"),
            (Kind::Numeric, "100", "100"),
            (Kind::TimeTz, "00:30:00.5+05:30", "19:00:00.5+00"),
            (Kind::TimeTz, "23:59:59-12", "11:59:59+00"),
            (Kind::Interval, "1 year 2 mons 3 days 04:05:06.789", "37091106789000"),
            (Kind::Interval, "-1 days +00:00:00.5", "-86399500000"),
            (Kind::Interval, "-00:00:00.000001", "-1"),
            (Kind::Json, "{ \"a \\\" b\" : [1, 2] }", "{\"a \\\" b\":[1,2]}"),
            (
                Kind::Hstore,
                "\"a\"=>\"1\", \"b\\\"\"=>NULL",
                "{\"a\":\"1\",\"b\\\"\":null}",
            ),
            (
                Kind::Array(Item::Text),
                "{a,\"b,c\",NULL,\"\"}",
                "[\"a\",\"b,c\",null,\"\"]",
            ),
            (Kind::Array(Item::Int4), "{{1,2},{3,4}}", "[null,null]"),
            (
                Kind::Array(Item::TimestampTz),
                "{\"2000-01-01 00:00:00.5+00\",NULL,\"2000-01-01 00:00:00+00\"}",
                "[\"2000-01-01 00:00:00.500000+00\",null,\"2000-01-01 00:00:00+00\"]",
            ),
            (Kind::Array(Item::Bool), "{}", "[]"),
            (Kind::Text(0), " kept ", " kept "),
        ] {
            assert_eq!(shown(kind, text), wanted, "{kind:?} {text}");
        }
        assert!(expected(Kind::Interval, "3 fortnights").is_err());
    }

    #[test]
    fn what_does_not_fit_is_known() {
        for (kind, text, rule) in [
            (Kind::Float8, "NaN", Some(Rule::NotFinite)),
            (Kind::Float8, "1e300", None),
            (Kind::Date, "infinity", Some(Rule::Year)),
            (Kind::Timestamp(6), "12345-06-07 08:09:10", Some(Rule::Year)),
            (Kind::TimestampTz, "0044-03-15 12:00:00+00 BC", Some(Rule::Year)),
            (Kind::TimestampTz, "9999-12-31 23:59:59+00", None),
            (Kind::Text(0), "infinity", None),
        ] {
            assert_eq!(unfit(kind, text), rule, "{kind:?} {text}");
        }
    }

    #[test]
    fn numbers_in_floating_point_are_compared_by_their_bits() {
        let zero = Expected::Double(0.0);
        assert!(zero.is(Some("0e0")) && !zero.is(Some("-0")) && !zero.is(None));
        let point = expected(Kind::Point, "(919017.9755859375,-0.5)").unwrap().0;
        let wkb = "AQEAAAAAAIDz0wssQQAAAAAAAOC/";
        let shown = format!(r#"{{"x":919017.9755859375,"y":-5e-1,"wkb":"{wkb}","srid":null}}"#);
        assert!(point.is(Some(&shown)) && !point.is(Some(&shown.replace("75,", "74,"))));
        assert!(Expected::Micros(-5).is(Some("-4")) && !Expected::Micros(-5).is(Some("-3")));
        assert!(Expected::Json(serde_json::json!({"a": 1.5, "b": null})).is(Some("{\"b\":null,\"a\":1.50}")));
    }
}
